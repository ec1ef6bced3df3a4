//! What scaling costs the engine with 1,000 targets and three triggers each: a round of a trigger's query, a tick in
//! which nothing is asked, and the tick in which every target asks at once, with the looks that follow.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::Timestamp;
use runbookd::domain::labels::Labels;
use runbookd::domain::name::{QueryId, TargetId};
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::domain::scaling::{Surroundings, WorkloadSnapshot};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;

const TARGETS: usize = 1_000;

fn plan() -> Option<Arc<Plan>> {
    let mut rules = String::from(
        "scale_out_strategy:
  triggers: {cpu_sustained: 70%, memory_sustained: {threshold: 80%, axis: auto}, response_time: 300ms}
  actions:
    horizontal: {step: +2 replicas, cool_down: 10m}
    vertical: {step: +25% resources, cool_down: 1h}
  sustained: 1m
  scale_in: {}
  targets:
",
    );
    for number in 0..TARGETS {
        let _ = writeln!(rules, "    - {{service: shop-{number}, namespace: shop}}");
    }
    let sources = Sources::from_texts(
        &[("config.yaml", "kubernetes: {mode: apply}")],
        &[("rules.yaml", &rules), ("catalogue.yaml", include_str!("../rules/catalogue.yaml"))],
    );
    let loaded = parse(&sources).ok()?;
    Some(Arc::new(plan_of(&loaded.settings, loaded.rules)))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn round(query: &QueryId, value: f64, seconds: i64) -> Event {
    let samples = (0..TARGETS).map(|number| Sample {
        labels: Labels::new([("namespace", "shop"), ("service", &format!("shop-{number}"))]),
        seen: Observation::Value(value),
    });
    Event::Observed(Round {
        query: query.clone(),
        at: at(seconds),
        answer: Answer::Series(samples.collect()),
    })
}

/// An engine that has seen every trigger of every target at `value` for two minutes.
fn fed(plan: &Arc<Plan>, queries: &[QueryId], value: f64) -> Engine {
    let mut engine = Engine::new(plan.clone(), at(0));
    for seconds in (0..=120).step_by(15) {
        for query in queries {
            engine.on(round(query, value, seconds), at(seconds));
        }
    }
    engine
}

fn seen(target: TargetId) -> Event {
    let snapshot = WorkloadSnapshot {
        target: target.clone(),
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
    Event::TargetSeen { target, seen: Ok(Box::new(snapshot)) }
}

/// A tick, and the answer to every look that it asks for: how many writes come of it.
fn decide(engine: &mut Engine) -> usize {
    let effects = engine.on(Event::Tick, at(121));
    let mut writes = 0;
    for effect in effects {
        if let Effect::Look(target) = effect {
            let effects = engine.on(seen(target), at(121));
            writes += effects.iter().filter(|effect| matches!(effect, Effect::Write(_))).count();
        }
    }
    black_box(engine.take_changes());
    black_box(engine.take_reports());
    writes
}

fn scaling(c: &mut Criterion) {
    let Some(plan) = plan() else { return };
    let policy = plan.rules.policy.iter().flat_map(|policy| &policy.triggers);
    let queries: Vec<QueryId> = policy.map(|trigger| trigger.query.clone()).collect();
    let mut group = c.benchmark_group("scaling_1000_targets_3_triggers");
    group.sample_size(20).throughput(Throughput::Elements(TARGETS as u64));
    let mut calm = fed(&plan, &queries, 0.2);
    let event = round(&queries[0], 0.2, 135);
    group.bench_function("round_of_one_trigger", |b| b.iter(|| calm.on(event.clone(), at(135)).len()));
    group.bench_function("tick_when_nothing_is_asked", |b| b.iter(|| calm.on(Event::Tick, at(136)).len()));
    let mut asked = fed(&plan, &queries, 0.95);
    assert_eq!(decide(&mut asked), TARGETS, "every target takes its step");
    group.bench_function("tick_when_all_ask_and_all_are_seen", |b| {
        b.iter_batched_ref(|| fed(&plan, &queries, 0.95), decide, BatchSize::LargeInput);
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    scaling(&mut criterion);
    criterion.final_summary();
}
