//! `triggers`: what asks for capacity. Owns the way from a trigger's name to its metric and axis.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::diagnostic::Code;
use crate::config::rules::metrics::Catalogue;
use crate::config::rules::{Reader, ask};
use crate::config::tree::{Entry, Node, Value};
use crate::domain::name::{QueryId, TriggerName};
use crate::domain::rule::Query;
use crate::domain::scaling::{Axis, AxisChoice, Trigger};

/// `cpu_sustained: 70%`, or a map with `threshold`, `clear`, `axis` and `metric`.
pub(super) fn read(
    reader: &Reader<'_>,
    entry: &Entry,
    catalogue: &Catalogue,
    queries: &mut BTreeMap<QueryId, Query>,
) -> Option<Trigger> {
    let walk = reader.walk;
    let mut threshold: Option<&Node> = Some(&entry.value);
    let (mut axis, mut explicit, mut clear) = (None, None, None);
    if let Value::Map(_) = &entry.value.value {
        let fields = walk.fields(&entry.value, &["threshold", "clear", "axis", "metric"]);
        threshold = walk.required(&fields, "threshold", fields.span, "threshold: 70%");
        let words = [
            ("horizontal", AxisChoice::Only(Axis::Horizontal)),
            ("vertical", AxisChoice::Only(Axis::Vertical)),
            ("auto", AxisChoice::Auto),
        ];
        axis = fields.get("axis").and_then(|node| walk.word(node, &words));
        explicit = fields.get("metric").and_then(|node| Some((walk.text(node)?.clone(), node.span)));
        clear = fields.get("clear");
    }
    let (metric, span) = explicit.unwrap_or_else(|| (metric_of(&entry.key, catalogue), entry.key_span));
    let found = catalogue.get(walk, &metric, span)?;
    let node = threshold?;
    let threshold = walk.quantity_of(node, found.unit, &format!("`{metric}`"))?;
    let own_clear =
        clear.and_then(|node| Some((walk.quantity_of(node, found.unit, &format!("`{metric}`"))?, node)));
    if let Some((value, clear)) = own_clear
        && value >= threshold
    {
        walk.error(Code::ImpossibleThreshold, clear.span, "what is clear would still ask for more")
            .expected("expected less than the threshold")
            .other(node.span);
    }
    let usual = if metric.starts_with("memory") { Axis::Vertical } else { Axis::Horizontal };
    Some(Trigger {
        name: TriggerName::from(entry.key.clone()),
        query: ask(queries, &found.query, reader.settings.evaluation.interval),
        unit: found.unit,
        axis: axis.unwrap_or(AxisChoice::Only(usual)),
        threshold,
        clear: own_clear.map_or(threshold / 2.0, |(value, _)| value),
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
