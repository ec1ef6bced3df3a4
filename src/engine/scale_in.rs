//! Scale-in: capacity is taken back one step at a time, after a long calm. Owns what speaks against it; off unless the
//! policy says how.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::quantity::Unit;
use crate::domain::scaling::{
    Axis, ContainerSize, Direction, HeldReason, OnUnknown, Policy, Purpose, Size, Target, WorkloadSnapshot,
};

use super::Engine;
use super::checks::largest;
use super::scaling::Wanted;

/// A target that was last seen at its least is not looked at again for so long.
const SEEN_WITHIN: Duration = Duration::from_secs(10 * 60);

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
        // What was just resolved may come back.
        let held = if self.incidents_of(target).next().is_some() {
            Some(HeldReason::IncidentOpen)
        } else {
            self.held_before(policy, target, ask, None, now)
        };
        match held {
            Some(reason) => {
                self.hold(target, ask, &reason, now);
                None
            }
            None => Some(ask),
        }
    }

    /// Whether the last look is too old to go by for a step back.
    fn is_stale(&self, target: &Target, now: Timestamp) -> bool {
        let looked_at = self.targets.get(&target.id).and_then(|state| state.seen).map(|seen| seen.at);
        looked_at.is_none_or(|at| has_passed(at, SEEN_WITHIN, now) || at > now)
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
        self.leaves_tenants_enough(target, snapshot, *to, now)?;
        let share = f64::from(snapshot.replicas) / f64::from((*to).max(1));
        for trigger in &policy.triggers {
            let Some(vote) = self.fresh_value(target, trigger, now) else { continue };
            // The same load on fewer pods, with room to spare.
            if trigger.unit == Unit::Ratio && vote.value * share >= trigger.threshold {
                return Err(HeldReason::WouldBreach);
            }
        }
        Ok(())
    }

    /// Whether the tenants of the service still have what they need with so many replicas. How many there are may be
    /// unknown, which is not none.
    fn leaves_tenants_enough(
        &self,
        target: &Target,
        snapshot: &WorkloadSnapshot,
        to: u32,
        now: Timestamp,
    ) -> Result<(), HeldReason> {
        if !self.has_floor(&target.service) {
            return Ok(());
        }
        let Some(floor) = self.capacity_floor(&target.service, now) else {
            return match target.limits.on_unknown {
                OnUnknown::Allow => Ok(()),
                OnUnknown::Refuse => Err(HeldReason::CapacityUnknown),
            };
        };
        let pod = largest(&snapshot.pods).unwrap_or(&snapshot.containers);
        let sum = |amount: fn(&ContainerSize) -> Option<f64>| pod.iter().map(amount).sum::<Option<f64>>();
        let cores = sum(|container| container.cpu_request.or(container.cpu_limit));
        let memory = sum(|container| container.memory_request.or(container.memory_limit));
        match floor.replicas(cores, memory) {
            Some(least) if to < least => Err(HeldReason::CapacityFloor),
            _ => Ok(()),
        }
    }

    /// Whether a model counts the tenants of a service.
    fn has_floor(&self, service: &str) -> bool {
        let targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        let is_alone = targets.map(|target| &target.service).all(|other| **other == *service);
        let models = self.plan.rules.resource_requirements.iter().flat_map(|it| &it.models);
        let mut models = models.filter(|model| model.tenants.is_some());
        models.any(|model| model.service.as_deref().map_or(is_alone, |named| named == service))
    }

    /// Whether a window of the schedule asks for more replicas than the target was last seen to have.
    pub(super) fn is_below_floor(&self, target: &Target, now: Timestamp) -> bool {
        let bounds = target.bounds(now);
        let seen = self.targets.get(&target.id).and_then(|state| state.seen);
        bounds.scheduled && seen.is_some_and(|seen| seen.replicas < bounds.least)
    }
}
