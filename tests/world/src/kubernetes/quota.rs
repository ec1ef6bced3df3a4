//! Resource quotas and limit ranges: what a namespace allows its pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kind;
use super::quantity::{milli, spell};
use super::status::Refusal;
use super::store::Store;

/// A pod's amounts in thousandths, under the names that quotas use.
fn amounts(pod: &Value) -> BTreeMap<String, i128> {
    let mut amounts = BTreeMap::from([("pods".to_owned(), 1000), ("count/pods".to_owned(), 1000)]);
    for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
        for part in ["requests", "limits"] {
            for (resource, quantity) in container["resources"][part].as_object().into_iter().flatten() {
                let amount = milli(quantity).unwrap_or(0);
                *amounts.entry(format!("{part}.{resource}")).or_default() += amount;
                if part == "requests" {
                    *amounts.entry(resource.clone()).or_default() += amount;
                }
            }
        }
    }
    amounts
}

fn used(store: &Store, namespace: &str) -> BTreeMap<String, i128> {
    let mut used = BTreeMap::new();
    for (_, pod) in store.list(&kind::POD, namespace) {
        if !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            for (name, amount) in amounts(pod) {
                *used.entry(name).or_default() += amount;
            }
        }
    }
    used
}

/// Refuses a pod that a quota of its namespace has no room for; `old` is what it replaces.
pub(crate) fn admit(store: &Store, old: &Value, pod: &Value) -> Result<(), Refusal> {
    let meta = &pod["metadata"];
    let (namespace, name) =
        (meta["namespace"].as_str().unwrap_or_default(), meta["name"].as_str().unwrap_or_default());
    let mut quotas = store.list(&kind::QUOTA, namespace).peekable();
    if quotas.peek().is_none() {
        return Ok(());
    }
    let used = used(store, namespace);
    let before = if old.is_null() { BTreeMap::new() } else { amounts(old) };
    let wanted = amounts(pod);
    for (key, quota) in quotas {
        for (resource, hard) in quota["spec"]["hard"].as_object().into_iter().flatten() {
            let (Some(hard), Some(wanted)) = (milli(hard), wanted.get(resource)) else { continue };
            let asked = wanted - before.get(resource).copied().unwrap_or(0);
            let used = used.get(resource).copied().unwrap_or(0);
            if asked > 0 && used + asked > hard {
                let why = format!(
                    "exceeded quota: {}, requested: {resource}={}, used: {resource}={}, limited: {resource}={}",
                    key.name,
                    spell(asked),
                    spell(used),
                    spell(hard)
                );
                return Err(Refusal::forbidden(&kind::POD, name, &why));
            }
        }
    }
    Ok(())
}

/// Writes what is used into every quota of a namespace.
pub(crate) fn account(store: &mut Store, namespace: &str) {
    let quotas: Vec<_> =
        store.list(&kind::QUOTA, namespace).map(|(key, quota)| (key.clone(), quota.clone())).collect();
    if quotas.is_empty() {
        return;
    }
    let used = used(store, namespace);
    for (key, quota) in quotas {
        let mut quota = (*quota).clone();
        let hard = quota["spec"]["hard"].clone();
        let of =
            |resource: &String| (resource.clone(), json!(spell(used.get(resource).copied().unwrap_or(0))));
        let used: serde_json::Map<_, _> =
            hard.as_object().into_iter().flatten().map(|(name, _)| of(name)).collect();
        quota["status"] = json!({"hard": hard, "used": used});
        store.replace(&key, quota);
    }
}

/// Fills in a limit range's defaults for a new pod's containers.
pub(crate) fn default_limits(store: &Store, pod: &mut Value) {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    for (_, range) in store.list(&kind::LIMIT_RANGE, &namespace) {
        for item in range["spec"]["limits"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| item["type"] == "Container")
        {
            for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
                for (part, default) in [("limits", "default"), ("requests", "defaultRequest")] {
                    for (resource, quantity) in item[default].as_object().into_iter().flatten() {
                        if container["resources"][part].get(resource).is_none() {
                            container["resources"][part][resource.as_str()] = quantity.clone();
                        }
                    }
                }
            }
        }
    }
}

/// Refuses a pod outside of what a limit range of its namespace allows.
pub(crate) fn within_limits(store: &Store, pod: &Value) -> Result<(), Refusal> {
    let meta = &pod["metadata"];
    let (namespace, name) =
        (meta["namespace"].as_str().unwrap_or_default(), meta["name"].as_str().unwrap_or_default());
    for (_, range) in store.list(&kind::LIMIT_RANGE, namespace) {
        for item in range["spec"]["limits"].as_array().into_iter().flatten() {
            let scope = item["type"].as_str().unwrap_or_default();
            let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let amount = |part: &str, resource: &String, of: &[Value]| -> i128 {
                of.iter()
                    .filter_map(|container| milli(&container["resources"][part][resource.as_str()]))
                    .sum()
            };
            let units: Vec<&[Value]> = match scope {
                "Container" => containers.chunks(1).collect(),
                "Pod" => vec![containers],
                _ => continue,
            };
            for unit in units {
                for (resource, most) in item["max"].as_object().into_iter().flatten() {
                    let found = amount("limits", resource, unit);
                    if milli(most).is_some_and(|most| found > most) {
                        let why = format!(
                            "maximum {resource} usage per {scope} is {}, but limit is {}",
                            plain(most),
                            spell(found)
                        );
                        return Err(Refusal::forbidden(&kind::POD, name, &why));
                    }
                }
                for (resource, least) in item["min"].as_object().into_iter().flatten() {
                    let found = amount("requests", resource, unit);
                    if milli(least).is_some_and(|least| found < least) {
                        let why = format!(
                            "minimum {resource} usage per {scope} is {}, but request is {}",
                            plain(least),
                            spell(found)
                        );
                        return Err(Refusal::forbidden(&kind::POD, name, &why));
                    }
                }
            }
        }
    }
    Ok(())
}

fn plain(quantity: &Value) -> String {
    quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned)
}
