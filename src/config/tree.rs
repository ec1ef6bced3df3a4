//! Trees: YAML as nodes that know where they stand. Owns reading YAML text and finding repeated keys; knows no key by
//! name.
//!
//! A scalar keeps the text that was written, whatever type YAML would read into it: `off`, `1.10` and `0x10` mean what
//! their place makes of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;
use serde_yaml::options::DuplicateKeyPolicy;

use super::source::{SourceFile, floor};

/// A stretch of bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    /// The file's index in the sources.
    pub(crate) file: usize,
    /// Its first byte.
    pub(crate) start: usize,
    /// One past its last byte.
    pub(crate) end: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing was written, or `null` or `~`.
    Null,
    /// One text.
    Scalar(Arc<str>),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written, each key once.
    Map(Vec<Entry>),
}

impl Value {
    /// The word for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// One key of a map with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Arc<str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// What is wrong with a file as YAML.
#[derive(Debug)]
pub(crate) enum Mistake {
    /// It is no YAML, or too much of it; nothing of the file was read.
    Syntax { message: String, span: Span },
    /// A key stands twice in one map; the first was taken.
    Repeated { key: Arc<str>, first: Span, second: Span },
    /// A key is a list, a map or nothing; it was left out.
    OddKey { span: Span },
}

/// Reads the tree of one file: `None` where it is no YAML.
pub(crate) fn read(file: &SourceFile, index: usize) -> (Option<Node>, Vec<Mistake>) {
    // One rule of ten lines is about 25 nodes: the file size is the real limit, these catch what expands.
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_nodes: 2_000_000,
            max_events: 6_000_000,
            max_depth: 64,
            max_recorded_anchor_events: 100_000
        },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 200_000 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        emit_comments: false,
    };
    let mut build = Build { file, index, mistakes: Vec::new() };
    match serde_yaml::from_str_with_options::<Spanned<Raw>>(&file.text, options) {
        Ok(raw) => {
            let node = build.node(raw);
            (Some(node), build.mistakes)
        }
        Err(error) => {
            let message = plain(&error);
            let span = match error.location() {
                Some(location) => build.span(&location),
                None => Span { file: index, start: 0, end: 0 },
            };
            (None, vec![Mistake::Syntax { message, span }])
        }
    }
}

/// The parser's message in one line, without the place, which is shown beside it.
fn plain(error: &serde_yaml::Error) -> String {
    let text = error.without_snippet().to_string();
    if text.contains("budget breached") || text.contains("alias replay") {
        return "the file expands to more than is read".into();
    }
    if text.contains("multiple YAML documents") {
        return "a file holds one YAML document".into();
    }
    let line = text.lines().next().unwrap_or("unreadable");
    let cut = line.find(" at line ").or_else(|| line.find(" (line ")).unwrap_or(line.len());
    line.get(..cut).unwrap_or(line).trim().to_owned()
}

/// What serde gives: numbers and booleans are only marked, their text is taken from the file.
enum Raw {
    Null,
    Written,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Turns raw values into nodes of one file.
struct Build<'a> {
    file: &'a SourceFile,
    index: usize,
    mistakes: Vec<Mistake>,
}

impl Build<'_> {
    /// The bytes of a place; what lies outside the file is moved inside.
    fn span(&self, location: &serde_yaml::Location) -> Span {
        let text = &self.file.text;
        let span = location.span();
        let offset = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
        let start = offset(span.byte_offset()).unwrap_or_else(|| {
            let line = usize::try_from(location.line()).unwrap_or(usize::MAX);
            self.file.line_start(line)
        });
        let start = floor(text, start);
        let end = floor(text, start.saturating_add(offset(span.byte_len()).unwrap_or(0)));
        Span { file: self.index, start, end: end.max(start) }
    }

    fn node(&mut self, raw: Spanned<Raw>) -> Node {
        let span = self.span(&raw.referenced);
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Text(text) => Value::Scalar(text.into()),
            Raw::Written => {
                let defined = self.span(&raw.defined);
                Value::Scalar(self.file.text.get(defined.start..defined.end).unwrap_or("").trim().into())
            }
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => self.map(entries),
        };
        Node { span, value }
    }

    fn map(&mut self, entries: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Value {
        let mut seen: HashMap<Arc<str>, Span> = HashMap::new();
        let mut out = Vec::new();
        for (key, value) in entries {
            let key = self.node(key);
            let Value::Scalar(name) = key.value else {
                self.mistakes.push(Mistake::OddKey { span: key.span });
                continue;
            };
            if let Some(first) = seen.get(&name) {
                self.mistakes.push(Mistake::Repeated { key: name, first: *first, second: key.span });
                continue;
            }
            seen.insert(name.clone(), key.span);
            let value = self.node(value);
            out.push(Entry { key: name, key_span: key.span, value });
        }
        Value::Map(out)
    }
}
