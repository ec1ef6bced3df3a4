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
//! | I9 | a step that somebody took back is not taken again before its triggers are clear or a person resumes it |
//! | I10 | what is paused takes no step |
//! | I11 | all targets together take no more steps than their budget |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runbookd::domain::labels::Labels;
use runbookd::domain::name::{ActionId, TargetId};
use runbookd::domain::observation::Answer;
use runbookd::domain::scaling::{
    ActionState, AppliedReason, Axis, AxisChoice, Direction, HeldReason, Purpose, ScalingAction, ScalingMode,
    Size, Target, Trigger, WorkloadSnapshot,
};
use runbookd::engine::Engine;

use crate::accepted;
use crate::evidence::{Evidence, GAP, Run};
use crate::marks::Marks;
use crate::plans::{BLIND_AFTER, Edition};
use crate::source::Metric;
use crate::world::{CALM, World};

/// What a check says: the number of the invariant that does not hold, and how.
pub(crate) type Held = Result<(), (u8, String)>;

/// Timers go by ticks of a second, and answers are on their way for a moment.
const SLACK: u64 = 1_500;
/// An answer that was on its way when a write was accepted counts as seen after it.
const ON_THE_WAY: u64 = 100;
/// How long a trigger that lasts may go without a step and without a reason, in milliseconds.
const UNEXPLAINED: u64 = 45_000;
/// The longest life of an action: three spells of the longest `ready_within`, the longest `settle`, and calls that hang.
const LONGEST: u64 = (3 * 5 + 2 + 1) * 60_000;
/// For how long a refusal is the reason, in milliseconds: what will not pass by itself is tried again after it.
const REFUSED: u64 = 11 * 60_000;

/// A step that was decided.
#[derive(Debug, Clone)]
struct Planned {
    at: u64,
    bounds: Option<(u32, u32)>,
    /// So many steps of all targets, in so many milliseconds.
    budget: Option<(u32, u64)>,
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
    direction: Direction,
    purpose: Purpose,
    uid: String,
    to: Option<u32>,
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
    dry: BTreeMap<(TargetId, Axis), (u64, u64, ActionId)>,
    refused: BTreeMap<(TargetId, Axis), u64>,
    rollouts: BTreeMap<TargetId, bool>,
    unexplained: BTreeMap<(TargetId, Axis), u64>,
    /// When an action of a target moved last: what was seen before counts no more.
    moved_at: BTreeMap<TargetId, u64>,
    /// When a step of a target was known to be carried out last.
    applied_at: BTreeMap<TargetId, u64>,
    /// When the clock was set, and by how much, in milliseconds.
    jumps: Vec<(u64, i64)>,
    /// When a target was last without a breach for long, or somebody resumed it, or it was no target.
    quiet_at: BTreeMap<TargetId, u64>,
    /// How often each step was sent.
    writes: BTreeMap<ActionId, u32>,
    /// The steps whose write the API server accepted.
    done: BTreeSet<ActionId>,
    /// The steps that the daemon knows to be carried out.
    known: BTreeSet<ActionId>,
    started_at: u64,
    loaded_at: u64,
}

impl Judge {
    /// How many steps were carried out.
    pub(crate) fn steps(&self) -> usize {
        self.carried.len()
    }

    /// A life of the daemon begins.
    pub(crate) fn started(&mut self, on_record: &BTreeSet<ActionId>, now: u64) {
        self.dry.retain(|_, (_, _, id)| on_record.contains(id));
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

    /// A write of a step is sent.
    pub(crate) fn sent(&mut self, id: &ActionId) {
        *self.writes.entry(id.clone()).or_insert(0) += 1;
    }

    /// The API server accepted a write, whether or not there was anything to change.
    pub(crate) fn accepted(&mut self, id: &ActionId) {
        self.done.insert(id.clone());
    }

    /// What the daemon does not know to be carried out.
    fn hide(&mut self, id: &ActionId) {
        self.carried.iter_mut().filter(|it| it.id == *id).for_each(|it| it.hidden = true);
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
            carried.cool = carried.cool.min(cool(edition, carried.axis, carried.direction));
        }
        for ((_, axis), (_, rest, _)) in &mut self.dry {
            *rest = (*rest).min(cool(edition, *axis, Direction::Out));
        }
        let gone: Vec<TargetId> = self
            .carried
            .iter()
            .map(|it| it.target.clone())
            .filter(|it| edition.target(it).is_none())
            .collect();
        self.quiet_at.extend(gone.into_iter().map(|target| (target, now)));
    }

    /// Somebody lets a target be scaled again.
    pub(crate) fn resumed(&mut self, target: &TargetId, now: u64) {
        self.quiet_at.insert(target.clone(), now);
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
        match &action.state {
            ActionState::Checked { .. } => {
                self.founded(action, engine, edition, now)?;
                self.plan(action, edition, now);
                Ok(())
            }
            ActionState::DryRun { .. } => self.rested_dry(action, edition, now),
            ActionState::Applied { reason, .. } => {
                if *reason == AppliedReason::Accepted && !self.done.contains(&action.id) {
                    return Err((5, format!("{} counts as carried out and was not", told(action))));
                }
                self.known.insert(action.id.clone());
                self.applied_at.insert(action.target.clone(), now);
                Ok(())
            }
            ActionState::Refused { .. } => {
                self.refused.insert((action.target.clone(), action.axis), now);
                self.planned.remove(&action.id);
                let writes = self.writes.get(&action.id).copied().unwrap_or(0);
                if accepted::refused_after_an_unknown_outcome(writes) {
                    self.hide(&action.id);
                }
                if self.carried.iter().any(|it| it.id == action.id && !it.hidden) {
                    return Err((5, format!("{} was carried out and counts as refused", told(action))));
                }
                Ok(())
            }
            ActionState::Failed { .. }
            | ActionState::Verified { .. }
            | ActionState::Reverted { .. }
            | ActionState::Abandoned { .. } => {
                self.planned.remove(&action.id);
                self.rests(action, engine, now)
            }
            ActionState::Planned | ActionState::Ready { .. } | ActionState::Healthy { .. } => Ok(()),
        }
    }

    fn plan(&mut self, action: &ScalingAction, edition: &Edition, now: u64) {
        let bounds = edition.target(&action.target).map(|it| (it.min_replicas, it.max_replicas));
        let budget = edition.policy().budget.and_then(|budget| Some((budget.steps?, millis(budget.per))));
        let planned = Planned { at: now, bounds, budget, disturbed: false, up: 0, counted: now };
        self.planned.insert(action.id.clone(), planned);
    }

    /// I1 and I3: a decision is within the bounds, and rests on what was seen.
    fn founded(&self, action: &ScalingAction, engine: &Engine, edition: &Edition, now: u64) -> Held {
        let Some(target) = edition.target(&action.target) else {
            return Err((1, format!("{} on what is no target", told(action))));
        };
        within(action, target)?;
        let steady = self.steady_since(now.saturating_sub(2 * BLIND_AFTER));
        let blind = engine.is_blind() || (steady && self.is_blind(now));
        if blind && !accepted::while_blind(action) {
            return Err((3, format!("{} while blind", told(action))));
        }
        match action.course.purpose {
            Purpose::Triggered => self.breached(action, target, edition, now)?,
            Purpose::Cleared => self.cleared(action, target, engine, edition, now)?,
            Purpose::Scheduled | Purpose::Revert | Purpose::KeepSize => return Ok(()),
        }
        if self.rollouts.get(&action.target) == Some(&true) {
            return Err((3, format!("{} during a rollout", told(action))));
        }
        Ok(())
    }

    fn breached(&self, action: &ScalingAction, target: &Target, edition: &Edition, now: u64) -> Held {
        let policy = edition.policy();
        let Some(trigger) = policy.triggers.iter().find(|it| it.name == action.trigger) else {
            return Err((3, format!("{} for a trigger that is none", told(action))));
        };
        let since = self.applied_at.get(&action.target).map_or(0, |at| at.saturating_sub(ON_THE_WAY));
        let Some(run) = self.evidence.breach(target, trigger, since) else {
            return Err((3, format!("{} and {} is not beyond its threshold", told(action), trigger.metric)));
        };
        if !run.last.is_finite() {
            return Err((3, format!("{} on a value of {}", told(action), run.last)));
        }
        self.lasted(action, run, millis(policy.sustained), now)
    }

    fn cleared(
        &self,
        action: &ScalingAction,
        target: &Target,
        engine: &Engine,
        edition: &Edition,
        now: u64,
    ) -> Held {
        let policy = edition.policy();
        let Some(scale_in) = policy.scale_in else {
            return Err((3, format!("{} and nothing is ever taken back", told(action))));
        };
        let since = self.applied_at.get(&action.target).map_or(0, |at| at.saturating_sub(ON_THE_WAY));
        for trigger in &policy.triggers {
            let Some(run) = self.evidence.clear(target, trigger, since) else {
                return Err((3, format!("{} and {} is not clear", told(action), trigger.metric)));
            };
            self.lasted(action, run, millis(scale_in.stabilize), now)?;
        }
        let concerns = |labels: &Labels| labels.get("service") == Some(&target.service);
        if engine.incidents().any(|it| it.state.is_active() && concerns(&it.subject)) {
            return Err((3, format!("{} during an incident", told(action))));
        }
        Ok(())
    }

    /// Whether a run is long enough and fresh.
    fn lasted(&self, action: &ScalingAction, run: Run, wanted: u64, now: u64) -> Held {
        if !self.steady_since(run.from.saturating_sub(4 * GAP)) {
            return Ok(());
        }
        if run.lasts() < wanted {
            return Err((3, format!("{} after {} of {wanted} ms", told(action), run.lasts())));
        }
        if now - run.to >= GAP + SLACK {
            return Err((3, format!("{} on a value that is {} ms old", told(action), now - run.to)));
        }
        Ok(())
    }

    fn is_blind(&self, now: u64) -> bool {
        now - self.evidence.answered_at > BLIND_AFTER + SLACK
    }

    /// I2 where nothing is written.
    fn rested_dry(&mut self, action: &ScalingAction, edition: &Edition, now: u64) -> Held {
        if action.course.direction == Direction::In {
            return Ok(());
        }
        let place = (action.target.clone(), action.axis);
        let next = (now, cool(edition, action.axis, Direction::Out), action.id.clone());
        let Some((at, rest, _)) = self.dry.insert(place, next) else { return Ok(()) };
        let passed = now - at + self.ahead_since(at) + SLACK;
        if passed < rest {
            return Err((2, format!("{} would come {} ms after another", told(action), now - at)));
        }
        Ok(())
    }

    /// I5: what was carried out is followed by a rest.
    fn rests(&self, action: &ScalingAction, engine: &Engine, now: u64) -> Held {
        let Some(carried) = self.carried.iter().find(|it| it.id == action.id && it.counts()) else {
            return Ok(());
        };
        let over = now - carried.at + self.ahead_since(carried.at) + SLACK >= carried.cool;
        let rest = engine.cooldown(&action.target, action.axis, action.course.direction);
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
        let counts = |by: i64| by < 0 && accepted::EVIDENCE_MAY_LIE_IN_THE_FUTURE;
        let back =
            self.jumps.iter().filter(|(_, by)| counts(*by)).map(|(_, by)| by.unsigned_abs()).sum::<u64>();
        let steady = self.steady_since(now.saturating_sub(wanted + 60_000 + back));
        let since = self.moved_at.get(&target.id).copied().unwrap_or(0).max(self.loaded_at);
        let lasts = policy.triggers.iter().filter(|it| it.axis == AxisChoice::Only(axis)).any(|trigger| {
            let run = self.evidence.breach(target, trigger, since);
            run.is_some_and(|run| run.lasts() >= wanted && now - run.to < GAP - SLACK)
        });
        if !lasts || !steady || self.has_reason(engine, target, axis, now) {
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
    fn has_reason(&self, engine: &Engine, target: &Target, axis: Axis, now: u64) -> bool {
        let moves = engine.actions().filter(|it| it.target == target.id);
        let mut moves = moves.filter(|it| it.state.is_running() || it.course.owes_revert.is_some());
        // A refusal holds up both axes.
        let refused = Axis::ALL.iter().any(|other| {
            let concerns = accepted::A_REFUSAL_HOLDS_BOTH_AXES || *other == axis;
            concerns && self.refused.get(&(target.id.clone(), *other)).is_some_and(|at| now - at < REFUSED)
        });
        moves.next().is_some() || refused || engine.held(&target.id, axis, Direction::Out).is_some()
    }
}

impl Carried {
    /// Whether it is a step that rests and budgets count; what gives a size back or keeps it is none.
    fn counts(&self) -> bool {
        matches!(self.purpose, Purpose::Triggered | Purpose::Scheduled | Purpose::Cleared)
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
            if wants && !moved && !back && !given_up {
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

/// I1.
fn within(action: &ScalingAction, target: &Target) -> Held {
    let (min, max) = (target.min_replicas, target.max_replicas);
    let most = target.max_memory.unwrap_or(f64::INFINITY);
    let is_within = match &action.to {
        Size::Replicas(to) => (min..=max).contains(to),
        Size::Resources(sizes) => {
            sizes.iter().filter_map(|size| size.memory_limit).all(|memory| memory <= most)
        }
    };
    if is_within || accepted::beyond_the_bounds(action, target) {
        return Ok(());
    }
    Err((1, format!("{} is not within {min} and {max} replicas, {most} bytes", told(action))))
}

fn cool(edition: &Edition, axis: Axis, direction: Direction) -> u64 {
    let policy = edition.policy();
    match direction {
        Direction::Out => policy.axis(axis).map_or(0, |axis| millis(axis.cool_down)),
        Direction::In => policy.scale_in.map_or(0, |scale_in| millis(scale_in.cool_down)),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn told(action: &ScalingAction) -> String {
    format!("{} {} {} ({})", action.target, action.axis, action.change(), action.id)
}
