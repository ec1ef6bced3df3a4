//! Clicks on buttons, as Slack sends them to an app: a form with the field `payload`, signed with the app's secret.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::workspace::Message;
use super::{APP_ID, Slack};
use crate::signature::{Signed, hmac};

/// No two clicks are the same, however fast they follow each other.
static CLICKS: AtomicU64 = AtomicU64::new(1);

/// Who clicks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: &'static str,
    /// The user's name in Slack.
    pub name: &'static str,
}

/// A user.
pub const ANA: User = User { id: "U0000000002", name: "ana.slack" };
/// Another one.
pub const BEN: User = User { id: "U0000000003", name: "ben.slack" };

/// The buttons of a message, by their action ids.
pub fn buttons(message: &Message) -> Vec<String> {
    elements(message).filter_map(|button| Some(button.get("action_id")?.as_str()?.to_owned())).collect()
}

impl Slack {
    /// A click of `user` on the button `action_id` of a message that the channel shows, signed now.
    pub fn click(
        &self,
        channel: &str,
        message: &Message,
        action_id: &str,
        user: &User,
        secret: &str,
    ) -> Option<Signed> {
        self.click_at(channel, message, action_id, user, secret, Timestamp::now())
    }

    /// The same, signed at another time.
    pub fn click_at(
        &self,
        channel: &str,
        message: &Message,
        action_id: &str,
        user: &User,
        secret: &str,
        at: Timestamp,
    ) -> Option<Signed> {
        let button = elements(message).find(|button| button["action_id"] == action_id)?;
        let channel_id = self.channel(channel);
        let payload = json!({
            "type": "block_actions",
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": "T0000000001"},
            "api_app_id": APP_ID,
            "container": {
                "type": "message",
                "message_ts": message.ts,
                "channel_id": channel_id,
                "is_ephemeral": false,
            },
            "trigger_id": format!("1.2.{}", CLICKS.fetch_add(1, Ordering::Relaxed)),
            "team": {"id": "T0000000001", "domain": "world"},
            "channel": {"id": channel_id, "name": channel.trim_start_matches('#')},
            "message": message.body,
            "response_url": format!("{}/actions/T0000000001/1/x", self.door.url()),
            "actions": [{
                "action_id": action_id,
                "block_id": "incident",
                "text": button["text"],
                "value": button["value"],
                "type": "button",
                "action_ts": format!("{}.000000", at.as_second()),
            }],
        });
        let mut form = reqwest::Url::parse("http://form/").ok()?;
        form.query_pairs_mut().append_pair("payload", &payload.to_string());
        let body = form.query()?.to_owned();
        Some(signed(secret, at, body))
    }
}

/// Any body, signed as Slack signs.
pub fn signed(secret: &str, at: Timestamp, body: String) -> Signed {
    let at = at.as_second();
    let signature = hmac(secret, format!("v0:{at}:{body}").as_bytes());
    let headers =
        vec![("X-Slack-Request-Timestamp", at.to_string()), ("X-Slack-Signature", format!("v0={signature}"))];
    Signed { headers, kind: "application/x-www-form-urlencoded", body }
}

fn elements(message: &Message) -> impl Iterator<Item = &Value> {
    let blocks = message.body.get("blocks").and_then(Value::as_array).into_iter().flatten();
    blocks.filter_map(|block| block.get("elements")?.as_array()).flatten()
}
