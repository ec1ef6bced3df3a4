//! How many observations the engine takes a second while nothing happens, and how long it needs when everything
//! happens at once.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use runbookd::domain::Timestamp;
use runbookd::domain::communication::{Communication, Storm};
use runbookd::domain::labels::Labels;
use runbookd::domain::name::{QueryId, RuleId};
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::domain::quantity::Unit;
use runbookd::domain::rule::{
    Condition, Direction, GroupBy, OnError, OnNoData, Query, Rule, RuleSet, Threshold, Thresholds,
};
use runbookd::domain::scaling::ScalingMode;
use runbookd::engine::Engine;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;

const QUERIES: usize = 7;
const SERIES: usize = 1_000;
const STORM: usize = 5_000;
const INTERVAL: Duration = Duration::from_secs(15);

fn query(number: usize) -> QueryId {
    QueryId::from(format!("15s|metric_{number}"))
}

fn rule(number: usize) -> Rule {
    let threshold = |value| Some(Threshold { value, hold: Duration::from_secs(300) });
    Rule {
        id: RuleId::from(format!("monitoring/system/metric_{number}")),
        name: format!("metric_{number}").into(),
        query: query(number % QUERIES),
        unit: Unit::Ratio,
        condition: Condition::Threshold(Thresholds {
            direction: Direction::Above,
            warning: threshold(0.7),
            critical: threshold(0.9),
            clear: 0.7,
        }),
        overrides: Vec::new(),
        keep_firing_for: Duration::ZERO,
        on_no_data: OnNoData::Keep,
        no_data_after: Duration::from_secs(300),
        on_error: OnError::Keep,
        incident_type: "service_outage".into(),
        response: None,
        group_by: GroupBy::Subject,
        labels: Labels::empty(),
        summary: None,
        impact: None,
        runbook_url: None,
        mute_time_intervals: Vec::new(),
        active_time_intervals: Vec::new(),
        source: "bench".into(),
    }
}

fn plan(rules: usize) -> Arc<Plan> {
    let queries = (0..QUERIES).map(query).map(|id| {
        let query = Query { id: id.clone(), expr: "up".into(), interval: INTERVAL };
        (id, query)
    });
    let rules = (0..rules).map(rule).map(|rule| (rule.id.clone(), Arc::new(rule)));
    Arc::new(Plan {
        rules: RuleSet { queries: queries.collect(), rules: rules.collect(), ..RuleSet::default() },
        incident_types: BTreeMap::new(),
        communication: Communication {
            primary: "slack".into(),
            secondary: "email".into(),
            emergency: "pagerduty".into(),
            initial_alert: "".into(),
            status_update: "".into(),
            warning: vec!["slack".into()],
            critical: vec!["slack".into(), "email".into(), "pagerduty".into()],
            status_every: Duration::from_secs(1_800),
            failover_after: Duration::from_secs(60),
            storm: Storm::default(),
        },
        channels: BTreeMap::new(),
        escalations: BTreeMap::new(),
        heartbeat: None,
        blind_after: Duration::from_secs(120),
        resolve_timeout: Duration::from_secs(300),
        tools: Vec::new(),
        scaling: ScalingMode::Off,
    })
}

fn series(count: usize) -> Vec<Labels> {
    let labels = |number: usize| {
        Labels::new([
            ("namespace", "shop".to_owned()),
            ("service", format!("service-{number:04}")),
            ("pod", format!("service-{number:04}-7d9c5b8f4d-x2k9p")),
        ])
    };
    (0..count).map(labels).collect()
}

fn answer(series: &[Labels], value: f64) -> Answer {
    let sample = |labels: &Labels| Sample { labels: labels.clone(), seen: Observation::Value(value) };
    Answer::Series(series.iter().map(sample).collect())
}

fn start() -> Timestamp {
    Timestamp::from_second(1_795_402_800).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// One round of every query for every rule, again and again.
fn steady(c: &mut Criterion) {
    let mut group = c.benchmark_group("steady");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for rules in [1_000, 10_000] {
        let mut now = start();
        let mut engine = Engine::new(plan(rules), now);
        let series = series(SERIES);
        let answers: Vec<Answer> = (0..QUERIES).map(|_| answer(&series, 0.5)).collect();
        let mut round = || {
            now = now.checked_add(INTERVAL).unwrap_or(now);
            for (number, answer) in answers.iter().enumerate() {
                let round = Round { query: query(number), at: now, answer: answer.clone() };
                black_box(engine.on(Event::Observed(round), now));
            }
            black_box(engine.take_changes());
        };
        round();
        group.throughput(Throughput::Elements((rules * SERIES) as u64));
        group.bench_function(format!("{rules}_rules_7_queries_1000_series"), |b| b.iter(&mut round));
    }
    group.finish();
}

/// One round in which 5,000 alerts of 5,000 services fire, and one in which they end.
fn storm(c: &mut Criterion) {
    let mut group = c.benchmark_group("storm");
    group.sample_size(10).throughput(Throughput::Elements(STORM as u64));
    let series = series(STORM);
    let at = |seconds: i64| Timestamp::from_second(start().as_second() + seconds).unwrap_or(start());
    let round = |value, seconds| {
        Event::Observed(Round { query: query(0), at: at(seconds), answer: answer(&series, value) })
    };
    let pending = || {
        let mut engine = Engine::new(plan(QUERIES), start());
        engine.on(round(0.8, 0), at(0));
        engine.take_changes();
        engine.take_reports();
        (engine, round(0.8, 300))
    };
    let firing = || {
        let (mut engine, event) = pending();
        engine.on(event, at(300));
        engine.take_changes();
        engine.take_reports();
        (engine, round(0.1, 315))
    };
    let take = |engine: &mut Engine, event: &Event, seconds| {
        let effects = engine.on(event.clone(), at(seconds));
        assert_eq!(effects.len(), STORM);
        black_box((effects, engine.take_changes(), engine.take_reports()))
    };
    group.bench_function("5000_alerts_fire", |b| {
        b.iter_batched_ref(pending, |(engine, event)| take(engine, event, 300), BatchSize::PerIteration);
    });
    group.bench_function("5000_alerts_resolve", |b| {
        b.iter_batched_ref(firing, |(engine, event)| take(engine, event, 315), BatchSize::PerIteration);
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    steady(&mut criterion);
    storm(&mut criterion);
    criterion.final_summary();
}
