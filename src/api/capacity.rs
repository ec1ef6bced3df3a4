//! Capacity over HTTP: what each model needs and has, how many tenants still fit, and until when. Owns the wire names;
//! what is not known is null, with the reason beside it, and never zero.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::capacity::forecast::{Expected, Forecast};
use crate::domain::capacity::growth::Looks;
use crate::domain::capacity::headroom::{Room, Unknown};
use crate::domain::capacity::outlook::{NoForecast, Outlook};
use crate::domain::capacity::{Forecasted, Resource};
use crate::engine::Engine;
use crate::engine::capacity::ModelSeen;

use super::Api;
use super::problem::Problem;

/// How many points ahead a picture shows.
const AHEAD: i64 = 240;

/// The most tenants listed by growth.
const MOST_LISTED: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Whether the past and the forecast are wanted point by point.
    #[serde(default)]
    series: bool,
}

/// All models, and who grows.
#[derive(Debug, Serialize)]
pub(super) struct CapacityView {
    items: Vec<ModelView>,
    growth: Vec<GrowthView>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct ModelView {
    model: String,
    tenants: Option<f64>,
    fits: Option<f64>,
    headroom: Option<f64>,
    /// Tenants of those that fit.
    share: Option<f64>,
    /// The resource that runs out first.
    binding: Option<String>,
    resources: Vec<ResourceView>,
    forecast: Option<ForecastView>,
    no_forecast: Option<ReasonView>,
}

#[derive(Debug, Serialize)]
struct ResourceView {
    resource: String,
    kind: &'static str,
    unit: &'static str,
    base: f64,
    per_tenant: f64,
    required: Option<f64>,
    available: Option<f64>,
    used: Option<f64>,
    fits: Option<f64>,
    headroom: Option<f64>,
    /// Why there is no headroom to speak of.
    unknown: Option<&'static str>,
    runs_out: Option<RunsOutView>,
    no_forecast: Option<ReasonView>,
    /// The forecast of what is used, where that is measured.
    use_forecast: Option<ForecastView>,
}

#[derive(Debug, Serialize)]
struct RunsOutView {
    basis: &'static str,
    earliest: Option<String>,
    expected: Option<String>,
    latest: Option<String>,
    /// `null` beyond the horizon.
    left_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct ReasonView {
    reason: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
struct ForecastView {
    growth_a_day: BandView,
    history_days: f64,
    /// `week` or `day`.
    season: &'static str,
    held_out: AccuracyView,
    #[serde(skip_serializing_if = "Option::is_none")]
    past: Option<Vec<(String, Option<f64>)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<Vec<AheadView>>,
}

#[derive(Debug, Serialize)]
struct BandView {
    low: f64,
    value: f64,
    high: f64,
}

#[derive(Debug, Serialize)]
struct AheadView {
    at: String,
    #[serde(flatten)]
    expected: BandView,
}

/// How wrong the forecast was on the part of the past that it had not seen.
#[derive(Debug, Serialize)]
struct AccuracyView {
    values: usize,
    mae: f64,
    mape: Option<f64>,
    mase: Option<f64>,
    covered: f64,
}

#[derive(Debug, Serialize)]
struct GrowthView {
    metric: String,
    unit: &'static str,
    tenants: Vec<TenantGrowthView>,
}

#[derive(Debug, Serialize)]
struct TenantGrowthView {
    tenant: String,
    value: f64,
    a_day: Option<f64>,
    share: Option<f64>,
    days: f64,
}

pub(super) async fn capacity(
    State(api): State<Api>,
    Query(asked): Query<Asked>,
) -> Result<Json<CapacityView>, Problem> {
    let view = api.core.ask(move |engine| view(engine, clock::now(), asked.series)).await?;
    Ok(Json(view))
}

pub(super) fn view(engine: &Engine, now: Timestamp, series: bool) -> CapacityView {
    let models = engine.plan().rules.resource_requirements.iter().flat_map(|required| &required.models);
    let items = models.filter_map(|model| {
        let seen = engine.model_seen(&model.name, now)?;
        Some(model_view(engine, &seen, now, series))
    });
    CapacityView { items: items.collect(), growth: engine.growth().map(growth).collect(), next: None }
}

fn model_view(engine: &Engine, seen: &ModelSeen<'_>, now: Timestamp, series: bool) -> ModelView {
    let ModelSeen { assessment, outlooks, tenants } = seen;
    let binding = assessment.binding();
    let used = |resource: &Resource| {
        let of = Forecasted::Used(assessment.model.clone(), resource.name.clone());
        engine.forecast(&of, now).ok().map(|forecast| forecast_view(forecast, now, series))
    };
    let resources = assessment.rooms.iter().zip(outlooks).map(|((resource, room), outlook)| {
        let mut view = resource_view(resource, room, *outlook);
        view.use_forecast = used(resource);
        view
    });
    ModelView {
        model: assessment.model.to_string(),
        tenants: assessment.tenants,
        fits: assessment.fits(),
        headroom: binding.and_then(|(_, room)| room.headroom),
        share: assessment.share(),
        binding: binding.map(|(resource, _)| resource.name.to_string()),
        resources: resources.collect(),
        forecast: tenants.ok().map(|forecast| forecast_view(forecast, now, series)),
        no_forecast: tenants.err().map(reason),
    }
}

fn resource_view(resource: &Resource, room: &Room, outlook: Result<Outlook, NoForecast>) -> ResourceView {
    let date = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let runs_out = outlook.ok().map(|outlook| RunsOutView {
        basis: outlook.basis.as_str(),
        earliest: date(outlook.exhaustion.earliest),
        expected: date(outlook.exhaustion.expected),
        latest: date(outlook.exhaustion.latest),
        left_seconds: Some(outlook.left).filter(|left| left.is_finite()),
    });
    ResourceView {
        resource: resource.name.to_string(),
        kind: resource.kind.as_str(),
        unit: resource.unit.as_str(),
        base: resource.need.base,
        per_tenant: resource.need.per_tenant,
        required: room.required,
        available: room.available,
        used: room.used,
        fits: room.fits.filter(|fits| fits.is_finite()),
        headroom: room.headroom.filter(|headroom| headroom.is_finite()),
        unknown: room.unknown.map(Unknown::as_str),
        runs_out,
        no_forecast: outlook.err().map(reason),
        use_forecast: None,
    }
}

fn reason(why: NoForecast) -> ReasonView {
    ReasonView { reason: why.as_str(), detail: why.to_string() }
}

fn band(Expected { low, value, high }: Expected) -> BandView {
    BandView { low, value, high }
}

fn forecast_view(forecast: &Forecast, now: Timestamp, series: bool) -> ForecastView {
    let accuracy = forecast.accuracy;
    let ahead = |step: i64| {
        let at = |index: i64| Timestamp::from_second(now.as_second().saturating_add(index * step)).ok();
        let points = (0..=AHEAD).filter_map(at);
        points.map(|at| AheadView { at: at.to_string(), expected: band(forecast.at(at)) }).collect()
    };
    let past = || {
        let values = forecast.history.values.iter();
        values.map(|(at, value)| (at.to_string(), Some(*value).filter(|it| it.is_finite()))).collect()
    };
    ForecastView {
        growth_a_day: band(forecast.growth_a_day()),
        history_days: forecast.history.days(),
        season: if forecast.trend.period() > 86_400 { "week" } else { "day" },
        held_out: AccuracyView {
            values: accuracy.values,
            mae: accuracy.mae,
            mape: accuracy.mape,
            mase: accuracy.mase,
            covered: accuracy.covered,
        },
        past: series.then(past),
        ahead: series.then(|| ahead(forecast.history.step)),
    }
}

fn growth(looks: &Looks) -> GrowthView {
    let tenants = looks.growth().into_iter().take(MOST_LISTED).map(|it| TenantGrowthView {
        tenant: it.tenant.to_string(),
        value: it.value,
        a_day: it.a_day,
        share: it.share,
        days: it.days,
    });
    GrowthView { metric: looks.metric.to_string(), unit: looks.unit.as_str(), tenants: tenants.collect() }
}
