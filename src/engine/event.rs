//! Events: everything that can reach the engine. Owns the closed list of inputs.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::capacity::Forecasted;
use crate::domain::capacity::growth::Looks;
use crate::domain::capacity::trend::History;
use crate::domain::delivery::Attempt;
use crate::domain::diagnosis::Finding;
use crate::domain::external_alert::PostedAlert;
use crate::domain::name::{ActionId, IncidentId, NoticeId, SilenceId, TargetId};
use crate::domain::notice::Origin;
use crate::domain::observation::{QueryFailure, Round};
use crate::domain::scaling::{ClusterFailure, PauseOrder, WorkloadSnapshot};
use crate::domain::silence::Silence;
use crate::domain::trouble::Trouble;

use super::plan::Plan;

/// Something that happened outside.
#[derive(Debug, Clone)]
pub enum Event {
    /// A query was answered, or failed.
    Observed(Round),
    /// Time passed: timers that are due act.
    Tick,
    /// Something may leave that waited for this instant, see [`Engine::next_turn`](super::Engine::next_turn).
    Wake,
    /// New settings or rules were loaded.
    Reloaded(Arc<Plan>),
    /// A person took an incident.
    Acknowledge {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: Arc<str>,
        /// When the acknowledgement ends, where it shall.
        until: Option<Timestamp>,
        /// Where it was done, if in a channel.
        origin: Option<Origin>,
    },
    /// A person gives an incident back.
    Unacknowledge {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: Arc<str>,
    },
    /// A person writes something down on an incident's timeline.
    Note {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: Arc<str>,
        /// What.
        text: Arc<str>,
    },
    /// A person did a step of an incident's checklist, or takes that back.
    Check {
        /// Which incident.
        incident: IncidentId,
        /// Which step, from 0.
        step: usize,
        /// Whether it is done.
        done: bool,
        /// Who.
        by: Arc<str>,
    },
    /// Something of the daemon itself is in trouble, or no longer is.
    Trouble {
        /// What.
        trouble: Trouble,
        /// What is known about it, for people; `None` once it is over.
        detail: Option<Arc<str>>,
    },
    /// A person says that an incident is over.
    Resolve {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: Arc<str>,
    },
    /// Somebody hands in alerts that were found elsewhere.
    Posted(Vec<PostedAlert>),
    /// A person silences alerts, or changes a silence that is there.
    Silence(Box<Silence>),
    /// A person ends a silence.
    ExpireSilence {
        /// Which.
        id: SilenceId,
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
    /// A step of a diagnosis ended.
    Diagnosed {
        /// Of which incident.
        incident: IncidentId,
        /// Its place in the incident's diagnosis.
        step: usize,
        /// In which run.
        asked_at: Timestamp,
        /// How.
        finding: Box<Finding>,
    },
    /// The past of something that is forecast was asked for.
    History {
        /// What it is the past of.
        of: Forecasted,
        /// Its values, or why there are none.
        seen: Result<History, QueryFailure>,
    },
    /// The values of a metric by tenant were looked at, now and some weeks back.
    Looked(Box<Looks>),
    /// A target was looked at.
    TargetSeen {
        /// Which.
        target: TargetId,
        /// What was seen.
        seen: Result<Box<WorkloadSnapshot>, ClusterFailure>,
    },
    /// A person asks that a target is not scaled.
    PauseScaling {
        /// Which.
        target: TargetId,
        /// Who, why and for how long.
        order: PauseOrder,
    },
    /// A person lets a target be scaled again; what did not help or was undone is forgiven.
    ResumeScaling {
        /// Which.
        target: TargetId,
        /// Who.
        by: Arc<str>,
    },
    /// A scaling write ended.
    Written {
        /// Which action.
        action: ActionId,
        /// Whether the API server accepted it.
        outcome: Result<(), ClusterFailure>,
    },
}
