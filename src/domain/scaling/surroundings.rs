//! Surroundings: what was seen of the cluster around a workload, shared between looks. What could not be seen says so,
//! and is never "fine". Decides nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{
    Amounts, DisruptionBudget, FieldOwner, Node, Pause, PodDemand, Quota, Range, Scaler, ScalerKind, Tracking,
};
use crate::domain::Timestamp;

/// Why something was not seen. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unseen {
    /// Nothing was read yet.
    NotYet,
    /// The daemon lacks the right to read it.
    Forbidden,
    /// What was read is too old to go by.
    Stale,
    /// What was read could not be understood.
    Unreadable,
}

impl Unseen {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotYet => "not_yet",
            Self::Forbidden => "forbidden",
            Self::Stale => "stale",
            Self::Unreadable => "unreadable",
        }
    }

    /// In words, to follow what it is about: `nodes: the daemon has no right to read them`.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotYet => "not read yet",
            Self::Forbidden => "the daemon has no right to read them",
            Self::Stale => "what was read last is too old",
            Self::Unreadable => "what was read could not be understood",
        }
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that was seen, or why not.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<T> {
    /// As it was seen.
    Seen(T),
    /// Not seen.
    Unseen(Unseen),
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self::Unseen(Unseen::NotYet)
    }
}

impl<T> Known<T> {
    /// What was seen, or why nothing was.
    pub fn get(&self) -> Result<&T, Unseen> {
        match self {
            Self::Seen(seen) => Ok(seen),
            Self::Unseen(why) => Err(*why),
        }
    }
}

/// One of the workload's pods on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The pod.
    pub pod: Arc<str>,
    /// Its node; none while it waits for one.
    pub node: Option<Arc<str>>,
    /// What its spec asks for.
    pub demand: Arc<PodDemand>,
    /// What its node counts for it: during a resize the largest of wanted, set aside and in use.
    pub counted: Amounts,
}

/// What was seen around a workload. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Surroundings {
    /// The nodes and what is free on each.
    pub nodes: Known<Arc<[Arc<Node>]>>,
    /// What the template's next pod will ask for, without what limit ranges fill in.
    pub pod: Known<Arc<PodDemand>>,
    /// The workload's pods and where they are.
    pub placed: Known<Arc<[Placed]>>,
    /// The namespace's quotas.
    pub quotas: Known<Arc<[Quota]>>,
    /// The namespace's limit ranges, item by item.
    pub ranges: Known<Arc<[Range]>>,
    /// The disruption budgets that cover the workload's pods.
    pub budgets: Known<Arc<[DisruptionBudget]>>,
    /// The autoscalers whose target is the workload.
    pub scalers: Vec<Scaler>,
    /// The kinds of autoscalers that could not be seen, and why.
    pub unseen_scalers: BTreeMap<ScalerKind, Unseen>,
    /// How many pods more than wanted a rollout may run at once.
    pub surge: u32,
    /// Who wrote the number of replicas last; nobody where it is the server's default.
    pub replicas_by: Option<FieldOwner>,
    /// Who applied the resources of the template, where they were applied.
    pub resources_by: Option<FieldOwner>,
    /// The tool that keeps the workload as it is elsewhere.
    pub tracking: Option<Tracking>,
    /// Whether the text applied last by `kubectl apply` states the number of replicas, and so resets it next time.
    pub replicas_in_applied: bool,
    /// The controller that made the workload and cannot be scaled itself: `Database orders`.
    pub made_by: Option<Arc<str>>,
    /// That the workload itself says it must not be scaled.
    pub pause: Option<Pause>,
}

impl Surroundings {
    /// Surroundings in which nothing is in the way: one endless node, no quota, nobody else. For simulations.
    pub fn open() -> Self {
        let endless =
            Amounts::new(["cpu", "memory", "ephemeral-storage", "pods"].map(|name| (name, i64::MAX / 4)));
        let node = Node {
            name: "node".into(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            is_ready: true,
            is_unschedulable: false,
            allocatable: endless.clone(),
            free: endless,
        };
        Self {
            nodes: Known::Seen(Arc::from([Arc::new(node)])),
            pod: Known::Seen(Arc::default()),
            placed: Known::Seen(Arc::from([])),
            quotas: Known::Seen(Arc::from([])),
            ranges: Known::Seen(Arc::from([])),
            budgets: Known::Seen(Arc::from([])),
            ..Self::default()
        }
    }

    /// The least replicas of the horizontal autoscaler of that name, where it was seen.
    pub fn least_of(&self, autoscaler: &str) -> Option<u32> {
        let horizontal = ScalerKind::HorizontalPodAutoscaler;
        let found = self.scalers.iter().find(|it| it.kind == horizontal && *it.name == *autoscaler)?;
        found.replicas.map(|(least, _)| least)
    }

    /// The pause that holds now.
    pub fn paused(&self, now: Timestamp) -> Option<&Pause> {
        self.pause.as_ref().filter(|pause| pause.holds(now))
    }
}
