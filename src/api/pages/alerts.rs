//! The alerts that fire or are about to, page by page, the worst first.

use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertKey, AlertState};
use crate::domain::labels::Labels;
use crate::domain::name::RuleId;
use crate::engine::Engine;

use super::door::Visitor;
use super::frame::{Asked, show};
use super::sorry::Sorry;

/// How many alerts a page of the list shows.
const PAGE: usize = 100;

/// A firing or pending alert in one line.
#[derive(Serialize)]
pub(super) struct FiringView {
    rule: String,
    /// Names the series in the address of its explanation.
    series: String,
    name: String,
    labels: Vec<(String, String)>,
    state: &'static str,
    severity: &'static str,
    value: Option<f64>,
    unit: &'static str,
    threshold: Option<f64>,
    since: Option<Timestamp>,
    reason: &'static str,
    /// Why nobody is told, where that is so.
    held: Option<String>,
}

/// The mark of a series: what an address calls it.
pub(super) fn mark(labels: &Labels) -> String {
    format!("{:016x}", labels.fingerprint())
}

/// Some of the alerts that fire, the worst and oldest first, and how many there are.
pub(super) fn firing(engine: &Engine, now: Timestamp, skip: usize, take: usize) -> (Vec<FiringView>, usize) {
    some(engine, now, AlertState::is_firing, skip, take)
}

fn some(
    engine: &Engine,
    now: Timestamp,
    fits: impl Fn(AlertState) -> bool,
    skip: usize,
    take: usize,
) -> (Vec<FiringView>, usize) {
    let mut found: Vec<_> = engine.alerts().filter(|(_, _, alert)| fits(alert.state)).collect();
    found.sort_by_key(|(rule, labels, alert)| {
        (!alert.state.is_firing(), std::cmp::Reverse(alert.state.severity()), since(alert), *rule, *labels)
    });
    let total = found.len();
    let shown = found.into_iter().skip(skip).take(take);
    (
        shown.filter_map(|(rule, labels, alert)| FiringView::new(engine, rule, labels, alert, now)).collect(),
        total,
    )
}

fn since(alert: &Alert) -> Option<Timestamp> {
    match alert.state {
        AlertState::Inactive => None,
        AlertState::Pending { since, .. } | AlertState::Firing { since, .. } => Some(since),
        AlertState::Resolved { at, .. } => Some(at),
    }
}

impl FiringView {
    fn new(engine: &Engine, id: &RuleId, labels: &Labels, alert: &Alert, now: Timestamp) -> Option<Self> {
        let rule = engine.rule(id)?;
        let severity = alert.state.severity()?;
        let limits = rule.thresholds_for(labels);
        let key = AlertKey { rule: id.clone(), series: labels.clone() };
        Some(Self {
            rule: id.to_string(),
            series: mark(labels),
            name: rule.name.to_string(),
            labels: labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            state: alert.state.as_str(),
            severity: severity.as_str(),
            value: alert.value.filter(|value| !value.is_nan()),
            unit: rule.unit.as_str(),
            threshold: limits.and_then(|it| it.of(severity)).map(|it| it.value),
            since: since(alert),
            reason: alert.reason.as_str(),
            held: engine.alert_suppressed(&key, labels, now).map(|why| why.to_string()),
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Narrowed {
    /// `firing`, `pending`, or both where nothing is said.
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: usize,
}

#[derive(Serialize)]
struct List {
    alerts: Vec<FiringView>,
    total: usize,
    first: usize,
    state: String,
    page: usize,
    last: usize,
}

pub(super) async fn list(
    State(api): State<Api>,
    visitor: Visitor,
    Query(narrowed): Query<Narrowed>,
) -> Result<Response, Sorry> {
    let asked = Asked { section: "alerts", template: "alerts.html", visitor };
    let question = move |engine: &Engine, now| {
        let Narrowed { state, page } = narrowed;
        let fits = |it: AlertState| match state.as_str() {
            "firing" => it.is_firing(),
            "pending" => matches!(it, AlertState::Pending { .. }),
            _ => it.is_firing() || matches!(it, AlertState::Pending { .. }),
        };
        let first = page.saturating_mul(PAGE);
        let (alerts, total) = some(engine, now, fits, first, PAGE);
        Some(List { alerts, total, first, state, page, last: total.saturating_sub(1) / PAGE })
    };
    show(&api, asked, String::new, question).await
}
