//! Lasting: what must hold while nothing happens, and at the end: I4, I5, I7 and I8.

use runbookd::domain::scaling::{Axis, AxisChoice, Direction, HeldReason, ScalingMode, Target};
use runbookd::engine::Engine;

use super::{Held, Judge, SLACK, millis, told};
use crate::evidence::GAP;
use crate::plans::{BLIND_AFTER, Edition};
use crate::source::Metric;
use crate::world::{CALM, World};

/// How long a trigger that lasts may go without a step and without a reason, in milliseconds.
const UNEXPLAINED: u64 = 45_000;
/// The longest life of an action: three spells of the longest `ready_within`, the longest `settle`, and calls that hang.
const LONGEST: u64 = (3 * 5 + 2 + 1) * 60_000;

impl Judge {
    /// After each tick: I4 and I7.
    pub(crate) fn looks_at(&mut self, engine: &Engine, edition: &Edition, now: u64) -> Held {
        let blind_for = now - self.evidence.answered_at.max(self.started_at);
        let steady = self.steady_since(now.saturating_sub(2 * BLIND_AFTER));
        if steady && blind_for > BLIND_AFTER + 5_000 && !engine.is_blind() {
            return Err((7, format!("no answer for {blind_for} ms and not blind")));
        }
        for action in engine.actions().filter(|action| action.state.is_running()) {
            let Some(planned) = self.planned.get_mut(&action.id) else { continue };
            planned.up += now - planned.counted;
            planned.counted = now;
            if !planned.disturbed && planned.up > LONGEST {
                return Err((4, format!("{} does not end", told(action))));
            }
        }
        if edition.plan.scaling == ScalingMode::Off {
            return Ok(());
        }
        for target in &edition.policy().targets {
            self.note_quiet(edition, target, now);
            for axis in Axis::ALL {
                self.is_explained(engine, edition, target, axis, now)?;
            }
        }
        Ok(())
    }

    /// Remembers when a target was last without a breach for long.
    fn note_quiet(&mut self, edition: &Edition, target: &Target, now: u64) {
        let policy = edition.policy();
        let wanted = millis(policy.sustained).saturating_sub(20_000);
        let mut asking = policy.triggers.iter().filter(|it| it.may_ask(Axis::Horizontal));
        let quiet = asking
            .all(|trigger| self.evidence.quiet(target, trigger, 0).is_some_and(|run| run.lasts() >= wanted));
        if quiet {
            self.quiet_at.insert(target.id.clone(), now);
        }
    }

    fn is_explained(
        &mut self,
        engine: &Engine,
        edition: &Edition,
        target: &Target,
        axis: Axis,
        now: u64,
    ) -> Held {
        let place = (target.id.clone(), axis);
        let policy = edition.policy();
        let wanted = millis(policy.sustained) + SLACK;
        let steady = self.steady_since(now.saturating_sub(wanted + 60_000));
        let since = self.moved_at.get(&target.id).copied().unwrap_or(0).max(self.loaded_at);
        let lasts = policy.triggers.iter().filter(|it| it.axis == AxisChoice::Only(axis)).any(|trigger| {
            let run = self.evidence.breach(target, trigger, since);
            run.is_some_and(|run| run.lasts() >= wanted && now - run.to < GAP - SLACK)
        });
        if !lasts || !steady || Self::has_reason(engine, target, axis) {
            self.unexplained.remove(&place);
            return Ok(());
        }
        let since = *self.unexplained.entry(place).or_insert(now);
        if now - since > UNEXPLAINED {
            return Err((
                4,
                format!("{} {axis}: a trigger lasts, and neither a step nor a reason", target.id),
            ));
        }
        Ok(())
    }

    /// Whether a step is under way, one is owed back, or it is said why there is none.
    fn has_reason(engine: &Engine, target: &Target, axis: Axis) -> bool {
        let moves = engine.actions().filter(|it| it.target == target.id);
        let mut moves = moves.filter(|it| it.state.is_running() || it.course.owes_revert.is_some());
        moves.next().is_some() || engine.held(&target.id, axis, Direction::Out).is_some()
    }
}

impl World {
    /// I8: at the end of the calm nothing is owed.
    pub(crate) fn judge_the_calm(&self) -> Held {
        let Some(engine) = self.engine() else { return Err((8, "the daemon is down".into())) };
        let now = self.agenda.now();
        for target in &self.edition.policy().targets {
            let Some(workload) = self.cluster.workloads.get(&target.id) else { continue };
            let trigger = self
                .edition
                .policy()
                .triggers
                .iter()
                .find(|it| it.axis == AxisChoice::Only(Axis::Horizontal));
            let Some(trigger) = trigger else { continue };
            let value = self.source.value(Metric::named(&trigger.metric), workload, now);
            let wants = value > trigger.threshold && workload.replicas < target.max_replicas;
            let moved = self
                .judge
                .carried
                .iter()
                .any(|it| it.target == target.id && it.axis == Axis::Horizontal && it.at + CALM >= now);
            let held = engine.held(&target.id, Axis::Horizontal, Direction::Out);
            // What was given up is for people.
            let given_up = matches!(held, Some(HeldReason::Frozen(_)));
            if wants && !moved && !given_up {
                return Err((8, format!("{} has {value:.2} and no step came, held: {held:?}", target.id)));
            }
        }
        for carried in &self.judge.carried {
            let action = engine.actions().find(|it| it.id == carried.id);
            let is_known = action.is_some_and(|it| !it.state.is_unwritten());
            if !is_known && !carried.hidden && self.judge.carried.len() < 90 {
                return Err((5, format!("{} of {} is not known as a step", carried.id, carried.target)));
            }
        }
        Ok(())
    }
}
