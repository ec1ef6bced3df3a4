//! Actions: one decided change and where it is in its life. Owns the stages and their order; writes nothing.
//!
//! ```text
//! planned ─▶ checked ─▶ applied ─▶ ready ─▶ healthy ─▶ verified
//!    │          │          └─────────┴─────────┴──▶ failed ─▶ reverted
//!    ├──────────┴─▶ refused · dry_run
//!    └─▶ abandoned (from any of them)
//! ```

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::name::{ActionId, IncidentId, TargetId, TriggerName};
use crate::domain::quantity::Unit;

use super::reason::{
    AppliedReason, CheckedReason, FailedReason, HealthyReason, Purpose, RefusedReason, VerifiedReason,
};
use super::{Axis, ContainerSize, Direction, Size, VerticalMode};

/// Where a scaling action is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionState {
    /// Decided and recorded; nothing asked of the cluster yet.
    Planned,
    /// It may be written; not known to be written.
    Checked {
        /// When.
        at: Timestamp,
        /// How the checks ended.
        reason: CheckedReason,
    },
    /// The write happened.
    Applied {
        /// When.
        at: Timestamp,
        /// How that is known.
        #[serde(default)]
        reason: AppliedReason,
    },
    /// Every pod is ready at the new size.
    Ready {
        /// When.
        at: Timestamp,
    },
    /// The service is healthy with it.
    Healthy {
        /// When.
        at: Timestamp,
        /// How that is known.
        reason: HealthyReason,
    },
    /// What asked for it is better.
    Verified {
        /// When.
        at: Timestamp,
        /// How that is known.
        #[serde(default)]
        reason: VerifiedReason,
    },
    /// Decided exactly like the others, and not written on purpose.
    DryRun {
        /// When.
        at: Timestamp,
    },
    /// It was not written.
    Refused {
        /// When.
        at: Timestamp,
        /// Why.
        reason: RefusedReason,
    },
    /// It was written and is no good.
    #[serde(alias = "NotReady")]
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        #[serde(default)]
        reason: FailedReason,
    },
    /// It failed, and the size before it was given back.
    Reverted {
        /// When.
        at: Timestamp,
        /// Why it failed.
        reason: FailedReason,
    },
    /// The configuration changed so that it is no longer followed.
    Abandoned {
        /// When.
        at: Timestamp,
    },
}

impl ActionState {
    /// The word used in metrics and APIs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Checked { .. } => "checked",
            Self::Applied { .. } => "applied",
            Self::Ready { .. } => "ready",
            Self::Healthy { .. } => "healthy",
            Self::Verified { .. } => "verified",
            Self::DryRun { .. } => "dry_run",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Reverted { .. } => "reverted",
            Self::Abandoned { .. } => "abandoned",
        }
    }

    /// The code of the reason why it is there.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Planned => "",
            Self::Checked { reason: CheckedReason::Passed, .. } => "passed",
            Self::Checked { reason: CheckedReason::UnknownAllowed, .. } => "unknown_allowed",
            Self::Checked { reason: CheckedReason::NothingToCheck, .. } => "nothing_to_check",
            Self::Applied { reason: AppliedReason::Accepted, .. } => "accepted",
            Self::Applied { reason: AppliedReason::FoundThere, .. } => "found_there",
            Self::Ready { .. } => "pods_ready",
            Self::Healthy { reason: HealthyReason::HealthCheck, .. } => "health_check",
            Self::Healthy { reason: HealthyReason::NoHealthCheck, .. } => "no_health_check",
            Self::Verified { reason: VerifiedReason::Improved, .. } => "improved",
            Self::Verified { reason: VerifiedReason::NotJudged, .. } => "not_judged",
            Self::Verified { reason: VerifiedReason::NothingToJudge, .. } => "nothing_to_judge",
            Self::DryRun { .. } => "dry_run",
            Self::Refused { reason: RefusedReason::Cluster(failure), .. } => failure.as_str(),
            Self::Refused { reason: RefusedReason::Held(reason), .. } => reason.as_str(),
            Self::Failed { reason, .. } | Self::Reverted { reason, .. } => reason.as_str(),
            Self::Abandoned { .. } => "configuration_changed",
        }
    }

    /// The reason as events of the cluster spell it.
    pub fn event_reason(&self) -> &'static str {
        match self {
            Self::Planned => "ScalingPlanned",
            Self::Checked { .. } => "ScalingChecked",
            Self::Applied { .. } => "ScalingApplied",
            Self::Ready { .. } => "ScalingReady",
            Self::Healthy { .. } => "ScalingHealthy",
            Self::Verified { .. } => "ScalingVerified",
            Self::DryRun { .. } => "ScalingDryRun",
            Self::Refused { .. } => "ScalingRefused",
            Self::Failed { .. } => "ScalingFailed",
            Self::Reverted { .. } => "ScalingReverted",
            Self::Abandoned { .. } => "ScalingAbandoned",
        }
    }

    /// When it came to be; of a plan the action itself knows.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Planned => None,
            Self::Checked { at, .. }
            | Self::Applied { at, .. }
            | Self::Ready { at }
            | Self::Healthy { at, .. }
            | Self::Verified { at, .. }
            | Self::DryRun { at }
            | Self::Refused { at, .. }
            | Self::Failed { at, .. }
            | Self::Reverted { at, .. }
            | Self::Abandoned { at } => Some(*at),
        }
    }

    /// Whether it still needs something to happen.
    pub fn is_running(&self) -> bool {
        self.is_unwritten()
            || matches!(self, Self::Applied { .. } | Self::Ready { .. } | Self::Healthy { .. })
    }

    /// Whether its write is not known to have happened and still may.
    pub fn is_unwritten(&self) -> bool {
        matches!(self, Self::Planned | Self::Checked { .. })
    }

    /// Whether somebody should look.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Failed { .. } | Self::Reverted { .. })
    }

    /// How far along it is: no move goes back.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Planned => 0,
            Self::Checked { .. } => 1,
            Self::Applied { .. } => 2,
            Self::Ready { .. } => 3,
            Self::Healthy { .. } => 4,
            Self::Failed { .. } => 5,
            Self::Verified { .. }
            | Self::DryRun { .. }
            | Self::Refused { .. }
            | Self::Reverted { .. }
            | Self::Abandoned { .. } => 6,
        }
    }
}

/// What one trigger said when a step was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ballot {
    /// Which trigger.
    pub trigger: TriggerName,
    /// The metric it reads.
    pub metric: Arc<str>,
    /// The metric's unit.
    pub unit: Unit,
    /// Its freshest value.
    pub value: f64,
    /// What it is compared with.
    pub threshold: f64,
    /// Whether it asked for the step.
    pub asks: bool,
}

/// What an action came from and how it went, beyond its sizes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Why it was decided.
    #[serde(default)]
    pub purpose: Purpose,
    /// Whether it adds or takes back.
    #[serde(default)]
    pub direction: Direction,
    /// What every trigger said.
    #[serde(default)]
    pub votes: Vec<Ballot>,
    /// The cores that the pods request on top with it.
    #[serde(default)]
    pub cores: f64,
    /// The states before this one, with their instants and reasons.
    #[serde(default)]
    pub past: Vec<ActionState>,
    /// When the write happened.
    #[serde(default)]
    pub applied_at: Option<Timestamp>,
    /// Since when it counts as a step: from its write on, from its end where nobody saw whether it was written, and from
    /// its decision where nothing is written on purpose.
    #[serde(default)]
    pub counts_from: Option<Timestamp>,
    /// An earlier write of it had no answer, or was on its way when the daemon went down: it may have happened, whatever
    /// is answered to the next one.
    #[serde(default)]
    pub doubtful: bool,
    /// So many pods kept crashing when it was decided: those are not its doing.
    #[serde(default)]
    pub crashing: usize,
    /// Since when a node has had no room for a pod's new size.
    #[serde(default)]
    pub deferred_since: Option<Timestamp>,
    /// Its failure asks for a revert, and so many tries were made.
    #[serde(default)]
    pub owes_revert: Option<u8>,
    /// The autoscaler whose least is raised in place of the workload's own number.
    #[serde(default)]
    pub raise: Option<Arc<str>>,
    /// The least that autoscaler had before.
    #[serde(default)]
    pub raised_from: Option<u32>,
    /// What the template gave each container when it was decided.
    #[serde(default)]
    pub template: Vec<ContainerSize>,
    /// The failed action whose size it gives back.
    #[serde(default)]
    pub reverts: Option<ActionId>,
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
    /// The trigger that asked with the strongest breach; another word where none did.
    pub trigger: TriggerName,
    /// What asked, in words.
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
    /// Until when the next thing must have happened: the write and the ready pods, the healthy service, the better
    /// trigger.
    pub ready_by: Timestamp,
    /// Where it is.
    pub state: ActionState,
    /// What it came from and how it went.
    #[serde(default)]
    pub course: Course,
}

impl ScalingAction {
    /// The change in words: `4 → 6 replicas`, `0.5 cores/512 MB → 0.63 cores/640 MB`.
    pub fn change(&self) -> String {
        match self.to {
            Size::Replicas(_) => format!("{} → {} replicas", self.from, self.to),
            Size::Resources(_) => format!("{} → {}", self.from, self.to),
        }
    }

    /// Moves on; the state before is remembered. A move backwards is none.
    pub fn move_to(&mut self, state: ActionState) {
        if state.rank() < self.state.rank() {
            return;
        }
        let before = std::mem::replace(&mut self.state, state);
        self.course.past.push(before);
    }

    /// The code of the reason for its state.
    pub fn reason(&self) -> &'static str {
        match self.state {
            ActionState::Planned => self.course.purpose.as_str(),
            _ => self.state.reason(),
        }
    }
}
