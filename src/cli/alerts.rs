//! `runbookd alerts`: what is pending, fires, or is over for a while. Asks the daemon and decides nothing.

use std::io::{self, Write};

use clap::Args;
use serde_json::Value;

use super::answer::{DaemonArgs, amount, items, labels, more, or_dash, text, write};
use super::table::table;

/// What `runbookd alerts` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd alerts                      everything that is not well
  runbookd alerts --state firing
  runbookd alerts --subject checkout   those with this value in a label")]
pub struct AlertsArgs {
    /// Only this state: pending, firing or resolved.
    #[arg(long, value_parser = ["pending", "firing", "resolved"])]
    pub state: Option<String>,
    /// Only those with this value in a label, such as a service.
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Asks and prints; the answer is the exit code.
pub fn run(args: &AlertsArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut query = vec![("limit", "1000")];
    query.extend(args.state.as_deref().map(|state| ("state", state)));
    query.extend(args.subject.as_deref().map(|subject| ("subject", subject)));
    let answer = args.daemon.ask.get(&["alerts"], &query);
    write(answer, args.daemon.output, (out, err), list)
}

fn list(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 7]> = items(answer)
        .map(|alert| {
            [
                text(&alert["alertname"]),
                text(&alert["state"]),
                or_dash(&alert["severity"]),
                amount(&alert["unit"], &alert["value"]),
                labels(&alert["labels"]),
                text(&alert["since"]),
                or_dash(&alert["incident"]),
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "no alert is pending or fires");
    }
    let head = ["ALERT", "STATE", "SEVERITY", "VALUE", "LABELS", "SINCE", "INCIDENT"].map(str::to_owned);
    table(&head, &rows, out)?;
    more(answer, out)
}
