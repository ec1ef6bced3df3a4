//! Snapshots: a workload as it was seen at one instant, and why it could not be seen. Decides nothing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::name::TargetId;

use super::{ContainerSize, Surroundings};

/// How far a running pod's resize has come, as the kubelet reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeState {
    /// The pod runs with what its spec says.
    Settled,
    /// Accepted, being carried out.
    InProgress,
    /// The node has no room now; it will be tried again.
    Deferred,
    /// It can never work on this node.
    Infeasible,
}

/// One pod of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity.
    pub uid: Arc<str>,
    /// For optimistic concurrency.
    pub resource_version: Arc<str>,
    /// Whether it takes traffic.
    pub ready: bool,
    /// Whether a container of it keeps crashing, so that it is started ever more rarely.
    pub crashing: bool,
    /// What its spec asks for.
    pub containers: Vec<ContainerSize>,
    /// How far a resize has come.
    pub resize: ResizeState,
}

/// A workload as it was seen at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadSnapshot {
    /// Which workload.
    pub target: TargetId,
    /// Its identity: another one means that it was recreated.
    pub uid: Arc<str>,
    /// The version that a write must still find.
    pub resource_version: Arc<str>,
    /// The replicas wanted now.
    pub replicas: u32,
    /// The replicas that take traffic.
    pub ready_replicas: u32,
    /// Whether a new template is being rolled out.
    pub rollout_in_progress: bool,
    /// What the template gives each container.
    pub containers: Vec<ContainerSize>,
    /// Its pods.
    pub pods: Vec<PodSnapshot>,
    /// Whether the cluster offers in-place resize.
    pub in_place_resize: bool,
    /// What was seen around it.
    pub surroundings: Surroundings,
}

/// Why a target could not be seen or written. A closed set: it becomes a reason and a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClusterFailure {
    /// There is no such object.
    NotFound,
    /// The daemon lacks the right.
    Forbidden,
    /// Somebody changed the object in between.
    Conflict,
    /// The API server refuses the change as invalid.
    Invalid,
    /// The API server could not be reached, or did not answer in time: whether a write happened is unknown.
    Unreachable,
    /// The API server is in trouble or asks to slow down.
    Unavailable,
    /// The workload cannot be scaled on this axis.
    NotScalable,
}

impl ClusterFailure {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
            Self::NotScalable => "not_scalable",
        }
    }
}

impl fmt::Display for ClusterFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
