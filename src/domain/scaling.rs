//! Scaling: in which directions capacity grows and whether that reaches a cluster. What asks, what is scaled, sizes,
//! snapshots, actions and reasons have files of their own; nothing here writes to any cluster.

mod action;
pub mod amounts;
mod announcement;
mod bounds;
pub mod checks;
mod demand;
mod owner;
mod placement;
mod policy;
mod reason;
mod record;
mod size;
mod snapshot;
mod surroundings;
mod target;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use action::{ActionState, Ballot, Course, ScalingAction};
pub use amounts::Amounts;
pub use announcement::Announcement;
pub use bounds::{DisruptionBudget, Quota, Range, RangeOf, Scope};
pub use checks::{Check, Checks, Headroom, Limits, OnUnknown, OtherOwner, Refusal};
pub use demand::{ContainerDemand, InitDemand, PodDemand};
pub use owner::{
    FIELD_MANAGER, FieldOwner, PAUSED, PAUSED_REASON, Pause, Scaler, ScalerKind, Tracker, Tracking,
};
pub use placement::{Node, NodeTerm, Operator, Placement, Requirement, Taint, Toleration, Unfit, Unmodelled};
pub use policy::{AxisChoice, AxisPolicy, Budget, Policy, ScaleIn, Trigger};
pub use reason::{
    AppliedReason, CheckedReason, FailedReason, HealthyReason, HeldReason, Purpose, RefusedReason,
    VerifiedReason,
};
pub use record::{Frozen, KeptSize, PauseOrder, Standing, TargetRecord};
pub use size::{ContainerSize, Size, fewer_replicas, more_replicas, more_resources, within_bounds};
pub use snapshot::{ClusterFailure, PodSnapshot, ResizeState, WorkloadSnapshot};
pub use surroundings::{Known, Placed, Surroundings, Unseen};
pub use target::{Bounds, Connections, Target, VerticalMode, Window};

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

/// Whether capacity is added or taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Added.
    #[default]
    Out,
    /// Taken back.
    In,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Out, Self::In];

    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
        }
    }
}

impl fmt::Display for Direction {
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
