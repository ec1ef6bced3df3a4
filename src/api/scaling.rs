//! Scaling over HTTP: the targets with their cooldowns, what is held and why, and the last actions; a person's pause of
//! a target, and its end.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::core::clock;
use crate::domain::name::TargetId;
use crate::domain::scaling::PauseOrder;
use crate::engine::event::Event;

use super::Api;
use super::guard::Changer;
use super::incidents::{By, ends, said, signed};
use super::problem::Problem;
use super::target::TargetView;
use super::view::Page;

/// The longest reason, in characters.
const LONGEST_REASON: usize = 1_000;

/// Who pauses a target, why and for how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pausing {
    by: Option<String>,
    reason: String,
    /// Until somebody resumes where nothing is said.
    #[serde(rename = "for")]
    lasts: Option<String>,
}

/// A target's place in a path: namespace, kind and name.
type Place = (String, String, String);

pub(super) async fn targets(State(api): State<Api>) -> Result<Json<Page<TargetView>>, Problem> {
    let items = api
        .core
        .peek(|engine| {
            let targets = engine.plan().rules.policy.iter().flat_map(|policy| &policy.targets);
            targets.map(|target| TargetView::new(engine, target)).collect()
        })
        .await?;
    Ok(Json(Page { items, next: None }))
}

pub(super) async fn pause(
    State(api): State<Api>,
    changer: Changer,
    Path(place): Path<Place>,
    body: Result<Json<Pausing>, JsonRejection>,
) -> Result<Json<TargetView>, Problem> {
    let Pausing { by, reason, lasts } = said(body)?;
    let until = lasts.as_deref().map(ends).transpose()?;
    let by = signed(changer, by)?.into();
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        let detail = format!("`reason` must have 1 to {LONGEST_REASON} characters");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let order = PauseOrder { by, reason: reason.into(), since: clock::now(), until };
    change(&api, place, |target| Event::PauseScaling { target, order }).await
}

pub(super) async fn resume(
    State(api): State<Api>,
    changer: Changer,
    Path(place): Path<Place>,
    body: Result<Json<By>, JsonRejection>,
) -> Result<Json<TargetView>, Problem> {
    let by = signed(changer, said(body)?.by)?.into();
    change(&api, place, |target| Event::ResumeScaling { target, by }).await
}

async fn change(
    api: &Api,
    (namespace, kind, name): Place,
    event: impl FnOnce(TargetId) -> Event,
) -> Result<Json<TargetView>, Problem> {
    let target = TargetId { namespace: namespace.into(), kind: kind.into(), name: name.into() };
    find(api, &target).await?;
    // Looking does not wait for its turn, so what was done has to be done by then.
    api.core.confirm(event(target.clone())).await?;
    find(api, &target).await.map(Json)
}

async fn find(api: &Api, wanted: &TargetId) -> Result<TargetView, Problem> {
    let id = wanted.clone();
    let found = api
        .core
        .ask(move |engine| {
            let mut targets = engine.plan().rules.policy.iter().flat_map(|policy| &policy.targets);
            targets.find(|target| target.id == id).map(|target| TargetView::new(engine, target))
        })
        .await?;
    let detail = || format!("there is no target {} {wanted}", wanted.kind);
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, detail()))
}
