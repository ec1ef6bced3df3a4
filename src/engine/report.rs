//! Reports: what the engine decided and why, for logs and metrics. Owns the closed list; the reasons are the same
//! codes that incidents and surfaces show.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertChange, AlertReason};
use crate::domain::diagnosis::{StepFailure, StepKind};
use crate::domain::external_alert::ExternalReason;
use crate::domain::labels::Labels;
use crate::domain::matcher::Matchers;
use crate::domain::name::{ActionId, IncidentId, RuleId, SilenceId, TargetId};
use crate::domain::notice::NoticeEvent;
use crate::domain::scaling::{ActionState, Axis, Direction, HeldReason};
use crate::domain::severity::Severity;
use crate::domain::silence::SilenceMove;
use crate::domain::suppression::Suppression;
use crate::domain::trouble::Trouble;

/// One decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// An alert moved.
    Alert {
        /// Its rule.
        rule: RuleId,
        /// Its series.
        series: Labels,
        /// How it moved.
        change: AlertChange,
        /// Why.
        reason: AlertReason,
        /// The last value.
        value: Option<f64>,
    },
    /// An alert that was found elsewhere began or is over.
    External {
        /// What identifies it.
        labels: Labels,
        /// Whether it began.
        began: bool,
        /// Why.
        reason: ExternalReason,
    },
    /// Something about an incident is told.
    Incident {
        /// Which.
        id: IncidentId,
        /// What.
        event: NoticeEvent,
        /// Its severity.
        severity: Severity,
        /// The headline.
        headline: Arc<str>,
        /// To how many channels.
        channels: usize,
    },
    /// A scaling action moved.
    Scaling {
        /// Which.
        action: ActionId,
        /// Its target.
        target: TargetId,
        /// Its axis.
        axis: Axis,
        /// Where it is now.
        state: ActionState,
        /// The code of the reason why.
        reason: &'static str,
        /// The change in words.
        change: Arc<str>,
        /// What asked for it.
        evidence: Arc<str>,
    },
    /// A wanted step is held for a new reason.
    Held {
        /// The target.
        target: TargetId,
        /// The axis.
        axis: Axis,
        /// Whether a step out or back.
        direction: Direction,
        /// Why.
        reason: HeldReason,
    },
    /// A person asked that a target is not scaled, or that ended.
    Paused {
        /// The target.
        target: TargetId,
        /// Who: a person's name, or `runbookd` where its time was over.
        by: Arc<str>,
        /// Whether it is paused now.
        paused: bool,
    },
    /// A step of a diagnosis ended.
    Diagnosed {
        /// Of which incident.
        incident: IncidentId,
        /// Which step.
        step: Arc<str>,
        /// What kind of step.
        kind: StepKind,
        /// Why it found nothing, where it did not.
        failure: Option<StepFailure>,
    },
    /// People are no longer told of an incident, for another reason than before, or are told again.
    Suppressed {
        /// Which.
        id: IncidentId,
        /// Why; `None` once that ended.
        why: Option<Suppression>,
    },
    /// A silence was made, changed, ended by somebody, or is about to end while it holds something back.
    Silence {
        /// Which.
        id: SilenceId,
        /// What became of it.
        moved: SilenceMove,
        /// Who did it: a person's name, or `runbookd`.
        by: Arc<str>,
        /// Which alerts it is about.
        matchers: Matchers,
        /// Until when it holds.
        until: Timestamp,
    },
    /// Something of the daemon itself is in trouble, or no longer is.
    Trouble {
        /// What.
        trouble: Trouble,
        /// Whether it began.
        began: bool,
    },
    /// The engine can no longer see, or sees again.
    Sight {
        /// Whether it is blind now.
        blind: bool,
    },
}
