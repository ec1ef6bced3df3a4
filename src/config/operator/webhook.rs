//! A `webhook` channel. Owns what its body, its headers and its signature may be; sends nothing.

use std::sync::Arc;

use super::Reader;
use super::communication::refuse;
use super::secret::Keys;
use crate::config::diagnostic::Code;
use crate::config::secret::SecretSource;
use crate::config::settings::WebhookSettings;
use crate::config::tree::{Entry, Node};
use crate::domain::body::BodyTemplate;

const URL: Keys = Keys { inline: "url", file: "url_file", env: "url_env" };
const SECRET: Keys = Keys { inline: "secret", file: "secret_file", env: "secret_env" };

const KEYS: &[&str] =
    &["url", "url_file", "url_env", "body", "content_type", "headers", "secret", "secret_file", "secret_env"];

/// What the sender says itself.
const TAKEN: [&str; 8] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "user-agent",
    "idempotency-key",
    "x-runbookd-signature",
];

/// Reads the channel.
pub(super) fn read(reader: &Reader<'_>, node: &Node) -> Option<WebhookSettings> {
    let walk = reader.walk;
    let fields = walk.fields(node, KEYS);
    let url = reader.secret_url(&fields, &URL, node.span);
    let usual = WebhookSettings::CONTENT_TYPE;
    let content_type =
        fields.get("content_type").map_or_else(|| Some(usual.into()), |node| kind(reader, node));
    let body = match fields.get("body") {
        Some(node) => Some(body(reader, node, content_type.as_deref().unwrap_or(usual))?),
        None => None,
    };
    let headers = fields.get("headers").map_or_else(Vec::new, |node| headers(reader, node));
    let secret = reader.secret(&fields, &SECRET);
    Some(WebhookSettings { url: url?, body, content_type: content_type?, headers, secret })
}

fn kind(reader: &Reader<'_>, node: &Node) -> Option<Arc<str>> {
    let text = reader.walk.text(node)?.trim();
    let is_kind = text.split_once('/').is_some_and(|(kind, rest)| !kind.is_empty() && !rest.is_empty());
    if !is_kind || !is_printable(text) {
        reader
            .walk
            .error(Code::BadValue, node.span, "this is no media type")
            .expected("expected a media type such as application/json");
        return None;
    }
    Some(text.into())
}

/// A template that makes what its media type says, also of words with quotes and line breaks.
fn body(reader: &Reader<'_>, node: &Node, content_type: &str) -> Option<Arc<str>> {
    let text = reader.walk.text(node)?;
    let samples = match BodyTemplate::parse(text).and_then(|template| template.samples()) {
        Ok(samples) => samples,
        Err(error) => {
            refuse(reader, node, text, &error);
            return None;
        }
    };
    if !WebhookSettings::is_json(content_type) {
        return Some(text.clone());
    }
    for sample in samples {
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&sample) {
            let message = format!("what this template makes is no JSON: {error}");
            reader
                .walk
                .error(Code::BadTemplate, node.span, message)
                .expected("expected a map such as { {\"text\": headline}|tojson }")
                .help("a value within JSON is written {value|tojson}, which quotes and escapes it");
            return None;
        }
    }
    Some(text.clone())
}

/// `Name: value`, or `Name_file: path` and `Name_env: VARIABLE`.
fn headers(reader: &Reader<'_>, node: &Node) -> Vec<(Arc<str>, SecretSource)> {
    let mut headers: Vec<(Arc<str>, SecretSource)> = Vec::new();
    for entry in reader.walk.entries(node) {
        let (name, keys) = header_keys(&entry.key);
        if !is_header(name) {
            reader
                .walk
                .error(Code::BadValue, entry.key_span, format!("`{name}` cannot name a header"))
                .expected("expected letters, digits and `-`");
        } else if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
            reader
                .walk
                .error(Code::BadValue, entry.key_span, format!("the header `{name}` is the sender's own"))
                .expected("expected another header; the media type is `content_type`");
        } else if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            reader
                .walk
                .error(Code::AmbiguousSecret, entry.key_span, format!("the header `{name}` is there twice"))
                .expected("expected each header once");
        } else if let Some(value) = value(reader, entry, &keys) {
            headers.push((name.into(), value));
        }
    }
    headers
}

/// Where the value of a header stands.
enum Place {
    Inline,
    File,
    Env,
}

fn header_keys(key: &str) -> (&str, Place) {
    if let Some(name) = key.strip_suffix("_file") {
        (name, Place::File)
    } else if let Some(name) = key.strip_suffix("_env") {
        (name, Place::Env)
    } else {
        (key, Place::Inline)
    }
}

fn value(reader: &Reader<'_>, entry: &Entry, place: &Place) -> Option<SecretSource> {
    match place {
        Place::File => reader.file(&entry.value).map(SecretSource::File),
        Place::Env => reader.variable(&entry.value, reader.walk.text(&entry.value)?),
        Place::Inline => {
            let text = reader.walk.text(&entry.value)?;
            if !is_printable(text) {
                reader
                    .walk
                    .error(Code::BadValue, entry.value.span, "a header has only printable ASCII characters")
                    .expected("expected plain text on one line");
                return None;
            }
            Some(SecretSource::Inline(text.trim().into()))
        }
    }
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| c == '\t' || (' '..='~').contains(&c))
}
