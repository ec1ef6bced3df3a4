//! A source of metrics whose values a test sets: one number for each metric and service. Owns the wire form; a query is
//! the metric's name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::any;
use world::loopback::{ANY_PORT, Loopback};

/// What the daemon asks for, in the order of a service's values.
const METRICS: [&str; 3] = ["cpu", "memory", "latency"];

#[derive(Default)]
struct Values {
    services: BTreeMap<String, [f64; 3]>,
    healthy: bool,
}

/// A running source.
pub(crate) struct Source {
    values: Arc<Mutex<Values>>,
    door: Loopback,
}

impl Source {
    /// Starts on a free port, knowing of no service.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let values = Arc::<Mutex<Values>>::default();
        let router = Router::new().fallback(any(answer)).with_state(values.clone());
        Ok(Self { values, door: Loopback::start(ANY_PORT, router).await? })
    }

    /// The URL of its root.
    pub(crate) fn url(&self) -> String {
        self.door.url()
    }

    /// From now on the service has these values: CPU and memory as shares, the response time in seconds.
    pub(crate) fn set(&self, service: &str, values: [f64; 3]) {
        lock(&self.values).services.insert(service.to_owned(), values);
    }

    /// From now on all services have these values, all at once.
    pub(crate) fn set_all(&self, values: [f64; 3]) {
        lock(&self.values).services.values_mut().for_each(|value| *value = values);
    }

    /// What the health check answers from now on; not healthy at first.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        lock(&self.values).healthy = healthy;
    }
}

async fn answer(State(values): State<Arc<Mutex<Values>>>, form: String) -> impl IntoResponse {
    let field = |name: &str| form.split('&').find_map(|field| field.strip_prefix(name)).unwrap_or_default();
    let (time, query) = (field("time="), field("query="));
    let at = METRICS.iter().position(|metric| query == *metric);
    let values = lock(&values);
    let mut series: Vec<String> = values
        .services
        .iter()
        .filter_map(|(service, values)| {
            let value = values.get(at?)?;
            Some(format!(
                r#"{{"metric":{{"namespace":"shop","service":"{service}"}},"value":[{time},"{value}"]}}"#
            ))
        })
        .collect();
    if query == "health" {
        series.push(format!(r#"{{"metric":{{}},"value":[{time},"{}"]}}"#, u8::from(values.healthy)));
    }
    let series = series.join(",");
    let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#);
    ([(CONTENT_TYPE, "application/json")], body)
}

fn lock(values: &Mutex<Values>) -> MutexGuard<'_, Values> {
    values.lock().unwrap_or_else(PoisonError::into_inner)
}
