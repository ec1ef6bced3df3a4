//! Slack by bot token: one incident is one message, edited in place, and its thread is the timeline. Owns which calls
//! a notice is and that a repeat of one is harmless; how a message looks is `blocks`, what an answer means `call`.
//!
//! ```text
//! the opening      chat.postMessage                                   receipt "C0123456789:1795403460.000100"
//! what follows     chat.update of that message, with its whole state, then a reply in its thread
//! ```
//!
//! Whether a call whose answer was lost had its effect is looked up: every message carries its notice's id as
//! metadata, and one that is there already is adopted.

pub mod blocks;
mod call;
mod chart;
mod found;
mod private;

use std::sync::{Arc, Mutex, PoisonError};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::config::settings::SlackBotSettings;
use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::notice::{Notice, NoticeEvent, Receipt};
use crate::notify::LateChart;

use super::render::Message;
use blocks::{Reply, Words};
use call::{Api, Refusal};

pub use private::{PrivateError, answer_privately};

/// A channel of a workspace that a bot posts to.
#[derive(Debug)]
pub struct SlackBot {
    settings: SlackBotSettings,
    /// The channel's id, once a call has told it: posting knows a name, everything else an id alone.
    channel_id: Mutex<Option<Arc<str>>>,
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    channel: Arc<str>,
    ts: Arc<str>,
}

impl Place {
    fn of(receipt: &Receipt) -> Option<Self> {
        let (channel, ts) = receipt.0.split_once(':')?;
        (!channel.is_empty() && !ts.is_empty()).then(|| Self { channel: channel.into(), ts: ts.into() })
    }

    fn receipt(&self) -> Receipt {
        Receipt(format!("{}:{}", self.channel, self.ts).into())
    }
}

impl SlackBot {
    /// A bot as it is configured; asks nothing yet.
    pub fn new(settings: SlackBotSettings) -> Self {
        let id = is_id(&settings.channel).then(|| settings.channel.clone());
        Self { settings, channel_id: Mutex::new(id) }
    }

    /// As it is configured.
    pub fn settings(&self) -> &SlackBotSettings {
        &self.settings
    }

    /// Whether clicks can come back: only then there are buttons that act.
    pub fn is_clickable(&self) -> bool {
        !self.settings.signing_secrets.is_empty()
    }

    /// Tries once to deliver a notice. The chart follows the message into its
    /// thread; that it does not arrive fails nothing.
    pub async fn deliver(
        &self,
        client: &reqwest::Client,
        message: &Message<'_>,
        words: &Words,
        chart: Option<LateChart<'_>>,
    ) -> Attempt {
        let token = match self.settings.bot_token.read() {
            Ok(token) => token,
            Err(error) => {
                let detail = error.to_string().into();
                return Attempt::Failed { reason: DeliveryReason::NotRendered, detail, retry_after: None };
            }
        };
        let delivery = Delivery { bot: self, api: self.api(client, &token), message, words };
        match delivery.perform(chart).await {
            Ok(place) => Attempt::Accepted { receipt: Some(place.receipt()) },
            Err(attempt) => attempt,
        }
    }

    fn api<'a>(&'a self, client: &'a reqwest::Client, token: &'a SecretString) -> Api<'a> {
        Api { client, base: &self.settings.api_url, token: token.expose_secret() }
    }

    fn known_channel(&self) -> Option<Arc<str>> {
        self.channel_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn_channel(&self, id: &str) {
        *self.channel_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.into());
    }
}

/// One attempt.
struct Delivery<'a> {
    bot: &'a SlackBot,
    api: Api<'a>,
    message: &'a Message<'a>,
    words: &'a Words,
}

impl Delivery<'_> {
    async fn perform(&self, chart: Option<LateChart<'_>>) -> Result<Place, Attempt> {
        let notice = self.message.notice;
        let known = notice.receipt.as_ref().and_then(Place::of);
        let root = match known {
            Some(place) => Some(place),
            None => self.lost_root().await?,
        };
        let Some(root) = root else { return self.post_anew(chart).await };
        let state = blocks::root(self.message, self.words, self.bot.is_clickable());
        let root = if self.update(&root, state).await? {
            root
        } else if let Some(twin) = self.twin().await? {
            twin
        } else {
            // Somebody deleted it, or it may no longer be edited: the incident gets a new one.
            return self.post_anew(chart).await;
        };
        self.reply(&root).await?;
        Ok(root)
    }

    async fn post_anew(&self, chart: Option<LateChart<'_>>) -> Result<Place, Attempt> {
        let place = self.post_root().await?;
        self.add_chart(&place, chart).await;
        Ok(place)
    }

    /// The incident's message where no receipt names it: an attempt that ended without an answer may have posted it.
    async fn lost_root(&self) -> Result<Option<Place>, Attempt> {
        let notice = self.message.notice;
        let is_first = matches!(notice.event, NoticeEvent::Opened | NoticeEvent::Digest);
        if is_first && !is_repeat(notice) {
            return Ok(None);
        }
        let ours = |payload: &Value| payload["incident"] == *notice.facts.uid && payload["kind"] == "root";
        self.find_root(ours).await
    }

    /// The message that this very notice posted in the place of one that was gone.
    async fn twin(&self) -> Result<Option<Place>, Attempt> {
        let notice = self.message.notice;
        if !is_repeat(notice) {
            return Ok(None);
        }
        self.find_root(|payload: &Value| payload["notice_id"] == notice.id.as_str()).await
    }

    async fn post_root(&self) -> Result<Place, Attempt> {
        let mut body = blocks::root(self.message, self.words, self.bot.is_clickable());
        body["channel"] = self.bot.known_channel().as_deref().unwrap_or(&self.bot.settings.channel).into();
        body["metadata"] = metadata(self.message.notice, "root");
        let answer = match self.api.post("chat.postMessage", &body).await {
            Err(Refusal::TooLong(_)) => {
                let short = blocks::short_root(self.message, self.bot.is_clickable());
                self.api.post("chat.postMessage", &merged(&body, &short)).await
            }
            answer => answer,
        };
        let answer = answer.map_err(Refusal::into_attempt)?;
        let told = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(channel), Some(ts)) = (told("channel"), told("ts")) else {
            // It is posted; without its place nothing can be said about it later.
            return Err(Attempt::Accepted { receipt: None });
        };
        self.bot.learn_channel(channel);
        Ok(Place { channel: channel.into(), ts: ts.into() })
    }

    /// Puts the whole new state in a message's place; `false` where there is no such message to edit.
    async fn update(&self, place: &Place, state: Value) -> Result<bool, Attempt> {
        let mut body = state;
        body["channel"] = (*place.channel).into();
        body["ts"] = (*place.ts).into();
        let answer = match self.api.post("chat.update", &body).await {
            Err(Refusal::TooLong(_)) => {
                let short = blocks::short_root(self.message, self.bot.is_clickable());
                self.api.post("chat.update", &merged(&body, &short)).await
            }
            answer => answer,
        };
        match answer {
            Ok(_) => Ok(true),
            Err(Refusal::Gone(_)) => Ok(false),
            Err(refusal) => Err(refusal.into_attempt()),
        }
    }

    /// The event in the thread, where it says more than the edited message does.
    async fn reply(&self, root: &Place) -> Result<(), Attempt> {
        let notice = self.message.notice;
        let kind = Reply::of(notice);
        if kind == Reply::None || (is_repeat(notice) && self.is_replied(root).await?) {
            return Ok(());
        }
        let mut body = blocks::reply(self.message, kind);
        body["channel"] = (*root.channel).into();
        body["thread_ts"] = (*root.ts).into();
        body["metadata"] = metadata(notice, "reply");
        match self.api.post("chat.postMessage", &body).await {
            // A thread that is gone between two calls is made anew by the next notice.
            Ok(_) | Err(Refusal::Gone(_)) => Ok(()),
            Err(Refusal::TooLong(_)) => {
                let short = merged(&body, &blocks::short_reply(self.message));
                self.api.post("chat.postMessage", &short).await.map(drop).map_err(Refusal::into_attempt)
            }
            Err(refusal) => Err(refusal.into_attempt()),
        }
    }
}

/// Whether this notice may have arrived already.
fn is_repeat(notice: &Notice) -> bool {
    notice.attempts > 0 || notice.possibly_sent
}

/// What tells a message of ours from another, and this notice's from another's.
fn metadata(notice: &Notice, kind: &str) -> Value {
    json!({
        "event_type": EVENT_TYPE,
        "event_payload": {
            "notice_id": notice.id.as_str(),
            "incident": &*notice.facts.uid,
            "revision": notice.revision,
            "kind": kind,
        },
    })
}

/// The type of the metadata that our messages carry.
const EVENT_TYPE: &str = "runbookd_notice";

fn is_id(channel: &str) -> bool {
    channel.len() >= 9
        && channel.starts_with(['C', 'G', 'D'])
        && channel.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// A body with some of its fields replaced.
fn merged(body: &Value, with: &Value) -> Value {
    let mut body = body.clone();
    for (name, value) in with.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}
