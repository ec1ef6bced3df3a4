//! Reasons: why a wanted step is not taken, and why an action moved as it did. Owns the closed lists and their codes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::headline::clock;

use super::{ClusterFailure, Frozen, Refusal};

/// Why a wanted step is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Somebody asked for rest.
    Paused {
        /// Until when; `None` until somebody resumes.
        until: Option<Timestamp>,
        /// Who.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// Several steps did not help, or somebody took one back.
    Frozen(Frozen),
    /// The target has reached its bound.
    AtMaximum,
    /// The target has reached its lower bound.
    AtMinimum,
    /// A rollout is in progress.
    Rollout,
    /// The policy has no step for this axis.
    NoStep,
    /// The target could not be seen.
    Cluster(ClusterFailure),
    /// A check of the cluster is against it.
    Check(Refusal),
    /// The container has no request or limit that could grow.
    NothingToGrow,
    /// All targets together took as many steps as they may for now.
    BudgetSteps,
    /// All targets together added as many cores as they may for now.
    BudgetCores,
    /// What the replicas share would be used up.
    Connections {
        /// How many there would be.
        wanted: u32,
        /// How many there are.
        max: u32,
    },
    /// How much is taken of what the replicas share is not known.
    ConnectionsUnknown,
    /// An incident is open on the subject: nothing is taken back.
    IncidentOpen,
    /// With less, a trigger would ask for more at once.
    WouldBreach,
    /// The tenants need what there is.
    CapacityFloor,
    /// How much the tenants need is not known.
    CapacityUnknown,
}

impl HeldReason {
    /// The code shown everywhere.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Blind => "blind",
            Self::NotFinite => "not_finite",
            Self::Cooldown { .. } => "cooldown",
            Self::Paused { .. } => "paused",
            Self::Frozen(Frozen::DoesNotHelp { .. }) => "does_not_help",
            Self::Frozen(Frozen::Undone { .. }) => "undone",
            Self::AtMaximum => "at_maximum",
            Self::AtMinimum => "at_minimum",
            Self::Rollout => "rollout",
            Self::NoStep => "no_step",
            Self::Cluster(failure) => failure.as_str(),
            Self::Check(refusal) => refusal.check.as_str(),
            Self::NothingToGrow => "nothing_to_grow",
            Self::BudgetSteps => "budget_steps",
            Self::BudgetCores => "budget_cores",
            Self::Connections { .. } => "connections",
            Self::ConnectionsUnknown => "connections_unknown",
            Self::IncidentOpen => "incident_open",
            Self::WouldBreach => "would_breach",
            Self::CapacityFloor => "capacity_floor",
            Self::CapacityUnknown => "capacity_unknown",
        }
    }

    /// Whether it says the same as another one: details that change with every look do not make it a new one.
    pub fn is_like(&self, other: &Self) -> bool {
        let details_tell = matches!(self, Self::Cooldown { .. } | Self::Paused { .. });
        if details_tell { self == other } else { self.as_str() == other.as_str() }
    }

    /// Whether people need not hear of it: it passes by itself, or they know.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Blind | Self::Rollout | Self::Off | Self::Frozen(_))
    }
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cooldown { until } => write!(f, "cooldown until {}", clock(*until)),
            Self::Paused { until, by, reason } => {
                let until = until.map(|until| format!(" until {}", clock(until))).unwrap_or_default();
                write!(f, "paused{until} by {by}: {reason}")
            }
            Self::Frozen(Frozen::DoesNotHelp { steps }) => write!(f, "does_not_help: {steps} steps in a row"),
            Self::Frozen(Frozen::Undone { by }) => {
                write!(f, "undone by {}", by.as_deref().unwrap_or("somebody unknown"))
            }
            Self::Connections { wanted, max } => write!(f, "connections: {wanted} of {max}"),
            Self::Check(refusal) => refusal.fmt(f),
            other => f.pad(other.as_str()),
        }
    }
}

/// Why a step was decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// A trigger asked for more.
    #[default]
    Triggered,
    /// A window of the schedule asks for more.
    Scheduled,
    /// Every trigger has been clear for long.
    Cleared,
    /// An earlier step failed: its size is given back.
    Revert,
    /// New pods start from the template and are brought to the size that was decided.
    KeepSize,
}

impl Purpose {
    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Scheduled => "scheduled",
            Self::Cleared => "cleared",
            Self::Revert => "revert",
            Self::KeepSize => "keep_size",
        }
    }

    /// Whether something asked for it: a trigger, the schedule, or a long calm.
    pub fn is_asked(self) -> bool {
        self.is_demand() || self == Self::Cleared
    }

    /// Whether it answers demand, so that it counts as a step of the budget and is judged by whether it helped.
    pub fn is_demand(self) -> bool {
        matches!(self, Self::Triggered | Self::Scheduled)
    }
}

/// How the checks before a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckedReason {
    /// Every check passed.
    Passed,
    /// Some could not be made, and the target allows that.
    UnknownAllowed,
    /// What it gives back or keeps needs no room.
    NothingToCheck,
}

/// How it is known that the write happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppliedReason {
    /// The API server accepted it.
    #[default]
    Accepted,
    /// Its answer was lost; the size was found there.
    FoundThere,
}

/// Why the service counts as healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthyReason {
    /// Its health check said so after the write.
    HealthCheck,
    /// It has none.
    NoHealthCheck,
}

/// How a step was verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerifiedReason {
    /// The trigger is well again, or better.
    #[default]
    Improved,
    /// There was no fresh value to judge by.
    NotJudged,
    /// It answered no trigger.
    NothingToJudge,
}

/// Why a step was refused before or at its write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RefusedReason {
    /// By the API server.
    Cluster(ClusterFailure),
    /// By a check of ours.
    Held(HeldReason),
}

/// Why a step failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailedReason {
    /// The pods did not become ready in time.
    #[default]
    NotReady,
    /// A node can never give a pod its new size.
    Infeasible,
    /// A node had no room for a pod's new size in time.
    Deferred,
    /// A new pod keeps crashing.
    CrashLoop,
    /// The pods are ready and the service is not healthy.
    Unhealthy,
    /// The pods are ready, the service is healthy, and the trigger is no better.
    NotImproved,
    /// Somebody took it back.
    Undone,
    /// The workload was replaced by another of its name.
    Replaced,
    /// Nobody could see whether it happened.
    Unseen,
}

impl FailedReason {
    /// Whether the last good size is given back.
    pub fn is_reverted(self) -> bool {
        matches!(self, Self::NotReady | Self::Infeasible | Self::Deferred | Self::CrashLoop)
    }

    /// Whether it counts as a step that did not help.
    pub fn is_strike(self) -> bool {
        self.is_reverted() || matches!(self, Self::Unhealthy | Self::NotImproved)
    }

    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Infeasible => "infeasible",
            Self::Deferred => "deferred",
            Self::CrashLoop => "crash_loop",
            Self::Unhealthy => "unhealthy",
            Self::NotImproved => "not_improved",
            Self::Undone => "undone",
            Self::Replaced => "replaced",
            Self::Unseen => "unseen",
        }
    }

    /// The reason in a few words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotReady => "not ready in time",
            Self::Infeasible => "a node can never give that much",
            Self::Deferred => "no node had room in time",
            Self::CrashLoop => "a new pod keeps crashing",
            Self::Unhealthy => "ready, but the service is not healthy",
            Self::NotImproved => "ready, but it did not help",
            Self::Undone => "taken back",
            Self::Replaced => "the workload was replaced by another of its name",
            Self::Unseen => "nobody could see whether it happened",
        }
    }
}
