//! Events: everything that can reach the engine. Owns the closed list of inputs.

use std::sync::Arc;

use crate::domain::name::{ActionId, IncidentId, NoticeId, TargetId};
use crate::domain::notice::Attempt;
use crate::domain::observation::Round;
use crate::domain::scaling::{ClusterFailure, WorkloadSnapshot};

use super::plan::Plan;

/// Something that happened outside.
#[derive(Debug, Clone)]
pub enum Event {
    /// A query was answered, or failed.
    Observed(Round),
    /// Time passed: timers that are due act.
    Tick,
    /// New settings or rules were loaded.
    Reloaded(Arc<Plan>),
    /// A person took an incident.
    Acknowledge {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: Arc<str>,
    },
    /// A person says that an incident is over.
    Resolve {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: Arc<str>,
    },
    /// An attempt to deliver a notice ended.
    Attempted {
        /// Which notice.
        notice: NoticeId,
        /// How it ended.
        attempt: Attempt,
    },
    /// A target was looked at.
    TargetSeen {
        /// Which.
        target: TargetId,
        /// What was seen.
        seen: Result<Box<WorkloadSnapshot>, ClusterFailure>,
    },
    /// A scaling write ended.
    Written {
        /// Which action.
        action: ActionId,
        /// Whether the API server accepted it.
        outcome: Result<(), ClusterFailure>,
    },
}
