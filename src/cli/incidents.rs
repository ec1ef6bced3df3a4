//! `runbookd incidents`: the list, or one with its checklist and timeline; `ack` and `resolve`. Asks the daemon and
//! decides nothing.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Value, json};

use super::answer::{ByArgs, DaemonArgs, items, more, or_dash, refuse, text, write};
use super::ask::{AskArgs, AskError};
use super::table::table;

/// What `runbookd incidents` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd incidents               the newest ones
  runbookd incidents --state open
  runbookd incidents 0007          one, with its checklist and timeline")]
pub struct IncidentsArgs {
    /// One incident, by its number or the end of it.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Only this state: open, acknowledged, mitigating, resolved or closed.
    #[arg(long, conflicts_with = "id", value_parser = ["open", "acknowledged", "mitigating", "resolved", "closed"])]
    pub state: Option<String>,
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What `runbookd ack` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd ack 0007                I have it: nobody else is woken
  runbookd ack 0007 --for 2h       for so long")]
pub struct AckArgs {
    /// The incident, by its number or the end of it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// How long the acknowledgement holds.
    #[arg(long = "for", value_name = "DURATION")]
    pub lasts: Option<String>,
    /// Who.
    #[command(flatten)]
    pub by: ByArgs,
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What `runbookd resolve` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd resolve 0007            it is over; a re-fire within ten minutes reopens it")]
pub struct ResolveArgs {
    /// The incident, by its number or the end of it.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Who.
    #[command(flatten)]
    pub by: ByArgs,
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Lists, or shows one; the answer is the exit code.
pub fn run(args: &IncidentsArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let ask = &args.daemon.ask;
    let Some(id) = &args.id else {
        let mut query = vec![("limit", "200")];
        query.extend(args.state.as_deref().map(|state| ("state", state)));
        return write(ask.get(&["incidents"], &query), args.daemon.output, (out, err), list);
    };
    let found = full(ask, id).and_then(|id| ask.get(&["incidents", &id], &[]));
    write(found, args.daemon.output, (out, err), one)
}

/// Acknowledges; the answer is the exit code.
pub fn acknowledge(args: &AckArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut said = json!({ "by": args.by.by });
    if let Some(lasts) = &args.lasts {
        said["for"] = lasts.as_str().into();
    }
    change(&args.daemon, &args.id, "acknowledge", &said, (out, err))
}

/// Resolves; the answer is the exit code.
pub fn resolve(args: &ResolveArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    change(&args.daemon, &args.id, "resolve", &json!({ "by": args.by.by }), (out, err))
}

fn change(
    daemon: &DaemonArgs,
    id: &str,
    verb: &str,
    said: &Value,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> u8 {
    let id = match full(&daemon.ask, id) {
        Ok(id) => id,
        Err(why) => return refuse(&why, err),
    };
    let answer = daemon.ask.post(&["incidents", &id, verb], said);
    write(answer, daemon.output, (out, err), |incident, out| {
        let by = incident["acknowledged_by"].as_str().map_or_else(String::new, |by| format!(" by {by}"));
        writeln!(
            out,
            "{} is {}{by}: {}",
            text(&incident["id"]),
            text(&incident["state"]),
            text(&incident["headline"])
        )
    })
}

/// The whole number of an incident: `0007` is the newest that ends so.
fn full(ask: &AskArgs, id: &str) -> Result<String, AskError> {
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_digit()) {
        return Ok(id.to_owned());
    }
    let answer = ask.get(&["incidents"], &[("limit", "1000")])?;
    let end = format!("-{id:0>4}");
    let found = items(&answer).map(|it| text(&it["id"])).find(|whole| whole.ends_with(&end));
    Ok(found.unwrap_or_else(|| id.to_owned()))
}

fn list(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 5]> = items(answer)
        .map(|it| {
            [
                text(&it["id"]),
                text(&it["severity"]),
                text(&it["state"]),
                text(&it["opened_at"]),
                text(&it["headline"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "there is no incident");
    }
    table(&["ID", "SEVERITY", "STATE", "OPENED", "WHAT"].map(str::to_owned), &rows, out)?;
    more(answer, out)?;
    let waiting: Vec<&Value> = items(answer).filter(|it| it["state"] == "open").collect();
    match waiting.first() {
        Some(first) => {
            writeln!(out, "{} not acknowledged → runbookd ack {}", waiting.len(), text(&first["id"]))
        }
        None => writeln!(out, "none waits for an acknowledgement"),
    }
}

fn one(incident: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  {}", text(&incident["id"]), text(&incident["headline"]))?;
    writeln!(
        out,
        "{} {}, team {}, since {}, acknowledged by {}",
        text(&incident["severity"]),
        text(&incident["state"]),
        or_dash(&incident["team"]),
        text(&incident["opened_at"]),
        or_dash(&incident["acknowledged_by"]),
    )?;
    for item in incident["checklist"].as_array().into_iter().flatten() {
        let mark = if item["done_by"].is_string() { "x" } else { " " };
        writeln!(out, "  [{mark}] {}", text(&item["text"]))?;
    }
    for step in incident["diagnosis"].as_array().into_iter().flatten() {
        let found = step["head"].as_str().unwrap_or_default();
        writeln!(out, "  {}: {} {found}", text(&step["step"]), text(&step["outcome"]))?;
    }
    for entry in incident["timeline"].as_array().into_iter().flatten() {
        writeln!(out, "{}  {}  {}", text(&entry["at"]), text(&entry["by"]), text(&entry["text"]))?;
    }
    Ok(())
}
