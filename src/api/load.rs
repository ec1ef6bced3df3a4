//! Load: how many requests are worked on at a time. Owns the limit; what a single one may cost is said where it is served.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::problem::Problem;

/// So many requests are worked on at a time.
const MOST_AT_ONCE: usize = 256;

/// The places for requests.
#[derive(Debug, Clone)]
pub(super) struct Places(Arc<Semaphore>);

impl Places {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_AT_ONCE)))
    }
}

/// Lets a request in, or says at once that there are too many: one that waits helps nobody. Whoever looks after the daemon
/// is always let in.
pub(super) async fn admit(State(places): State<Places>, request: Request, next: Next) -> Response {
    if ["/healthz", "/readyz", "/metrics"].contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let Ok(_place) = places.0.try_acquire() else {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many requests at a time: ask again");
        let mut response = problem.into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    next.run(request).await
}
