//! What a namespace allows its pods, as it was read: quotas, limit ranges, disruption budgets. Judges nothing.

use std::sync::Arc;

use super::Amounts;

/// Which pods a quota counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those with a deadline.
    Terminating,
    /// Those without.
    NotTerminating,
    /// Those that ask for no CPU or memory.
    BestEffort,
    /// Those that do.
    NotBestEffort,
    /// Those whose priority class is one of these (`In`).
    PriorityIn(Vec<Arc<str>>),
    /// Those whose priority class is none of these (`NotIn`).
    PriorityNotIn(Vec<Arc<str>>),
    /// Those that name a priority class.
    HasPriority,
    /// Those that name none.
    HasNoPriority,
    /// A scope that is not understood here.
    Other(Arc<str>),
}

/// A `ResourceQuota`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// Its name.
    pub name: Arc<str>,
    /// It counts pods that are in all of these.
    pub scopes: Vec<Scope>,
    /// The most there may be, by the quota's own names: `requests.cpu`, `pods`, `count/pods`.
    pub hard: Amounts,
    /// What is used of it, as the cluster last counted; `None` before it did.
    pub used: Option<Amounts>,
}

/// What a limit range speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeOf {
    /// Each container.
    Container,
    /// Each pod.
    Pod,
}

/// One item of a `LimitRange`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The limit range's name.
    pub name: Arc<str>,
    /// What it speaks of.
    pub of: RangeOf,
    /// No limit above.
    pub max: Amounts,
    /// No request below.
    pub min: Amounts,
    /// The limit of containers that have none.
    pub default: Amounts,
    /// The request of containers that have none.
    pub default_request: Amounts,
    /// The limit divided by the request, in thousandths, at the most.
    pub max_ratio: Amounts,
}

/// A `PodDisruptionBudget` that covers the workload's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisruptionBudget {
    /// Its name.
    pub name: Arc<str>,
    /// How many pods may go now.
    pub allowed: u32,
    /// How many of its pods are healthy now.
    pub healthy: u32,
    /// How many must be.
    pub desired_healthy: u32,
}
