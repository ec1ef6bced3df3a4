//! Where a pod may run: nodes, their taints and labels, and what a pod says of them. Owns the matching; counts nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Amounts;

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// What keeps pods off.
    pub taints: Vec<Taint>,
    /// Whether its kubelet says it works.
    pub is_ready: bool,
    /// Whether it is cordoned off.
    pub is_unschedulable: bool,
    /// What pods may have of it in all, pods among it.
    pub allocatable: Amounts,
    /// What is left beside the pods that are bound to it; below zero where it is overfull.
    pub free: Amounts,
}

/// What keeps pods off a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: Arc<str>,
    /// Its value, empty where it has none.
    pub value: Arc<str>,
    /// `NoSchedule`, `NoExecute` or `PreferNoSchedule`.
    pub effect: Arc<str>,
}

impl Taint {
    /// The one that a node which is cordoned off has, whether it is written on it or not.
    fn unschedulable() -> Self {
        Self { key: "node.kubernetes.io/unschedulable".into(), value: "".into(), effect: "NoSchedule".into() }
    }
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = if self.value.is_empty() { "" } else { "=" };
        write!(f, "{}{equals}{}:{}", self.key, self.value, self.effect)
    }
}

/// What a pod puts up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toleration {
    /// The key, any where there is none.
    pub key: Option<Arc<str>>,
    /// Whether any value will do (`operator: Exists`).
    pub any_value: bool,
    /// The value otherwise.
    pub value: Arc<str>,
    /// The effect, any where there is none.
    pub effect: Option<Arc<str>>,
}

impl Toleration {
    /// Whether the taint is put up with.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.as_ref().is_none_or(|effect| *effect == taint.effect);
        let key = match &self.key {
            Some(key) => *key == taint.key,
            // Without a key only `Exists` is valid, and stands for every taint.
            None => self.any_value,
        };
        effect && key && (self.any_value || self.value == taint.value)
    }
}

/// How a value of a node is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// It is one of the values.
    In,
    /// It is none of the values, or there is none.
    NotIn,
    /// There is one.
    Exists,
    /// There is none.
    DoesNotExist,
    /// It is an integer above the value.
    Gt,
    /// It is an integer below the value.
    Lt,
}

/// One requirement on a label or field of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's or field's name.
    pub key: Arc<str>,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<Arc<str>>,
}

impl Requirement {
    fn holds(&self, found: Option<&str>) -> bool {
        let is_one = || found.is_some_and(|found| self.values.iter().any(|value| &**value == found));
        let compared = || {
            let wanted: i64 = self.values.first()?.parse().ok()?;
            let found: i64 = found?.parse().ok()?;
            Some(found.cmp(&wanted))
        };
        match self.operator {
            Operator::In => is_one(),
            Operator::NotIn => !is_one(),
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
            Operator::Gt => compared().is_some_and(std::cmp::Ordering::is_gt),
            Operator::Lt => compared().is_some_and(std::cmp::Ordering::is_lt),
        }
    }
}

/// One alternative of a required node affinity. One without any requirement fits no node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeTerm {
    /// On the node's labels.
    pub labels: Vec<Requirement>,
    /// On the node's fields, of which there is one: `metadata.name`.
    pub fields: Vec<Requirement>,
}

impl NodeTerm {
    fn fits(&self, node: &Node) -> bool {
        let label = |wanted: &Requirement| wanted.holds(node.labels.get(&wanted.key).map(|value| &**value));
        let field =
            |wanted: &Requirement| wanted.holds((&*wanted.key == "metadata.name").then_some(&*node.name));
        let is_empty = self.labels.is_empty() && self.fields.is_empty();
        !is_empty && self.labels.iter().all(label) && self.fields.iter().all(field)
    }
}

/// What decides on a node and is not counted here: with it, "there is room" is "unknown".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unmodelled {
    /// Pods are spread over zones or nodes, with `DoNotSchedule`.
    TopologySpread,
    /// Pods are kept together with or apart from others.
    PodAffinity,
    /// Volumes that may be bound to a zone or a node.
    Volumes,
    /// Ports of the node, of which there is one each.
    HostPorts,
    /// Devices that are claimed.
    ResourceClaims,
    /// Another scheduler than the cluster's own.
    Scheduler,
    /// Gates that hold the pod back from being scheduled.
    Gates,
    /// Something of its spec that could not be understood.
    Unreadable,
}

impl Unmodelled {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopologySpread => "topology spread constraints",
            Self::PodAffinity => "pod affinity",
            Self::Volumes => "volumes that may be bound to a zone or node",
            Self::HostPorts => "host ports",
            Self::ResourceClaims => "resource claims",
            Self::Scheduler => "a scheduler of its own",
            Self::Gates => "scheduling gates",
            Self::Unreadable => "a spec that could not be read",
        }
    }
}

/// Where a pod may run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Placement {
    /// Labels that the node must have.
    pub selector: Vec<(Arc<str>, Arc<str>)>,
    /// The required node affinity: one of these must fit. `None`: none is required.
    pub affinity: Option<Vec<NodeTerm>>,
    /// What it puts up with.
    pub tolerations: Vec<Toleration>,
    /// The one node that it names.
    pub node: Option<Arc<str>>,
    /// What else decides.
    pub unmodelled: Vec<Unmodelled>,
}

/// Why a node is out of the question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfit {
    /// Its kubelet does not say that it works.
    NotReady,
    /// It is cordoned off.
    Unschedulable,
    /// A taint that the pod does not put up with.
    Tainted(String),
    /// The node selector or the required affinity names others.
    NotSelected,
}

impl Placement {
    /// Whether new pods may be placed on a node, room aside.
    pub fn allows(&self, node: &Node) -> Result<(), Unfit> {
        if self.node.as_ref().is_some_and(|wanted| *wanted != node.name) {
            return Err(Unfit::NotSelected);
        }
        if node.is_unschedulable && !self.tolerates(&Taint::unschedulable()) {
            return Err(Unfit::Unschedulable);
        }
        if !node.is_ready {
            return Err(Unfit::NotReady);
        }
        let bars = |taint: &&Taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute");
        if let Some(taint) = node.taints.iter().filter(bars).find(|taint| !self.tolerates(taint)) {
            return Err(Unfit::Tainted(taint.to_string()));
        }
        let labelled = self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
        let affine = self.affinity.as_ref().is_none_or(|terms| terms.iter().any(|term| term.fits(node)));
        if labelled && affine { Ok(()) } else { Err(Unfit::NotSelected) }
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    }
}
