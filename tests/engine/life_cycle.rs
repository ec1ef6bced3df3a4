//! The life of a scaling action over crashes: whatever instant the daemon dies at, before or after what it committed was
//! carried out, no step is repeated, none is forgotten, and the rest is right.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};

use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::domain::scaling::{
    Axis, ClusterFailure, Direction, ScalingAction, Size, Surroundings, WorkloadSnapshot,
};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::engine::report::Report;
use runbookd::engine::state::State;

use crate::made::{at, plan};

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    plan(
        "kubernetes: {mode: apply}",
        "scale_out_strategy:
  triggers: {cpu_sustained: 70%}
  actions: {horizontal: {step: +2 replicas, cool_down: 10m}}
  sustained: 2m
  give_up_after: 1
  targets: [{service: checkout, min_replicas: 2, max_replicas: 20, ready_within: 2m}]",
    )
});

/// When the daemon dies: at which commit, and whether what it had committed was still carried out.
#[derive(Debug, Clone, Copy)]
struct Crash {
    at: usize,
    carried_out: bool,
}

struct World {
    engine: Engine,
    committed: State,
    workload: WorkloadSnapshot,
    comes_up: bool,
    commits: usize,
    crash: Option<Crash>,
    /// What the API server carried out: when, and to how many replicas.
    writes: Vec<(i64, u32)>,
    states: Vec<&'static str>,
}

impl World {
    fn new(comes_up: bool, crash: Option<Crash>) -> Self {
        let target = &PLAN.rules.policy.as_ref().expect("a policy").targets[0];
        let workload = WorkloadSnapshot {
            target: target.id.clone(),
            uid: "1".into(),
            resource_version: "1".into(),
            replicas: 4,
            ready_replicas: 4,
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
            comes_up,
            commits: 0,
            crash,
            writes: Vec::new(),
            states: Vec::new(),
        }
    }

    /// A quarter of an hour: a breach until the pods are ready, and again at the end.
    fn play(&mut self) {
        let query = PLAN.rules.policy.as_ref().expect("a policy").triggers[0].query.clone();
        for seconds in (0..900).step_by(5) {
            if self.comes_up && self.writes.first().is_some_and(|(written, _)| seconds - written >= 60) {
                self.workload.ready_replicas = self.workload.replicas;
            } else {
                self.workload.ready_replicas = self.workload.ready_replicas.min(self.workload.replicas);
            }
            let value = if self.workload.ready_replicas > 4 { 0.6 } else { 0.95 };
            if seconds % 15 == 0 {
                let labels = Labels::new([("service", "checkout")]);
                let sample = Sample { labels, seen: Observation::Value(value) };
                let answer = Answer::Series(vec![sample]);
                self.happens(
                    Event::Observed(Round { query: query.clone(), at: at(seconds), answer }),
                    seconds,
                );
            }
            self.happens(Event::Tick, seconds);
        }
    }

    fn happens(&mut self, event: Event, seconds: i64) {
        let mut waiting = VecDeque::from([event]);
        while let Some(event) = waiting.pop_front() {
            let effects = self.engine.on(event, at(seconds));
            let Some(effects) = self.commit(effects, seconds) else { return };
            for effect in effects {
                waiting.extend(self.perform(effect, seconds));
            }
        }
    }

    /// Commits, unless the daemon dies right after: then whatever it was about to do may or may not have been done, and
    /// nobody hears.
    fn commit(&mut self, effects: Vec<Effect>, seconds: i64) -> Option<Vec<Effect>> {
        for report in self.engine.take_reports() {
            if let Report::Scaling { state, .. } = report {
                self.states.push(state.as_str());
            }
        }
        let changes = self.engine.take_changes();
        if changes.is_empty() && effects.is_empty() {
            return Some(effects);
        }
        for change in changes {
            self.committed.apply(change);
        }
        self.commits += 1;
        let crash = self.crash.filter(|crash| crash.at == self.commits);
        let Some(crash) = crash else { return Some(effects) };
        if crash.carried_out {
            for effect in effects {
                let _ = self.perform(effect, seconds);
            }
        }
        let (engine, effects) = Engine::restore(PLAN.clone(), self.committed.clone(), at(seconds));
        self.engine = engine;
        for effect in effects {
            if let Some(event) = self.perform(effect, seconds) {
                self.happens(event, seconds);
            }
        }
        None
    }

    fn perform(&mut self, effect: Effect, seconds: i64) -> Option<Event> {
        match effect {
            Effect::Deliver(_) | Effect::Diagnose(_) | Effect::Announce(_) => None,
            Effect::Look(target) => {
                Some(Event::TargetSeen { target, seen: Ok(Box::new(self.workload.clone())) })
            }
            Effect::Write(action) => {
                let outcome = self.write(&action, seconds);
                Some(Event::Written { action: action.id, outcome })
            }
        }
    }

    fn write(&mut self, action: &ScalingAction, seconds: i64) -> Result<(), ClusterFailure> {
        let Size::Replicas(to) = action.to else { panic!("a horizontal step") };
        if action.resource_version != self.workload.resource_version {
            return Err(ClusterFailure::Conflict);
        }
        self.workload.replicas = to;
        self.workload.resource_version = format!("{}'", action.resource_version).into();
        self.writes.push((seconds, to));
        Ok(())
    }

    fn rests_until(&self) -> i64 {
        let target = &PLAN.rules.policy.as_ref().expect("a policy").targets[0].id;
        let until = self.engine.cooldown(target, Axis::Horizontal, Direction::Out).expect("a rest");
        until.as_second() - at(0).as_second()
    }
}

/// Plays a story with a crash at every commit, before and after what follows from it was carried out.
fn over_every_crash(comes_up: bool, sizes: &[u32], end: &str) {
    let mut calm = World::new(comes_up, None);
    calm.play();
    let written = |world: &World| world.writes.iter().map(|(_, to)| *to).collect::<Vec<_>>();
    assert_eq!(written(&calm), sizes);
    assert!(calm.commits > 10, "only {} instants to die at", calm.commits);
    for crash_at in 1..=calm.commits {
        for carried_out in [false, true] {
            let crash = Crash { at: crash_at, carried_out };
            let mut world = World::new(comes_up, Some(crash));
            world.play();
            assert_eq!(written(&world), sizes, "{crash:?}: a step repeated or forgotten: {:?}", world.states);
            let first = world.engine.actions().min_by_key(|action| action.planned_at).expect("an action");
            assert_eq!(first.state.as_str(), end, "{crash:?}: {:?}", world.states);
            // From the accepted write on; where its answer was lost, from when it was found there.
            let (rests, wrote) = (world.rests_until(), world.writes[0].0);
            assert!((600..=630).contains(&(rests - wrote)), "{crash:?}: rests {} s", rests - wrote);
        }
    }
}

#[test]
fn a_step_that_helps_is_taken_once_whenever_the_daemon_dies() {
    over_every_crash(true, &[6], "verified");
}

#[test]
fn a_step_that_does_not_come_up_is_given_back_once_whenever_the_daemon_dies() {
    over_every_crash(false, &[6, 4], "reverted");
}

#[test]
fn each_state_follows_the_one_before_and_is_remembered_with_its_reason() {
    let mut world = World::new(true, None);
    world.play();
    let action = world.engine.actions().next().expect("an action");
    let way: Vec<_> = action
        .course
        .past
        .iter()
        .chain([&action.state])
        .map(runbookd::domain::scaling::ActionState::as_str)
        .collect();
    assert_eq!(way, ["planned", "checked", "applied", "ready", "healthy", "verified"]);
    let times: Vec<_> = action
        .course
        .past
        .iter()
        .chain([&action.state])
        .filter_map(runbookd::domain::scaling::ActionState::at)
        .collect();
    assert!(times.is_sorted() && times.len() == 5, "{times:?}");
    assert_eq!(world.states, way, "each was reported");
}
