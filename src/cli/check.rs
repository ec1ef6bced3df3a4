//! `runbookd check`: are the files right, and what do they mean? Reads both folders and asks nobody.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::config::render::Colour;
use crate::config::settings::{ChannelSettings, Settings};
use crate::config::{Diagnostics, Loaded, load};
use crate::domain::quantity::{Unit, show_duration};
use crate::domain::rule::{Condition, Direction, Rule, RuleSet, Thresholds};

use super::FolderArgs;
use super::table::table;
use crate::domain::severity::Severity;

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// What `runbookd check` is told.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Where the files lie.
    #[command(flatten)]
    pub folders: FolderArgs,
    /// How the answer is written.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Whether the answer is coloured: the caller knows whether it goes to a terminal.
    #[arg(skip)]
    pub colour: bool,
}

/// Checks both folders and prints what is wrong, or what they mean. The answer is the exit code: 0 fine, 1 refused,
/// 3 where nothing could be written.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> u8 {
    let result = load(&args.folders.config, &args.folders.rules);
    let written = match args.output {
        Output::Human => human(&result, args.colour, out),
        Output::Json => machine(&result, out),
    };
    match (written, result) {
        (Err(_), _) => 3,
        (Ok(()), Ok(_)) => 0,
        (Ok(()), Err(_)) => 1,
    }
}

fn human(result: &Result<Loaded, Diagnostics>, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let colour = if colour { Colour::Always } else { Colour::Never };
    match result {
        Err(diagnostics) => out.write_all(diagnostics.render(colour).as_bytes()),
        Ok(loaded) => {
            summary(loaded, out)?;
            if loaded.warnings.is_empty() {
                return writeln!(out, "{}", loaded.warnings.counts());
            }
            writeln!(out)?;
            out.write_all(loaded.warnings.render(colour).as_bytes())
        }
    }
}

fn machine(result: &Result<Loaded, Diagnostics>, out: &mut dyn Write) -> io::Result<()> {
    let answer = match result {
        Err(diagnostics) => json!({ "ok": false, "diagnostics": diagnostics }),
        Ok(loaded) => {
            let rules: Vec<Value> = loaded.rules.rules.values().map(|rule| rule_json(rule)).collect();
            let queries: Vec<Value> = loaded.rules.queries.values().map(|query| json!(query.expr)).collect();
            let targets = loaded.rules.policy.iter().flat_map(|policy| &policy.targets);
            let targets: Vec<Value> = targets
                .map(|one| json!({ "target": one.id.to_string(), "kind": one.id.kind, "service": one.service }))
                .collect();
            let channels: Vec<Value> = (loaded.settings.channels.iter())
                .map(|(name, channel)| json!({ "name": name.as_str(), "kind": channel.kind() }))
                .collect();
            json!({
                "ok": true,
                "diagnostics": loaded.warnings,
                "rules": rules,
                "queries": queries,
                "targets": targets,
                "channels": channels,
            })
        }
    };
    serde_json::to_writer_pretty(&mut *out, &answer)?;
    writeln!(out)
}

fn rule_json(rule: &Rule) -> Value {
    let (warning, critical) = match &rule.condition {
        Condition::Threshold(own) => {
            (own.warning.map(|threshold| threshold.value), own.critical.map(|threshold| threshold.value))
        }
        Condition::Presence { .. } => (None, None),
    };
    json!({
        "id": rule.id.as_str(),
        "name": rule.name,
        "unit": rule.unit.as_str(),
        "warning": warning,
        "critical": critical,
        "incident_type": rule.incident_type.as_str(),
        "response": rule.response,
        "source": rule.source,
    })
}

/// Says what was loaded, the rules as a table.
fn summary(loaded: &Loaded, out: &mut dyn Write) -> io::Result<()> {
    let rows = loaded.rules.rules.values().map(|rule| row(rule)).collect::<Vec<_>>();
    let head = ["RULE", "WARNING", "CRITICAL", "FOR", "INCIDENT", "SOURCE"].map(str::to_owned);
    table(&head, &rows, out)?;
    let policy = policy_line(&loaded.rules);
    writeln!(out)?;
    writeln!(out, "{} rules, {} queries a round", loaded.rules.rules.len(), loaded.rules.queries.len())?;
    if let Some(line) = policy {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{}", channels_line(&loaded.settings))
}

fn row(rule: &Rule) -> [String; 6] {
    let (warning, critical, hold) = match &rule.condition {
        Condition::Threshold(thresholds) => threshold_cells(rule.unit, thresholds),
        Condition::Presence { severity, hold } => {
            let mark = |wanted| if *severity == wanted { "in the query" } else { "-" }.to_owned();
            (mark(Severity::Warning), mark(Severity::Critical), show_duration(*hold))
        }
    };
    let name = rule.id.as_str().to_owned();
    [name, warning, critical, hold, rule.incident_type.to_string(), rule.source.to_string()]
}

fn threshold_cells(unit: Unit, thresholds: &Thresholds) -> (String, String, String) {
    let sign = if thresholds.direction == Direction::Above { '>' } else { '<' };
    let cell = |threshold: Option<crate::domain::rule::Threshold>| {
        threshold.map_or_else(|| "-".to_owned(), |one| format!("{sign} {}", unit.show(one.value)))
    };
    let mut holds: Vec<String> = [thresholds.warning, thresholds.critical]
        .into_iter()
        .flatten()
        .map(|threshold| show_duration(threshold.hold))
        .collect();
    holds.dedup();
    (cell(thresholds.warning), cell(thresholds.critical), holds.join(" / "))
}

fn policy_line(rules: &RuleSet) -> Option<String> {
    let policy = rules.policy.as_ref()?;
    let targets: Vec<String> = policy
        .targets
        .iter()
        .map(|target| format!("{} {}..{}", target.id, target.min_replicas, target.max_replicas))
        .collect();
    let targets = if targets.is_empty() { "no targets".to_owned() } else { targets.join(", ") };
    Some(format!("{} triggers scale {targets}", policy.triggers.len()))
}

fn channels_line(settings: &Settings) -> String {
    if settings.channels.is_empty() {
        return "no channels".to_owned();
    }
    let name = |(name, channel): (&crate::domain::name::ChannelName, &ChannelSettings)| {
        format!("{name} ({})", channel.kind())
    };
    format!("channels: {}", settings.channels.iter().map(name).collect::<Vec<_>>().join(", "))
}
