//! The matcher syntax: Alertmanager's UTF-8 form and its older classic form. Owns reading and writing the text.
//!
//! As in Alertmanager's default mode a text is read in both forms. Where only one can read it, that one counts; where
//! both can and they disagree (a classic value may hold `\d` as it stands), the classic one counts, so that files and
//! scripts keep their meaning. A mistake is told as the UTF-8 form sees it, which knows the place.

use std::fmt::{self, Write};
use std::iter::Peekable;
use std::str::CharIndices;

use super::{MatchOp, Matcher, MatcherError, MatcherFault};

/// A matcher as it was written.
#[derive(Debug)]
struct Written {
    name: String,
    op: MatchOp,
    value: String,
    /// The byte at which the value stands.
    at: usize,
}

impl PartialEq for Written {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

/// Reads a text in either form.
pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let modern = Utf8 { text, rest: text.char_indices().peekable() }.matchers();
    let written = match (modern, classic(text)) {
        (Ok(modern), Some(classic)) if modern != classic => classic,
        (Ok(modern), _) => modern,
        (Err(_), Some(classic)) => classic,
        (Err(error), None) => return Err(error),
    };
    written
        .into_iter()
        .map(|one| {
            Matcher::new(one.name, one.op, one.value).map_err(|fault| MatcherError { fault, at: one.at })
        })
        .collect()
}

/// Whether a name needs no quotes in either form.
fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

pub(super) fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if is_plain_name(name) { f.write_str(name) } else { write_quoted(f, name) }
}

/// Writes a text in quotes with the three escapes that both forms read alike.
pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

// === the UTF-8 form ===

/// Reads the UTF-8 form from the left.
struct Utf8<'t> {
    text: &'t str,
    rest: Peekable<CharIndices<'t>>,
}

impl Utf8<'_> {
    fn matchers(mut self) -> Result<Vec<Written>, MatcherError> {
        let mut found = Vec::new();
        let braced = self.take('{');
        loop {
            if self.peek().is_none() || self.peek() == Some('}') {
                break;
            }
            found.push(self.matcher()?);
            if self.take(',') {
                continue;
            }
            match self.peek() {
                None | Some('}') => break,
                Some(_) => return Err(self.fault(MatcherFault::NoComma)),
            }
        }
        let at = self.at();
        if self.take('}') != braced {
            return Err(MatcherError { fault: MatcherFault::UnevenBraces, at });
        }
        match self.peek() {
            None => Ok(found),
            Some(_) => Err(self.fault(MatcherFault::NoComma)),
        }
    }

    fn matcher(&mut self) -> Result<Written, MatcherError> {
        let name_at = self.at();
        let name = self.word()?.ok_or(MatcherError { fault: MatcherFault::NoName, at: name_at })?;
        if name.is_empty() {
            return Err(MatcherError { fault: MatcherFault::EmptyName, at: name_at });
        }
        let op = self.op()?;
        let at = self.at();
        let value = self.word()?.ok_or(MatcherError { fault: MatcherFault::NoValue, at })?;
        Ok(Written { name, op, value, at })
    }

    fn op(&mut self) -> Result<MatchOp, MatcherError> {
        let at = self.at();
        let tail = self.text.get(at..).unwrap_or_default();
        let Some(op) = MatchOp::ALL.into_iter().find(|op| tail.starts_with(op.as_str())) else {
            return Err(MatcherError { fault: MatcherFault::NoOperator, at });
        };
        for _ in op.as_str().chars() {
            self.rest.next();
        }
        Ok(op)
    }

    /// A name or a value; `None` where none stands.
    fn word(&mut self) -> Result<Option<String>, MatcherError> {
        if self.take('"') {
            return self.quoted().map(Some);
        }
        let mut word = String::new();
        self.skip_space();
        while let Some((_, c)) = self.rest.next_if(|(_, c)| !is_reserved(*c)) {
            word.push(c);
        }
        Ok((!word.is_empty()).then_some(word))
    }

    /// What stands between quotes, with the escapes of a Go string; the first quote is read already.
    fn quoted(&mut self) -> Result<String, MatcherError> {
        let opened = self.rest.peek().map_or(self.text.len(), |(at, _)| *at) - 1;
        let mut bytes = Vec::new();
        let mut utf8 = [0; 4];
        loop {
            let open = MatcherError { fault: MatcherFault::OpenQuote, at: opened };
            match self.rest.next() {
                None | Some((_, '\n')) => return Err(open),
                Some((_, '"')) => break,
                Some((at, '\\')) => {
                    let escaped = self.rest.next().ok_or(open)?.1;
                    self.escape(escaped, &mut bytes)
                        .ok_or(MatcherError { fault: MatcherFault::BadEscape, at })?;
                }
                Some((_, c)) => bytes.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes()),
            }
        }
        String::from_utf8(bytes).map_err(|_| MatcherError { fault: MatcherFault::NotUtf8, at: opened })
    }

    fn escape(&mut self, mark: char, bytes: &mut Vec<u8>) -> Option<()> {
        let plain = match mark {
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 0x0b,
            '\\' => b'\\',
            '"' => b'"',
            'x' => u8::try_from(self.digits(2, 16, 0)?).ok()?,
            '0'..='7' => u8::try_from(self.digits(2, 8, mark.to_digit(8)?)?).ok()?,
            'u' | 'U' => {
                let code = self.digits(if mark == 'u' { 4 } else { 8 }, 16, 0)?;
                let mut utf8 = [0; 4];
                bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut utf8).as_bytes());
                return Some(());
            }
            _ => return None,
        };
        bytes.push(plain);
        Some(())
    }

    /// Exactly `count` digits behind those read already.
    fn digits(&mut self, count: usize, radix: u32, read: u32) -> Option<u32> {
        (0..count).try_fold(read, |sum, _| {
            let digit = self.rest.next()?.1.to_digit(radix)?;
            sum.checked_mul(radix)?.checked_add(digit)
        })
    }

    fn skip_space(&mut self) {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest.peek().map(|(_, c)| *c)
    }

    /// The byte of what comes next.
    fn at(&mut self) -> usize {
        self.skip_space();
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn take(&mut self, wanted: char) -> bool {
        self.peek() == Some(wanted) && self.rest.next().is_some()
    }

    fn fault(&mut self, fault: MatcherFault) -> MatcherError {
        MatcherError { fault, at: self.at() }
    }
}

fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

// === the classic form ===

/// Reads the classic form; `None` where the text is none.
fn classic(text: &str) -> Option<Vec<Written>> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let head = text.len() - text.strip_prefix('{').unwrap_or(text).len();
    let mut found = Vec::new();
    for (at, part, is_last) in split(inner) {
        if is_last && part.trim().is_empty() {
            continue;
        }
        found.push(classic_matcher(part, head + at)?);
    }
    Some(found)
}

/// The parts between commas that stand outside of quotes, with their bytes and whether it is the last.
fn split(text: &str) -> Vec<(usize, &str, bool)> {
    let (mut parts, mut from, mut inside, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            ',' if !inside => {
                parts.push((from, &text[from..at], false));
                from = at + 1;
            }
            '"' if !std::mem::take(&mut escaped) => inside = !inside,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    parts.push((from, &text[from..], true));
    parts
}

fn classic_matcher(part: &str, base: usize) -> Option<Written> {
    let trimmed = part.trim_start();
    let split = trimmed.find(|c: char| c.is_whitespace() || c == '=' || c == '!')?;
    let (name, tail) = trimmed.split_at(split);
    if !is_plain_name(name) {
        return None;
    }
    let tail = tail.trim_start();
    let op = MatchOp::ALL.into_iter().find(|op| tail.starts_with(op.as_str()))?;
    let raw = tail.strip_prefix(op.as_str())?.trim_start();
    let at = base + part.len() - raw.len();
    Some(Written { name: name.to_owned(), op, value: classic_value(raw.trim_end())?, at })
}

/// A value with or without quotes; a backslash before anything but `n`, `"` and itself stands for itself.
fn classic_value(raw: &str) -> Option<String> {
    let (inner, is_quoted) = match raw.strip_prefix('"') {
        Some(inner) => (inner, true),
        None => (raw, false),
    };
    let mut value = String::new();
    let mut chars = inner.chars();
    let mut is_closed = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(plain @ ('"' | '\\')) => value.push(plain),
                other => {
                    value.push('\\');
                    value.extend(other);
                }
            },
            // Only the last character may be a quote.
            '"' if is_quoted && chars.as_str().is_empty() => is_closed = true,
            '"' => return None,
            other => value.push(other),
        }
    }
    (is_closed == is_quoted).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Matchers;
    use super::*;

    /// What Alertmanager's documentation and its own tables of both parsers say, in the default mode.
    #[test]
    fn both_forms_are_read_as_alertmanager_reads_them() {
        let cases = [
            ("", "{}"),
            ("{}", "{}"),
            ("{foo=bar}", r#"{foo="bar"}"#),
            ("{foo=bar,}", r#"{foo="bar"}"#),
            ("{foo!=bar}", r#"{foo!="bar"}"#),
            ("{foo=~[a-z]+}", r#"{foo=~"[a-z]+"}"#),
            ("foo!~[a-z]+", r#"{foo!~"[a-z]+"}"#),
            ("{foo=🙂bar}", r#"{foo="🙂bar"}"#),
            ("foo=bar,", r#"{foo="bar"}"#),
            ("  foo  =  bar  ", r#"{foo="bar"}"#),
            (r#"{"foo"="bar",}"#, r#"{foo="bar"}"#),
            (r#"{"foo"!~"[a-z]+"}"#, r#"{foo!~"[a-z]+"}"#),
            (r#"{"foo"="\xf0\x9f\x99\x82"}"#, r#"{foo="🙂"}"#),
            (r#"{"foo"="\U0001f642\u00e4\101"}"#, r#"{foo="🙂äA"}"#),
            (r#"{"foo"="bar\t"}"#, "{foo=\"bar\t\"}"),
            (r#"{"foo"="\"bar\"\\"}"#, r#"{foo="\"bar\"\\"}"#),
            (r#"{foo="bar", dings != "bums", }"#, r#"{foo="bar", dings!="bums"}"#),
            ("foo=bar, dings!=bums", r#"{foo="bar", dings!="bums"}"#),
            (
                r#"{quote="She said: \"Hi, ladies! That's gender-neutral…\""}"#,
                r#"{quote="She said: \"Hi, ladies! That's gender-neutral…\""}"#,
            ),
            (r#"statuscode=~"5..""#, r#"{statuscode=~"5.."}"#),
            (r#"{"service.name"="checkout", "☃"=1}"#, r#"{"service.name"="checkout", "☃"="1"}"#),
            // A name that the classic form does not know, without quotes.
            ("service.name=checkout", r#"{"service.name"="checkout"}"#),
            (r#"foo="""#, r#"{foo=""}"#),
            // Read by the classic form alone.
            ("foo=", r#"{foo=""}"#),
            ("foo=bar baz", r#"{foo="bar baz"}"#),
            ("foo=bar=baz", r#"{foo="bar=baz"}"#),
            ("foo=bar}", r#"{foo="bar"}"#),
            ("{foo=bar", r#"{foo="bar"}"#),
            (r"{foo=bar\n}", r#"{foo="bar\n"}"#),
            (r#"{foo=~"\d+\w"}"#, r#"{foo=~"\\d+\\w"}"#),
            ("{foo=~(a|b){2}}", r#"{foo=~"(a|b){2}"}"#),
            // Read by both, and the classic form counts.
            (r#"{foo="\t"}"#, r#"{foo="\\t"}"#),
        ];
        for (text, wanted) in cases {
            let read = Matchers::parse(text).map_err(|error| format!("{text}: {error}"));
            assert_eq!(read.map(|matchers| matchers.to_string()).as_deref(), Ok(wanted));
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_byte() {
        let cases = [
            (",", "expected the name of a label, at byte 0"),
            ("{,}", "expected the name of a label, at byte 1"),
            ("foo", "expected =, !=, =~ or !~, at byte 3"),
            ("{foo}", "expected =, !=, =~ or !~, at byte 4"),
            ("foo=bar, ,baz=1", "expected the name of a label, at byte 9"),
            (r#"{"a.b"=}"#, "expected a value; the empty text is \"\", at byte 7"),
            (r#"{""="bar"}"#, "the name of a label is empty, at byte 1"),
            (
                r#"{foo=:"bar"}"#,
                "expected a comma or the end; a value with spaces, commas or braces stands in double quotes, at byte 6",
            ),
            (
                r#"{"a.b"="x" }y"#,
                "expected a comma or the end; a value with spaces, commas or braces stands in double quotes, at byte 12",
            ),
            (r#"{"a.b"="bar\w"}"#, "no such escape; a backslash is written \\\\, at byte 11"),
            (r#"{"a.b"="\xf0\x9f"}"#, "the escapes give no UTF-8, at byte 7"),
            (r#"{"a.b"="c"#, "a double quote is not closed, at byte 7"),
            (r#"{"a.b"="c""#, "the braces do not fit together, at byte 10"),
            (r#""a.b"="c"}"#, "the braces do not fit together, at byte 9"),
            (r#"a="b", c=~"(""#, "not a regular expression: unclosed group, at byte 10"),
            ("äö=~(", "not a regular expression: unclosed group, at byte 6"),
        ];
        for (text, wanted) in cases {
            let error = Matchers::parse(text).expect_err(text);
            assert_eq!(error.to_string(), wanted, "{text}");
        }
    }

    fn any_matcher() -> impl Strategy<Value = Matcher> {
        let op = prop::sample::select(MatchOp::ALL.to_vec());
        let text = prop_oneof!["\\PC{0,12}", "[\"\\\\,{}=~! \n\t'nx]{0,12}", "[a-z.]{0,6}"];
        let name = prop_oneof!["[a-z_:][a-z0-9_:]{0,5}", "\\PC{1,8}", "[\"\\\\,{}=~! \n]{1,6}"];
        (name, op, text).prop_map(|(name, op, text)| {
            let value = if op.is_regex() { regex::escape(&text) } else { text };
            Matcher::new(name, op, value).unwrap()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(list in prop::collection::vec(any_matcher(), 0..4)) {
            let matchers = Matchers::new(list);
            prop_assert_eq!(Matchers::parse(&matchers.to_string()), Ok(matchers));
        }

        #[test]
        fn no_text_is_too_odd_to_answer(text in "[a-c\"\\\\,{}=~! \nä]{0,24}") {
            if let Err(error) = Matchers::parse(&text) {
                prop_assert!(text.is_char_boundary(error.at), "{} of {text:?}", error.at);
            }
        }
    }
}
