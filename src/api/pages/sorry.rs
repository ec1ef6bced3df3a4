//! Sorry: the page that says what went wrong. It keeps the way on and names the cause.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;

use crate::api::problem::Problem;
use crate::core::Stopped;

use super::door::Visitor;
use super::frame::plain;

/// An error, as a page.
#[derive(Debug, Serialize)]
pub(super) struct Sorry {
    status: u16,
    title: &'static str,
    detail: String,
    /// Whether signing in may help.
    sign_in: bool,
}

impl Sorry {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = match status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::UNAUTHORIZED => "Who are you?",
            StatusCode::FORBIDDEN => "Refused",
            StatusCode::SERVICE_UNAVAILABLE => "Not now",
            status if status.is_client_error() => "That could not be taken",
            _ => "Something failed",
        };
        Self {
            status: status.as_u16(),
            title,
            detail: detail.into(),
            sign_in: status == StatusCode::UNAUTHORIZED,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The words of the cause.
    pub(super) fn into_detail(self) -> String {
        self.detail
    }
}

impl From<Problem> for Sorry {
    fn from(problem: Problem) -> Self {
        let (status, detail) = problem.into_parts();
        Self::new(status, detail)
    }
}

impl From<Stopped> for Sorry {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        if self.sign_in {
            return Redirect::to("/sign-in?said=sign_in").into_response();
        }
        plain(self.status(), "sorry.html", "", Visitor::default(), self)
    }
}
