//! Scaling in the engine: sustained triggers become wanted steps, wanted steps become recorded actions or a reason
//! why not. Owns the votes, the cooldowns and an action's life; the arithmetic of a step is the domain's.
//!
//! ```text
//! trigger sustained ─▶ held? ─▶ Look ─▶ TargetSeen ─▶ held? ─▶ action planned ─▶ Write ─▶ Written ─▶ applied
//!                        │                              │            (dry run ends here)       │
//!                        └─ reason ◀────────────────────┴─ reason        Look until ready ─▶ verified
//! ```
//! The size is decided from a fresh look and recorded, absolute and with the version it was seen at, before it is
//! written: a crash in between repeats the same write, which can win only once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::headline::spoken;
use crate::domain::incident::{ActionTaken, Happening, Incident, IncidentState};
use crate::domain::labels::{Fnv, Labels};
use crate::domain::name::{ActionId, IncidentId, TargetId, TriggerName};
use crate::domain::notice::NoticeEvent;
use crate::domain::observation::{Answer, Observation, Round};
use crate::domain::quantity::Step;
use crate::domain::scaling::{
    ActionState, Axis, ClusterFailure, HeldReason, Policy, ScalingAction, ScalingMode, Size, Target, Trigger,
    VerticalMode, WorkloadSnapshot, more_replicas, more_resources,
};

use super::Engine;
use super::effect::Effect;
use super::incidents::DAEMON;
use super::report::Report;

/// How often a target is looked at while an action on it is under way, and how soon after a failed look or write the
/// next attempt may come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// How many rounds a trigger's value may be away before it no longer counts as evidence.
const GAP_IN_ROUNDS: u32 = 3;

/// What the engine remembers of a target between events. Not durable: it is evidence, and evidence is gathered anew.
#[derive(Debug, Default)]
pub(super) struct TargetState {
    votes: BTreeMap<TriggerName, Vote>,
    held: BTreeMap<Axis, HeldReason>,
    looked_at: Option<Timestamp>,
    wanted: Option<Axis>,
    rest_until: Option<Timestamp>,
    writing: bool,
}

impl TargetState {
    pub(super) fn held(&self, axis: Axis) -> Option<HeldReason> {
        self.held.get(&axis).copied()
    }
}

/// What one trigger says about one target.
#[derive(Debug, Clone, Copy)]
struct Vote {
    since: Option<Timestamp>,
    seen_at: Timestamp,
    value: f64,
}

/// What the health query last said about a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    at: Timestamp,
    well: bool,
}

impl Engine {
    /// Gives a round's values to the triggers and health checks that read its query.
    pub(super) fn feed_triggers(&mut self, round: &Round) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        let Answer::Series(samples) = &round.answer else { return };
        let interval = plan.rules.queries.get(&round.query).map_or(Duration::ZERO, |query| query.interval);
        for target in &policy.targets {
            if target.health.as_ref() == Some(&round.query) {
                let well =
                    samples.iter().any(|it| matches!(it.seen, Observation::Value(value) if value > 0.0));
                self.health.insert(target.id.clone(), Health { at: round.at, well });
            }
            let Some(state) = self.targets.get_mut(&target.id) else { continue };
            for trigger in policy.triggers.iter().filter(|trigger| trigger.query == round.query) {
                let values = samples.iter().filter(|it| speaks_of(&it.labels, target)).filter_map(|it| {
                    let Observation::Value(value) = it.seen else { return None };
                    Some(value)
                });
                let Some(value) =
                    values.fold(None, |worst: Option<f64>, it| Some(worst.map_or(it, |w| w.max(it))))
                else {
                    continue;
                };
                let known = state.votes.get(&trigger.name);
                // A gap is not a breach: after one the clock starts anew.
                let kept = known.filter(|vote| !has_passed(vote.seen_at, gap(interval), round.at));
                let since =
                    (value > trigger.threshold).then(|| kept.and_then(|vote| vote.since).unwrap_or(round.at));
                state.votes.insert(trigger.name.clone(), Vote { since, seen_at: round.at, value });
            }
        }
    }

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

    /// A scaling write ended.
    pub(super) fn written(&mut self, id: &ActionId, outcome: Result<(), ClusterFailure>, now: Timestamp) {
        let Some(action) = self.state.actions.get(id).cloned() else { return };
        if let Some(state) = self.targets.get_mut(&action.target) {
            state.writing = false;
        }
        if action.state != ActionState::Planned {
            return;
        }
        match outcome {
            Ok(()) => self.applied(action, now),
            // Whether it happened is unknown: the next look tells, and repeats the same write if it did not.
            Err(ClusterFailure::Unreachable | ClusterFailure::Unavailable) if now < action.ready_by => {}
            Err(reason) => {
                let text = format!("not scaled {}: {reason}", action.change());
                self.rest(&action.target, now);
                self.finish(
                    action,
                    ActionState::Refused { at: now, reason },
                    &text,
                    NoticeEvent::NotScaled,
                    now,
                );
            }
        }
    }

    /// The targets that an incident's subject names.
    pub(super) fn targets_of<'a>(&'a self, incident: &'a Incident) -> impl Iterator<Item = &'a Target> {
        let targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        targets.filter(|target| speaks_of(&incident.subject, target))
    }

    // --- deciding ---

    /// The trigger that asks for `axis` with the strongest breach, if one has been sustained on fresh evidence.
    fn sustained<'a>(
        &self,
        policy: &'a Policy,
        target: &Target,
        axis: Axis,
        now: Timestamp,
    ) -> Option<&'a Trigger> {
        let votes = &self.targets.get(&target.id)?.votes;
        let asks = policy.triggers.iter().filter(|trigger| trigger.axis == axis).filter_map(|trigger| {
            let vote = votes.get(&trigger.name)?;
            let fresh = !has_passed(vote.seen_at, gap(self.interval_of(trigger)), now);
            let lasted = has_passed(vote.since?, policy.sustained, vote.seen_at);
            (fresh && lasted).then_some((trigger, vote.value / trigger.threshold))
        });
        asks.max_by(|one, two| one.1.total_cmp(&two.1)).map(|(trigger, _)| trigger)
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
        let dry = self.plan.scaling == ScalingMode::DryRun;
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

    /// One write of a target at a time: another goes out only once the outcome of the last is known to be unknown.
    fn write(&mut self, action: ScalingAction) {
        let Some(state) = self.targets.get_mut(&action.target) else { return };
        if !std::mem::replace(&mut state.writing, true) {
            self.effects.push(Effect::Write(Box::new(action)));
        }
    }

    // --- an action's life ---

    fn applied(&mut self, mut action: ScalingAction, now: Timestamp) {
        action.state = ActionState::Applied { at: now };
        action.ready_by = self
            .target(&action.target)
            .and_then(|target| now.checked_add(target.ready_within).ok())
            .unwrap_or(action.ready_by);
        self.cool_down(&action, now);
        let text = format!("scaled {}", action.change());
        self.narrate(&action, &format!("applied {}: {}", action.change(), action.evidence), now);
        if let Some(id) = action.incident.clone() {
            self.act(&id, &text, now);
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.move_to(IncidentState::Mitigating);
                for item in incident.checklist.iter_mut().filter(|item| item.ticked_by == Some(action.axis)) {
                    item.done.get_or_insert((DAEMON.into(), now));
                }
            }
            self.news.add(&id, NoticeEvent::Scaled, Some(action.change().into()));
        }
        self.dirty.actions.insert(action.id.clone());
        self.state.actions.insert(action.id.clone(), action);
    }

    /// The rest begins at the accepted write. What was seen before it no longer counts as evidence for another step.
    fn cool_down(&mut self, action: &ScalingAction, now: Timestamp) {
        let rest = self
            .plan
            .rules
            .policy
            .as_ref()
            .and_then(|policy| policy.axis(action.axis))
            .map_or(Duration::ZERO, |axis| axis.cool_down);
        let place = (action.target.clone(), action.axis);
        self.state.cooldowns.insert(place.clone(), now.checked_add(rest).unwrap_or(Timestamp::MAX));
        self.dirty.cooldowns.insert(place);
        if let Some(state) = self.targets.get_mut(&action.target) {
            state.votes.values_mut().for_each(|vote| vote.since = None);
        }
    }

    /// A running action's target was seen: has it happened, is it ready, is it too late?
    fn follow(
        &mut self,
        target: &Target,
        action: ScalingAction,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) {
        let there = is_at(snapshot, &action);
        match action.state {
            ActionState::Planned if there => self.applied(action, now),
            ActionState::Planned if snapshot.uid != action.uid => {
                let reason = ClusterFailure::NotFound;
                let text = "not scaled: the workload was replaced by another of its name";
                self.finish(
                    action,
                    ActionState::Refused { at: now, reason },
                    text,
                    NoticeEvent::NotScaled,
                    now,
                );
            }
            ActionState::Planned if now >= action.ready_by => {
                let reason = ClusterFailure::Unreachable;
                let text = format!("not scaled {}: {reason}", action.change());
                self.finish(
                    action,
                    ActionState::Refused { at: now, reason },
                    &text,
                    NoticeEvent::NotScaled,
                    now,
                );
            }
            // The same write again: if the first one happened after all, the version no longer fits.
            ActionState::Planned => self.write(action),
            _ if there && is_ready(snapshot, &action) && self.is_healthy(target, &action) => {
                let text = format!("{}, ready", action.change());
                let state = ActionState::Verified { at: now };
                self.finish(action, state, &text, NoticeEvent::Scaled, now);
            }
            _ if now >= action.ready_by => self.give_up(action, now),
            _ => {}
        }
    }

    fn is_healthy(&self, target: &Target, action: &ScalingAction) -> bool {
        let ActionState::Applied { at } = action.state else { return false };
        target.health.is_none() || self.health.get(&target.id).is_some_and(|seen| seen.well && seen.at >= at)
    }

    fn give_up(&mut self, action: ScalingAction, now: Timestamp) {
        let text = format!("{}: not ready in time", action.change());
        self.finish(action, ActionState::NotReady { at: now }, &text, NoticeEvent::NotScaled, now);
    }

    /// An action ended, one way or the other.
    fn finish(
        &mut self,
        mut action: ScalingAction,
        state: ActionState,
        text: &str,
        event: NoticeEvent,
        now: Timestamp,
    ) {
        action.state = state;
        self.narrate(&action, &format!("{}: {text}", state.as_str()), now);
        if let Some(id) = action.incident.clone() {
            self.act(&id, text, now);
            if let Some(incident) = self.state.incidents.get_mut(&id)
                && incident.state == IncidentState::Mitigating
            {
                let taken = incident.acknowledged.is_some();
                incident.move_to(if taken { IncidentState::Acknowledged } else { IncidentState::Open });
            }
            self.news.add(&id, event, Some(text.into()));
        }
        self.dirty.actions.insert(action.id.clone());
        self.state.actions.insert(action.id.clone(), action);
        self.forget_old_actions();
    }

    /// The last hundred ended actions are remembered.
    fn forget_old_actions(&mut self) {
        let ended = self.state.actions.values().filter(|action| !action.state.is_running());
        let mut ended: Vec<_> = ended.map(|action| (action.planned_at, action.id.clone())).collect();
        ended.sort();
        for (_, id) in ended.iter().take(ended.len().saturating_sub(100)) {
            self.state.actions.remove(id);
            self.dirty.actions.insert(id.clone());
        }
    }

    // --- saying so ---

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

    fn narrate(&mut self, action: &ScalingAction, text: &str, now: Timestamp) {
        self.reports.push(Report::Scaling {
            action: action.id.clone(),
            target: action.target.clone(),
            axis: action.axis,
            state: action.state,
            change: action.change().into(),
            evidence: action.evidence.clone(),
        });
        if let Some(id) = action.incident.clone() {
            let what = Happening::Scaling { action: action.id.clone(), axis: action.axis, text: text.into() };
            self.note(&id, now, what);
        }
    }

    /// A line of "actions taken".
    fn act(&mut self, id: &IncidentId, text: &str, now: Timestamp) {
        if let Some(incident) = self.state.incidents.get_mut(id) {
            incident.actions.push(ActionTaken { at: now, text: text.into() });
            self.dirty.incidents.insert(id.clone());
        }
    }

    // --- looking things up ---

    fn look(&mut self, id: &TargetId, every: Duration, now: Timestamp) {
        let Some(state) = self.targets.get_mut(id) else { return };
        if state.looked_at.is_none_or(|at| has_passed(at, every, now)) {
            state.looked_at = Some(now);
            self.effects.push(Effect::Look(id.clone()));
        }
    }

    fn rest(&mut self, id: &TargetId, now: Timestamp) {
        if let Some(state) = self.targets.get_mut(id) {
            state.rest_until = now.checked_add(RETRY_AFTER).ok();
        }
    }

    fn running(&self, id: &TargetId) -> Option<&ScalingAction> {
        self.state.actions.values().find(|action| action.target == *id && action.state.is_running())
    }

    fn target(&self, id: &TargetId) -> Option<&Target> {
        self.plan.rules.policy.iter().flat_map(|policy| &policy.targets).find(|target| target.id == *id)
    }

    /// The worst active incident whose subject names the target.
    fn incident_of(&self, target: &Target) -> Option<IncidentId> {
        let active = self.state.open.values().filter_map(|id| self.state.incidents.get(id));
        active
            .filter(|incident| incident.state.is_active() && speaks_of(&incident.subject, target))
            .max_by_key(|incident| (incident.severity, std::cmp::Reverse(incident.opened_at)))
            .map(|incident| incident.id.clone())
    }

    fn interval_of(&self, trigger: &Trigger) -> Duration {
        self.plan.rules.queries.get(&trigger.query).map_or(Duration::ZERO, |query| query.interval)
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
            let running = snapshot.pods.first().map_or(&snapshot.containers, |pod| &pod.containers);
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

/// Whether labels name the target: its service, and its namespace where they carry one.
fn speaks_of(labels: &Labels, target: &Target) -> bool {
    labels.get("service") == Some(&target.service)
        && labels.get("namespace").is_none_or(|namespace| *namespace == *target.id.namespace)
}

fn gap(interval: Duration) -> Duration {
    interval.saturating_mul(GAP_IN_ROUNDS).max(Duration::from_secs(3))
}

/// Whether the workload has the size that the action asked for.
fn is_at(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    match &action.to {
        Size::Replicas(count) => snapshot.uid == action.uid && snapshot.replicas == *count,
        Size::Resources(containers) => {
            let pods =
                !snapshot.pods.is_empty() && snapshot.pods.iter().all(|pod| pod.containers == *containers);
            snapshot.uid == action.uid && (pods || snapshot.containers == *containers)
        }
    }
}

/// Whether every pod runs and takes traffic at that size.
fn is_ready(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    let all_ready = snapshot.ready_replicas >= snapshot.replicas && !snapshot.rollout_in_progress;
    all_ready
        && match &action.to {
            Size::Replicas(_) => true,
            Size::Resources(containers) => snapshot.pods.iter().all(|pod| {
                pod.ready
                    && pod.containers == *containers
                    && pod.resize == crate::domain::scaling::ResizeState::Settled
            }),
        }
}

fn action_id(target: &TargetId, axis: Axis, uid: &str, now: Timestamp) -> ActionId {
    let mut hash = Fnv::default();
    hash.write(target.to_string().as_bytes());
    hash.write(axis.as_str().as_bytes());
    hash.write(uid.as_bytes());
    hash.write(&now.as_nanosecond().to_be_bytes());
    ActionId::from(format!("{}-{:016x}", now.as_second(), hash.0))
}
