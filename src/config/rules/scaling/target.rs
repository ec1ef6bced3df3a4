//! `targets`: the workloads that are scaled, their bounds and the policies for the checks before a step. Owns their keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::schedule;
use super::workload::{kind, object_name};
use crate::config::diagnostic::Code;
use crate::config::promql;
use crate::config::rules::{Reader, ask};
use crate::config::tree::{Node, Span};
use crate::config::walk::Fields;
use crate::domain::name::{QueryId, TargetId};
use crate::domain::quantity::Unit;
use crate::domain::rule::Query;
use crate::domain::scaling::{Connections, Headroom, Limits, OnUnknown, OtherOwner, Target, VerticalMode};
use crate::domain::time_interval::TimeInterval;

const KEYS: &[&str] = &[
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
    "other_owner",
    "headroom",
    "on_unknown",
    "connections",
    "schedule",
];

/// A target, and where its parts stand for whoever compares it with others.
pub(super) struct Written {
    pub(super) target: Target,
    pub(super) span: Span,
    pub(super) min: Span,
    pub(super) max: Span,
    /// Where the most of what it shares stands.
    pub(super) shared: Option<Span>,
}

/// Reads one target.
pub(super) fn read(
    reader: &Reader<'_>,
    node: &Node,
    intervals: &BTreeMap<Arc<str>, TimeInterval>,
    queries: &mut BTreeMap<QueryId, Query>,
) -> Option<Written> {
    let walk = reader.walk;
    let fields = walk.fields(node, KEYS);
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
    let (max_cpu, max_memory) = (amount("max_cpu", Unit::Cores), amount("max_memory", Unit::Bytes));
    let ready_within =
        fields.get("ready_within").and_then(|node| walk.duration_from(node, Duration::from_secs(1)));
    let health = fields.get("health").and_then(|node| health(reader, node));
    let health = health.map(|expr| ask(queries, &expr, reader.settings.evaluation.interval));
    let connections = fields.get("connections").and_then(|node| connections(reader, node));
    let bounds = schedule::Bounds {
        min: min_replicas,
        max: max_replicas,
        min_span: fields.key_span("min_replicas"),
        max_span: fields.key_span("max_replicas"),
    };
    let schedule =
        fields.get("schedule").map_or_else(Vec::new, |node| schedule::read(walk, node, intervals, &bounds));
    let service = service?;
    let id = TargetId {
        namespace: namespace.unwrap_or_else(|| "default".into()),
        kind: kind.unwrap_or_else(|| "Deployment".into()),
        name: name.unwrap_or_else(|| service.clone()),
    };
    let (connections, shared) = connections.unzip();
    let target = Target {
        id,
        service,
        min_replicas,
        max_replicas,
        max_cpu,
        max_memory,
        ready_within: ready_within.unwrap_or(Duration::from_secs(5 * 60)),
        health,
        limits: limits(reader, &fields),
        connections,
        schedule,
    };
    let (min, max) = (bounds.min_span, bounds.max_span);
    Some(Written { target, span: node.span, min, max, shared })
}

/// The policies for the checks before a step.
fn limits(reader: &Reader<'_>, fields: &Fields<'_>) -> Limits {
    let walk = reader.walk;
    let modes = [
        ("in_place", VerticalMode::InPlace),
        ("template", VerticalMode::Template),
        ("in_place_then_template", VerticalMode::InPlaceThenTemplate),
    ];
    let owners = [
        ("refuse", OtherOwner::Refuse),
        ("warn", OtherOwner::Warn),
        ("raise_hpa_min", OtherOwner::RaiseHpaMin),
    ];
    let rooms = [("required", Headroom::Required), ("allow_pending", Headroom::AllowPending)];
    let unknowns = [("refuse", OnUnknown::Refuse), ("allow", OnUnknown::Allow)];
    let usual = Limits::default();
    Limits {
        vertical: fields.get("vertical").and_then(|node| walk.word(node, &modes)).unwrap_or(usual.vertical),
        other_owner: fields
            .get("other_owner")
            .and_then(|node| walk.word(node, &owners))
            .unwrap_or(usual.other_owner),
        headroom: fields.get("headroom").and_then(|node| walk.word(node, &rooms)).unwrap_or(usual.headroom),
        on_unknown: fields
            .get("on_unknown")
            .and_then(|node| walk.word(node, &unknowns))
            .unwrap_or(usual.on_unknown),
    }
}

/// `connections: {name: orders-db, per_replica: 20, max: 400}`.
fn connections(reader: &Reader<'_>, node: &Node) -> Option<(Connections, Span)> {
    let walk = reader.walk;
    let fields = walk.fields(node, &["name", "per_replica", "max"]);
    let name = fields.get("name").and_then(|node| walk.text(node)).cloned();
    let whole = |key: &str, example: &str| {
        let found = walk.required(&fields, key, node.span, example);
        found.and_then(|node| walk.whole(node, 1, 100_000_000))
    };
    let (per_replica, max) = (whole("per_replica", "per_replica: 20"), whole("max", "max: 400"));
    Some((Connections { name, per_replica: per_replica?, max: max? }, fields.key_span("max")))
}

/// `health: {query: …}`.
fn health(reader: &Reader<'_>, node: &Node) -> Option<Arc<str>> {
    let fields = reader.walk.fields(node, &["query"]);
    let query = reader.walk.required(&fields, "query", node.span, "query: up{job=\"shop\"}");
    query.and_then(|node| promql::read(reader.walk, node))
}
