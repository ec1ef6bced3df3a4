//! Tenants over HTTP: who is seen, and for one of them the onboarding list as far as a machine can check it, its alerts,
//! its overrides and what it takes.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::rule::Thresholds;
use crate::domain::tenant::onboarding;
use crate::engine::Engine;

use super::Api;
use super::problem::Problem;
use super::view::Page;

/// The longest id that is looked up, in bytes.
pub(super) const LONGEST: usize = 256;

/// A tenant in the list.
#[derive(Debug, Serialize)]
pub(super) struct TenantLineView {
    tenant: String,
    requests_per_second: Option<f64>,
    firing_alerts: usize,
    overrides: usize,
}

/// One tenant.
#[derive(Debug, Serialize)]
pub(super) struct TenantView {
    tenant: String,
    /// Whether no check says no.
    ok: bool,
    checks: Vec<CheckView>,
    alerts: Vec<TenantAlertView>,
    overrides: Vec<OverrideView>,
    takes: Vec<TakesView>,
}

#[derive(Debug, Serialize)]
struct CheckView {
    check: &'static str,
    words: &'static str,
    verdict: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
struct TenantAlertView {
    rule: String,
    state: &'static str,
    reason: &'static str,
    severity: Option<&'static str>,
    value: Option<f64>,
    unit: &'static str,
    thresholds: Option<ThresholdsView>,
}

#[derive(Debug, Serialize)]
struct ThresholdsView {
    warning: Option<f64>,
    critical: Option<f64>,
}

#[derive(Debug, Serialize)]
struct OverrideView {
    rule: String,
    matching: String,
    unit: &'static str,
    #[serde(flatten)]
    thresholds: ThresholdsView,
    source: String,
}

/// What one tenant takes of a resource.
#[derive(Debug, Serialize)]
struct TakesView {
    resource: String,
    unit: &'static str,
    amount: f64,
}

pub(super) async fn list(State(api): State<Api>) -> Result<Json<Page<TenantLineView>>, Problem> {
    let lines = api.core.ask(|engine| engine.tenants(clock::now())).await?;
    let items = lines.into_iter().map(|(tenant, line)| TenantLineView {
        tenant: tenant.to_string(),
        requests_per_second: line.requests,
        firing_alerts: line.firing,
        overrides: line.overrides,
    });
    Ok(Json(Page { items: items.collect(), next: None }))
}

/// Answers for an id that was never seen, too: before it is set up its list is checked as well.
pub(super) async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<TenantView>, Problem> {
    if id.len() > LONGEST {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the id is too long"));
    }
    let view = api.core.ask(move |engine| view(engine, &id, clock::now())).await?;
    Ok(Json(view))
}

pub(super) fn view(engine: &Engine, id: &str, now: Timestamp) -> TenantView {
    let checks = onboarding(&engine.tenant_facts(id, now));
    let ok = checks.iter().all(|check| check.verdict != crate::domain::tenant::Verdict::No);
    let checks = checks.into_iter().map(|check| CheckView {
        check: check.kind.as_str(),
        words: check.kind.words(),
        verdict: check.verdict.as_str(),
        detail: check.detail,
    });
    let alerts = engine.tenant_alerts(id).map(|(rule, series, alert)| TenantAlertView {
        rule: rule.id.to_string(),
        state: alert.state.as_str(),
        reason: alert.reason.as_str(),
        severity: alert.state.severity().map(crate::domain::severity::Severity::as_str),
        value: alert.value.filter(|value| value.is_finite()),
        unit: rule.unit.as_str(),
        thresholds: rule.thresholds_for(series).map(thresholds),
    });
    let overrides = engine.tenant_overrides(id).map(|(rule, one)| OverrideView {
        rule: rule.id.to_string(),
        matching: one.matching.to_string(),
        unit: rule.unit.as_str(),
        thresholds: thresholds(one.thresholds),
        source: rule.source.to_string(),
    });
    let takes = engine.tenant_needs().map(|resource| TakesView {
        resource: resource.name.to_string(),
        unit: resource.unit.as_str(),
        amount: resource.need.per_tenant,
    });
    TenantView {
        tenant: id.to_owned(),
        ok,
        checks: checks.collect(),
        alerts: alerts.collect(),
        overrides: overrides.collect(),
        takes: takes.collect(),
    }
}

fn thresholds(of: Thresholds) -> ThresholdsView {
    ThresholdsView {
        warning: of.warning.map(|threshold| threshold.value),
        critical: of.critical.map(|threshold| threshold.value),
    }
}
