//! Incidents over HTTP: list, one, acknowledge, resolve.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::domain::incident::IncidentState;
use crate::domain::name::IncidentId;
use crate::engine::event::Event;

use super::Api;
use super::guard::Changer;
use super::problem::Problem;
use super::view::{IncidentView, Page};

/// How a list is narrowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only this state.
    state: Option<String>,
    /// At most so many, 100 where nothing is said.
    limit: Option<usize>,
    /// Only those before this id, newest first: the `next` of the page before.
    before: Option<String>,
}

/// Who asks, where no token says so.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    by: Option<String>,
}

/// The longest name people may give themselves.
const LONGEST_NAME: usize = 100;

pub(super) async fn list(
    State(api): State<Api>,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<IncidentView>>, Problem> {
    let state = match &filter.state {
        None => None,
        Some(word) => {
            Some(IncidentState::ALL.into_iter().find(|it| it.as_str() == word).ok_or_else(|| {
                Problem::new(StatusCode::BAD_REQUEST, format!("`{word}` is no state of an incident"))
            })?)
        }
    };
    let limit = filter.limit.unwrap_or(100).clamp(1, 1000);
    let page = api
        .core
        .ask(move |engine| {
            let mut matching: Vec<_> = engine
                .incidents()
                .filter(|incident| state.is_none_or(|state| incident.state == state))
                .filter(|incident| {
                    filter.before.as_deref().is_none_or(|before| incident.id.as_str() < before)
                })
                .collect();
            matching.reverse();
            let more = matching.len() > limit;
            let items: Vec<_> =
                matching.into_iter().take(limit).map(|it| IncidentView::new(engine, it, false)).collect();
            let next = if more { items.last().map(|last| last.id.clone()) } else { None };
            Page { items, next }
        })
        .await?;
    Ok(Json(page))
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
    body: Result<Json<By>, JsonRejection>,
) -> Result<Json<IncidentView>, Problem> {
    let by = who(changer, body)?;
    change(&api, id, |incident| Event::Acknowledge { incident, by: by.into(), until: None }).await
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
    api.core.send(event(id.as_str().into())).await?;
    find(api, &id).await.map(Json)
}

async fn find(api: &Api, id: &str) -> Result<IncidentView, Problem> {
    let wanted = IncidentId::from(id);
    let found = api
        .core
        .ask(move |engine| engine.incident(&wanted).map(|it| IncidentView::new(engine, it, true)))
        .await?;
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no incident {id}")))
}

/// The token's name is whom a change is written down for; without a token people say who they are.
fn who(changer: Changer, body: Result<Json<By>, JsonRejection>) -> Result<String, Problem> {
    let Json(said) = body.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    signed(changer, said.by)
}

/// The name that a change is signed with.
pub(super) fn signed(changer: Changer, said: Option<String>) -> Result<String, Problem> {
    let name = changer.name.or(said).unwrap_or_else(|| "api".into());
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() || name.chars().count() > LONGEST_NAME {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "`by` must be a name of 1 to 100 characters"));
    }
    Ok(name)
}
