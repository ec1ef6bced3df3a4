//! Sending to PagerDuty: the events of a notice, each with the routing key it needs. Owns how far a notice of several
//! events got, so that a rate limit in the middle does not start it over.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::config::settings::PagerDutySettings;
use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::name::NoticeId;

use super::pagerduty;
use super::render::Message;
use super::routing_key::{OpenedWith, RoutingKeys};
use super::status::{Post, post};

/// One integration.
#[derive(Debug)]
pub struct Pager {
    settings: PagerDutySettings,
    progress: Mutex<Progress>,
}

/// What became of the events of notices that are not through yet, by dedup key. Lost at a restart, which repeats them:
/// each states its whole meaning.
type Progress = BTreeMap<NoticeId, BTreeMap<String, Attempt>>;

/// Of how many notices it is remembered; beyond it all is forgotten and some events are repeated.
const MOST_NOTICES: usize = 1_000;

impl Pager {
    /// An integration as it is configured.
    pub fn new(settings: PagerDutySettings) -> Self {
        Self { settings, progress: Mutex::default() }
    }

    /// Sends what has not been taken yet of a notice's events. The message is made for plain text.
    pub async fn deliver(&self, client: &reqwest::Client, message: &Message<'_>) -> Attempt {
        let events = pagerduty::events(message);
        if events.is_empty() {
            return Attempt::NothingToSend;
        }
        let secret = match self.settings.routing_key.read() {
            Ok(secret) => secret,
            Err(error) => return not_ready(&error.to_string()),
        };
        let keys = RoutingKeys::of(&secret);
        let Some(newest) = keys.newest() else { return not_ready("there is no routing key") };
        let notice = message.notice;
        let url = pagerduty::url(&self.settings.url);
        let target = Post { url: &url, headers: &[], secrets: keys.all() };
        let mut opened = OpenedWith::read(notice.receipt.as_ref());
        let mut receipt = None;
        let mut outcome = None;
        for event in &events {
            let dedup_key = text(event, "dedup_key");
            let page = pagerduty::page(dedup_key);
            let is_trigger = text(event, "event_action") == "trigger";
            let key = match opened.key_of(page).filter(|_| !is_trigger) {
                Some(known) => keys.find(known),
                None => Some(newest),
            };
            let attempt = match (self.ended(&notice.id, dedup_key), key) {
                (Some(ended), _) => ended,
                (None, None) => gone(event),
                (None, Some(key)) => {
                    // Its parts are strings, numbers and maps of strings, which always encode.
                    let body =
                        serde_json::to_vec(&pagerduty::with_routing_key(event, key)).unwrap_or_default();
                    match post(client, target, body).await {
                        Ok(answer) => pagerduty::judge(&answer),
                        Err(attempt) => attempt,
                    }
                }
            };
            match &attempt {
                // Until this one got through, the others have to wait: it may be the same reason for all.
                Attempt::Failed { .. } => return attempt,
                Attempt::Refused { .. } => {
                    outcome.get_or_insert(attempt.clone());
                }
                Attempt::Accepted { .. } | Attempt::NothingToSend if is_trigger => {
                    opened.note(page, newest);
                    receipt = Some(opened.receipt());
                }
                Attempt::Accepted { .. } | Attempt::NothingToSend => {}
            }
            self.note(&notice.id, dedup_key, attempt);
        }
        self.progress().remove(&notice.id);
        outcome.unwrap_or(Attempt::Accepted { receipt })
    }

    fn ended(&self, notice: &NoticeId, dedup_key: &str) -> Option<Attempt> {
        self.progress().get(notice)?.get(dedup_key).cloned()
    }

    fn note(&self, notice: &NoticeId, dedup_key: &str, attempt: Attempt) {
        let mut progress = self.progress();
        if progress.len() >= MOST_NOTICES && !progress.contains_key(notice) {
            progress.clear();
        }
        progress.entry(notice.clone()).or_default().insert(dedup_key.to_owned(), attempt);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key that opened an alert was taken out of the file, and no other one reaches it.
fn gone(event: &Value) -> Attempt {
    let what = if text(event, "event_action") == "resolve" { "close" } else { "acknowledge" };
    let detail = format!("could not {what} in PagerDuty: the routing key that opened it is gone");
    Attempt::Refused { reason: DeliveryReason::NotFound, detail: detail.into() }
}

/// A secret's file may appear, so this is not the end.
fn not_ready(detail: &str) -> Attempt {
    Attempt::Failed { reason: DeliveryReason::NotRendered, detail: detail.into(), retry_after: None }
}

fn text<'e>(event: &'e Value, name: &str) -> &'e str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}
