//! `runbookd explain`: why somebody was, or was not, told. Asks the daemon and decides nothing.

use std::io::Write;

use clap::Args;

use super::answer::{DaemonArgs, items, or_dash, text, write};

/// What `runbookd explain` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd explain INC-20261123-0007     why this incident is where it is, and who was told
  runbookd explain 3f6c0a9be2d14c77      the same of an alert, by its id in `runbookd alerts --output json`")]
pub struct ExplainArgs {
    /// An incident's number, an alert's id or a notice's id.
    #[arg(value_name = "ID")]
    pub id: String,
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Asks and prints; the answer is the exit code.
pub fn run(args: &ExplainArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let answer = args.daemon.ask.get(&["explain", &args.id], &[]);
    write(answer, args.daemon.output, (out, err), |answer, out| {
        for link in items(answer) {
            writeln!(out, "{}  {}  {}", or_dash(&link["at"]), text(&link["reason"]), text(&link["text"]))?;
        }
        Ok(())
    })
}
