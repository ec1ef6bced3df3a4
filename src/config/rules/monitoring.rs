//! `monitoring`: the runbook's thresholds. Owns a rule's defaults in that format.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::metrics::Catalogue;
use super::threshold::{self, Owner};
use super::{Reader, ask, fitting, intervals, is_label_name, link, put, summary};
use crate::config::diagnostic::Code;
use crate::config::suggest::suggestion;
use crate::config::tree::{Entry, Node, Span};
use crate::config::walk::Fields;
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentTypeName, RuleId};
use crate::domain::rule::{Condition, GroupBy, OnError, OnNoData, Rule, RuleSet};

/// How long a series must be gone before `on_no_data` applies, where a rule does not say.
pub(super) const NO_DATA_AFTER: Duration = Duration::from_secs(5 * 60);

/// The incident type of rules that name none.
pub(crate) const DEFAULT_INCIDENT_TYPE: &str = "service_outage";

const KEYS: &[&str] = &[
    "warning",
    "critical",
    "for",
    "clear",
    "keep_firing_for",
    "direction",
    "interval",
    "on_no_data",
    "no_data_after",
    "on_error",
    "incident_type",
    "response",
    "group_by",
    "labels",
    "summary",
    "impact",
    "runbook_url",
    "overrides",
    "mute_time_intervals",
    "active_time_intervals",
];

/// The intervals of rules that name none themselves.
struct Windows {
    mute: Vec<Arc<str>>,
    active: Vec<Arc<str>>,
}

/// Reads every threshold rule into the set.
pub(super) fn read(reader: &Reader<'_>, node: &Node, catalogue: &Catalogue, set: &mut RuleSet) {
    let walk = reader.walk;
    let fields = walk.fields(node, &["metrics", "mute_time_intervals", "active_time_intervals"]);
    let names = |key: &str| names(reader, &fields, key, set).unwrap_or_default();
    let windows = Windows { mute: names("mute_time_intervals"), active: names("active_time_intervals") };
    let Some(metrics) = fields.get("metrics") else { return };
    for group in walk.entries(metrics) {
        let mut seen: HashMap<Arc<str>, Span> = HashMap::new();
        for item in walk.list(&group.value) {
            let entries = walk.entries(item);
            if entries.is_empty() {
                if !item.is_null() && item.text().is_none() {
                    walk.wrong_type(item, &item.value, "a metric with its thresholds");
                }
                continue;
            }
            for entry in entries {
                if let Some(first) = seen.insert(entry.key.clone(), entry.key_span) {
                    walk.error(
                        Code::DuplicateName,
                        entry.key_span,
                        format!("`{}` has two rules in the group `{}`", entry.key, group.key),
                    )
                    .expected("the second rule")
                    .other(first)
                    .help("other thresholds for some series are `overrides` of one rule");
                    continue;
                }
                one(reader, &group.key, entry, catalogue, &windows, set);
            }
        }
    }
}

/// The names of intervals under a key, where it is there.
fn names(reader: &Reader<'_>, fields: &Fields<'_>, key: &str, set: &RuleSet) -> Option<Vec<Arc<str>>> {
    fields.get(key).map(|node| intervals::names(reader.walk, node, &set.time_intervals))
}

fn one(
    reader: &Reader<'_>,
    group: &str,
    entry: &Entry,
    catalogue: &Catalogue,
    windows: &Windows,
    set: &mut RuleSet,
) {
    let walk = reader.walk;
    let metric = catalogue.get(walk, &entry.key, entry.key_span);
    let fields = walk.fields(&entry.value, KEYS);
    let duration = |key: &str| fields.get(key).and_then(|node| walk.duration(node));
    let on_no_data = fields.get("on_no_data").and_then(|node| {
        walk.word(node, &[("keep", OnNoData::Keep), ("resolve", OnNoData::Resolve), ("fire", OnNoData::Fire)])
    });
    let on_error = fields
        .get("on_error")
        .and_then(|node| walk.word(node, &[("keep", OnError::Keep), ("fire", OnError::Fire)]));
    let interval = fields.get("interval").and_then(|node| reader.interval(node));
    let incident_type = fields.get("incident_type").and_then(|node| reader.incident_type(node));
    let response = response(reader, &fields, &entry.key, set);
    let summary = fields.get("summary").and_then(|node| summary::read(walk, node));
    let impact = fields.get("impact").and_then(|node| summary::read(walk, node));
    let runbook_url = fields.get("runbook_url").and_then(|node| link::read_any(walk, node));
    let labels = fields.get("labels").map_or_else(Labels::empty, |node| threshold::labels(walk, node));
    let group_by = fields.get("group_by").map_or(GroupBy::Subject, |node| group_by(reader, node));
    let window = |key: &str, default: &[Arc<str>]| {
        names(reader, &fields, key, set).unwrap_or_else(|| default.to_vec())
    };
    let mute_time_intervals = window("mute_time_intervals", &windows.mute);
    let active_time_intervals = window("active_time_intervals", &windows.active);
    let keep_firing_for = duration("keep_firing_for").unwrap_or_default();
    let no_data_after = duration("no_data_after").unwrap_or(NO_DATA_AFTER);
    let Some(metric) = metric else { return };
    let owner = Owner { metric: &entry.key, span: entry.key_span, unit: metric.unit };
    let Some((thresholds, overrides)) = threshold::read(walk, &fields, owner) else { return };
    let id = RuleId::from(format!("monitoring/{group}/{}", entry.key));
    let interval = interval.unwrap_or(reader.settings.evaluation.interval);
    let rule = Rule {
        id: id.clone(),
        name: entry.key.clone(),
        query: ask(&mut set.queries, &metric.query, interval),
        unit: metric.unit,
        condition: Condition::Threshold(thresholds),
        overrides,
        keep_firing_for,
        on_no_data: on_no_data.unwrap_or(OnNoData::Keep),
        no_data_after,
        on_error: on_error.unwrap_or(OnError::Keep),
        incident_type: incident_type.unwrap_or_else(|| IncidentTypeName::from(DEFAULT_INCIDENT_TYPE)),
        response,
        group_by,
        labels,
        summary,
        impact,
        runbook_url,
        mute_time_intervals,
        active_time_intervals,
        source: walk.source_of(entry.key_span),
    };
    put(set, id, rule);
}

fn response(reader: &Reader<'_>, fields: &Fields<'_>, metric: &str, set: &RuleSet) -> Option<Arc<str>> {
    let Some(node) = fields.get("response") else { return fitting(metric, set.responses.keys()) };
    let name = reader.walk.text(node)?;
    if set.responses.contains_key(name) {
        return Some(name.clone());
    }
    reader
        .walk
        .error(Code::UnknownResponse, node.span, format!("there is no alert response `{name}`"))
        .expected("expected a name of `alert_responses`")
        .maybe_help(suggestion(name, set.responses.keys().map(AsRef::as_ref)));
    None
}

fn group_by(reader: &Reader<'_>, node: &Node) -> GroupBy {
    let walk = reader.walk;
    let names = walk.list(node).iter().filter_map(|item| {
        let name = walk.text(item)?;
        if !is_label_name(name) {
            walk.error(Code::BadValue, item.span, format!("`{name}` cannot name a label"))
                .expected("expected letters, digits and `_`");
            return None;
        }
        Some(name.clone())
    });
    GroupBy::Labels(names.collect())
}
