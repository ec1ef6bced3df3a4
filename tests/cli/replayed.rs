//! `runbookd replay`: what it shows is what the live engine did over the same data, round by round.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::Timestamp;
use runbookd::domain::delivery::Attempt;
use runbookd::domain::headline::headline;
use runbookd::domain::labels::Labels;
use runbookd::domain::name::QueryId;
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use runbookd::domain::scaling::ScalingMode;
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::engine::report::Report;
use runbookd::prometheus::{Cadence, PastSeries};
use runbookd::rehearsal::{Workloads, rehearsed};
use runbookd::replay::{Chunk, Stage, Tally, assumed};

use crate::binary::{golden, run};

const RULES: &str = "
metrics:
  cpu_usage: {query: cpu, unit: ratio}
  queue_depth: {query: queue, unit: count}
  free_space: {query: free, unit: ratio}
monitoring:
  metrics:
    shop:
      - cpu_usage: {warning: 70%, critical: 90%, clear: 60%, for: {warning: 1m, critical: 30s}}
      - queue_depth: {warning: 100, critical: 1000, keep_firing_for: 2m, on_no_data: resolve, no_data_after: 1m, interval: 30s}
      - free_space: {warning: 20%, critical: 10%, on_error: fire, no_data_after: 1m}
scale_out_strategy:
  triggers: {cpu_sustained: 70%}
  actions: {horizontal: {step: +2 replicas, cool_down: 5m}}
  sustained: 2m
  targets:
    - {service: a, namespace: shop, kind: Deployment, name: a, min_replicas: 2, max_replicas: 9}
";
const CONFIG: &str = "
evaluation: {interval: 15s}
channels:
  chat: {webhook: {url: https://chat.example.org/}}
  pager: {webhook: {url: https://pager.example.org/}}
communication:
  channels: {primary: chat, secondary: chat, emergency: pager}
  notify: {warning: [primary], critical: [primary, emergency]}
  status_every: 10m
";
const START: i64 = 1_763_953_200;

fn plan(config: &str, rules: &str) -> Plan {
    let sources = Sources::from_texts(&[("config.yaml", config)], &[("rules.yaml", rules)]);
    let loaded = parse(&sources).unwrap();
    plan_of(&loaded.settings, loaded.rules)
}

/// What came of an engine, whoever drove it.
#[derive(Debug, Default, PartialEq)]
struct Came {
    /// When, which incident, what, the headline.
    pages: Vec<(Timestamp, String, &'static str, String)>,
    notices: u64,
    moves: u64,
    steps: Vec<(Timestamp, String)>,
}

fn came(tally: &Tally) -> Came {
    let page = |it: &runbookd::replay::Paged| {
        let one = (it.at, it.incident.to_string(), it.event, it.headline.clone());
        vec![one; it.channels.len()]
    };
    Came {
        pages: tally.pages.iter().flat_map(page).collect(),
        notices: tally.notices,
        moves: tally.moves,
        steps: tally.steps.iter().map(|(at, step)| (*at, step.to.clone())).collect(),
    }
}

/// The engine as the daemon drives it: a tick a second, each query when its cadence says so.
fn live(plan: Plan, seconds: i64, mut answer: impl FnMut(&QueryId, i64) -> Answer) -> Came {
    let plan = Arc::new(rehearsed(plan, ScalingMode::DryRun));
    let workloads = Workloads::new(assumed(plan.rules.policy.as_ref()));
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let mut engine = Engine::new(plan.clone(), at(START));
    let mut came = Came::default();
    for second in START..=START + seconds {
        let mut events = VecDeque::from([Event::Tick]);
        for (id, query) in &plan.rules.queries {
            let step = i64::try_from(query.interval.as_secs()).unwrap();
            let phase = Cadence::new(id, query.interval, 0).phase().as_secs();
            if second.rem_euclid(step) == i64::try_from(phase).unwrap() {
                events.push_back(Event::Observed(Round {
                    query: id.clone(),
                    at: at(second),
                    answer: answer(id, second),
                }));
            }
        }
        for event in events {
            let mut waiting = VecDeque::from([event]);
            while let Some(event) = waiting.pop_front() {
                for effect in engine.on(event, at(second)) {
                    match effect {
                        Effect::Deliver(notice) => {
                            if notice.is_page() {
                                let words = headline(&notice.event, &notice.facts);
                                let incident = notice.facts.incident_id.to_string();
                                came.pages.push((at(second), incident, notice.event.as_str(), words));
                            } else {
                                came.notices += 1;
                            }
                            let attempt = Attempt::ACCEPTED;
                            waiting.push_back(Event::Attempted { notice: notice.id, attempt });
                        }
                        Effect::Look(target) => {
                            let seen = workloads.look(&target);
                            waiting.push_back(Event::TargetSeen { target, seen });
                        }
                        Effect::Write(_) => panic!("a dry run writes nothing"),
                        Effect::Diagnose(_) | Effect::Announce(_) => {}
                    }
                }
                for report in engine.take_reports() {
                    match report {
                        Report::Alert { .. } => came.moves += 1,
                        Report::Scaling { action, state, .. } if state.as_str() == "dry_run" => {
                            let action = engine.actions().find(|it| it.id == action).unwrap();
                            came.steps.push((at(second), action.to.to_string()));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    came
}

/// One minute of one series: a level, or nothing, or NaN, or a failure of the whole query.
#[derive(Debug, Clone, Copy)]
enum Minute {
    Level(f64),
    Gone,
    Nan,
}

fn minute() -> impl Strategy<Value = Minute> {
    prop_oneof![
        6 => prop_oneof![Just(0.05), Just(0.15), Just(0.5), Just(0.75), Just(0.95), Just(150.0), Just(2_000.0)]
            .prop_map(Minute::Level),
        1 => Just(Minute::Gone),
        1 => Just(Minute::Nan),
    ]
}

fn series() -> impl Strategy<Value = Vec<Vec<Minute>>> {
    prop::collection::vec(prop::collection::vec(minute(), 40), 6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_is_what_the_live_engine_did(
        minutes in series(),
        cuts in prop::collection::vec(1_i64..2_400, 0..5),
        refused in prop::option::of(0_usize..3),
    ) {
        let seconds = 2_400;
        let names = ["cpu", "queue", "free"];
        let labels = |number: usize| Labels::new([("service", ["a", "b"][number % 2]), ("namespace", "shop")]);
        let plan = plan(CONFIG, RULES);
        let numbers: BTreeMap<QueryId, usize> = plan.rules.queries.values()
            .map(|query| (query.id.clone(), names.iter().position(|name| *name == &*query.expr).unwrap()))
            .collect();
        let value = |number: usize, second: i64| {
            let minute = usize::try_from((second - START) / 60).unwrap();
            minutes[number].get(minute).copied().unwrap_or(Minute::Gone)
        };
        let live = live(plan.clone(), seconds, |id, second| {
            let metric = numbers[id];
            if refused == Some(metric) {
                return Answer::Failed(QueryFailure::Rejected);
            }
            let samples = [metric * 2, metric * 2 + 1].into_iter().filter_map(|number| {
                let seen = match value(number, second) {
                    Minute::Level(value) => Observation::Value(value),
                    Minute::Nan => Observation::NotANumber,
                    Minute::Gone => return None,
                };
                Some(Sample { labels: labels(number), seen })
            });
            Answer::Series(samples.collect())
        });

        // The same data in chunks that are cut anywhere, each with more seconds than are asked for.
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut stage = Stage::new(plan, at(START), at(START + seconds));
        let mut ends: Vec<i64> = cuts.iter().map(|cut| START + cut).collect();
        ends.push(START + seconds + 1);
        ends.sort_unstable();
        ends.dedup();
        let mut from = START;
        for until in ends {
            let answers = numbers.iter().map(|(id, metric)| {
                if refused == Some(*metric) {
                    return (id.clone(), Err(QueryFailure::Rejected));
                }
                let series = [metric * 2, metric * 2 + 1].map(|number| PastSeries {
                    labels: labels(number),
                    values: (from..until).filter_map(|second| match value(number, second) {
                        Minute::Level(value) => Some((second, value)),
                        Minute::Nan => Some((second, f64::NAN)),
                        Minute::Gone => None,
                    }).collect(),
                });
                (id.clone(), Ok(series.to_vec()))
            });
            stage.play(&Chunk { from, until, answers: answers.collect() });
            from = until;
        }
        let replayed = came(&stage.finish());
        prop_assert_eq!(replayed, live);
    }
}

/// A folder with the configuration for a server.
fn folder(url: &str, rules: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!("prometheus: {{url: \"{url}\"}}\n{CONFIG}");
    std::fs::write(folder.path().join("config.yaml"), config).unwrap();
    for (name, text) in rules {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// OpenMetrics text of samples: name and labels, second, value.
fn past(samples: &[(&str, i64, f64)]) -> String {
    let mut out = String::new();
    let mut sorted: Vec<_> = samples.iter().collect();
    sorted.sort_by(|one, two| (one.0, one.1).cmp(&(two.0, two.1)));
    for (series, second, value) in sorted {
        writeln!(out, "{series} {value} {second}").unwrap();
    }
    out.push_str("# EOF\n");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_is_replayed_as_the_live_engine_would_have_asked_it() {
    let seconds = 2 * 3_600;
    let mut samples = Vec::new();
    for at in (START..START + seconds).step_by(15) {
        let minute = (at - START) / 60;
        // High for ten minutes an hour; away for a while; a queue that grows.
        let cpu = if minute % 60 < 20 { 0.95 } else { 0.3 };
        samples.push((r#"cpu{service="a",namespace="shop"}"#, at, cpu));
        if !(40..55).contains(&minute) {
            samples.push((r#"queue{service="b"}"#, at, f64::from(i32::try_from(minute * 10).unwrap())));
        }
        samples.push((r#"free{service="b"}"#, at, 0.5));
    }
    let prometheus = world::prometheus::Prometheus::with_past(&past(&samples)).await.unwrap();
    let stricter = RULES.replace("warning: 70%, critical: 90%", "warning: 96%, critical: 99%");
    let folder = folder(&prometheus.url(), &[("rules.yaml", RULES), ("new.yaml", &stricter)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (from, to) = (START, START + seconds);
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let (config, rules, new, plot, report) =
        (path("config.yaml"), path("rules.yaml"), path("new.yaml"), path("plot.png"), path("report.json"));
    let (from_text, to_text) = (at(from).to_string(), at(to).to_string());
    let args = ["replay", "--from", &from_text, "--to", &to_text, "--config", &config, "--rules", &rules];
    let more = ["--against", &new, "--plot", &plot, "--report", &report];
    let ran = run(&[&args[..], &more[..]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    golden("replay.golden", &ran.out);
    assert!(std::fs::read(plot).unwrap().starts_with(b"\x89PNG"));
    let found: serde_json::Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();

    let client = runbookd::prometheus::Prometheus::new(&settings(&prometheus.url())).unwrap();
    let plan = plan(CONFIG, RULES);
    let mut answers: BTreeMap<(QueryId, i64), Answer> = BTreeMap::new();
    for (id, query) in &plan.rules.queries {
        let step = i64::try_from(query.interval.as_secs()).unwrap();
        let phase = i64::try_from(Cadence::new(id, query.interval, 0).phase().as_secs()).unwrap();
        for second in (from..=to).filter(|second| second.rem_euclid(step) == phase) {
            answers.insert((id.clone(), second), client.query(&query.expr, at(second)).await);
        }
    }
    let live = live(plan, seconds, |id, second| answers[&(id.clone(), second)].clone());
    let replayed: Vec<(String, String)> = found["rules_now"]["page_list"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|page| {
            let one =
                (page["at"].as_str().unwrap().to_owned(), page["headline"].as_str().unwrap().to_owned());
            vec![one; page["channels"].as_array().unwrap().len()]
        })
        .collect();
    let paged: Vec<_> = live.pages.iter().map(|(at, _, _, words)| (at.to_string(), words.clone())).collect();
    assert!(paged.len() > 4, "{paged:?}");
    assert_eq!(replayed, paged);
    assert_eq!(found["rules_now"]["notices"], live.notices);
    assert_eq!(found["rules_now"]["steps"].as_array().unwrap().len(), live.steps.len());
    assert!(!live.steps.is_empty());
}

fn settings(url: &str) -> runbookd::config::settings::PrometheusSettings {
    let config = format!("prometheus: {{url: \"{url}\"}}");
    parse(&Sources::from_texts(&[("config.yaml", &config)], &[])).unwrap().settings.prometheus
}

#[test]
fn a_server_that_cannot_be_reached_is_3_and_a_span_that_is_none_is_2() {
    let folder = folder("http://127.0.0.1:1", &[("rules.yaml", RULES), ("broken.yaml", "monitoring: [\n")]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (config, rules, broken) = (path("config.yaml"), path("rules.yaml"), path("broken.yaml"));
    let ask =
        |from: &str, rules: &str| run(&["replay", "--from", from, "--config", &config, "--rules", rules]);
    let ran = ask("-1h", &rules);
    assert_eq!(ran.code, 3);
    assert!(ran.err.starts_with("could not ask Prometheus: tried http://127.0.0.1:1"), "{}", ran.err);
    let ran = ask("yesterday", &rules);
    assert_eq!(ran.code, 2);
    assert!(ran.err.starts_with("--from `yesterday` is neither an instant"), "{}", ran.err);
    assert_eq!(ask("now", &rules).code, 2);
    let ran = ask("-1h", &broken);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("broken.yaml:1:"), "{}", ran.err);
    assert_eq!(run(&["replay"]).code, 2);
}

/// Seven days of 200 rules, each with a query of its own every 15 seconds. Only where it is asked for, and meant for an
/// optimised build: `REPLAY_WEEK=1 cargo nextest run --release --test cli week --no-capture`.
#[tokio::test(flavor = "multi_thread")]
async fn a_week_of_two_hundred_rules_is_replayed_within_a_minute() {
    if std::env::var_os("REPLAY_WEEK").is_none() {
        return;
    }
    let days = 7;
    let names: Vec<String> = (0..20).map(|number| format!("load{{service=\"s{number:02}\"}}")).collect();
    let mut samples = Vec::new();
    for (number, name) in (0_i64..).zip(&names) {
        for at in (START..START + days * 86_400).step_by(15) {
            let age = f64::from(i32::try_from(at - START + number * 977).unwrap());
            let swing = (age / 7_000.0).sin() * 0.3 + 0.55;
            samples.push((name.as_str(), at, (swing * 1_000.0).round() / 1_000.0));
        }
    }
    let prometheus = world::prometheus::Prometheus::with_past(&past(&samples)).await.unwrap();
    let mut rules = String::from("metrics:\n");
    for number in 0..200 {
        writeln!(
            rules,
            "  m{number}: {{query: 'load{{service=\"s{:02}\"}} * {}', unit: ratio}}",
            number % 20,
            1.0 + f64::from(number) / 4_000.0
        )
        .unwrap();
    }
    rules.push_str("monitoring:\n  metrics:\n    all:\n");
    for number in 0..200 {
        writeln!(rules, "      - m{number}: {{warning: 80%, critical: 85%, for: 5m}}").unwrap();
    }
    let folder = folder(&prometheus.url(), &[("rules.yaml", &rules)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let at = |second: i64| Timestamp::from_second(second).unwrap().to_string();
    let (from, to) = (at(START), at(START + days * 86_400 - 15));
    let began = Instant::now();
    let ran = run(&[
        "replay",
        "--from",
        &from,
        "--to",
        &to,
        "--config",
        &path("config.yaml"),
        "--rules",
        &path("rules.yaml"),
    ]);
    let took = began.elapsed();
    assert_eq!(ran.code, 0, "{}", ran.err);
    println!("{took:?}\n{}", ran.out);
    assert!(took.as_secs() < 60, "{took:?}");
}
