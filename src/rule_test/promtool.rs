//! Prometheus' own test files, as far as they need no PromQL. Owns which of them can be played and why the rest is
//! skipped.
//!
//! A rule can be played when its expression is one selector, alone or compared with a number: `up == 0`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::diagnostic::Diagnostics;
use crate::config::selector::{self, Selector};
use crate::config::tree::{Node, Value};
use crate::config::walk::{Fields, Walk};
use crate::daemon::running::plan as plan_of;
use crate::domain::Timestamp;
use crate::domain::labels::Labels;
use crate::domain::quantity::Unit;
use crate::domain::rule::RuleSet;
use crate::domain::scaling::ScalingMode;
use crate::engine::plan::Plan;
use crate::rehearsal::rehearsed;

use super::case::{Case, Expect, Feed, Series, Skipped, WantedAlert};
use super::file::{INTERVAL, Opened, load};
use super::notation::{self, Slot};
use crate::config::diagnostic::Code;

const FILE_KEYS: &[&str] =
    &["rule_files", "evaluation_interval", "group_eval_order", "fuzzy_compare", "tests"];
const TEST_KEYS: &[&str] = &[
    "interval",
    "name",
    "input_series",
    "alert_rule_test",
    "promql_expr_test",
    "external_labels",
    "external_url",
    "start_timestamp",
];
const SERIES_KEYS: &[&str] = &["series", "values"];
const ALERT_KEYS: &[&str] = &["eval_time", "alertname", "exp_alerts"];
const WANTED_KEYS: &[&str] = &["exp_labels", "exp_annotations"];
const EXPR_KEYS: &[&str] = &["expr", "eval_time", "exp_samples"];

/// How long Prometheus lets a value stand.
const LOOK_BACK: Duration = Duration::from_secs(300);

/// Whether a file is one of Prometheus' own.
pub(super) fn is_theirs(root: &Node) -> bool {
    let Value::Map(entries) = &root.value else { return false };
    entries.iter().any(|entry| FILE_KEYS.contains(&&*entry.key) && &*entry.key != "tests")
}

/// Reads such a file.
pub(super) fn read(walk: &Walk<'_>, root: &Node, beside: &Path) -> Result<Opened, Diagnostics> {
    let fields = walk.fields(root, FILE_KEYS);
    let files = walk.required(&fields, "rule_files", root.span, "rule_files: [alerts.yaml]");
    let files: Vec<PathBuf> = files
        .map_or_else(Vec::new, |node| walk.texts(node))
        .iter()
        .map(|text| beside.join(&**text))
        .collect();
    let every = fields.get("evaluation_interval").and_then(|node| walk.duration_from(node, SECOND));
    let loaded = load(&[], &files)?;
    let mut plan = rehearsed(plan_of(&loaded.settings, loaded.rules.clone()), ScalingMode::Off);
    plan.blind_after = Duration::MAX;
    let mut reading = Reading {
        walk,
        plan: Arc::new(plan),
        rules: &loaded.rules,
        every: every.unwrap_or(INTERVAL),
        skipped: Vec::new(),
    };
    let mut cases = Vec::new();
    for (number, node) in fields.get("tests").map_or(&[][..], |node| walk.list(node)).iter().enumerate() {
        cases.extend(reading.case(node, number + 1));
    }
    Ok(Opened { cases, skipped: reading.skipped })
}

struct Reading<'r, 'a> {
    walk: &'r Walk<'a>,
    plan: Arc<Plan>,
    rules: &'r RuleSet,
    every: Duration,
    skipped: Vec<Skipped>,
}

impl Reading<'_, '_> {
    fn skip(&mut self, node: &Node, why: impl Into<String>) {
        self.skipped.push(Skipped { place: self.walk.source_of(node.span), why: why.into() });
    }

    fn case(&mut self, node: &Node, number: usize) -> Option<Case> {
        let walk = self.walk;
        let fields = walk.fields(node, TEST_KEYS);
        let interval = fields.get("interval").and_then(|node| walk.duration_from(node, SECOND));
        let interval = interval.unwrap_or(self.every);
        let name = fields.get("name").and_then(|node| walk.text(node).cloned());
        let name = name.unwrap_or_else(|| format!("test {number}").into());
        for node in fields.get("promql_expr_test").map_or(&[][..], |node| walk.list(node)) {
            walk.fields(node, EXPR_KEYS);
            self.skip(node, "an expression of PromQL is only evaluated by Prometheus");
        }
        for key in ["external_labels", "external_url"] {
            if let Some(node) = fields.get(key) {
                self.skip(node, format!("`{key}` is not played: nothing here reads it"));
            }
        }
        let inputs = self.inputs(&fields, interval);
        let mut feeds: Vec<Feed> = Vec::new();
        let mut expects = Vec::new();
        for node in fields.get("alert_rule_test").map_or(&[][..], |node| walk.list(node)) {
            if let Some(expect) = self.expect(node, &inputs, &mut feeds) {
                expects.push(expect);
            }
        }
        expects.sort_by_key(|expect: &Expect| expect.at);
        if expects.is_empty() {
            return None;
        }
        let place = walk.source_of(node.span);
        let (plan, start, workloads) = (self.plan.clone(), Timestamp::UNIX_EPOCH, Vec::new());
        Some(Case { name, place, plan, start, feeds, workloads, expects })
    }

    /// The series that the test feeds, as they are stored: with the metric's name as a label.
    fn inputs(&mut self, fields: &Fields<'_>, interval: Duration) -> Vec<Series> {
        let walk = self.walk;
        let mut found = Vec::new();
        for node in fields.get("input_series").map_or(&[][..], |node| walk.list(node)) {
            let fields = walk.fields(node, SERIES_KEYS);
            let series = walk.required(&fields, "series", node.span, "series: 'up{job=\"shop\"}'");
            let values = walk.required(&fields, "values", node.span, "values: 1x5 0x10");
            let (Some(series), Some(values)) = (series, values) else { continue };
            let (Some(name), Some(text)) = (walk.text(series), walk.text(values)) else { continue };
            let Some(labels) = selector::series(name) else {
                walk.error(Code::BadPromql, series.span, format!("`{name}` is no series"))
                    .expected("expected a series such as up{job=\"shop\"}");
                continue;
            };
            match notation::slots(text, Unit::Count) {
                Ok(slots) => found.push(Series { labels: Labels::new(labels), interval, slots }),
                Err(bad) if text.contains("{{") => {
                    let _ = bad;
                    self.skip(values, "native histograms are not played");
                }
                Err(bad) => {
                    walk.error(Code::BadQuantity, walk.part(values, bad.start, bad.end), bad.why)
                        .expected("expected values such as 0 10x5 _ stale");
                }
            }
        }
        found
    }

    fn expect(&mut self, node: &Node, inputs: &[Series], feeds: &mut Vec<Feed>) -> Option<Expect> {
        let walk = self.walk;
        let fields = walk.fields(node, ALERT_KEYS);
        let at = walk.required(&fields, "eval_time", node.span, "eval_time: 10m");
        let at = at.and_then(|node| walk.duration(node));
        let name = walk.required(&fields, "alertname", node.span, "alertname: InstanceDown")?;
        let name = walk.text(name)?.clone();
        let mut alerts = Vec::new();
        for node in fields.get("exp_alerts").map_or(&[][..], |node| walk.list(node)) {
            let fields = walk.fields(node, WANTED_KEYS);
            let entries = fields.get("exp_labels").map_or(&[][..], |node| walk.entries(node));
            let labels =
                entries.iter().filter_map(|it| Some((it.key.clone(), walk.text(&it.value)?.clone())));
            let labels = Labels::new(labels);
            let rule = name.clone();
            alerts.push(WantedAlert { rule, labels, state: "firing", severity: None, exact: true });
            if let Some(node) = fields.get("exp_annotations") {
                self.skip(node, "annotations are not compared: notices here have templates of their own");
            }
        }
        let rules: Vec<_> = self.rules.rules.values().filter(|rule| rule.name == name).cloned().collect();
        if rules.is_empty() {
            self.skip(node, format!("there is no alert `{name}` in the rule files"));
            return None;
        }
        for rule in rules {
            let query = self.rules.queries.get(&rule.query)?;
            let Some(selector) = selector::plain(&query.expr) else {
                self.skip(node, format!("`{name}` ({}) needs PromQL: {}", rule.source, query.expr));
                return None;
            };
            if !feeds.iter().any(|feed| feed.query == rule.query) {
                let series = inputs.iter().filter_map(|input| chosen(&selector, input)).collect();
                let query = rule.query.clone();
                feeds.push(Feed { query, every: self.every, series, look_back: LOOK_BACK });
            }
        }
        let place = walk.source_of(node.span);
        Some(Expect { at: at?, place, alerts: Some(alerts), only: Some(name), notices: None, scaling: None })
    }
}

/// What a selector makes of a stored series: what does not fulfil its comparison is a sample all the same, so that an
/// older one does not stand for it.
fn chosen(selector: &Selector, input: &Series) -> Option<Series> {
    if !selector.fits(&input.labels) {
        return None;
    }
    let keep = |slot: &Slot| match slot {
        Slot::Value(value) if !selector.keeps(*value) => Slot::Stale,
        other => *other,
    };
    let slots = input.slots.iter().map(keep).collect();
    // Prometheus drops no name for a comparison that filters; alerts drop it.
    let labels = Labels::new(input.labels.iter().filter(|(name, _)| *name != "__name__"));
    Some(Series { labels, interval: input.interval, slots })
}

const SECOND: Duration = Duration::from_secs(1);
