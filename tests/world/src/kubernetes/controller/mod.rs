//! The controllers, scheduler and kubelet in one loop, driven by changes and timers.
//!
//! Each part only reads and writes the store; the loop decides who looks at what, until nothing changes any more.

mod deployment;
mod kubelet;
mod pod;
mod replica_set;
mod stateful_set;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use self::kubelet::Kubelet;
use super::cluster::{Cluster, State};
use super::kind;
use super::quota;
use super::store::{Change, Key, Store, controller_of, text};

/// After so many steps requests get their turn.
const STEPS: usize = 10_000;

/// Runs until the cluster stops.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    let mut changes = cluster.changes();
    let mut controller = Controller::default();
    loop {
        changes.borrow_and_update();
        let due = cluster.with(|state| {
            if state.settings.controllers_rest { None } else { controller.pass(state, Instant::now()) }
        });
        let timer = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            news = changes.changed() => if news.is_err() { return },
            () = timer => {}
            () = cluster.stop.cancelled() => return,
        }
    }
}

#[derive(Debug, Default)]
struct Controller {
    seen: u64,
    settings: u64,
    dirty: BTreeSet<Key>,
    kubelet: Kubelet,
}

impl Controller {
    /// Works until nothing is left to do now; answers when the next timer is due.
    fn pass(&mut self, state: &mut State, now: Instant) -> Option<Instant> {
        for _ in 0..STEPS {
            self.collect(state);
            if let Some(key) = self.dirty.pop_first() {
                reconcile(&mut state.store, &key);
            } else if !self.kubelet.work(state, now) && state.store.revision() == self.seen {
                return self.kubelet.next_due();
            }
        }
        Some(now)
    }

    fn collect(&mut self, state: &State) {
        if self.settings != state.settings.version {
            self.settings = state.settings.version;
            self.kubelet.look_at_all(&state.store);
        }
        if self.seen < state.store.forgotten() {
            for kind in [kind::DEPLOYMENT, kind::REPLICA_SET, kind::STATEFUL_SET] {
                self.dirty.extend(state.store.list(&kind, "").map(|(key, _)| key.clone()));
            }
            self.kubelet.look_at_all(&state.store);
        }
        for change in state.store.changes_since(self.seen) {
            self.concern(&state.store, change);
        }
        self.seen = state.store.revision();
    }

    /// Whom a change concerns.
    fn concern(&mut self, store: &Store, change: &Change) {
        let key = &change.key;
        let owner = controller_of(&change.object).and_then(|owner| {
            let kind = [kind::DEPLOYMENT, kind::REPLICA_SET, kind::STATEFUL_SET]
                .into_iter()
                .find(|kind| owner["kind"] == kind.kind)?;
            Some(kind.key(&key.namespace, owner["name"].as_str()?))
        });
        self.dirty.extend(owner);
        match key.plural {
            "pods" => {
                self.kubelet.concern(change);
                if store.list(&kind::QUOTA, &key.namespace).next().is_some() {
                    self.dirty.insert(kind::QUOTA.key(&key.namespace, ""));
                    if change.deleted {
                        self.retry_creations(store, &key.namespace);
                    }
                }
            }
            "nodes" => self.kubelet.nodes_changed(),
            "resourcequotas" | "limitranges" => {
                self.dirty.insert(kind::QUOTA.key(&key.namespace, ""));
                self.retry_creations(store, &key.namespace);
            }
            "deployments" | "replicasets" | "statefulsets" => drop(self.dirty.insert(key.clone())),
            _ => {}
        }
    }

    fn retry_creations(&mut self, store: &Store, namespace: &str) {
        for kind in [kind::REPLICA_SET, kind::STATEFUL_SET] {
            self.dirty.extend(store.list(&kind, namespace).map(|(key, _)| key.clone()));
        }
    }
}

fn reconcile(store: &mut Store, key: &Key) {
    match key.plural {
        "deployments" => deployment::reconcile(store, key),
        "replicasets" => replica_set::reconcile(store, key),
        "statefulsets" => stateful_set::reconcile(store, key),
        _ => quota::account(store, &key.namespace),
    }
}

/// A condition with its transition time, which moves only with the status.
fn set_condition(status: &mut Value, wanted: Value) {
    let mut wanted = wanted;
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let old = conditions.iter().find(|old| old["type"] == wanted["type"]);
    let unchanged = old.filter(|old| old["status"] == wanted["status"]);
    wanted["lastTransitionTime"] = match unchanged {
        Some(old) => old["lastTransitionTime"].clone(),
        None => json!(super::store::second(jiff::Timestamp::now())),
    };
    let at = conditions.iter().position(|old| old["type"] == wanted["type"]);
    status["conditions"] = Value::Array(conditions);
    if let Some(list) = status["conditions"].as_array_mut() {
        match at {
            Some(at) => list[at] = wanted,
            None => list.push(wanted),
        }
    }
}

fn drop_condition(status: &mut Value, kind: &str) {
    if let Some(list) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        list.retain(|condition| condition["type"] != kind);
    }
}

/// Whether the condition is true.
pub(crate) fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|item| item["type"] == condition && item["status"] == "True")
}

/// A number at a pointer, 0 where there is none.
fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

/// Counts in a status; as in the real one, zeros are left out.
fn set_counts(status: &mut Value, counts: &[(&str, i64)]) {
    for (field, count) in counts {
        if *count == 0 {
            drop(status.as_object_mut().and_then(|status| status.remove(*field)));
        } else {
            status[*field] = json!(count);
        }
    }
}

/// The reference by which an object is controlled.
fn owner_reference(kind: &super::kind::Kind, owner: &Value) -> Value {
    json!([{"apiVersion": kind.api_version(), "kind": kind.kind, "name": text(owner, "/metadata/name"),
            "uid": text(owner, "/metadata/uid"), "controller": true, "blockOwnerDeletion": true}])
}
