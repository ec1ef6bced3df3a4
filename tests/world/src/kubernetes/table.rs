//! What clients ask to see instead of whole objects: tables for people, metadata alone for caches.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kind::Kind;

/// The object or list in the form that the `Accept` header asks for.
pub(crate) fn present(kind: &Kind, object: Value, accept: &str) -> Value {
    // Only the first choice counts: every client that asks for these forms names plain JSON as its second.
    let first = accept.split(',').next().unwrap_or_default();
    if first.contains("as=Table") {
        table(kind, &object)
    } else if first.contains("as=PartialObjectMetadata") {
        match object.get("items").and_then(Value::as_array) {
            Some(items) => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
                "items": items.iter().map(metadata).collect::<Vec<_>>(),
            }),
            None => metadata(&object),
        }
    } else {
        object
    }
}

fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

fn table(kind: &Kind, object: &Value) -> Value {
    let items = object.get("items").and_then(Value::as_array);
    let objects = items.map_or_else(|| std::slice::from_ref(object), Vec::as_slice);
    let columns: &[&str] = match kind.plural {
        "deployments" => &["Name", "Ready", "Up-to-date", "Available", "Age"],
        "statefulsets" => &["Name", "Ready", "Age"],
        "replicasets" => &["Name", "Desired", "Current", "Ready", "Age"],
        "pods" => &["Name", "Ready", "Status", "Restarts", "Age"],
        "nodes" => &["Name", "Status", "Age"],
        "events" => &["Last Seen", "Type", "Reason", "Object", "Message"],
        _ => &["Name", "Age"],
    };
    let definitions: Vec<Value> = columns
        .iter()
        .map(|name| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<String> = columns.iter().map(|column| cell(kind, object, column)).collect();
            json!({"cells": cells, "object": metadata(object)})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": definitions, "rows": rows,
           "metadata": {"resourceVersion": object["metadata"]["resourceVersion"]}})
}

fn cell(kind: &Kind, object: &Value, column: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (spec, status) = (&object["spec"], &object["status"]);
    let count = |field: &str| status[field].as_i64().unwrap_or(0);
    let containers = || status["containerStatuses"].as_array().into_iter().flatten();
    match (kind.plural, column) {
        (_, "Name") => text(&object["metadata"]["name"]),
        (_, "Age" | "Last Seen") => age(&object["metadata"]["creationTimestamp"]),
        ("events", "Object") => {
            let regarding = object.get("regarding").unwrap_or(&object["involvedObject"]);
            format!("{}/{}", text(&regarding["kind"]).to_lowercase(), text(&regarding["name"]))
        }
        ("events", "Message") => text(object.get("note").unwrap_or(&object["message"])),
        ("events", field) => text(&object[field.to_lowercase().as_str()]),
        ("pods", "Ready") => {
            let ready = containers().filter(|container| container["ready"] == true).count();
            format!("{ready}/{}", spec["containers"].as_array().map_or(0, Vec::len))
        }
        ("pods", "Status") => text(&status["phase"]),
        ("pods", "Restarts") => {
            containers().filter_map(|container| container["restartCount"].as_i64()).sum::<i64>().to_string()
        }
        ("nodes", "Status") => {
            let ready =
                status["conditions"].as_array().into_iter().flatten().find(|item| item["type"] == "Ready");
            let ready = ready.is_some_and(|item| item["status"] == "True");
            let cordoned = if spec["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
            format!("{}{cordoned}", if ready { "Ready" } else { "NotReady" })
        }
        ("replicasets", "Ready") => count("readyReplicas").to_string(),
        (_, "Ready") => format!("{}/{}", count("readyReplicas"), spec["replicas"]),
        (_, "Up-to-date") => count("updatedReplicas").to_string(),
        (_, "Available") => count("availableReplicas").to_string(),
        (_, "Desired") => spec["replicas"].to_string(),
        (_, "Current") => count("replicas").to_string(),
        _ => String::new(),
    }
}

fn age(created: &Value) -> String {
    let Some(created) = created.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "<unknown>".to_owned();
    };
    let seconds = Timestamp::now().duration_since(created).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
