//! A channel of the kind `slack`: an incoming webhook, or a bot. Owns which of the two it is and what each needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Reader;
use super::secret::Keys;
use crate::config::diagnostic::Code;
use crate::config::settings::{ChannelSettings, SlackAllow, SlackBotSettings, SlackSettings};
use crate::config::tree::Node;
use crate::config::walk::Fields;

const WEBHOOK: Keys = Keys { inline: "webhook_url", file: "webhook_url_file", env: "webhook_url_env" };
const TOKEN: Keys = Keys { inline: "bot_token", file: "bot_token_file", env: "bot_token_env" };
const SIGNED: Keys =
    Keys { inline: "signing_secret", file: "signing_secret_file", env: "signing_secret_env" };
const API: Keys = Keys { inline: "api_url", file: "api_url_file", env: "api_url_env" };

const KEYS: &[&str] = &[
    "webhook_url",
    "webhook_url_file",
    "webhook_url_env",
    "bot_token",
    "bot_token_file",
    "bot_token_env",
    "channel",
    "api_url",
    "api_url_file",
    "api_url_env",
    "signing_secret",
    "signing_secret_file",
    "signing_secret_env",
    "allow",
    "users",
];

/// What only a bot has a use for.
const OF_A_BOT: &[&str] = &[
    "channel",
    "api_url",
    "api_url_file",
    "api_url_env",
    "signing_secret",
    "signing_secret_file",
    "signing_secret_env",
    "allow",
    "users",
];

/// The longest name or id of a channel; Slack's names have at most 80 characters.
const LONGEST_CHANNEL: usize = 81;

/// Reads either.
pub(super) fn read(reader: &Reader<'_>, node: &Node) -> Option<ChannelSettings> {
    let fields = reader.walk.fields(node, KEYS);
    let first =
        |keys: &Keys| [keys.inline, keys.file, keys.env].into_iter().find(|key| fields.get(key).is_some());
    match (first(&WEBHOOK), first(&TOKEN)) {
        (Some(webhook), Some(token)) => {
            reader
                .walk
                .error(Code::BadValue, fields.key_span(token), "a Slack channel posts by webhook or by bot")
                .expected(format!("expected `{webhook}` or `{token}`"))
                .other(fields.key_span(webhook));
            None
        }
        (None, None) => {
            reader
                .walk
                .error(Code::MissingKey, node.span, "neither a webhook nor a bot is given")
                .expected("expected `webhook_url_file`, or `bot_token_file` and `channel`")
                .help("each may also end in `_env`, or stand here without `_file`");
            None
        }
        (Some(_), None) => webhook(reader, &fields, node),
        (None, Some(_)) => bot(reader, &fields, node),
    }
}

fn webhook(reader: &Reader<'_>, fields: &Fields<'_>, node: &Node) -> Option<ChannelSettings> {
    for key in OF_A_BOT.iter().filter(|key| fields.get(key).is_some()) {
        reader
            .walk
            .error(Code::BadValue, fields.key_span(key), format!("a webhook has no use for `{key}`"))
            .expected("expected `bot_token_file` beside it");
    }
    let webhook_url = reader.secret_url(fields, &WEBHOOK, node.span)?;
    Some(ChannelSettings::Slack(SlackSettings { webhook_url }))
}

fn bot(reader: &Reader<'_>, fields: &Fields<'_>, node: &Node) -> Option<ChannelSettings> {
    let walk = reader.walk;
    let api_url = reader.url_of(fields, &API).unwrap_or_else(|| "https://slack.com".into());
    let signing_secrets = reader.secrets(fields, &SIGNED);
    let words = [("channel", SlackAllow::Channel), ("mapped", SlackAllow::Mapped)];
    let allow = fields.get("allow").and_then(|node| walk.word(node, &words)).unwrap_or(SlackAllow::Channel);
    let users = users(reader, fields);
    let channel = walk.required(fields, "channel", node.span, "C0123456789 or #incidents");
    let channel = channel.and_then(|node| channel_of(reader, node));
    let bot_token = reader.secret(fields, &TOKEN);
    if allow == SlackAllow::Mapped && users.is_empty() {
        walk.error(Code::BadValue, fields.key_span("allow"), "nobody is mapped, so no click would count")
            .expected("expected `users`, such as {U0123456789: Ana}");
    }
    Some(ChannelSettings::SlackBot(SlackBotSettings {
        bot_token: bot_token?,
        channel: channel?,
        api_url,
        signing_secrets,
        allow,
        users,
    }))
}

fn channel_of(reader: &Reader<'_>, node: &Node) -> Option<Arc<str>> {
    let text = reader.walk.text(node)?.trim();
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = text.strip_prefix('#').unwrap_or(text);
    if name.is_empty() || !name.chars().all(fine) || text.chars().count() > LONGEST_CHANNEL {
        reader
            .walk
            .error(Code::BadValue, node.span, "this names no Slack channel")
            .expected("expected an id such as C0123456789, or a name such as #incidents");
        return None;
    }
    Some(text.into())
}

fn users(reader: &Reader<'_>, fields: &Fields<'_>) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut users = BTreeMap::new();
    for entry in fields.get("users").map_or(&[][..], |node| reader.walk.entries(node)) {
        let id = entry.key.trim();
        let is_id = id.starts_with(['U', 'W'])
            && id.len() > 1
            && id.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        if !is_id {
            reader
                .walk
                .error(Code::BadValue, entry.key_span, format!("`{id}` is no id of a Slack user"))
                .expected("expected an id such as U0123456789, from the user's profile");
        }
        if let Some(name) = reader.walk.text(&entry.value) {
            users.insert(id.into(), name.trim().into());
        }
    }
    users
}
