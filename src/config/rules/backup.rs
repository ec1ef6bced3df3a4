//! `backup_configuration`: the runbook's 3.1. Owns the words for frequencies; what is watched for is `backup_rules`.

use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use super::backup_rules::{self, Watched};
use super::metrics::Catalogue;
use crate::config::diagnostic::Code;
use crate::config::tree::{Entry, Node};
use crate::config::walk::{Fields, Walk};
use crate::domain::backup::{BackupConfiguration, BackupSchedule};
use crate::domain::rule::RuleSet;

const HOUR: Duration = Duration::from_secs(3_600);

/// Reads the configuration: the rules that watch over it go into the set.
pub(super) fn read(reader: &Reader<'_>, node: &Node, catalogue: &Catalogue, set: &mut RuleSet) {
    let walk = reader.walk;
    let fields = walk.fields(node, &["schedules", "verification", "storage", "incident_type"]);
    let schedules = fields.get("schedules").map_or(&[][..], |node| walk.entries(node));
    let storage = fields.get("storage").map_or(&[][..], |node| walk.entries(node));
    let incident_type = fields.get("incident_type").and_then(|node| reader.incident_type(node));
    let configuration = BackupConfiguration {
        schedules: schedules.iter().filter_map(|entry| schedule(walk, entry)).collect(),
        verification: fields.get("verification").map(|node| walk.texts(node)).unwrap_or_default(),
        storage: storage
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), walk.text(&entry.value)?.clone())))
            .collect(),
    };
    let places = schedules.iter().map(|entry| (entry.key.clone(), entry.key_span)).collect();
    let watched = Watched { configuration: &configuration, places, block: node.span };
    backup_rules::add(reader, &watched, incident_type, catalogue, set);
    set.backup_configuration = Some(configuration);
}

fn schedule(walk: &Walk<'_>, entry: &Entry) -> Option<BackupSchedule> {
    let fields = walk.fields(&entry.value, &["frequency", "retention", "time", "grace"]);
    let frequency = walk
        .required(&fields, "frequency", entry.key_span, "frequency: daily")
        .and_then(|node| frequency(walk, node));
    let retention = walk
        .required(&fields, "retention", entry.key_span, "retention: 30 days")
        .and_then(|node| walk.duration(node));
    let time = time(walk, &fields);
    let grace = fields.get("grace").map(|node| walk.duration(node));
    let (frequency, retention) = (frequency?, retention?);
    if retention < frequency {
        walk.error(
            Code::ImpossibleBounds,
            fields.key_span("retention"),
            "a backup would be gone before the next one is made",
        )
        .expected("expected at least the frequency")
        .other(fields.key_span("frequency"));
    }
    let grace = match grace {
        Some(read) => read?,
        None => BackupSchedule::default_grace(frequency),
    };
    Some(BackupSchedule { name: entry.key.clone(), frequency, retention, time, grace })
}

fn frequency(walk: &Walk<'_>, node: &Node) -> Option<Duration> {
    match node.text() {
        Some("hourly") => Some(HOUR),
        Some("daily") => Some(HOUR * 24),
        Some("weekly") => Some(HOUR * 24 * 7),
        Some("monthly") => Some(HOUR * 24 * 31),
        Some(word) if word.ends_with("ly") => {
            let words = [("hourly", ()), ("daily", ()), ("weekly", ()), ("monthly", ())];
            walk.word(node, &words);
            None
        }
        _ => walk.duration_from(node, Duration::from_secs(60)),
    }
}

/// A time of day with a zone: `02:00 UTC`.
fn time(walk: &Walk<'_>, fields: &Fields<'_>) -> Option<Arc<str>> {
    let node = fields.get("time")?;
    let text = walk.text(node)?;
    let clock = text.split_whitespace().next().unwrap_or("");
    let fine = clock.split_once(':').is_some_and(|(hour, minute)| {
        let below =
            |part: &str, most: u8| part.len() == 2 && part.parse::<u8>().is_ok_and(|number| number < most);
        below(hour, 24) && below(minute, 60)
    });
    if !fine {
        walk.error(Code::BadValue, node.span, format!("`{text}` is no time of day"))
            .expected("expected a time such as \"02:00 UTC\"");
        return None;
    }
    Some(text.clone())
}
