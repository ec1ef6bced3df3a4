//! Summaries: a sentence about a breach with the runbook's `{name}` placeholders. Owns cutting it into pieces; fills
//! none.

use std::sync::Arc;

use super::is_label_name;
use crate::config::diagnostic::Code;
use crate::config::tree::Node;
use crate::config::walk::Walk;
use crate::domain::rule::{Piece, SummaryTemplate};

/// Reads a sentence: `{value}`, `{threshold}`, and any other name is a label of the series.
pub(super) fn read(walk: &Walk<'_>, node: &Node) -> Option<SummaryTemplate> {
    let text = walk.text(node)?.trim_end();
    let mut pieces = Vec::new();
    let (mut rest, mut fine) = (text, true);
    while let Some(open) = rest.find(['{', '}']) {
        push_text(&mut pieces, &rest[..open]);
        let at = text.len() - rest.len() + open;
        let tail = &rest[open..];
        let Some(close) = tail.find('}').filter(|_| tail.starts_with('{')) else {
            let wrong = if tail.starts_with('{') { "`{` is not closed" } else { "`}` without a `{`" };
            walk.error(Code::BadTemplate, walk.part(node, at, at + 1), wrong)
                .expected("expected a placeholder such as {service}");
            return None;
        };
        let name = tail[1..close].trim();
        match name {
            "value" => pieces.push(Piece::Value),
            "threshold" => pieces.push(Piece::Threshold),
            label if is_label_name(label) => pieces.push(Piece::Label(label.into())),
            other => {
                fine = false;
                let help = if other.starts_with('{') {
                    "Prometheus' `{{ $labels.service }}` is `{service}` here, `{{ $value }}` is `{value}`"
                } else {
                    "there are {value}, {threshold} and the labels of the series"
                };
                // `{{ … }}` has a second brace behind it.
                let double = usize::from(other.starts_with('{') && tail[close + 1..].starts_with('}'));
                let whole = &tail[..=close + double];
                walk.error(
                    Code::UnknownPlaceholder,
                    walk.part(node, at, at + whole.len()),
                    format!("`{whole}` is no placeholder"),
                )
                .expected("expected a placeholder such as {service}")
                .help(help);
            }
        }
        rest = &tail[close + 1..];
        if name.starts_with('{') {
            rest = rest.strip_prefix('}').unwrap_or(rest);
        }
    }
    push_text(&mut pieces, rest);
    fine.then_some(SummaryTemplate(pieces))
}

/// Adds text to the last piece, or as a new one.
pub(super) fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Piece::Text(last)) = pieces.last_mut() {
        *last = Arc::from(format!("{last}{text}"));
    } else {
        pieces.push(Piece::Text(text.into()));
    }
}
