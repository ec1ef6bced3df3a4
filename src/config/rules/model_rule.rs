//! The rule that warns before a model's capacity runs out: an ordinary rule over the time left, which the engine
//! computes from its forecasts. Owns its id, thresholds and words.

use std::sync::Arc;
use std::time::Duration;

use super::monitoring::{DEFAULT_INCIDENT_TYPE, NO_DATA_AFTER};
use super::{Reader, put};
use crate::config::tree::Span;
use crate::domain::capacity::{Forecasting, Model, TIME_LEFT};
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentTypeName, QueryId, RuleId};
use crate::domain::quantity::Unit;
use crate::domain::rule::{
    Condition, Direction, GroupBy, OnError, OnNoData, Piece, Rule, RuleSet, SummaryTemplate, Threshold,
    Thresholds,
};

/// How long the date must stay near: a forecast is made anew every hour, the room is looked at every minute.
const HOLD: Duration = Duration::from_secs(10 * 60);

/// What the warning is besides its thresholds.
#[derive(Default)]
pub(super) struct Warning {
    pub(super) incident_type: Option<IncidentTypeName>,
}

/// Adds the rule of a model.
pub(super) fn add(
    reader: &Reader<'_>,
    span: Span,
    model: &Model,
    forecast: &Forecasting,
    warning: &Warning,
    set: &mut RuleSet,
) {
    let threshold = |within: Duration| Some(Threshold { value: within.as_secs_f64(), hold: HOLD });
    let label = |name: &str| Piece::Label(name.into());
    let text = |text: &str| Piece::Text(text.into());
    let summary = vec![
        label("resource"),
        text(" of "),
        label("model"),
        text(" runs out in "),
        Piece::Value,
        text(" as tenants grow"),
    ];
    let words = "no room for more tenants then; `runbookd capacity` shows the date with its interval";
    let impact = vec![text(words)];
    let id = RuleId::from(format!("capacity/{}", model.name));
    let warn = forecast.warn_within.as_secs_f64();
    let rule = Rule {
        id: id.clone(),
        name: "capacity_left".into(),
        query: time_left(&model.name),
        unit: Unit::Seconds,
        condition: Condition::Threshold(Thresholds {
            direction: Direction::Below,
            warning: threshold(forecast.warn_within),
            critical: threshold(forecast.critical_within),
            // A date moves a little with every forecast: an alert ends when it is clearly further away.
            clear: warn * 1.1,
        }),
        overrides: Vec::new(),
        keep_firing_for: Duration::ZERO,
        on_no_data: OnNoData::Keep,
        no_data_after: NO_DATA_AFTER,
        on_error: OnError::Keep,
        incident_type: (warning.incident_type.clone())
            .unwrap_or_else(|| IncidentTypeName::from(DEFAULT_INCIDENT_TYPE)),
        response: None,
        group_by: GroupBy::Labels(vec!["model".into()]),
        labels: Labels::empty(),
        summary: Some(SummaryTemplate(summary)),
        impact: Some(SummaryTemplate(impact)),
        runbook_url: None,
        mute_time_intervals: Vec::new(),
        active_time_intervals: Vec::new(),
        source: reader.walk.source_of(span),
    };
    put(set, id, rule);
}

/// The id of a model's rounds of time left. Nobody is asked for it: the engine makes them.
fn time_left(model: &Arc<str>) -> QueryId {
    QueryId::from(format!("{TIME_LEFT}{model}"))
}
