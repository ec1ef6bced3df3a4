//! Signing in: a token where tokens are configured, else a name, so that the timeline says who did what. Owns the form
//! and the cookies it sets.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};

use crate::api::Api;

use super::door::{NAME, TOKEN, Visitor, is_from_here, owner_of, set_cookie};
use super::frame::plain;
use super::sorry::Sorry;

/// The longest name people may give themselves, and the longest token that is looked at.
const LONGEST: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Entering {
    #[serde(default)]
    token: String,
    #[serde(default)]
    name: String,
}

#[derive(Serialize)]
struct SignIn {
    wrong: Option<String>,
}

pub(super) async fn page(visitor: Visitor) -> Response {
    plain(StatusCode::OK, "sign_in.html", "sign-in", visitor, SignIn { wrong: None })
}

pub(super) async fn enter(
    State(api): State<Api>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(said): Form<Entering>,
) -> Result<Response, Sorry> {
    is_from_here(&headers)?;
    let again = |wrong: &str| {
        let page = SignIn { wrong: Some(wrong.to_owned()) };
        Ok(plain(StatusCode::UNPROCESSABLE_ENTITY, "sign_in.html", "sign-in", visitor.clone(), page))
    };
    let (cookie, value) = if api.tokens_file.is_some() {
        let token = said.token.trim();
        if owner_of(&api, token)?.is_none() {
            return again("This token is not one of those in the file.");
        }
        (TOKEN, token)
    } else {
        let name = said.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST || name.chars().any(char::is_control) {
            return again("A name has 1 to 100 characters.");
        }
        (NAME, name)
    };
    let set = set_cookie(&headers, cookie, value);
    Ok(([(header::SET_COOKIE, set)], Redirect::to("/?said=signed_in")).into_response())
}

pub(super) async fn leave(headers: HeaderMap) -> Result<Response, Sorry> {
    is_from_here(&headers)?;
    let gone = [TOKEN, NAME].map(|name| (header::SET_COOKIE, set_cookie(&headers, name, "")));
    let mut response = Redirect::to("/?said=signed_out").into_response();
    for (name, value) in gone {
        if let Ok(value) = value.parse() {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}
