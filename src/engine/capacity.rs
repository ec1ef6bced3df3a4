//! Capacity in the engine: what was measured lately, the forecasts, and the rounds of time left that an ordinary rule
//! judges. Owns when that is computed; the arithmetic is the domain's.
//!
//! Nothing here is durable: it is asked for anew after a restart, and until then the alerts keep their state, because a
//! series without a value is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::capacity::floor::{Floor, floor_for};
use crate::domain::capacity::forecast::Forecast;
use crate::domain::capacity::growth::{Looks, TENANT};
use crate::domain::capacity::headroom::{Assessment, Measured};
use crate::domain::capacity::outlook::{NoForecast, Outlook, outlook, serving};
use crate::domain::capacity::trend::History;
use crate::domain::capacity::{Available, Forecasted, Model, Resource, ResourceRequirements, TIME_LEFT};
use crate::domain::labels::Labels;
use crate::domain::name::QueryId;
use crate::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};

use super::Engine;

/// How often the time left is computed; forecasts change once an hour, the room once a minute.
const EVERY: Duration = Duration::from_secs(60);

/// How old a measurement may be.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// What the engine knows about capacity.
#[derive(Debug, Default)]
pub(super) struct CapacityState {
    latest: BTreeMap<QueryId, Latest>,
    forecasts: BTreeMap<Forecasted, Result<Forecast, NoForecast>>,
    growth: BTreeMap<Arc<str>, Looks>,
    computed: Option<Timestamp>,
}

/// The last answer to a query about capacity.
#[derive(Debug)]
struct Latest {
    at: Timestamp,
    values: Vec<(Labels, f64)>,
}

/// What is known of one model.
#[derive(Debug)]
pub struct ModelSeen<'e> {
    /// What it needs and has.
    pub assessment: Assessment,
    /// When each resource runs out, in the order of the assessment's rooms.
    pub outlooks: Vec<Result<Outlook, NoForecast>>,
    /// The forecast of its tenants.
    pub tenants: Result<&'e Forecast, NoForecast>,
}

impl Engine {
    /// Keeps the answer where it is about capacity.
    pub(super) fn saw_capacity(&mut self, round: &Round) {
        let Some(required) = &self.plan.rules.resource_requirements else { return };
        let Answer::Series(samples) = &round.answer else { return };
        if !is_read(required, &round.query) {
            return;
        }
        let values = samples.iter().filter_map(|sample| match sample.seen {
            Observation::Value(value) if value.is_finite() => Some((sample.labels.clone(), value)),
            Observation::Value(_)
            | Observation::NotANumber
            | Observation::Stale
            | Observation::Missing
            | Observation::Failed(_) => None,
        });
        let latest = Latest { at: round.at, values: values.collect() };
        self.capacity.latest.insert(round.query.clone(), latest);
    }

    /// A past was asked for. One that could not be had leaves the last forecast in its place.
    pub(super) fn history(&mut self, of: Forecasted, seen: Result<History, QueryFailure>) {
        let fresh = match seen {
            Ok(history) => Forecast::fit(history).map_err(NoForecast::Refused),
            Err(failure) => Err(NoForecast::Failed(failure)),
        };
        let keeps = matches!(fresh, Err(NoForecast::Failed(_)))
            && self.capacity.forecasts.get(&of).is_some_and(Result::is_ok);
        if !keeps {
            self.capacity.forecasts.insert(of, fresh);
        }
        self.capacity.computed = None;
    }

    /// The tenants' values of some weeks were looked at.
    pub(super) fn looked(&mut self, looks: Looks) {
        self.capacity.growth.insert(looks.metric.clone(), looks);
    }

    /// Computes the time left once a minute and has the rules judge it. While blind nothing is judged: what is known is
    /// old.
    pub(super) fn evaluate_capacity(&mut self, now: Timestamp) {
        let plan = self.plan.clone();
        let Some(required) = &plan.rules.resource_requirements else { return };
        let due = self.capacity.computed.is_none_or(|last| last > now || has_passed(last, EVERY, now));
        if !due || self.is_blind() {
            return;
        }
        self.capacity.computed = Some(now);
        for model in &required.models {
            let Some(seen) = self.model_seen(&model.name, now) else { continue };
            let samples =
                seen.assessment.rooms.iter().zip(&seen.outlooks).filter_map(|((it, _), outlook)| {
                    let labels = Labels::new([("model", model.name.clone()), ("resource", it.name.clone())]);
                    let left = outlook.as_ref().ok()?.left;
                    Some(Sample { labels, seen: Observation::Value(left) })
                });
            let answer = Answer::Series(samples.collect());
            let query = QueryId::from(format!("{TIME_LEFT}{}", model.name));
            self.judge(&Round { query, at: now, answer }, now);
        }
    }

    /// Forgets what the plan no longer asks for.
    pub(super) fn keep_capacity(&mut self) {
        let plan = self.plan.clone();
        let Some(required) = &plan.rules.resource_requirements else {
            self.capacity = CapacityState::default();
            return;
        };
        let capacity = &mut self.capacity;
        capacity.latest.retain(|query, _| is_read(required, query));
        capacity.forecasts.retain(|of, _| required.histories.iter().any(|asked| asked.of == *of));
        capacity.growth.retain(|metric, _| required.growth.iter().any(|asked| asked.metric == *metric));
        capacity.computed = None;
    }
}

/// Whether a query is one of those that the models read.
fn is_read(required: &ResourceRequirements, query: &QueryId) -> bool {
    let of_resource = |it: &Resource| {
        it.used.as_ref() == Some(query)
            || matches!(&it.available, Available::Measured(available) if available == query)
    };
    required.tenant_backups.as_ref() == Some(query)
        || required
            .models
            .iter()
            .any(|model| model.tenants.as_ref() == Some(query) || model.resources.iter().any(of_resource))
}

// === what surfaces and scaling read ===

impl Engine {
    /// What is known of a model at `now`.
    pub fn model_seen(&self, name: &str, now: Timestamp) -> Option<ModelSeen<'_>> {
        let required = self.plan.rules.resource_requirements.as_ref()?;
        let model = required.model(name)?;
        let sum = |query: &QueryId| {
            let values = self.lately(query, now)?;
            (!values.is_empty()).then(|| values.iter().map(|(_, value)| value).sum())
        };
        let measured = |resource: &Resource| Measured {
            available: match &resource.available {
                Available::Configured(number) => Some(*number),
                Available::Measured(query) => sum(query),
                Available::Unknown => None,
            },
            used: resource.used.as_ref().and_then(sum),
        };
        let assessment = Assessment::new(model, self.tenants_of(model, now), measured);
        let tenants = match model.tenants {
            Some(_) => self.forecast(&Forecasted::Tenants(model.name.clone()), now),
            None => Err(NoForecast::NotCounted),
        };
        let outlooks = assessment.rooms.iter().map(|(resource, room)| {
            let used = match resource.used {
                Some(_) => self.forecast(&Forecasted::Used(model.name.clone(), resource.name.clone()), now),
                None => Err(NoForecast::NotCounted),
            };
            outlook(resource, room, tenants, used, &required.forecast, now)
        });
        Some(ModelSeen { outlooks: outlooks.collect(), assessment, tenants })
    }

    /// The forecast of something, or why there is none.
    pub fn forecast(&self, of: &Forecasted, now: Timestamp) -> Result<&Forecast, NoForecast> {
        serving(self.capacity.forecasts.get(of), now)
    }

    /// The growth by tenant of every metric that is looked at.
    pub fn growth(&self) -> impl Iterator<Item = &Looks> {
        self.capacity.growth.values()
    }

    /// The values of a query about capacity, by tenant: none where it was not answered lately.
    pub fn by_tenant(&self, query: &QueryId, now: Timestamp) -> BTreeMap<&str, f64> {
        let values = self.lately(query, now).unwrap_or_default();
        values.iter().filter_map(|(labels, value)| Some((labels.get(TENANT)?, *value))).collect()
    }

    /// The least that the tenants of a service need, where a model speaks for it: what scaling in must leave. `None` is
    /// unknown, not zero.
    pub fn capacity_floor(&self, service: &str, now: Timestamp) -> Option<Floor> {
        let required = self.plan.rules.resource_requirements.as_ref()?;
        let targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        let is_alone = targets.map(|target| &target.service).all(|other| **other == *service);
        floor_for(required, service, is_alone, |name| self.tenants_of(required.model(name)?, now))
    }

    /// How many tenants a model has now. An answer without any series is unknown: it may be the exporter that is gone.
    fn tenants_of(&self, model: &Model, now: Timestamp) -> Option<f64> {
        let values = self.lately(model.tenants.as_ref()?, now)?;
        #[expect(clippy::cast_precision_loss, reason = "tenants come in less than 2^52")]
        let count = values.len() as f64;
        (count > 0.0).then_some(count)
    }

    fn lately(&self, query: &QueryId, now: Timestamp) -> Option<&[(Labels, f64)]> {
        let latest = self.capacity.latest.get(query)?;
        (!has_passed(latest.at, FRESH, now)).then_some(&latest.values)
    }
}
