//! Kept sizes: pods of a later rollout start from the template, and are brought to the size that in-place steps gave the
//! ones before. Owns when that is done and when the template speaks for itself.

use crate::domain::Timestamp;
use crate::domain::name::TargetId;
use crate::domain::scaling::{
    ActionState, Axis, CheckedReason, ContainerSize, Direction, PodSnapshot, Purpose, ScalingMode, Size,
    Target, VerticalMode, WorkloadSnapshot, within_bounds,
};

use super::Engine;
use super::scaling::Wanted;
use super::verify::has_sizes;

impl Engine {
    /// Whether in-place steps gave a target's pods a size that its template does not have.
    pub(super) fn keeps_size(&self, id: &TargetId) -> bool {
        self.state.targets.get(id).is_some_and(|record| record.kept.is_some())
    }

    /// The size is not kept any more.
    pub(super) fn let_go(&mut self, id: &TargetId) {
        self.with_record(id, |record| record.kept = None);
    }

    /// A target that nothing is asked of was seen: brings new pods to the size that was decided for all.
    pub(super) fn keep_size(&mut self, target: &Target, snapshot: &WorkloadSnapshot, now: Timestamp) {
        let Some(kept) = self.state.targets.get(&target.id).and_then(|record| record.kept.clone()) else {
            return;
        };
        let reached = kept.containers.iter().all(|wanted| has_at_least(&snapshot.containers, wanted));
        // The template has it, somebody changed the template on purpose, or it is another workload.
        let template_moved = !kept.template.is_empty()
            && snapshot.containers != kept.template
            && !snapshot.rollout_in_progress
            && snapshot.containers.iter().zip(&kept.template).any(|(now, then)| is_less(now, then));
        if reached || template_moved || snapshot.uid != kept.uid {
            self.let_go(&target.id);
            return;
        }
        let ask = Wanted { axis: Axis::Vertical, direction: Direction::Out, purpose: Purpose::KeepSize };
        if self.plan.scaling != ScalingMode::Apply
            || target.limits.vertical == VerticalMode::Template
            || snapshot.rollout_in_progress
            || !snapshot.in_place_resize
            || self.rests(&target.id, ask.place(), now)
            || self.is_blind()
            || self.paused(&target.id, now).is_some()
            || snapshot.surroundings.paused(now).is_some()
        {
            return;
        }
        // A reload may have lowered the bounds since.
        let wanted = within_bounds(&kept.containers, target);
        let lacks = |pod: &&PodSnapshot| !wanted.iter().all(|size| has_at_least(&pod.containers, size));
        let Some(fresh) = snapshot.pods.iter().find(lacks) else { return };
        // One write gives all pods the same size. None is made smaller for it: memory in use cannot be taken away.
        let has_more = |pod: &PodSnapshot| !has_sizes(&pod.containers, &wanted) && !lacks(&pod);
        if snapshot.pods.iter().any(has_more) {
            return;
        }
        let sizes = (Size::Resources(fresh.containers.clone()), Size::Resources(wanted));
        let mut action = self.action(target, ask, sizes, snapshot, now);
        action.vertical = VerticalMode::InPlace;
        self.narrate(&action, &format!("planned {}: {}", action.change(), action.evidence), now);
        action.move_to(ActionState::Checked { at: now, reason: CheckedReason::NothingToCheck });
        self.narrate(&action, &format!("checked {}", action.change()), now);
        self.keep(action.clone());
        self.write(action);
    }
}

fn pairs(one: &ContainerSize, two: &ContainerSize) -> [(Option<f64>, Option<f64>); 4] {
    [
        (one.cpu_request, two.cpu_request),
        (one.cpu_limit, two.cpu_limit),
        (one.memory_request, two.memory_request),
        (one.memory_limit, two.memory_limit),
    ]
}

/// Whether the container that was sized has no less than it should.
fn has_at_least(found: &[ContainerSize], wanted: &ContainerSize) -> bool {
    found.iter().any(|found| found.name == wanted.name && is_at_least(found, wanted))
}

/// Whether nothing of the first is less than the second wants.
fn is_at_least(found: &ContainerSize, wanted: &ContainerSize) -> bool {
    pairs(found, wanted).iter().all(|(found, wanted)| wanted.is_none() || found >= wanted)
}

/// Whether something of the first is less than it was.
fn is_less(now: &ContainerSize, then: &ContainerSize) -> bool {
    pairs(now, then).iter().any(|(now, then)| then.is_some() && now < then)
}
