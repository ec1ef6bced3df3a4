//! The replica set controller: as many pods as wanted.

use serde_json::json;

use super::super::kind;
use super::super::store::{Key, Store, mix, text};
use super::{count, drop_condition, is_true, number, pod, set_condition, set_counts};

/// Creates or deletes pods and counts them.
pub(super) fn reconcile(store: &mut Store, key: &Key) {
    let Some(set) = store.get(key).cloned() else { return };
    let uid = text(&set, "/metadata/uid");
    let mut pods = store.owned_by(uid);
    let wanted = usize::try_from(number(&set, "/spec/replicas")).unwrap_or(0);
    let mut failure = None;
    for _ in pods.len()..wanted {
        let name = format!("{}-{}", key.name, pod::suffix(mix(store.issue()), 5));
        if let Err(refusal) = pod::create(store, &kind::REPLICA_SET, &set, &name, &[]) {
            failure = Some(refusal);
            break;
        }
    }
    if pods.len() > wanted {
        // Those that serve least go first, the younger of two before the older.
        pods.sort_by_key(|(_, pod)| {
            let bound = pod["spec"]["nodeName"].is_string();
            (bound, is_true(pod, "Ready"), std::cmp::Reverse(text(pod, "/metadata/uid").to_owned()))
        });
        for (pod, _) in pods.drain(..pods.len() - wanted) {
            store.remove(&pod);
        }
    }
    let pods = store.owned_by(uid);
    let ready = count(pods.iter().filter(|(_, pod)| is_true(pod, "Ready")).count());
    let mut new = (*set).clone();
    let status = &mut new["status"];
    status["replicas"] = json!(pods.len());
    set_counts(
        status,
        &[
            ("fullyLabeledReplicas", count(pods.len())),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
        ],
    );
    status["observedGeneration"] = set["metadata"]["generation"].clone();
    match failure {
        // The message names the pod that could not be made, each time another: written once, or it would never rest.
        Some(_) if is_true(&set, "ReplicaFailure") => {}
        Some(refusal) => {
            let message = refusal.message();
            set_condition(
                status,
                json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}),
            );
        }
        None => drop_condition(status, "ReplicaFailure"),
    }
    store.replace(key, new);
}
