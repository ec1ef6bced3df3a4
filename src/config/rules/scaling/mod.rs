//! `scale_out_strategy`: the runbook's 6.3 and what it acts on. Owns its keys and what contradicts each other across
//! them; scales nothing.

mod contradiction;
mod schedule;
mod target;
mod trigger;
mod workload;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use super::metrics::Catalogue;
use crate::config::diagnostic::Code;
use crate::config::tree::{Node, Span};
use crate::config::walk::{Fields, Walk};
use crate::domain::name::{QueryId, TargetId};
use crate::domain::quantity::{Step, Unit};
use crate::domain::rule::Query;
use crate::domain::scaling::{Axis, AxisChoice, AxisPolicy, Budget, Policy, ScaleIn, Trigger};
use crate::domain::time_interval::TimeInterval;

const KEYS: &[&str] =
    &["triggers", "actions", "sustained", "settle", "give_up_after", "budget", "scale_in", "targets"];

/// Reads the strategy.
pub(super) fn read(
    reader: &Reader<'_>,
    node: &Node,
    catalogue: &Catalogue,
    intervals: &BTreeMap<Arc<str>, TimeInterval>,
    queries: &mut BTreeMap<QueryId, Query>,
) -> Policy {
    let walk = reader.walk;
    let fields = walk.fields(node, KEYS);
    let actions = fields.get("actions").map(|node| walk.fields(node, &["horizontal", "vertical"]));
    let horizontal = read_axis(walk, actions.as_ref(), Axis::Horizontal);
    let vertical = read_axis(walk, actions.as_ref(), Axis::Vertical);
    let mut triggers = Vec::new();
    for entry in fields.get("triggers").map_or(&[][..], |node| walk.entries(node)) {
        let Some(trigger) = trigger::read(reader, entry, catalogue, queries) else { continue };
        warn_without_step(walk, actions.as_ref(), &trigger, entry.key_span);
        triggers.push(trigger);
    }
    let span = |key: &str| fields.get(key).and_then(|node| walk.duration(node));
    let (sustained, settle) = (span("sustained"), span("settle"));
    let give_up_after = fields.get("give_up_after").and_then(|node| walk.whole(node, 0, 1_000));
    let budget = fields.get("budget").and_then(|node| budget(walk, node));
    let scale_in = fields.get("scale_in").map(|node| scale_in(walk, node));
    let items = fields.get("targets").map_or(&[][..], |node| walk.list(node));
    let mut seen: HashMap<TargetId, Span> = HashMap::new();
    let mut targets = Vec::new();
    for item in items {
        let Some(written) = target::read(reader, item, intervals, queries) else { continue };
        if let Some(first) = seen.insert(written.target.id.clone(), item.span) {
            walk.error(
                Code::DuplicateName,
                item.span,
                format!("the workload {} is a target twice", written.target.id),
            )
            .expected("the second target")
            .other(first);
            continue;
        }
        targets.push(written);
    }
    contradiction::find(walk, &targets, horizontal.as_ref(), budget.as_ref(), scale_in.as_ref());
    Policy {
        triggers,
        horizontal: horizontal.map(|(policy, _)| policy),
        vertical: vertical.map(|(policy, _)| policy),
        sustained: sustained.unwrap_or(Duration::from_secs(5 * 60)),
        settle: settle.unwrap_or(Duration::from_secs(3 * 60)),
        give_up_after: give_up_after.unwrap_or(3),
        budget: budget.map(|(budget, _)| budget),
        scale_in: scale_in.map(|(scale_in, _)| scale_in),
        targets: targets.into_iter().map(|written| written.target).collect(),
    }
}

/// A trigger that asks for a step which the strategy does not have.
fn warn_without_step(walk: &Walk<'_>, actions: Option<&Fields<'_>>, trigger: &Trigger, span: Span) {
    let has_step = |axis: Axis| actions.is_some_and(|fields| fields.get(axis.as_str()).is_some());
    let missing = match trigger.axis {
        AxisChoice::Only(axis) => Some(axis).filter(|axis| !has_step(*axis)),
        AxisChoice::Auto => Axis::ALL.iter().all(|axis| !has_step(*axis)).then_some(Axis::Horizontal),
    };
    let Some(axis) = missing else { return };
    walk.warning(Code::BadStep, span, format!("`{}` asks for a {axis} step and there is none", trigger.name))
        .expected("has no effect")
        .help(format!("add {axis} to `actions`"));
}

/// `budget: {steps: 5, per: 10m, cores: 16}`.
fn budget(walk: &Walk<'_>, node: &Node) -> Option<(Budget, Span)> {
    let fields = walk.fields(node, &["steps", "per", "cores"]);
    let steps = fields.get("steps").and_then(|node| walk.whole(node, 1, 10_000));
    let cores = fields.get("cores").and_then(|node| walk.amount(node, Unit::Cores));
    if fields.get("steps").is_none() && fields.get("cores").is_none() {
        walk.missing(node.span, "steps", "steps: 5");
    }
    let per = walk.required(&fields, "per", node.span, "per: 10m");
    let per = per.and_then(|node| walk.duration_from(node, Duration::from_secs(1)))?;
    Some((Budget { steps, cores, per }, fields.key_span("cores")))
}

/// `scale_in: {step: 1, stabilize: 30m, cool_down: 10m}`.
fn scale_in(walk: &Walk<'_>, node: &Node) -> (ScaleIn, Span) {
    let fields = walk.fields(node, &["step", "stabilize", "cool_down"]);
    let step = fields.get("step").and_then(|node| walk.whole(node, 1, 10_000)).unwrap_or(1);
    let span = |key: &str, least: u64| {
        fields.get(key).and_then(|node| walk.duration_from(node, Duration::from_secs(least)))
    };
    let stabilize = span("stabilize", 60).unwrap_or(Duration::from_secs(30 * 60));
    let cool_down = span("cool_down", 1).unwrap_or(Duration::from_secs(10 * 60));
    (ScaleIn { step, stabilize, cool_down }, fields.key_span("step"))
}

fn read_axis(walk: &Walk<'_>, actions: Option<&Fields<'_>>, axis: Axis) -> Option<(AxisPolicy, Span)> {
    let node = actions?.get(axis.as_str())?;
    Some((axis_policy(walk, node, axis)?, node.span))
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
