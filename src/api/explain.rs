//! Explanations over HTTP: why somebody was, or was not, told of an alert, an incident, or by one notice. Owns the wire
//! form; the chain of reasons is the engine's.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::explanation::Explained;
use crate::domain::name::{IncidentId, NoticeId};
use crate::engine::Engine;

use super::problem::Problem;
use super::{Api, alerts};

/// The chain of reasons behind something.
#[derive(Debug, Serialize)]
pub(super) struct ExplanationView {
    id: String,
    /// `incident`, `alert` or `notice`.
    kind: &'static str,
    /// The links of the chain, in the order in which the daemon decides.
    items: Vec<LinkView>,
    next: Option<String>,
}

/// A link of the chain.
#[derive(Debug, Serialize)]
struct LinkView {
    at: Option<Timestamp>,
    reason: &'static str,
    text: String,
}

/// Explains whatever has this id: an incident's number, an alert's id from the list of alerts, a notice's id from the log.
pub(super) async fn explain(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<ExplanationView>, Problem> {
    let wanted = id.clone();
    let found = api.core.peek(move |engine| chain(engine, &wanted, clock::now())).await?;
    let (kind, chain) = found.ok_or_else(|| {
        let detail = format!("there is no incident, no alert and no notice {id}");
        Problem::new(StatusCode::NOT_FOUND, detail)
    })?;
    let items = chain.into_iter().map(|link| LinkView {
        at: link.at,
        reason: link.reason.as_str(),
        text: link.reason.to_string(),
    });
    Ok(Json(ExplanationView { id, kind, items: items.collect(), next: None }))
}

fn chain(engine: &Engine, id: &str, now: Timestamp) -> Option<(&'static str, Vec<Explained>)> {
    let incident = IncidentId::from(id);
    if engine.incident(&incident).is_some() {
        return Some(("incident", engine.explain_incident(&incident, now)));
    }
    if let Some(key) = alerts::find(engine, id, now) {
        return Some(("alert", engine.explain_alert(&key, now)));
    }
    let chain = engine.explain_notice(&NoticeId::from(id), now);
    (!chain.is_empty()).then_some(("notice", chain))
}
