//! Charts over a Prometheus that answers, lacks, hangs and is gone: whoever waits for one waits two seconds at most.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Form;
use axum::Router;
use axum::routing::post;
use runbookd::config::{Sources, parse};
use runbookd::daemon::charts::Charts;
use runbookd::daemon::running::Running;
use runbookd::domain::Timestamp;
use runbookd::domain::alert::AlertKey;
use runbookd::domain::incident::{ActionTaken, IncidentState};
use runbookd::domain::labels::Labels;
use runbookd::domain::notice::Facts;
use runbookd::domain::quantity::Unit;
use runbookd::domain::severity::Severity;
use tokio::sync::watch;
use world::loopback::{ANY_PORT, Loopback};

const RULES: &str = "metrics:\n  cpu_usage: {query: 'sum by (service) (cpu)', unit: ratio}\n\
                     monitoring:\n  metrics:\n    system:\n      - cpu_usage: {warning: 70%, critical: 90%}\n";

fn charts(url: &str) -> (Charts, watch::Sender<Arc<Running>>) {
    world::install_crypto();
    let config = format!("prometheus: {{url: '{url}'}}\n");
    let loaded = parse(&Sources::from_texts(&[("c.yaml", &config)], &[("r.yaml", RULES)])).unwrap();
    let (sender, running) = watch::channel(Arc::new(Running::build(loaded).unwrap()));
    (Charts::new(running), sender)
}

fn facts(charts: &watch::Sender<Arc<Running>>, service: &str) -> Facts {
    let rule = charts.borrow().plan.rules.rules.keys().next().unwrap().clone();
    let since = Timestamp::from_second(1_700_000_000).unwrap();
    Facts {
        incident_id: "INC-20261123-0007".into(),
        uid: service.into(),
        incident_type: "service_outage".into(),
        severity: Severity::Critical,
        state: IncidentState::Open,
        acknowledged_by: None,
        acknowledged_in: None,
        subject: Labels::new([("service", service)]),
        subject_name: service.into(),
        opened_by: "cpu_usage".into(),
        metric: "cpu_usage".into(),
        value: Some(0.95),
        unit: Unit::Ratio,
        threshold: Some(0.9),
        impact: "".into(),
        team: "".into(),
        actions: vec![ActionTaken { at: since, text: "scaled 4 → 6 replicas".into() }],
        next_steps: Vec::new(),
        eta: None,
        since,
        opened_at: since,
        resolved_at: None,
        did: None,
        labels: Labels::new([("service", service)]),
        runbook_url: None,
        diagnosis: Vec::new(),
        links: Vec::new(),
        pages: 1,
        opened_revision: 1,
        lead: Some(AlertKey { rule, series: Labels::new([("service", service)]) }),
    }
}

type Asked = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

async fn prometheus() -> (Loopback, Asked) {
    let asked = Asked::default();
    let record = asked.clone();
    let answer = move |Form(form): Form<BTreeMap<String, String>>| async move {
        let end: i64 = form["end"].parse().unwrap();
        record.lock().unwrap().push(form);
        let values: Vec<String> = (0..10).map(|at| format!("[{},\"0.{at}\"]", end - at * 15)).collect();
        let series = format!(r#"{{"metric":{{"service":"checkout"}},"values":[{}]}}"#, values.join(","));
        format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}"#)
    };
    let router = Router::new().route("/api/v1/query_range", post(answer));
    (Loopback::start(ANY_PORT, router).await.unwrap(), asked)
}

#[tokio::test]
async fn the_rules_query_is_asked_for_the_leading_series_and_once_in_a_while() {
    let (server, asked) = prometheus().await;
    let (charts, running) = charts(&server.url());
    let facts = facts(&running, "checkout");
    let first = charts.of_incident(&facts).await.unwrap();
    assert!(first.starts_with(b"\x89PNG"));
    assert_eq!(charts.of_incident(&facts).await.unwrap(), first);
    let form = asked.lock().unwrap().clone();
    assert_eq!(form.len(), 1, "the same picture serves for a quarter of a minute");
    assert_eq!(form[0]["query"], "sum by (service) (cpu)");
    let (start, end): (i64, i64) = (form[0]["start"].parse().unwrap(), form[0]["end"].parse().unwrap());
    let step: i64 = form[0]["step"].parse().unwrap();
    assert!((end - start) / step <= 240 && end - start <= 25 * 3_600, "{form:?}");
}

#[tokio::test]
async fn without_values_there_is_no_chart() {
    let (server, _) = prometheus().await;
    let (charts, running) = charts(&server.url());
    assert!(charts.of_incident(&facts(&running, "search")).await.is_none(), "no such series");
    let undrawn = Facts { lead: None, ..facts(&running, "blind") };
    assert!(charts.of_incident(&undrawn).await.is_none(), "no alert");
    let gone = AlertKey { rule: "gone".into(), series: Labels::empty() };
    let undrawn = Facts { lead: Some(gone), ..facts(&running, "gone") };
    assert!(charts.of_incident(&undrawn).await.is_none(), "no rule");
    server.take_down().await;
    assert!(charts.of_incident(&facts(&running, "checkout")).await.is_none(), "no Prometheus");
}

#[tokio::test]
async fn nobody_waits_longer_than_two_seconds_however_many_wait() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counted = reached.clone();
    let hang = move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    };
    let server =
        Loopback::start(ANY_PORT, Router::new().route("/api/v1/query_range", post(hang))).await.unwrap();
    let (charts, running) = charts(&server.url());
    let asked = Instant::now();
    let incidents: Vec<Facts> = (0..20).map(|n| facts(&running, &format!("service-{n}"))).collect();
    let drawn = futures::future::join_all(incidents.iter().map(|it| charts.of_incident(it))).await;
    assert!(drawn.iter().all(Option::is_none));
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    assert_eq!(reached.load(Ordering::Relaxed), 2, "and Prometheus is asked by two at once");
}
