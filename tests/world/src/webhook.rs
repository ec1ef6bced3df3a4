//! A sink for webhooks: takes JSON on any path and writes down what came with it.

use std::{collections::BTreeMap, net::SocketAddr};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, Uri, header::RETRY_AFTER},
    response::IntoResponse as _,
    routing::any,
};
use serde_json::{Value, json};

use crate::{
    fault::Faults,
    journal::Journal,
    loopback::{ANY_PORT, Connection, Loopback},
};

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// Path and query.
    pub path: String,
    /// Headers with names in lower case; the values of a repeated one are joined by a comma.
    pub headers: BTreeMap<String, String>,
    /// The body; a string if it was not JSON.
    pub body: Value,
    /// The body's bytes, which a signature is computed over.
    pub raw: Vec<u8>,
}

impl Hook {
    /// A header's value; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A running sink: 200 for JSON, 400 for anything else.
#[derive(Debug)]
pub struct Webhook {
    /// What goes wrong.
    pub faults: Faults,
    /// What came.
    pub journal: Journal<Hook>,
    /// The port it listens on.
    pub door: Loopback,
}

impl Webhook {
    /// Starts on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_at(ANY_PORT).await
    }

    /// Starts at this address.
    ///
    /// # Errors
    /// If it cannot be bound.
    pub async fn start_at(address: SocketAddr) -> anyhow::Result<Self> {
        let sink = Sink { faults: Faults::default(), journal: Journal::default() };
        let router = Router::new().fallback(any(take)).with_state(sink.clone());
        Ok(Self { faults: sink.faults, journal: sink.journal, door: Loopback::start(address, router).await? })
    }

    /// A URL that it takes webhooks at.
    pub fn url(&self) -> String {
        format!("{}/hook", self.door.url())
    }
}

#[derive(Clone)]
struct Sink {
    faults: Faults,
    journal: Journal<Hook>,
}

async fn take(
    State(sink): State<Sink>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    uri: Uri,
    headers: HeaderMap,
    raw: Bytes,
) -> axum::response::Response {
    let parsed: Result<Value, _> = serde_json::from_slice(&raw);
    let response = match &parsed {
        Ok(_) => Json(json!({})).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let mut named = BTreeMap::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        named.insert(name.to_string(), values.join(", "));
    }
    let receipt = sink.journal.receive(Hook {
        path: uri.to_string(),
        headers: named,
        body: parsed.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&raw).into_owned())),
        raw: raw.to_vec(),
    });
    let fault = sink.faults.draw();
    let limited = || (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response();
    let response = fault.refusal(limited).unwrap_or(response);
    connection.deliver(fault, receipt, response).await
}
