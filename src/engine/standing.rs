//! Standings: how a target's steps have fared since its triggers were last clear. Owns when an axis is frozen, because
//! steps do not help or somebody takes them back, and when it is free again.

use crate::domain::Timestamp;
use crate::domain::name::TargetId;
use crate::domain::scaling::{
    Axis, Direction, Frozen, KeptSize, Policy, ScalingAction, Size, Target, TargetRecord, VerifiedReason,
    VerticalMode, WorkloadSnapshot,
};

use super::Engine;
use super::grievance::Grievance;
use super::verify::{Undone, writer_of_replicas};

impl Engine {
    /// Why an axis of a target takes no step until its triggers are clear or a person resumes it.
    pub(super) fn frozen(&self, target: &TargetId, axis: Axis) -> Option<Frozen> {
        self.state.targets.get(target)?.standings.get(&axis)?.frozen.clone()
    }

    /// A step did not help.
    pub(super) fn strike(&mut self, target: &Target, axis: Axis, now: Timestamp) {
        let most = self.plan.rules.policy.as_ref().map_or(0, |policy| policy.give_up_after);
        let mut strikes = 0;
        self.with_record(&target.id, |record| {
            let standing = record.standings.entry(axis).or_default();
            standing.strikes = standing.strikes.saturating_add(1);
            strikes = standing.strikes;
        });
        if most > 0 && strikes >= most {
            self.freeze(target, axis, Frozen::DoesNotHelp { steps: strikes }, now);
        }
    }

    /// A step was verified.
    pub(super) fn helped(
        &mut self,
        target: &Target,
        action: &ScalingAction,
        reason: VerifiedReason,
        now: Timestamp,
    ) {
        if reason != VerifiedReason::Improved || !action.course.purpose.is_demand() {
            return;
        }
        self.with_record(&target.id, |record| {
            if let Some(standing) = record.standings.get_mut(&action.axis) {
                standing.strikes = 0;
            }
        });
        self.reconcile(target, action.axis, "verified", now);
    }

    /// An axis takes no step any more, and people hear why.
    pub(super) fn freeze(&mut self, target: &Target, axis: Axis, frozen: Frozen, now: Timestamp) {
        if self.frozen(&target.id, axis).is_some() {
            return;
        }
        let (grievance, text) = match &frozen {
            Frozen::DoesNotHelp { steps } => (
                Grievance::DoesNotHelp,
                format!("{steps} {axis} steps of {} in a row did not help", target.id),
            ),
            Frozen::Undone { by } => (
                Grievance::Undone,
                format!(
                    "{} took a {axis} step of {} back",
                    by.as_deref().unwrap_or("somebody unknown"),
                    target.id
                ),
            ),
        };
        self.with_record(&target.id, |record| {
            record.standings.entry(axis).or_default().frozen = Some(frozen);
        });
        self.complain(target, axis, grievance, &text, now);
    }

    /// Forgets how steps fared once no trigger that may ask for the axis has been breached for long.
    pub(super) fn settle_standings(&mut self, policy: &Policy, target: &Target, now: Timestamp) {
        let Some(record) = self.state.targets.get(&target.id) else { return };
        let axes: Vec<Axis> = record.standings.keys().copied().collect();
        for axis in axes {
            if self.has_no_breach(policy, target, axis, now) {
                self.forget_standing(target, axis, "cleared", now);
            }
        }
    }

    pub(super) fn forget_standing(&mut self, target: &Target, axis: Axis, reason: &str, now: Timestamp) {
        self.with_record(&target.id, |record| {
            record.standings.remove(&axis);
        });
        self.reconcile(target, axis, reason, now);
    }

    /// A step was written: what it left is remembered, so that somebody who takes it back is noticed.
    pub(super) fn remember_step(&mut self, action: &ScalingAction, now: Timestamp) {
        let Some(target) = self.target(&action.target).cloned() else { return };
        match &action.to {
            Size::Replicas(count) => {
                let left = (action.course.direction == Direction::Out && action.course.purpose.is_demand())
                    .then_some(*count);
                self.with_record(&target.id, |record| {
                    if left.is_some() || record.standings.contains_key(&action.axis) {
                        record.standings.entry(action.axis).or_default().replicas = left;
                    }
                });
            }
            Size::Resources(containers) if action.course.purpose.is_demand() => {
                let kept = (action.vertical != VerticalMode::Template).then(|| KeptSize {
                    uid: action.uid.clone(),
                    containers: containers.clone(),
                    template: action.course.template.clone(),
                    since: now,
                });
                self.with_record(&target.id, |record| record.kept = kept);
            }
            Size::Resources(_) => {}
        }
    }

    /// Who took the last step of an axis back, where somebody did: fewer replicas than it left, while its triggers have
    /// not been clear since.
    pub(super) fn undone_since(
        &self,
        target: &Target,
        axis: Axis,
        snapshot: &WorkloadSnapshot,
    ) -> Option<Undone> {
        let left = self.state.targets.get(&target.id)?.standings.get(&axis)?.replicas?;
        (axis == Axis::Horizontal && snapshot.replicas < left)
            .then(|| Undone { by: writer_of_replicas(snapshot) })
    }

    /// Changes what is remembered of a target; a record with nothing in it is none.
    pub(super) fn with_record(&mut self, id: &TargetId, change: impl FnOnce(&mut TargetRecord)) {
        let mut record = self.state.targets.get(id).cloned().unwrap_or_default();
        let before = record.clone();
        change(&mut record);
        if record == before {
            return;
        }
        if record.is_empty() {
            self.state.targets.remove(id);
        } else {
            self.state.targets.insert(id.clone(), record);
        }
        self.dirty.targets.insert(id.clone());
    }
}
