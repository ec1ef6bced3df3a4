//! The deployment controller: one replica set for each template, and the roll from one to the next.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::kind;
use super::super::store::{Key, Store, text};
use super::{drop_condition, number, owner_reference, pod, set_condition, set_counts};

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

type Sets = Vec<(Key, Arc<Value>)>;

/// Moves the replica sets one step towards the deployment's spec and counts their pods.
pub(super) fn reconcile(store: &mut Store, key: &Key) {
    let Some(deployment) = store.get(key).cloned() else { return };
    let uid = text(&deployment, "/metadata/uid");
    let hash = pod::template_hash(&deployment["spec"]["template"]);
    let is_current = |set: &Value| set["metadata"]["labels"][HASH] == hash.as_str();
    let mut sets: Sets = store.owned_by(uid);
    let paused = deployment["spec"]["paused"] == true;
    if !paused && !sets.iter().any(|(_, set)| is_current(set)) {
        create(store, key, &deployment, &hash, &sets);
        sets = store.owned_by(uid);
    }
    let (current, old): (Sets, Sets) = sets.into_iter().partition(|(_, set)| is_current(set));
    let wanted = number(&deployment, "/spec/replicas").max(0);
    match current.first() {
        Some(_) if paused && old.iter().any(|(_, set)| number(set, "/spec/replicas") > 0) => {}
        Some(new) => roll(store, &deployment, wanted, new, &old),
        None => {}
    }
    report(store, key, wanted, &is_current);
}

fn create(store: &mut Store, key: &Key, deployment: &Value, hash: &str, sets: &Sets) {
    let spec = &deployment["spec"];
    let revision = |set: &Value| {
        set["metadata"]["annotations"][REVISION].as_str().and_then(|text| text.parse::<u64>().ok())
    };
    let revision = sets.iter().filter_map(|(_, set)| revision(set)).max().unwrap_or(0) + 1;
    let replicas = if sets.is_empty() { spec["replicas"].clone() } else { json!(0) };
    let mut set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "labels": spec["template"]["metadata"]["labels"], "ownerReferences": owner_reference(&kind::DEPLOYMENT, deployment),
            "annotations": {REVISION: revision.to_string()},
        },
        "spec": {"replicas": replicas, "selector": spec["selector"], "template": spec["template"]},
        "status": {"replicas": 0},
    });
    set["metadata"]["labels"][HASH] = json!(hash);
    set["spec"]["selector"]["matchLabels"][HASH] = json!(hash);
    set["spec"]["template"]["metadata"]["labels"][HASH] = json!(hash);
    let place = kind::REPLICA_SET.key(&key.namespace, &format!("{}-{hash}", key.name));
    if store.get(&place).is_some() {
        return;
    }
    store.stamp(&place, &mut set);
    store.put(&place, set);
    let mut deployment = deployment.clone();
    deployment["metadata"]["annotations"][REVISION] = json!(revision.to_string());
    store.replace(key, deployment);
}

/// How far the number of pods may go above and how far the available ones below what is wanted.
fn slack(deployment: &Value, wanted: i64) -> (i64, i64) {
    let part = |field: &str, up: bool| {
        let value = &deployment["spec"]["strategy"]["rollingUpdate"][field];
        let percent =
            value.as_str().and_then(|text| text.strip_suffix('%')).and_then(|text| text.parse::<i64>().ok());
        match percent {
            Some(percent) if up => (wanted * percent + 99) / 100,
            Some(percent) => wanted * percent / 100,
            None => value.as_i64().unwrap_or(0),
        }
    };
    match (part("maxSurge", true), part("maxUnavailable", false)) {
        (0, 0) => (0, 1),
        slack => slack,
    }
}

fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas").min(number(set, "/spec/replicas"))
}

fn roll(store: &mut Store, deployment: &Value, wanted: i64, new: &(Key, Arc<Value>), old: &Sets) {
    let specified = |set: &Value| number(set, "/spec/replicas");
    let has = specified(&new.1);
    if deployment["spec"]["strategy"]["type"] == "Recreate" {
        for (key, _) in old {
            scale(store, key, 0);
        }
        if old.iter().all(|(_, set)| number(set, "/status/replicas") == 0) {
            scale(store, &new.0, wanted);
        }
        return;
    }
    let (surge, unavailable) = slack(deployment, wanted);
    let total = has + old.iter().map(|(_, set)| specified(set)).sum::<i64>();
    if has > wanted {
        scale(store, &new.0, wanted);
    } else if has < wanted {
        let room = (wanted + surge - total).max(0);
        scale(store, &new.0, has + room.min(wanted - has));
    }
    let least = wanted - unavailable;
    let mut may_go = total - least - (has - available(&new.1));
    let mut may_stop = available(&new.1) + old.iter().map(|(_, set)| available(set)).sum::<i64>() - least;
    for (key, set) in old {
        let unhealthy = (specified(set) - available(set)).min(may_go).max(0);
        may_go -= unhealthy;
        let healthy = available(set).min(may_go).min(may_stop).max(0);
        may_go -= healthy;
        may_stop -= healthy;
        scale(store, key, specified(set) - unhealthy - healthy);
    }
}

fn scale(store: &mut Store, key: &Key, replicas: i64) {
    if let Some(set) = store.get(key)
        && number(set, "/spec/replicas") != replicas
    {
        let mut set = (**set).clone();
        set["spec"]["replicas"] = json!(replicas);
        store.replace(key, set);
    }
}

fn report(store: &mut Store, key: &Key, wanted: i64, is_current: &dyn Fn(&Value) -> bool) {
    let Some(deployment) = store.get(key).cloned() else { return };
    let sets = store.owned_by(text(&deployment, "/metadata/uid"));
    let sum = |field: &str| sets.iter().map(|(_, set)| number(set, field)).sum::<i64>();
    let (replicas, ready, available) =
        (sum("/status/replicas"), sum("/status/readyReplicas"), sum("/status/availableReplicas"));
    let updated =
        sets.iter().filter(|(_, set)| is_current(set)).map(|(_, set)| number(set, "/status/replicas")).sum();
    let mut new = (*deployment).clone();
    let status = &mut new["status"];
    set_counts(
        status,
        &[
            ("replicas", replicas),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", available),
            ("unavailableReplicas", (wanted.max(replicas) - available).max(0)),
        ],
    );
    status["observedGeneration"] = deployment["metadata"]["generation"].clone();
    let enough = available >= wanted - slack(&deployment, wanted).1;
    let (is_available, reason) =
        if enough { ("True", "MinimumReplicasAvailable") } else { ("False", "MinimumReplicasUnavailable") };
    set_condition(status, json!({"type": "Available", "status": is_available, "reason": reason}));
    let complete = updated == wanted && replicas == wanted && available >= wanted;
    let reason = if complete { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" };
    set_condition(status, json!({"type": "Progressing", "status": "True", "reason": reason}));
    let conditions = |set: &Value| set["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let failure =
        sets.iter().flat_map(|(_, set)| conditions(set)).find(|item| item["type"] == "ReplicaFailure");
    match failure {
        Some(failure) => set_condition(status, failure),
        None => drop_condition(status, "ReplicaFailure"),
    }
    store.replace(key, new);
}
