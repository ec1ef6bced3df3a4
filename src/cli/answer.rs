//! Answers of the daemon on the way to people: as a table or as JSON, and the exit code they mean. Owns no command.

use std::io::{self, Write};

use clap::Args;
use serde_json::Value;

use crate::domain::quantity::Unit;

use super::ask::{AskArgs, AskError};
use super::check::Output;

/// What every command that asks the daemon is told.
#[derive(Debug, Clone, Args)]
pub struct DaemonArgs {
    /// Which daemon is asked.
    #[command(flatten)]
    pub ask: AskArgs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Who asks for a change, where no token says so.
#[derive(Debug, Clone, Args)]
pub struct ByArgs {
    /// Who does it, where no token says so; by default the user of this shell.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "cli")]
    pub by: String,
}

/// Writes an answer: 0 where there is one, 1 where the daemon knows no such thing or refuses what was said, 3 where it
/// could not be asked or nothing could be written.
pub(super) fn write(
    answer: Result<Value, AskError>,
    output: Output,
    (out, err): (&mut dyn Write, &mut dyn Write),
    human: impl FnOnce(&Value, &mut dyn Write) -> io::Result<()>,
) -> u8 {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return refuse(&why, err),
    };
    let written = match output {
        Output::Human => human(&answer, out),
        Output::Json => serde_json::to_writer_pretty(&mut *out, &answer)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    if written.is_ok() { 0 } else { 3 }
}

/// Says why there is no answer; the exit code.
pub(super) fn refuse(why: &AskError, err: &mut dyn Write) -> u8 {
    // Nobody reads where nothing can be written.
    match why {
        AskError::Refused { status: 400 | 404 | 409 | 422, detail, .. } => {
            let _ = writeln!(err, "{detail}");
            1
        }
        AskError::Refused { .. }
        | AskError::NoAddress(_)
        | AskError::Token { .. }
        | AskError::NoAnswer { .. } => {
            let _ = writeln!(err, "could not ask the daemon: {why}");
            3
        }
    }
}

pub(super) fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A text, or a dash.
pub(super) fn or_dash(value: &Value) -> String {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// A value in its unit, or a dash.
pub(super) fn amount(unit: &Value, value: &Value) -> String {
    let unit = unit.as_str().and_then(Unit::parse).unwrap_or(Unit::Count);
    value.as_f64().map_or_else(|| "-".to_owned(), |value| unit.show(value))
}

/// `{namespace="shop", service="checkout"}`, without the alert's name.
pub(super) fn labels(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "alertname");
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{}\"", text(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Says that there are more, where there are.
pub(super) fn more(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    if answer["next"].is_string() { writeln!(out, "and more: narrow the list") } else { Ok(()) }
}
