//! The judge: what must hold, whatever happens. Owns the invariants and their numbers; it sees the world from outside,
//! with a steady clock, and asks the engine only for what it shows everybody.
//!
//! | | |
//! |---|---|
//! | I1 | a size is within the bounds that were in force when it was decided |
//! | I2 | two steps of a target and axis in one direction are a cooldown apart |
//! | I3 | a step rests on a breach that lasted, on fresh values, with sight and outside of rollouts |
//! | I4 | a trigger that lasts leads to a step or to a reason, and each action ends |
//! | I5 | no step is written without a record, twice, or forgotten |
//! | I6 | nothing that somebody else wrote is overwritten unseen |
//! | I7 | without answers the daemon says that it is blind |
//! | I8 | once all is well, what is wanted is done |

use std::collections::BTreeMap;
use std::time::Duration;

use runbookd::domain::name::{ActionId, TargetId};
use runbookd::domain::observation::Answer;
use runbookd::domain::scaling::{
    ActionState, Axis, ScalingAction, ScalingMode, Size, Target, Trigger, WorkloadSnapshot,
};
use runbookd::engine::Engine;

use crate::evidence::Evidence;
use crate::marks::Marks;
use crate::plans::{BLIND_AFTER, Edition};
use crate::source::Metric;
use crate::world::{CALM, World};

/// What a check says: the number of the invariant that does not hold, and how.
pub(crate) type Held = Result<(), (u8, String)>;

/// Timers go by ticks of a second, and answers are on their way for a moment.
const SLACK: u64 = 1_500;
/// How long a trigger that lasts may go without a step and without a reason, in milliseconds.
const UNEXPLAINED: u64 = 45_000;
/// The longest life of an action: two spells of the longest `ready_within`, and a call that hangs.
const LONGEST: u64 = 2 * 5 * 60_000 + 60_000;
/// For how long a refusal is the reason, in milliseconds: what will not pass by itself is tried again after it.
const REFUSED: u64 = 11 * 60_000;

/// A step that was decided.
#[derive(Debug, Clone)]
struct Planned {
    at: u64,
    bounds: Option<(u32, u32)>,
    /// Whether somebody set the clock since.
    disturbed: bool,
    /// For how long the daemon has been up since, and the last time that was counted.
    up: u64,
    counted: u64,
}

/// A step that was carried out.
#[derive(Debug, Clone)]
struct Carried {
    id: ActionId,
    target: TargetId,
    axis: Axis,
    at: u64,
    /// The shortest rest of any plan since, in milliseconds.
    cool: u64,
    /// Whether somebody else changed the workload since: then nobody can see that the step happened.
    hidden: bool,
}

/// What the judge knows.
#[derive(Default)]
pub(crate) struct Judge {
    evidence: Evidence,
    planned: BTreeMap<ActionId, Planned>,
    carried: Vec<Carried>,
    dry: BTreeMap<(TargetId, Axis), (u64, u64)>,
    refused: BTreeMap<(TargetId, Axis), u64>,
    rollouts: BTreeMap<TargetId, bool>,
    unexplained: BTreeMap<(TargetId, Axis), u64>,
    /// When an action of a target moved last: what was seen before counts no more.
    moved_at: BTreeMap<TargetId, u64>,
    /// When a step of a target was known to be carried out last.
    applied_at: BTreeMap<TargetId, u64>,
    /// When the clock was set, and by how much, in milliseconds.
    jumps: Vec<(u64, i64)>,
    started_at: u64,
    loaded_at: u64,
}

impl Judge {
    /// How many steps were carried out.
    pub(crate) fn steps(&self) -> usize {
        self.carried.len()
    }

    /// A life of the daemon begins.
    pub(crate) fn started(&mut self, now: u64) {
        self.evidence.begins(now);
        self.unexplained.clear();
        self.rollouts.clear();
        self.started_at = now;
        for planned in self.planned.values_mut() {
            planned.counted = now;
        }
    }

    pub(crate) fn answered(&mut self, trigger: &Trigger, asked: u64, answer: &Answer, marks: &mut Marks) {
        self.evidence.add(trigger, asked, answer, marks);
    }

    /// A look is on its way to the daemon.
    pub(crate) fn saw(&mut self, seen: &WorkloadSnapshot, _life: u32) {
        self.rollouts.insert(seen.target.clone(), seen.rollout_in_progress);
    }

    pub(crate) fn clock_set(&mut self, now: u64, by: i64) {
        self.jumps.push((now, by));
        self.planned.values_mut().for_each(|planned| planned.disturbed = true);
        self.unexplained.clear();
    }

    /// Somebody else changed a workload, while a step on it may not be known to have happened.
    pub(crate) fn somebody_changed(&mut self, target: &TargetId, known: impl Fn(&ActionId) -> bool) {
        for carried in self.carried.iter_mut().filter(|it| it.target == *target && !known(&it.id)) {
            carried.hidden = true;
        }
    }

    pub(crate) fn reloaded(&mut self, edition: &Edition, now: u64) {
        self.loaded_at = now;
        self.unexplained.clear();
        for carried in &mut self.carried {
            carried.cool = carried.cool.min(cool(edition, carried.axis));
        }
        for ((_, axis), (_, rest)) in &mut self.dry {
            *rest = (*rest).min(cool(edition, *axis));
        }
    }

    /// Whether nobody set the clock since.
    fn steady_since(&self, at: u64) -> bool {
        self.jumps.iter().all(|(when, _)| *when < at)
    }

    /// By how much the clock was set ahead since.
    fn ahead_since(&self, at: u64) -> u64 {
        let ahead = self.jumps.iter().filter(|(when, by)| *when >= at && *by > 0);
        ahead.filter_map(|(_, by)| u64::try_from(*by).ok()).sum()
    }

    // === what the engine decides ===

    /// An action moved.
    pub(crate) fn moved(
        &mut self,
        action: &ScalingAction,
        engine: &Engine,
        edition: &Edition,
        now: u64,
    ) -> Held {
        self.moved_at.insert(action.target.clone(), now);
        match action.state {
            ActionState::Planned => {
                self.founded(action, engine, edition, now)?;
                self.plan(action, edition, now);
                Ok(())
            }
            ActionState::DryRun { .. } => {
                self.founded(action, engine, edition, now)?;
                self.rested_dry(action, edition, now)
            }
            ActionState::Applied { .. } => {
                self.applied_at.insert(action.target.clone(), now);
                Ok(())
            }
            ActionState::Refused { .. } => {
                self.refused.insert((action.target.clone(), action.axis), now);
                self.planned.remove(&action.id);
                if self.carried.iter().any(|it| it.id == action.id && !it.hidden) {
                    return Err((5, format!("{} was carried out and counts as refused", told(action))));
                }
                Ok(())
            }
            _ => {
                self.planned.remove(&action.id);
                self.rests(action, engine, now)
            }
        }
    }

    fn plan(&mut self, action: &ScalingAction, edition: &Edition, now: u64) {
        let bounds = edition.target(&action.target).map(|it| (it.min_replicas, it.max_replicas));
        let planned = Planned { at: now, bounds, disturbed: false, up: 0, counted: now };
        self.planned.insert(action.id.clone(), planned);
    }

    /// I1 and I3: a decision is within the bounds, and rests on what was seen.
    fn founded(&self, action: &ScalingAction, engine: &Engine, edition: &Edition, now: u64) -> Held {
        let Some(target) = edition.target(&action.target) else {
            return Err((1, format!("{} on what is no target", told(action))));
        };
        within(action, target)?;
        if engine.is_blind() || (self.steady_since(now.saturating_sub(2 * BLIND_AFTER)) && self.is_blind(now))
        {
            return Err((3, format!("{} while blind", told(action))));
        }
        if self.rollouts.get(&action.target) == Some(&true) {
            return Err((3, format!("{} during a rollout", told(action))));
        }
        let policy = edition.policy();
        let Some(trigger) = policy.triggers.iter().find(|it| it.name == action.trigger) else {
            return Err((3, format!("{} for a trigger that is none", told(action))));
        };
        let since = self.applied_at.get(&action.target).copied().unwrap_or(0);
        let Some(run) = self.evidence.run(target, trigger, since) else {
            return Err((3, format!("{} and {} is not beyond its threshold", told(action), trigger.metric)));
        };
        if !run.last.is_finite() {
            return Err((3, format!("{} on a value of {}", told(action), run.last)));
        }
        if !self.steady_since(run.from) {
            return Ok(());
        }
        let wanted = millis(policy.sustained);
        if run.lasts() < wanted {
            return Err((3, format!("{} after {} of {wanted} ms", told(action), run.lasts())));
        }
        if now - run.to >= crate::evidence::GAP + SLACK {
            return Err((3, format!("{} on a value that is {} ms old", told(action), now - run.to)));
        }
        Ok(())
    }

    fn is_blind(&self, now: u64) -> bool {
        now - self.evidence.answered_at > BLIND_AFTER + SLACK
    }

    /// I2 where nothing is written.
    fn rested_dry(&mut self, action: &ScalingAction, edition: &Edition, now: u64) -> Held {
        let place = (action.target.clone(), action.axis);
        let last = self.dry.insert(place, (now, cool(edition, action.axis)));
        let Some((at, rest)) = last else { return Ok(()) };
        let passed = now - at + self.ahead_since(at) + SLACK;
        if passed < rest {
            return Err((2, format!("{} would come {} ms after another", told(action), now - at)));
        }
        Ok(())
    }

    /// I5: what was carried out is followed by a rest.
    fn rests(&self, action: &ScalingAction, engine: &Engine, now: u64) -> Held {
        let Some(carried) = self.carried.iter().find(|it| it.id == action.id) else { return Ok(()) };
        let over = now - carried.at + self.ahead_since(carried.at) + SLACK >= carried.cool;
        let rest = engine.cooldown(&action.target, action.axis);
        if rest.is_none() && !over {
            return Err((5, format!("{} was carried out and no rest followed", told(action))));
        }
        Ok(())
    }

    // === what reaches the cluster ===

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
        let decided = planned.map_or(now, |it| it.at);
        let same = |it: &&Carried| it.target == action.target && it.axis == action.axis && !it.hidden;
        if let Some(last) = self.carried.iter().rfind(same)
            && decided + self.ahead_since(last.at) + SLACK < last.at + last.cool
        {
            let after = decided.saturating_sub(last.at);
            let rest = last.cool;
            return Err((2, format!("{} was decided {after} ms after {}, of {rest}", told(action), last.id)));
        }
        self.carried.push(Carried {
            id: action.id.clone(),
            target: action.target.clone(),
            axis: action.axis,
            at: now,
            cool: cool(edition, action.axis),
            hidden: false,
        });
        Ok(())
    }

    // === what stays as it is ===

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
            let running = engine.actions().any(|it| it.target == target.id && it.state.is_running());
            for axis in Axis::ALL {
                self.is_explained(engine, edition, target, axis, running, now)?;
            }
        }
        Ok(())
    }

    fn is_explained(
        &mut self,
        engine: &Engine,
        edition: &Edition,
        target: &Target,
        axis: Axis,
        running: bool,
        now: u64,
    ) -> Held {
        let place = (target.id.clone(), axis);
        let policy = edition.policy();
        let wanted = millis(policy.sustained) + SLACK;
        // After a clock was set back, what the engine saw lies in its future for as long.
        let back = self.jumps.iter().filter(|(_, by)| *by < 0).map(|(_, by)| by.unsigned_abs()).sum::<u64>();
        let steady = self.steady_since(now.saturating_sub(wanted + 60_000 + back));
        let lasts = policy.triggers.iter().filter(|it| it.axis == axis).any(|trigger| {
            let since = self.moved_at.get(&target.id).copied().unwrap_or(0).max(self.loaded_at);
            let run = self.evidence.run(target, trigger, since);
            run.is_some_and(|run| run.lasts() >= wanted && now - run.to < crate::evidence::GAP - SLACK)
        });
        // A refusal holds up both axes.
        let refused = Axis::ALL
            .iter()
            .any(|axis| self.refused.get(&(target.id.clone(), *axis)).is_some_and(|at| now - at < REFUSED));
        let held = Axis::ALL.iter().any(|axis| engine.held(&target.id, *axis).is_some());
        let explained = running || refused || held;
        if !lasts || explained || !steady {
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
}

impl World {
    /// I8: at the end of the calm nothing is owed.
    pub(crate) fn judge_the_calm(&self) -> Held {
        let Some(engine) = self.engine() else { return Err((8, "the daemon is down".into())) };
        let now = self.agenda.now();
        // A clock that was set back makes rests longer, and nobody can say by how much.
        let back = self.judge.jumps.iter().any(|(_, by)| *by < 0);
        for target in &self.edition.policy().targets {
            let Some(workload) = self.cluster.workloads.get(&target.id) else { continue };
            let trigger = self.edition.policy().triggers.iter().find(|it| it.axis == Axis::Horizontal);
            let Some(trigger) = trigger else { continue };
            let value = self.source.value(Metric::named(&trigger.metric), workload, now);
            let wants = value > trigger.threshold && workload.replicas < target.max_replicas;
            let moved = self
                .judge
                .carried
                .iter()
                .any(|it| it.target == target.id && it.axis == Axis::Horizontal && it.at + CALM >= now);
            if wants && !moved && !back {
                let held = engine.held(&target.id, Axis::Horizontal);
                return Err((8, format!("{} has {value:.2} and no step came, held: {held:?}", target.id)));
            }
        }
        for carried in &self.judge.carried {
            let action = engine.actions().find(|it| it.id == carried.id);
            let is_known = action.is_some_and(|it| it.state != ActionState::Planned);
            if !is_known && !carried.hidden && self.judge.carried.len() < 90 {
                return Err((5, format!("{} of {} is not known as a step", carried.id, carried.target)));
            }
        }
        Ok(())
    }
}

/// I1.
fn within(action: &ScalingAction, target: &Target) -> Held {
    match &action.to {
        Size::Replicas(to) if !(target.min_replicas..=target.max_replicas).contains(to) => {
            let (min, max) = (target.min_replicas, target.max_replicas);
            Err((1, format!("{} is not within {min} and {max}", told(action))))
        }
        Size::Resources(sizes) => {
            let most = target.max_memory.unwrap_or(f64::INFINITY);
            let over = sizes.iter().filter_map(|size| size.memory_limit).find(|memory| *memory > most);
            over.map_or(Ok(()), |over| Err((1, format!("{} has {over} bytes of {most}", told(action)))))
        }
        Size::Replicas(_) => Ok(()),
    }
}

fn cool(edition: &Edition, axis: Axis) -> u64 {
    edition.policy().axis(axis).map_or(0, |axis| millis(axis.cool_down))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn told(action: &ScalingAction) -> String {
    format!("{} {} {} ({})", action.target, action.axis, action.change(), action.id)
}
