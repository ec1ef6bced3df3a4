//! Silences in Alertmanager's form: the same silences as everywhere here.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::api::guard::Changer;
use crate::api::incidents::signed;
use crate::api::silences::{LONGEST_COMMENT, MOST_MATCHERS, has_room};
use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::matcher::{MatchOp, Matcher, Matchers};
use crate::domain::name::SilenceId;
use crate::domain::silence::{Silence, SilenceRequest, SilenceState};
use crate::engine::event::Event;

use super::alerts::{said, time};
use super::listing::{Pairs, matchers};
use super::{Api, Problem, Refused};

/// A silence as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceView {
    id: String,
    status: StatusView,
    updated_at: String,
    comment: String,
    created_by: String,
    ends_at: String,
    matchers: Vec<MatcherWire>,
    starts_at: String,
}

#[derive(Debug, Serialize)]
struct StatusView {
    state: &'static str,
}

/// A matcher on the wire.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MatcherWire {
    #[serde(default = "yes")]
    is_equal: bool,
    is_regex: bool,
    name: Arc<str>,
    value: Arc<str>,
}

fn yes() -> bool {
    true
}

/// A silence that is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    id: Option<String>,
    matchers: Vec<MatcherWire>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

/// The id of a silence that was made or changed.
#[derive(Debug, Serialize)]
pub(super) struct Made {
    #[serde(rename = "silenceID")]
    silence_id: String,
}

impl SilenceView {
    fn new(silence: &Silence, now: Timestamp) -> Self {
        let matchers = silence.matchers.iter().map(|matcher| MatcherWire {
            is_equal: matcher.op().is_positive(),
            is_regex: matcher.op().is_regex(),
            name: matcher.name().into(),
            value: matcher.value().into(),
        });
        Self {
            id: silence.id.to_string(),
            status: StatusView { state: silence.state(now).as_str() },
            updated_at: time(silence.updated_at),
            comment: silence.comment.to_string(),
            created_by: silence.author.to_string(),
            ends_at: time(silence.ends_at),
            matchers: matchers.collect(),
            starts_at: time(silence.starts_at),
        }
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<Pairs>, QueryRejection>,
) -> Result<Json<Vec<SilenceView>>, Refused> {
    let Query(pairs) = query.map_err(|error| Refused::bad(error.body_text()))?;
    let wanted = matchers(&pairs)?;
    let found = api.core.peek(move |engine| {
        let now = clock::now();
        let creators: Vec<&str> =
            pairs.iter().filter(|(key, _)| key == "creator").map(|(_, name)| name.as_str()).collect();
        // A silence fits a filter that it has itself.
        let has = |silence: &Silence, wanted: &Matcher| silence.matchers.iter().any(|it| it == wanted);
        let mut found: Vec<&Silence> = engine
            .silences()
            .filter(|silence| wanted.iter().all(|wanted| has(silence, wanted)))
            .filter(|silence| creators.is_empty() || creators.contains(&silence.author.as_ref()))
            .collect();
        found.sort_by_key(|silence| place(silence, now));
        found.into_iter().map(|silence| SilenceView::new(silence, now)).collect()
    });
    Ok(Json(found.await?))
}

/// Active ones first, the next to end first; then those to come, the next first; then the last that ended.
fn place(silence: &Silence, now: Timestamp) -> (u8, i128, SilenceId) {
    let (rank, key) = match silence.state(now) {
        SilenceState::Active => (0, silence.ends_at.as_nanosecond()),
        SilenceState::Pending => (1, silence.starts_at.as_nanosecond()),
        SilenceState::Expired => (2, -silence.ends_at.as_nanosecond()),
    };
    (rank, key, silence.id.clone())
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<SilenceView>, Refused> {
    let wanted = SilenceId::from(id.as_str());
    let found = api.core.peek(move |engine| {
        let silence = engine.silences().find(|silence| silence.id == wanted)?;
        Some(SilenceView::new(silence, clock::now()))
    });
    found.await?.map(Json).ok_or_else(|| Refused::unknown(format!("silence {id} not found")))
}

/// Makes a silence or changes one. Only the end of one that holds can be changed, and what is to come as long as it is to
/// come: another change ends it and makes another, as in Alertmanager.
pub(super) async fn post(
    State(api): State<Api>,
    changer: Result<Changer, Problem>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Made>, Refused> {
    let changer = changer?;
    let body = body.map_err(|error| Refused { status: error.status(), detail: error.body_text() })?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| Refused::bad(format!("parsing silence body from \"\" failed, because {error}")))?;
    let now = clock::now();
    let id = asked.id.clone().filter(|id| !id.is_empty());
    let request = request(asked, changer)?;
    let known = match &id {
        None => None,
        Some(id) => {
            let wanted = SilenceId::from(id.as_str());
            let known = api
                .core
                .ask(move |engine| engine.silences().find(|silence| silence.id == wanted).cloned())
                .await?;
            Some(known.ok_or_else(|| Refused::unknown("silence not found"))?)
        }
    };
    let kept = known.as_ref().filter(|known| may_change(known, &request, now)).map(|known| known.id.clone());
    if kept.is_none() && !has_room(&api, now).await? {
        return Err(Refused::bad("there are too many silences already: end some, or let one say more"));
    }
    // A new one holds from now on at the earliest.
    let starts_at = if kept.is_some() { request.starts_at } else { request.starts_at.max(now) };
    let request = SilenceRequest { starts_at, ..request };
    let by = request.author.clone();
    let silence = Silence::new(request, kept.clone(), now)
        .map_err(|fault| Refused::bad(format!("Failed to create silence: {fault}")))?;
    let silence_id = silence.id.to_string();
    api.core.confirm(Event::Silence(Box::new(silence))).await?;
    if let Some(old) = known.filter(|known| kept.is_none() && known.state(now) != SilenceState::Expired) {
        // After the new one holds, so that nothing slips through between the two.
        api.core.confirm(Event::ExpireSilence { id: old.id, by }).await?;
    }
    Ok(Json(Made { silence_id }))
}

pub(super) async fn expire(
    State(api): State<Api>,
    changer: Result<Changer, Problem>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    let by = signed(changer?, None)?;
    let wanted = SilenceId::from(id.as_str());
    let is_known = api.core.ask(move |engine| engine.silences().any(|silence| silence.id == wanted)).await?;
    if !is_known {
        return Err(Refused::unknown(format!("silence {id} not found")));
    }
    api.core.confirm(Event::ExpireSilence { id: id.as_str().into(), by: by.into() }).await?;
    Ok(StatusCode::OK)
}

fn may_change(known: &Silence, asked: &SilenceRequest, now: Timestamp) -> bool {
    known.matchers == asked.matchers
        && match known.state(now) {
            SilenceState::Active => known.starts_at.as_second() == asked.starts_at.as_second(),
            SilenceState::Pending => asked.starts_at >= now,
            SilenceState::Expired => false,
        }
}

fn request(asked: Asked, changer: Changer) -> Result<SilenceRequest, Refused> {
    if asked.matchers.len() > MOST_MATCHERS {
        return Err(Refused::bad(format!("more than {MOST_MATCHERS} matchers are not taken")));
    }
    let mut matchers = Vec::new();
    for MatcherWire { is_equal, is_regex, name, value } in asked.matchers {
        let op = match (is_equal, is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (false, true) => MatchOp::NotRegex,
        };
        matchers.push(Matcher::new(name, op, value).map_err(|fault| Refused::bad(fault.to_string()))?);
    }
    let at = |text: &str, key: &str| {
        said(Some(text))
            .map_err(Refused::bad)?
            .ok_or_else(|| Refused::bad(format!("{key} in body is required")))
    };
    let comment: String = asked
        .comment
        .trim()
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(LONGEST_COMMENT)
        .collect();
    Ok(SilenceRequest {
        matchers: Matchers::new(matchers),
        starts_at: at(&asked.starts_at, "startsAt")?,
        ends_at: at(&asked.ends_at, "endsAt")?,
        author: signed(changer, Some(asked.created_by))?.into(),
        comment: comment.into(),
    })
}
