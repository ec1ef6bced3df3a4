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

mod carried;
mod decided;
mod lasting;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use runbookd::domain::name::{ActionId, TargetId};
use runbookd::domain::observation::Answer;
use runbookd::domain::scaling::{
    Axis, Direction, PodSnapshot, Purpose, ResizeState, ScalingAction, Trigger, WorkloadSnapshot,
};

use crate::evidence::Evidence;
use crate::marks::Marks;
use crate::plans::Edition;

/// What a check says: the number of the invariant that does not hold, and how.
pub(crate) type Held = Result<(), (u8, String)>;

/// Timers go by ticks of a second, and answers are on their way for a moment.
const SLACK: u64 = 1_500;

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
    /// Whether it was carried out after it had ended for the daemon: then nobody can see that it happened.
    hidden: bool,
}

/// What the judge knows.
#[derive(Default)]
pub(crate) struct Judge {
    evidence: Evidence,
    planned: BTreeMap<ActionId, Planned>,
    carried: Vec<Carried>,
    dry: BTreeMap<(TargetId, Axis), (u64, u64, ActionId)>,
    rollouts: BTreeMap<TargetId, bool>,
    /// Whether pods of a target were seen not to be up.
    down: BTreeMap<TargetId, bool>,
    unexplained: BTreeMap<(TargetId, Axis), u64>,
    /// When an action of a target moved last: what was seen before counts no more.
    moved_at: BTreeMap<TargetId, u64>,
    /// When a step of a target was known to be carried out last.
    applied_at: BTreeMap<TargetId, u64>,
    /// When the clock was set, and by how much, in milliseconds.
    jumps: Vec<(u64, i64)>,
    /// When a target was last without a breach for long, or somebody resumed it, or it was no target.
    quiet_at: BTreeMap<TargetId, u64>,
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
        let down = seen.ready_replicas < seen.replicas
            || seen.rollout_in_progress
            || seen.pods.iter().any(is_unsettled);
        self.down.insert(seen.target.clone(), down);
        self.rollouts.insert(seen.target.clone(), seen.rollout_in_progress);
    }

    pub(crate) fn clock_set(&mut self, now: u64, by: i64) {
        self.jumps.push((now, by));
        self.planned.values_mut().for_each(|planned| planned.disturbed = true);
        self.unexplained.clear();
    }

    /// The API server accepted a write, whether or not there was anything to change.
    pub(crate) fn accepted(&mut self, id: &ActionId) {
        self.done.insert(id.clone());
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
}

impl Carried {
    /// Whether it is a step that rests and budgets count; what gives a size back or keeps it is none.
    fn counts(&self) -> bool {
        matches!(self.purpose, Purpose::Triggered | Purpose::Scheduled | Purpose::Cleared)
    }
}

fn is_unsettled(pod: &PodSnapshot) -> bool {
    !pod.ready || pod.resize != ResizeState::Settled
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
