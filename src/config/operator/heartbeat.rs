//! `heartbeat`: the outside watchdog that is called while everything works.

use std::time::Duration;

use super::Reader;
use super::secret::Keys;
use crate::config::settings::HeartbeatSettings;

const URL: Keys = Keys { inline: "url", file: "url_file", env: "url_env" };

/// How often, where nothing is said: the watchdog's own grace should be a few times that.
const EVERY: Duration = Duration::from_secs(60);

/// Reads it, where there is one.
pub(super) fn read(reader: &Reader<'_>) -> Option<HeartbeatSettings> {
    let node = reader.blocks.get("heartbeat")?;
    let fields = reader.walk.fields(node, &["url", "url_file", "url_env", "every"]);
    let every = fields.get("every").and_then(|node| reader.walk.duration_from(node, Duration::from_secs(1)));
    let url = reader.secret_url(&fields, &URL, node.span)?;
    Some(HeartbeatSettings { url, every: every.unwrap_or(EVERY) })
}
