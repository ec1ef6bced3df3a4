//! Budgets: what all targets together may still add, and what replicas share. Owns the sums; both are derived from
//! recorded actions and from looks, so that a restart forgets nothing.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::scaling::{
    ActionState, Connections, Direction, HeldReason, OnUnknown, Policy, ScalingAction, Size, Target,
};

use super::Engine;

/// How old a look at who shares may be.
const SHARER_SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Below this a difference of cores is the binary fraction's.
const NOISE: f64 = 1e-9;

impl Engine {
    /// Whether all targets together may add one more step of so many cores.
    pub(super) fn within_budget(
        &self,
        policy: &Policy,
        cores: f64,
        now: Timestamp,
    ) -> Result<(), HeldReason> {
        let Some(budget) = &policy.budget else { return Ok(()) };
        let counted = self.state.actions.values().filter(|action| counts(action, budget.per, now));
        let (steps, spent) =
            counted.fold((0_u32, 0.0), |(steps, spent), action| (steps + 1, spent + action.course.cores));
        if budget.steps.is_some_and(|most| steps >= most) {
            return Err(HeldReason::BudgetSteps);
        }
        if budget.cores.is_some_and(|most| spent + cores > most + NOISE) {
            return Err(HeldReason::BudgetCores);
        }
        Ok(())
    }

    /// Whether what the replicas share has room for so many.
    pub(super) fn within_connections(
        &self,
        policy: &Policy,
        target: &Target,
        to: &Size,
        now: Timestamp,
    ) -> Result<(), HeldReason> {
        let (Some(shared), Size::Replicas(to)) = (&target.connections, to) else { return Ok(()) };
        let mut wanted = shared.per_replica.saturating_mul(*to);
        for (other, its) in sharers(policy, target, shared) {
            match self.replicas_of(other, now) {
                Some(replicas) => wanted = wanted.saturating_add(its.per_replica.saturating_mul(replicas)),
                None if target.limits.on_unknown == OnUnknown::Allow => {}
                None => return Err(HeldReason::ConnectionsUnknown),
            }
        }
        if wanted > shared.max {
            return Err(HeldReason::Connections { wanted, max: shared.max });
        }
        Ok(())
    }

    /// Looks at the targets whose replicas share something with this one's.
    pub(super) fn look_at_sharers(&mut self, target: &Target, now: Timestamp) {
        let plan = self.plan.clone();
        let (Some(policy), Some(shared)) = (&plan.rules.policy, &target.connections) else { return };
        for (other, _) in sharers(policy, target, shared) {
            if self.replicas_of(other, now).is_none() {
                self.look(&other.id, Duration::from_secs(1), now);
            }
        }
    }

    /// Whether one of them cannot be seen.
    pub(super) fn has_unseen_sharer(&self, target: &Target) -> bool {
        let (Some(policy), Some(shared)) = (&self.plan.rules.policy, &target.connections) else {
            return false;
        };
        sharers(policy, target, shared)
            .any(|(other, _)| self.targets.get(&other.id).is_some_and(|state| state.unseen))
    }

    /// The replicas that another target has or is about to have, where that was seen lately.
    fn replicas_of(&self, target: &Target, now: Timestamp) -> Option<u32> {
        let seen = self.targets.get(&target.id)?.seen?;
        if seen.at > now || has_passed(seen.at, SHARER_SEEN_WITHIN, now) {
            return None;
        }
        let coming = self.running(&target.id).map_or(0, |action| match action.to {
            Size::Replicas(count) => count,
            Size::Resources(_) => 0,
        });
        Some(seen.replicas.max(coming))
    }
}

/// The other targets that share the same, and what each of their replicas takes.
fn sharers<'p>(
    policy: &'p Policy,
    target: &'p Target,
    shared: &'p Connections,
) -> impl Iterator<Item = (&'p Target, &'p Connections)> {
    let named = shared.name.as_ref();
    policy.targets.iter().filter(move |other| other.id != target.id).filter_map(move |other| {
        let its = other.connections.as_ref()?;
        (named.is_some() && its.name.as_ref() == named).then_some((other, its))
    })
}

/// Whether an action is one of the steps that a budget counts: written, possibly written or decided within the span, or
/// about to be.
fn counts(action: &ScalingAction, per: Duration, now: Timestamp) -> bool {
    let at = match action.state {
        ActionState::Planned | ActionState::Checked { .. } => Some(now),
        ActionState::DryRun { at } => action.course.counts_from.or(Some(at)),
        // Older records know when they were written alone.
        _ => action.course.counts_from.or(action.course.applied_at),
    };
    action.course.purpose.is_demand()
        && action.course.direction == Direction::Out
        && at.is_some_and(|at| !has_passed(at, per, now))
}

impl Engine {
    /// Whether a budget still needs to know of an ended action.
    pub(super) fn is_budgeted(&self, action: &ScalingAction, now: Timestamp) -> bool {
        let budget = self.plan.rules.policy.as_ref().and_then(|policy| policy.budget.as_ref());
        budget.is_some_and(|budget| counts(action, budget.per, now))
    }
}
