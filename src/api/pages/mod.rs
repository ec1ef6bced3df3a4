//! Pages: what a person sees who follows a notice's link at night, and what they can do there. Owns the routes of the
//! pages; decides nothing itself, and whatever a form asks for goes through the handlers of the API, so that both refuse
//! the same.
//!
//! Server-rendered: everything works without a script, and the script only keeps what is shown fresh.

mod act;
mod alerts;
mod assets;
mod capacity;
mod door;
mod explain;
mod frame;
mod incidents;
mod live;
mod overview;
mod rules;
mod scaling;
mod sign_in;
mod silences;
mod sorry;
mod template;
mod tenants;

use axum::Router;
use axum::routing::{get, post};

use super::Api;

/// The routes of the pages.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(overview::page))
        .route("/style.css", get(assets::style))
        .route("/app.js", get(assets::script))
        .route("/icon.svg", get(assets::icon))
        .route("/live", get(live::stream))
        .route("/sign-in", get(sign_in::page).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/incidents", get(incidents::list))
        .route("/incidents/{id}", get(incidents::one))
        .route("/incidents/{id}/explain", get(explain::incident))
        .route("/incidents/{id}/acknowledge", post(act::acknowledge))
        .route("/incidents/{id}/unacknowledge", post(act::unacknowledge))
        .route("/incidents/{id}/resolve", post(act::resolve))
        .route("/incidents/{id}/notes", post(act::note))
        .route("/incidents/{id}/checklist/{step}", post(act::tick))
        .route("/incidents/{id}/silence", post(act::silence))
        .route("/alerts", get(alerts::list))
        .route("/alerts/explain", get(explain::alert))
        .route("/notices/{id}/explain", get(explain::notice))
        .route("/rules", get(rules::page))
        .route("/reload", post(act::reload))
        .route("/scaling", get(scaling::page))
        .route("/scaling/{namespace}/{kind}/{name}/pause", post(act::pause))
        .route("/scaling/{namespace}/{kind}/{name}/resume", post(act::resume))
        .route("/capacity", get(capacity::page))
        .route("/capacity/outlook.png", get(capacity::outlook))
        .route("/tenants", get(tenants::list))
        .route("/tenants/{id}", get(tenants::one))
        .route("/silences", get(silences::page).post(silences::put))
        .route("/silences/{id}/expire", post(silences::expire))
}
