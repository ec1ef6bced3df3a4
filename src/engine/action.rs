//! Actions in the engine: the life of a recorded step from the write to its end, and what is said about it. Owns the
//! cooldowns; what step is taken is `scaling`.
//!
//! ```text
//! planned ─▶ applied ─▶ verified            the rest begins at the accepted write
//!    │          └─────▶ not ready
//!    ├─▶ refused
//!    └─▶ (outcome unknown) the same write again, which can win only once
//! ```

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::incident::{ActionTaken, Happening, IncidentState};
use crate::domain::name::{ActionId, IncidentId};
use crate::domain::notice::NoticeEvent;
use crate::domain::scaling::{
    ActionState, ClusterFailure, ContainerSize, ResizeState, ScalingAction, ScalingMode, Size, Target,
    WorkloadSnapshot,
};

use super::Engine;
use super::effect::Effect;
use super::incidents::DAEMON;
use super::report::Report;

impl Engine {
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
                self.rest_after(&action.target, reason, now);
                self.refuse(action, reason, &text, now);
            }
        }
    }

    /// One write of a target at a time: another goes out only once the outcome of the last is known to be unknown.
    pub(super) fn write(&mut self, action: ScalingAction) {
        let Some(state) = self.targets.get_mut(&action.target) else { return };
        if !std::mem::replace(&mut state.writing, true) {
            self.effects.push(Effect::Write(Box::new(action)));
        }
    }

    pub(super) fn applied(&mut self, mut action: ScalingAction, now: Timestamp) {
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
    pub(super) fn cool_down(&mut self, action: &ScalingAction, now: Timestamp) {
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
    pub(super) fn follow(
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
                self.refuse(action, reason, text, now);
            }
            ActionState::Planned if now >= action.ready_by && is_partly_at(snapshot, &action) => {
                self.cool_down(&action, now);
                self.give_up(action, now);
            }
            ActionState::Planned if now >= action.ready_by => {
                let reason = ClusterFailure::Unreachable;
                let text = format!("not scaled {}: {reason}", action.change());
                self.refuse(action, reason, &text, now);
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

    pub(super) fn is_healthy(&self, target: &Target, action: &ScalingAction) -> bool {
        let ActionState::Applied { at } = action.state else { return false };
        target.health.is_none() || self.health.get(&target.id).is_some_and(|seen| seen.well && seen.at >= at)
    }

    pub(super) fn give_up(&mut self, action: ScalingAction, now: Timestamp) {
        let text = format!("{}: not ready in time", action.change());
        self.finish(action, ActionState::NotReady { at: now }, &text, NoticeEvent::NotScaled, now);
    }

    /// The write did not happen and will not.
    fn refuse(&mut self, action: ScalingAction, reason: ClusterFailure, text: &str, now: Timestamp) {
        self.finish(action, ActionState::Refused { at: now, reason }, text, NoticeEvent::NotScaled, now);
    }

    /// Ends what a new plan no longer follows: actions on targets that left it, all where scaling is off, and steps
    /// that were not written yet where nothing may be written any more.
    pub(super) fn abandon_unwatched(&mut self, now: Timestamp) {
        let mode = self.plan.scaling;
        let unwatched = self.state.actions.values().filter(|action| {
            let may_go_on = match mode {
                ScalingMode::Off => false,
                ScalingMode::DryRun => action.state != ActionState::Planned,
                ScalingMode::Apply => true,
            };
            action.state.is_running() && !(may_go_on && self.target(&action.target).is_some())
        });
        let unwatched: Vec<ScalingAction> = unwatched.cloned().collect();
        for action in unwatched {
            // Its write may be on the wire: a step that nobody could see counts as one.
            if action.state == ActionState::Planned {
                self.cool_down(&action, now);
            }
            let text = format!("{}: no longer followed, the configuration changed", action.change());
            self.finish(action, ActionState::Abandoned { at: now }, &text, NoticeEvent::NotScaled, now);
        }
    }

    /// An action ended, one way or the other.
    pub(super) fn finish(
        &mut self,
        mut action: ScalingAction,
        state: ActionState,
        text: &str,
        event: NoticeEvent,
        now: Timestamp,
    ) {
        action.state = state;
        if action.incident.is_none() {
            // An incident may have been opened since the step was decided.
            action.incident = self.target(&action.target).and_then(|target| self.incident_of(target));
        }
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
    pub(super) fn forget_old_actions(&mut self) {
        let ended = self.state.actions.values().filter(|action| !action.state.is_running());
        let mut ended: Vec<_> = ended.map(|action| (action.planned_at, action.id.clone())).collect();
        ended.sort();
        for (_, id) in ended.iter().take(ended.len().saturating_sub(100)) {
            self.state.actions.remove(id);
            self.dirty.actions.insert(id.clone());
        }
    }

    pub(super) fn narrate(&mut self, action: &ScalingAction, text: &str, now: Timestamp) {
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
    pub(super) fn act(&mut self, id: &IncidentId, text: &str, now: Timestamp) {
        if let Some(incident) = self.state.incidents.get_mut(id) {
            incident.actions.push(ActionTaken { at: now, text: text.into() });
            self.dirty.incidents.insert(id.clone());
        }
    }
}

/// Whether the workload has the size that the action asked for.
fn is_at(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    match &action.to {
        Size::Replicas(count) => snapshot.uid == action.uid && snapshot.replicas == *count,
        Size::Resources(containers) => {
            let pods = !snapshot.pods.is_empty()
                && snapshot.pods.iter().all(|pod| has_sizes(&pod.containers, containers));
            snapshot.uid == action.uid && (pods || has_sizes(&snapshot.containers, containers))
        }
    }
}

/// Whether the containers that were sized have their size; others may stand beside them, put there at admission.
fn has_sizes(found: &[ContainerSize], wanted: &[ContainerSize]) -> bool {
    wanted.iter().all(|size| found.contains(size))
}

/// Whether some pods have the size that the action asked for.
fn is_partly_at(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    match &action.to {
        Size::Replicas(_) => false,
        Size::Resources(containers) => snapshot.pods.iter().any(|pod| has_sizes(&pod.containers, containers)),
    }
}

/// Whether every pod runs and takes traffic at that size.
fn is_ready(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    let all_ready = snapshot.ready_replicas >= snapshot.replicas && !snapshot.rollout_in_progress;
    all_ready
        && match &action.to {
            Size::Replicas(_) => true,
            Size::Resources(containers) => snapshot.pods.iter().all(|pod| {
                pod.ready && has_sizes(&pod.containers, containers) && pod.resize == ResizeState::Settled
            }),
        }
}
