//! `inhibit_rules`: which alerts hold which others back, as Alertmanager spells it. Owns the keys, the older ones too;
//! what a rule means for two alerts is the domain's.

use std::sync::Arc;

use crate::config::diagnostic::Code;
use crate::config::tree::Node;
use crate::config::walk::{Fields, Walk};
use crate::domain::inhibition::InhibitRule;
use crate::domain::matcher::{MatchOp, Matcher, MatcherError, Matchers};

const KEYS: &[&str] = &[
    "name",
    "source_matchers",
    "target_matchers",
    "equal",
    "source_match",
    "source_match_re",
    "target_match",
    "target_match_re",
];

/// Reads every rule.
pub(super) fn read(walk: &Walk<'_>, node: &Node) -> Vec<InhibitRule> {
    walk.list(node).iter().filter_map(|item| rule(walk, item)).collect()
}

fn rule(walk: &Walk<'_>, node: &Node) -> Option<InhibitRule> {
    let fields = walk.fields(node, KEYS);
    if let Some(name) = fields.get("name") {
        walk.text(name);
    }
    let source = side(walk, &fields, ["source_matchers", "source_match", "source_match_re"]);
    let target = side(walk, &fields, ["target_matchers", "target_match", "target_match_re"]);
    let equal = fields.get("equal").map_or_else(Vec::new, |node| walk.texts(node));
    Some(InhibitRule { source: source?, target: target?, equal, place: walk.source_of(node.span) })
}

/// The matchers of one side, from its three keys; `None` where there is none or one cannot be read.
fn side(walk: &Walk<'_>, fields: &Fields<'_>, keys: [&str; 3]) -> Option<Matchers> {
    let [matchers, plain, regex] = keys;
    let mut found = Vec::new();
    if let Some(node) = fields.get(matchers) {
        found.extend(walk.list(node).iter().map(|item| self::matchers(walk, item)));
    }
    for (key, op) in [(plain, MatchOp::Equal), (regex, MatchOp::Regex)] {
        if let Some(node) = fields.get(key) {
            let entries = walk.entries(node).iter();
            found.extend(entries.map(|entry| older(walk, &entry.key, op, &entry.value)));
        }
    }
    if found.is_empty() {
        let message = format!("without `{matchers}` the rule would speak of every alert");
        walk.error(Code::MissingKey, fields.span, message)
            .expected(format!("expected `{matchers}`, such as {matchers}: [severity=critical]"));
        return None;
    }
    let read: Option<Vec<Matchers>> = found.into_iter().collect();
    read.map(|list| list.into_iter().fold(Matchers::default(), Matchers::and))
}

/// Reads one text of matchers and notes a mistake at its byte.
fn matchers(walk: &Walk<'_>, node: &Node) -> Option<Matchers> {
    let text = walk.text(node)?;
    let MatcherError { fault, at } = match Matchers::parse(text) {
        Ok(matchers) if !matchers.is_empty() => return Some(matchers),
        Ok(_) => {
            walk.error(Code::BadMatcher, node.span, "these braces hold no matcher")
                .expected("expected a matcher such as severity=critical");
            return None;
        }
        Err(error) => error,
    };
    let end = text.get(at..).and_then(|tail| tail.chars().next()).map_or(at, |c| at + c.len_utf8());
    walk.error(Code::BadMatcher, walk.part(node, at, end), format!("`{text}` is no matcher: {fault}"))
        .expected("expected a matcher such as severity=critical");
    None
}

/// One entry of the older maps.
fn older(walk: &Walk<'_>, name: &Arc<str>, op: MatchOp, node: &Node) -> Option<Matchers> {
    // Here the empty text is a value like any other: the label must be absent.
    let value = if node.text() == Some("") { "".into() } else { walk.text(node)?.clone() };
    match Matcher::new(name.clone(), op, value) {
        Ok(matcher) => Some(Matchers::new([matcher])),
        Err(fault) => {
            walk.error(Code::BadMatcher, node.span, fault.to_string())
                .expected("expected a value or, in the keys ending in `_re`, a regular expression");
            None
        }
    }
}
