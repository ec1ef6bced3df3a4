//! `runbookd tenant`: who the tenants are; `runbookd tenant ID`: the onboarding list as far as a machine can check it.
//! Asks the daemon and decides nothing.

use std::io::{self, Write};

use clap::Args;
use serde_json::Value;

use crate::domain::quantity::Unit;

use super::ask::AskArgs;
use super::check::Output;
use super::table::table;

/// What `runbookd tenant` is told.
#[derive(Debug, Clone, Args)]
pub struct TenantArgs {
    /// The tenant to check; without one all tenants are listed.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Which daemon is asked.
    #[command(flatten)]
    pub ask: AskArgs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Asks and prints. The answer is the exit code: 0 fine, 1 where a check says no, 3 where the daemon could not be asked.
pub fn run(args: &TenantArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let segments: Vec<&str> = ["tenants"].into_iter().chain(args.id.as_deref()).collect();
    let answer = match args.ask.get(&segments, &[]) {
        Ok(answer) => answer,
        Err(why) => {
            // Nobody reads where nothing can be written.
            let _ = writeln!(err, "could not ask the daemon: {why}");
            return 3;
        }
    };
    let written = match (args.output, &args.id) {
        (Output::Json, _) => serde_json::to_writer_pretty(&mut *out, &answer)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
        (Output::Human, None) => list(&answer, out),
        (Output::Human, Some(_)) => one(&answer, out),
    };
    match written {
        Err(_) => 3,
        Ok(()) => u8::from(answer["ok"] == Value::Bool(false)),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 4]> = items(&answer["items"])
        .map(|line| {
            let rate = line["requests_per_second"].as_f64();
            let rate = rate.map_or_else(|| "-".to_owned(), |rate| Unit::Count.show(rate));
            [text(&line["tenant"]), rate, line["firing_alerts"].to_string(), line["overrides"].to_string()]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "no tenant is seen: no series carries the label `tenant`");
    }
    table(&["TENANT", "REQUESTS/S", "FIRING", "OVERRIDES"].map(str::to_owned), &rows, out)
}

fn one(tenant: &Value, out: &mut dyn Write) -> io::Result<()> {
    let checks: Vec<[String; 3]> = items(&tenant["checks"])
        .map(|check| {
            let mark = match check["verdict"].as_str() {
                Some("yes") => "[x]",
                Some("no") => "[ ]",
                _ => "[?]",
            };
            [mark.to_owned(), text(&check["words"]), text(&check["detail"])]
        })
        .collect();
    writeln!(out, "{}", text(&tenant["tenant"]))?;
    table(&[String::new(), "CHECK".into(), "FOUND".into()], &checks, out)?;
    let takes: Vec<String> = items(&tenant["takes"])
        .map(|it| format!("{} {}", amount(&it["unit"], &it["amount"]), text(&it["resource"])))
        .collect();
    if !takes.is_empty() {
        writeln!(out, "\ntakes {}", takes.join(", "))?;
    }
    let alerts: Vec<[String; 5]> = items(&tenant["alerts"])
        .map(|alert| {
            let limits = &alert["thresholds"];
            let of = |value: &Value| amount(&alert["unit"], value);
            [
                text(&alert["rule"]),
                text(&alert["state"]),
                of(&alert["value"]),
                of(&limits["warning"]),
                of(&limits["critical"]),
            ]
        })
        .collect();
    if !alerts.is_empty() {
        writeln!(out)?;
        table(&["RULE", "STATE", "VALUE", "WARNING", "CRITICAL"].map(str::to_owned), &alerts, out)?;
    }
    let overrides: Vec<[String; 5]> = items(&tenant["overrides"])
        .map(|it| {
            let of = |key: &str| amount(&it["unit"], &it[key]);
            [text(&it["rule"]), text(&it["matching"]), of("warning"), of("critical"), text(&it["source"])]
        })
        .collect();
    if overrides.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table(&["OVERRIDE", "MATCH", "WARNING", "CRITICAL", "SOURCE"].map(str::to_owned), &overrides, out)
}

fn amount(unit: &Value, value: &Value) -> String {
    let unit = unit.as_str().and_then(Unit::parse).unwrap_or(Unit::Count);
    value.as_f64().map_or_else(|| "-".to_owned(), |value| unit.show(value))
}
