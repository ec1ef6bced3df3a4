//! Capacity as a page: need against what there is, which resource binds, until when it lasts, and the forecast with its
//! band as a picture.

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::capacity::{CapacityView, view};
use crate::chart::outlook::{Ahead, Outlook};
use crate::chart::{Chart, Point};
use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::capacity::forecast::Forecast;
use crate::domain::quantity::Unit;
use crate::domain::rule::Direction;
use crate::engine::Engine;

use super::door::Visitor;
use super::frame::{Asked, show};
use super::sorry::Sorry;

/// How many points ahead the picture shows.
const AHEAD: i64 = 240;

/// The most points of the past that are drawn.
const PAST: usize = 1500;

#[derive(Serialize)]
struct Page {
    capacity: CapacityView,
}

pub(super) async fn page(State(api): State<Api>, visitor: Visitor) -> Result<Response, Sorry> {
    let asked = Asked { section: "capacity", template: "capacity.html", visitor };
    show(&api, asked, String::new, |engine, now| Some(Page { capacity: view(engine, now, false) })).await
}

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    model: String,
}

/// The picture of a model's tenants, what is expected of them and how many fit.
pub(super) async fn outlook(
    State(api): State<Api>,
    Query(Wanted { model }): Query<Wanted>,
) -> Result<Response, Sorry> {
    let found = api.core.peek(move |engine| drawn(engine, &model, clock::now())).await?;
    let outlook = found.ok_or_else(|| Sorry::new(StatusCode::NOT_FOUND, "there is no forecast to draw"))?;
    let failed = |error: String| Sorry::new(StatusCode::INTERNAL_SERVER_ERROR, error);
    let png = tokio::task::spawn_blocking(move || outlook.draw())
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    let headers = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, max-age=60")];
    Ok((headers, png).into_response())
}

fn drawn(engine: &Engine, name: &str, now: Timestamp) -> Option<Outlook> {
    let seen = engine.model_seen(name, now)?;
    let forecast: &Forecast = seen.tenants.ok()?;
    let past = &forecast.history.values;
    let points: Vec<Point> = past
        .iter()
        .skip(past.len().saturating_sub(PAST))
        .map(|(at, value)| Point { at: *at, value: *value })
        .collect();
    let instants = (0..=AHEAD).filter_map(|index| {
        Timestamp::from_second(now.as_second().saturating_add(index * forecast.history.step)).ok()
    });
    let ahead: Vec<Ahead> = instants
        .map(|at| {
            let expected = forecast.at(at);
            Ahead { at, low: expected.low, value: expected.value, high: expected.high }
        })
        .collect();
    let chart = Chart {
        title: format!("{name} tenants").into(),
        unit: Unit::Count,
        from: points.first()?.at,
        to: ahead.last()?.at,
        points,
        direction: Direction::Above,
        warning: None,
        critical: seen.assessment.fits(),
        marks: Vec::new(),
    };
    Some(Outlook { chart, ahead })
}
