//! Scaling in the engine: sustained triggers become wanted steps, wanted steps become recorded actions or a reason
//! why not. Owns which step is taken; what triggers say is `evidence`, what becomes of a step `action`, the
//! arithmetic of a step the domain's.
//!
//! ```text
//! trigger sustained ─▶ held? ─▶ Look ─▶ TargetSeen ─▶ held? ─▶ action planned ─▶ Write
//!                        │                              │            (dry run ends here)
//!                        └─ reason ◀────────────────────┴─ reason
//! ```
//! The size is decided from a fresh look and recorded, absolute and with the version it was seen at, before it is
//! written: a crash in between repeats the same write, which can win only once.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::headline::spoken;
use crate::domain::incident::{Happening, Incident};
use crate::domain::labels::Fnv;
use crate::domain::name::{ActionId, IncidentId, TargetId};
use crate::domain::notice::NoticeEvent;
use crate::domain::quantity::Step;
use crate::domain::scaling::{
    ActionState, Axis, ClusterFailure, ContainerSize, HeldReason, PodSnapshot, Policy, ScalingAction,
    ScalingMode, Size, Target, Trigger, VerticalMode, WorkloadSnapshot, more_replicas, more_resources,
};

use super::Engine;
use super::effect::Effect;
use super::evidence::speaks_of;
use super::report::Report;

/// How often a target is looked at while an action on it is under way, and how soon after a failed look or write the
/// next attempt may come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How soon after a refusal that will not pass by itself the step is tried again: people hear of each try.
const RETRY_REFUSED_AFTER: Duration = Duration::from_secs(10 * 60);

impl Engine {
    /// Looks at every target: carries on what is under way, and starts what is wanted and free to start.
    pub(super) fn evaluate_scaling(&mut self, now: Timestamp) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        if plan.scaling == ScalingMode::Off {
            return;
        }
        for target in &policy.targets {
            if self.running(&target.id).is_some() {
                self.look(&target.id, LOOK_EVERY, now);
                continue;
            }
            let mut wanted = None;
            for axis in Axis::ALL {
                let Some(trigger) = self.sustained(policy, target, axis, now) else {
                    if let Some(state) = self.targets.get_mut(&target.id) {
                        state.held.remove(&axis);
                    }
                    continue;
                };
                match self.held_before(policy, target, axis, trigger, now) {
                    Some(reason) => self.hold(target, axis, reason, now),
                    None => wanted = wanted.or(Some(axis)),
                }
            }
            let Some(state) = self.targets.get_mut(&target.id) else { continue };
            state.wanted = wanted;
            if wanted.is_some() && state.rest_until.is_none_or(|until| until <= now) {
                self.look(&target.id, LOOK_EVERY, now);
            }
        }
    }

    /// A target was looked at.
    pub(super) fn target_seen(
        &mut self,
        id: &TargetId,
        seen: Result<Box<WorkloadSnapshot>, ClusterFailure>,
        now: Timestamp,
    ) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        let Some(target) = policy.targets.iter().find(|target| target.id == *id) else { return };
        if let Some(action) = self.running(id).cloned() {
            match seen {
                Ok(snapshot) => self.follow(target, action, &snapshot, now),
                Err(_) if action.ready_by <= now => {
                    // The write may have happened: a step that nobody could see counts as one.
                    if action.state == ActionState::Planned {
                        self.cool_down(&action, now);
                    }
                    self.give_up(action, now);
                }
                Err(_) => {}
            }
            return;
        }
        let Some(axis) = self.targets.get(id).and_then(|state| state.wanted) else { return };
        // The look took time: what was wanted must still be wanted.
        let Some(trigger) = self.sustained(policy, target, axis, now) else { return };
        let decided = match self.held_before(policy, target, axis, trigger, now) {
            Some(reason) => Err(reason),
            None => seen.map_err(HeldReason::Cluster).and_then(|snapshot| {
                if snapshot.rollout_in_progress {
                    return Err(HeldReason::Rollout);
                }
                next_size(policy, target, trigger, &snapshot).map(|sizes| (snapshot, sizes))
            }),
        };
        match decided {
            Ok((snapshot, sizes)) => self.plan_action(target, axis, trigger, &snapshot, sizes, now),
            Err(reason) => {
                self.rest(id, now);
                self.hold(target, axis, reason, now);
            }
        }
    }

    /// The targets that an incident's subject names.
    pub(super) fn targets_of<'a>(&'a self, incident: &'a Incident) -> impl Iterator<Item = &'a Target> {
        let targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        targets.filter(|target| speaks_of(&incident.subject, target))
    }

    /// Why a sustained trigger leads to no step, as far as that can be said without looking at the target.
    fn held_before(
        &self,
        policy: &Policy,
        target: &Target,
        axis: Axis,
        trigger: &Trigger,
        now: Timestamp,
    ) -> Option<HeldReason> {
        if self.plan.scaling == ScalingMode::Off {
            return Some(HeldReason::Off);
        }
        if self.is_blind() {
            return Some(HeldReason::Blind);
        }
        let vote = self.targets.get(&target.id)?.votes.get(&trigger.name)?;
        if !vote.value.is_finite() {
            return Some(HeldReason::NotFinite);
        }
        if policy.axis(axis).is_none() {
            return Some(HeldReason::NoStep);
        }
        let until = self.state.cooldowns.get(&(target.id.clone(), axis)).copied()?;
        (until > now).then_some(HeldReason::Cooldown { until })
    }

    fn plan_action(
        &mut self,
        target: &Target,
        axis: Axis,
        trigger: &Trigger,
        snapshot: &WorkloadSnapshot,
        (from, to): (Size, Size),
        now: Timestamp,
    ) {
        let value = self.targets.get(&target.id).and_then(|state| state.votes.get(&trigger.name));
        let value = value.map_or(f64::NAN, |vote| vote.value);
        let evidence = format!(
            "{} {} > {}",
            spoken(&trigger.metric),
            trigger.unit.show(value),
            trigger.unit.show(trigger.threshold)
        );
        let incident = self.incident_of(target);
        let ready_by = now.checked_add(target.ready_within).unwrap_or(Timestamp::MAX);
        let dry = self.plan.scaling != ScalingMode::Apply;
        let action = ScalingAction {
            id: action_id(&target.id, axis, &snapshot.uid, now),
            target: target.id.clone(),
            uid: snapshot.uid.clone(),
            axis,
            trigger: trigger.name.clone(),
            evidence: evidence.into(),
            from,
            to,
            resource_version: snapshot.resource_version.clone(),
            vertical: target.vertical,
            incident: incident.clone(),
            planned_at: now,
            ready_by,
            state: ActionState::Planned,
        };
        if let Some(state) = self.targets.get_mut(&target.id) {
            state.held.remove(&axis);
        }
        self.state.actions.insert(action.id.clone(), action.clone());
        self.dirty.actions.insert(action.id.clone());
        if dry {
            let text = format!("would scale {} (dry run, {})", action.change(), action.evidence);
            self.cool_down(&action, now);
            self.finish(action, ActionState::DryRun { at: now }, &text, NoticeEvent::Scaled, now);
        } else {
            self.narrate(&action, &format!("planned {}: {}", action.change(), action.evidence), now);
            self.write(action);
        }
    }

    /// A wanted step is not taken. People hear of a reason once, when it begins.
    fn hold(&mut self, target: &Target, axis: Axis, reason: HeldReason, now: Timestamp) {
        let Some(state) = self.targets.get_mut(&target.id) else { return };
        if state.held.insert(axis, reason) == Some(reason) {
            return;
        }
        self.reports.push(Report::Held { target: target.id.clone(), axis, reason });
        let Some(id) = self.incident_of(target) else { return };
        let text: Arc<str> = format!("{axis} step held: {reason}").into();
        self.note(
            &id,
            now,
            Happening::NotScaled { axis, reason: reason.as_str().into(), text: text.clone() },
        );
        if !matches!(reason, HeldReason::Blind | HeldReason::Rollout) {
            self.news.add(&id, NoticeEvent::NotScaled, Some(text));
        }
    }

    fn look(&mut self, id: &TargetId, every: Duration, now: Timestamp) {
        let Some(state) = self.targets.get_mut(id) else { return };
        if state.looked_at.is_none_or(|at| has_passed(at, every, now)) {
            state.looked_at = Some(now);
            self.effects.push(Effect::Look(id.clone()));
        }
    }

    pub(super) fn rest(&mut self, id: &TargetId, now: Timestamp) {
        self.rest_for(id, RETRY_AFTER, now);
    }

    /// After a refused write: a conflict passes, a missing right or an invalid size does not.
    pub(super) fn rest_after(&mut self, id: &TargetId, refusal: ClusterFailure, now: Timestamp) {
        let passes = refusal == ClusterFailure::Conflict;
        self.rest_for(id, if passes { RETRY_AFTER } else { RETRY_REFUSED_AFTER }, now);
    }

    fn rest_for(&mut self, id: &TargetId, span: Duration, now: Timestamp) {
        if let Some(state) = self.targets.get_mut(id) {
            state.rest_until = now.checked_add(span).ok();
        }
    }

    fn running(&self, id: &TargetId) -> Option<&ScalingAction> {
        self.state.actions.values().find(|action| action.target == *id && action.state.is_running())
    }

    pub(super) fn target(&self, id: &TargetId) -> Option<&Target> {
        self.plan.rules.policy.iter().flat_map(|policy| &policy.targets).find(|target| target.id == *id)
    }

    /// The worst active incident whose subject names the target.
    pub(super) fn incident_of(&self, target: &Target) -> Option<IncidentId> {
        let active = self.state.open.values().filter_map(|id| self.state.incidents.get(id));
        active
            .filter(|incident| incident.state.is_active() && speaks_of(&incident.subject, target))
            .max_by_key(|incident| (incident.severity, std::cmp::Reverse(incident.opened_at)))
            .map(|incident| incident.id.clone())
    }
}

/// The size on `axis` now, and after one step.
fn next_size(
    policy: &Policy,
    target: &Target,
    trigger: &Trigger,
    snapshot: &WorkloadSnapshot,
) -> Result<(Size, Size), HeldReason> {
    let Some(step) = policy.axis(trigger.axis).map(|axis| axis.step) else {
        return Err(HeldReason::NoStep);
    };
    match step {
        Step::Replicas(count) => {
            let next = more_replicas(snapshot.replicas, count, target)?;
            Ok((Size::Replicas(snapshot.replicas), Size::Replicas(next)))
        }
        Step::Resources(share) => {
            // What runs may already be larger than the template after an in-place step: grow from what is
            // desired of the pods, so that steps add up.
            let resizable = largest(&snapshot.pods).filter(|_| snapshot.in_place_resize);
            let running = resizable.unwrap_or(&snapshot.containers);
            let base = match target.vertical {
                VerticalMode::Template => &snapshot.containers,
                VerticalMode::InPlace | VerticalMode::InPlaceThenTemplate => running,
            };
            let next = more_resources(base, share, target)?;
            trigger.is_helped_by(base, &next)?;
            Ok((Size::Resources(base.clone()), Size::Resources(next)))
        }
    }
}

/// The size of the largest pod. A step that reached some pods only must not be taken twice by those.
fn largest(pods: &[PodSnapshot]) -> Option<&Vec<ContainerSize>> {
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

fn action_id(target: &TargetId, axis: Axis, uid: &str, now: Timestamp) -> ActionId {
    let mut hash = Fnv::default();
    hash.write(target.to_string().as_bytes());
    hash.write(axis.as_str().as_bytes());
    hash.write(uid.as_bytes());
    hash.write(&now.as_nanosecond().to_be_bytes());
    ActionId::from(format!("{}-{:016x}", now.as_second(), hash.0))
}
