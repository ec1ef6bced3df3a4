//! `prometheus`: where metrics come from. Owns its defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reader;
use super::secret::Keys;
use crate::config::diagnostic::Code;
use crate::config::settings::PrometheusSettings;
use crate::config::tree::Node;
use crate::domain::quantity::Unit;

const TOKEN: Keys = Keys { inline: "bearer_token", file: "bearer_token_file", env: "bearer_token_env" };

const URL: Keys = Keys { inline: "url", file: "url_file", env: "url_env" };

const KEYS: &[&str] = &[
    "url",
    "url_file",
    "url_env",
    "timeout",
    "max_answer",
    "bearer_token",
    "bearer_token_file",
    "bearer_token_env",
    "headers",
    "ca_file",
];

/// Reads the block; without it, Prometheus is where it usually is.
pub(super) fn read(reader: &Reader<'_>) -> PrometheusSettings {
    let mut settings = PrometheusSettings {
        url: "http://127.0.0.1:9090".into(),
        timeout: Duration::from_secs(10),
        max_answer_bytes: 64 * 1024 * 1024,
        bearer_token: None,
        headers: BTreeMap::new(),
        ca_file: None,
    };
    let Some(node) = reader.blocks.get("prometheus") else { return settings };
    let fields = reader.walk.fields(node, KEYS);
    if let Some(url) = reader.url_of(&fields, &URL) {
        settings.url = url;
    }
    let least = Duration::from_millis(100);
    if let Some(timeout) = fields.get("timeout").and_then(|node| reader.walk.duration_from(node, least)) {
        settings.timeout = timeout;
    }
    if let Some(bytes) = fields.get("max_answer").and_then(|node| bytes(reader, node)) {
        settings.max_answer_bytes = bytes;
    }
    settings.bearer_token = reader.secret(&fields, &TOKEN);
    if let Some(node) = fields.get("headers") {
        settings.headers = headers(reader, node);
    }
    settings.ca_file = fields.get("ca_file").and_then(|node| reader.file(node));
    settings
}

fn bytes(reader: &Reader<'_>, node: &Node) -> Option<usize> {
    let bytes = reader.walk.amount(node, Unit::Bytes)?;
    if !(1024.0..=4e9).contains(&bytes) {
        reader
            .walk
            .error(Code::ImpossibleBounds, node.span, "an answer has between 1kB and 4GB")
            .expected("expected a size such as 64MB");
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 1024..=4e9")]
    Some(bytes as usize)
}

fn headers(reader: &Reader<'_>, node: &Node) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for entry in reader.walk.entries(node) {
        let Some(value) = reader.walk.text(&entry.value) else { continue };
        let name_fits = entry.key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        let value_fits = value.chars().all(|c| c == '\t' || (' '..='~').contains(&c));
        if !name_fits || entry.key.is_empty() {
            reader
                .walk
                .error(Code::BadValue, entry.key_span, format!("`{}` cannot name a header", entry.key))
                .expected("expected letters, digits and `-`");
        } else if !value_fits {
            reader
                .walk
                .error(Code::BadValue, entry.value.span, "a header has only printable ASCII characters")
                .expected("expected plain text on one line");
        } else {
            headers.insert(entry.key.to_string(), value.to_string());
        }
    }
    headers
}
