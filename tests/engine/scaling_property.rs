//! Random load, random cluster: whatever the metrics and the API server do, sizes stay within the bounds, steps keep
//! their distance, and none is taken without fresh evidence.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::LazyLock;

use proptest::prelude::*;
use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use runbookd::domain::scaling::{
    ActionState, ClusterFailure, Direction, PauseOrder, Purpose, ScalingAction, Size, Surroundings,
    WorkloadSnapshot,
};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::engine::report::Report;
use runbookd::engine::state::State;

use crate::made::{at, plan};

const MIN: u32 = 2;
const MAX: u32 = 11;
const COOLDOWN: i64 = 600;
const SUSTAINED: i64 = 120;
/// Three rounds of 15 s.
const GAP: i64 = 45;
const READY_WITHIN: i64 = 120;
const STABILIZE: i64 = 300;

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    plan(
        "kubernetes: {mode: apply}",
        "scale_out_strategy:
  triggers: {cpu_sustained: {threshold: 70%, clear: 30%}}
  actions: {horizontal: {step: +2 replicas, cool_down: 10m}}
  sustained: 2m
  scale_in: {stabilize: 5m, cool_down: 4m}
  targets: [{service: checkout, min_replicas: 2, max_replicas: 11, ready_within: 2m}]",
    )
});

#[derive(Debug, Clone)]
enum Turn {
    /// A round of the trigger's query: a value, an empty answer, or a failure.
    See(Option<f64>),
    Fail,
    /// How the API server answers from now on.
    Writes(Outcome),
    Looks(bool),
    Ready,
    Rollout(bool),
    /// Somebody else writes the number of replicas.
    Other(u32),
    Pause,
    Resume,
    Reload,
    Restart,
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Conflict,
    Lost,
    DoneUnheard,
    Unanswered,
}

fn turn() -> impl Strategy<Value = Turn> {
    use Outcome as O;
    let outcomes = vec![O::Accepted, O::Accepted, O::Conflict, O::Lost, O::DoneUnheard, O::Unanswered];
    prop_oneof![
        24 => proptest::sample::select(vec![0.95, 0.95, 0.95, 0.8, 0.71]).prop_map(|v| Turn::See(Some(v))),
        1 => proptest::sample::select(vec![0.7, 0.2, f64::INFINITY]).prop_map(|v| Turn::See(Some(v))),
        1 => Just(Turn::See(None)),
        1 => Just(Turn::Fail),
        1 => proptest::sample::select(outcomes).prop_map(Turn::Writes),
        1 => any::<bool>().prop_map(Turn::Looks),
        3 => Just(Turn::Ready),
        1 => any::<bool>().prop_map(Turn::Rollout),
        1 => (1_u32..15).prop_map(Turn::Other),
        1 => Just(Turn::Pause),
        2 => Just(Turn::Resume),
        1 => Just(Turn::Reload),
        12 => Just(Turn::See(Some(0.2))),
        1 => Just(Turn::Restart),
        6 => Just(Turn::Tick),
    ]
}

struct World {
    engine: Engine,
    committed: State,
    workload: WorkloadSnapshot,
    writes: Outcome,
    can_look: bool,
    /// When the trigger's value was seen beyond its threshold, in one unbroken run.
    run: Vec<i64>,
    /// When it was seen at or below `clear`, in one unbroken run.
    clear: Vec<i64>,
    is_paused: bool,
    blind_since: i64,
    carried_out: Vec<i64>,
    reverts: usize,
    steps_back: usize,
    /// The replicas before the last write that was carried out.
    before: u32,
}

impl World {
    fn new() -> Self {
        let target = &PLAN.rules.policy.as_ref().expect("a policy").targets[0];
        let workload = WorkloadSnapshot {
            target: target.id.clone(),
            uid: "1".into(),
            resource_version: "1".into(),
            replicas: 3,
            ready_replicas: 3,
            rollout_in_progress: false,
            containers: Vec::new(),
            pods: Vec::new(),
            in_place_resize: true,
            surroundings: Surroundings::open(),
        };
        Self {
            engine: Engine::new(PLAN.clone(), at(0)),
            committed: State::default(),
            workload,
            writes: Outcome::Accepted,
            can_look: true,
            run: Vec::new(),
            clear: Vec::new(),
            is_paused: false,
            blind_since: 0,
            carried_out: Vec::new(),
            reverts: 0,
            steps_back: 0,
            before: 0,
        }
    }

    fn play(&mut self, turn: &Turn, seconds: i64) -> Result<(), TestCaseError> {
        let query = PLAN.rules.policy.as_ref().expect("a policy").triggers[0].query.clone();
        let round = |answer| Event::Observed(Round { query, at: at(seconds), answer });
        let event = match turn {
            Turn::See(value) => {
                if self.run.last().is_some_and(|last| seconds - last >= GAP) {
                    self.run.clear();
                }
                if self.clear.last().is_some_and(|last| seconds - last >= GAP) {
                    self.clear.clear();
                }
                match value {
                    Some(value) if *value <= 0.3 => self.clear.push(seconds),
                    Some(_) => self.clear.clear(),
                    None => {}
                }
                match value {
                    Some(value) if *value > 0.7 => self.run.push(seconds),
                    Some(_) => self.run.clear(),
                    None => {}
                }
                self.blind_since = seconds;
                let labels = Labels::new([("service", "checkout")]);
                let sample = value.map(|value| Sample { labels, seen: Observation::Value(value) });
                round(Answer::Series(sample.into_iter().collect()))
            }
            Turn::Fail => round(Answer::Failed(QueryFailure::TimedOut)),
            Turn::Writes(outcome) => {
                self.writes = *outcome;
                Event::Tick
            }
            Turn::Looks(work) => {
                self.can_look = *work;
                Event::Tick
            }
            Turn::Ready => {
                self.workload.ready_replicas = self.workload.replicas;
                Event::Tick
            }
            Turn::Rollout(running) => {
                self.workload.rollout_in_progress = *running;
                Event::Tick
            }
            Turn::Other(replicas) => {
                self.workload.replicas = *replicas;
                self.workload.ready_replicas = self.workload.ready_replicas.min(*replicas);
                self.workload.resource_version = format!("{}o", self.workload.resource_version).into();
                Event::Tick
            }
            Turn::Pause => {
                self.is_paused = true;
                let (by, reason) = ("Ana".into(), "moving".into());
                let order = PauseOrder { by, reason, since: at(seconds), until: None };
                Event::PauseScaling { target: self.workload.target.clone(), order }
            }
            Turn::Resume => {
                self.is_paused = false;
                Event::ResumeScaling { target: self.workload.target.clone(), by: "Ana".into() }
            }
            Turn::Reload => Event::Reloaded(PLAN.clone()),
            Turn::Restart => {
                let (engine, effects) = Engine::restore(PLAN.clone(), self.committed.clone(), at(seconds));
                self.engine = engine;
                self.blind_since = seconds;
                return self.answer(effects, seconds);
            }
            Turn::Tick => Event::Tick,
        };
        let effects = self.engine.on(event, at(seconds));
        self.answer(effects, seconds)?;
        let effects = self.engine.on(Event::Tick, at(seconds));
        self.answer(effects, seconds)
    }

    fn answer(&mut self, effects: Vec<Effect>, seconds: i64) -> Result<(), TestCaseError> {
        let mut waiting: VecDeque<Effect> = effects.into();
        loop {
            for change in self.engine.take_changes() {
                self.committed.apply(change);
            }
            for report in self.engine.take_reports() {
                if let Report::Scaling { state: ActionState::Planned, reason, .. } = &report {
                    prop_assert!(!self.is_paused, "{reason} while paused");
                }
                if let Report::Scaling { state: ActionState::Planned, reason: "cleared", .. } = report {
                    let (first, last) = (self.clear.first(), self.clear.last());
                    let calm = first.zip(last).is_some_and(|(first, last)| last - first >= STABILIZE);
                    prop_assert!(calm, "a step back without calm: {:?}", self.clear);
                }
                // What gives a size back answers no trigger.
                if let Report::Scaling { state: ActionState::Planned, reason: "triggered", .. } = report {
                    self.check_plan(seconds)?;
                }
            }
            let Some(effect) = waiting.pop_front() else { return Ok(()) };
            let event = match effect {
                Effect::Deliver(_) | Effect::Diagnose(_) | Effect::Announce(_) => continue,
                Effect::Look(target) => {
                    let seen = if self.can_look {
                        Ok(Box::new(self.workload.clone()))
                    } else {
                        Err(ClusterFailure::Unreachable)
                    };
                    Event::TargetSeen { target, seen }
                }
                Effect::Write(action) => {
                    let Some(outcome) = self.write(&action, seconds)? else { continue };
                    Event::Written { action: action.id, outcome }
                }
            };
            waiting.extend(self.engine.on(event, at(seconds)));
        }
    }

    /// A step is decided now. Its write may be repeated later, on the evidence it was decided on.
    fn check_plan(&self, seconds: i64) -> Result<(), TestCaseError> {
        prop_assert!(!self.workload.rollout_in_progress, "a step during a rollout");
        prop_assert!(seconds - self.blind_since < 120, "a step while blind");
        let (first, last) = (self.run.first(), self.run.last());
        let sustained =
            first.zip(last).is_some_and(|(first, last)| last - first >= SUSTAINED && seconds - last < GAP);
        prop_assert!(sustained, "at {seconds} without fresh evidence: {:?}", self.run);
        Ok(())
    }

    /// Carries out a write as the API server would: only to the version it was decided for.
    fn write(
        &mut self,
        action: &ScalingAction,
        seconds: i64,
    ) -> Result<Option<Result<(), ClusterFailure>>, TestCaseError> {
        let Size::Replicas(to) = action.to else { panic!("a horizontal step") };
        prop_assert!((MIN..=MAX).contains(&to), "{to} replicas");
        let decided = seconds - (action.planned_at.as_second() - at(0).as_second());
        prop_assert!(decided <= READY_WITHIN, "a write {decided} s after it was decided");
        let fits = self.workload.resource_version == action.resource_version;
        let arrives = matches!(self.writes, Outcome::Accepted | Outcome::DoneUnheard);
        if arrives && fits {
            self.before = std::mem::replace(&mut self.workload.replicas, to);
            self.workload.resource_version = format!("{}'", self.workload.resource_version).into();
            if action.course.purpose == Purpose::Revert {
                self.reverts += 1;
            } else if action.course.direction == Direction::In {
                prop_assert!(to < self.before, "a step back from {} to {to}", self.before);
                self.steps_back += 1;
            } else {
                if let Some(last) = self.carried_out.last() {
                    prop_assert!(
                        seconds - last >= COOLDOWN,
                        "two steps within a cooldown: {last}, {seconds}"
                    );
                }
                self.carried_out.push(seconds);
            }
        }
        Ok(match self.writes {
            Outcome::Accepted if fits => Some(Ok(())),
            Outcome::Accepted | Outcome::Conflict => Some(Err(ClusterFailure::Conflict)),
            Outcome::Lost | Outcome::DoneUnheard => Some(Err(ClusterFailure::Unreachable)),
            Outcome::Unanswered => None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn steps_are_bounded_apart_and_founded(
        turns in proptest::collection::vec((1_i64..30, turn()), 50..300),
    ) {
        let mut world = World::new();
        let mut seconds = 0;
        for (pause, turn) in &turns {
            seconds += pause;
            world.play(turn, seconds)?;
        }
    }
}

#[test]
fn the_random_world_does_scale() {
    let mut world = World::new();
    for round in 1..200 {
        // Each step helps a little, for a moment.
        let value = if world.engine.actions().any(|action| action.state.rank() == 4) { 0.8 } else { 0.95 };
        world.play(&Turn::See(Some(value)), round * 15).expect("a sound step");
        world.play(&Turn::Ready, round * 15 + 1).expect("a sound step");
    }
    assert_eq!(world.workload.replicas, MAX);
    assert_eq!((world.carried_out.len(), world.reverts), (4, 0));
}

#[test]
fn the_random_world_takes_capacity_back() {
    let mut world = World::new();
    world.workload.replicas = 8;
    for round in 1..400 {
        world.play(&Turn::See(Some(0.1)), round * 15).expect("a sound step");
        world.play(&Turn::Ready, round * 15 + 1).expect("a sound step");
    }
    assert_eq!((world.workload.replicas, world.steps_back, world.carried_out.len()), (MIN, 6, 0));
}

#[test]
fn the_random_world_gives_back_and_gives_up() {
    let mut world = World::new();
    for round in 1..400 {
        world.play(&Turn::See(Some(0.95)), round * 15).expect("a sound step");
    }
    // Pods never come up: each step is given back, and after three no other is taken.
    assert_eq!((world.workload.replicas, world.carried_out.len(), world.reverts), (3, 3, 3));
}
