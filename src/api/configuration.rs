//! Configuration over HTTP: how the last reload went, and asking for one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Api;
use super::guard::Changer;
use super::problem::Problem;

/// How the last reload went.
#[derive(Debug, Serialize)]
pub(super) struct StatusView {
    last_reload_successful: bool,
    last_reload_at: String,
    diagnostics: String,
}

pub(super) async fn status(State(api): State<Api>) -> Result<Json<StatusView>, Problem> {
    let status = api.reload.lock().map(|status| status.clone()).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the state of the last reload is lost")
    })?;
    Ok(Json(StatusView {
        last_reload_successful: status.taken,
        last_reload_at: status.at.to_string(),
        diagnostics: status.diagnostics.to_string(),
    }))
}

pub(super) async fn reload(State(api): State<Api>, changer: Changer) -> Result<StatusCode, Problem> {
    changer.as_admin()?;
    // A full queue already holds a request.
    let _ = api.reload_now.try_send(());
    Ok(StatusCode::ACCEPTED)
}
