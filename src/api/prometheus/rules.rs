//! Rules in Prometheus' form. A rule with two thresholds is two rules there, one of each severity, whose expressions say
//! the threshold: what is shown can be asked of Prometheus as it stands.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Serialize;

use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertReason, AlertState};
use crate::domain::labels::Labels;
use crate::domain::matcher::Matchers;
use crate::domain::rule::{Condition, Direction, Piece, Rule, SummaryTemplate};
use crate::domain::severity::Severity;
use crate::engine::Engine;

use super::alerts::{AlertView, annotations};
use super::{Api, Failure, Success, success, time};

/// When nothing was evaluated yet: Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The rules, by group.
#[derive(Debug, Serialize)]
pub(super) struct RulesView {
    groups: Vec<GroupView>,
}

/// A group of rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupView {
    name: String,
    file: String,
    rules: Vec<RuleView>,
    /// In seconds.
    interval: f64,
    limit: u32,
    evaluation_time: f64,
    last_evaluation: String,
}

/// A rule.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleView {
    state: &'static str,
    name: String,
    query: String,
    /// In seconds.
    duration: f64,
    /// In seconds.
    keep_firing_for: f64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<Vec<AlertView>>,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'static str>,
    evaluation_time: f64,
    last_evaluation: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Which rules are wanted.
#[derive(Debug, Default)]
struct Wanted {
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    matchers: Vec<Matchers>,
    records_only: bool,
    without_alerts: bool,
}

impl Wanted {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        for (key, value) in pairs {
            match key.as_str() {
                "rule_name[]" => wanted.names.push(value),
                "rule_group[]" => wanted.groups.push(value),
                "file[]" => wanted.files.push(value),
                "match[]" => {
                    let matchers = Matchers::parse(&value)
                        .map_err(|error| Failure::bad(format!("invalid parameter \"match[]\": {error}")))?;
                    wanted.matchers.push(matchers);
                }
                "type" => {
                    wanted.records_only = match value.to_ascii_lowercase().as_str() {
                        "" | "alert" => false,
                        "record" => true,
                        _ => return Err(Failure::bad(format!("not supported value {value:?}"))),
                    }
                }
                "exclude_alerts" => {
                    wanted.without_alerts = match value.to_ascii_lowercase().as_str() {
                        "1" | "t" | "true" => true,
                        "" | "0" | "f" | "false" => false,
                        _ => {
                            let error = "error converting exclude_alerts: invalid syntax";
                            return Err(Failure::bad(error));
                        }
                    }
                }
                // As Prometheus does with what it does not know.
                _ => {}
            }
        }
        Ok(wanted)
    }

    fn wants(&self, group: &str, file: &str, rule: &Rule, labels: &Labels) -> bool {
        let is_in = |list: &[String], it: &str| list.is_empty() || list.iter().any(|one| one == it);
        !self.records_only
            && is_in(&self.names, &rule.name)
            && is_in(&self.groups, group)
            && is_in(&self.files, file)
            && (self.matchers.is_empty() || self.matchers.iter().any(|matchers| matchers.match_all(labels)))
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Json<Success<RulesView>>, Failure> {
    let Query(pairs) = query.map_err(|error| Failure::bad(error.body_text()))?;
    let wanted = Wanted::read(pairs)?;
    Ok(success(api.core.peek(move |engine| view(engine, &wanted)).await?))
}

fn view(engine: &Engine, wanted: &Wanted) -> RulesView {
    let mut series: BTreeMap<&crate::domain::name::RuleId, Vec<(&Labels, &Alert)>> = BTreeMap::new();
    for (rule, labels, alert) in engine.alerts() {
        series.entry(rule).or_default().push((labels, alert));
    }
    let mut groups: BTreeMap<(String, String), GroupView> = BTreeMap::new();
    for rule in engine.plan().rules.rules.values() {
        let (group, file) = (group(rule), file(rule));
        let interval =
            engine.plan().rules.queries.get(&rule.query).map_or(0.0, |query| query.interval.as_secs_f64());
        let evaluated_at = engine.evaluated_at(&rule.id);
        let tracked = series.get(&rule.id).map_or(&[][..], Vec::as_slice);
        for (severity, hold) in levels(rule) {
            let labels = match rule.labels.get("severity") {
                Some(_) => rule.labels.clone(),
                None => rule.labels.with([("severity", severity.as_str())]),
            };
            if !wanted.wants(&group, &file, rule, &labels) {
                continue;
            }
            let place = (file.clone(), group.clone());
            let view = groups.entry(place).or_insert_with(|| GroupView {
                name: group.clone(),
                file: file.clone(),
                rules: Vec::new(),
                interval,
                limit: 0,
                evaluation_time: 0.0,
                last_evaluation: NEVER.into(),
            });
            view.interval = view.interval.min(interval);
            let rule = RuleView::new(engine, rule, (severity, hold), &labels, tracked, evaluated_at, wanted);
            if evaluated_at.is_some()
                && (view.last_evaluation < rule.last_evaluation || view.last_evaluation == NEVER)
            {
                view.last_evaluation.clone_from(&rule.last_evaluation);
            }
            view.rules.push(rule);
        }
    }
    RulesView { groups: groups.into_values().collect() }
}

impl RuleView {
    fn new(
        engine: &Engine,
        rule: &Rule,
        (severity, hold): (Severity, f64),
        labels: &Labels,
        tracked: &[(&Labels, &Alert)],
        evaluated_at: Option<Timestamp>,
        wanted: &Wanted,
    ) -> Self {
        let of_severity = || tracked.iter().filter(|(_, alert)| alert.state.severity() == Some(severity));
        let has = |state: fn(&AlertState) -> bool| of_severity().any(|(_, alert)| state(&alert.state));
        let state = if has(|state| state.is_firing()) {
            "firing"
        } else if has(|state| matches!(state, AlertState::Pending { .. })) {
            "pending"
        } else {
            "inactive"
        };
        let fails = |alert: &Alert| {
            matches!(alert.reason, AlertReason::QueryFailedHeld | AlertReason::QueryFailedFired)
        };
        let is_failing = tracked.iter().any(|(_, alert)| fails(alert));
        let alerts =
            || of_severity().filter_map(|(series, alert)| AlertView::new(rule, series, alert)).collect();
        Self {
            state,
            name: rule.name.to_string(),
            query: expression(engine, rule, severity),
            duration: hold,
            keep_firing_for: rule.keep_firing_for.as_secs_f64(),
            labels: labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            annotations: annotations(rule, template),
            alerts: (!wanted.without_alerts).then(alerts),
            health: match (is_failing, evaluated_at) {
                (true, _) => "err",
                (false, Some(_)) => "ok",
                (false, None) => "unknown",
            },
            last_error: is_failing.then_some("the query failed; what was known is held"),
            evaluation_time: 0.0,
            last_evaluation: evaluated_at.map_or_else(|| NEVER.into(), time),
            kind: "alerting",
        }
    }
}

/// The severities of a rule, the lesser first, with their `for` in seconds.
fn levels(rule: &Rule) -> Vec<(Severity, f64)> {
    match &rule.condition {
        Condition::Presence { severity, hold } => vec![(*severity, hold.as_secs_f64())],
        Condition::Threshold(limits) => {
            let level = |severity| Some((severity, limits.of(severity)?.hold.as_secs_f64()));
            [Severity::Warning, Severity::Critical].into_iter().filter_map(level).collect()
        }
    }
}

/// What breaches, as one expression.
fn expression(engine: &Engine, rule: &Rule, severity: Severity) -> String {
    let query = engine.plan().rules.queries.get(&rule.query).map_or("", |query| query.expr.as_ref());
    match &rule.condition {
        Condition::Presence { .. } => query.to_owned(),
        Condition::Threshold(limits) => {
            let sign = if limits.direction == Direction::Above { ">" } else { "<" };
            let value = limits.of(severity).map_or(limits.clear, |threshold| threshold.value);
            format!("({query}) {sign} {value}")
        }
    }
}

/// The sentence as Prometheus would write it.
fn template(summary: &SummaryTemplate) -> String {
    let mut out = String::new();
    for piece in &summary.0 {
        // Writing to a text cannot fail.
        let _ = match piece {
            Piece::Text(text) => write!(out, "{text}"),
            Piece::Value | Piece::PlainValue => write!(out, "{{{{ $value }}}}"),
            Piece::PercentValue => write!(out, "{{{{ $value | humanizePercentage }}}}"),
            Piece::Threshold => write!(out, "{{threshold}}"),
            Piece::Label(name) => write!(out, "{{{{ $labels.{name} }}}}"),
            Piece::Labels => write!(out, "{{{{ $labels }}}}"),
        };
    }
    out
}

/// The part of the rule's id before its name.
fn group(rule: &Rule) -> String {
    let id = rule.id.as_str();
    let head = id.find(&format!("/{}", rule.name)).map_or(id, |at| &id[..at]);
    head.to_owned()
}

/// The file that a rule stands in, without the line.
fn file(rule: &Rule) -> String {
    rule.source.rsplit_once(':').map_or(rule.source.as_ref(), |(file, _)| file).to_owned()
}
