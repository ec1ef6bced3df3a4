//! The guard: who may change something. Owns the checks that every change passes; reading is free.
//!
//! Loopback is not "nobody": a web page in an operator's browser reaches it too. So a change needs a JSON body (which
//! a foreign page cannot send without asking first), no foreign `Origin`, a `Host` that is ours (a rebound name is
//! not), and, beyond loopback or where tokens are configured, a token.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};

use super::Api;
use super::problem::Problem;

/// Proof that a request may change something; holds the name of whoever asks.
#[derive(Debug)]
pub(super) struct Changer {
    /// The token's name, where a token was shown.
    pub(super) name: Option<String>,
}

impl FromRequestParts<Api> for Changer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let headers = &parts.headers;
        if text(headers, header::CONTENT_TYPE).is_none_or(|kind| !kind.starts_with("application/json")) {
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
            let name = shown.and_then(|shown| owner(tokens.expose_secret(), shown));
            return match name {
                Some(name) => Ok(Self { name: Some(name) }),
                None => Err(Problem::new(StatusCode::UNAUTHORIZED, "a change needs a valid bearer token")),
            };
        }
        if !api.listen.ip().is_loopback() || !is_loopback_host(host) {
            let detail = "without `api.tokens_file` only requests to a loopback address may change anything";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        }
        Ok(Self { name: None })
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

/// Whose token it is: the file has a line `name token` for each. Every line is compared whole, so that the time taken
/// tells nothing about which was close.
pub(super) fn owner(tokens: &str, shown: &str) -> Option<String> {
    let mut found = None;
    for line in tokens.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let Some((name, token)) = line.trim().split_once(char::is_whitespace)
            && is_same(token.trim(), shown)
        {
            found = Some(name.to_owned());
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
        let file = "# people\nana s3cr3t-of-ana\nci   s3cr3t-of-ci\n";
        assert_eq!(owner(file, "s3cr3t-of-ci").as_deref(), Some("ci"));
        for wrong in ["", "s3cr3t", "s3cr3t-of-cI", "people"] {
            assert_eq!(owner(file, wrong), None, "{wrong}");
        }
    }
}
