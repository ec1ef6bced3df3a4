//! `channels`: the configured ways to reach people. Owns reading one of each kind; sends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::secret::Keys;
use super::{Reader, email, slack, webhook};
use crate::config::diagnostic::Code;
use crate::config::settings::{ChannelSettings, Contact, PagerDutySettings};
use crate::config::tree::{Entry, Node};
use crate::domain::name::ChannelName;

const PAGERDUTY: Keys = Keys { inline: "routing_key", file: "routing_key_file", env: "routing_key_env" };
const SIGNED: Keys =
    Keys { inline: "webhook_secret", file: "webhook_secret_file", env: "webhook_secret_env" };
const WEBHOOK: Keys = Keys { inline: "url", file: "url_file", env: "url_env" };

const PAGERDUTY_KEYS: &[&str] = &[
    "routing_key",
    "routing_key_file",
    "routing_key_env",
    "url",
    "url_file",
    "url_env",
    "webhook_secret",
    "webhook_secret_file",
    "webhook_secret_env",
];

/// What is configured.
pub(super) struct Channels {
    /// The channels that could be read.
    pub(super) read: BTreeMap<ChannelName, ChannelSettings>,
    /// Every name written, in the order written, read or not: whoever uses it is not to blame for its mistakes.
    pub(super) names: Vec<Arc<str>>,
    /// Whether there is such a block at all.
    pub(super) configured: bool,
}

/// Reads every channel.
pub(super) fn read(reader: &Reader<'_>, contacts: &[Contact]) -> Channels {
    let node = reader.blocks.get("channels");
    let entries = node.map_or(&[][..], |node| reader.walk.entries(node));
    let mut seen = BTreeSet::new();
    let mut read = BTreeMap::new();
    for entry in entries {
        seen.insert(entry.key.clone());
        if let Some(channel) = channel(reader, entry, contacts) {
            read.insert(ChannelName::from(entry.key.clone()), channel);
        }
    }
    let names = entries.iter().map(|entry| entry.key.clone()).collect();
    Channels { read, names, configured: node.is_some() }
}

fn channel(reader: &Reader<'_>, entry: &Entry, contacts: &[Contact]) -> Option<ChannelSettings> {
    let walk = reader.walk;
    let fields = walk.fields(&entry.value, &["slack", "email", "pagerduty", "webhook"]);
    let kinds: Vec<_> = ["slack", "email", "pagerduty", "webhook"]
        .into_iter()
        .filter_map(|kind| fields.get(kind).map(|node| (kind, node)))
        .collect();
    match kinds.as_slice() {
        [(kind, node)] => match *kind {
            "slack" => slack::read(reader, node),
            "email" => email::read(reader, node, contacts).map(ChannelSettings::Email),
            "pagerduty" => pagerduty(reader, node),
            _ => webhook::read(reader, node).map(ChannelSettings::Webhook),
        },
        [] => {
            walk.error(Code::MissingKey, entry.key_span, format!("the channel `{}` has no kind", entry.key))
                .expected("expected `slack`, `email`, `pagerduty` or `webhook`");
            None
        }
        [_, (second, _), ..] => {
            walk.error(Code::BadValue, fields.key_span(second), "a channel has one kind")
                .expected("expected a channel of its own");
            None
        }
    }
}

fn pagerduty(reader: &Reader<'_>, node: &Node) -> Option<ChannelSettings> {
    let fields = reader.walk.fields(node, PAGERDUTY_KEYS);
    let url = reader.url_of(&fields, &WEBHOOK).unwrap_or_else(|| "https://events.pagerduty.com".into());
    let webhook_secrets = reader.secrets(&fields, &SIGNED);
    let routing_key = reader.required_secret(&fields, &PAGERDUTY, node.span)?;
    Some(ChannelSettings::PagerDuty(PagerDutySettings { routing_key, webhook_secrets, url }))
}
