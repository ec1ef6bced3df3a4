//! The two spellings of events: core v1, in which they are stored, and events.k8s.io/v1.

use serde_json::Value;

use super::kind::Kind;

const NAMES: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// A stored object as the kind serves it.
pub(crate) fn served(kind: &Kind, mut object: Value) -> Value {
    if kind.group == "events.k8s.io"
        && let Some(fields) = object.as_object_mut()
    {
        for (core, new) in NAMES {
            if let Some(value) = fields.remove(core) {
                fields.insert(new.to_owned(), value);
            }
        }
        fields.insert("apiVersion".to_owned(), Value::String(kind.api_version()));
    }
    object
}

/// An object of the kind as it is stored.
pub(crate) fn stored(kind: &Kind, mut object: Value) -> Value {
    if kind.group == "events.k8s.io"
        && let Some(fields) = object.as_object_mut()
    {
        for (core, new) in NAMES {
            if let Some(value) = fields.remove(new) {
                fields.insert(core.to_owned(), value);
            }
        }
        fields.insert("apiVersion".to_owned(), Value::String("v1".to_owned()));
    }
    object
}
