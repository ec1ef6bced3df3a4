//! The four ways to patch: JSON patch, merge patch, strategic merge patch, apply.
//!
//! Works on documents alone; ownership of fields is in `fields`, checks are in `admission`.

use serde_json::{Map, Value};

use super::status::Refusal;

/// How a PATCH body is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    /// By the request's content type.
    pub(crate) fn of(content_type: &str) -> Result<Self, Refusal> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch" => Ok(Self::Apply),
            other => Err(Refusal::unsupported_media_type(other)),
        }
    }

    /// Changes the target as the patch says.
    pub(crate) fn apply(self, target: &mut Value, patch: &Value) -> Result<(), Refusal> {
        match self {
            Self::Json => json_patch(target, patch),
            Self::Merge => {
                merge(target, patch);
                Ok(())
            }
            Self::Strategic | Self::Apply => strategic(target, patch),
        }
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    for (key, value) in patch {
        let fields = as_object(target);
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
    as_object(target);
}

fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("made an object above"),
    }
}

/// The field by which items of a list are matched; `None` where the list is replaced as a whole.
pub(crate) fn merge_key(list: &str, items: &[Value]) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets" => {
            Some("name")
        }
        "ports" => ["containerPort", "port", "name"]
            .into_iter()
            .find(|key| !items.is_empty() && items.iter().all(|item| item.get(key).is_some())),
        "volumeMounts" => Some("mountPath"),
        "conditions" | "addresses" => Some("type"),
        "ownerReferences" => Some("uid"),
        "hostAliases" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        _ => None,
    }
}

fn strategic(target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    let fields = as_object(target);
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            fields.clear();
            fields.extend(
                patch.iter().filter(|(key, _)| !key.starts_with('$')).map(|(k, v)| (k.clone(), v.clone())),
            );
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Refusal::bad_request(format!("unknown $patch directive: {other}"))),
    }
    if let Some(Value::Array(keep)) = patch.get("$retainKeys") {
        fields.retain(|key, _| keep.iter().any(|kept| kept == key.as_str()));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (fields.get_mut(list), value) {
                items.retain(|item| !gone.contains(item));
            }
        } else if key.starts_with('$') {
            // The order of elements: items keep theirs, new ones come last.
        } else if value.is_null() || value.get("$patch").is_some_and(|directive| directive == "delete") {
            fields.remove(key);
        } else if let Value::Array(items) = value {
            merge_list(key, fields.entry(key).or_insert(Value::Null), items)?;
        } else {
            strategic(fields.entry(key).or_insert(Value::Null), value)?;
        }
    }
    Ok(())
}

fn merge_list(list: &str, target: &mut Value, patch: &[Value]) -> Result<(), Refusal> {
    if list == "finalizers" && target.is_array() {
        if let Value::Array(items) = target {
            items.extend(patch.iter().filter(|item| !items.contains(item)).cloned().collect::<Vec<_>>());
        }
        return Ok(());
    }
    let items: Vec<Value> = patch.iter().filter(|item| item.get("$patch").is_none()).cloned().collect();
    let replaces = patch.iter().any(|item| item["$patch"] == "replace");
    let key = merge_key(list, if items.is_empty() { patch } else { &items });
    let (Some(key), Value::Array(existing), false) = (key, &mut *target, replaces) else {
        *target = Value::Array(items);
        return Ok(());
    };
    for item in patch {
        let Some(id) = item.get(key) else {
            return Err(Refusal::bad_request(format!("{item} does not contain declared merge key: {key}")));
        };
        let at = existing.iter().position(|old| old.get(key) == Some(id));
        match (item["$patch"].as_str(), at) {
            (Some("delete"), Some(at)) => drop(existing.remove(at)),
            (Some("delete"), None) => {}
            (_, Some(at)) => strategic(&mut existing[at], item)?,
            (_, None) => existing.push(item.clone()),
        }
    }
    Ok(())
}

/// RFC 6902.
fn json_patch(target: &mut Value, operations: &Value) -> Result<(), Refusal> {
    let refuse = |why: &str| Refusal::invalid("", "", &[("patch".to_owned(), why.to_owned())]);
    let operations =
        operations.as_array().ok_or_else(|| Refusal::bad_request("a JSON patch is a list of operations"))?;
    for operation in operations {
        let path =
            operation["path"].as_str().ok_or_else(|| Refusal::bad_request("an operation needs a path"))?;
        let value = || operation.get("value").cloned().ok_or_else(|| Refusal::bad_request("missing value"));
        let from = || {
            let from = operation["from"].as_str().unwrap_or_default();
            target.pointer(from).cloned().ok_or_else(|| refuse(&format!("from path is missing: {from}")))
        };
        let missing = || refuse(&format!("doc is missing path: {path}"));
        match operation["op"].as_str().unwrap_or_default() {
            "test" => {
                let wanted = value()?;
                if target.pointer(path).unwrap_or(&Value::Null) != &wanted {
                    return Err(refuse(&format!("testing value {path} failed")));
                }
            }
            "add" => insert(target, path, value()?).ok_or_else(missing)?,
            "replace" => *target.pointer_mut(path).ok_or_else(missing)? = value()?,
            "remove" => drop(take(target, path).ok_or_else(missing)?),
            "copy" => {
                let copied = from()?;
                insert(target, path, copied).ok_or_else(missing)?;
            }
            "move" => {
                let moved = from()?;
                drop(take(target, operation["from"].as_str().unwrap_or_default()));
                insert(target, path, moved).ok_or_else(missing)?;
            }
            other => return Err(Refusal::bad_request(format!("unexpected kind: {other}"))),
        }
    }
    Ok(())
}

fn parent<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (above, last) = path.rsplit_once('/')?;
    Some((target.pointer_mut(above)?, last.replace("~1", "/").replace("~0", "~")))
}

fn insert(target: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    match parent(target, path)? {
        (Value::Object(fields), key) => drop(fields.insert(key, value)),
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            let at: usize = key.parse().ok().filter(|at| *at <= items.len())?;
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(target: &mut Value, path: &str) -> Option<Value> {
    match parent(target, path)? {
        (Value::Object(fields), key) => fields.remove(&key),
        (Value::Array(items), key) => {
            let at: usize = key.parse().ok().filter(|at| *at < items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(kind: PatchKind, mut target: Value, patch: &Value) -> Value {
        kind.apply(&mut target, patch).unwrap();
        target
    }

    #[test]
    fn a_merge_patch_replaces_lists_and_removes_nulls() {
        let target = json!({"a": 1, "list": [1, 2], "in": {"x": 1}});
        let patch = json!({"a": null, "list": [3], "in": {"y": 2}});
        assert_eq!(patched(PatchKind::Merge, target, &patch), json!({"list": [3], "in": {"x": 1, "y": 2}}));
    }

    #[test]
    fn a_strategic_patch_merges_containers_and_their_environment_by_name() {
        let target = json!({"containers": [
            {"name": "app", "image": "a:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
             "args": ["x"]},
            {"name": "proxy", "image": "p:1"}]});
        let patch = json!({"containers": [
            {"name": "app", "args": ["y"], "env": [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}]},
            {"name": "extra", "image": "e:1"}]});
        let wanted = json!({"containers": [
            {"name": "app", "image": "a:1", "env": [{"name": "B", "value": "3"}], "args": ["y"]},
            {"name": "proxy", "image": "p:1"},
            {"name": "extra", "image": "e:1"}]});
        assert_eq!(patched(PatchKind::Strategic, target, &patch), wanted);
    }

    #[test]
    fn a_strategic_patch_merges_conditions_by_type_and_refuses_items_without_the_key() {
        let mut target = json!({"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other"}]});
        let patch = json!({"conditions": [{"type": "Ready", "status": "False"}]});
        PatchKind::Strategic.apply(&mut target, &patch).unwrap();
        assert_eq!(target, json!({"conditions": [{"type": "Ready", "status": "False"}, {"type": "Other"}]}));
        let refused = PatchKind::Strategic.apply(&mut target, &json!({"conditions": [{"status": "x"}]}));
        assert_eq!(refused.unwrap_err().code, 400);
    }

    #[test]
    fn a_json_patch_tests_adds_moves_and_removes() {
        let target = json!({"a": {"b/c": 1}, "list": [1, 2]});
        let patch = json!([
            {"op": "test", "path": "/a/b~1c", "value": 1},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "remove", "path": "/list/0"},
            {"op": "move", "from": "/a", "path": "/z"},
        ]);
        assert_eq!(
            patched(PatchKind::Json, target.clone(), &patch),
            json!({"z": {"b/c": 1}, "list": [2, 3]})
        );
        let failing = json!([{"op": "test", "path": "/list/0", "value": 9}]);
        assert_eq!(PatchKind::Json.apply(&mut target.clone(), &failing).unwrap_err().code, 422);
    }
}
