//! Marks: the hard states that two hundred seeds have to reach to mean something. Owns the list and the counting.

use std::collections::BTreeMap;
use std::fmt;

use runbookd::domain::scaling::{ActionState, FailedReason, Frozen, HeldReason};

/// How often each must be reached in two hundred seeds.
const AT_LEAST: u64 = 3;

/// What a full run must have seen.
const MUST_REACH: &[&str] = &[
    "step_carried_out",
    "step_verified",
    "step_not_ready",
    "step_reverted",
    "step_that_did_not_help",
    "step_undone_by_somebody",
    "step_back",
    "workload_replaced",
    "step_refused",
    "step_abandoned",
    "dry_run",
    "conflict_with_another_writer",
    "answer_lost_and_carried_out",
    "request_lost",
    "request_late",
    "seen_too_old",
    "partly_resized",
    "kill_before_the_plan_is_on_record",
    "kill_between_plan_and_write",
    "kill_between_write_and_arrival",
    "kill_between_arrival_and_answer",
    "kill_before_the_answer_is_on_record",
    "kill_while_pods_start",
    "restart_with_a_planned_step",
    "restart_with_an_applied_step",
    "restart_that_owes_a_revert",
    "commit_refused_with_a_step",
    "commit_unknown_with_a_step",
    "written_by_somebody_during_a_step",
    "made_anew_during_a_step",
    "reload_during_a_step",
    "bounds_below_what_there_is",
    "clock_set_back_during_a_rest",
    "clock_set_ahead_during_a_rest",
    "blind",
    "gap_in_a_breach",
    "held_by_cooldown",
    "held_at_maximum",
    "held_by_the_cluster",
    "held_by_a_rollout",
    "held_as_it_does_not_help",
    "held_as_somebody_undid_it",
    "held_by_the_budget",
    "held_by_a_pause",
];

/// How often what was reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(BTreeMap<&'static str, u64>);

impl Marks {
    pub(crate) fn reached(&mut self, mark: &'static str) {
        self.count(mark, 1);
    }

    pub(crate) fn count(&mut self, mark: &'static str, times: u64) {
        *self.0.entry(mark).or_insert(0) += times;
    }

    /// An action moved.
    pub(crate) fn moved(&mut self, state: &ActionState) {
        match state {
            ActionState::Verified { .. } => self.reached("step_verified"),
            ActionState::Failed { reason, .. } => match reason {
                FailedReason::NotReady => self.reached("step_not_ready"),
                FailedReason::NotImproved => self.reached("step_that_did_not_help"),
                FailedReason::Undone => self.reached("step_undone_by_somebody"),
                FailedReason::Replaced => self.reached("workload_replaced"),
                FailedReason::Unseen => self.reached("step_nobody_saw"),
                _ => {}
            },
            ActionState::Reverted { .. } => self.reached("step_reverted"),
            ActionState::Refused { .. } => self.reached("step_refused"),
            ActionState::Abandoned { .. } => self.reached("step_abandoned"),
            ActionState::DryRun { .. } => self.reached("dry_run"),
            _ => {}
        }
    }

    /// A step was held.
    pub(crate) fn held(&mut self, reason: &HeldReason) {
        match reason {
            HeldReason::Cooldown { .. } => self.reached("held_by_cooldown"),
            HeldReason::AtMaximum => self.reached("held_at_maximum"),
            HeldReason::Rollout => self.reached("held_by_a_rollout"),
            HeldReason::Cluster(_) => self.reached("held_by_the_cluster"),
            HeldReason::Frozen(Frozen::DoesNotHelp { .. }) => self.reached("held_as_it_does_not_help"),
            HeldReason::Frozen(Frozen::Undone { .. }) => self.reached("held_as_somebody_undid_it"),
            HeldReason::BudgetSteps => self.reached("held_by_the_budget"),
            HeldReason::Paused { .. } => self.reached("held_by_a_pause"),
            HeldReason::IncidentOpen => self.reached("kept_during_an_incident"),
            _ => {}
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mark, times) in &other.0 {
            self.count(mark, *times);
        }
    }

    /// Those of the list that were reached too rarely.
    pub(crate) fn missed(&self) -> Vec<&'static str> {
        let rare = |mark: &&&str| self.0.get(**mark).is_none_or(|times| *times < AT_LEAST);
        MUST_REACH.iter().filter(rare).copied().collect()
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mark in MUST_REACH {
            writeln!(f, "{:>8}  {mark}", self.0.get(mark).unwrap_or(&0))?;
        }
        for (mark, times) in self.0.iter().filter(|(mark, _)| !MUST_REACH.contains(mark)) {
            writeln!(f, "{times:>8}  ({mark})")?;
        }
        Ok(())
    }
}
