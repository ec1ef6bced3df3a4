//! What people do on a page: each form goes through the API's own handler, then leads back to the page it stood on.
//! Owns the forms' fields; what is valid says the API.

use axum::Json;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::problem::Problem;
use crate::api::{Api, configuration, incidents, scaling, silences};
use crate::domain::name::IncidentId;

use super::door::Actor;
use super::sorry::Sorry;

type Place = (String, String, String);

#[derive(Debug, Deserialize)]
pub(super) struct Noting {
    #[serde(default)]
    text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ticking {
    #[serde(default)]
    done: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Lasting {
    #[serde(rename = "for", default)]
    lasts: String,
    #[serde(default)]
    comment: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pausing {
    #[serde(rename = "for", default)]
    lasts: String,
    #[serde(default)]
    reason: String,
}

pub(super) async fn acknowledge(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
) -> Result<Redirect, Sorry> {
    let _ = incidents::acknowledge(State(api.clone()), who, Path(id.clone()), body(json!({}))?).await?;
    back_to_incident(&api, &id, "acknowledged").await
}

pub(super) async fn unacknowledge(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
) -> Result<Redirect, Sorry> {
    let _ = incidents::unacknowledge(State(api.clone()), who, Path(id.clone()), body(json!({}))?).await?;
    back_to_incident(&api, &id, "unacknowledged").await
}

pub(super) async fn resolve(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
) -> Result<Redirect, Sorry> {
    let _ = incidents::resolve(State(api.clone()), who, Path(id.clone()), body(json!({}))?).await?;
    back_to_incident(&api, &id, "resolved").await
}

pub(super) async fn note(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
    Form(said): Form<Noting>,
) -> Result<Redirect, Sorry> {
    let body = body(json!({"text": said.text}))?;
    let _ = incidents::note(State(api.clone()), who, Path(id.clone()), body).await?;
    back_to_incident(&api, &id, "noted").await
}

pub(super) async fn tick(
    State(api): State<Api>,
    Actor(who): Actor,
    Path((id, step)): Path<(String, usize)>,
    Form(said): Form<Ticking>,
) -> Result<Redirect, Sorry> {
    let body = body(json!({"done": said.done != "no"}))?;
    let _ = incidents::check(State(api.clone()), who, Path((id.clone(), step)), body).await?;
    back_to_incident(&api, &id, "ticked").await
}

/// Silences what an incident is about.
pub(super) async fn silence(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(id): Path<String>,
    Form(said): Form<Lasting>,
) -> Result<Redirect, Sorry> {
    let wanted = IncidentId::from(id.as_str());
    let found = api
        .core
        .ask(move |engine| {
            let matchers = engine.incident(&wanted)?.silence_matchers();
            Some(matchers.map(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>()))
        })
        .await?;
    let missing = || Sorry::new(StatusCode::NOT_FOUND, format!("there is no incident {id}"));
    let matchers = found.ok_or_else(missing)?.ok_or_else(|| {
        let detail = "the incident has no label to hold on to, so a silence of it would hold back everything";
        Sorry::new(StatusCode::CONFLICT, detail)
    })?;
    let comment = if said.comment.trim().is_empty() { format!("{id}, by its page") } else { said.comment };
    let asked = json!({"matchers": matchers, "for": said.lasts, "comment": comment});
    let _ = silences::put(State(api.clone()), who, body(asked)?).await?;
    back_to_incident(&api, &id, "silenced").await
}

pub(super) async fn pause(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(place): Path<Place>,
    Form(said): Form<Pausing>,
) -> Result<Redirect, Sorry> {
    let mut asked = json!({"reason": said.reason});
    if !said.lasts.is_empty() {
        asked["for"] = said.lasts.into();
    }
    let _ = scaling::pause(State(api.clone()), who, Path(place), body(asked)?).await?;
    back(&api, "/scaling?said=paused".to_owned()).await
}

pub(super) async fn resume(
    State(api): State<Api>,
    Actor(who): Actor,
    Path(place): Path<Place>,
) -> Result<Redirect, Sorry> {
    let _ = scaling::resume(State(api.clone()), who, Path(place), body(json!({}))?).await?;
    back(&api, "/scaling?said=resumed".to_owned()).await
}

pub(super) async fn reload(State(api): State<Api>, Actor(who): Actor) -> Result<Redirect, Sorry> {
    configuration::reload(State(api.clone()), who).await?;
    back(&api, "/rules?said=reloading".to_owned()).await
}

/// A body as the API's handlers take it.
pub(super) fn body<T: DeserializeOwned>(
    asked: Value,
) -> Result<Result<Json<T>, axum::extract::rejection::JsonRejection>, Sorry> {
    let asked = serde_json::from_value(asked)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Ok(Json(asked)))
}

async fn back_to_incident(api: &Api, id: &str, said: &str) -> Result<Redirect, Sorry> {
    // The id was found, so it is one of ours and has no character that means something in a path.
    back(api, format!("/incidents/{id}?said={said}")).await
}

/// Leads back once what was asked for is in what the next page shows.
pub(super) async fn back(api: &Api, path: String) -> Result<Redirect, Sorry> {
    api.core.ask(|_| ()).await?;
    Ok(Redirect::to(&path))
}
