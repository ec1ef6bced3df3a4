//! `scale_out_strategy`: the runbook's 6.3 and what it acts on. Owns the way from a trigger's name to its metric and
//! axis; scales nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::metrics::Catalogue;
use super::{Reader, ask};
use crate::config::diagnostic::Code;
use crate::config::promql;
use crate::config::tree::{Entry, Node, Span, Value};
use crate::config::walk::Walk;
use crate::domain::name::{QueryId, TargetId, TriggerName};
use crate::domain::quantity::{Step, Unit};
use crate::domain::rule::Query;
use crate::domain::scaling::{Axis, AxisPolicy, Policy, Target, Trigger, VerticalMode};

const TARGET_KEYS: &[&str] = &[
    "service",
    "namespace",
    "kind",
    "name",
    "min_replicas",
    "max_replicas",
    "max_cpu",
    "max_memory",
    "ready_within",
    "health",
    "vertical",
];

/// Reads the strategy.
pub(super) fn read(
    reader: &Reader<'_>,
    node: &Node,
    catalogue: &Catalogue,
    queries: &mut BTreeMap<QueryId, Query>,
) -> Policy {
    let walk = reader.walk;
    let fields = walk.fields(node, &["triggers", "actions", "sustained", "targets"]);
    let actions = fields.get("actions").map(|node| walk.fields(node, &["horizontal", "vertical"]));
    let axis_policy = |axis: Axis| {
        let node = actions.as_ref().and_then(|fields| fields.get(axis.as_str()))?;
        axis_policy(walk, node, axis)
    };
    let (horizontal, vertical) = (axis_policy(Axis::Horizontal), axis_policy(Axis::Vertical));
    let has_step = |axis: Axis| actions.as_ref().is_some_and(|fields| fields.get(axis.as_str()).is_some());
    let mut triggers = Vec::new();
    for entry in fields.get("triggers").map_or(&[][..], |node| walk.entries(node)) {
        let Some(trigger) = trigger(reader, entry, catalogue, queries) else { continue };
        if !has_step(trigger.axis) {
            walk.warning(
                Code::BadStep,
                entry.key_span,
                format!("`{}` asks for a {} step and there is none", entry.key, trigger.axis),
            )
            .expected("has no effect")
            .help(format!("add {} to `actions`", trigger.axis));
        }
        triggers.push(trigger);
    }
    let sustained = fields.get("sustained").and_then(|node| walk.duration(node));
    let items = fields.get("targets").map_or(&[][..], |node| walk.list(node));
    let mut seen: HashMap<TargetId, Span> = HashMap::new();
    let mut targets = Vec::new();
    for item in items {
        let Some(target) = target(reader, item, queries) else { continue };
        if let Some(first) = seen.insert(target.id.clone(), item.span) {
            walk.error(
                Code::DuplicateName,
                item.span,
                format!("the workload {} is a target twice", target.id),
            )
            .expected("the second target")
            .other(first);
            continue;
        }
        targets.push(target);
    }
    let sustained = sustained.unwrap_or(Duration::from_secs(5 * 60));
    Policy { triggers, horizontal, vertical, sustained, targets }
}

fn axis_policy(walk: &Walk<'_>, node: &Node, axis: Axis) -> Option<AxisPolicy> {
    let fields = walk.fields(node, &["step", "cool_down"]);
    let example = match axis {
        Axis::Horizontal => "+2 replicas",
        Axis::Vertical => "+25% resources",
    };
    let step_node = walk.required(&fields, "step", fields.span, &format!("step: {example}"));
    let step = step_node.and_then(|node| step(walk, node, axis, example));
    let cool_down = walk.required(&fields, "cool_down", fields.span, "cool_down: 10m");
    let cool_down = cool_down.and_then(|node| walk.duration(node));
    Some(AxisPolicy { step: step?, cool_down: cool_down? })
}

fn step(walk: &Walk<'_>, node: &Node, axis: Axis, example: &str) -> Option<Step> {
    let text = walk.text(node)?;
    let step = Step::parse(text);
    let fits = match (step, axis) {
        (Some(Step::Replicas(_)), Axis::Horizontal) | (Some(Step::Resources(_)), Axis::Vertical) => true,
        (Some(_), _) => {
            walk.error(Code::BadStep, node.span, format!("`{text}` is no {axis} step"))
                .expected(format!("expected a step such as {example}"));
            false
        }
        (None, _) => {
            walk.error(Code::BadStep, node.span, format!("`{text}` is not a step"))
                .expected(format!("expected a step such as {example}"));
            false
        }
    };
    step.filter(|_| fits)
}

/// `cpu_sustained: 70%`, or a map with `threshold`, `axis` and `metric`.
fn trigger(
    reader: &Reader<'_>,
    entry: &Entry,
    catalogue: &Catalogue,
    queries: &mut BTreeMap<QueryId, Query>,
) -> Option<Trigger> {
    let walk = reader.walk;
    let mut threshold = Some(&entry.value);
    let (mut axis, mut explicit) = (None, None);
    if let Value::Map(_) = &entry.value.value {
        let fields = walk.fields(&entry.value, &["threshold", "axis", "metric"]);
        threshold = walk.required(&fields, "threshold", fields.span, "threshold: 70%");
        let words = Axis::ALL.map(|axis| (axis.as_str(), axis));
        axis = fields.get("axis").and_then(|node| walk.word(node, &words));
        explicit = fields.get("metric").and_then(|node| Some((walk.text(node)?.clone(), node.span)));
    }
    let (metric, span) = explicit.unwrap_or_else(|| (metric_of(&entry.key, catalogue), entry.key_span));
    let found = catalogue.get(walk, &metric, span)?;
    let threshold = walk.quantity_of(threshold?, found.unit, &format!("`{metric}`"))?;
    let usual = if metric.starts_with("memory") { Axis::Vertical } else { Axis::Horizontal };
    Some(Trigger {
        name: TriggerName::from(entry.key.clone()),
        query: ask(queries, &found.query, reader.settings.evaluation.interval),
        unit: found.unit,
        axis: axis.unwrap_or(usual),
        threshold,
        metric,
    })
}

/// `cpu_sustained` reads `cpu_usage`, `response_time` itself.
fn metric_of(trigger: &Arc<str>, catalogue: &Catalogue) -> Arc<str> {
    let Some(stem) = trigger.strip_suffix("_sustained") else { return trigger.clone() };
    let names = [format!("{stem}_usage"), stem.to_owned()];
    let found = names.iter().find(|name| catalogue.find(name).is_some());
    found.unwrap_or(&names[0]).as_str().into()
}

fn target(reader: &Reader<'_>, node: &Node, queries: &mut BTreeMap<QueryId, Query>) -> Option<Target> {
    let walk = reader.walk;
    let fields = walk.fields(node, TARGET_KEYS);
    let service = walk.required(&fields, "service", node.span, "service: checkout");
    let service = service.and_then(|node| walk.text(node)).cloned();
    let object = |key: &str| fields.get(key).and_then(|node| object_name(walk, node));
    let (namespace, name) = (object("namespace"), object("name"));
    let kind = fields.get("kind").and_then(|node| kind(walk, node));
    let whole = |key: &str| fields.get(key).and_then(|node| walk.whole(node, 1, 10_000));
    let min_replicas = whole("min_replicas").unwrap_or(1);
    let max_replicas = whole("max_replicas").unwrap_or_else(|| min_replicas.max(10));
    if min_replicas > max_replicas {
        walk.error(
            Code::ImpossibleBounds,
            fields.key_span("min_replicas"),
            "more replicas at least than at most",
        )
        .expected("expected at most `max_replicas`")
        .other(fields.key_span("max_replicas"));
    }
    let amount = |key: &str, unit| fields.get(key).and_then(|node| walk.amount(node, unit));
    let modes = [
        ("in_place", VerticalMode::InPlace),
        ("template", VerticalMode::Template),
        ("in_place_then_template", VerticalMode::InPlaceThenTemplate),
    ];
    let vertical = fields.get("vertical").and_then(|node| walk.word(node, &modes));
    let (max_cpu, max_memory) = (amount("max_cpu", Unit::Cores), amount("max_memory", Unit::Bytes));
    let ready_within =
        fields.get("ready_within").and_then(|node| walk.duration_from(node, Duration::from_secs(1)));
    let health = fields.get("health").and_then(|node| health(reader, node));
    let health = health.map(|expr| ask(queries, &expr, reader.settings.evaluation.interval));
    let service = service?;
    let id = TargetId {
        namespace: namespace.unwrap_or_else(|| "default".into()),
        kind: kind.unwrap_or_else(|| "Deployment".into()),
        name: name.unwrap_or_else(|| service.clone()),
    };
    Some(Target {
        id,
        service,
        min_replicas,
        max_replicas,
        max_cpu,
        max_memory,
        ready_within: ready_within.unwrap_or(Duration::from_secs(5 * 60)),
        health,
        vertical: vertical.unwrap_or(VerticalMode::InPlaceThenTemplate),
    })
}

/// `health: {query: …}`.
fn health(reader: &Reader<'_>, node: &Node) -> Option<Arc<str>> {
    let fields = reader.walk.fields(node, &["query"]);
    let query = reader.walk.required(&fields, "query", node.span, "query: up{job=\"shop\"}");
    query.and_then(|node| promql::read(reader.walk, node))
}

/// A name that Kubernetes accepts.
fn object_name(walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.text(node)?;
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fine = text.len() <= 253 && text.chars().all(inner) && text.starts_with(ends) && text.ends_with(ends);
    if !fine {
        walk.error(Code::BadValue, node.span, format!("`{text}` cannot name a Kubernetes object"))
            .expected("expected small letters, digits, `-` and `.`");
        return None;
    }
    Some(text.clone())
}

fn kind(walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.text(node)?;
    let fine =
        text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    if !fine {
        let near =
            crate::config::suggest::nearest(text, ["Deployment", "StatefulSet", "ReplicaSet"].into_iter());
        walk.error(Code::BadValue, node.span, format!("`{text}` is no kind of workload"))
            .expected("expected a kind such as Deployment")
            .maybe_help(near.map(|near| format!("did you mean `{near}`?")));
        return None;
    }
    Some(text.clone())
}
