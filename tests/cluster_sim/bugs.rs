//! Planted bugs: mistakes that a shell or an engine could have, each of which the invariants must notice. Owns the list
//! and what each does to what is restored and seen; a run has one at the most.

use runbookd::domain::observation::{Answer, Observation, Sample};
use runbookd::domain::scaling::WorkloadSnapshot;
use runbookd::engine::state::State;

/// A mistake on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    // The order of the core.
    WritesBeforeTheCommit,
    IgnoresFailedCommits,
    DropsChangesOfFailedCommits,
    // What a restart forgets.
    RestoreForgetsCooldowns,
    RestoreForgetsActions,
    RestoreForgetsUnwrittenSteps,
    RestoreForgetsTargets,
    RestoreForgetsReverts,
    // What a reload forgets.
    ReloadKeepsTheOldBounds,
    // Writing.
    WritesWithoutAVersion,
    WritesADelta,
    RefusalsCountAsAccepted,
    AcceptedCountsAsConflict,
    LostAnswersCountAsRefused,
    // Looking.
    LooksHideRollouts,
    LooksThatFailAreNotAnswered,
    // Observing.
    MissingReadsAsTheLastValue,
    StaleReadsAsAValue,
    NotANumberReadsAsMuch,
    FailuresReadAsEmpty,
}

impl Bug {
    pub(crate) const ALL: [Self; 20] = [
        Self::WritesBeforeTheCommit,
        Self::IgnoresFailedCommits,
        Self::DropsChangesOfFailedCommits,
        Self::RestoreForgetsCooldowns,
        Self::RestoreForgetsActions,
        Self::RestoreForgetsUnwrittenSteps,
        Self::RestoreForgetsTargets,
        Self::RestoreForgetsReverts,
        Self::ReloadKeepsTheOldBounds,
        Self::WritesWithoutAVersion,
        Self::WritesADelta,
        Self::RefusalsCountAsAccepted,
        Self::AcceptedCountsAsConflict,
        Self::LostAnswersCountAsRefused,
        Self::LooksHideRollouts,
        Self::LooksThatFailAreNotAnswered,
        Self::MissingReadsAsTheLastValue,
        Self::StaleReadsAsAValue,
        Self::NotANumberReadsAsMuch,
        Self::FailuresReadAsEmpty,
    ];

    /// What is restored, with the bug.
    pub(crate) fn at_restore(self, state: &mut State) {
        match self {
            Self::RestoreForgetsCooldowns => state.cooldowns.clear(),
            Self::RestoreForgetsActions => state.actions.clear(),
            Self::RestoreForgetsUnwrittenSteps => {
                state.actions.retain(|_, action| !action.state.is_unwritten());
            }
            Self::RestoreForgetsTargets => state.targets.clear(),
            Self::RestoreForgetsReverts => {
                for action in state.actions.values_mut() {
                    action.course.owes_revert = None;
                }
            }
            _ => {}
        }
    }

    /// What is seen of a workload, with the bug.
    pub(crate) fn at_look(self, seen: &mut WorkloadSnapshot) {
        if self == Self::LooksHideRollouts {
            seen.rollout_in_progress = false;
        }
    }

    /// What is read out of an answer, with the bug. `last`: the series of the answer before.
    pub(crate) fn at_answer(self, answer: &mut Answer, last: &[Sample]) {
        match (self, answer) {
            (Self::MissingReadsAsTheLastValue, Answer::Series(samples)) => {
                let gone: Vec<&Sample> = last
                    .iter()
                    .filter(|it| samples.iter().all(|sample| sample.labels != it.labels))
                    .collect();
                samples.extend(gone.into_iter().cloned());
            }
            (Self::StaleReadsAsAValue, Answer::Series(samples)) => {
                replace(samples, |seen| seen == Observation::Stale, Observation::Value(0.99));
            }
            (Self::NotANumberReadsAsMuch, Answer::Series(samples)) => {
                replace(samples, |seen| seen == Observation::NotANumber, Observation::Value(9.0));
            }
            (Self::FailuresReadAsEmpty, answer @ Answer::Failed(_)) => *answer = Answer::Series(Vec::new()),
            _ => {}
        }
    }
}

fn replace(samples: &mut [Sample], which: impl Fn(Observation) -> bool, by: Observation) {
    for sample in samples.iter_mut().filter(|sample| which(sample.seen)) {
        sample.seen = by;
    }
}
