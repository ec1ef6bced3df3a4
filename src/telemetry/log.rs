//! Logs: text for people, JSON for programs, on standard error. Owns the subscriber; what is logged stands where it
//! happens.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object for programs.
    Json,
}

/// Starts logging. `RUNBOOKD_LOG` filters, as in `runbookd=debug`; the default is `info`.
///
/// Calling it a second time in one process changes nothing.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("RUNBOOKD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    // Somebody else's subscriber stays: tests run many daemons in one process.
    let _ = started;
}
