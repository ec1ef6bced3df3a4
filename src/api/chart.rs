//! The chart of an incident as a PNG, for its page and for the links in notices. Owns the route and how long a reader
//! keeps the picture; who draws it is handed in.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::core::clock;
use crate::domain::name::IncidentId;
use crate::domain::notice::Facts;

use super::Api;
use super::problem::Problem;

/// How long a reader may keep the picture without asking again.
const KEPT: &str = "private, max-age=15";

/// Draws the chart of an incident: a PNG, or nothing where there are no values. It is bounded in time and never fails.
pub type DrawChart =
    Arc<dyn Fn(Facts) -> Pin<Box<dyn Future<Output = Option<Arc<[u8]>>> + Send>> + Send + Sync>;

/// For an API over which nothing is drawn.
pub fn nothing_to_draw() -> DrawChart {
    Arc::new(|_| Box::pin(std::future::ready(None)))
}

pub(super) async fn png(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    let wanted = IncidentId::from(id.as_str());
    let facts = api.core.peek(move |engine| engine.facts_of(&wanted, clock::now())).await?;
    let missing = |detail: String| Problem::new(StatusCode::NOT_FOUND, detail);
    let facts = facts.ok_or_else(|| missing(format!("there is no incident {id}")))?;
    let picture = (api.draw_chart)(facts).await;
    let picture = picture.ok_or_else(|| missing(format!("there is nothing to draw for {id}")))?;
    let headers = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, KEPT)];
    Ok((headers, picture.to_vec()).into_response())
}
