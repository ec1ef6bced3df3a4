//! `runbookd scaling`: the targets, what is held and why; a person's pause and its end. Asks the daemon and decides
//! nothing.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{ByArgs, DaemonArgs, items, refuse, text, write};
use super::ask::AskError;
use super::table::table;

/// What `runbookd scaling` is told.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  runbookd scaling                                              every target
  runbookd scaling pause shop/checkout --for 2h --reason 'load test'
  runbookd scaling resume shop/checkout"
)]
pub struct ScalingArgs {
    /// What is done; without anything the targets are listed.
    #[command(subcommand)]
    pub verb: Option<ScalingVerb>,
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What is done with a target.
#[derive(Debug, Clone, Subcommand)]
pub enum ScalingVerb {
    /// Leave a target as it is.
    Pause {
        /// The target, as namespace/name or namespace/Kind/name.
        target: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// How long; until somebody resumes where nothing is said.
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<String>,
        /// Who.
        #[command(flatten)]
        by: ByArgs,
        /// The daemon, and how the answer is written.
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Let a target be scaled again.
    Resume {
        /// The target, as namespace/name or namespace/Kind/name.
        target: String,
        /// Who.
        #[command(flatten)]
        by: ByArgs,
        /// The daemon, and how the answer is written.
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

/// Does it; the answer is the exit code.
pub fn run(args: &ScalingArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match &args.verb {
        None => write(args.daemon.ask.get(&["scaling"], &[]), args.daemon.output, (out, err), list),
        Some(ScalingVerb::Pause { target, reason, lasts, by, daemon }) => {
            let mut said = json!({ "reason": reason, "by": by.by });
            if let Some(lasts) = lasts {
                said["for"] = lasts.as_str().into();
            }
            change(daemon, target, "pause", &said, (out, err))
        }
        Some(ScalingVerb::Resume { target, by, daemon }) => {
            change(daemon, target, "resume", &json!({ "by": by.by }), (out, err))
        }
    }
}

fn change(
    daemon: &DaemonArgs,
    target: &str,
    verb: &str,
    said: &Value,
    (out, err): (&mut dyn Write, &mut dyn Write),
) -> u8 {
    let place = match place(daemon, target) {
        Ok(Some(place)) => place,
        Ok(None) => {
            let _ = writeln!(err, "there is no target {target}; `runbookd scaling` lists them");
            return 1;
        }
        Err(why) => return refuse(&why, err),
    };
    let [namespace, kind, name] = &place;
    let answer = daemon.ask.post(&["scaling", namespace, kind, name, verb], said);
    write(answer, daemon.output, (out, err), |target, out| {
        let by = &target["paused"]["by"];
        let paused = by.as_str().map_or_else(|| "not paused".to_owned(), |by| format!("paused by {by}"));
        writeln!(out, "{} is {paused}", text(&target["target"]))
    })
}

/// Namespace, kind and name of a target; the kind is looked up where it is not said.
fn place(daemon: &DaemonArgs, target: &str) -> Result<Option<[String; 3]>, AskError> {
    let parts: Vec<&str> = target.split('/').collect();
    match parts.as_slice() {
        [namespace, kind, name] => Ok(Some([namespace, kind, name].map(|part| (*part).to_owned()))),
        [namespace, name] => {
            let answer = daemon.ask.get(&["scaling"], &[])?;
            let found = items(&answer).find(|it| text(&it["target"]) == target);
            Ok(found.map(|it| [(*namespace).to_owned(), text(&it["kind"]), (*name).to_owned()]))
        }
        _ => Ok(None),
    }
}

fn list(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 5]> = items(answer)
        .map(|it| {
            let of = |key: &str, say: fn(&Value) -> String| {
                let all: Vec<String> = it[key].as_array().into_iter().flatten().map(say).collect();
                if all.is_empty() { "-".to_owned() } else { all.join(", ") }
            };
            let last = &it["actions"][0];
            let last = match last["change"].as_str() {
                Some(change) => format!("{} {change} {}", text(&last["planned_at"]), text(&last["state"])),
                None => "-".into(),
            };
            let state = match it["paused"]["by"].as_str() {
                Some(by) => format!("PAUSED by {by}: {}", text(&it["paused"]["reason"])),
                None => of("held", |held| format!("HELD {}: {}", text(&held["axis"]), text(&held["text"]))),
            };
            [
                text(&it["target"]),
                format!("{}..{}", it["min_replicas"], it["max_replicas"]),
                of("cooldowns", |rest| format!("{} until {}", text(&rest["axis"]), text(&rest["until"]))),
                last,
                state,
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "there is no target: add `scale_out_strategy.targets` to the rules");
    }
    table(&["TARGET", "BOUNDS", "COOLDOWN", "LAST", "STATE"].map(str::to_owned), &rows, out)
}
