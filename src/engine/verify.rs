//! Verification: what a look, a health check and a trigger say about a step under way. Owns how far it has come and when
//! it is given up; what follows from a failure is `revert`'s and `standing`'s.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::notice::NoticeEvent;
use crate::domain::scaling::{
    ActionState, AppliedReason, ClusterFailure, ContainerSize, Direction, FailedReason, FieldOwner,
    HealthyReason, Policy, Purpose, ResizeState, ScalingAction, Size, Target, VerifiedReason, VerticalMode,
    WorkloadSnapshot,
};

use super::Engine;
use super::evidence::Vote;

/// A trigger is better when its value fell by this share of what it was when the step was decided.
const BETTER_BY: f64 = 0.05;

impl Engine {
    /// A running action's target was seen: has it happened, is it ready, healthy, better, or is it too late?
    pub(super) fn follow(
        &mut self,
        target: &Target,
        mut action: ScalingAction,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) {
        if action.state.is_unwritten() {
            self.settle_write(action, snapshot, now);
            return;
        }
        if snapshot.uid != action.uid {
            self.fail(action, FailedReason::Replaced, None, now);
            return;
        }
        if let Some(undone) = undone(snapshot, &action) {
            self.fail(action, FailedReason::Undone, undone.by, now);
            return;
        }
        if matches!(action.state, ActionState::Applied { .. }) {
            self.note_deferral(&mut action, snapshot, now);
            if is_infeasible(snapshot, &action) {
                self.fail(action, FailedReason::Infeasible, None, now);
                return;
            }
            if crashing(snapshot) > action.course.crashing {
                self.fail(action, FailedReason::CrashLoop, None, now);
                return;
            }
            if !(is_at(snapshot, &action) && is_ready(snapshot, &action)) {
                if now >= action.ready_by {
                    let reason = match action.course.deferred_since {
                        Some(_) => FailedReason::Deferred,
                        None => FailedReason::NotReady,
                    };
                    self.fail(action, reason, None, now);
                }
                return;
            }
            self.advance(&mut action, ActionState::Ready { at: now }, target.ready_within, now);
        }
        self.judge_step(target, action, now);
    }

    /// Whether the service is healthy with a step, and what asked for it better.
    fn judge_step(&mut self, target: &Target, mut action: ScalingAction, now: Timestamp) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        if matches!(action.state, ActionState::Ready { .. }) {
            let reason = match self.is_healthy(target, &action) {
                Some(reason) => reason,
                None if now >= action.ready_by => {
                    self.fail(action, FailedReason::Unhealthy, None, now);
                    return;
                }
                None => return,
            };
            self.advance(&mut action, ActionState::Healthy { at: now, reason }, policy.settle, now);
        }
        match self.is_better(policy, target, &action, now) {
            Some(reason) => {
                let text = format!("{}, ready", action.change());
                self.helped(target, &action, reason, now);
                let state = ActionState::Verified { at: now, reason };
                self.finish(action, state, &text, NoticeEvent::Scaled, now);
            }
            None if now >= action.ready_by => self.fail(action, FailedReason::NotImproved, None, now),
            None => {}
        }
    }

    /// A step that came one stage further, and how long it has for the next.
    fn advance(&mut self, action: &mut ScalingAction, state: ActionState, span: Duration, now: Timestamp) {
        action.move_to(state);
        action.ready_by = now.checked_add(span).unwrap_or(Timestamp::MAX);
        self.narrate(action, &format!("{} {}", action.state.as_str(), action.change()), now);
        self.keep(action.clone());
    }

    /// A write whose outcome is not known.
    fn settle_write(&mut self, action: ScalingAction, snapshot: &WorkloadSnapshot, now: Timestamp) {
        if is_at(snapshot, &action) {
            self.applied(action, AppliedReason::FoundThere, now);
        } else if snapshot.uid != action.uid && action.course.doubtful {
            self.end_in_doubt(action, FailedReason::Replaced, now);
        } else if snapshot.uid != action.uid {
            let text = "not scaled: the workload was replaced by another of its name";
            self.refuse(action, ClusterFailure::NotFound, text, now);
        } else if now < action.ready_by && self.paused(&action.target, now).is_some() {
            // Nothing is written for whoever asked for rest; the deadline goes on.
        } else if now < action.ready_by {
            // The same write again: if the first one happened after all, the version no longer fits.
            self.write(action);
        } else {
            // It is not there yet, or in part; what is still on its way nobody knows.
            self.end_in_doubt(action, FailedReason::Unseen, now);
        }
    }

    /// Nobody could see what became of an action until its deadline.
    pub(super) fn lose_sight(&mut self, action: ScalingAction, now: Timestamp) {
        // The write may have happened: a step that nobody could see counts as one.
        if action.state.is_unwritten() {
            self.end_in_doubt(action, FailedReason::Unseen, now);
        } else {
            self.fail(action, FailedReason::Unseen, None, now);
        }
    }

    fn is_healthy(&self, target: &Target, action: &ScalingAction) -> Option<HealthyReason> {
        if target.health.is_none() {
            return Some(HealthyReason::NoHealthCheck);
        }
        let since = action.course.applied_at?;
        let seen = self.health.get(&target.id)?;
        (seen.well && seen.at > since).then_some(HealthyReason::HealthCheck)
    }

    /// Whether what asked for a step is better; `None` while that cannot be said.
    fn is_better(
        &self,
        policy: &Policy,
        target: &Target,
        action: &ScalingAction,
        now: Timestamp,
    ) -> Option<VerifiedReason> {
        let asked = || action.course.votes.iter().filter(|vote| vote.asks);
        if action.course.purpose != Purpose::Triggered || asked().next().is_none() {
            return Some(VerifiedReason::NothingToJudge);
        }
        let since = action.course.applied_at?;
        let ready = action.course.past.iter().chain([&action.state]).find_map(|state| match state {
            ActionState::Ready { at } => Some((*at).min(now)),
            _ => None,
        });
        let ready = ready.unwrap_or(since);
        let mut judged = false;
        for before in asked() {
            let trigger = policy.triggers.iter().find(|trigger| trigger.name == before.trigger);
            let vote = trigger.and_then(|trigger| self.fresh_value(target, trigger, now));
            // What was seen before the write says nothing about it, and pods that are young do little yet.
            let settled = trigger.and_then(|trigger| ready.checked_add(self.interval_of(trigger)).ok());
            let counts = |vote: &Vote| vote.seen_at > since && settled.is_some_and(|at| vote.seen_at >= at);
            let Some(vote) = vote.filter(counts) else { continue };
            judged = true;
            if vote.value <= before.threshold || vote.value <= before.value * (1.0 - BETTER_BY) {
                return Some(VerifiedReason::Improved);
            }
        }
        (!judged && now >= action.ready_by).then_some(VerifiedReason::NotJudged)
    }

    /// Remembers since when a node has had no room. The kubelet's own time begins anew with each recommendation.
    fn note_deferral(&mut self, action: &mut ScalingAction, snapshot: &WorkloadSnapshot, now: Timestamp) {
        let deferred = matches!(action.to, Size::Resources(_))
            && snapshot.pods.iter().any(|pod| pod.resize == ResizeState::Deferred);
        let since = deferred.then(|| action.course.deferred_since.unwrap_or(now));
        if since != action.course.deferred_since {
            action.course.deferred_since = since;
            self.keep(action.clone());
        }
    }
}

/// Whether a node can never give a pod its new size.
fn is_infeasible(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    matches!(action.to, Size::Resources(_))
        && snapshot.pods.iter().any(|pod| pod.resize == ResizeState::Infeasible)
}

/// How many pods keep crashing.
pub(super) fn crashing(snapshot: &WorkloadSnapshot) -> usize {
    snapshot.pods.iter().filter(|pod| pod.crashing).count()
}

/// That somebody took a step back, and who, where that is known.
pub(super) struct Undone {
    pub(super) by: Option<Arc<str>>,
}

/// Whether somebody took a written step back, and who wrote the size that is there.
fn undone(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> Option<Undone> {
    let to = match &action.to {
        Size::Replicas(to) => *to,
        Size::Resources(sizes) => {
            let by_template = match action.vertical {
                VerticalMode::Template => true,
                VerticalMode::InPlace => false,
                VerticalMode::InPlaceThenTemplate => !snapshot.in_place_resize,
            };
            let is_back = by_template && !has_sizes(&snapshot.containers, sizes);
            return is_back.then(|| Undone { by: writer_of(snapshot.surroundings.resources_by.as_ref()) });
        }
    };
    let is_back = match action.course.direction {
        Direction::Out => snapshot.replicas < to,
        Direction::In => snapshot.replicas > to,
    };
    // Where another autoscaler's least was raised, it has to follow first.
    let awaited = action.course.raise.is_some() && matches!(action.state, ActionState::Applied { .. });
    // Where its least was given back, how many there are is the autoscaler's to say.
    let is_free = action.course.raise.is_some() && action.course.direction == Direction::In;
    (is_back && !awaited && !is_free).then(|| Undone { by: writer_of_replicas(snapshot) })
}

/// Who wrote the number of replicas last, where that is known and not the daemon.
pub(super) fn writer_of_replicas(snapshot: &WorkloadSnapshot) -> Option<Arc<str>> {
    writer_of(snapshot.surroundings.replicas_by.as_ref())
}

fn writer_of(owner: Option<&FieldOwner>) -> Option<Arc<str>> {
    let owner = owner?;
    (&*owner.manager != super::incidents::DAEMON).then(|| owner.manager.clone())
}

/// Whether the workload has the size that the action asked for.
fn is_at(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    match &action.to {
        Size::Replicas(count)
            if action.course.direction == Direction::In
                && let Some(autoscaler) = &action.course.raise =>
        {
            snapshot.uid == action.uid && snapshot.surroundings.least_of(autoscaler) == Some(*count)
        }
        // Somebody may have added more meanwhile; what was asked for is there all the same.
        Size::Replicas(count) if action.state.is_unwritten() || action.course.direction == Direction::In => {
            snapshot.uid == action.uid && snapshot.replicas == *count
        }
        Size::Replicas(count) => snapshot.uid == action.uid && snapshot.replicas >= *count,
        Size::Resources(containers) => {
            let pods = !snapshot.pods.is_empty()
                && snapshot.pods.iter().all(|pod| has_sizes(&pod.containers, containers));
            snapshot.uid == action.uid && (pods || has_sizes(&snapshot.containers, containers))
        }
    }
}

/// Whether the containers that were sized have their size; others may stand beside them, put there at admission.
pub(super) fn has_sizes(found: &[ContainerSize], wanted: &[ContainerSize]) -> bool {
    wanted.iter().all(|size| found.contains(size))
}

/// Whether some pods have the size that the action asked for.
pub(super) fn is_partly_at(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    match &action.to {
        Size::Replicas(_) => false,
        Size::Resources(containers) => snapshot.pods.iter().any(|pod| has_sizes(&pod.containers, containers)),
    }
}

/// Whether pods of an action are seen not to be up, whatever size they have.
pub(super) fn is_down(snapshot: &WorkloadSnapshot, action: &ScalingAction) -> bool {
    let is_up = snapshot.ready_replicas >= snapshot.replicas
        && !snapshot.rollout_in_progress
        && snapshot.pods.iter().all(|pod| pod.resize == ResizeState::Settled);
    crashing(snapshot) > action.course.crashing || !is_up
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
