//! `schedule`: bounds of a target's replicas by the calendar. Owns its keys and what contradicts the target's own bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::diagnostic::Code;
use crate::config::rules::intervals;
use crate::config::suggest::suggestion;
use crate::config::tree::{Node, Span, Value};
use crate::config::walk::Walk;
use crate::domain::scaling::Window;
use crate::domain::time_interval::TimeInterval;

/// The target's own bounds, and where they stand.
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) min_span: Span,
    pub(super) max_span: Span,
}

/// Reads the windows: `[{floor: 6, ceiling: 12, when: business_hours}]`.
pub(super) fn read(
    walk: &Walk<'_>,
    node: &Node,
    known: &BTreeMap<Arc<str>, TimeInterval>,
    bounds: &Bounds,
) -> Vec<Window> {
    walk.list(node).iter().filter_map(|item| window(walk, item, known, bounds)).collect()
}

fn window(
    walk: &Walk<'_>,
    node: &Node,
    known: &BTreeMap<Arc<str>, TimeInterval>,
    bounds: &Bounds,
) -> Option<Window> {
    let fields = walk.fields(node, &["floor", "ceiling", "when"]);
    let whole = |key: &str| fields.get(key).and_then(|node| walk.whole(node, 1, 10_000));
    let (floor, ceiling) = (whole("floor"), whole("ceiling"));
    let when = walk.required(&fields, "when", node.span, "when: business_hours");
    let when = when.and_then(|node| interval(walk, node, known));
    if fields.get("floor").is_none() && fields.get("ceiling").is_none() {
        walk.missing(node.span, "floor", "floor: 6");
    }
    let (low, high) = (fields.key_span("floor"), fields.key_span("ceiling"));
    let against = |span: Span, message: &str, expected: &str, other: Span| {
        walk.error(Code::ImpossibleBounds, span, message).expected(expected).other(other);
    };
    match (floor, ceiling) {
        (Some(floor), Some(ceiling)) if floor > ceiling => {
            against(low, "the floor is above the ceiling", "expected at most `ceiling`", high);
        }
        _ => {}
    }
    if floor.is_some_and(|floor| floor > bounds.max) {
        against(
            low,
            "the floor is above what the target may have",
            "expected at most `max_replicas`",
            bounds.max_span,
        );
    }
    if ceiling.is_some_and(|ceiling| ceiling < bounds.min) {
        against(
            high,
            "the ceiling is below what the target must have",
            "expected at least `min_replicas`",
            bounds.min_span,
        );
    }
    Some(Window { floor, ceiling, when: when? })
}

/// A name of `time_intervals`, or an entry or a list of entries as they are written there.
fn interval(walk: &Walk<'_>, node: &Node, known: &BTreeMap<Arc<str>, TimeInterval>) -> Option<TimeInterval> {
    match &node.value {
        Value::Map(_) => {
            Some(TimeInterval { name: "inline".into(), entries: vec![intervals::entry(walk, node)] })
        }
        Value::List(_) => {
            Some(TimeInterval { name: "inline".into(), entries: intervals::entries(walk, node) })
        }
        Value::Scalar(_) | Value::Null => {
            let name = walk.text(node)?;
            let found = known.get(name).cloned();
            if found.is_none() {
                walk.error(Code::UnknownInterval, node.span, format!("there is no time interval `{name}`"))
                    .expected("expected a name of `time_intervals`")
                    .maybe_help(suggestion(name, known.keys().map(AsRef::as_ref)));
            }
            found
        }
    }
}
