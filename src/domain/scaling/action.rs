//! Actions: one decided change, where it is in its life, and why a wanted one is not taken. Writes nothing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::headline::clock;
use crate::domain::name::{ActionId, IncidentId, TargetId, TriggerName};

use super::{Axis, ClusterFailure, Size, VerticalMode};

/// Why a wanted step is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HeldReason {
    /// `kubernetes.mode` is `off`.
    Off,
    /// Nothing can be evaluated now.
    Blind,
    /// The trigger's value is not a finite number.
    NotFinite,
    /// The target rests on this axis after its last step.
    Cooldown {
        /// Until when.
        until: Timestamp,
    },
    /// The target has reached its bound.
    AtMaximum,
    /// A rollout is in progress.
    Rollout,
    /// The policy has no step for this axis.
    NoStep,
    /// The target could not be seen.
    Cluster(ClusterFailure),
    /// The container has no request or limit that could grow.
    NothingToGrow,
}

impl HeldReason {
    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Blind => "blind",
            Self::NotFinite => "not_finite",
            Self::Cooldown { .. } => "cooldown",
            Self::AtMaximum => "at_maximum",
            Self::Rollout => "rollout",
            Self::NoStep => "no_step",
            Self::Cluster(failure) => failure.as_str(),
            Self::NothingToGrow => "nothing_to_grow",
        }
    }
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cooldown { until } => write!(f, "cooldown until {}", clock(*until)),
            other => f.pad(other.as_str()),
        }
    }
}

/// Where a scaling action is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionState {
    /// Decided and recorded; not known to be written.
    Planned,
    /// The API server accepted the write.
    Applied {
        /// When.
        at: Timestamp,
    },
    /// Every pod is ready at the new size.
    Verified {
        /// When.
        at: Timestamp,
    },
    /// Decided exactly like the others, and not written on purpose.
    DryRun {
        /// When.
        at: Timestamp,
    },
    /// The write was refused.
    Refused {
        /// When.
        at: Timestamp,
        /// Why.
        reason: ClusterFailure,
    },
    /// The configuration changed so that it is no longer followed.
    Abandoned {
        /// When.
        at: Timestamp,
    },
    /// The pods did not become ready in time.
    NotReady {
        /// When that was given up.
        at: Timestamp,
    },
}

impl ActionState {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Applied { .. } => "applied",
            Self::Verified { .. } => "verified",
            Self::DryRun { .. } => "dry_run",
            Self::Refused { .. } => "refused",
            Self::Abandoned { .. } => "abandoned",
            Self::NotReady { .. } => "not_ready",
        }
    }

    /// Whether it still needs something to happen.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Planned | Self::Applied { .. })
    }
}

/// One decided change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingAction {
    /// Its id.
    pub id: ActionId,
    /// What it scales.
    pub target: TargetId,
    /// The workload's identity when it was decided.
    pub uid: Arc<str>,
    /// On which axis.
    pub axis: Axis,
    /// The trigger that asked.
    pub trigger: TriggerName,
    /// The trigger's value and threshold then, in words.
    pub evidence: Arc<str>,
    /// The size before.
    pub from: Size,
    /// The size after.
    pub to: Size,
    /// The version of the workload that the write must still find.
    pub resource_version: Arc<str>,
    /// How a vertical step is written.
    pub vertical: VerticalMode,
    /// The incident it serves.
    pub incident: Option<IncidentId>,
    /// When it was decided.
    pub planned_at: Timestamp,
    /// Until when the pods must be ready.
    pub ready_by: Timestamp,
    /// Where it is.
    pub state: ActionState,
}

impl ScalingAction {
    /// The change in words: `4 → 6 replicas`, `0.5 cores/512 MB → 0.63 cores/640 MB`.
    pub fn change(&self) -> String {
        match self.to {
            Size::Replicas(_) => format!("{} → {} replicas", self.from, self.to),
            Size::Resources(_) => format!("{} → {}", self.from, self.to),
        }
    }
}
