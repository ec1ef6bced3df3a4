//! Checks before a step: what holds it before its target is looked at, and what the look says against it. Owns the order
//! of the checks; those of the cluster are the domain's, those of what all targets share `budget`'s.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::quantity::Step;
use crate::domain::scaling::checks::{self, Checks};
use crate::domain::scaling::{
    Axis, ContainerSize, Direction, Frozen, HeldReason, PodSnapshot, Policy, Purpose, ScalingMode, Size,
    Target, Trigger, VerticalMode, WorkloadSnapshot, amounts, fewer_replicas, more_replicas, more_resources,
};

use super::Engine;
use super::scaling::{RETRY_AFTER, Wanted};

/// How soon a target is looked at again after a look that found nothing to take back.
const RETRY_AT_MINIMUM: Duration = Duration::from_secs(5 * 60);

/// How soon a step is tried again that waits for a look at whoever shares something with its target.
const RETRY_SHARERS: Duration = Duration::from_secs(2);

/// A step that may be taken.
pub(super) struct Decided {
    pub(super) ask: Wanted,
    pub(super) from: Size,
    pub(super) to: Size,
    pub(super) cores: f64,
    pub(super) checks: Checks,
}

/// A step that may not, and its sizes as far as they were decided.
pub(super) struct NotTaken {
    pub(super) reason: HeldReason,
    pub(super) sizes: Option<(Size, Size)>,
}

impl From<HeldReason> for NotTaken {
    fn from(reason: HeldReason) -> Self {
        Self { reason, sizes: None }
    }
}

impl Engine {
    /// Why what is asked leads to no step, as far as that can be said without looking at the target.
    pub(super) fn held_before(
        &self,
        policy: &Policy,
        target: &Target,
        ask: Wanted,
        trigger: Option<&Trigger>,
        now: Timestamp,
    ) -> Option<HeldReason> {
        if self.plan.scaling == ScalingMode::Off {
            return Some(HeldReason::Off);
        }
        if self.is_blind() {
            return Some(HeldReason::Blind);
        }
        if let Some(reason) = self.paused(&target.id, now) {
            return Some(reason);
        }
        if let Some(trigger) = trigger {
            let vote = self.targets.get(&target.id)?.votes.get(&trigger.name)?;
            if !vote.value.is_finite() {
                return Some(HeldReason::NotFinite);
            }
        }
        let has_step = ask.purpose != Purpose::Triggered || policy.axis(ask.axis).is_some();
        if !has_step {
            return Some(HeldReason::NoStep);
        }
        if ask.direction == Direction::Out
            && let Some(frozen) = self.frozen(&target.id, ask.axis)
        {
            return Some(HeldReason::Frozen(frozen));
        }
        let place = (target.id.clone(), ask.axis, ask.direction);
        let until = self.state.cooldowns.get(&place)?.until;
        (until > now).then_some(HeldReason::Cooldown { until })
    }

    /// Whether a step may be taken, by what a look says.
    pub(super) fn decide_step(
        &self,
        policy: &Policy,
        target: &Target,
        ask: Wanted,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) -> Result<Decided, NotTaken> {
        if let Some(pause) = snapshot.surroundings.paused(now) {
            let reason = pause.reason.clone().unwrap_or_else(|| "its annotation says so".into());
            let by = "the workload's annotation".into();
            return Err(HeldReason::Paused { until: pause.until, by, reason }.into());
        }
        if snapshot.rollout_in_progress {
            return Err(HeldReason::Rollout.into());
        }
        if ask.direction == Direction::Out
            && let Some(undone) = self.undone_since(target, ask.axis, snapshot)
        {
            return Err(HeldReason::Frozen(Frozen::Undone { by: undone.by }).into());
        }
        let (from, to) = self.next_size(policy, target, ask, snapshot, now)?;
        let held = |reason: HeldReason| NotTaken { reason, sizes: Some((from.clone(), to.clone())) };
        let cores = added_cores(snapshot, &from, &to);
        match ask.direction {
            Direction::Out => {
                self.within_budget(policy, cores, now).map_err(held)?;
                self.within_connections(policy, target, &to, now).map_err(held)?;
            }
            Direction::In => self.leaves_enough(policy, target, snapshot, &to, now).map_err(held)?,
        }
        let checks = checks::before(snapshot, ask.axis, &from, &to, &target.limits);
        if let Some(refusal) = checks.against(&target.limits) {
            return Err(held(HeldReason::Check(refusal.clone())));
        }
        Ok(Decided { ask, from, to, cores, checks })
    }

    /// A wanted step is not taken after a look. One that had its sizes is recorded as refused, once for each reason.
    pub(super) fn not_taken(
        &mut self,
        target: &Target,
        ask: Wanted,
        not: NotTaken,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) {
        match &not.reason {
            HeldReason::AtMinimum => self.rest_for(&target.id, ask.place(), RETRY_AT_MINIMUM, now),
            // Whoever shares has been asked for a look, and has not answered yet.
            HeldReason::ConnectionsUnknown if !self.has_unseen_sharer(target) => {
                self.rest_for(&target.id, ask.place(), RETRY_SHARERS, now);
                return;
            }
            _ => self.rest_for(&target.id, ask.place(), RETRY_AFTER, now),
        }
        if let HeldReason::Frozen(frozen @ Frozen::Undone { .. }) = &not.reason {
            self.freeze(target, ask.axis, frozen.clone(), now);
        }
        match not.sizes {
            None => self.hold(target, ask, &not.reason, now),
            Some(sizes) => self.refuse_plan(target, ask, sizes, not.reason, snapshot, now),
        }
    }

    /// The size on an axis now, and after one step.
    fn next_size(
        &self,
        policy: &Policy,
        target: &Target,
        ask: Wanted,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) -> Result<(Size, Size), HeldReason> {
        let bounds = target.bounds(now);
        let replicas = |to: u32| (Size::Replicas(snapshot.replicas), Size::Replicas(to));
        if ask.direction == Direction::In {
            let step = policy.scale_in.map_or(1, |scale_in| scale_in.step);
            return fewer_replicas(snapshot.replicas, step, bounds).map(replicas);
        }
        if ask.purpose == Purpose::Scheduled {
            return more_replicas(snapshot.replicas, 0, bounds).map(replicas);
        }
        let step = policy.axis(ask.axis).map(|axis| axis.step).ok_or(HeldReason::NoStep)?;
        match step {
            Step::Replicas(count) => more_replicas(snapshot.replicas, count, bounds).map(replicas),
            Step::Resources(share) => {
                // What runs may already be larger than the template after an in-place step: grow from what is
                // desired of the pods, so that steps add up.
                let resizable = largest(&snapshot.pods).filter(|_| snapshot.in_place_resize);
                let running = resizable.unwrap_or(&snapshot.containers);
                let base = match target.limits.vertical {
                    VerticalMode::Template => &snapshot.containers,
                    VerticalMode::InPlace | VerticalMode::InPlaceThenTemplate => running,
                };
                let next = more_resources(base, share, target)?;
                for trigger in self.asking(policy, target, ask.axis, now) {
                    trigger.is_helped_by(base, &next)?;
                }
                Ok((Size::Resources(base.clone()), Size::Resources(next)))
            }
        }
    }
}

/// The cores that the pods request on top after a step; less than nothing after a step back.
fn added_cores(snapshot: &WorkloadSnapshot, from: &Size, to: &Size) -> f64 {
    let cores = |containers: &[ContainerSize]| {
        containers.iter().filter_map(|container| container.cpu_request.or(container.cpu_limit)).sum::<f64>()
    };
    match (from, to) {
        (Size::Replicas(from), Size::Replicas(to)) => {
            let pod = snapshot.surroundings.pod.get().map(|pod| pod.requests().get(amounts::CPU));
            let each = match pod {
                Ok(millicores) if millicores > 0 => {
                    f64::from(u32::try_from(millicores).unwrap_or(u32::MAX)) / 1000.0
                }
                _ => cores(largest(&snapshot.pods).unwrap_or(&snapshot.containers)),
            };
            each * (f64::from(*to) - f64::from(*from))
        }
        (Size::Resources(from), Size::Resources(to)) => {
            (cores(to) - cores(from)) * f64::from(snapshot.replicas)
        }
        _ => 0.0,
    }
}

/// The size of the largest pod. A step that reached some pods only must not be taken twice by those.
pub(super) fn largest(pods: &[PodSnapshot]) -> Option<&Vec<ContainerSize>> {
    let total = |pod: &PodSnapshot| {
        let sizes = pod.containers.iter().map(|it| it.memory_limit.or(it.memory_request).unwrap_or(0.0));
        let cores = pod.containers.iter().map(|it| it.cpu_limit.or(it.cpu_request).unwrap_or(0.0));
        (sizes.sum::<f64>(), cores.sum::<f64>())
    };
    let by_size = |one: &&PodSnapshot, two: &&PodSnapshot| {
        let (one, two) = (total(one), total(two));
        one.0.total_cmp(&two.0).then(one.1.total_cmp(&two.1))
    };
    pods.iter().max_by(by_size).map(|pod| &pod.containers)
}

impl Engine {
    /// Whether more replicas are not to be had, or did not help: then `auto` turns to larger pods.
    pub(super) fn has_grown(&self, policy: &Policy, target: &Target, now: Timestamp) -> bool {
        let full = self
            .targets
            .get(&target.id)
            .and_then(|state| state.seen)
            .is_some_and(|seen| seen.replicas >= target.bounds(now).most);
        let helpless = self.frozen(&target.id, Axis::Horizontal);
        policy.vertical.is_some() && (full || matches!(helpless, Some(Frozen::DoesNotHelp { .. })))
    }
}
