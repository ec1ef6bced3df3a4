//! `communication`: the runbook's 2.2. Owns the ladder of channels, who hears of what, and the default words.

use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use super::channels::Channels;
use crate::config::diagnostic::{Code, Level};
use crate::config::suggest::suggestion;
use crate::config::tree::Node;
use crate::config::walk::Fields;
use crate::domain::communication::{Communication, Storm};
use crate::domain::name::ChannelName;
use crate::domain::template::{Template, TemplateError};

/// The runbook's words, for installations that bring none.
const INITIAL_ALERT: &str = "Incident: {incident_id}\nType: {type}\nSeverity: {severity}\nImpact: {impact}\n\
                             Response team: {team}\n";
const STATUS_UPDATE: &str =
    "Status: {status}\nActions taken: {actions}\nNext steps: {next_steps}\nETA: {eta}\n";

/// The runbook's channels, in the order of the ladder.
const LADDER: [&str; 3] = ["slack-#incidents", "email", "pagerduty"];
const RUNGS: [&str; 3] = ["primary", "secondary", "emergency"];

/// Reads the plan.
pub(super) fn read(reader: &Reader<'_>, channels: &Channels) -> Communication {
    let walk = reader.walk;
    let node = reader.blocks.get("communication");
    let fields = node.map(|node| {
        walk.fields(node, &["channels", "templates", "notify", "status_every", "failover_after", "storm"])
    });
    let get = |key: &str| fields.as_ref().and_then(|fields| fields.get(key));
    if !channels.configured {
        let message = "no `channels` are configured: nobody will be told about anything";
        match reader.blocks.key_span("communication") {
            Some(span) => {
                walk.warning(Code::DefaultUsed, span, message).expected("its channels reach nobody")
            }
            None => walk.about_all(Level::Warning, Code::DefaultUsed, message),
        }
        .help("add a `channels` block to a file in config/");
    }
    let ladder = ladder(reader, get("channels"), channels);
    let templates = get("templates").map(|node| walk.fields(node, &["initial_alert", "status_update"]));
    let template = |key: &str, default: &str| {
        let node = templates.as_ref().and_then(|fields| fields.get(key));
        node.and_then(|node| template(reader, node)).unwrap_or_else(|| default.into())
    };
    let notify = get("notify").map(|node| walk.fields(node, &["warning", "critical"]));
    let told = |key: &str, rungs: &[usize]| match notify.as_ref().and_then(|fields| fields.get(key)) {
        Some(node) => named(reader, node, &ladder, channels),
        None => unique(rungs.iter().filter_map(|rung| ladder.get(*rung).cloned())),
    };
    let second = Duration::from_secs(1);
    let duration = |key: &str| get(key).and_then(|node| walk.duration_from(node, second));
    let (warning, critical) = (told("warning", &[0]), told("critical", &[0, 1, 2]));
    let [primary, secondary, emergency] = ladder;
    Communication {
        primary,
        secondary,
        emergency,
        initial_alert: template("initial_alert", INITIAL_ALERT),
        status_update: template("status_update", STATUS_UPDATE),
        warning,
        critical,
        status_every: duration("status_every").unwrap_or(Duration::from_secs(30 * 60)),
        failover_after: duration("failover_after").unwrap_or(Duration::from_secs(60)),
        storm: get("storm").map_or_else(Storm::default, |node| storm(reader, node)),
    }
}

/// Above which rate incidents are told in digests.
fn storm(reader: &Reader<'_>, node: &Node) -> Storm {
    let fields = reader.walk.fields(node, &["above", "per"]);
    let usual = Storm::default();
    let above = fields.get("above").and_then(|node| reader.walk.whole(node, 1, 10_000));
    let per = fields.get("per").and_then(|node| reader.walk.duration_from(node, Duration::from_secs(1)));
    Storm {
        above: above.and_then(|above| usize::try_from(above).ok()).unwrap_or(usual.above),
        per: per.unwrap_or(usual.per),
    }
}

/// The three rungs. A rung that is not named is the one before it; without any, the runbook's names serve if they are
/// configured, and else the channels in the order written.
fn ladder(reader: &Reader<'_>, node: Option<&Node>, channels: &Channels) -> [ChannelName; 3] {
    let fields = node.map(|node| reader.walk.fields(node, &RUNGS));
    let named = |rung: &str| {
        let node = fields.as_ref().and_then(|fields: &Fields<'_>| fields.get(rung))?;
        known(reader, node, channels)
    };
    if fields.as_ref().is_none_or(Fields::is_empty) {
        let is_there = |name: &&str| channels.names.iter().any(|there| there.as_ref() == *name);
        if !channels.configured || LADDER.iter().all(is_there) {
            return LADDER.map(ChannelName::from);
        }
        let mut written = channels.names.iter().cloned().map(ChannelName::from);
        let primary = written.next().unwrap_or_else(|| ChannelName::from(LADDER[0]));
        let secondary = written.next().unwrap_or_else(|| primary.clone());
        let emergency = written.next().unwrap_or_else(|| secondary.clone());
        return [primary, secondary, emergency];
    }
    let [primary, secondary, emergency] = RUNGS.map(named);
    let lowest = || ChannelName::from(LADDER[0]);
    let primary = primary.or_else(|| secondary.clone()).or_else(|| emergency.clone()).unwrap_or_else(lowest);
    let secondary = secondary.unwrap_or_else(|| primary.clone());
    let emergency = emergency.unwrap_or_else(|| secondary.clone());
    [primary, secondary, emergency]
}

/// The name of a configured channel; where none is configured at all, any name.
fn known(reader: &Reader<'_>, node: &Node, channels: &Channels) -> Option<ChannelName> {
    let name = reader.walk.text(node)?;
    if channels.configured && !channels.names.contains(name) {
        reader
            .walk
            .error(Code::UnknownChannel, node.span, format!("there is no channel `{name}`"))
            .expected("expected a name of `channels`")
            .maybe_help(suggestion(name, channels.names.iter().map(AsRef::as_ref)));
        return None;
    }
    Some(ChannelName::from(name.clone()))
}

/// A list of rungs and channels' own names.
fn named(
    reader: &Reader<'_>,
    node: &Node,
    ladder: &[ChannelName; 3],
    channels: &Channels,
) -> Vec<ChannelName> {
    let one = |item: &Node| {
        let text = reader.walk.text(item)?;
        if let Some(rung) = RUNGS.iter().position(|rung| *rung == text.as_ref()) {
            return ladder.get(rung).cloned();
        }
        if channels.names.contains(text) {
            return Some(ChannelName::from(text.clone()));
        }
        let all = RUNGS.iter().copied().chain(channels.names.iter().map(AsRef::as_ref));
        reader
            .walk
            .error(Code::UnknownChannel, item.span, format!("there is no channel `{text}`"))
            .expected("expected primary, secondary, emergency or a name of `channels`")
            .maybe_help(suggestion(text, all));
        None
    };
    unique(reader.walk.list(node).iter().filter_map(one))
}

fn unique(names: impl Iterator<Item = ChannelName>) -> Vec<ChannelName> {
    let mut out: Vec<ChannelName> = Vec::new();
    for name in names {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// A template whose placeholders are all known.
fn template(reader: &Reader<'_>, node: &Node) -> Option<Arc<str>> {
    let text = reader.walk.text(node)?;
    match Template::parse(text) {
        Ok(_) => Some(text.clone()),
        Err(error) => {
            refuse(reader, node, text, &error);
            None
        }
    }
}

/// Says what is wrong with a template, at its place within the file.
pub(super) fn refuse(reader: &Reader<'_>, node: &Node, text: &str, error: &TemplateError) {
    let walk = reader.walk;
    let TemplateError { line, message } = error;
    let start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let written = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
    // The message quotes the placeholder it is about, if it is about one.
    let named = message.split('`').nth(1).and_then(|quoted| quoted.strip_suffix('}'));
    let (from, to) = match named.and_then(|named| Some((written.find(named)?, named.len()))) {
        Some((at, length)) => (
            at,
            at + length + usize::from(written.get(at + length..).is_some_and(|rest| rest.starts_with('}'))),
        ),
        None => (written.len() - written.trim_start().len(), written.trim_end().len()),
    };
    let code =
        if message.starts_with("unknown placeholder") { Code::UnknownPlaceholder } else { Code::BadTemplate };
    let (message, help) = match message.split_once(", did").map(|(head, tail)| (head, format!("did{tail}"))) {
        Some(parts) => parts,
        None => match message.split_once(", expected ").or_else(|| message.split_once("; ")) {
            Some((head, tail)) => (head, tail.to_owned()),
            None => (message.as_str(), "templates take {name}, {% if %} and {% for %}".to_owned()),
        },
    };
    walk.error(code, walk.part(node, start + from, start + to.max(from)), message)
        .expected("expected a placeholder such as {severity}")
        .help(help);
}
