//! Annotations of Prometheus rule files: sentences with `{{ … }}`. Owns which of their placeholders are understood;
//! whatever else stands there is kept as text, with a warning.

use super::is_label_name;
use super::summary::push_text;
use crate::config::diagnostic::Code;
use crate::config::tree::Node;
use crate::config::walk::Walk;
use crate::domain::rule::{Piece, SummaryTemplate};

/// Reads an annotation's text.
pub(super) fn read(walk: &Walk<'_>, node: &Node) -> Option<SummaryTemplate> {
    let text = walk.text(node)?.trim_end();
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        push_text(&mut pieces, &rest[..open]);
        let tail = &rest[open..];
        let at = text.len() - rest.len() + open;
        let Some(close) = tail.find("}}") else {
            walk.warning(Code::BadTemplate, walk.part(node, at, at + 2), "`{{` is not closed")
                .expected("kept as text");
            rest = tail;
            break;
        };
        let whole = &tail[..close + 2];
        if let Some(piece) = piece(whole) {
            pieces.push(piece);
        } else {
            push_text(&mut pieces, whole);
            walk.warning(
                Code::UnknownPlaceholder,
                walk.part(node, at, at + whole.len()),
                format!("`{}` is not understood here", short(whole)),
            )
            .expected("kept as text")
            .help("understood are $labels, $labels.NAME, $value, humanize, humanizePercentage and printf of $value");
        }
        rest = &tail[close + 2..];
    }
    push_text(&mut pieces, rest);
    Some(SummaryTemplate(pieces))
}

/// Whether a text has anything that Prometheus would expand.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

fn piece(whole: &str) -> Option<Piece> {
    let inner = whole.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner).trim();
    let mut steps = inner.split('|').map(str::trim);
    let head = steps.next()?;
    let is_value = |word: &str| matches!(word, "$value" | ".Value");
    let words: Vec<&str> = head.split_whitespace().collect();
    let mut piece = match words.as_slice() {
        [one] if is_value(one) => Piece::PlainValue,
        ["$labels" | ".Labels"] => Piece::Labels,
        [one] => Piece::Label(label(one)?.into()),
        ["humanizePercentage", one] if is_value(one) => Piece::PercentValue,
        ["humanize" | "humanize1024" | "humanizeDuration", one] if is_value(one) => Piece::PlainValue,
        ["printf", format, one] if is_value(one) && format.starts_with('"') => Piece::PlainValue,
        ["index", "$labels" | ".Labels", name] => {
            let name = name.trim_matches('"');
            is_label_name(name).then(|| Piece::Label(name.into()))?
        }
        _ => return None,
    };
    for step in steps {
        let word = step.split_whitespace().next()?;
        piece = match (piece, word) {
            (Piece::PlainValue, "humanizePercentage") => Piece::PercentValue,
            (same @ Piece::PlainValue, "humanize" | "humanize1024" | "humanizeDuration" | "printf")
            | (same @ Piece::Label(_), "toUpper" | "toLower" | "title" | "stripPort" | "stripDomain") => same,
            _ => return None,
        };
    }
    Some(piece)
}

fn label(word: &str) -> Option<&str> {
    let name = word.strip_prefix("$labels.").or_else(|| word.strip_prefix(".Labels."))?;
    is_label_name(name).then_some(name)
}

fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_placeholders_are_understood() {
        let cases = [
            ("{{ $value }}", Some(Piece::PlainValue)),
            ("{{$value|humanize}}", Some(Piece::PlainValue)),
            ("{{- .Value | humanizePercentage -}}", Some(Piece::PercentValue)),
            ("{{ humanizePercentage $value }}", Some(Piece::PercentValue)),
            ("{{ printf \"%.2f\" $value }}", Some(Piece::PlainValue)),
            ("{{ $value | printf \"%.2f\" }}", Some(Piece::PlainValue)),
            ("{{ $labels.pod }}", Some(Piece::Label("pod".into()))),
            ("{{ $labels }}", Some(Piece::Labels)),
            ("{{ .Labels.pod }}", Some(Piece::Label("pod".into()))),
            ("{{ index $labels \"pod\" }}", Some(Piece::Label("pod".into()))),
            ("{{ if gt $value 1.0 }}", None),
            ("{{ $externalLabels.cluster }}", None),
            ("{{ }}", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(piece(text), wanted, "{text}");
        }
    }
}
