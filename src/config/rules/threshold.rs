//! Thresholds as files write them: `warning`, `critical`, `for`, `clear`, `direction` and `overrides`. Owns the rules
//! by which they must fit together; compares no value.

use std::time::Duration;

use super::is_label_name;
use crate::config::diagnostic::Code;
use crate::config::tree::{Node, Span, Value};
use crate::config::walk::{Fields, Walk};
use crate::domain::labels::Labels;
use crate::domain::quantity::Unit;
use crate::domain::rule::{Direction, Override, Threshold, Thresholds};

/// What was written, before it is known to fit together.
#[derive(Default, Clone, Copy)]
struct Written {
    warning: Option<(f64, Span)>,
    critical: Option<(f64, Span)>,
    clear: Option<(f64, Span)>,
    hold: Hold,
    /// A part could not be read: it was noted, the rest cannot be judged.
    broken: bool,
}

#[derive(Default, Clone, Copy)]
struct Hold {
    warning: Option<Duration>,
    critical: Option<Duration>,
}

/// Whose thresholds they are.
#[derive(Clone, Copy)]
pub(super) struct Owner<'a> {
    /// The metric's name.
    pub(super) metric: &'a str,
    /// Where the name stands.
    pub(super) span: Span,
    /// The metric's unit.
    pub(super) unit: Unit,
}

/// Reads the thresholds of a rule and its overrides.
pub(super) fn read(
    walk: &Walk<'_>,
    fields: &Fields<'_>,
    owner: Owner<'_>,
) -> Option<(Thresholds, Vec<Override>)> {
    let direction = fields
        .get("direction")
        .map(|node| walk.word(node, &[("above", Direction::Above), ("below", Direction::Below)]));
    let written = written(walk, fields, owner);
    if written.warning.is_none() && written.critical.is_none() && !written.broken {
        walk.error(
            Code::MissingKey,
            owner.span,
            format!("`{}` has neither `warning` nor `critical`", owner.metric),
        )
        .expected("expected at least one threshold");
        return None;
    }
    if written.broken || direction == Some(None) {
        // The overrides are still looked at for what they say themselves.
        if let Some(node) = fields.get("overrides") {
            for item in walk.list(node) {
                override_fields(walk, item, owner);
            }
        }
        return None;
    }
    let thresholds = fit(walk, written, direction.flatten())?;
    let overrides = fields.get("overrides").map_or(&[][..], |node| walk.list(node));
    let overrides =
        overrides.iter().filter_map(|item| one_override(walk, item, owner, written, thresholds)).collect();
    Some((thresholds, overrides))
}

fn written(walk: &Walk<'_>, fields: &Fields<'_>, owner: Owner<'_>) -> Written {
    let what = format!("`{}`", owner.metric);
    let mut broken = false;
    let mut value = |key: &str| {
        let node = fields.get(key)?;
        let value = walk.quantity_of(node, owner.unit, &what).map(|value| (value, node.span));
        broken |= value.is_none();
        value
    };
    let (warning, critical, clear) = (value("warning"), value("critical"), value("clear"));
    let hold = fields.get("for").map(|node| hold(walk, node)).unwrap_or_default();
    Written { warning, critical, clear, hold, broken }
}

/// `for: 5m`, or `for: {warning: 10m, critical: 2m}`.
fn hold(walk: &Walk<'_>, node: &Node) -> Hold {
    match &node.value {
        Value::Map(_) => {
            let fields = walk.fields(node, &["warning", "critical"]);
            let of = |key: &str| fields.get(key).and_then(|node| walk.duration(node));
            Hold { warning: of("warning"), critical: of("critical") }
        }
        Value::Scalar(_) | Value::List(_) | Value::Null => {
            let both = walk.duration(node);
            Hold { warning: both, critical: both }
        }
    }
}

/// Brings the parts together, or says which contradict each other.
fn fit(walk: &Walk<'_>, written: Written, direction: Option<Direction>) -> Option<Thresholds> {
    let direction = match (written.warning, written.critical) {
        (Some((warning, warning_span)), Some((critical, span))) => {
            if warning == critical {
                walk.error(Code::ImpossibleThreshold, span, "`warning` and `critical` are the same value")
                    .expected("expected another value than the warning's")
                    .other(warning_span)
                    .help("leave one of the two out");
                return None;
            }
            let natural = if warning < critical { Direction::Above } else { Direction::Below };
            if direction.is_some_and(|asked| asked != natural) {
                let (word, order) = match natural {
                    Direction::Above => ("below", "greater"),
                    Direction::Below => ("above", "less"),
                };
                walk.error(
                    Code::ImpossibleThreshold,
                    warning_span,
                    format!("with `direction: {word}` the warning would come after the critical alert"),
                )
                .expected(format!("expected a warning {order} than the critical threshold"))
                .other(span);
                return None;
            }
            natural
        }
        _ => direction.unwrap_or(Direction::Above),
    };
    let (first, first_span) = written.warning.or(written.critical)?;
    let clear = match written.clear {
        Some((clear, span)) if direction.is_beyond(clear, first) => {
            let side = if direction == Direction::Above { "at or below" } else { "at or above" };
            walk.error(Code::ImpossibleThreshold, span, "an alert would clear while it still breaches")
                .expected(format!("expected a value {side} the first threshold"))
                .other(first_span);
            return None;
        }
        Some((clear, _)) => clear,
        None => first,
    };
    let threshold = |value: Option<(f64, Span)>, hold: Option<Duration>| {
        value.map(|(value, _)| Threshold { value, hold: hold.unwrap_or(Duration::ZERO) })
    };
    Some(Thresholds {
        direction,
        warning: threshold(written.warning, written.hold.warning),
        critical: threshold(written.critical, written.hold.critical),
        clear,
    })
}

fn override_fields<'n>(walk: &Walk<'_>, item: &'n Node, owner: Owner<'_>) -> (Fields<'n>, Written) {
    let fields = walk.fields(item, &["match", "warning", "critical", "for", "clear"]);
    let own = written(walk, &fields, owner);
    (fields, own)
}

fn one_override(
    walk: &Walk<'_>,
    item: &Node,
    owner: Owner<'_>,
    rule: Written,
    thresholds: Thresholds,
) -> Option<Override> {
    let (fields, own) = override_fields(walk, item, owner);
    let matching = fields.get("match").map(|node| labels(walk, node));
    let Some(matching) = matching.filter(|labels| !labels.is_empty()) else {
        walk.error(
            Code::BadOverride,
            fields.key_span("match"),
            "an override without `match` would apply to all",
        )
        .expected("expected `match`, such as match: {tenant: acme}");
        return None;
    };
    if own.broken {
        return None;
    }
    let holds = own.hold.warning.is_some() || own.hold.critical.is_some();
    if own.warning.is_none() && own.critical.is_none() && own.clear.is_none() && !holds {
        walk.error(Code::BadOverride, item.span, "the override changes nothing")
            .expected("expected `warning`, `critical`, `for` or `clear`");
        return None;
    }
    let warning = own.warning.or(rule.warning);
    let critical = own.critical.or(rule.critical);
    // The rule's own clear level serves as long as it makes sense under the new thresholds.
    let first = warning.or(critical).map(|(value, _)| value);
    let inherited = rule
        .clear
        .filter(|(clear, _)| first.is_some_and(|first| !thresholds.direction.is_beyond(*clear, first)));
    let hold = Hold {
        warning: own.hold.warning.or(rule.hold.warning),
        critical: own.hold.critical.or(rule.hold.critical),
    };
    let merged = Written { warning, critical, clear: own.clear.or(inherited), hold, broken: false };
    let thresholds = fit(walk, merged, Some(thresholds.direction))?;
    Some(Override { matching, thresholds })
}

/// A map of label names to values.
pub(super) fn labels(walk: &Walk<'_>, node: &Node) -> Labels {
    let pairs = walk.entries(node).iter().filter_map(|entry| {
        if !is_label_name(&entry.key) {
            walk.error(Code::BadValue, entry.key_span, format!("`{}` cannot name a label", entry.key))
                .expected("expected letters, digits and `_`");
            return None;
        }
        Some((entry.key.clone(), walk.text(&entry.value)?.clone()))
    });
    Labels::new(pairs.collect::<Vec<_>>())
}
