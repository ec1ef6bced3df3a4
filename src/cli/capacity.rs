//! `runbookd capacity`: how many tenants still fit, which resource binds, and until when. Asks the daemon and decides
//! nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::domain::quantity::Unit;

use super::ask::AskArgs;
use super::check::Output;
use super::plot::plot;
use super::table::table;

/// What `runbookd capacity` is told.
#[derive(Debug, Clone, Args)]
pub struct CapacityArgs {
    /// Which daemon is asked.
    #[command(flatten)]
    pub ask: AskArgs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Draw the tenants of the first model, their forecast and how many fit, as a PNG.
    #[arg(long, value_name = "FILE.png")]
    pub plot: Option<PathBuf>,
}

/// Asks and prints. The answer is the exit code: 0 fine, 1 where more tenants are there than fit or
/// there is nothing to plot, 3 where the daemon
/// could not be asked.
pub fn run(args: &CapacityArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let query: &[(&str, &str)] = if args.plot.is_some() { &[("series", "true")] } else { &[] };
    let answer = match args.ask.get(&["capacity"], query) {
        Ok(answer) => answer,
        Err(why) => {
            // Nobody reads where nothing can be written.
            let _ = writeln!(err, "could not ask the daemon: {why}");
            return 3;
        }
    };
    let plotted = args.plot.as_ref().map_or(Ok(()), |file| plot(&answer, file));
    if let Err(why) = &plotted {
        let _ = writeln!(err, "{why}");
    }
    let written = match args.output {
        Output::Human => human(&answer, out),
        Output::Json => serde_json::to_writer_pretty(&mut *out, &answer)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    let is_over = items(&answer["items"]).any(|model| model["headroom"].as_f64().is_some_and(|it| it < 0.0));
    match written {
        Err(_) => 3,
        Ok(()) => u8::from(is_over || plotted.is_err()),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn human(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let mut first = true;
    for model in items(&answer["items"]) {
        if !std::mem::take(&mut first) {
            writeln!(out)?;
        }
        model_table(model, out)?;
    }
    if first {
        return writeln!(out, "no `resource_requirements` are loaded: there is no capacity to speak of");
    }
    for list in items(&answer["growth"]) {
        growth(list, out)?;
    }
    Ok(())
}

fn model_table(model: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", headline(model))?;
    let head = ["RESOURCE", "NEEDED", "AVAILABLE", "USED", "FITS", "MORE", "RUNS OUT"].map(str::to_owned);
    let rows: Vec<[String; 7]> = items(&model["resources"]).map(row).collect();
    table(&head, &rows, out)?;
    if let Some(forecast) = Some(&model["forecast"]).filter(|it| !it.is_null()) {
        writeln!(out, "tenants grow by {}", growth_line(forecast))?;
    } else if let Some(detail) = model["no_forecast"]["detail"].as_str() {
        writeln!(out, "no forecast of tenants: {detail}")?;
    }
    Ok(())
}

fn headline(model: &Value) -> String {
    let name = model["model"].as_str().unwrap_or_default();
    let count = |key: &str| model[key].as_f64().map(|number| Unit::Count.show(number));
    let tenants = count("tenants").map_or_else(|| "no tenants seen".into(), |it| format!("{it} tenants"));
    let Some(fits) = count("fits") else { return format!("{name}: {tenants}, how many fit is not known") };
    let binding = model["binding"].as_str().unwrap_or_default();
    match model["headroom"].as_f64() {
        Some(more) if more < 0.0 => {
            format!("{name}: {tenants}, {fits} fit, {} TOO MANY ({binding} binds)", Unit::Count.show(-more))
        }
        Some(more) => {
            format!("{name}: {tenants}, {fits} fit, {} more ({binding} binds)", Unit::Count.show(more))
        }
        None => format!("{name}: {tenants}, {fits} fit ({binding} binds)"),
    }
}

fn row(resource: &Value) -> [String; 7] {
    let unit = resource["unit"].as_str().and_then(Unit::parse).unwrap_or(Unit::Count);
    let amount = |key: &str| resource[key].as_f64().map_or_else(|| "-".to_owned(), |it| unit.show(it));
    let count = |key: &str| resource[key].as_f64().map_or_else(|| "-".to_owned(), |it| Unit::Count.show(it));
    let available = match (resource["available"].as_f64(), resource["unknown"].as_str()) {
        (None, Some(why)) => why.to_owned(),
        _ => amount("available"),
    };
    let name = resource["resource"].as_str().unwrap_or_default().to_owned();
    [
        name,
        amount("required"),
        available,
        amount("used"),
        count("fits"),
        count("headroom"),
        runs_out(resource),
    ]
}

fn runs_out(resource: &Value) -> String {
    let dates = &resource["runs_out"];
    if dates.is_null() {
        return resource["no_forecast"]["reason"].as_str().unwrap_or("-").to_owned();
    }
    let day = |key: &str| dates[key].as_str().and_then(|text| text.get(..10));
    let by = if dates["basis"] == "use" { ", by use" } else { "" };
    match (day("earliest"), day("expected"), day("latest")) {
        (_, Some(expected), _) if dates["left_seconds"].as_f64() == Some(0.0) => {
            format!("{expected}: now{by}")
        }
        (earliest, Some(expected), latest) => {
            format!("{expected} ({} … {}{by})", earliest.unwrap_or(expected), latest.unwrap_or("later"))
        }
        (Some(earliest), None, _) => format!("not foreseen, {earliest} at the earliest{by}"),
        (None, None, _) => format!("not foreseen{by}"),
    }
}

fn growth_line(forecast: &Value) -> String {
    let a_day = &forecast["growth_a_day"];
    let a_week = |key: &str| a_day[key].as_f64().map_or_else(|| "?".into(), |it| Unit::Count.show(it * 7.0));
    let days = forecast["history_days"].as_f64().map_or_else(|| "?".into(), |it| Unit::Count.show(it));
    let held_out = &forecast["held_out"];
    let off = held_out["mape"].as_f64().map_or_else(|| "?".into(), |it| Unit::Ratio.show(it));
    let against = held_out["mase"].as_f64().map_or_else(String::new, |it| format!(", MASE {it:.2}"));
    format!(
        "{} a week ({} … {}), by {days} days; on the held-out fifth it was {off} off{against}",
        a_week("value"),
        a_week("low"),
        a_week("high"),
    )
}

fn growth(list: &Value, out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: usize = 10;
    let unit = list["unit"].as_str().and_then(Unit::parse).unwrap_or(Unit::Count);
    let rows: Vec<[String; 4]> = items(&list["tenants"])
        .take(SHOWN)
        .map(|tenant| {
            let show = |key: &str, unit: Unit| {
                tenant[key].as_f64().map_or_else(|| "-".to_owned(), |it| unit.show(it))
            };
            let name = tenant["tenant"].as_str().unwrap_or_default().to_owned();
            [name, show("value", unit), show("a_day", unit), show("share", Unit::Ratio)]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let metric = list["metric"].as_str().unwrap_or_default().to_uppercase();
    writeln!(out)?;
    table(&["TENANT".into(), metric, "A DAY".into(), "GREW BY".into()], &rows, out)
}
