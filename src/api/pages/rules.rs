//! The rules: the worst value now beside its thresholds, what fires, what failed last, and, above all of it, why a
//! reload was refused.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertReason, AlertState};
use crate::domain::labels::Labels;
use crate::domain::name::RuleId;
use crate::domain::rule::{Condition, Direction, Rule};
use crate::domain::severity::Severity;
use crate::engine::Engine;

use super::alerts::mark;
use super::door::Visitor;
use super::frame::{Asked, show};
use super::sorry::Sorry;

/// How many rules a page shows.
const PAGE: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Narrowed {
    /// `firing`, `pending`, `held` (no data, a failed query) or `fine`.
    #[serde(default)]
    state: String,
    /// A part of the name, the id or the file.
    #[serde(default)]
    q: String,
    #[serde(default)]
    page: usize,
}

#[derive(Serialize)]
struct List {
    rules: Vec<RuleView>,
    total: usize,
    first: usize,
    page: usize,
    last: usize,
    state: String,
    q: String,
}

#[derive(Serialize)]
struct RuleView {
    id: String,
    name: String,
    unit: &'static str,
    below: bool,
    warning: Option<LimitView>,
    critical: Option<LimitView>,
    clear: Option<f64>,
    /// The expression itself compares, as in a Prometheus rule file.
    compares_itself: bool,
    overrides: usize,
    series: usize,
    worst: Option<f64>,
    worst_of: Option<String>,
    /// Names the worst series in the address of its explanation.
    worst_mark: Option<String>,
    critical_firing: usize,
    warning_firing: usize,
    pending: usize,
    /// Why the state of some series is held or was judged without a value, and of how many.
    held: Option<(&'static str, usize)>,
    seen_at: Option<Timestamp>,
    source: String,
    query: Option<String>,
}

#[derive(Serialize)]
struct LimitView {
    value: f64,
    hold: String,
}

/// What the series of one rule add up to.
#[derive(Default)]
struct Sum<'a> {
    series: usize,
    worst: Option<(f64, &'a Labels)>,
    critical: usize,
    warning: usize,
    pending: usize,
    held: BTreeMap<AlertReason, usize>,
    seen_at: Option<Timestamp>,
}

impl<'a> Sum<'a> {
    fn add(&mut self, direction: Direction, labels: &'a Labels, alert: &Alert) {
        self.series += 1;
        if let Some(value) = alert.value.filter(|value| !value.is_nan()) {
            let worse = self.worst.is_none_or(|(known, _)| direction.is_beyond(value, known));
            if worse {
                self.worst = Some((value, labels));
            }
        }
        match alert.state {
            AlertState::Firing { severity: Severity::Critical, .. } => self.critical += 1,
            AlertState::Firing { severity: Severity::Warning, .. } => self.warning += 1,
            AlertState::Pending { .. } => self.pending += 1,
            AlertState::Inactive | AlertState::Resolved { .. } => {}
        }
        if is_held(alert.reason) {
            *self.held.entry(alert.reason).or_default() += 1;
        }
        self.seen_at = self.seen_at.max(Some(alert.seen_at));
    }
}

/// Whether there was no value to judge.
fn is_held(reason: AlertReason) -> bool {
    use AlertReason::{
        BeyondThreshold, Cleared, HoldNotOver, KeptFiring, NoDataFired, NoDataHeld, NoDataResolved,
        NotANumberHeld, NotYetClear, QueryFailedFired, QueryFailedHeld, RuleRemoved, StaleHeld,
        WithinThresholds,
    };
    match reason {
        NoDataHeld | NotANumberHeld | StaleHeld | NoDataResolved | NoDataFired | QueryFailedHeld
        | QueryFailedFired => true,
        WithinThresholds | HoldNotOver | BeyondThreshold | NotYetClear | KeptFiring | Cleared
        | RuleRemoved => false,
    }
}

pub(super) async fn page(
    State(api): State<Api>,
    visitor: Visitor,
    Query(narrowed): Query<Narrowed>,
) -> Result<Response, Sorry> {
    let asked = Asked { section: "rules", template: "rules.html", visitor };
    show(&api, asked, String::new, move |engine, _| Some(view(engine, narrowed))).await
}

fn view(engine: &Engine, narrowed: Narrowed) -> List {
    let Narrowed { state, q, page } = narrowed;
    let mut sums: BTreeMap<&RuleId, Sum<'_>> = BTreeMap::new();
    for (id, labels, alert) in engine.alerts() {
        let Some(rule) = engine.rule(id) else { continue };
        sums.entry(id).or_default().add(direction(rule), labels, alert);
    }
    let sought = q.trim().to_lowercase();
    let none = Sum::default();
    let mut found: Vec<(&Rule, &Sum<'_>)> = engine
        .plan()
        .rules
        .rules
        .values()
        .map(|rule| (rule.as_ref(), sums.get(&rule.id).unwrap_or(&none)))
        .filter(|(rule, _)| {
            [rule.id.as_str(), &rule.name, &rule.source].iter().any(|it| it.to_lowercase().contains(&sought))
        })
        .filter(|(_, sum)| match state.as_str() {
            "firing" => sum.critical + sum.warning > 0,
            "pending" => sum.pending > 0,
            "held" => !sum.held.is_empty() || sum.series == 0,
            "fine" => sum.critical + sum.warning + sum.pending == 0 && sum.held.is_empty() && sum.series > 0,
            _ => true,
        })
        .collect();
    found.sort_by_key(|(rule, sum)| {
        let rank = (sum.critical == 0, sum.warning == 0, sum.pending == 0, sum.held.is_empty());
        (rank, &rule.id)
    });
    let (total, first) = (found.len(), page.saturating_mul(PAGE));
    let shown = found.into_iter().skip(first).take(PAGE);
    let rules = shown.map(|(rule, sum)| RuleView::new(engine, rule, sum)).collect();
    List { rules, total, first, page, last: total.saturating_sub(1) / PAGE, state, q }
}

fn direction(rule: &Rule) -> Direction {
    match rule.condition {
        Condition::Threshold(limits) => limits.direction,
        Condition::Presence { .. } => Direction::Above,
    }
}

impl RuleView {
    fn new(engine: &Engine, rule: &Rule, sum: &Sum<'_>) -> Self {
        let limits = match rule.condition {
            Condition::Threshold(limits) => Some(limits),
            Condition::Presence { .. } => None,
        };
        let limit = |severity| {
            let limit = limits.and_then(|limits| limits.of(severity))?;
            let hold = crate::domain::quantity::show_duration(limit.hold);
            Some(LimitView {
                value: limit.value,
                hold: if limit.hold.is_zero() { String::new() } else { hold },
            })
        };
        let worst_of = sum.worst.map(|(_, labels)| labels);
        let query = engine.plan().rules.queries.get(&rule.query);
        Self {
            id: rule.id.to_string(),
            name: rule.name.to_string(),
            unit: rule.unit.as_str(),
            below: direction(rule) == Direction::Below,
            warning: limit(Severity::Warning),
            critical: limit(Severity::Critical),
            clear: limits.map(|limits| limits.clear),
            compares_itself: limits.is_none(),
            overrides: rule.overrides.len(),
            series: sum.series,
            worst: sum.worst.map(|(value, _)| value),
            worst_of: worst_of.map(|labels| rule.group_by.subject(labels).to_string()),
            worst_mark: worst_of.map(mark),
            critical_firing: sum.critical,
            warning_firing: sum.warning,
            pending: sum.pending,
            held: sum.held.iter().max_by_key(|(_, count)| **count).map(|(why, count)| (why.as_str(), *count)),
            seen_at: sum.seen_at,
            source: rule.source.to_string(),
            query: query.map(|query| query.expr.to_string()),
        }
    }
}
