//! The stateful set controller: numbered pods, made and replaced in order.

use serde_json::json;

use super::super::kind;
use super::super::store::{Key, Store, text};
use super::{count, is_true, number, pod, set_counts};

const REVISION: &str = "controller-revision-hash";

/// Creates, deletes or replaces pods and counts them.
pub(super) fn reconcile(store: &mut Store, key: &Key) {
    let Some(set) = store.get(key).cloned() else { return };
    let wanted = number(&set, "/spec/replicas").max(0);
    let revision = format!("{}-{}", key.name, pod::template_hash(&set["spec"]["template"]));
    let ordered = set["spec"]["podManagementPolicy"] != "Parallel";
    let place = |ordinal: i64| kind::POD.key(&key.namespace, &format!("{}-{ordinal}", key.name));
    let ordinal = |pod: &Key| pod.name.rsplit_once('-').and_then(|(_, number)| number.parse::<i64>().ok());

    let pods = store.owned_by(text(&set, "/metadata/uid"));
    let mut surplus: Vec<_> =
        pods.iter().filter(|(pod, _)| ordinal(pod).is_none_or(|n| n >= wanted)).collect();
    surplus.sort_by_key(|(pod, _)| std::cmp::Reverse(ordinal(pod)));
    for (pod, _) in surplus {
        store.remove(pod);
    }
    let mut all_ready = true;
    for n in 0..wanted {
        if let Some(pod) = store.get(&place(n)) {
            all_ready &= is_true(pod, "Ready");
        } else {
            let name = format!("{}-{n}", key.name);
            let labels =
                [("statefulset.kubernetes.io/pod-name", name.as_str()), (REVISION, revision.as_str())];
            all_ready = false;
            if pod::create(store, &kind::STATEFUL_SET, &set, &name, &labels).is_err() {
                break;
            }
        }
        if ordered && !all_ready {
            break;
        }
    }
    let is_old = |store: &Store, n: i64| {
        store.get(&place(n)).is_some_and(|pod| pod["metadata"]["labels"][REVISION] != revision.as_str())
    };
    let partition = number(&set, "/spec/updateStrategy/rollingUpdate/partition");
    let rolls = set["spec"]["updateStrategy"]["type"] != "OnDelete";
    let outdated = (partition..wanted).rev().find(|n| is_old(store, *n));
    let healthy =
        all_ready || outdated.is_some_and(|n| store.get(&place(n)).is_some_and(|pod| !is_true(pod, "Ready")));
    if let Some(n) = outdated.filter(|_| rolls && healthy) {
        store.remove(&place(n));
    }

    let pods = store.owned_by(text(&set, "/metadata/uid"));
    let ready = count(pods.iter().filter(|(_, pod)| is_true(pod, "Ready")).count());
    let updated = count(
        pods.iter().filter(|(_, pod)| pod["metadata"]["labels"][REVISION] == revision.as_str()).count(),
    );
    let mut new = (*set).clone();
    let status = &mut new["status"];
    let before = status["currentRevision"].as_str().unwrap_or(&revision).to_owned();
    let rolled = updated == wanted && count(pods.len()) == wanted;
    status["replicas"] = json!(pods.len());
    set_counts(
        status,
        &[
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("updatedReplicas", updated),
            (
                "currentReplicas",
                if rolled || before == revision { updated } else { count(pods.len()) - updated },
            ),
        ],
    );
    status["currentRevision"] = json!(if rolled { revision.clone() } else { before });
    status["updateRevision"] = json!(revision);
    status["observedGeneration"] = set["metadata"]["generation"].clone();
    store.replace(key, new);
}
