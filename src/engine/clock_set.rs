//! Clocks that are set: what of scaling goes by the wall clock, held against one that was set back. Owns that neither rests
//! nor deadlines grow by the hours it was set back, and that no rest ends early unseen.
//!
//! A clock that is set back behind the beginning of a rest begins the rest anew: how much of it had passed nobody knows. One
//! that is set back into it leaves it as it is. Set ahead, a rest ends by the clock: there is no other to go by.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::scaling::ActionState;

use super::Engine;

impl Engine {
    /// After the clock was set back, and after a start: begins anew what seems to begin in the future.
    pub(super) fn mind_the_clock(&mut self, now: Timestamp) {
        let last = self.minded_at.replace(now);
        if last.is_some_and(|last| last <= now) {
            return;
        }
        for (place, rest) in self.state.cooldowns.iter_mut().filter(|(_, rest)| rest.since > now) {
            *rest = rest.rearmed(now);
            self.dirty.cooldowns.insert(place.clone());
        }
        self.mind_deadlines(now);
        for state in self.targets.values_mut() {
            state.evidence_after = state.evidence_after.map(|at| at.min(now));
        }
    }

    /// An action has no longer for its next stage than if that began now.
    fn mind_deadlines(&mut self, now: Timestamp) {
        let mut minded = Vec::new();
        for action in self.state.actions.values() {
            let mut next = action.clone();
            let course = &mut next.course;
            course.applied_at = course.applied_at.map(|at| at.min(now));
            course.counts_from = course.counts_from.map(|at| at.min(now));
            let begun = action.state.at().unwrap_or(action.planned_at);
            if action.state.is_running() && begun > now {
                let policy = self.plan.rules.policy.as_ref();
                let span = match action.state {
                    ActionState::Healthy { .. } => policy.map(|policy| policy.settle),
                    _ => self.target(&action.target).map(|target| target.ready_within),
                };
                let latest = now.checked_add(span.unwrap_or(Duration::ZERO)).unwrap_or(Timestamp::MAX);
                next.ready_by = next.ready_by.min(latest);
            }
            if next != *action {
                minded.push(next);
            }
        }
        for action in minded {
            self.keep(action);
        }
    }
}
