//! Callbacks: what Slack and PagerDuty send when somebody acts there. Owns the order in which one is taken: signature
//! first, then age and repetition, then what it says, then the commit, then the answer. Nothing is parsed before its
//! signature is verified over the bytes as they came.
//!
//! These routes stand beside the guard of the other changes: a signature says who asks, so they need no token, and a
//! browser cannot make one.

mod pagerduty;
mod seen;
mod signature;
mod slack;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower_http::limit::RequestBodyLimitLayer;
use tracing::{info, warn};

use crate::domain::name::{ChannelName, IncidentId};
use crate::engine::event::Event;
use crate::telemetry::metrics::CallbackLabels;

use super::Api;
use super::problem::Problem;
use seen::Seen;

/// The largest callback, in bytes: Slack sends the whole message along, percent-encoded.
const LARGEST: usize = 512 * 1024;

/// How long a callback may take: Slack waits 3 seconds, PagerDuty 5.
const WITHIN: Duration = Duration::from_millis(2_500);

/// What the routes of callbacks need from the configuration. Made by whoever has it.
#[derive(Clone)]
pub struct Callbacks {
    /// The channels that take callbacks, with their secrets as they are now.
    pub doors: Arc<dyn Fn() -> Doors + Send + Sync>,
    /// Where answers go that only the person who clicked shall see.
    pub answers: mpsc::Sender<PrivateAnswer>,
    seen: Arc<Mutex<Seen>>,
}

/// The channels that take callbacks.
#[derive(Default)]
pub struct Doors {
    /// Slack apps.
    pub slack: Vec<SlackDoor>,
    /// PagerDuty's webhook subscriptions.
    pub pagerduty: Vec<PagerDutyDoor>,
}

/// What one of them signs with.
#[derive(Default)]
pub struct Secrets {
    /// Those that could be read.
    pub read: Vec<SecretString>,
    /// Why another could not: what it signed cannot be told from a forgery.
    pub unread: Option<String>,
}

/// A Slack app.
pub struct SlackDoor {
    /// The channel it belongs to.
    pub channel: ChannelName,
    /// What it signs with.
    pub secrets: Secrets,
    /// Whether only people in `users` may act.
    pub mapped_only: bool,
    /// Who a user is, by user id.
    pub users: BTreeMap<Arc<str>, Arc<str>>,
}

/// A webhook subscription of PagerDuty.
pub struct PagerDutyDoor {
    /// The channel it belongs to.
    pub channel: ChannelName,
    /// What it signs with.
    pub secrets: Secrets,
}

/// An answer that only the person who clicked shall see.
#[derive(Debug)]
pub struct PrivateAnswer {
    /// The channel whose message was clicked.
    pub channel: ChannelName,
    /// Where Slack takes it; to be checked before anything is sent there.
    pub response_url: Option<String>,
    /// What to say.
    pub text: String,
}

impl Callbacks {
    /// Callbacks that have seen nothing yet.
    pub fn new(
        doors: impl Fn() -> Doors + Send + Sync + 'static,
        answers: mpsc::Sender<PrivateAnswer>,
    ) -> Self {
        Self { doors: Arc::new(doors), answers, seen: Arc::default() }
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").finish_non_exhaustive()
    }
}

/// What became of a callback. A closed set: it is a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is committed.
    Taken,
    /// There is nothing to do about such a thing.
    Ignored,
    /// It is about a state that is over; nothing was changed.
    Stale,
    /// Whoever acted may not.
    NotAllowed,
    /// It is rightly signed and about an incident that is not ours.
    NotOurs,
    /// The same came before and was taken.
    Duplicate,
    /// It is rightly signed and cannot be read.
    Malformed,
    /// No secret of ours made its signature.
    Forged,
    /// Its signature is right and too old, or from the future.
    TooOld,
    /// Its signature is right and was used before.
    Replayed,
    /// It cannot be committed, or checked, now.
    Unavailable,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Ignored => "ignored",
            Self::Stale => "stale",
            Self::NotAllowed => "not_allowed",
            Self::NotOurs => "not_ours",
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::TooOld => "too_old",
            Self::Replayed => "replayed",
            Self::Unavailable => "unavailable",
        }
    }

    /// 4xx only for what nobody with the secret sent: a receiver that refuses is switched off after a few refusals.
    fn status(self) -> StatusCode {
        match self {
            Self::Forged | Self::TooOld | Self::Replayed => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Taken
            | Self::Ignored
            | Self::Stale
            | Self::NotAllowed
            | Self::NotOurs
            | Self::Duplicate
            | Self::Malformed => StatusCode::OK,
        }
    }
}

/// The routes.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/runbookd/v1/callbacks/slack", post(slack::click))
        .route("/api/runbookd/v1/callbacks/pagerduty", post(pagerduty::event))
        .layer(RequestBodyLimitLayer::new(LARGEST))
}

/// Counts and logs a callback; `detail` says what it was about or what was wrong, and never repeats what is not
/// verified.
fn note(api: &Api, source: &'static str, outcome: Outcome, detail: &str) {
    let labels = CallbackLabels { source, outcome: outcome.as_str() };
    api.metrics.callbacks.get_or_create(&labels).inc();
    let outcome_word = outcome.as_str();
    match outcome {
        Outcome::Forged | Outcome::TooOld | Outcome::Replayed | Outcome::Malformed | Outcome::Unavailable => {
            warn!(source, outcome = outcome_word, detail, "callback refused");
        }
        Outcome::Taken
        | Outcome::Ignored
        | Outcome::Stale
        | Outcome::NotAllowed
        | Outcome::NotOurs
        | Outcome::Duplicate => info!(source, outcome = outcome_word, detail, "callback"),
    }
}

/// A signature that nothing here made, or that cannot be checked as long as a secret cannot be read.
fn unsigned<'s>(mut secrets: impl Iterator<Item = &'s Secrets>) -> (Outcome, String) {
    match secrets.find_map(|secrets| secrets.unread.clone()) {
        Some(why) => (Outcome::Unavailable, why),
        None => (Outcome::Forged, "no secret of ours made the signature".to_owned()),
    }
}

/// What came of something within the time that the other side waits. What is begun is not undone: where the answer
/// came too late it is committed all the same, and a repeat changes nothing.
async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(WITHIN, work).await.ok()
}

/// Commits what a person did elsewhere.
async fn commit(api: &Api, event: Event) -> Outcome {
    match api.core.confirm(event).await {
        Ok(true) => Outcome::Taken,
        Ok(false) | Err(_) => Outcome::Unavailable,
    }
}

/// Asks the engine.
async fn ask<T: Send + 'static>(
    api: &Api,
    question: impl FnOnce(&crate::engine::Engine) -> T + Send + 'static,
) -> Result<T, Outcome> {
    api.core.ask(question).await.map_err(|_| Outcome::Unavailable)
}

/// An answer in JSON.
fn answer(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

/// The plain answer to an outcome.
fn plain(outcome: Outcome) -> Response {
    match outcome.status() {
        StatusCode::UNAUTHORIZED => {
            Problem::new(StatusCode::UNAUTHORIZED, "this is not signed as it has to be").into_response()
        }
        status if status.is_success() => answer(status, json!({"outcome": outcome.as_str()})),
        status => Problem::new(status, "this cannot be committed or checked now").into_response(),
    }
}

/// A person's name as it may stand on a timeline; nothing where nothing is left of it.
fn name_of(text: &str) -> Option<Arc<str>> {
    let name: String = text.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    (!name.is_empty()).then(|| name.into())
}

/// The longest name of a person, in characters.
const LONGEST_NAME: usize = 100;

/// What a callback does to an incident.
fn done(incident: &IncidentId, what: &str, by: &str) -> String {
    format!("{what} {incident} by {by}")
}
