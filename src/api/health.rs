//! Health: alive, ready, and the daemon's own metrics.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::core::clock;
use crate::domain::incident::IncidentState;
use crate::domain::severity::Severity;
use crate::engine::Engine;
use crate::telemetry::metrics::{
    AlertLabels, CONTENT_TYPE, Metrics, ModelLabels, ResourceLabels, StateLabels,
};

use super::Api;
use super::problem::Problem;

/// Alive: the core takes its turn. A daemon that cannot reach Prometheus is alive; restarting it would mend nothing.
pub(super) async fn healthz(State(api): State<Api>) -> Result<&'static str, Problem> {
    api.core.ask(|_| ()).await?;
    Ok("ok\n")
}

/// Ready: the core answers and is not stopping.
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    if api.is_stopping() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping"));
    }
    api.core.ask(|_| ()).await?;
    Ok("ready\n")
}

pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let metrics = api.metrics.clone();
    api.core.ask(move |engine| gauge(engine, &metrics)).await?;
    let text = api.metrics.encode().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics cannot be written: {error}"))
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Brings the gauges of the engine's state up to date; every combination is always there, as a zero is news too.
fn gauge(engine: &Engine, metrics: &Metrics) {
    let mut alerts = std::collections::BTreeMap::new();
    for state in ["pending", "firing", "resolved"] {
        for severity in [Severity::Warning, Severity::Critical] {
            alerts.insert((state, severity.as_str()), 0);
        }
    }
    for (_, _, alert) in engine.alerts() {
        if let Some(severity) = alert.state.severity() {
            *alerts.entry((alert.state.as_str(), severity.as_str())).or_insert(0) += 1;
        }
    }
    for ((state, severity), count) in alerts {
        metrics.alerts.get_or_create(&AlertLabels { state, severity }).set(count);
    }
    for state in IncidentState::ALL {
        let count = engine.incidents().filter(|incident| incident.state == state).count();
        let labels = StateLabels { state: state.as_str() };
        metrics.incidents.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let waiting = engine.outbox().count();
    metrics.outbox_messages.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    metrics.blind.set(i64::from(engine.is_blind()));
    gauge_capacity(engine, metrics);
}

/// What is not known has no series: it is not zero.
fn gauge_capacity(engine: &Engine, metrics: &Metrics) {
    metrics.capacity_tenants.clear();
    metrics.capacity_headroom.clear();
    metrics.capacity_runs_out.clear();
    metrics.capacity_forecast_error.clear();
    let now = clock::now();
    let models = engine.plan().rules.resource_requirements.iter().flat_map(|required| &required.models);
    for seen in models.filter_map(|model| engine.model_seen(&model.name, now)) {
        let model = || seen.assessment.model.to_string();
        if let Some(tenants) = seen.assessment.tenants {
            metrics.capacity_tenants.get_or_create(&ModelLabels { model: model() }).set(tenants);
        }
        if let Some(mape) = seen.tenants.ok().and_then(|forecast| forecast.accuracy.mape) {
            metrics.capacity_forecast_error.get_or_create(&ModelLabels { model: model() }).set(mape);
        }
        for ((resource, room), outlook) in seen.assessment.rooms.iter().zip(&seen.outlooks) {
            let labels = ResourceLabels { model: model(), resource: resource.name.to_string() };
            if let Some(headroom) = room.headroom {
                metrics.capacity_headroom.get_or_create(&labels).set(headroom);
            }
            if let Some(at) = outlook.ok().and_then(|outlook| outlook.exhaustion.expected) {
                #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact in a double")]
                metrics.capacity_runs_out.get_or_create(&labels).set(at.as_second() as f64);
            }
        }
    }
}
