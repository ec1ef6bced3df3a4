//! Silences over HTTP: list, make, change, end. Owns the wire form; what a valid silence is says the domain.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::core::{Stopped, clock};
use crate::domain::Timestamp;
use crate::domain::matcher::Matchers;
use crate::domain::name::SilenceId;
use crate::domain::quantity::parse_duration;
use crate::domain::silence::{Silence, SilenceFault, SilenceRequest, SilenceState};
use crate::engine::Engine;
use crate::engine::event::Event;

use super::Api;
use super::guard::Changer;
use super::incidents::signed;
use super::paging::Paging;
use super::problem::Problem;
use super::view::{Page, query};

/// The longest comment, in characters.
pub(super) const LONGEST_COMMENT: usize = 1_000;

/// The most matchers of one silence.
pub(super) const MOST_MATCHERS: usize = 50;

/// The most silences that are not over at the same time: each is looked at for each alert that fires.
const MOST_SILENCES: usize = 1_000;

/// How the list is narrowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only this state; those that are not over where nothing is said, `all` for all.
    state: Option<String>,
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A silence that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Changes the silence of this id, where one is there that is not over.
    id: Option<String>,
    matchers: Option<Written>,
    /// Now where nothing is said.
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    /// Instead of `ends_at`: so long from the start.
    #[serde(rename = "for")]
    length: Option<String>,
    comment: Option<String>,
    /// Who asks, where no token says so.
    by: Option<String>,
}

/// Matchers as one text or as several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    One(String),
    Several(Vec<String>),
}

/// Who ends a silence, where no token says so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ended {
    by: Option<String>,
}

/// A silence.
#[derive(Debug, Serialize)]
pub(super) struct SilenceView {
    id: String,
    state: &'static str,
    matchers: Vec<String>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
    updated_at: String,
    /// The incidents that are active and have a firing alert that fits.
    incidents: Vec<String>,
}

impl SilenceView {
    pub(super) fn new(engine: &Engine, silence: &Silence, now: Timestamp) -> Self {
        Self {
            id: silence.id.to_string(),
            state: silence.state(now).as_str(),
            matchers: silence.matchers.iter().map(ToString::to_string).collect(),
            starts_at: silence.starts_at.to_string(),
            ends_at: silence.ends_at.to_string(),
            created_by: silence.author.to_string(),
            comment: silence.comment.to_string(),
            updated_at: silence.updated_at.to_string(),
            incidents: engine.silence_fits(silence).iter().map(ToString::to_string).collect(),
        }
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page<SilenceView>>, Problem> {
    let filter = query(filter)?;
    let paging = Paging::new(filter.limit, filter.after);
    let states: &[SilenceState] = match filter.state.as_deref() {
        None => &[SilenceState::Pending, SilenceState::Active],
        Some("all") => &[SilenceState::Pending, SilenceState::Active, SilenceState::Expired],
        Some("pending") => &[SilenceState::Pending],
        Some("active") => &[SilenceState::Active],
        Some("expired") => &[SilenceState::Expired],
        Some(other) => return Err(bad(format!("`{other}` is no state of a silence"))),
    };
    let page = api
        .core
        .peek(move |engine| {
            let now = clock::now();
            let mut found: Vec<&Silence> =
                engine.silences().filter(|silence| states.contains(&silence.state(now))).collect();
            found.sort_by_key(|silence| (silence.ends_at, &silence.id));
            let view = |silence: &Silence| SilenceView::new(engine, silence, now);
            paging.page(found, |silence| silence.id.to_string(), view)
        })
        .await?;
    Ok(Json(page))
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<SilenceView>, Problem> {
    find(&api, &id).await.map(Json)
}

/// Makes a silence, or changes one; an expired one is left alone and another made, as in Alertmanager.
pub(super) async fn put(
    State(api): State<Api>,
    changer: Changer,
    body: Result<Json<Asked>, JsonRejection>,
) -> Result<(StatusCode, Json<SilenceView>), Problem> {
    let Json(asked) = body.map_err(|error| bad(error.body_text()))?;
    let now = clock::now();
    let known = match &asked.id {
        Some(id) => {
            find(&api, id).await?;
            let id = SilenceId::from(id.as_str());
            let living = id.clone();
            let is_living = api.core.ask(move |engine| engine.living_silence(&living, now).is_some()).await?;
            is_living.then_some(id)
        }
        None => None,
    };
    let is_new = known.is_none();
    if is_new && !has_room(&api, now).await? {
        let detail = format!("there are {MOST_SILENCES} silences already: end some, or let one say more");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let silence = Silence::new(request(asked, changer, now)?, known, now)
        .map_err(|fault: SilenceFault| bad(fault.to_string()))?;
    let id = silence.id.to_string();
    // Looking does not wait for its turn, so what was done has to be done by then.
    api.core.confirm(Event::Silence(Box::new(silence))).await?;
    let code = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((code, Json(find(&api, &id).await?)))
}

/// Whether one more silence is taken.
pub(super) async fn has_room(api: &Api, now: Timestamp) -> Result<bool, Stopped> {
    let living = move |engine: &Engine| {
        engine.silences().filter(|silence| silence.state(now) != SilenceState::Expired).count()
    };
    Ok(api.core.ask(living).await? < MOST_SILENCES)
}

pub(super) async fn expire(
    State(api): State<Api>,
    changer: Changer,
    Path(id): Path<String>,
    Query(ended): Query<Ended>,
) -> Result<Json<SilenceView>, Problem> {
    let by = signed(changer, ended.by)?;
    end(&api, by, &id).await?;
    find(&api, &id).await.map(Json)
}

/// Ends a silence that is there.
pub(super) async fn end(api: &Api, by: String, id: &str) -> Result<(), Problem> {
    find(api, id).await?;
    api.core.confirm(Event::ExpireSilence { id: id.into(), by: by.into() }).await?;
    Ok(())
}

async fn find(api: &Api, id: &str) -> Result<SilenceView, Problem> {
    let wanted = SilenceId::from(id);
    let found = api
        .core
        // After what was just sent, so that whoever changed something sees it.
        .ask(move |engine| {
            let silence = engine.silences().find(|silence| silence.id == wanted)?;
            Some(SilenceView::new(engine, silence, clock::now()))
        })
        .await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no silence {id}")))
}

fn request(asked: Asked, changer: Changer, now: Timestamp) -> Result<SilenceRequest, Problem> {
    let texts = match asked.matchers {
        None => Vec::new(),
        Some(Written::One(text)) => vec![text],
        Some(Written::Several(texts)) => texts,
    };
    let mut matchers = Matchers::default();
    for text in texts {
        let more = Matchers::parse(&text).map_err(|error| bad(format!("`{text}` is no matcher: {error}")))?;
        matchers = matchers.and(more);
        if matchers.len() > MOST_MATCHERS {
            return Err(bad(format!("more than {MOST_MATCHERS} matchers are not taken")));
        }
    }
    let starts_at = asked.starts_at.unwrap_or(now);
    let ends_at = match (asked.ends_at, asked.length) {
        (Some(ends_at), None) => ends_at,
        (None, Some(text)) => {
            let length = parse_duration(&text).ok_or_else(|| bad(format!("`{text}` is no duration")))?;
            starts_at.checked_add(length).map_err(|_| bad(format!("`{text}` is too long")))?
        }
        (Some(_), Some(_)) => return Err(bad("`ends_at` and `for` say the same: one of them is enough")),
        (None, None) => return Err(bad("the silence needs an end: `for`, such as 1h, or `ends_at`")),
    };
    let comment: String =
        asked.comment.unwrap_or_default().trim().chars().filter(|c| !c.is_control() || *c == '\n').collect();
    if comment.chars().count() > LONGEST_COMMENT {
        return Err(bad(format!("`comment` has more than {LONGEST_COMMENT} characters")));
    }
    let author = signed(changer, asked.by)?;
    Ok(SilenceRequest { matchers, starts_at, ends_at, author: author.into(), comment: comment.into() })
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}
