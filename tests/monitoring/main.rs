//! The files that watch the daemon from outside, `deploy/monitoring`: they speak of metrics that it exports, of all of
//! them, and their rules fire on what they are for.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use runbookd::config::{Sources, parse};
use serde_json::Value;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every name of a metric of ours in a text, as `docs/metrics.md` spells it.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let parts = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let names = parts.filter(|word| word.starts_with("runbookd_") && word.len() > "runbookd_".len());
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned()).collect()
}

/// The metrics of the table that a test compares with the program.
fn documented() -> BTreeSet<String> {
    let table = read("docs/metrics.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `runbookd_"));
    rows.map(|row| {
        let name: String = row.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        format!("runbookd_{name}")
    })
    .collect()
}

#[test]
fn the_dashboard_shows_every_metric_and_none_that_is_not_there() {
    let text = read("deploy/monitoring/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let shown: String =
        targets.filter_map(|target| target["expr"].as_str()).flat_map(|expr| [expr, "\n"]).collect();
    assert_eq!(metrics_in(&shown), documented());
    for expr in shown.lines() {
        let expr = expr.replace("$__rate_interval", "5m").replace("$__interval", "1m");
        promql_parser::parser::parse(&expr).unwrap_or_else(|error| panic!("{expr}: {error}"));
    }
    let ids: BTreeSet<i64> = panels.iter().filter_map(|panel| panel["id"].as_i64()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels share an id");
}

#[test]
fn the_rules_speak_of_metrics_that_are_there() {
    let known = documented();
    let unknown: Vec<String> = metrics_in(&read("deploy/monitoring/runbookd.rules.yaml"))
        .into_iter()
        .filter(|name| !known.contains(name))
        .collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn the_rules_fire_on_what_they_are_for_and_on_nothing_else() {
    let output = Command::new("promtool")
        .args(["test", "rules", "tests/monitoring/rules.test.yaml"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("promtool comes with prometheus: `make setup` installs it");
    let told = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{wrong}");
}

#[test]
fn another_runbookd_could_evaluate_them() {
    let config = "
channels: {audit: {webhook: {url: 'http://127.0.0.1:9/'}}}
communication: {channels: {primary: audit}, notify: {warning: [primary], critical: [primary]}}
";
    let rules = read("deploy/monitoring/runbookd.rules.yaml");
    let sources = Sources::from_texts(&[("config.yaml", config)], &[("rules.yaml", &rules)]);
    let loaded = parse(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(loaded.rules.rules.len(), rules.matches("- alert:").count());
}
