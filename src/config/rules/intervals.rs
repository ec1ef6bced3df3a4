//! `time_intervals` and `mute_time_intervals`: Alertmanager's stretches of the calendar, and the names by which rules
//! speak of them. Owns their keys; what an interval contains is the domain's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::config::diagnostic::Code;
use crate::config::suggest::{nearest, suggestion};
use crate::config::tree::{Node, Span};
use crate::config::walk::{Fields, Walk};
use crate::domain::time_interval::{
    DayPart, Entry, TimeFault, TimeInterval, days_of_month, months, time_of_day, time_zone, weekdays, years,
};

/// The intervals by name.
type Intervals = BTreeMap<Arc<str>, TimeInterval>;

const ENTRY_KEYS: &[&str] = &["times", "weekdays", "days_of_month", "months", "years", "location"];

/// Reads the lists of intervals of both keys; they share one space of names.
pub(super) fn read<'n>(walk: &Walk<'_>, nodes: impl Iterator<Item = &'n Node>) -> Intervals {
    let mut found = Intervals::new();
    let mut named: HashMap<Arc<str>, Span> = HashMap::new();
    for item in nodes.flat_map(|node| walk.list(node)) {
        let fields = walk.fields(item, &["name", "time_intervals"]);
        let name = walk.required(&fields, "name", item.span, "name: nights");
        let name = name.and_then(|node| walk.text(node).map(|name| (name.clone(), node.span)));
        let entries = walk
            .required(&fields, "time_intervals", item.span, "time_intervals: [{weekdays: [saturday]}]")
            .map(|node| entries(walk, node));
        let Some((name, span)) = name else { continue };
        if let Some(first) = named.insert(name.clone(), span) {
            walk.error(Code::DuplicateName, span, format!("two time intervals are called `{name}`"))
                .expected("expected another name")
                .other(first);
            continue;
        }
        // An interval with a mistake keeps its name: who speaks of it made none.
        let entries = entries.unwrap_or_default();
        found.insert(name.clone(), TimeInterval { name, entries });
    }
    found
}

/// Reads a list of names of intervals.
pub(super) fn names(walk: &Walk<'_>, node: &Node, known: &Intervals) -> Vec<Arc<str>> {
    let known_name = |item: &Node| {
        let name = walk.text(item)?;
        if known.contains_key(name) {
            return Some(name.clone());
        }
        walk.error(Code::UnknownInterval, item.span, format!("there is no time interval `{name}`"))
            .expected("expected a name of `time_intervals`")
            .maybe_help(suggestion(name, known.keys().map(AsRef::as_ref)));
        None
    };
    walk.list(node).iter().filter_map(known_name).collect()
}

/// The entries of an interval.
pub(super) fn entries(walk: &Walk<'_>, node: &Node) -> Vec<Entry> {
    let items = walk.list(node);
    if items.is_empty() && matches!(node.value, crate::config::tree::Value::List(_)) {
        walk.error(Code::BadValue, node.span, "an interval without an entry never begins")
            .expected("expected an entry, such as {weekdays: [saturday]}");
    }
    items.iter().map(|item| entry(walk, item)).collect()
}

/// One entry of an interval.
pub(super) fn entry(walk: &Walk<'_>, node: &Node) -> Entry {
    let fields = walk.fields(node, ENTRY_KEYS);
    let times = fields.get("times").map_or(&[][..], |node| walk.list(node));
    Entry {
        times: times.iter().filter_map(|item| day_part(walk, item)).collect(),
        weekdays: words(walk, &fields, "weekdays", weekdays),
        days_of_month: words(walk, &fields, "days_of_month", days_of_month),
        months: words(walk, &fields, "months", months),
        years: words(walk, &fields, "years", years),
        zone: fields.get("location").and_then(|node| location(walk, node)).unwrap_or(TimeZone::UTC),
    }
}

fn words<T>(
    walk: &Walk<'_>,
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<T, TimeFault>,
) -> Vec<T> {
    let items = fields.get(key).map_or(&[][..], |node| walk.list(node));
    items.iter().filter_map(|item| word(walk, item, &read)).collect()
}

fn word<T>(walk: &Walk<'_>, node: &Node, read: impl Fn(&str) -> Result<T, TimeFault>) -> Option<T> {
    match read(walk.text(node)?.trim()) {
        Ok(value) => Some(value),
        Err(fault) => {
            let help = matches!(fault, TimeFault::Backwards(_))
                .then(|| "what goes over the end stands as two: to the end, and from the start".to_owned());
            walk.error(Code::BadTime, node.span, fault.to_string())
                .expected(fault.expected())
                .maybe_help(help);
            None
        }
    }
}

fn day_part(walk: &Walk<'_>, node: &Node) -> Option<DayPart> {
    let fields = walk.fields(node, &["start_time", "end_time"]);
    let start = walk.required(&fields, "start_time", node.span, "start_time: \"22:00\"");
    let end = walk.required(&fields, "end_time", node.span, "end_time: \"24:00\"");
    let from = start.and_then(|node| word(walk, node, time_of_day));
    let to = end.and_then(|node| word(walk, node, time_of_day));
    let (from, to) = from.zip(to)?;
    if from < to {
        return Some(DayPart { from, to });
    }
    let span = |node: Option<&Node>| node.map_or(fields.span, |node| node.span);
    walk.error(Code::BadTime, span(end), "this part of the day ends before it starts")
        .expected("expected a later time, up to 24:00")
        .other(span(start))
        .help("a night stands as two: from the evening to 24:00, and from 00:00 to the morning");
    None
}

fn location(walk: &Walk<'_>, node: &Node) -> Option<TimeZone> {
    let name = walk.text(node)?;
    match time_zone(name) {
        Ok(zone) => Some(zone),
        Err(fault) => {
            let names: Vec<String> =
                TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
            let near = nearest(name, names.iter().map(String::as_str));
            walk.error(Code::BadTime, node.span, fault.to_string())
                .expected(fault.expected())
                .maybe_help(near.map(|near| format!("did you mean `{near}`?")));
            None
        }
    }
}
