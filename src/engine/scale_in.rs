//! Scale-in: capacity is taken back one step at a time, after a long calm. Owns what speaks against it; off unless the
//! policy says how.

use crate::domain::Timestamp;
use crate::domain::scaling::{Axis, Direction, HeldReason, Policy, Purpose, Size, Target, WorkloadSnapshot};

use super::Engine;
use super::scaling::Wanted;

impl Engine {
    /// Whether a step back is wanted, where nothing asks for more.
    pub(super) fn wanted_in(&mut self, policy: &Policy, target: &Target, now: Timestamp) -> Option<Wanted> {
        let scale_in = policy.scale_in?;
        let ask = Wanted { axis: Axis::Horizontal, direction: Direction::In, purpose: Purpose::Cleared };
        let least = target.bounds(now).least;
        let seen = self.targets.get(&target.id)?.seen;
        let at_least = seen.is_some_and(|seen| seen.replicas <= least && !self.is_stale(target, now));
        if at_least || !self.all_clear(policy, target, scale_in.stabilize, now) {
            self.release_held(target, ask.axis, ask.direction);
            return None;
        }
        let held = if self.incidents_of(target).next().is_some() {
            Some(HeldReason::IncidentOpen)
        } else {
            self.held_before(policy, target, ask, None, now)
        };
        match held {
            Some(reason) => {
                self.hold(target, ask, reason, now);
                None
            }
            None => Some(ask),
        }
    }

    /// Whether the last look is too old to go by for a step back.
    fn is_stale(&self, target: &Target, now: Timestamp) -> bool {
        let looked_at = self.targets.get(&target.id).and_then(|state| state.seen).map(|seen| seen.at);
        looked_at.is_none_or(|at| {
            crate::domain::alert::has_passed(at, std::time::Duration::from_secs(10 * 60), now) || at > now
        })
    }

    /// Whether what is left after a step back is enough: for the triggers, and for the tenants.
    pub(super) fn leaves_enough(
        &self,
        policy: &Policy,
        target: &Target,
        snapshot: &WorkloadSnapshot,
        to: &Size,
        now: Timestamp,
    ) -> Result<(), HeldReason> {
        let Size::Replicas(to) = to else { return Ok(()) };
        let share = f64::from(snapshot.replicas) / f64::from((*to).max(1));
        for trigger in &policy.triggers {
            let Some(vote) = self.fresh_value(target, trigger, now) else { continue };
            // The same load on fewer pods, with room to spare.
            if trigger.unit == crate::domain::quantity::Unit::Ratio && vote.value * share >= trigger.threshold
            {
                return Err(HeldReason::WouldBreach);
            }
        }
        Ok(())
    }

    /// Whether a window of the schedule asks for more replicas than the target was last seen to have.
    pub(super) fn is_below_floor(&self, target: &Target, now: Timestamp) -> bool {
        let bounds = target.bounds(now);
        let seen = self.targets.get(&target.id).and_then(|state| state.seen);
        bounds.scheduled && seen.is_some_and(|seen| seen.replicas < bounds.least)
    }
}
