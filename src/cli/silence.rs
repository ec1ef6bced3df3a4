//! `runbookd silence`: add, list and expire silences. Asks the daemon and decides nothing.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{ByArgs, DaemonArgs, items, text, write};
use super::table::table;

/// What `runbookd silence` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd silence add service=checkout --for 2h --comment 'load test'
  runbookd silence list
  runbookd silence expire ID")]
pub struct SilenceArgs {
    /// What is done.
    #[command(subcommand)]
    pub verb: SilenceVerb,
}

/// What is done with silences.
#[derive(Debug, Clone, Subcommand)]
pub enum SilenceVerb {
    /// Hold the notices of matching alerts back for a while.
    Add {
        /// Matchers as Alertmanager spells them, such as service=checkout or 'severity=~warn.+'; all must fit.
        #[arg(value_name = "MATCHER", required = true)]
        matchers: Vec<String>,
        /// How long.
        #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
        length: String,
        /// Why.
        #[arg(long)]
        comment: String,
        /// Who.
        #[command(flatten)]
        by: ByArgs,
        /// The daemon, and how the answer is written.
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// List the silences that are not over.
    List {
        /// Those that are over, too.
        #[arg(long)]
        all: bool,
        /// The daemon, and how the answer is written.
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// End a silence now.
    Expire {
        /// The silence.
        #[arg(value_name = "ID")]
        id: String,
        /// Who.
        #[command(flatten)]
        by: ByArgs,
        /// The daemon, and how the answer is written.
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

/// Does it; the answer is the exit code.
pub fn run(args: &SilenceArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match &args.verb {
        SilenceVerb::Add { matchers, length, comment, by, daemon } => {
            let said = json!({ "matchers": matchers, "for": length, "comment": comment, "by": by.by });
            write(daemon.ask.post(&["silences"], &said), daemon.output, (out, err), one)
        }
        SilenceVerb::List { all, daemon } => {
            let query: &[(&str, &str)] = if *all { &[("state", "all")] } else { &[] };
            write(daemon.ask.get(&["silences"], query), daemon.output, (out, err), list)
        }
        SilenceVerb::Expire { id, by, daemon } => {
            let answer = daemon.ask.delete(&["silences", id], &[("by", &by.by)]);
            write(answer, daemon.output, (out, err), one)
        }
    }
}

fn texts(value: &Value) -> String {
    let texts: Vec<String> = value.as_array().into_iter().flatten().map(text).collect();
    if texts.is_empty() { "-".into() } else { texts.join(", ") }
}

fn one(silence: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} is {} until {}: {}",
        text(&silence["id"]),
        text(&silence["state"]),
        text(&silence["ends_at"]),
        texts(&silence["matchers"])
    )?;
    writeln!(out, "incidents it fits now: {}", texts(&silence["incidents"]))
}

fn list(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 6]> = items(answer)
        .map(|it| {
            [
                text(&it["id"]),
                text(&it["state"]),
                texts(&it["matchers"]),
                text(&it["ends_at"]),
                text(&it["created_by"]),
                text(&it["comment"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "there is no silence");
    }
    table(&["ID", "STATE", "MATCHERS", "ENDS", "BY", "COMMENT"].map(str::to_owned), &rows, out)
}
