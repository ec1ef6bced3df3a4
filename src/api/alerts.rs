//! Alerts over HTTP: every one that is pending, fires or is over for a while, those of rules here and those handed in, each
//! with an id by which it is explained.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::alert::{AlertKey, AlertState};
use crate::domain::labels::{Fnv, Labels};
use crate::domain::severity::Severity;
use crate::engine::Engine;

use super::Api;
use super::paging::{Paging, word};
use super::problem::Problem;
use super::view::{Page, object, query};

/// How the list is narrowed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// `pending`, `firing` or `resolved`; all of them where nothing is said.
    state: Option<String>,
    severity: Option<String>,
    /// Only those with this value in any label.
    subject: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

/// An alert.
#[derive(Debug, Serialize)]
pub(super) struct AlertView {
    id: String,
    /// The rule's id; nothing where others evaluate it.
    rule: Option<String>,
    alertname: String,
    labels: serde_json::Map<String, serde_json::Value>,
    state: &'static str,
    severity: Option<&'static str>,
    reason: &'static str,
    /// The last value; nothing where there is none or it is no number.
    value: Option<f64>,
    unit: Option<&'static str>,
    since: Timestamp,
    seen_at: Timestamp,
    incident: Option<String>,
}

/// An alert before it is shown.
struct Found {
    key: AlertKey,
    view: AlertView,
}

pub(super) async fn list(
    State(api): State<Api>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Page<AlertView>>, Problem> {
    let filter = query(filter)?;
    let severity = word(
        &[Severity::Warning, Severity::Critical],
        filter.severity.as_deref(),
        Severity::as_str,
        "severity",
    )?;
    let state =
        word(&["pending", "firing", "resolved"], filter.state.as_deref(), |it| it, "state of an alert")?;
    let paging = Paging::new(filter.limit, filter.after);
    let page = api.core.peek(move |engine| {
        let mut all = all(engine, clock::now());
        all.retain(|found| {
            state.is_none_or(|state| found.view.state == state)
                && severity.is_none_or(|severity| found.view.severity == Some(severity.as_str()))
                && filter.subject.as_deref().is_none_or(|subject| {
                    found.view.labels.values().any(|value| value.as_str() == Some(subject))
                })
        });
        paging.page(all, |found| found.view.id.clone(), |found| found.view)
    });
    Ok(Json(page.await?))
}

/// The key of an alert by its id.
pub(super) fn find(engine: &Engine, id: &str, now: Timestamp) -> Option<AlertKey> {
    all(engine, now).into_iter().find(|found| found.view.id == id).map(|found| found.key)
}

/// Names an alert for as long as its rule and series exist.
pub(super) fn id_of(key: &AlertKey) -> String {
    let mut hash = Fnv::default();
    hash.write(key.rule.as_str().as_bytes());
    hash.write(&[0xff]);
    hash.write(&key.series.fingerprint().to_be_bytes());
    format!("{:016x}", hash.0)
}

fn all(engine: &Engine, now: Timestamp) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (id, series, alert) in engine.alerts() {
        let Some(rule) = engine.rule(id) else { continue };
        let since = match alert.state {
            AlertState::Inactive => continue,
            AlertState::Pending { since, .. } | AlertState::Firing { since, .. } => since,
            AlertState::Resolved { at, .. } => at,
        };
        let key = AlertKey { rule: id.clone(), series: series.clone() };
        let labels =
            Labels::new([("alertname", rule.name.clone())]).with(series.iter()).with(rule.labels.iter());
        let view = AlertView {
            id: id_of(&key),
            rule: Some(id.to_string()),
            alertname: rule.name.to_string(),
            labels: object(&labels),
            state: alert.state.as_str(),
            severity: alert.state.severity().map(Severity::as_str),
            reason: alert.reason.as_str(),
            value: alert.value.filter(|value| value.is_finite()),
            unit: Some(rule.unit.as_str()),
            since,
            seen_at: alert.seen_at,
            incident: engine.holder_of(&key).map(ToString::to_string),
        };
        found.push(Found { key, view });
    }
    let foreign = engine.firing(now).into_iter().filter(|alert| engine.rule(&alert.key.rule).is_none());
    found.extend(foreign.map(|alert| {
        let view = AlertView {
            id: id_of(&alert.key),
            rule: None,
            alertname: alert.labels.get("alertname").unwrap_or_default().to_owned(),
            labels: object(&alert.labels),
            state: "firing",
            severity: alert.severity.map(Severity::as_str),
            reason: "posted",
            value: None,
            unit: None,
            since: alert.since,
            seen_at: alert.updated_at,
            incident: alert.incident.as_ref().map(ToString::to_string),
        };
        Found { key: alert.key, view }
    }));
    found.sort_by(|one, two| one.view.id.cmp(&two.view.id));
    found
}
