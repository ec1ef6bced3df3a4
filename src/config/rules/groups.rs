//! `groups`: Prometheus rule files as they are. Owns what of them is taken, what is left out with a warning, and the
//! severity that their labels mean.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::monitoring::{DEFAULT_INCIDENT_TYPE, NO_DATA_AFTER};
use super::{Reader, annotation, ask, fitting, is_label_name, link, put};
use crate::config::diagnostic::Code;
use crate::config::promql;
use crate::config::tree::{Node, Span};
use crate::config::walk::Fields;
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentTypeName, RuleId};
use crate::domain::quantity::Unit;
use crate::domain::rule::{Condition, GroupBy, OnError, OnNoData, Rule, RuleSet};
use crate::domain::severity::Severity;

const GROUP_KEYS: &[&str] =
    &["name", "interval", "limit", "query_offset", "labels", "rules", "partial_response_strategy"];
const RULE_KEYS: &[&str] = &["alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"];

/// Reads every group into the set.
pub(super) fn read(reader: &Reader<'_>, node: &Node, set: &mut RuleSet) {
    let mut named: HashMap<(usize, Arc<str>), Span> = HashMap::new();
    let mut count: HashMap<String, usize> = HashMap::new();
    for item in reader.walk.list(node) {
        group(reader, item, set, &mut named, &mut count);
    }
}

fn group(
    reader: &Reader<'_>,
    node: &Node,
    set: &mut RuleSet,
    named: &mut HashMap<(usize, Arc<str>), Span>,
    count: &mut HashMap<String, usize>,
) {
    let walk = reader.walk;
    let fields = walk.fields(node, GROUP_KEYS);
    let interval = fields.get("interval").and_then(|node| reader.interval(node));
    let interval = interval.unwrap_or(reader.settings.evaluation.interval);
    if let Some(node) = fields.get("limit") {
        walk.whole(node, 0, u32::MAX);
    }
    if let Some(node) = fields.get("query_offset")
        && walk.duration(node).is_some_and(|offset| !offset.is_zero())
    {
        walk.warning(Code::NotSupported, node.span, "`query_offset` is not applied")
            .expected("queries ask for the present");
    }
    let labels = fields.get("labels").map_or_else(Labels::empty, |node| rule_labels(reader, node));
    let name = walk.required(&fields, "name", node.span, "name: shop");
    let name = name.and_then(|node| walk.text(node).map(|name| (name.clone(), node.span)));
    if let Some((name, span)) = &name
        && let Some(first) = named.insert((span.file, name.clone()), *span)
    {
        walk.error(Code::DuplicateName, *span, format!("two groups of this file are called `{name}`"))
            .expected("expected another name")
            .other(first);
    }
    let name = name.map_or_else(|| Arc::from("unnamed"), |(name, _)| name);
    let context = Group { name, interval, labels };
    for item in fields.get("rules").map_or(&[][..], |node| walk.list(node)) {
        rule(reader, item, &context, set, count);
    }
}

/// What a group gives its rules.
struct Group {
    name: Arc<str>,
    interval: Duration,
    labels: Labels,
}

fn rule(
    reader: &Reader<'_>,
    node: &Node,
    group: &Group,
    set: &mut RuleSet,
    count: &mut HashMap<String, usize>,
) {
    let walk = reader.walk;
    let fields = walk.fields(node, RULE_KEYS);
    let expr = walk.required(&fields, "expr", node.span, "expr: up == 0");
    let expr = expr.and_then(|node| promql::read(walk, node));
    if fields.get("record").is_some() {
        if fields.get("alert").is_some() {
            walk.error(Code::BadValue, fields.key_span("record"), "a rule either records or alerts")
                .expected("expected one of `record` and `alert`");
            return;
        }
        walk.warning(Code::RecordingRule, fields.key_span("record"), "recording rules are not evaluated")
            .expected("left out")
            .help("leave it to Prometheus; its result can be queried here");
        return;
    }
    let Some(alert) = walk.required(&fields, "alert", node.span, "alert: InstanceDown") else { return };
    let name = walk.text(alert).cloned();
    let duration = |key: &str| fields.get(key).and_then(|node| walk.duration(node)).unwrap_or_default();
    let (hold, keep_firing_for) = (duration("for"), duration("keep_firing_for"));
    let own = fields.get("labels").map_or_else(Labels::empty, |node| rule_labels(reader, node));
    let labels = group.labels.with(own.iter());
    let notes = annotations(reader, &fields);
    let (Some(name), Some(expr)) = (name, expr) else { return };
    let severity = severity(reader, &fields, &name, alert.span, &labels);
    let base = format!("{}/{name}", group.name);
    let number = count.entry(base.clone()).and_modify(|number| *number += 1).or_insert(1);
    let id = RuleId::from(if *number == 1 { base } else { format!("{base}/{number}") });
    let response = set.responses.get_key_value(&name).map(|(name, _)| name.clone());
    let rule = Rule {
        id: id.clone(),
        response: response.or_else(|| fitting(&name, set.responses.keys())),
        name,
        query: ask(&mut set.queries, &expr, group.interval),
        unit: Unit::Count,
        condition: Condition::Presence { severity, hold },
        overrides: Vec::new(),
        keep_firing_for,
        on_no_data: OnNoData::Keep,
        no_data_after: NO_DATA_AFTER,
        on_error: OnError::Keep,
        incident_type: IncidentTypeName::from(DEFAULT_INCIDENT_TYPE),
        group_by: GroupBy::Subject,
        labels,
        summary: notes.summary,
        impact: notes.impact,
        runbook_url: notes.runbook_url,
        mute_time_intervals: Vec::new(),
        active_time_intervals: Vec::new(),
        source: walk.source_of(alert.span),
    };
    put(set, id, rule);
}

/// The severity that the rule's labels mean.
fn severity(reader: &Reader<'_>, fields: &Fields<'_>, alert: &str, span: Span, labels: &Labels) -> Severity {
    let word = labels.get("severity");
    if let Some(severity) = word.and_then(Severity::parse) {
        return severity;
    }
    let (message, span) = match word {
        Some(word) => (format!("the severity `{word}` of `{alert}` is not known"), fields.key_span("labels")),
        None => (format!("`{alert}` has no label `severity`"), span),
    };
    reader
        .walk
        .warning(Code::NoSeverity, span, message)
        .expected("taken as a warning")
        .help("known are critical, page, error, warning, ticket and their like");
    Severity::Warning
}

/// Labels of a rule; what Prometheus would expand in them is kept as text.
fn rule_labels(reader: &Reader<'_>, node: &Node) -> Labels {
    let walk = reader.walk;
    let mut pairs: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    for entry in walk.entries(node) {
        if !is_label_name(&entry.key) {
            walk.error(Code::BadValue, entry.key_span, format!("`{}` cannot name a label", entry.key))
                .expected("expected letters, digits and `_`");
            continue;
        }
        let Some(text) = entry.value.text() else {
            if !entry.value.is_null() {
                walk.wrong_type(&entry.value, &entry.value.value, "a text");
            }
            continue;
        };
        if annotation::is_template(text) {
            walk.warning(Code::BadTemplate, entry.value.span, "templates in labels are not filled")
                .expected("kept as text");
        }
        pairs.push((entry.key.clone(), text.into()));
    }
    Labels::new(pairs)
}

/// What is taken of a rule's annotations.
#[derive(Default)]
struct Notes {
    summary: Option<crate::domain::rule::SummaryTemplate>,
    impact: Option<crate::domain::rule::SummaryTemplate>,
    runbook_url: Option<Arc<str>>,
}

/// `summary` says what, `description` what it means; either serves alone. Other annotations are for other programs.
fn annotations(reader: &Reader<'_>, fields: &Fields<'_>) -> Notes {
    let Some(node) = fields.get("annotations") else { return Notes::default() };
    let walk = reader.walk;
    let entries = walk.entries(node);
    let find = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key.as_ref() == key);
        entry
            .map(|entry| &entry.value)
            .filter(|value| value.text().is_some_and(|text| !text.trim().is_empty()))
    };
    let read = |key: &str| find(key).and_then(|node| annotation::read(walk, node));
    let summary = read("summary");
    let description = read("description").or_else(|| read("message"));
    let runbook_url = find("runbook_url").and_then(|node| {
        let text = node.text()?;
        if annotation::is_template(text) {
            walk.warning(Code::BadTemplate, node.span, "templates in `runbook_url` are not filled")
                .expected("left out");
            return None;
        }
        link::read_any(walk, node)
    });
    let (summary, impact) = match (summary, description) {
        (None, only) => (only, None),
        (some, other) => (some, read("impact").or(other)),
    };
    Notes { summary, impact, runbook_url }
}
