//! Walking: reading typed values out of a tree, noting every mistake on the way. Owns the wording of the common
//! mistakes; knows no key by name.
//!
//! Every reader answers `None` after it has noted why, so that a caller goes on to the next key and one run finds
//! everything.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::{Code, Diagnostic, Level, Place};
use super::mask::mask;
use super::source::{Folder, Sources};
use super::suggest::{either, nearest};
use super::tree::{Entry, Node, Span, Value};
use crate::domain::quantity::{self, QuantityError, Unit, show_duration};

/// Notes findings about one set of sources.
pub(crate) struct Walk<'a> {
    sources: &'a Sources,
    found: RefCell<Vec<Diagnostic>>,
}

/// A finding that is being written; it is noted when it is dropped.
pub(crate) struct Finding<'w, 'a> {
    walk: &'w Walk<'a>,
    diagnostic: Option<Diagnostic>,
}

impl Finding<'_, '_> {
    /// What was expected at the place.
    pub(crate) fn expected(mut self, text: impl Into<String>) -> Self {
        if let Some(one) = &mut self.diagnostic {
            one.expected = Some(text.into());
        }
        self
    }

    /// How to mend it.
    pub(crate) fn help(self, text: impl Into<String>) -> Self {
        self.maybe_help(Some(text.into()))
    }

    /// How to mend it, where that is known.
    pub(crate) fn maybe_help(mut self, text: Option<String>) -> Self {
        if let Some(one) = &mut self.diagnostic
            && text.is_some()
        {
            one.help = text;
        }
        self
    }

    /// The other half of a contradiction.
    pub(crate) fn other(mut self, span: Span) -> Self {
        let place = self.walk.place(span);
        if let Some(one) = &mut self.diagnostic {
            one.other = place;
        }
        self
    }
}

impl Drop for Finding<'_, '_> {
    fn drop(&mut self) {
        self.walk.found.borrow_mut().extend(self.diagnostic.take());
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(sources: &'a Sources) -> Self {
        Self { sources, found: RefCell::default() }
    }

    /// Everything noted.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        self.found.into_inner()
    }

    /// Notes an error.
    pub(crate) fn error(&self, code: Code, span: Span, message: impl Into<String>) -> Finding<'_, 'a> {
        self.note(Level::Error, code, self.place(span), message.into())
    }

    /// Notes a warning.
    pub(crate) fn warning(&self, code: Code, span: Span, message: impl Into<String>) -> Finding<'_, 'a> {
        self.note(Level::Warning, code, self.place(span), message.into())
    }

    /// Notes something about the files as a whole.
    pub(crate) fn about_all(&self, level: Level, code: Code, message: impl Into<String>) -> Finding<'_, 'a> {
        self.note(level, code, None, message.into())
    }

    fn note(&self, level: Level, code: Code, place: Option<Place>, message: String) -> Finding<'_, 'a> {
        let diagnostic = Diagnostic { level, code, message, place, expected: None, other: None, help: None };
        Finding { walk: self, diagnostic: Some(diagnostic) }
    }

    /// The place of a span: its first line only.
    pub(crate) fn place(&self, span: Span) -> Option<Place> {
        let file = self.sources.files.get(span.file)?;
        let at = file.position(span.start);
        let text = match file.folder {
            Folder::Config => mask(file.line(at.line)),
            Folder::Rules => file.line(at.line).to_owned(),
        };
        let written = file.text.get(span.start..span.end).unwrap_or("");
        let first = written.lines().next().unwrap_or("").trim_end();
        let room = (text.chars().count() + 1).saturating_sub(at.column);
        let width = first.chars().count().min(room).max(1);
        Some(Place { file: file.path.clone(), line: at.line, column: at.column, width, text })
    }

    /// Where something stands, for people: `monitoring.yaml:9`.
    pub(crate) fn source_of(&self, span: Span) -> Arc<str> {
        match self.sources.files.get(span.file) {
            Some(file) => format!("{}:{}", file.short, file.position(span.start).line).into(),
            None => "built in".into(),
        }
    }

    /// A stretch inside a node's text: the part `start..end` of its value, where the value stands on one line as it is.
    pub(crate) fn part(&self, node: &Node, start: usize, end: usize) -> Span {
        let Some(text) = node.text() else { return node.span };
        let Some(file) = self.sources.files.get(node.span.file) else { return node.span };
        let Some(wanted) = text.get(start..end) else { return node.span };
        let line = text.get(..start).unwrap_or("").matches('\n').count();
        let before = text.get(..start).and_then(|head| head.rsplit('\n').next()).unwrap_or("");
        let after = text.get(end..).and_then(|tail| tail.split('\n').next()).unwrap_or("");
        let whole = format!("{before}{wanted}{after}");
        // A block scalar begins on the line after its mark.
        let first = file.position(node.span.start).line;
        for candidate in [first + line, first + line + 1] {
            let begin = file.line_start(candidate);
            if let Some(at) = file.line(candidate).find(whole.trim_end()) {
                let start = begin + at + before.len();
                return Span { file: node.span.file, start, end: start + wanted.len() };
            }
        }
        node.span
    }

    /// One text; a number or a truth value is a text too.
    pub(crate) fn text<'n>(&self, node: &'n Node) -> Option<&'n Arc<str>> {
        match &node.value {
            Value::Scalar(text) if !text.trim().is_empty() => Some(text),
            Value::Scalar(_) => {
                self.error(Code::BadValue, node.span, "the text is empty").expected("expected some text");
                None
            }
            other => {
                self.wrong_type(node, other, "a text");
                None
            }
        }
    }

    /// The items of a list; nothing is an empty list.
    pub(crate) fn list<'n>(&self, node: &'n Node) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            other => {
                self.wrong_type(node, other, "a list");
                &[]
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self, node: &Node) -> Vec<Arc<str>> {
        self.list(node).iter().filter_map(|item| self.text(item).cloned()).collect()
    }

    /// The entries of a map whose keys are names; nothing is an empty map.
    pub(crate) fn entries<'n>(&self, node: &'n Node) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                self.wrong_type(node, other, "a map");
                &[]
            }
        }
    }

    /// A map whose keys are known.
    pub(crate) fn fields<'n>(&self, node: &'n Node, known: &'static [&'static str]) -> Fields<'n> {
        let entries = self.entries(node);
        for entry in entries {
            if !known.contains(&entry.key.as_ref()) {
                self.unknown_key(entry, known);
            }
        }
        Fields { span: node.span, entries, known }
    }

    /// Notes a key that nothing reads.
    pub(crate) fn unknown_key(&self, entry: &Entry, known: &[&str]) {
        let finding =
            self.error(Code::UnknownKey, entry.key_span, format!("nothing reads the key `{}`", entry.key));
        match nearest(&entry.key, known.iter().copied()) {
            Some(near) => finding.expected("unknown key").help(format!("did you mean `{near}`?")),
            None => finding.expected("unknown key").help(format!("known here: {}", known.join(", "))),
        };
    }

    pub(crate) fn wrong_type(&self, node: &Node, found: &Value, expected: &str) {
        self.error(Code::WrongType, node.span, format!("{} stands where {expected} belongs", found.kind()))
            .expected(format!("expected {expected}"));
    }

    /// Notes a key that must be there.
    pub(crate) fn missing(&self, span: Span, key: &str, example: &str) {
        self.error(Code::MissingKey, span, format!("`{key}` is missing"))
            .expected(format!("expected `{key}`, such as {example}"));
    }

    /// The value of a key that must be there; its absence is noted at `span`.
    pub(crate) fn required<'n>(
        &self,
        fields: &Fields<'n>,
        key: &str,
        span: Span,
        example: &str,
    ) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            self.missing(span, key, example);
        }
        found
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(&self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.as_ref()) {
            return Some(*value);
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = nearest(text, all.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        self.error(Code::UnknownWord, node.span, format!("`{text}` is not offered here"))
            .expected(format!("expected {}", either(&all)))
            .maybe_help(near);
        None
    }

    /// A quantity of `unit`, in its base.
    pub(crate) fn quantity(&self, node: &Node, unit: Unit) -> Option<f64> {
        self.measure(node, unit, None)
    }

    /// A quantity of `unit`; `what` names whose unit it is.
    pub(crate) fn quantity_of(&self, node: &Node, unit: Unit, what: &str) -> Option<f64> {
        self.measure(node, unit, Some(what))
    }

    fn measure(&self, node: &Node, unit: Unit, what: Option<&str>) -> Option<f64> {
        let text = self.text(node)?;
        match quantity::parse(text, unit) {
            Ok(value) => Some(value),
            Err(QuantityError::OtherUnit { text, found, .. }) => {
                let message = match what {
                    Some(what) => format!("{what} is {}, `{text}` is {}", in_unit(unit), of_unit(found)),
                    None => format!("`{text}` is {}", of_unit(found)),
                };
                self.error(Code::UnitMismatch, node.span, message)
                    .expected(format!("expected {}", unit.example()));
                None
            }
            Err(QuantityError::Unreadable { text, .. }) => {
                self.error(Code::BadQuantity, node.span, format!("`{text}` is not a quantity"))
                    .expected(format!("expected {}", unit.example()));
                None
            }
        }
    }

    /// A quantity that is not negative.
    pub(crate) fn amount(&self, node: &Node, unit: Unit) -> Option<f64> {
        let value = self.quantity(node, unit)?;
        if value < 0.0 {
            self.error(Code::BadQuantity, node.span, "less than nothing makes no sense here")
                .expected(format!("expected {}", unit.example()));
            return None;
        }
        Some(value)
    }

    /// A duration; a plain number counts seconds.
    pub(crate) fn duration(&self, node: &Node) -> Option<Duration> {
        let text = self.text(node)?;
        if let Some(duration) = quantity::parse_duration(text) {
            return Some(duration);
        }
        let negative =
            text.trim().strip_prefix('-').is_some_and(|rest| quantity::parse_duration(rest).is_some());
        let in_months = text.contains('M') && !text.contains("MB");
        if negative || in_months {
            let wrong = if negative { "is negative" } else { "is in months, which differ" };
            self.error(Code::BadQuantity, node.span, format!("the duration `{text}` {wrong}"))
                .expected("expected a duration such as 10m or 30 days");
            return None;
        }
        let seconds = self.quantity(node, Unit::Seconds)?;
        let duration = Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds < 3e9);
        if duration.is_none() {
            let wrong = if seconds < 0.0 { "negative" } else { "too long" };
            self.error(Code::BadQuantity, node.span, format!("the duration `{text}` is {wrong}"))
                .expected("expected a duration such as 10m");
        }
        duration
    }

    /// A duration of at least `least`.
    pub(crate) fn duration_from(&self, node: &Node, least: Duration) -> Option<Duration> {
        let duration = self.duration(node)?;
        if duration < least {
            let least = show_duration(least);
            self.error(Code::ImpossibleBounds, node.span, format!("the shortest possible here is {least}"))
                .expected(format!("expected {least} or more"));
            return None;
        }
        Some(duration)
    }

    /// A whole number within bounds.
    pub(crate) fn whole(&self, node: &Node, least: u32, most: u32) -> Option<u32> {
        let text = self.text(node)?;
        match text.trim().parse::<u32>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.error(
                    Code::BadValue,
                    node.span,
                    format!("`{text}` is no number from {least} to {most}"),
                )
                .expected("expected a whole number");
                None
            }
        }
    }
}

/// A map whose keys are known; asking for another one is a mistake in this program that its tests find.
pub(crate) struct Fields<'n> {
    pub(crate) span: Span,
    entries: &'n [Entry],
    known: &'static [&'static str],
}

impl<'n> Fields<'n> {
    /// The value of a key; a key without a value counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        debug_assert!(self.known.contains(&key), "{key} is not in {:?}", self.known);
        let entry = self.entries.iter().find(|entry| entry.key.as_ref() == key)?;
        (!matches!(entry.value.value, Value::Null)).then_some(&entry.value)
    }

    /// The place of a key.
    pub(crate) fn key_span(&self, key: &str) -> Span {
        self.entries.iter().find(|entry| entry.key.as_ref() == key).map_or(self.span, |entry| entry.key_span)
    }

    /// Whether the map has no entry at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Node {
    /// The node's text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether nothing was written.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}

fn in_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "a ratio",
        Unit::Seconds => "in seconds",
        Unit::Bytes => "in bytes",
        Unit::Cores => "in cores",
        Unit::Count => "a count",
    }
}

fn of_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "a ratio",
        Unit::Seconds => "a duration",
        Unit::Bytes => "a size in bytes",
        Unit::Cores => "a number of cores",
        Unit::Count => "a plain number",
    }
}
