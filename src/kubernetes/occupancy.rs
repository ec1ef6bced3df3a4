//! Occupancy: which pods are on which node, and what that leaves. Kept up change by change, so that a look costs
//! nothing; judges no pod.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::{Node as NodeObject, Pod};
use kube::core::{Selector, SelectorExt as _};

use super::demand;
use super::observe::{is_live, snapshot};
use super::watch::{Pulse, Sink};
use crate::domain::scaling::amounts::PODS;
use crate::domain::scaling::{Amounts, Known, Node, Placed, PodDemand, PodSnapshot, Taint, Unseen};

/// The nodes and pods of the cluster.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    pub(super) nodes: Nodes,
    pub(super) pods: Pods,
    held: Mutex<Held>,
}

/// The pulse of the nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes(pub(super) Pulse);

/// The pulse of the pods.
#[derive(Debug, Default)]
pub(super) struct Pods(pub(super) Pulse);

#[derive(Debug, Default)]
struct Held {
    nodes: BTreeMap<Arc<str>, Arc<Node>>,
    pods: HashMap<String, BTreeMap<String, HeldPod>>,
    used: HashMap<Arc<str>, Amounts>,
    /// What pods of one owner ask for, which is mostly the same.
    demands: HashMap<String, Arc<PodDemand>>,
    dirty: BTreeSet<Arc<str>>,
    shared: Option<Arc<[Arc<Node>]>>,
}

/// One pod, as far as it counts here.
#[derive(Debug, Clone)]
pub(super) struct HeldPod {
    pub(super) snapshot: PodSnapshot,
    /// Whether it is not on its way out.
    pub(super) is_live: bool,
    pub(super) labels: BTreeMap<String, String>,
    /// Kind and identity of its controller.
    pub(super) owner: Option<(String, String)>,
    pub(super) node: Option<Arc<str>>,
    pub(super) demand: Arc<PodDemand>,
    pub(super) counted: Amounts,
}

impl Occupancy {
    /// The nodes with what is free on each, where that can be trusted.
    pub(super) fn nodes(&self) -> Known<Arc<[Arc<Node>]>> {
        match self.nodes.0.trusted().and_then(|()| self.pods.0.trusted()) {
            Ok(()) => Known::Seen(self.with(Held::share)),
            Err(why) => Known::Unseen(why),
        }
    }

    /// The live pods of a namespace that are selected and belong, where that can be trusted.
    pub(super) fn pods(
        &self,
        namespace: &str,
        selector: &Selector,
        belongs: impl Fn(Option<(&str, &str)>) -> bool,
    ) -> Result<Vec<HeldPod>, Unseen> {
        self.pods.0.trusted()?;
        let is_one = |pod: &&HeldPod| {
            let owner = pod.owner.as_ref().map(|(kind, uid)| (kind.as_str(), uid.as_str()));
            pod.is_live && selector.matches(&pod.labels) && belongs(owner)
        };
        Ok(self.with(|held| {
            held.pods.get(namespace).into_iter().flat_map(BTreeMap::values).filter(is_one).cloned().collect()
        }))
    }

    fn with<R>(&self, work: impl FnOnce(&mut Held) -> R) -> R {
        // Sums and entries change together, and nothing in between can panic.
        work(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<&HeldPod> for Placed {
    fn from(pod: &HeldPod) -> Self {
        Self {
            pod: pod.snapshot.name.clone(),
            node: pod.node.clone(),
            demand: pod.demand.clone(),
            counted: pod.counted.clone(),
        }
    }
}

impl HeldPod {
    /// What of a pod counts here.
    pub(super) fn read(pod: &Pod) -> Self {
        let owners = pod.metadata.owner_references.iter().flatten();
        let owner = owners.into_iter().find(|owner| owner.controller == Some(true));
        let demand = pod.spec.as_ref().map(demand::of_spec).unwrap_or_default();
        Self {
            snapshot: snapshot(pod),
            is_live: is_live(pod),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            owner: owner.map(|owner| (owner.kind.clone(), owner.uid.clone())),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).map(Arc::from),
            counted: demand::counted(pod, &demand),
            demand: Arc::new(demand),
        }
    }
}

impl Held {
    fn share(&mut self) -> Arc<[Arc<Node>]> {
        for name in std::mem::take(&mut self.dirty) {
            self.shared = None;
            let Some(node) = self.nodes.get_mut(&name) else { continue };
            let mut free = node.allocatable.clone();
            if let Some(used) = self.used.get(&name) {
                free.take(used);
            }
            Arc::make_mut(node).free = free;
        }
        let nodes = &self.nodes;
        self.shared.get_or_insert_with(|| nodes.values().cloned().collect()).clone()
    }

    fn put_node(&mut self, read: &NodeObject) {
        let node = node(read);
        self.dirty.insert(node.name.clone());
        self.nodes.insert(node.name.clone(), Arc::new(node));
    }

    fn put_pod(&mut self, pod: &Pod) {
        self.drop_pod(pod);
        if !is_counted(pod) {
            return;
        }
        let (namespace, name) = place(pod);
        let held = self.held(pod);
        if let Some(node) = &held.node {
            let used = self.used.entry(node.clone()).or_default();
            used.add(&held.counted);
            used.add(&Amounts::new([(PODS, 1)]));
            self.dirty.insert(node.clone());
        }
        self.pods.entry(namespace).or_default().insert(name, held);
    }

    fn drop_pod(&mut self, pod: &Pod) {
        let (namespace, name) = place(pod);
        let Some(pods) = self.pods.get_mut(&namespace) else { return };
        let Some(held) = pods.remove(&name) else { return };
        if pods.is_empty() {
            self.pods.remove(&namespace);
        }
        if let Some(node) = held.node
            && let Some(used) = self.used.get_mut(&node)
        {
            used.take(&held.counted);
            used.take(&Amounts::new([(PODS, 1)]));
            self.dirty.insert(node);
        }
    }

    /// Pods of one owner mostly ask for the same, which is kept once.
    fn held(&mut self, pod: &Pod) -> HeldPod {
        let mut held = HeldPod::read(pod);
        if let Some((_, uid)) = &held.owner {
            match self.demands.get(uid) {
                Some(known) if *known == held.demand => held.demand = known.clone(),
                _ => drop(self.demands.insert(uid.clone(), held.demand.clone())),
            }
        }
        held
    }
}

impl Sink<NodeObject> for Occupancy {
    fn replace(&self, all: Vec<NodeObject>) {
        self.with(|held| {
            held.nodes.clear();
            held.shared = None;
            for node in &all {
                held.put_node(node);
            }
        });
    }

    fn apply(&self, one: NodeObject) {
        self.with(|held| held.put_node(&one));
    }

    fn remove(&self, one: &NodeObject) {
        self.with(|held| {
            held.nodes.remove(one.metadata.name.as_deref().unwrap_or_default());
            held.shared = None;
        });
    }
}

impl Sink<Pod> for Occupancy {
    fn replace(&self, all: Vec<Pod>) {
        self.with(|held| {
            held.dirty.extend(held.nodes.keys().cloned());
            held.pods.clear();
            held.used.clear();
            held.demands.clear();
            for pod in &all {
                held.put_pod(pod);
            }
        });
    }

    fn apply(&self, one: Pod) {
        self.with(|held| held.put_pod(&one));
    }

    fn remove(&self, one: &Pod) {
        self.with(|held| {
            held.drop_pod(one);
            // Owners come and go with every rollout.
            if held.pods.is_empty() {
                held.demands.clear();
            }
        });
    }
}

/// A pod that ended takes nothing; one that is on its way out does until it is gone.
fn is_counted(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

fn place(pod: &Pod) -> (String, String) {
    (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone().unwrap_or_default())
}

fn node(read: &NodeObject) -> Node {
    let (meta, spec, status) = (&read.metadata, read.spec.as_ref(), read.status.as_ref());
    let labels = meta.labels.iter().flatten();
    let taints = spec.into_iter().flat_map(|spec| spec.taints.iter().flatten());
    let conditions = || status.into_iter().flat_map(|status| status.conditions.iter().flatten());
    let allocatable = demand::amounts(status.and_then(|status| status.allocatable.as_ref()));
    Node {
        name: meta.name.as_deref().unwrap_or_default().into(),
        labels: labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
        taints: taints
            .map(|taint| Taint {
                key: taint.key.as_str().into(),
                value: taint.value.as_deref().unwrap_or_default().into(),
                effect: taint.effect.as_str().into(),
            })
            .collect(),
        is_ready: conditions().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        is_unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
        free: allocatable.clone(),
        allocatable,
    }
}
