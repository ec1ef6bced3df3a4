//! Matchers: which label sets are meant, as Alertmanager writes and means it. Owns the four comparisons; how they are
//! written is `syntax`, what is done about a match is the owner's business.
//!
//! A label that is absent compares as the empty text, and a regular expression has to match the whole value.

mod syntax;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::labels::Labels;

/// The most memory that one compiled regular expression may take, in bytes.
const LARGEST_REGEX: usize = 2 * 1024 * 1024;

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`: the value is this text.
    Equal,
    /// `!=`: the value is another text.
    NotEqual,
    /// `=~`: the whole value matches.
    Regex,
    /// `!~`: the whole value does not match.
    NotRegex,
}

impl MatchOp {
    /// Every comparison, the longer signs first where one begins with another.
    pub const ALL: [Self; 4] = [Self::Regex, Self::Equal, Self::NotEqual, Self::NotRegex];

    /// The sign it is written with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }

    /// Whether the value is a regular expression.
    pub fn is_regex(self) -> bool {
        matches!(self, Self::Regex | Self::NotRegex)
    }

    /// Whether a match is wanted and not its absence.
    pub fn is_positive(self) -> bool {
        matches!(self, Self::Equal | Self::Regex)
    }
}

/// A comparison of one label.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Arc<str>,
    op: MatchOp,
    value: Arc<str>,
    /// Compiled where the comparison is by regular expression.
    regex: Option<Regex>,
}

/// Why a matcher cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherFault {
    /// No label is named where one belongs.
    #[error("expected the name of a label")]
    NoName,
    /// The name is the empty text.
    #[error("the name of a label is empty")]
    EmptyName,
    /// A name is followed by none of the signs.
    #[error("expected =, !=, =~ or !~")]
    NoOperator,
    /// A sign is followed by no value.
    #[error("expected a value; the empty text is \"\"")]
    NoValue,
    /// Something follows a value that does not belong there.
    #[error("expected a comma or the end; a value with spaces, commas or braces stands in double quotes")]
    NoComma,
    /// A brace that opens nothing or closes nothing.
    #[error("the braces do not fit together")]
    UnevenBraces,
    /// A quoted text has no end.
    #[error("a double quote is not closed")]
    OpenQuote,
    /// An escape in a quoted text that does not exist.
    #[error("no such escape; a backslash is written \\\\")]
    BadEscape,
    /// The escapes of a quoted text give no UTF-8.
    #[error("the escapes give no UTF-8")]
    NotUtf8,
    /// The regular expression cannot be read.
    #[error("not a regular expression: {why}")]
    BadRegex {
        /// Why, in one line.
        why: Arc<str>,
    },
    /// The regular expression needs more memory than it may have.
    #[error("the regular expression is too large")]
    LargeRegex,
}

/// Why a text is no list of matchers, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at byte {at}")]
pub struct MatcherError {
    /// What is wrong.
    pub fault: MatcherFault,
    /// The byte of the text at which it is wrong, from 0; the text's length where its end is.
    pub at: usize,
}

impl Matcher {
    /// A comparison of the label `name` with `value`. Refuses an empty name and an expression that does not compile.
    pub fn new(
        name: impl Into<Arc<str>>,
        op: MatchOp,
        value: impl Into<Arc<str>>,
    ) -> Result<Self, MatcherFault> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() {
            return Err(MatcherFault::EmptyName);
        }
        let regex = op.is_regex().then(|| compile(&value)).transpose()?;
        Ok(Self { name, op, value, regex })
    }

    /// The comparison `name="value"`.
    pub fn equal(name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label compared.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it is compared.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it is compared with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label set fits.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name).unwrap_or_default())
    }

    /// Whether a set without the label fits.
    pub fn matches_absent(&self) -> bool {
        self.matches_value("")
    }

    fn matches_value(&self, value: &str) -> bool {
        let found = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => *self.value == *value,
        };
        found == self.op.is_positive()
    }
}

/// Compiles an expression so that it has to match a whole value.
fn compile(text: &str) -> Result<Regex, MatcherFault> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(LARGEST_REGEX).build();
    // Alone first: brackets must not pair with those around it.
    build(text).and_then(|_| build(&format!("^(?:{text})$"))).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => MatcherFault::LargeRegex,
        other => {
            // A mistake in the expression comes with a drawing, its reason last.
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            MatcherFault::BadRegex { why: last.strip_prefix("error: ").unwrap_or(last).into() }
        }
    })
}

/// Matchers that must all fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Those matchers, in that order.
    pub fn new(matchers: impl IntoIterator<Item = Matcher>) -> Self {
        Self(matchers.into_iter().collect())
    }

    /// Reads `{a="b", c=~"d.*"}`, with or without braces.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        syntax::parse(text).map(Self)
    }

    /// Whether all of them fit a label set; no matcher at all fits every set.
    pub fn match_all(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.matches(labels))
    }

    /// Whether each of them fits a set without its label, so that together they say nothing about what must be there.
    pub fn all_match_absent(&self) -> bool {
        self.0.iter().all(Matcher::matches_absent)
    }

    /// The matchers in order.
    pub fn iter(&self) -> impl Iterator<Item = &Matcher> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// These and further ones.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }
}

// === impl Matcher ===

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        syntax::write_name(f, &self.name)?;
        f.write_str(self.op.as_str())?;
        syntax::write_quoted(f, &self.value)
    }
}

// === impl Matchers ===

impl FromStr for Matchers {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Matchers {
    type Error = MatcherError;

    fn try_from(text: String) -> Result<Self, MatcherError> {
        Self::parse(&text)
    }
}

impl From<Matchers> for String {
    fn from(matchers: Matchers) -> Self {
        matchers.to_string()
    }
}

impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, matcher) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{matcher}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comparison_fits_what_alertmanager_says_it_fits() {
        let cases = [
            ("label=value", "label=value", true),
            ("label=value", "label=foo-value", false),
            ("label!=value", "label=foo-value", true),
            ("label!=value", "label=value", false),
            ("label=~value", "label=value", true),
            ("label=~value", "label=foo-value", false),
            ("label=~\"val|foo\"", "label=value", false),
            ("label=~\".*lue\"", "label=foo-value", true),
            ("label!~value", "label=value", false),
            ("label!~value", "label=foo-value", true),
            ("label!~\".*val.*\"", "label=foo-value", false),
            ("label=~\"(?i)VALUE\"", "label=value", true),
            ("\"service.name\"=checkout", "service.name=checkout", true),
            // An absent label is the empty text.
            ("label=\"\"", "", true),
            ("label=\"\"", "label=x", false),
            ("label!=\"\"", "", false),
            ("label!=value", "", true),
            ("label=~\".*\"", "", true),
            ("label=~\".+\"", "", false),
            ("label!~\".+\"", "", true),
            ("label=~\"|x\"", "", true),
            // All must fit; none at all fits everything.
            ("a=1, b=2", "a=1,b=2", true),
            ("a=1, b=2", "a=1", false),
            ("{}", "a=1", true),
        ];
        for (matchers, labels, wanted) in cases {
            let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            let fits = Matchers::parse(matchers).unwrap().match_all(&Labels::new(pairs));
            assert_eq!(fits, wanted, "{matchers} on {labels}");
        }
    }

    #[test]
    fn an_expression_cannot_break_out_of_its_anchors_or_grow_without_bound() {
        let fault = |value: &str| Matcher::new("a", MatchOp::Regex, value).unwrap_err();
        assert!(matches!(fault("a)|(b"), MatcherFault::BadRegex { .. }));
        assert_eq!(fault("(").to_string(), "not a regular expression: unclosed group");
        assert_eq!(fault("((a{100}){100}){100}"), MatcherFault::LargeRegex);
        assert_eq!(Matcher::new("", MatchOp::Equal, "x").unwrap_err(), MatcherFault::EmptyName);
    }

    #[test]
    fn what_fits_a_set_without_labels_is_known() {
        let absent = |text: &str| Matchers::parse(text).unwrap().all_match_absent();
        assert!(absent("a=~\".*\"") && absent("a!=b, c=\"\"") && absent("{}"));
        assert!(!absent("a=~\".*\", b=c"));
    }
}
