//! Carried out: what must hold of a write that changes a workload: I1, I2, I5, I6, I9 and I11.

use runbookd::domain::scaling::{Axis, Direction, Purpose, ScalingAction, Size};

use super::{Carried, Held, Judge, SLACK, cool, told};
use crate::plans::Edition;

impl Judge {
    /// A write changed a workload.
    pub(crate) fn carried_out(
        &mut self,
        action: &ScalingAction,
        replicas_before: u32,
        on_record: bool,
        edition: &Edition,
        now: u64,
    ) -> Held {
        if !on_record {
            return Err((5, format!("{} was written and is not on record", told(action))));
        }
        let planned = self.planned.get(&action.id).cloned();
        if let (Size::Replicas(to), Some((min, max))) =
            (&action.to, planned.as_ref().and_then(|it| it.bounds))
            && !(min..=max).contains(to)
            && action.course.purpose == Purpose::Triggered
        {
            return Err((1, format!("{} is not within {min} and {max}", told(action))));
        }
        if let Size::Replicas(from) = action.from
            && from != replicas_before
        {
            return Err((6, format!("{} overwrites {replicas_before}", told(action))));
        }
        if self.carried.iter().any(|it| it.id == action.id) {
            // The pods that were left out get their size later.
            if action.axis == Axis::Vertical {
                return Ok(());
            }
            return Err((5, format!("{} is carried out a second time", told(action))));
        }
        let decided = planned.as_ref().map_or(now, |it| it.at);
        let new = Carried {
            id: action.id.clone(),
            target: action.target.clone(),
            axis: action.axis,
            direction: action.course.direction,
            purpose: action.course.purpose,
            uid: action.uid.to_string(),
            to: if let Size::Replicas(to) = action.to { Some(to) } else { None },
            at: now,
            cool: cool(edition, action.axis, action.course.direction),
            // It ended for the daemon before it arrived.
            hidden: planned.is_none(),
        };
        if !new.counts() {
            self.carried.push(new);
            return Ok(());
        }
        let same = |it: &&Carried| {
            let place = it.target == new.target && it.axis == new.axis && it.direction == new.direction;
            place && it.counts() && !it.hidden
        };
        if let Some(last) = self.carried.iter().rfind(same)
            && decided + self.ahead_since(last.at) + SLACK < last.at + last.cool
        {
            let after = decided.saturating_sub(last.at);
            let rest = last.cool;
            return Err((2, format!("{} was decided {after} ms after {}, of {rest}", told(action), last.id)));
        }
        self.fights_nobody(action, &new, replicas_before, decided)?;
        self.within_budget(action, &new, planned.and_then(|it| it.budget), decided)?;
        self.carried.push(new);
        Ok(())
    }

    /// I9.
    fn fights_nobody(&self, action: &ScalingAction, new: &Carried, before: u32, decided: u64) -> Held {
        if !(new.axis == Axis::Horizontal && new.direction == Direction::Out) {
            return Ok(());
        }
        let own = |it: &&Carried| it.target == new.target && it.axis == new.axis && it.uid == new.uid;
        let Some(last) = self.carried.iter().rfind(own) else { return Ok(()) };
        let steps_out = last.direction == Direction::Out && !last.hidden && self.known.contains(&last.id);
        let quiet = self.quiet_at.get(&new.target).is_some_and(|at| *at >= last.at);
        if steps_out
            && !quiet
            && self.steady_since(last.at)
            && last.to.is_some_and(|to| before < to)
            && decided > last.at
        {
            return Err((9, format!("{} after somebody took {} back to {before}", told(action), last.id)));
        }
        Ok(())
    }

    /// I11.
    fn within_budget(
        &self,
        action: &ScalingAction,
        new: &Carried,
        budget: Option<(u32, u64)>,
        decided: u64,
    ) -> Held {
        let Some((steps, per)) = budget.filter(|_| new.direction == Direction::Out) else { return Ok(()) };
        let counted = self.carried.iter().filter(|it| {
            let recent = decided + self.ahead_since(it.at) + SLACK < it.at + per;
            recent && it.counts() && it.direction == Direction::Out && !it.hidden
        });
        let counted = counted.count();
        if counted >= usize::try_from(steps).unwrap_or(usize::MAX) {
            return Err((11, format!("{} after {counted} others of {steps} in {per} ms", told(action))));
        }
        Ok(())
    }
}
