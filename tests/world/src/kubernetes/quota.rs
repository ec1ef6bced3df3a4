//! Resource quotas and limit ranges: what a namespace allows its pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kind;
use super::quantity::{milli, spell};
use super::status::Refusal;
use super::store::Store;
use super::{admission, resize, scheduler};

/// A pod's amounts in thousandths, under the names that quotas use.
fn amounts(pod: &Value) -> BTreeMap<String, i128> {
    let mut amounts = BTreeMap::from([("pods".to_owned(), 1000), ("count/pods".to_owned(), 1000)]);
    for (resource, amount) in scheduler::taken(pod) {
        amounts.insert(format!("requests.{resource}"), amount);
        if ["cpu", "memory", "ephemeral-storage"].contains(&resource.as_str())
            || resource.starts_with("hugepages-")
        {
            amounts.insert(resource, amount);
        }
    }
    for (resource, amount) in scheduler::limited(pod) {
        amounts.insert(format!("limits.{resource}"), amount);
    }
    amounts
}

/// Whether a quota counts a pod: all of its scopes do.
fn counts(quota: &Value, pod: &Value) -> bool {
    let spec = &quota["spec"];
    let plain =
        spec["scopes"].as_array().into_iter().flatten().map(|scope| (scope.as_str(), "Exists", &Value::Null));
    let selected = spec["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten();
    let selected = selected
        .map(|item| (item["scopeName"].as_str(), item["operator"].as_str().unwrap_or(""), &item["values"]));
    plain.chain(selected).all(|(scope, operator, values)| {
        let has_deadline = pod["spec"]["activeDeadlineSeconds"].is_i64();
        let best_effort = resize::qos_class(&pod["spec"]) == "BestEffort";
        let class = pod["spec"]["priorityClassName"].as_str().filter(|name| !name.is_empty());
        match scope {
            Some("Terminating") => has_deadline,
            Some("NotTerminating") => !has_deadline,
            Some("BestEffort") => best_effort,
            Some("NotBestEffort") => !best_effort,
            Some("PriorityClass") => {
                let listed = class
                    .is_some_and(|class| values.as_array().into_iter().flatten().any(|value| value == class));
                match operator {
                    "In" => listed,
                    "NotIn" => !listed,
                    "DoesNotExist" => class.is_none(),
                    _ => class.is_some(),
                }
            }
            _ => false,
        }
    })
}

/// What the counted pods of a namespace use of one quota.
fn used(store: &Store, namespace: &str, quota: &Value) -> BTreeMap<String, i128> {
    let mut used = BTreeMap::new();
    for (_, pod) in store.list(&kind::POD, namespace) {
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if !ended && counts(quota, pod) {
            for (name, amount) in amounts(pod) {
                *used.entry(name).or_default() += amount;
            }
        }
    }
    used
}

/// A counted compute resource that a container of the pod says nothing of.
fn unsaid(pod: &Value, counted: &str) -> bool {
    let (part, resource) = match counted {
        "cpu" | "memory" => ("requests", counted),
        "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory" => {
            counted.split_once('.').unwrap_or(("requests", counted))
        }
        _ => return false,
    };
    let all = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let mut all = all.into_iter().flatten().flatten();
    pod["spec"]["resources"][part][resource].is_null()
        && all.any(|container| container["resources"][part][resource].is_null())
}

/// Refuses a pod that a quota of its namespace has no room for; `old` is what it replaces.
pub(crate) fn admit(store: &Store, old: &Value, pod: &Value) -> Result<(), Refusal> {
    let meta = &pod["metadata"];
    let (namespace, name) =
        (meta["namespace"].as_str().unwrap_or_default(), meta["name"].as_str().unwrap_or_default());
    let quotas = store.list(&kind::QUOTA, namespace).filter(|(_, quota)| counts(quota, pod));
    let before = if old.is_null() { BTreeMap::new() } else { amounts(old) };
    let wanted = amounts(pod);
    for (key, quota) in quotas {
        let used = used(store, namespace, quota);
        for (resource, hard) in quota["spec"]["hard"].as_object().into_iter().flatten() {
            if old.is_null() && unsaid(pod, resource) {
                let why = format!("failed quota: {}: must specify {resource} for each container", key.name);
                return Err(Refusal::forbidden(&kind::POD, name, &why));
            }
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
    for (key, quota) in quotas {
        let used = used(store, namespace, &quota);
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
            admission::each_container(&mut pod["spec"], |container| {
                for (part, default) in [("limits", "default"), ("requests", "defaultRequest")] {
                    for (resource, quantity) in item[default].as_object().into_iter().flatten() {
                        if container["resources"][part].get(resource).is_none() {
                            container["resources"][part][resource.as_str()] = quantity.clone();
                        }
                    }
                }
            });
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
            let units: Vec<(Value, Value)> = match item["type"].as_str() {
                Some("Container") => {
                    let all = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
                    let resources =
                        all.into_iter().flatten().flatten().map(|container| &container["resources"]);
                    resources.map(|it| (it["requests"].clone(), it["limits"].clone())).collect()
                }
                Some("Pod") => {
                    let mut bare = pod.clone();
                    bare["spec"]["overhead"] = Value::Null;
                    let spelled = |amounts: scheduler::Amounts| {
                        let all = amounts.into_iter().map(|(name, amount)| (name, json!(spell(amount))));
                        Value::Object(all.collect())
                    };
                    vec![(spelled(scheduler::requested(&bare)), spelled(scheduler::limited(&bare)))]
                }
                _ => continue,
            };
            for (requests, limits) in units {
                if let Some(why) = outside(item, &requests, &limits) {
                    return Err(Refusal::forbidden(&kind::POD, name, &why));
                }
            }
        }
    }
    Ok(())
}

/// What an item of a limit range has against these amounts.
fn outside(item: &Value, requests: &Value, limits: &Value) -> Option<String> {
    let scope = item["type"].as_str().unwrap_or_default();
    let entries = |field: &str| item[field].as_object().into_iter().flatten();
    for (resource, most) in entries("max") {
        let bound = milli(most)?;
        let said = format!("maximum {resource} usage per {scope} is {}", plain(most));
        match (milli(&limits[resource]), milli(&requests[resource])) {
            (None, _) => return Some(format!("{said}. No limit is specified")),
            (Some(limit), _) if limit > bound => {
                return Some(format!("{said}, but limit is {}", spell(limit)));
            }
            (_, Some(request)) if request > bound => {
                return Some(format!("{said}, but request is {}", spell(request)));
            }
            _ => {}
        }
    }
    for (resource, least) in entries("min") {
        let bound = milli(least)?;
        let said = format!("minimum {resource} usage per {scope} is {}", plain(least));
        match (milli(&requests[resource]), milli(&limits[resource])) {
            (None, _) => return Some(format!("{said}. No request is specified")),
            (Some(request), _) if request < bound => {
                return Some(format!("{said}, but request is {}", spell(request)));
            }
            (_, Some(limit)) if limit < bound => {
                return Some(format!("{said}, but limit is {}", spell(limit)));
            }
            _ => {}
        }
    }
    for (resource, ratio) in entries("maxLimitRequestRatio") {
        let (request, limit) =
            (milli(&requests[resource]).unwrap_or(0), milli(&limits[resource]).unwrap_or(0));
        let said = format!("{resource} max limit to request ratio per {scope} is {}", plain(ratio));
        if request == 0 || limit == 0 {
            return Some(format!("{said}, but no request is specified or request is 0"));
        }
        if limit * 1000 > milli(ratio)? * request {
            return Some(format!("{said}, but provided ratio is {}/{}", spell(limit), spell(request)));
        }
    }
    None
}

fn plain(quantity: &Value) -> String {
    quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned)
}
