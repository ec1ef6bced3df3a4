//! The guard: who may change something. Owns the checks that every change passes; reading is free.
//!
//! Loopback is not "nobody": a web page in an operator's browser reaches it too. So a change needs a JSON body (which
//! a foreign page cannot send without asking first), no foreign `Origin`, a `Host` that is ours (a rebound name is
//! not), and, beyond loopback or where tokens are configured, a token.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};

use super::Api;
use super::problem::Problem;

/// What a token's owner may do; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Read.
    Viewer,
    /// Work on incidents, silence, pause scaling, hand in alerts.
    Responder,
    /// Everything.
    Admin,
}

/// Proof that a request may change something; holds the name of whoever asks.
#[derive(Debug)]
pub(super) struct Changer {
    /// The token's name, where a token was shown.
    pub(super) name: Option<String>,
    /// What the token allows; without tokens everything.
    pub(super) role: Role,
}

impl Changer {
    /// Refuses whoever may not change how the daemon itself runs.
    pub(super) fn as_admin(&self) -> Result<(), Problem> {
        if self.role < Role::Admin {
            return Err(Problem::new(StatusCode::FORBIDDEN, "this needs a token with the role `admin`"));
        }
        Ok(())
    }
}

impl FromRequestParts<Api> for Changer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let headers = &parts.headers;
        // A foreign page cannot send DELETE without asking first either, and many clients send it without a body.
        let is_json =
            text(headers, header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"));
        if !is_json && parts.method != Method::DELETE {
            let detail = "a change needs `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let host = text(headers, header::HOST).unwrap_or_default();
        if let Some(origin) = text(headers, header::ORIGIN)
            && origin.split_once("://").is_none_or(|(_, from)| from != host)
        {
            return Err(Problem::new(StatusCode::FORBIDDEN, "a change from another origin is refused"));
        }
        if let Some(file) = &api.tokens_file {
            let tokens = std::fs::read_to_string(file).map(SecretString::from).map_err(|error| {
                let detail = format!("the file of tokens cannot be read: {error}");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            })?;
            let shown = text(headers, header::AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
            let found = shown.and_then(|shown| owner(tokens.expose_secret(), shown));
            return match found {
                Some((_, Role::Viewer)) => {
                    let detail = "this needs a token with the role `responder` or `admin`";
                    Err(Problem::new(StatusCode::FORBIDDEN, detail))
                }
                Some((name, role)) => Ok(Self { name: Some(name), role }),
                None => Err(Problem::new(StatusCode::UNAUTHORIZED, "a change needs a valid bearer token")),
            };
        }
        if !api.listen.ip().is_loopback() || !is_loopback_host(host) {
            let detail = "without `api.tokens_file` only requests to a loopback address may change anything";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        Ok(Self { name: None, role: Role::Admin })
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a `Host` header names this machine itself.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whose token it is, and what it allows: the file has a line `name token` or `name token role` for each; without a role
/// it is everything, and with a word that is none only reading. Every line is compared whole, so that the time taken tells
/// nothing about which was close.
pub(super) fn owner(tokens: &str, shown: &str) -> Option<(String, Role)> {
    let mut found = None;
    for line in tokens.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(token)) = (words.next(), words.next()) else { continue };
        let role = match (words.next(), words.next()) {
            (None | Some("admin"), None) => Role::Admin,
            (Some("responder"), None) => Role::Responder,
            _ => Role::Viewer,
        };
        if is_same(token, shown) {
            found = Some((name.to_owned(), role));
        }
    }
    found
}

fn is_same(one: &str, two: &str) -> bool {
    let differing = one.bytes().zip(two.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == two.len() && differing == 0 && !one.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_are_loopback() {
        for host in ["localhost", "localhost:9095", "127.0.0.1:9095", "127.9.9.9", "[::1]:9095", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in
            ["", "evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[2001:db8::1]", "localhost.evil"]
        {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn a_token_names_its_owner() {
        let file = "# people\nana s3cr3t-of-ana\nci   s3cr3t-of-ci\n\tbob s3cr3t-of-bob\tresponder\neve s3cr3t-of-eve viewer\n\
                    dan s3cr3t-of-dan amdin\nzoe s3cr3t-of-zoe admin";
        let roles = [
            ("ana", Role::Admin),
            ("ci", Role::Admin),
            ("bob", Role::Responder),
            ("eve", Role::Viewer),
            ("dan", Role::Viewer),
            ("zoe", Role::Admin),
        ];
        for (name, role) in roles {
            assert_eq!(owner(file, &format!("s3cr3t-of-{name}")), Some((name.to_owned(), role)));
        }
        for wrong in ["", "s3cr3t", "s3cr3t-of-cI", "people"] {
            assert_eq!(owner(file, wrong), None, "{wrong}");
        }
    }
}
