//! Health: alive, ready, and the daemon's own metrics.

use std::sync::{Mutex, PoisonError};

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
    let capacity = api
        .core
        .peek(move |engine| {
            gauge(engine, &metrics);
            CapacityGauges::of(engine)
        })
        .await?;
    let text = capacity.encode(&api.metrics).map_err(|error| {
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
}

/// What is known of capacity. What is not known has no series: it is not zero.
#[derive(Default)]
struct CapacityGauges {
    tenants: Vec<(ModelLabels, f64)>,
    errors: Vec<(ModelLabels, f64)>,
    headroom: Vec<(ResourceLabels, f64)>,
    runs_out: Vec<(ResourceLabels, f64)>,
}

impl CapacityGauges {
    fn of(engine: &Engine) -> Self {
        let mut gauges = Self::default();
        let now = clock::now();
        let models = engine.plan().rules.resource_requirements.iter().flat_map(|required| &required.models);
        for seen in models.filter_map(|model| engine.model_seen(&model.name, now)) {
            let model = || seen.assessment.model.to_string();
            let error = seen.tenants.ok().and_then(|forecast| forecast.accuracy.mape);
            gauges.tenants.extend(seen.assessment.tenants.map(|it| (ModelLabels { model: model() }, it)));
            gauges.errors.extend(error.map(|it| (ModelLabels { model: model() }, it)));
            for ((resource, room), outlook) in seen.assessment.rooms.iter().zip(&seen.outlooks) {
                let labels = || ResourceLabels { model: model(), resource: resource.name.to_string() };
                let date = outlook.ok().and_then(|outlook| outlook.exhaustion.expected);
                #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact in a double")]
                gauges.runs_out.extend(date.map(|at| (labels(), at.as_second() as f64)));
                gauges.headroom.extend(room.headroom.map(|it| (labels(), it)));
            }
        }
        gauges
    }

    /// All metrics, with these among them: one scrape at a time, so that none sees the gauges of another half-filled.
    fn encode(self, metrics: &Metrics) -> Result<String, std::fmt::Error> {
        static SCRAPE: Mutex<()> = Mutex::new(());
        let _turn = SCRAPE.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.capacity_tenants.clear();
        metrics.capacity_forecast_error.clear();
        metrics.capacity_headroom.clear();
        metrics.capacity_runs_out.clear();
        for (labels, tenants) in &self.tenants {
            metrics.capacity_tenants.get_or_create(labels).set(*tenants);
        }
        for (labels, error) in &self.errors {
            metrics.capacity_forecast_error.get_or_create(labels).set(*error);
        }
        for (labels, headroom) in &self.headroom {
            metrics.capacity_headroom.get_or_create(labels).set(*headroom);
        }
        for (labels, at) in &self.runs_out {
            metrics.capacity_runs_out.get_or_create(labels).set(*at);
        }
        metrics.encode()
    }
}
