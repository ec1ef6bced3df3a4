//! Looking for a message whose answer was lost. Owns where is looked and how far; adopts only what carries our own
//! metadata. Where the bot may not look, the message is sent again: one shown twice is better than one lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::domain::delivery::Attempt;
use crate::domain::notice::Notice;

use super::call::Refusal;
use super::{Delivery, EVENT_TYPE, Place};

/// How long a message may take to be seen: an unanswered post is looked for twice, so long apart.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// How long before the incident's opening the search begins, in seconds: clocks differ.
const CLOCKS_DIFFER: i64 = 120;
/// The most messages on one page.
const PAGE: &str = "200";
/// The most pages of history or replies that are read.
const MOST_PAGES: usize = 5;

impl Delivery<'_> {
    /// A message in the channel whose metadata `is_it`, the oldest of several.
    pub(super) async fn find_root(&self, is_it: impl Fn(&Value) -> bool) -> Result<Option<Place>, Attempt> {
        let Some(channel) = self.channel().await? else { return Ok(None) };
        let notice = self.message.notice;
        let oldest = oldest(notice);
        let fields = [("channel", &*channel), ("oldest", oldest.as_str()), ("inclusive", "true")];
        let found = self.look_again("conversations.history", &fields, &is_it).await?;
        Ok(found.map(|ts| Place { channel, ts }))
    }

    /// Whether the thread holds this notice's reply already.
    pub(super) async fn is_replied(&self, root: &Place) -> Result<bool, Attempt> {
        let notice = self.message.notice;
        let is_it =
            |payload: &Value| payload["notice_id"] == notice.id.as_str() && payload["kind"] == "reply";
        let fields = [("channel", &*root.channel), ("ts", &*root.ts)];
        Ok(self.look_again("conversations.replies", &fields, &is_it).await?.is_some())
    }

    /// Looks once, and once more where the message may not be visible yet.
    async fn look_again(
        &self,
        method: &str,
        fields: &[(&str, &str)],
        is_it: &impl Fn(&Value) -> bool,
    ) -> Result<Option<Arc<str>>, Attempt> {
        let found = self.look(method, fields, is_it).await?;
        if found.is_some() || !self.message.notice.possibly_sent {
            return Ok(found);
        }
        tokio::time::sleep(SEEN_WITHIN).await;
        self.look(method, fields, is_it).await
    }

    async fn look(
        &self,
        method: &str,
        fields: &[(&str, &str)],
        is_it: &impl Fn(&Value) -> bool,
    ) -> Result<Option<Arc<str>>, Attempt> {
        let mut cursor = String::new();
        let mut found = None;
        for _ in 0..MOST_PAGES {
            let mut form = fields.to_vec();
            form.extend([("include_all_metadata", "true"), ("limit", PAGE), ("cursor", &cursor)]);
            let Some(page) = allowed(self.api.form(method, &form).await)? else { return Ok(found) };
            let messages = page["messages"].as_array().into_iter().flatten();
            let ours = messages.filter(|message| {
                let metadata = &message["metadata"];
                metadata["event_type"] == EVENT_TYPE && is_it(&metadata["event_payload"])
            });
            let stamps = ours.filter_map(|message| message["ts"].as_str().map(Arc::<str>::from));
            found = stamps.chain(found).min();
            cursor = next_cursor(&page);
            if cursor.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// The channel's id; nothing where it is known by name alone and the bot may not list its channels.
    async fn channel(&self) -> Result<Option<Arc<str>>, Attempt> {
        if let Some(id) = self.bot.known_channel() {
            return Ok(Some(id));
        }
        let name = self.bot.settings().channel.trim_start_matches('#');
        let mut cursor = String::new();
        for _ in 0..MOST_PAGES {
            let form = [
                ("types", "public_channel,private_channel"),
                ("exclude_archived", "true"),
                ("limit", PAGE),
                ("cursor", &cursor),
            ];
            let Some(page) = allowed(self.api.form("users.conversations", &form).await)? else {
                return Ok(None);
            };
            let mut channels = page["channels"].as_array().into_iter().flatten();
            let id =
                channels.find(|channel| channel["name"] == name).and_then(|channel| channel["id"].as_str());
            if let Some(id) = id {
                self.bot.learn_channel(id);
                return Ok(Some(id.into()));
            }
            cursor = next_cursor(&page);
            if cursor.is_empty() {
                break;
            }
        }
        Ok(None)
    }
}

/// A page, or nothing where looking is refused for good; what may pass is an attempt that failed.
fn allowed(answer: Result<Value, Refusal>) -> Result<Option<Value>, Attempt> {
    match answer.map_err(Refusal::into_attempt) {
        Ok(page) => Ok(Some(page)),
        Err(attempt @ Attempt::Failed { .. }) => Err(attempt),
        Err(attempt) => {
            tracing::warn!(
                ?attempt,
                "Slack does not let the bot look for its own messages, a repeat may show twice"
            );
            Ok(None)
        }
    }
}

/// Where the next page begins; empty after the last one.
fn next_cursor(page: &Value) -> String {
    page["response_metadata"]["next_cursor"].as_str().unwrap_or_default().to_owned()
}

/// Slack's form of an instant safely before the incident's first message.
fn oldest(notice: &Notice) -> String {
    format!("{}.000000", notice.facts.opened_at.as_second().saturating_sub(CLOCKS_DIFFER))
}
