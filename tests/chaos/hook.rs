//! A receiver of webhooks that keeps of each only what the oracle needs, takes its time, and knows how many are being
//! read right now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{Value, json};
use world::fault::Faults;
use world::journal::Journal;
use world::loopback::{ANY_PORT, Connection, Loopback};

use super::patience::lasting;

/// The subject of incidents about the daemon itself.
pub(crate) const OWN: &str = "runbookd";

/// What one webhook said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Said {
    /// The subject: the service; of an incident about the daemon itself also its type.
    pub(crate) service: String,
    /// The incident's number.
    pub(crate) incident: String,
    /// The incident's identity.
    pub(crate) uid: String,
    /// The revision.
    pub(crate) revision: u64,
    /// The event's word.
    pub(crate) event: String,
    /// Whether the header that lets receivers recognise a repeat holds the notice's id.
    pub(crate) keyed: bool,
}

/// A running receiver.
pub(crate) struct Hook {
    /// What goes wrong.
    pub(crate) faults: Faults,
    /// What came.
    pub(crate) journal: Journal<Said>,
    /// The port it listens on.
    pub(crate) door: Loopback,
    desk: Desk,
}

#[derive(Clone)]
struct Desk {
    faults: Faults,
    journal: Journal<Said>,
    reading: Arc<AtomicUsize>,
    came: Arc<AtomicU64>,
    slowest: Duration,
}

impl Hook {
    /// Starts on a free port; each answer takes up to `slowest`.
    pub(crate) async fn start(slowest: Duration) -> anyhow::Result<Self> {
        let desk = Desk {
            faults: Faults::default(),
            journal: Journal::default(),
            reading: Arc::default(),
            came: Arc::default(),
            slowest,
        };
        let router = Router::new().fallback(any(take)).with_state(desk.clone());
        Ok(Self {
            faults: desk.faults.clone(),
            journal: desk.journal.clone(),
            door: Loopback::start(ANY_PORT, router).await?,
            desk,
        })
    }

    /// How many were read and not yet answered.
    pub(crate) fn in_flight(&self) -> usize {
        self.desk.reading.load(Ordering::SeqCst)
    }
}

/// One that is being read; also when its sender goes away first.
struct Reading(Arc<AtomicUsize>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn take(
    State(desk): State<Desk>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: axum::http::HeaderMap,
    raw: String,
) -> Response {
    desk.reading.fetch_add(1, Ordering::SeqCst);
    let _reading = Reading(desk.reading.clone());
    let body: Value = serde_json::from_str(&raw).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let incident = &body["incident"];
    let subject = text(&incident["subject"]);
    let own = format!("{OWN} {}", text(&incident["type"]));
    let receipt = desk.journal.receive(Said {
        service: if subject == OWN { own } else { subject },
        incident: text(&incident["id"]),
        uid: text(&incident["uid"]),
        revision: body["revision"].as_u64().unwrap_or_default(),
        event: text(&body["event"]),
        keyed: headers.get("idempotency-key").is_some_and(|key| body["notice"] == key.to_str().unwrap_or("")),
    });
    let fault = desk.faults.draw();
    // Spread evenly without a generator of its own: the golden ratio's multiples.
    let turn = desk.came.fetch_add(1, Ordering::SeqCst).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    let turn = u32::try_from(turn).unwrap_or_default();
    if !desk.slowest.is_zero() {
        lasting(desk.slowest * turn / 1_024).await;
    }
    let limited = || (axum::http::StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response();
    let response = fault.refusal(limited).unwrap_or_else(|| Json(json!({})).into_response());
    connection.deliver(fault, receipt, response).await
}
