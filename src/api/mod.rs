//! The HTTP surface: health, metrics, incidents, scaling, configuration. Owns routes, wire types and who may change
//! what; asks the core for everything it shows.

mod alertmanager;
mod alerts;
pub mod callbacks;
mod capacity;
pub mod chart;
mod configuration;
mod events;
mod explain;
mod guard;
mod health;
mod incidents;
mod load;
mod openapi;
mod pages;
mod paging;
mod problem;
mod prometheus;
mod rules;
mod scaling;
mod silences;
mod target;
mod tenants;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{get, post};
use tokio::sync::mpsc;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::config::status::ReloadStatus;
use crate::core::Core;
use crate::telemetry::metrics::Metrics;

use chart::DrawChart;
use load::Places;
use problem::Problem;

/// The largest request body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// How long a request may take.
const SLOWEST: Duration = Duration::from_secs(10);

/// What the routes need.
#[derive(Clone)]
pub struct Api {
    /// The way to the engine.
    pub core: Core,
    /// The daemon's own metrics.
    pub metrics: Arc<Metrics>,
    /// How the last reload went.
    pub reload: Arc<Mutex<ReloadStatus>>,
    /// Asks for a reload.
    pub reload_now: mpsc::Sender<()>,
    /// Whether the daemon is stopping: then it is alive and no longer ready.
    pub stopping: Arc<AtomicBool>,
    /// Where the daemon listens.
    pub listen: SocketAddr,
    /// The file of API tokens.
    pub tokens_file: Option<PathBuf>,
    /// What callbacks need of the configuration.
    pub callbacks: callbacks::Callbacks,
    /// Draws the chart of an incident.
    pub draw_chart: DrawChart,
}

impl Api {
    /// All routes.
    pub fn router(self) -> Router {
        let nothing_inline = HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        );
        Router::new()
            .route("/healthz", get(health::healthz))
            .route("/readyz", get(health::readyz))
            .route("/metrics", get(health::metrics))
            .merge(pages::routes())
            .route("/incidents/{id}/chart.png", get(chart::png))
            .route("/api/runbookd/v1/incidents", get(incidents::list))
            .route("/api/runbookd/v1/incidents/{id}", get(incidents::one))
            .route("/api/runbookd/v1/incidents/{id}/timeline", get(incidents::timeline))
            .route("/api/runbookd/v1/rules", get(rules::list))
            .route("/api/runbookd/v1/alerts", get(alerts::list))
            .route("/api/runbookd/v1/explain/{id}", get(explain::explain))
            .route("/api/runbookd/v1/incidents/{id}/acknowledge", post(incidents::acknowledge))
            .route("/api/runbookd/v1/incidents/{id}/unacknowledge", post(incidents::unacknowledge))
            .route("/api/runbookd/v1/incidents/{id}/notes", post(incidents::note))
            .route("/api/runbookd/v1/incidents/{id}/checklist/{step}", post(incidents::check))
            .route("/api/runbookd/v1/incidents/{id}/resolve", post(incidents::resolve))
            .route("/api/runbookd/v1/silences", get(silences::list).post(silences::put))
            .route("/api/runbookd/v1/silences/{id}", get(silences::one).delete(silences::expire))
            .route("/api/runbookd/v1/scaling", get(scaling::targets))
            .route("/api/runbookd/v1/scaling/{namespace}/{kind}/{name}/pause", post(scaling::pause))
            .route("/api/runbookd/v1/scaling/{namespace}/{kind}/{name}/resume", post(scaling::resume))
            .route("/api/runbookd/v1/capacity", get(capacity::capacity))
            .route("/api/runbookd/v1/tenants", get(tenants::list))
            .route("/api/runbookd/v1/tenants/{id}", get(tenants::one))
            .route("/api/runbookd/v1/config", get(configuration::status))
            .route("/api/runbookd/v1/config/reload", post(configuration::reload))
            .route("/api/runbookd/v1/events", get(events::events))
            .route("/api/runbookd/v1/openapi.json", get(openapi::document))
            .layer(RequestBodyLimitLayer::new(LARGEST_BODY))
            .merge(prometheus::routes())
            .merge(alertmanager::routes())
            .merge(callbacks::routes())
            .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is no such page") })
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, SLOWEST))
            .layer(CatchPanicLayer::new())
            .layer(from_fn_with_state(Places::new(), load::admit))
            .layer(map_response(problem::in_form))
            .layer(SetResponseHeaderLayer::overriding(
                HeaderName::from_static("content-security-policy"),
                nothing_inline,
            ))
            .layer(SetResponseHeaderLayer::overriding(
                HeaderName::from_static("x-content-type-options"),
                HeaderValue::from_static("nosniff"),
            ))
            // Not `no-referrer`: with it browsers hide where a form comes from, and forms without that are refused.
            .layer(SetResponseHeaderLayer::overriding(
                HeaderName::from_static("referrer-policy"),
                HeaderValue::from_static("same-origin"),
            ))
            .with_state(self)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
