//! The picture of `runbookd capacity --plot`: the tenants of the first model, what is expected of them and how many fit.
//! Owns reading the answer's points; the picture is `chart`'s.

use std::path::Path;

use serde_json::Value;

use crate::chart::outlook::{Ahead, Outlook};
use crate::chart::{Chart, Mark, MarkKind, Point};
use crate::domain::Timestamp;
use crate::domain::quantity::Unit;
use crate::domain::rule::Direction;

/// Writes the picture of an answer; the error is for people.
pub(super) fn plot(answer: &Value, file: &Path) -> Result<(), String> {
    let model = &answer["items"][0];
    let outlook = outlook(model).ok_or_else(|| {
        let why = model["no_forecast"]["detail"].as_str().unwrap_or("there is no model");
        format!("there is nothing to plot: {why}")
    })?;
    let png = outlook.draw().map_err(|error| error.to_string())?;
    std::fs::write(file, png).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn outlook(model: &Value) -> Option<Outlook> {
    let forecast = &model["forecast"];
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let past = forecast["past"].as_array()?.iter().filter_map(|point| {
        Some(Point { at: time(&point[0])?, value: point[1].as_f64().unwrap_or(f64::NAN) })
    });
    let points: Vec<Point> = past.collect();
    let ahead = forecast["ahead"].as_array()?.iter().filter_map(|it| {
        let number = |key: &str| it[key].as_f64();
        Some(Ahead {
            at: time(&it["at"])?,
            low: number("low")?,
            value: number("value")?,
            high: number("high")?,
        })
    });
    let ahead: Vec<Ahead> = ahead.collect();
    let (from, to) = (points.first()?.at, ahead.last()?.at);
    let binding = model["binding"].as_str().unwrap_or_default();
    let resources = model["resources"].as_array().into_iter().flatten();
    let date = resources
        .filter(|it| it["resource"] == binding)
        .find_map(|it| time(&it["runs_out"]["expected"]))
        .filter(|date| *date < to);
    let marks =
        date.map(|at| Mark { at, kind: MarkKind::Breach, label: format!("{binding} runs out").into() });
    let chart = Chart {
        title: format!("{} tenants", model["model"].as_str()?).into(),
        unit: Unit::Count,
        points,
        direction: Direction::Above,
        warning: None,
        critical: model["fits"].as_f64(),
        marks: marks.into_iter().collect(),
        from,
        to,
    };
    Some(Outlook { chart, ahead })
}
