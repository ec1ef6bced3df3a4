//! The door of the pages: who looks, and whether a form may change something. A form is not protected by its content
//! type as a JSON body is, so a change needs an `Origin` that is ours, beside what the API's guard asks for; the token
//! comes from a cookie that no other site can send.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::api::Api;
use crate::api::guard::{Changer, Role, is_loopback_host, owner};

use super::sorry::Sorry;

/// The cookie that holds the token.
pub(super) const TOKEN: &str = "runbookd_token";

/// The cookie that holds the name somebody gave, where no tokens are configured.
pub(super) const NAME: &str = "runbookd_name";

/// Who looks at a page.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Visitor {
    /// The name changes are written down for.
    name: Option<String>,
    /// Whether tokens are configured.
    tokens: bool,
    /// Whether a form would be taken.
    may_act: bool,
    /// What became of the last form: one of the words in `base.html`.
    said: Option<String>,
}

impl FromRequestParts<Api> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Self::Rejection> {
        let headers = &parts.headers;
        let said = parts.uri.query().and_then(|query| {
            query.split('&').find_map(|pair| pair.strip_prefix("said=")).map(str::to_owned)
        });
        let visitor = if api.tokens_file.is_some() {
            let known = token_owner(api, headers).ok().flatten();
            let may_act = known.as_ref().is_some_and(|(_, role)| *role >= Role::Responder);
            Self { may_act, name: known.map(|(name, _)| name), tokens: true, said }
        } else {
            let may_act = api.listen.ip().is_loopback() && is_loopback_host(&host(headers));
            Self { name: cookie(headers, NAME), tokens: false, may_act, said }
        };
        Ok(visitor)
    }
}

/// Proof that a form may change something.
#[derive(Debug)]
pub(super) struct Actor(pub(super) Changer);

impl FromRequestParts<Api> for Actor {
    type Rejection = Sorry;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Sorry> {
        let headers = &parts.headers;
        is_from_here(headers)?;
        if api.tokens_file.is_some() {
            return match token_owner(api, headers)? {
                Some((_, Role::Viewer)) => {
                    Err(Sorry::new(StatusCode::FORBIDDEN, "this token may look and change nothing"))
                }
                Some((name, role)) => Ok(Self(Changer { name: Some(name), role })),
                None => Err(Sorry::new(StatusCode::UNAUTHORIZED, "a change needs a valid token")),
            };
        }
        if !api.listen.ip().is_loopback() || !is_loopback_host(&host(headers)) {
            let detail = "without `api.tokens_file` only requests to a loopback address may change anything";
            return Err(Sorry::new(StatusCode::FORBIDDEN, detail));
        }
        let name = cookie(headers, NAME).unwrap_or_else(|| "web".to_owned());
        Ok(Self(Changer { name: Some(name), role: Role::Admin }))
    }
}

/// A form that a page of ours sent: browsers name the origin of every form, and a rebound name is not the host's.
pub(super) fn is_from_here(headers: &HeaderMap) -> Result<(), Sorry> {
    let host = host(headers);
    let origin = text(headers, header::ORIGIN).and_then(|origin| origin.split_once("://"));
    if origin.is_some_and(|(_, from)| !host.is_empty() && from == host) {
        Ok(())
    } else {
        Err(Sorry::new(StatusCode::FORBIDDEN, "a form from another site is refused"))
    }
}

/// Whose token a text is, and what it allows.
pub(super) fn owner_of(api: &Api, token: &str) -> Result<Option<(String, Role)>, Sorry> {
    let Some(file) = &api.tokens_file else { return Ok(None) };
    let tokens = std::fs::read_to_string(file).map(SecretString::from).map_err(|error| {
        let detail = format!("the file of tokens cannot be read: {error}");
        Sorry::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    Ok(owner(tokens.expose_secret(), token))
}

fn token_owner(api: &Api, headers: &HeaderMap) -> Result<Option<(String, Role)>, Sorry> {
    cookie(headers, TOKEN).map_or(Ok(None), |token| owner_of(api, &token))
}

/// A cookie's value, which is written in hexadecimal so that any text fits.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let value = all.flat_map(|it| it.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })?;
    let bytes = (0..value.len()).step_by(2).map(|at| u8::from_str_radix(value.get(at..at + 2)?, 16).ok());
    let text = String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()?;
    (!text.is_empty()).then_some(text)
}

/// The header that sets a cookie, or takes it away where there is no value.
pub(super) fn set_cookie(headers: &HeaderMap, name: &str, value: &str) -> String {
    let value = value.bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let lasts = if value.is_empty() { 0 } else { 30 * 24 * 3600 };
    let https = text(headers, header::ORIGIN).is_some_and(|origin| origin.starts_with("https://"));
    let secure = if https { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict{secure}")
}

fn host(headers: &HeaderMap) -> String {
    text(headers, header::HOST).unwrap_or_default().to_owned()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_forms_of_this_site_are_taken() {
        let cases = [
            (Some("http://localhost:9095"), Some("localhost:9095"), true),
            (Some("https://runbookd.example"), Some("runbookd.example"), true),
            (Some("https://evil.example"), Some("runbookd.example"), false),
            (Some("null"), Some("runbookd.example"), false),
            (Some("http://"), Some(""), false),
            (None, Some("runbookd.example"), false),
        ];
        for (origin, host, taken) in cases {
            let mut pairs = Vec::new();
            pairs.extend(origin.map(|it| (header::ORIGIN, it)));
            pairs.extend(host.map(|it| (header::HOST, it)));
            assert_eq!(is_from_here(&headers(&pairs)).is_ok(), taken, "{origin:?} {host:?}");
        }
    }

    #[test]
    fn a_cookie_holds_any_text() {
        for name in ["Ana", "Ana; Path=/", "Žofie", "\"'<"] {
            let set = set_cookie(&HeaderMap::new(), NAME, name);
            let pair = set.split(';').next().unwrap();
            let sent = headers(&[(header::COOKIE, &format!("other=1; {pair}"))]);
            assert_eq!(cookie(&sent, NAME).as_deref(), Some(name));
            assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
        }
        for broken in ["runbookd_name=4", "runbookd_name=zz", "runbookd_name=ff", "runbookd_name=", "é"] {
            let sent = [(header::COOKIE, broken)];
            assert_eq!(
                sent[0].1.parse::<header::HeaderValue>().ok().and_then(|_| cookie(&headers(&sent), NAME)),
                None
            );
        }
    }
}
