//! Prometheus' API as far as it is about rules and alerts: what Grafana and others read to show them. Owns the wire form of
//! `/api/v1/rules`, `/api/v1/alerts` and `/api/v1/status/buildinfo`; answers no query.

mod alerts;
mod rules;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::Api;
use crate::core::Stopped;
use crate::domain::Timestamp;

/// All routes below `/api/v1`.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/rules", get(rules::list))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/status/buildinfo", get(build_info))
}

/// An answer with its data.
#[derive(Debug, Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
}

fn success<T>(data: T) -> Json<Success<T>> {
    Json(Success { status: "success", data })
}

/// An error as Prometheus' clients read it.
#[derive(Debug, Serialize)]
struct Failure {
    #[serde(skip)]
    code: StatusCode,
    status: &'static str,
    #[serde(rename = "errorType")]
    kind: &'static str,
    error: String,
}

impl Failure {
    fn bad(error: impl Into<String>) -> Self {
        Self { code: StatusCode::BAD_REQUEST, status: "error", kind: "bad_data", error: error.into() }
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        let error = stopped.to_string();
        Self { code: StatusCode::SERVICE_UNAVAILABLE, status: "error", kind: "unavailable", error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.code, Json(self)).into_response()
    }
}

/// What runs here: clients choose by the version what they may ask for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: &'static str,
    revision: &'static str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
    application: &'static str,
}

async fn build_info() -> Json<Success<BuildInfo>> {
    success(BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        revision: "",
        branch: "",
        build_user: "",
        build_date: "",
        go_version: "",
        application: "runbookd",
    })
}

/// A time as Prometheus writes it.
fn time(at: Timestamp) -> String {
    at.to_string()
}

/// A number as Prometheus writes the value of an alert: `8.1e-01`.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        let cases = [
            (0.81, "8.1e-01"),
            (1.0, "1e+00"),
            (0.0, "0e+00"),
            (-1_234.5, "-1.2345e+03"),
            (1e100, "1e+100"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, wanted) in cases {
            assert_eq!(number(value), wanted);
        }
    }
}
