//! Incidents over HTTP: list, one, and what people do about one: take it, give it back, note, tick a step, resolve.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::name::IncidentId;
use crate::domain::quantity::parse_duration;
use crate::domain::severity::Severity;
use crate::engine::event::Event;

use super::Api;
use super::guard::Changer;
use super::paging::{Paging, word};
use super::problem::Problem;
use super::view::{IncidentView, Page, TimelineView, query};

/// How a list is narrowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only this state.
    state: Option<String>,
    /// At most so many, 100 where nothing is said.
    limit: Option<usize>,
    /// Only this severity.
    severity: Option<String>,
    /// Only this type.
    #[serde(rename = "type")]
    incident_type: Option<String>,
    /// Only those with this value in a label of their subject.
    subject: Option<String>,
    /// Only those before this id, newest first: the `next` of the page before.
    before: Option<String>,
    /// The same.
    after: Option<String>,
}

/// Which part of a timeline.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cut {
    limit: Option<usize>,
    after: Option<String>,
}

/// Who asks, where no token says so.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    pub(super) by: Option<String>,
}

/// Who takes an incident, and for how long.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Taking {
    by: Option<String>,
    #[serde(rename = "for")]
    lasts: Option<String>,
}

/// What somebody writes down.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noting {
    by: Option<String>,
    text: String,
}

/// Whether a step is done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checking {
    by: Option<String>,
    #[serde(default = "yes")]
    done: bool,
}

fn yes() -> bool {
    true
}

/// The longest note, in characters.
const LONGEST_NOTE: usize = 2_000;

/// The longest name people may give themselves.
const LONGEST_NAME: usize = 100;

pub(super) async fn list(
    State(api): State<Api>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page<IncidentView>>, Problem> {
    let filter = query(filter)?;
    let state =
        word(&IncidentState::ALL, filter.state.as_deref(), IncidentState::as_str, "state of an incident")?;
    let severities = [Severity::Warning, Severity::Critical];
    let severity = word(&severities, filter.severity.as_deref(), Severity::as_str, "severity")?;
    let before = filter.after.or(filter.before);
    let paging = Paging::new(filter.limit, None);
    let page = api.core.peek(move |engine| {
        let is_wanted = |incident: &&Incident| {
            state.is_none_or(|state| incident.state == state)
                && severity.is_none_or(|severity| incident.severity == severity)
                && filter.incident_type.as_deref().is_none_or(|it| incident.incident_type.as_str() == it)
                && filter
                    .subject
                    .as_deref()
                    .is_none_or(|subject| incident.subject.iter().any(|(_, value)| value == subject))
                // By number and not by place: it may be forgotten by now.
                && before.as_deref().is_none_or(|before| incident.id.as_str() < before)
        };
        let mut matching: Vec<&Incident> = engine.incidents().filter(is_wanted).collect();
        matching.reverse();
        paging.page(matching, |it| it.id.to_string(), |it| IncidentView::new(engine, it, false))
    });
    Ok(Json(page.await?))
}

/// What happened to an incident, oldest first.
pub(super) async fn timeline(
    State(api): State<Api>,
    Path(id): Path<String>,
    cut: Result<Query<Cut>, QueryRejection>,
) -> Result<Json<Page<TimelineView>>, Problem> {
    let cut = query(cut)?;
    let paging = Paging::new(cut.limit, cut.after);
    let wanted = IncidentId::from(id.as_str());
    let page = api.core.peek(move |engine| {
        let entries = engine.incident(&wanted)?.timeline.iter().enumerate().collect();
        Some(paging.page(entries, |(at, _)| at.to_string(), |(_, entry)| TimelineView::new(entry)))
    });
    let page = page.await?;
    page.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no incident {id}")))
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<IncidentView>, Problem> {
    find(&api, &id).await.map(Json)
}

pub(super) async fn acknowledge(
    State(api): State<Api>,
    changer: Changer,
    Path(id): Path<String>,
    body: Result<Json<Taking>, JsonRejection>,
) -> Result<Json<IncidentView>, Problem> {
    let Taking { by, lasts } = said(body)?;
    let until = lasts.as_deref().map(ends).transpose()?;
    let by = signed(changer, by)?;
    change(&api, id, |incident| Event::Acknowledge { incident, by: by.into(), until, origin: None }).await
}

pub(super) async fn unacknowledge(
    State(api): State<Api>,
    changer: Changer,
    Path(id): Path<String>,
    body: Result<Json<By>, JsonRejection>,
) -> Result<Json<IncidentView>, Problem> {
    let by = who(changer, body)?;
    change(&api, id, |incident| Event::Unacknowledge { incident, by: by.into() }).await
}

pub(super) async fn note(
    State(api): State<Api>,
    changer: Changer,
    Path(id): Path<String>,
    body: Result<Json<Noting>, JsonRejection>,
) -> Result<Json<IncidentView>, Problem> {
    let Noting { by, text } = said(body)?;
    let by = signed(changer, by)?;
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST_NOTE {
        let detail = format!("`text` must have 1 to {LONGEST_NOTE} characters");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    change(&api, id, |incident| Event::Note { incident, by: by.into(), text: text.into() }).await
}

pub(super) async fn check(
    State(api): State<Api>,
    changer: Changer,
    Path((id, step)): Path<(String, usize)>,
    body: Result<Json<Checking>, JsonRejection>,
) -> Result<Json<IncidentView>, Problem> {
    let Checking { by, done } = said(body)?;
    let by = signed(changer, by)?;
    if find(&api, &id).await?.checklist.len() <= step {
        let detail = format!("the checklist of {id} has no step {step}; the first is 0");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    change(&api, id, |incident| Event::Check { incident, step, done, by: by.into() }).await
}

pub(super) async fn resolve(
    State(api): State<Api>,
    changer: Changer,
    Path(id): Path<String>,
    body: Result<Json<By>, JsonRejection>,
) -> Result<Json<IncidentView>, Problem> {
    let by = who(changer, body)?;
    change(&api, id, |incident| Event::Resolve { incident, by: by.into() }).await
}

async fn change(
    api: &Api,
    id: String,
    event: impl FnOnce(IncidentId) -> Event,
) -> Result<Json<IncidentView>, Problem> {
    find(api, &id).await?;
    // Looking does not wait for its turn, so what was done has to be done by then.
    api.core.confirm(event(id.as_str().into())).await?;
    find(api, &id).await.map(Json)
}

async fn find(api: &Api, id: &str) -> Result<IncidentView, Problem> {
    let wanted = IncidentId::from(id);
    let found = api
        .core
        // After what was just sent, so that whoever changed something sees it.
        .ask(move |engine| engine.incident(&wanted).map(|it| IncidentView::new(engine, it, true)))
        .await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no incident {id}")))
}

/// The body, or what is wrong with it.
pub(super) fn said<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(said)| said).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))
}

fn who(changer: Changer, body: Result<Json<By>, JsonRejection>) -> Result<String, Problem> {
    signed(changer, said(body)?.by)
}

/// The token's name is whom a change is written down for; without a token people say who they are.
pub(super) fn signed(changer: Changer, by: Option<String>) -> Result<String, Problem> {
    let name = changer.name.or(by).unwrap_or_else(|| "api".into());
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "`by` must be a name of 1 to 100 characters"));
    }
    Ok(name)
}

/// When something that lasts so long from now on ends.
pub(super) fn ends(lasts: &str) -> Result<Timestamp, Problem> {
    let wrong = || {
        let detail = format!("`{lasts}` is no duration such as 30m, or too long");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    };
    let lasts = parse_duration(lasts).filter(|lasts| !lasts.is_zero()).ok_or_else(wrong)?;
    clock::now().checked_add(lasts).map_err(|_| wrong())
}
