//! Alertmanager's API, version 2: what its clients (amtool, karma, Grafana, a Prometheus or vmalert that hands alerts in)
//! read and write, mapped on the alerts, incidents and silences here. Owns the wire form of
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>; decides nothing.

mod alerts;
mod groups;
mod listing;
mod silences;
mod status;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::Api;
use super::problem::Problem;
use crate::core::Stopped;

/// The largest batch of alerts, in bytes: Prometheus sends up to 256 alerts at a time, with all that is said of them.
const LARGEST_BATCH: usize = 8 * 1024 * 1024;

/// All routes below `/api/v2`.
pub(super) fn routes() -> Router<Api> {
    let no_store = HeaderValue::from_static("no-store");
    let cached = HeaderName::from_static("cache-control");
    Router::new()
        .route("/api/v2/alerts", get(alerts::list).post(alerts::post))
        .route("/api/v2/alerts/groups", get(groups::list))
        .route("/api/v2/silences", get(silences::list).post(silences::post))
        .route("/api/v2/silence/{id}", get(silences::one).delete(silences::expire))
        .route("/api/v2/receivers", get(status::receivers))
        .route("/api/v2/status", get(status::status))
        // The layer says how much is read, axum's own limit of 2 MB would say less.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(LARGEST_BATCH))
        .layer(SetResponseHeaderLayer::overriding(cached, no_store))
}

/// An error as Alertmanager's clients read it: a JSON text. What is wrong with the request's token or origin is said so,
/// too.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    detail: String,
}

impl Refused {
    fn bad(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    fn unknown(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let (status, detail) = problem.into_parts();
        Self { status, detail }
    }
}

impl From<Stopped> for Refused {
    fn from(stopped: Stopped) -> Self {
        Problem::from(stopped).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.detail)).into_response();
        let kind = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
