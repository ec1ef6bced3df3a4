//! `alert_responses`: the runbook's 4.2. Owns reading a step, a sentence or a map; runs none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Reader, link};
use crate::config::diagnostic::Code;
use crate::config::promql;
use crate::config::tree::{Node, Value};
use crate::config::walk::Walk;
use crate::domain::response::{PlanStep, ResponsePlan, StepRun};
use crate::domain::scaling::Axis;

/// Reads every response.
pub(super) fn read(reader: &Reader<'_>, node: &Node) -> BTreeMap<Arc<str>, ResponsePlan> {
    let walk = reader.walk;
    let plan = |node: &Node| {
        let fields = walk.fields(node, &["diagnosis", "actions"]);
        if fields.is_empty() {
            walk.error(Code::MissingKey, node.span, "the response has no steps")
                .expected("expected `diagnosis` or `actions`");
        }
        let steps = |key: &str| {
            let items = fields.get(key).map_or(&[][..], |node| walk.list(node));
            items.iter().filter_map(|item| step(reader, item)).collect()
        };
        ResponsePlan { diagnosis: steps("diagnosis"), actions: steps("actions") }
    };
    walk.entries(node).iter().map(|entry| (entry.key.clone(), plan(&entry.value))).collect()
}

fn step(reader: &Reader<'_>, node: &Node) -> Option<PlanStep> {
    let walk = reader.walk;
    if let Value::Scalar(_) = &node.value {
        return Some(PlanStep { text: walk.text(node)?.clone(), run: None });
    }
    let fields = walk.fields(node, &["step", "query", "logs", "http", "events", "link", "scale"]);
    let axes = Axis::ALL.map(|axis| (axis.as_str(), axis));
    let hosts = &reader.settings.allowed_hosts;
    let mut runs = Vec::new();
    for key in ["query", "logs", "http", "events", "link", "scale"] {
        let Some(node) = fields.get(key) else { continue };
        let run = match key {
            "query" => promql::read(walk, node).map(StepRun::Query),
            "logs" => subject_or_text(walk, node).map(StepRun::Logs),
            "http" => link::read_allowed(walk, node, hosts).map(StepRun::Http),
            "events" => subject_or_text(walk, node).map(StepRun::Events),
            "link" => link::read_allowed(walk, node, hosts).map(StepRun::Link),
            _ => walk.word(node, &axes).map(StepRun::Scale),
        };
        runs.push((key, run));
    }
    if let [_, (second, _), ..] = runs.as_slice() {
        walk.error(Code::BadValue, fields.key_span(second), "a step runs one thing")
            .expected("expected a step of its own");
        return None;
    }
    let text = walk.required(&fields, "step", node.span, "step: Check system load")?;
    Some(PlanStep { text: walk.text(text)?.clone(), run: runs.pop().and_then(|(_, run)| run) })
}

/// A text, or nothing where the subject itself is meant.
fn subject_or_text(walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
    match &node.value {
        Value::Null => Some("".into()),
        Value::Scalar(text) if text.trim().is_empty() => Some("".into()),
        _ => walk.text(node).cloned(),
    }
}
