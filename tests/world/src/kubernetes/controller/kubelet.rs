//! Scheduler and kubelet: binds pods to nodes, makes them ready, carries out resizes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::cluster::State;
use super::super::kind;
use super::super::resize::{Resize, allocation, containers};
use super::super::scheduler::{self, Amounts};
use super::super::store::{Change, Key, Store, second, text};
use super::{drop_condition, is_true, number, set_condition};

/// What happens when a timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    BecomeReady,
    FinishResize,
}

/// The state that is not in the objects.
#[derive(Debug, Default)]
pub(super) struct Kubelet {
    pods: BTreeSet<Key>,
    /// Pods that wait for room on a node.
    waiting: BTreeSet<Key>,
    timers: BTreeSet<(Instant, Key, String, Deed)>,
    armed: BTreeSet<(String, Deed)>,
    used: Option<BTreeMap<String, Amounts>>,
    turn: usize,
}

impl Kubelet {
    /// When the next timer is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(due, ..)| *due)
    }

    /// Looks at every pod again.
    pub(super) fn look_at_all(&mut self, store: &Store) {
        self.pods.extend(store.list(&kind::POD, "").map(|(key, _)| key.clone()));
        self.used = None;
    }

    /// Nodes came, went or changed.
    pub(super) fn nodes_changed(&mut self) {
        self.used = None;
        self.pods.append(&mut self.waiting);
    }

    /// A pod changed.
    pub(super) fn concern(&mut self, change: &Change) {
        if change.deleted {
            self.waiting.remove(&change.key);
            self.nodes_changed();
            return;
        }
        self.pods.insert(change.key.clone());
        let is_bound = |pod: &Value| pod["spec"]["nodeName"].is_string();
        match &change.before {
            // Whoever bound it has counted it.
            Some(before) if !is_bound(before) => {}
            Some(before) if scheduler::taken(before) == scheduler::taken(&change.object) => {}
            Some(_) => self.nodes_changed(),
            None if is_bound(&change.object) => self.used = None,
            None => {}
        }
    }

    /// Does one piece of work; false if there is none now.
    pub(super) fn work(&mut self, state: &mut State, now: Instant) -> bool {
        if let Some(key) = self.pods.pop_first() {
            self.look(state, &key, now);
            return true;
        }
        if self.timers.first().is_none_or(|(due, ..)| *due > now) {
            return false;
        }
        if let Some((_, key, uid, deed)) = self.timers.pop_first() {
            self.armed.remove(&(uid.clone(), deed));
            if let Some(pod) = state.store.get(&key).filter(|pod| text(pod, "/metadata/uid") == uid) {
                let mut pod = (**pod).clone();
                match deed {
                    Deed::BecomeReady if state.settings.never_ready => {}
                    Deed::BecomeReady => become_ready(&mut pod),
                    Deed::FinishResize => {
                        finish_resize(&mut pod, matches!(state.settings.resize, Resize::Restart { .. }));
                    }
                }
                state.store.replace(&key, pod);
            }
        }
        true
    }

    fn look(&mut self, state: &mut State, key: &Key, now: Instant) {
        let Some(pod) = state.store.get(key).cloned() else { return };
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            return;
        }
        if !pod["spec"]["nodeName"].is_string() {
            self.bind(&mut state.store, key, (*pod).clone());
        } else if pod["status"]["containerStatuses"].as_array().is_none_or(Vec::is_empty) {
            let mut pod = (*pod).clone();
            begin(&mut pod);
            state.store.replace(key, pod);
        } else if !is_true(&pod, "Ready") && !state.settings.never_ready && waits_for_start(&pod) {
            self.arm(now + state.settings.ready_after, key, &pod, Deed::BecomeReady);
        } else if asks_for_resize(&pod) {
            self.consider_resize(state, key, (*pod).clone(), now);
        }
    }

    fn arm(&mut self, due: Instant, key: &Key, pod: &Value, deed: Deed) {
        let uid = text(pod, "/metadata/uid").to_owned();
        if self.armed.insert((uid.clone(), deed)) {
            self.timers.insert((due, key.clone(), uid, deed));
        }
    }

    fn used<'a>(&'a mut self, store: &Store) -> &'a mut BTreeMap<String, Amounts> {
        self.used.get_or_insert_with(|| {
            let mut used = BTreeMap::<String, Amounts>::new();
            for (_, pod) in store.list(&kind::POD, "") {
                let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
                if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|_| !ended) {
                    add(used.entry(node.to_owned()).or_default(), &one_pod(scheduler::taken(pod)));
                }
            }
            used
        })
    }

    fn bind(&mut self, store: &mut Store, key: &Key, mut pod: Value) {
        let needed = one_pod(scheduler::requested(&pod));
        let nodes: Vec<_> = store.list(&kind::NODE, "").map(|(_, node)| node.clone()).collect();
        let mut refusals = 0;
        for step in 0..nodes.len() {
            let node = &nodes[(self.turn + step) % nodes.len()];
            let name = text(node, "/metadata/name");
            let used = self.used(store).get(name).cloned().unwrap_or_default();
            if !scheduler::suits(node, &pod) || !scheduler::has_room(node, &used, &needed) {
                refusals += 1;
                continue;
            }
            self.turn = (self.turn + step + 1) % nodes.len();
            add(self.used(store).entry(name.to_owned()).or_default(), &needed);
            pod["spec"]["nodeName"] = json!(name);
            pod["status"]["hostIP"] = json!("10.0.0.1");
            set_condition(&mut pod["status"], json!({"type": "PodScheduled", "status": "True"}));
            begin(&mut pod);
            // Binding is no edit: it leaves the generation alone.
            self.waiting.remove(key);
            store.put(key, pod);
            return;
        }
        let message =
            format!("0/{} nodes are available: {refusals} have no room or do not suit.", nodes.len());
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
        set_condition(&mut pod["status"], condition);
        self.waiting.insert(key.clone());
        store.replace(key, pod);
    }

    fn consider_resize(&mut self, state: &mut State, key: &Key, mut pod: Value, now: Instant) {
        let name = text(&pod, "/spec/nodeName").to_owned();
        let node = state.store.get(&kind::NODE.key("", &name)).cloned().unwrap_or_default();
        let wanted = scheduler::requested(&pod);
        let allocated = allocated_by(&pod);
        let grows = ["cpu", "memory"].iter().any(|name| of(&wanted, name) > of(&allocated, name));
        let mut others = self.used(&state.store).get(&name).cloned().unwrap_or_default();
        for (resource, amount) in scheduler::taken(&pod) {
            *others.entry(resource).or_default() -= amount;
        }
        let after = match state.settings.resize {
            Resize::InPlace { after } | Resize::Restart { after } => Some(after),
            _ => None,
        };
        let refused = match state.settings.resize {
            Resize::Infeasible => Some("Infeasible"),
            Resize::Deferred => Some("Deferred"),
            _ if is_allocated(&pod) => None,
            _ if !scheduler::has_room(&node, &Amounts::new(), &wanted) => Some("Infeasible"),
            _ if grows && !scheduler::has_room(&node, &others, &wanted) => Some("Deferred"),
            _ => None,
        };
        let generation = pod["metadata"]["generation"].clone();
        let status = &mut pod["status"];
        if let Some(reason) = refused {
            if reason == "Deferred" {
                self.waiting.insert(key.clone());
            }
            set_condition(
                status,
                json!({"type": "PodResizePending", "status": "True", "reason": reason,
                       "message": "the node has no room for the wanted resources", "observedGeneration": generation}),
            );
        } else {
            self.waiting.remove(key);
            drop_condition(status, "PodResizePending");
            set_condition(
                status,
                json!({"type": "PodResizeInProgress", "status": "True", "observedGeneration": generation}),
            );
            allocate(&mut pod);
            self.arm(now + after.unwrap_or(Duration::ZERO), key, &pod, Deed::FinishResize);
        }
        state.store.replace(key, pod);
    }
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        *sum.entry(name.clone()).or_default() += amount;
    }
}

fn of(amounts: &Amounts, name: &str) -> i128 {
    amounts.get(name).copied().unwrap_or(0)
}

/// A pod takes a place beside its resources.
fn one_pod(mut amounts: Amounts) -> Amounts {
    amounts.insert("pods".to_owned(), 1000);
    amounts
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["status"]["containerStatuses"].as_array().into_iter().flatten()
}

fn allocated_by(pod: &Value) -> Amounts {
    let mut sum = Amounts::new();
    for status in statuses(pod) {
        add(&mut sum, &scheduler::amounts(&status["allocatedResources"]));
    }
    sum
}

fn is_allocated(pod: &Value) -> bool {
    containers(pod)
        .iter()
        .zip(statuses(pod))
        .all(|(container, status)| status["allocatedResources"] == allocation(container))
}

fn asks_for_resize(pod: &Value) -> bool {
    let differs = containers(pod)
        .iter()
        .zip(statuses(pod))
        .any(|(container, status)| container["resources"] != status["resources"]);
    let pending = pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|item| item["type"] == "PodResizePending");
    differs || pending
}

/// A pod that has been made unready from outside is left so; one that has never been ready waits for its start.
fn waits_for_start(pod: &Value) -> bool {
    statuses(pod).any(|status| status["started"] != true)
}

/// The containers run, but are not ready yet.
fn begin(pod: &mut Value) {
    let now = json!(second(Timestamp::now()));
    let statuses: Vec<Value> = containers(pod)
        .iter()
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "ready": false, "started": false,
                "restartCount": 0, "state": {"running": {"startedAt": now}},
                "resources": container["resources"], "allocatedResources": allocation(container),
            })
        })
        .collect();
    let status = &mut pod["status"];
    status["phase"] = json!("Running");
    status["startTime"] = now;
    status["containerStatuses"] = Value::Array(statuses);
    set_condition(status, json!({"type": "Initialized", "status": "True"}));
    for condition in ["ContainersReady", "Ready"] {
        set_condition(status, json!({"type": condition, "status": "False", "reason": "ContainersNotReady"}));
    }
}

fn become_ready(pod: &mut Value) {
    let status = &mut pod["status"];
    for container in status["containerStatuses"].as_array_mut().into_iter().flatten() {
        container["ready"] = json!(true);
        container["started"] = json!(true);
    }
    for condition in ["ContainersReady", "Ready"] {
        set_condition(status, json!({"type": condition, "status": "True"}));
    }
}

/// The node sets the wanted resources aside.
fn allocate(pod: &mut Value) {
    let wanted: Vec<Value> = containers(pod).iter().map(allocation).collect();
    let statuses = pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten();
    for (status, wanted) in statuses.zip(wanted) {
        status["allocatedResources"] = wanted;
    }
}

/// The running containers have what was set aside for them.
fn finish_resize(pod: &mut Value, restarts: bool) {
    let wanted: Vec<(Value, bool)> = containers(pod)
        .iter()
        .map(|container| {
            let policies = container["resizePolicy"].as_array().into_iter().flatten();
            let mut named = policies.filter(|policy| policy["restartPolicy"] == "RestartContainer");
            (container["resources"].clone(), restarts || named.next().is_some())
        })
        .collect();
    let statuses = pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten();
    for (status, (resources, restarts)) in statuses.zip(wanted) {
        if status["resources"] != resources {
            status["resources"] = resources;
            if restarts {
                status["restartCount"] = json!(number(status, "/restartCount") + 1);
            }
        }
    }
    drop_condition(&mut pod["status"], "PodResizeInProgress");
}
