//! Field ownership: the `managedFields` entries and the conflicts between managers.
//!
//! A set of fields is a tree in the `FieldsV1` spelling (`f:spec`, `k:{"name":"app"}`). Apply does not remove fields
//! that its manager no longer names.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::patch::merge_key;
use super::store::second;

/// Metadata that no manager owns.
const SERVERS_OWN: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "name",
    "namespace",
    "deletionTimestamp",
];

/// Who writes, and how.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    /// The field manager.
    pub manager: String,
    /// Set for server-side apply.
    pub apply: bool,
    /// Takes over the fields of others instead of refusing.
    pub force: bool,
    /// The subresource written through.
    pub subresource: Option<String>,
}

type Conflicts = Vec<(String, String)>;

/// Records a write from `old` (null for a creation) to `new`; the conflicts as (manager, field) if apply meets others.
/// `applied` is the applied document.
pub(crate) fn record(
    old: &Value,
    new: &mut Value,
    writer: &Writer,
    applied: &Value,
) -> Result<(), Conflicts> {
    let changed = changes(old, new, true);
    let mut entries = old["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let operation = if writer.apply { "Apply" } else { "Update" };
    let subresource = writer.subresource.clone().unwrap_or_default();
    let is_own = |entry: &Value| {
        entry["manager"] == writer.manager.as_str()
            && entry["operation"] == operation
            && entry["subresource"].as_str().unwrap_or_default() == subresource
    };
    if writer.apply && !writer.force {
        let conflicts: Conflicts = entries
            .iter()
            .filter(|entry| !is_own(entry))
            .flat_map(|entry| {
                let manager = entry["manager"].as_str().unwrap_or_default();
                shared(&changed, &entry["fieldsV1"]).into_iter().map(|field| (manager.to_owned(), field))
            })
            .collect();
        if !conflicts.is_empty() {
            return Err(conflicts);
        }
    }
    for entry in entries.iter_mut().filter(|entry| !is_own(entry)) {
        subtract(&mut entry["fieldsV1"], &changed);
    }
    let at = entries.iter().position(is_own);
    let held = at.map_or_else(|| json!({}), |at| entries[at]["fieldsV1"].clone());
    let mut owned = held.clone();
    if writer.apply {
        owned = changes(&Value::Null, applied, false);
    } else {
        unite(&mut owned, &changes(old, new, false));
    }
    if owned != held {
        let mut entry = json!({
            "manager": writer.manager, "operation": operation, "apiVersion": new["apiVersion"],
            "time": second(Timestamp::now()), "fieldsType": "FieldsV1", "fieldsV1": owned,
        });
        if !subresource.is_empty() {
            entry["subresource"] = json!(subresource);
        }
        match at {
            Some(at) => entries[at] = entry,
            None => entries.push(entry),
        }
    }
    entries.retain(|entry| entry["fieldsV1"].as_object().is_some_and(|tree| !tree.is_empty()));
    new["metadata"]["managedFields"] = Value::Array(entries);
    Ok(())
}

/// The fields of `new` that are not the same in `old`, and the removed ones if asked for.
fn changes(old: &Value, new: &Value, removals: bool) -> Value {
    let mut tree = difference(old, new, removals);
    if let Some(meta) = tree.get_mut("f:metadata").and_then(Value::as_object_mut) {
        meta.retain(|key, _| !SERVERS_OWN.contains(&key.trim_start_matches("f:")));
        let empty = meta.is_empty();
        if empty && let Some(tree) = tree.as_object_mut() {
            tree.remove("f:metadata");
        }
    }
    if let Some(tree) = tree.as_object_mut() {
        tree.retain(|key, _| !matches!(key.as_str(), "f:apiVersion" | "f:kind"));
    }
    tree
}

fn difference(old: &Value, new: &Value, removals: bool) -> Value {
    let mut tree = Map::new();
    let Value::Object(fields) = new else { return Value::Object(tree) };
    for (key, value) in fields {
        let before = old.get(key).unwrap_or(&Value::Null);
        if before == value {
            continue;
        }
        let below = match value {
            Value::Object(inner) if !inner.is_empty() => difference(before, value, removals),
            Value::Array(items) => match merge_key(key, items) {
                Some(id) => list_difference(id, before, items, removals),
                None => json!({}),
            },
            _ => json!({}),
        };
        tree.insert(format!("f:{key}"), below);
    }
    if let (Value::Object(before), true) = (old, removals) {
        for key in before.keys().filter(|key| !fields.contains_key(*key)) {
            tree.insert(format!("f:{key}"), json!({}));
        }
    }
    Value::Object(tree)
}

fn list_difference(id: &str, before: &Value, items: &[Value], removals: bool) -> Value {
    let mut tree = Map::new();
    for item in items {
        let old = before.as_array().and_then(|old| old.iter().find(|old| old.get(id) == item.get(id)));
        let below = difference(old.unwrap_or(&Value::Null), item, removals);
        if below.as_object().is_some_and(|below| !below.is_empty()) {
            tree.insert(format!("k:{}", json!({id: item.get(id)})), below);
        }
    }
    Value::Object(tree)
}

fn unite(into: &mut Value, from: &Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (key, value) in from {
        unite(into.entry(key).or_insert_with(|| json!({})), value);
    }
}

/// Takes the leaves of `gone` out of the tree.
fn subtract(from: &mut Value, gone: &Value) {
    let (Value::Object(from), Value::Object(gone)) = (from, gone) else { return };
    for (key, below) in gone {
        let leaf = below.as_object().is_none_or(Map::is_empty);
        let emptied = from.get_mut(key).is_some_and(|held| {
            subtract(held, below);
            held.as_object().is_none_or(Map::is_empty)
        });
        if leaf || emptied {
            from.remove(key);
        }
    }
}

/// The fields that are in both trees, spelled with dots.
fn shared(one: &Value, other: &Value) -> Vec<String> {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return Vec::new() };
    let mut fields = Vec::new();
    for (key, below) in one {
        let Some(held) = other.get(key) else { continue };
        let name = key.strip_prefix("f:").map_or_else(|| format!("[{key}]"), |name| format!(".{name}"));
        if below.as_object().is_none_or(Map::is_empty) || held.as_object().is_none_or(Map::is_empty) {
            fields.push(name);
        } else {
            fields.extend(shared(below, held).into_iter().map(|rest| format!("{name}{rest}")));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(manager: &str, apply: bool, force: bool) -> Writer {
        Writer { manager: manager.to_owned(), apply, force, subresource: None }
    }

    #[test]
    fn an_apply_conflicts_with_another_owner_until_it_is_forced() {
        let mut first = json!({"apiVersion": "apps/v1", "metadata": {"name": "a"}, "spec": {"replicas": 2, "paused": false}});
        record(&Value::Null, &mut first, &writer("gitops", false, false), &Value::Null).unwrap();
        assert_eq!(
            first["metadata"]["managedFields"][0]["fieldsV1"],
            json!({"f:spec": {"f:replicas": {}, "f:paused": {}}})
        );

        let applied = json!({"spec": {"replicas": 5}});
        let mut second = first.clone();
        second["spec"]["replicas"] = json!(5);
        let conflicts = record(&first, &mut second, &writer("runbookd", true, false), &applied).unwrap_err();
        assert_eq!(conflicts, [("gitops".to_owned(), ".spec.replicas".to_owned())]);

        record(&first, &mut second, &writer("runbookd", true, true), &applied).unwrap();
        let entries = second["metadata"]["managedFields"].as_array().unwrap();
        assert_eq!(entries[0]["fieldsV1"], json!({"f:spec": {"f:paused": {}}}));
        assert_eq!(entries[1]["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
        assert_eq!(entries[1]["operation"], "Apply");
    }
}
