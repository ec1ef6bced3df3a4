//! `runbookd check-health` and `runbookd get-metrics`: for `kubectl exec` into an image without a shell. Ask the daemon
//! and decide nothing.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use super::answer::{DaemonArgs, refuse, write};
use super::ask::AskError;

/// What `runbookd check-health` is told.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit codes: 0 alive, ready and able to see; 1 one of them is not so; 3 the daemon could not be asked"
)]
pub struct HealthArgs {
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What `runbookd get-metrics` is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  runbookd get-metrics                       everything, as Prometheus scrapes it
  runbookd get-metrics runbookd_alerts       those that begin so")]
pub struct MetricsArgs {
    /// Only the metrics whose name begins so.
    #[arg(value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// The daemon, and how the answer is written.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// Asks whether the daemon lives, is ready and sees; the answer is the exit code.
pub fn check(args: &HealthArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let ask = &args.daemon.ask;
    let mut verdict = |page: &str| match ask.page(&[page]) {
        Ok(_) => Ok((true, "yes".to_owned())),
        Err(AskError::Refused { status: 500.., detail, .. }) => Ok((false, format!("no: {detail}"))),
        Err(why) => Err(refuse(&why, err)),
    };
    // Refused with a 4xx: whatever it is, it is no runbookd.
    let Ok(alive) = verdict("healthz") else { return 3 };
    let Ok(ready) = verdict("readyz") else { return 3 };
    let metrics = match ask.page(&["metrics"]) {
        Ok(text) => text,
        Err(why) => return refuse(&why, err).max(1),
    };
    let blind = metrics.lines().any(|line| line.starts_with("runbookd_blind 1"));
    let sees = if blind { "no: blind, nothing can be evaluated" } else { "yes" };
    let ok = alive.0 && ready.0 && !blind;
    let answer = json!({ "ok": ok, "alive": alive.0, "ready": ready.0, "blind": blind });
    let code = write(Ok(answer), args.daemon.output, (out, err), |_, out| {
        writeln!(out, "alive  {}\nready  {}\nsees   {sees}", alive.1, ready.1)
    });
    if code == 0 { u8::from(!ok) } else { code }
}

/// Prints the daemon's own metrics; the answer is the exit code.
pub fn metrics(args: &MetricsArgs, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let page = args.daemon.ask.page(&["metrics"]).map(|text| {
        let named = |line: &&str| {
            let name =
                line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')).map_or(*line, |(_, rest)| rest);
            name.starts_with(prefix) && !line.starts_with("# EOF")
        };
        text.lines().filter(named).map(str::to_owned).collect::<Vec<_>>()
    });
    let lines = page.as_ref().map_or_else(|_| Vec::new(), Clone::clone);
    let answer = page.map(|lines| {
        let sample = |line: &String| {
            let (name, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
            Some(json!({ "metric": name, "value": value.parse::<f64>().ok() }))
        };
        json!({ "items": lines.iter().filter_map(sample).collect::<Vec<Value>>(), "next": null })
    });
    write(answer, args.daemon.output, (out, err), |_, out| {
        for line in &lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    })
}
