//! Scaling: the policy of the runbook's 6.3, what asks for capacity and what is scaled. Sizes, snapshots and actions
//! have files of their own; nothing here writes to any cluster.

mod action;
pub mod amounts;
mod bounds;
pub mod checks;
mod demand;
mod owner;
mod placement;
mod size;
mod snapshot;
mod surroundings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::name::{QueryId, TargetId, TriggerName};
use super::quantity::{Step, Unit};

pub use action::{ActionState, HeldReason, ScalingAction};
pub use amounts::Amounts;
pub use bounds::{DisruptionBudget, Quota, Range, RangeOf, Scope};
pub use checks::{Check, Checks, Headroom, Limits, OnUnknown, OtherOwner, Refusal};
pub use demand::{ContainerDemand, InitDemand, PodDemand};
pub use owner::{
    FIELD_MANAGER, FieldOwner, PAUSED, PAUSED_REASON, Pause, Scaler, ScalerKind, Tracker, Tracking,
};
pub use placement::{Node, NodeTerm, Operator, Placement, Requirement, Taint, Toleration, Unfit, Unmodelled};
pub use size::{ContainerSize, Size, more_replicas, more_resources};
pub use snapshot::{ClusterFailure, PodSnapshot, ResizeState, WorkloadSnapshot};
pub use surroundings::{Known, Placed, Surroundings, Unseen};

/// In which direction capacity grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Axis {
    /// More replicas.
    Horizontal,
    /// More resources for each.
    Vertical,
}

impl Axis {
    /// Both, in the order they are tried.
    pub const ALL: [Self; 2] = [Self::Horizontal, Self::Vertical];

    /// The word used in files, metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Horizontal => "horizontal",
            Self::Vertical => "vertical",
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether decisions reach the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalingMode {
    /// Nothing is decided.
    Off,
    /// Decided, checked and reported, not written.
    DryRun,
    /// Written.
    Apply,
}

impl ScalingMode {
    /// The word used in files and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::DryRun => "dry_run",
            Self::Apply => "apply",
        }
    }
}

/// The scale-out strategy of the runbook's 6.3.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// What asks for capacity.
    pub triggers: Vec<Trigger>,
    /// What one horizontal step is.
    pub horizontal: Option<AxisPolicy>,
    /// What one vertical step is.
    pub vertical: Option<AxisPolicy>,
    /// How long a trigger must be breached without a gap before it asks.
    pub sustained: Duration,
    /// What is scaled.
    pub targets: Vec<Target>,
}

impl Policy {
    /// What one step on `axis` is, where the policy has one.
    pub fn axis(&self, axis: Axis) -> Option<&AxisPolicy> {
        match axis {
            Axis::Horizontal => self.horizontal.as_ref(),
            Axis::Vertical => self.vertical.as_ref(),
        }
    }
}

/// What one step on an axis is, and how long to rest after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AxisPolicy {
    /// The step.
    pub step: Step,
    /// How long the target rests on this axis after an accepted write.
    pub cool_down: Duration,
}

/// What asks for capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Its name: `cpu_sustained`.
    pub name: TriggerName,
    /// The metric it reads: `cpu_usage`.
    pub metric: Arc<str>,
    /// The query behind the metric.
    pub query: QueryId,
    /// The unit of the threshold.
    pub unit: Unit,
    /// Values above it ask.
    pub threshold: f64,
    /// The axis it asks for.
    pub axis: Axis,
}

impl Trigger {
    /// Whether a vertical step gives more of what the trigger is short of; one that would only grow the rest is held.
    pub fn is_helped_by(&self, before: &[ContainerSize], after: &[ContainerSize]) -> Result<(), HeldReason> {
        type Amount = fn(&ContainerSize) -> Option<f64>;
        let amount: Amount = if self.metric.starts_with("memory") {
            |container| container.memory_limit.or(container.memory_request)
        } else if self.metric.starts_with("cpu") {
            |container| container.cpu_limit.or(container.cpu_request)
        } else {
            return Ok(());
        };
        if before.iter().all(|container| amount(container).is_none()) {
            return Err(HeldReason::NothingToGrow);
        }
        let grows = before.iter().zip(after).any(|(before, after)| amount(after) > amount(before));
        if grows { Ok(()) } else { Err(HeldReason::AtMaximum) }
    }
}

/// How a vertical step reaches the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerticalMode {
    /// Resize the running pods; nothing else.
    InPlace,
    /// Change the workload's template, which rolls its pods.
    Template,
    /// In place where the cluster offers it, by the template otherwise.
    InPlaceThenTemplate,
}

/// A workload a policy scales.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The workload.
    pub id: TargetId,
    /// The value of the `service` label that its series carry.
    pub service: Arc<str>,
    /// Never fewer replicas.
    pub min_replicas: u32,
    /// Never more replicas.
    pub max_replicas: u32,
    /// No container gets a CPU limit above it, in cores.
    pub max_cpu: Option<f64>,
    /// No container gets a memory limit above it, in bytes.
    pub max_memory: Option<f64>,
    /// How long the pods have to become ready after a step.
    pub ready_within: Duration,
    /// The query that must return something above zero for the service to count as healthy after a step.
    pub health: Option<QueryId>,
    /// How a vertical step reaches the pods.
    pub vertical: VerticalMode,
}
