//! Alerts in Prometheus' form: those of rules here that are pending or fire. What others hand in stands in
//! Alertmanager's API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::domain::alert::{Alert, AlertState};
use crate::domain::labels::Labels;
use crate::domain::rule::{Rule, SummaryTemplate};
use crate::domain::severity::Severity;

use super::{Api, Failure, Success, number, success, time};

/// An alert.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertView {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<&'static str, String>,
    state: &'static str,
    active_at: String,
    value: String,
}

/// The alerts.
#[derive(Debug, Serialize)]
pub(super) struct AlertsView {
    alerts: Vec<AlertView>,
}

pub(super) async fn list(State(api): State<Api>) -> Result<Json<Success<AlertsView>>, Failure> {
    let found = api.core.peek(|engine| {
        let all = engine.alerts();
        let alerts =
            all.filter_map(|(rule, series, alert)| AlertView::new(engine.rule(rule)?, series, alert));
        AlertsView { alerts: alerts.collect() }
    });
    Ok(success(found.await?))
}

impl AlertView {
    /// The alert as it is shown, while it is pending or fires.
    pub(super) fn new(rule: &Rule, series: &Labels, alert: &Alert) -> Option<Self> {
        let (AlertState::Pending { severity, since } | AlertState::Firing { severity, since }) = alert.state
        else {
            return None;
        };
        let labels = labels_of(rule, series, severity);
        let value = alert.value.unwrap_or(f64::NAN);
        let threshold = rule
            .thresholds_for(series)
            .and_then(|thresholds| thresholds.of(severity))
            .map(|threshold| threshold.value);
        let fill = |template: &SummaryTemplate| template.fill(&labels, rule.unit, value, threshold);
        Some(Self {
            annotations: annotations(rule, fill),
            labels: labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            state: alert.state.as_str(),
            active_at: time(alert.breaching_since().unwrap_or(since)),
            value: number(value),
        })
    }
}

/// The labels of an alert: its series', the rule's own, `alertname`, and `severity` where the rule has none.
fn labels_of(rule: &Rule, series: &Labels, severity: Severity) -> Labels {
    let named = [("alertname", rule.name.clone())];
    let labels = Labels::new(named).with(series.iter()).with(rule.labels.iter());
    if labels.get("severity").is_some() { labels } else { labels.with([("severity", severity.as_str())]) }
}

/// What is said about a rule's alerts, by name.
pub(super) fn annotations(
    rule: &Rule,
    write: impl Fn(&SummaryTemplate) -> String,
) -> BTreeMap<&'static str, String> {
    let said = [
        ("summary", rule.summary.as_ref().map(&write)),
        ("description", rule.impact.as_ref().map(&write)),
        ("runbook_url", rule.runbook_url.as_ref().map(|url: &Arc<str>| url.to_string())),
    ];
    said.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}
