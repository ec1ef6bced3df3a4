//! Planted bugs: mistakes that a shell or an engine could have, each of which the invariants must notice. Owns the list
//! and what each does to the run; a run has one at the most.

use runbookd::domain::alert::AlertState;
use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::engine::state::State;

use crate::chance::Chance;
use crate::channels::Fate;

/// A mistake on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    // The order of the core.
    SendsBeforeTheCommit,
    IgnoresFailedCommits,
    DropsChangesOfFailedCommits,
    // What a restart forgets.
    RestoreForgetsTheOutbox,
    RestoreForgetsAcknowledgements,
    RestoreForgetsWhoWasTold,
    RestoreForgetsTheNumbers,
    RestoreStartsEscalationAnew,
    RestoreStartsPendingAnew,
    // What a reload forgets.
    ReloadForgetsWaits,
    // Sending.
    SwallowsAllClears,
    RefusalsCountAsAccepted,
    AcceptedCountsAsFailed,
    SendsLater,
    SendsTwice,
    // Observing.
    FailuresReadAsEmpty,
}

impl Bug {
    pub(crate) const ALL: [Self; 16] = [
        Self::SendsBeforeTheCommit,
        Self::IgnoresFailedCommits,
        Self::DropsChangesOfFailedCommits,
        Self::RestoreForgetsTheOutbox,
        Self::RestoreForgetsAcknowledgements,
        Self::RestoreForgetsWhoWasTold,
        Self::RestoreForgetsTheNumbers,
        Self::RestoreStartsEscalationAnew,
        Self::RestoreStartsPendingAnew,
        Self::ReloadForgetsWaits,
        Self::SwallowsAllClears,
        Self::RefusalsCountAsAccepted,
        Self::AcceptedCountsAsFailed,
        Self::SendsLater,
        Self::SendsTwice,
        Self::FailuresReadAsEmpty,
    ];

    /// Whether a restart forgets something: then the comparison with the record is left out, which would see it at once.
    pub(crate) fn is_at_restore(self) -> bool {
        matches!(
            self,
            Self::RestoreForgetsTheOutbox
                | Self::RestoreForgetsAcknowledgements
                | Self::RestoreForgetsWhoWasTold
                | Self::RestoreForgetsTheNumbers
                | Self::RestoreStartsEscalationAnew
                | Self::RestoreStartsPendingAnew
        )
    }

    /// What is restored, with the bug.
    pub(crate) fn at_restore(self, state: &mut State) {
        match self {
            Self::RestoreForgetsTheOutbox => state.outbox.clear(),
            Self::RestoreForgetsAcknowledgements => {
                for incident in state.incidents.values_mut() {
                    incident.acknowledged = None;
                }
            }
            Self::RestoreForgetsWhoWasTold => {
                for incident in state.incidents.values_mut() {
                    incident.told.clear();
                }
            }
            Self::RestoreForgetsTheNumbers => state.numbered.clear(),
            Self::RestoreStartsEscalationAnew => {
                for incident in state.incidents.values_mut() {
                    if let Some(chain) = &mut incident.escalation {
                        chain.wait = None;
                    }
                }
            }
            Self::RestoreStartsPendingAnew => {
                for series in state.alerts.values_mut() {
                    series.retain(|_, it| !matches!(it.alert.state, AlertState::Pending { .. }));
                }
            }
            _ => {}
        }
    }

    /// What becomes of an attempt, with the bug.
    pub(crate) fn at_send(self, notice: &Notice, fate: &mut Fate, draws: &mut Chance) {
        match (self, &fate.answer) {
            (Self::SwallowsAllClears, Attempt::Accepted { .. })
                if notice.event == NoticeEvent::Resolved && draws.strikes(0.1) =>
            {
                fate.arrives = None;
            }
            (Self::RefusalsCountAsAccepted, Attempt::Refused { .. }) => fate.answer = Attempt::ACCEPTED,
            (Self::AcceptedCountsAsFailed, Attempt::Accepted { .. }) if draws.strikes(0.02) => {
                fate.answer = Attempt::Failed {
                    reason: DeliveryReason::ServerError,
                    detail: "a body not understood".into(),
                    retry_after: None,
                };
            }
            (Self::SendsLater, Attempt::Accepted { .. }) if draws.strikes(0.1) => {
                fate.arrives = fate.arrives.map(|at| at + draws.millis(5.0, 300.0));
            }
            _ => {}
        }
    }
}
