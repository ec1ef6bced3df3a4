//! PagerDuty's Events API v2: takes events at `/v2/enqueue`, refuses what the real service refuses, and keeps the
//! alerts that result, so that a test sees what an on-call engineer would have been paged for.

pub mod event;
pub mod webhook;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::{Value, json};

use self::event::{Action, Event, LARGEST_EVENT};
use crate::{
    fault::Faults,
    journal::Journal,
    loopback::{ANY_PORT, Connection, Loopback},
};

/// What has become of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// Open, and people are being paged.
    Triggered,
    /// Open, and somebody is on it.
    Acknowledged,
    /// Over.
    Resolved,
}

/// All that was said under one dedup key and routing key.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Where it stands.
    pub state: AlertState,
    /// How often it was opened: each time somebody was paged. A trigger while it is open does not count.
    pub pages: usize,
    /// Every event that had to do with it, in order.
    pub log: Vec<Value>,
}

/// A running PagerDuty.
#[derive(Debug)]
pub struct PagerDuty {
    /// What goes wrong.
    pub faults: Faults,
    /// Every event that came, refused ones too; a string where it was not JSON.
    pub journal: Journal<Value>,
    /// The port it listens on.
    pub door: Loopback,
    service: Service,
}

impl PagerDuty {
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
        let service = Service::default();
        let router = Router::new().route("/v2/enqueue", post(enqueue)).with_state(service.clone());
        Ok(Self {
            faults: service.faults.clone(),
            journal: service.journal.clone(),
            door: Loopback::start(address, router).await?,
            service,
        })
    }

    /// Where events go.
    pub fn url(&self) -> String {
        format!("{}/v2/enqueue", self.door.url())
    }

    /// The alert under a dedup key, if there ever was one; the first by routing key where several integrations use
    /// the same dedup key.
    pub fn alert(&self, dedup_key: &str) -> Option<Alert> {
        let alerts = self.service.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.iter().find(|((_, key), _)| key == dedup_key).map(|(_, alert)| alert.clone())
    }

    /// Every alert there ever was, by dedup key.
    pub fn alerts(&self) -> Vec<(String, Alert)> {
        let alerts = self.service.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        alerts.iter().map(|((_, key), alert)| (key.clone(), alert.clone())).collect()
    }

    /// The dedup keys of the alerts that are not resolved.
    pub fn open(&self) -> Vec<String> {
        let alerts = self.alerts().into_iter();
        alerts.filter(|(_, alert)| alert.state != AlertState::Resolved).map(|(key, _)| key).collect()
    }
}

/// Alerts by routing key and dedup key: an integration does not see those of another.
type Alerts = BTreeMap<(String, String), Alert>;

#[derive(Debug, Clone, Default)]
struct Service {
    faults: Faults,
    journal: Journal<Value>,
    alerts: Arc<Mutex<Alerts>>,
}

async fn enqueue(
    State(service): State<Service>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    raw: Bytes,
) -> Response {
    let parsed: Result<Value, _> = serde_json::from_slice(&raw);
    let body = parsed.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&raw).into_owned()));
    let receipt = service.journal.receive(body.clone());
    let fault = service.faults.draw();
    let response = fault.refusal(too_many).unwrap_or_else(|| {
        if raw.len() > LARGEST_EVENT {
            return refused(&[format!("Event is too large (maximum is {LARGEST_EVENT} bytes)")]);
        }
        match event::validate(&body) {
            Ok(event) => service.accept(event, body),
            Err(errors) => refused(&errors),
        }
    });
    connection.deliver(fault, receipt, response).await
}

impl Service {
    fn accept(&self, event: Event, body: Value) -> Response {
        let mut alerts = self.alerts.lock().unwrap_or_else(PoisonError::into_inner);
        let dedup_key = event.dedup_key.unwrap_or_else(|| format!("{:032x}", alerts.len() + 1));
        let key = (event.routing_key, dedup_key.clone());
        let state = alerts.get(&key).map(|alert| alert.state);
        match (event.action, state) {
            (Action::Trigger, None | Some(AlertState::Resolved)) => {
                let new = Alert { state: AlertState::Triggered, pages: 0, log: Vec::new() };
                let alert = alerts.entry(key).or_insert(new);
                alert.state = AlertState::Triggered;
                alert.pages += 1;
                alert.log.push(body);
            }
            (Action::Trigger, Some(AlertState::Triggered | AlertState::Acknowledged)) => {
                append(&mut alerts, &key, None, body);
            }
            (Action::Acknowledge, Some(AlertState::Triggered | AlertState::Acknowledged)) => {
                append(&mut alerts, &key, Some(AlertState::Acknowledged), body);
            }
            (Action::Resolve, Some(AlertState::Triggered | AlertState::Acknowledged)) => {
                append(&mut alerts, &key, Some(AlertState::Resolved), body);
            }
            // Nothing open under this key: taken, and without effect.
            (Action::Acknowledge | Action::Resolve, None | Some(AlertState::Resolved)) => {}
        }
        let answer = json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key});
        (StatusCode::ACCEPTED, Json(answer)).into_response()
    }
}

fn append(alerts: &mut Alerts, key: &(String, String), state: Option<AlertState>, body: Value) {
    if let Some(alert) = alerts.get_mut(key) {
        alert.state = state.unwrap_or(alert.state);
        alert.log.push(body);
    }
}

fn refused(errors: &[String]) -> Response {
    let answer = json!({"status": "invalid event", "message": "Event object is invalid", "errors": errors});
    (StatusCode::BAD_REQUEST, Json(answer)).into_response()
}

fn too_many() -> Response {
    let answer = json!({"status": "throttle exceeded", "message": "Event rate limit reached"});
    (StatusCode::TOO_MANY_REQUESTS, Json(answer)).into_response()
}
