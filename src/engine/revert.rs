//! Reverts: a step whose pods do not come up is taken back to the last good size. Owns what a failure leads to; each
//! revert is a write and a record of its own, with a version that it must still find.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::name::TargetId;
use crate::domain::notice::NoticeEvent;
use crate::domain::scaling::{
    ActionState, Axis, CheckedReason, Direction, FailedReason, Frozen, Purpose, ScalingAction, ScalingMode,
    Size, Target, WorkloadSnapshot,
};

use super::Engine;
use super::grievance::Grievance;
use super::scaling::Wanted;
use super::verify::{has_sizes, is_down, is_partly_at};

/// So often a revert is tried that is refused.
const MOST_TRIES: u8 = 5;

impl Engine {
    /// A step that was written is no good. Where its pods did not come up, the size before it is owed.
    pub(super) fn fail(
        &mut self,
        mut action: ScalingAction,
        reason: FailedReason,
        by: Option<Arc<str>>,
        now: Timestamp,
    ) {
        let adds = action.course.direction == Direction::Out && action.course.purpose.is_demand();
        if adds && reason.is_reverted() {
            action.course.owes_revert = Some(0);
        }
        let text = match (&by, reason) {
            (Some(by), FailedReason::Undone) => format!("{}: taken back by {by}", action.change()),
            _ => format!("{}: {}", action.change(), reason.words()),
        };
        // Pods that are ready are there, also where they did not help.
        let event = match reason {
            FailedReason::NotImproved => NoticeEvent::Scaled,
            _ => NoticeEvent::NotScaled,
        };
        let (id, axis) = (action.target.clone(), action.axis);
        if action.course.purpose == Purpose::KeepSize {
            self.let_go(&id);
        }
        self.finish(action, ActionState::Failed { at: now, reason }, &text, event, now);
        let Some(target) = self.target(&id).cloned() else { return };
        if adds && reason == FailedReason::Undone {
            self.freeze(&target, axis, Frozen::Undone { by }, now);
        } else if adds && reason.is_strike() {
            self.strike(&target, axis, now);
        }
        if adds && reason.is_reverted() {
            self.complain(&target, axis, Grievance::Failed, &text, now);
        }
    }

    /// The size before a failed step is owed and its target was seen: gives it back, unless somebody else moved it.
    pub(super) fn give_back_size(
        &mut self,
        target: &Target,
        mut failed: ScalingAction,
        snapshot: &WorkloadSnapshot,
        now: Timestamp,
    ) {
        // Without sight of the metrics a size is given back only where its pods are seen not to be up.
        if self.plan.scaling != ScalingMode::Apply
            || (self.is_blind() && !is_down(snapshot, &failed))
            || self.paused(&target.id, now).is_some()
            || snapshot.surroundings.paused(now).is_some()
        {
            self.rest(&target.id, now);
            return;
        }
        let raised = failed.course.raise.as_deref();
        let is_there = match &failed.to {
            Size::Replicas(count) if let Some(autoscaler) = raised => {
                snapshot.surroundings.least_of(autoscaler) == Some(*count)
            }
            Size::Replicas(count) => snapshot.replicas == *count,
            Size::Resources(sizes) => {
                has_sizes(&snapshot.containers, sizes) || is_partly_at(snapshot, &failed)
            }
        };
        // Somebody else may have left less than the bounds allow before the step.
        let last_good = match &failed.from {
            // The autoscaler gets the least back that its owner gave it, and has the say again.
            Size::Replicas(count) if raised.is_some() => {
                Size::Replicas(failed.course.raised_from.unwrap_or(*count))
            }
            Size::Replicas(count) => Size::Replicas((*count).max(target.bounds(now).least)),
            Size::Resources(_) => failed.from.clone(),
        };
        if snapshot.uid != failed.uid || !is_there || last_good == failed.to {
            failed.course.owes_revert = None;
            self.keep(failed);
            return;
        }
        let ask = Wanted { axis: failed.axis, direction: Direction::In, purpose: Purpose::Revert };
        let sizes = (failed.to.clone(), last_good);
        let mut action = self.action(target, ask, sizes, snapshot, now);
        action.vertical = failed.vertical;
        action.incident = failed.incident.clone().or(action.incident);
        action.course.raise.clone_from(&failed.course.raise);
        action.course.reverts = Some(failed.id.clone());
        action.course.cores = -failed.course.cores;
        self.narrate(&action, &format!("planned {}: {}", action.change(), action.evidence), now);
        action.move_to(ActionState::Checked { at: now, reason: CheckedReason::NothingToCheck });
        self.narrate(&action, &format!("checked {}", action.change()), now);
        self.keep(action.clone());
        self.write(action);
    }

    /// The write that gives a size back happened.
    pub(super) fn reverted(&mut self, revert: &ScalingAction, now: Timestamp) {
        let failed = revert.course.reverts.as_ref().and_then(|id| self.state.actions.get(id)).cloned();
        let Some(mut failed) = failed else { return };
        let ActionState::Failed { reason, .. } = failed.state else { return };
        failed.course.owes_revert = None;
        let text = format!("{}, {}; given back", failed.change(), reason.words());
        let state = ActionState::Reverted { at: now, reason };
        self.finish(failed, state, &text, NoticeEvent::NotScaled, now);
        self.forget_step(&revert.target, revert.axis, &revert.to);
    }

    /// The write that gives a size back was refused: it is tried again from another look, a few times.
    pub(super) fn revert_refused(&mut self, revert: &ScalingAction) {
        let failed = revert.course.reverts.as_ref().and_then(|id| self.state.actions.get(id)).cloned();
        let Some(mut failed) = failed else { return };
        let tries = failed.course.owes_revert.unwrap_or(0).saturating_add(1);
        failed.course.owes_revert = (tries < MOST_TRIES).then_some(tries);
        self.keep(failed);
    }

    /// After a revert what is remembered of the last step is what it left.
    fn forget_step(&mut self, target: &TargetId, axis: Axis, left: &Size) {
        let left = match left {
            Size::Replicas(count) => Some(*count),
            Size::Resources(_) => None,
        };
        self.with_record(target, |record| {
            if let Some(standing) = record.standings.get_mut(&axis) {
                standing.replicas = left;
            }
            if axis == Axis::Vertical {
                record.kept = None;
            }
        });
    }
}
