//! What makes an event of the Events API v2 valid. It names every field that is wrong, as the real service does.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// The largest event in bytes; PagerDuty's documentation says 512 KB.
pub const LARGEST_EVENT: usize = 512 * 1024;

const ROUTING_KEY_LENGTH: usize = 32;
const LONGEST_DEDUP_KEY: usize = 255;
const LONGEST_SUMMARY: usize = 1024;
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// What an event asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Open an alert, or add to the log of the open one.
    Trigger,
    /// Somebody is on it.
    Acknowledge,
    /// It is over.
    Resolve,
}

/// An event that passed: what the service goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which integration it is for.
    pub routing_key: String,
    /// What it asks for.
    pub action: Action,
    /// Which alert it is about; only a trigger may leave it out.
    pub dedup_key: Option<String>,
}

/// Reads an event.
///
/// # Errors
/// All that is wrong with it, one sentence per field.
pub fn validate(event: &Value) -> Result<Event, Vec<String>> {
    let Some(fields) = event.as_object() else { return Err(vec!["Event is not a JSON object".to_owned()]) };
    let mut errors = Vec::new();
    let routing_key = text(fields, "routing_key", "routing_key", &mut errors).unwrap_or_default();
    if !routing_key.is_empty() && routing_key.chars().count() != ROUTING_KEY_LENGTH {
        errors.push(format!(
            "Length of 'routing_key' is incorrect (should be {ROUTING_KEY_LENGTH} characters)"
        ));
    }
    let action = match text(fields, "event_action", "event_action", &mut errors) {
        Some("trigger") => Some(Action::Trigger),
        Some("acknowledge") => Some(Action::Acknowledge),
        Some("resolve") => Some(Action::Resolve),
        Some(_) => {
            errors.push("'event_action' is invalid (must be trigger, acknowledge or resolve)".to_owned());
            None
        }
        None => None,
    };
    let dedup_key = match fields.get("dedup_key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key.as_str()).filter(|key| !key.is_empty()),
        Some(_) => {
            errors.push("'dedup_key' is invalid (must be a string)".to_owned());
            None
        }
    };
    if dedup_key.is_some_and(|key| key.chars().count() > LONGEST_DEDUP_KEY) {
        errors.push(format!("'dedup_key' is too long (maximum is {LONGEST_DEDUP_KEY} characters)"));
    }
    match action {
        Some(Action::Trigger) => {
            payload(fields, &mut errors);
            pictures(fields, "links", "href", &mut errors);
            pictures(fields, "images", "src", &mut errors);
        }
        Some(Action::Acknowledge | Action::Resolve) if dedup_key.is_none() => {
            errors.push("'dedup_key' is missing or blank".to_owned());
        }
        Some(Action::Acknowledge | Action::Resolve) | None => {}
    }
    match action {
        Some(action) if errors.is_empty() => Ok(Event {
            routing_key: routing_key.to_owned(),
            action,
            dedup_key: dedup_key.map(ToOwned::to_owned),
        }),
        _ => Err(errors),
    }
}

fn payload(fields: &Map<String, Value>, errors: &mut Vec<String>) {
    let Some(payload) = fields.get("payload").and_then(Value::as_object) else {
        errors.push("'payload' is missing or blank".to_owned());
        return;
    };
    if let Some(summary) = text(payload, "summary", "payload.summary", errors)
        && summary.chars().count() > LONGEST_SUMMARY
    {
        errors.push(format!("'payload.summary' is too long (maximum is {LONGEST_SUMMARY} characters)"));
    }
    text(payload, "source", "payload.source", errors);
    if let Some(severity) = text(payload, "severity", "payload.severity", errors)
        && !SEVERITIES.contains(&severity)
    {
        errors.push(format!("'payload.severity' is invalid (must be one of {})", SEVERITIES.join(", ")));
    }
    match payload.get("timestamp") {
        None | Some(Value::Null) => {}
        Some(Value::String(at)) if at.parse::<Timestamp>().is_ok() => {}
        Some(_) => errors.push("'payload.timestamp' is invalid (must be an RFC 3339 time)".to_owned()),
    }
    for name in ["component", "group", "class"] {
        if payload.get(name).is_some_and(|value| !value.is_string() && !value.is_null()) {
            errors.push(format!("'payload.{name}' is invalid (must be a string)"));
        }
    }
}

/// Links and images are lists of objects that each hold a URL.
fn pictures(fields: &Map<String, Value>, list: &str, url: &str, errors: &mut Vec<String>) {
    let entries = match fields.get(list) {
        None | Some(Value::Null) => return,
        Some(Value::Array(entries)) => entries,
        Some(_) => return errors.push(format!("'{list}' is invalid (must be a list)")),
    };
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("{list}[{index}].{url}");
        match entry.get(url).and_then(Value::as_str) {
            None | Some("") => errors.push(format!("'{place}' is missing or blank")),
            Some(source) if list == "images" && !source.starts_with("https://") => {
                errors.push(format!("'{place}' is invalid (must be served over https)"));
            }
            Some(_) => {}
        }
    }
}

fn text<'a>(
    fields: &'a Map<String, Value>,
    name: &str,
    place: &str,
    errors: &mut Vec<String>,
) -> Option<&'a str> {
    let value = fields.get(name).and_then(Value::as_str).filter(|value| !value.trim().is_empty());
    if value.is_none() {
        errors.push(format!("'{place}' is missing or blank"));
    }
    value
}
