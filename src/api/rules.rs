//! Rules over HTTP: what is evaluated, by which thresholds, and how its alerts stand.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::name::RuleId;
use crate::domain::rule::{Condition, Direction, Rule};
use crate::domain::severity::Severity;
use crate::engine::Engine;

use super::Api;
use super::paging::{Paging, word};
use super::problem::Problem;
use super::view::{Page, query};

/// How the list is narrowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Only rules with an alert in this state: `pending`, `firing` or `resolved`.
    state: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

/// A rule.
#[derive(Debug, Serialize)]
pub(super) struct RuleView {
    id: String,
    alertname: String,
    query: String,
    interval_seconds: f64,
    unit: &'static str,
    /// `above` or `below`; nothing where the expression compares by itself.
    direction: Option<&'static str>,
    thresholds: Vec<ThresholdView>,
    clear: Option<f64>,
    keep_firing_for_seconds: f64,
    incident_type: String,
    source: String,
    evaluated_at: Option<Timestamp>,
    series: usize,
    alerts: CountsView,
}

/// Where a severity begins, and how long it has to last.
#[derive(Debug, Serialize)]
struct ThresholdView {
    severity: &'static str,
    value: Option<f64>,
    for_seconds: f64,
}

/// How many alerts are in which state.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct CountsView {
    pending: usize,
    firing: usize,
    resolved: usize,
}

pub(super) async fn list(
    State(api): State<Api>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page<RuleView>>, Problem> {
    let filter = query(filter)?;
    let state =
        word(&["pending", "firing", "resolved"], filter.state.as_deref(), |it| it, "state of an alert")?;
    let paging = Paging::new(filter.limit, filter.after);
    let page = api.core.peek(move |engine| {
        let counts = counts(engine);
        let count = |rule: &Rule| counts.get(&rule.id).copied().unwrap_or_default();
        let has = |rule: &Rule| {
            let (_, alerts) = count(rule);
            match state {
                Some("pending") => alerts.pending > 0,
                Some("firing") => alerts.firing > 0,
                Some(_) => alerts.resolved > 0,
                None => true,
            }
        };
        let rules = engine.plan().rules.rules.values().filter(|rule| has(rule)).collect();
        paging.page(rules, |rule| rule.id.to_string(), |rule| RuleView::new(engine, rule, count(rule)))
    });
    Ok(Json(page.await?))
}

/// How many series each rule has, and how many alerts in which state.
fn counts(engine: &Engine) -> BTreeMap<RuleId, (usize, CountsView)> {
    let mut counts: BTreeMap<RuleId, (usize, CountsView)> = BTreeMap::new();
    for (rule, _, alert) in engine.alerts() {
        let (series, counted) = counts.entry(rule.clone()).or_default();
        *series += 1;
        match alert.state.as_str() {
            "pending" => counted.pending += 1,
            "firing" => counted.firing += 1,
            "resolved" => counted.resolved += 1,
            _ => {}
        }
    }
    counts
}

impl RuleView {
    fn new(engine: &Engine, rule: &Rule, (series, alerts): (usize, CountsView)) -> Self {
        let query = engine.plan().rules.queries.get(&rule.query);
        let threshold = |severity: Severity, value, hold: std::time::Duration| ThresholdView {
            severity: severity.as_str(),
            value,
            for_seconds: hold.as_secs_f64(),
        };
        let (direction, clear, thresholds) = match &rule.condition {
            Condition::Presence { severity, hold } => (None, None, vec![threshold(*severity, None, *hold)]),
            Condition::Threshold(limits) => {
                let of = |severity| {
                    limits.of(severity).map(|limit| threshold(severity, Some(limit.value), limit.hold))
                };
                let direction = match limits.direction {
                    Direction::Above => "above",
                    Direction::Below => "below",
                };
                let all = [Severity::Warning, Severity::Critical].into_iter().filter_map(of).collect();
                (Some(direction), Some(limits.clear), all)
            }
        };
        Self {
            id: rule.id.to_string(),
            alertname: rule.name.to_string(),
            query: query.map_or_else(String::new, |query| query.expr.to_string()),
            interval_seconds: query.map_or(0.0, |query| query.interval.as_secs_f64()),
            unit: rule.unit.as_str(),
            direction,
            thresholds,
            clear,
            keep_firing_for_seconds: rule.keep_firing_for.as_secs_f64(),
            incident_type: rule.incident_type.to_string(),
            source: rule.source.to_string(),
            evaluated_at: engine.evaluated_at(&rule.id),
            series,
            alerts,
        }
    }
}
