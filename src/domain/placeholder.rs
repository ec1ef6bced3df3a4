//! Placeholders: `$label` in the arguments of steps and links, filled with what an incident is about. Owns making a
//! label's value harmless for its place: whatever it is, it stays one literal of a query, one part of a URL, one value
//! of a selector. Reaches nothing and evaluates nothing.
//!
//! A label that is absent is an error, never an empty text: `{service=~""}` would match everything.

use std::sync::Arc;

use super::labels::Labels;

/// The longest value that is filled in, in bytes.
const LONGEST: usize = 512;

/// Why a text cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The incident has no such label.
    #[error("there is no label `{0}`")]
    Absent(Arc<str>),
    /// The label's value cannot stand in its place.
    #[error("the value of the label `{0}` cannot stand there")]
    Unfit(Arc<str>),
    /// The label stands where a query has no text.
    #[error("`${0}` stands outside of a string")]
    Outside(Arc<str>),
}

/// Fills a `PromQL` expression. A label may stand in string literals only; after `=~` and `!~` it is quoted, so that it
/// matches itself and nothing else.
pub fn in_query(template: &str, labels: &Labels) -> Result<String, FillError> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    // The last two characters that mean something: the operator before a literal.
    let mut before = ['\0'; 2];
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' | '`' => {
                let length = literal(rest, first);
                let quoted = matches!(before, ['=' | '!', '~']);
                fill_literal(&mut out, &rest[..length], first, quoted, labels)?;
                length
            }
            '#' => {
                let length = rest.find('\n').unwrap_or(rest.len());
                out.push_str(&rest[..length]);
                length
            }
            _ => {
                if let Some((name, _)) = name(rest) {
                    return Err(FillError::Outside(name.into()));
                }
                out.push(first);
                first.len_utf8()
            }
        };
        if !first.is_whitespace() && first != '#' {
            before = [before[1], first];
        }
        rest = &rest[length..];
    }
    Ok(out)
}

/// Fills a URL. In the host a label has to be one part of a name; elsewhere it is percent-encoded.
pub fn in_url(template: &str, labels: &Labels) -> Result<String, FillError> {
    let start = template.find("://").map_or(0, |at| at + 3);
    let end = template[start..].find(['/', '?', '#', '\\']).map_or(template.len(), |at| start + at);
    let (host, rest) = template.split_at(end);
    let mut out = fill(host, labels, |name, value| {
        let fits = value.len() <= 63
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !value.starts_with('-')
            && !value.ends_with('-');
        if fits { Ok(value.to_owned()) } else { Err(FillError::Unfit(name.into())) }
    })?;
    let mut last: Arc<str> = "".into();
    let rest = fill(rest, labels, |name, value| {
        last = name.into();
        Ok(percent_encoded(value))
    })?;
    let path = rest.split(['?', '#']).next().unwrap_or("");
    // Dots between slashes lead to another path than the one that was written.
    if !last.is_empty() && path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(FillError::Unfit(last));
    }
    out.push_str(&rest);
    Ok(out)
}

/// Fills a label selector of Kubernetes, or the name of an object: a value has to be one that Kubernetes allows there
/// (letters, digits, `-`, `_`, `.`; at most 63).
pub fn in_selector(template: &str, labels: &Labels) -> Result<String, FillError> {
    fill(template, labels, |name, value| {
        let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = value.as_bytes();
        let fits = bytes.len() <= 63
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
            && ends(bytes.first())
            && ends(bytes.last());
        if fits { Ok(value.to_owned()) } else { Err(FillError::Unfit(name.into())) }
    })
}

/// Replaces each `$label` by what `write` makes of its value.
fn fill(
    template: &str,
    labels: &Labels,
    mut write: impl FnMut(&str, &str) -> Result<String, FillError>,
) -> Result<String, FillError> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some((name, length)) = name(from) {
            out.push_str(&write(name, value(name, labels)?)?);
            rest = &from[length..];
        } else {
            out.push('$');
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The label that a text beginning with `$` names, and the bytes it takes.
fn name(text: &str) -> Option<(&str, usize)> {
    let after = text.strip_prefix('$')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
    let name = &after[..end];
    // `$1` is a group of `label_replace`.
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some((name, end + 1))
}

fn value<'l>(name: &str, labels: &'l Labels) -> Result<&'l str, FillError> {
    let value = labels.get(name).ok_or_else(|| FillError::Absent(name.into()))?;
    if value.len() > LONGEST { Err(FillError::Unfit(name.into())) } else { Ok(value) }
}

/// The bytes of the string literal that `text` begins with, its quotes included; all of it where it is not closed.
fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == quote {
            return at + 1;
        } else {
            escaped = c == '\\' && quote != '`';
        }
    }
    text.len()
}

/// Fills a string literal. One in backticks knows no escapes, so it becomes one in double quotes.
fn fill_literal(
    out: &mut String,
    literal: &str,
    quote: char,
    regex: bool,
    labels: &Labels,
) -> Result<(), FillError> {
    let raw = quote == '`';
    let mut filled = String::new();
    let mut any = false;
    let inner = literal.strip_prefix(quote).unwrap_or(literal);
    let (inner, closed) = inner.strip_suffix(quote).map_or((inner, false), |inner| (inner, true));
    let mark = if raw { '"' } else { quote };
    let mut rest = inner;
    while let Some(first) = rest.chars().next() {
        if let Some((name, length)) = name(rest) {
            let value = value(name, labels)?;
            let value = if regex { matching(value) } else { value.to_owned() };
            filled.push_str(&escaped(&value, mark));
            any = true;
            rest = &rest[length..];
            continue;
        }
        // An escape and what it escapes stay together: a `$` after a backslash is no placeholder.
        let mut length = first.len_utf8();
        if first == '\\' && !raw {
            length += rest[length..].chars().next().map_or(0, char::len_utf8);
        }
        let piece = &rest[..length];
        let piece = if raw { escaped(piece, mark) } else { piece.to_owned() };
        filled.push_str(&piece);
        rest = &rest[length..];
    }
    if !any {
        out.push_str(literal);
        return Ok(());
    }
    out.push(mark);
    out.push_str(&filled);
    if closed {
        out.push(mark);
    }
    Ok(())
}

/// A text as it stands between quotes.
fn escaped(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// The regular expression (RE2) that matches a text and nothing else.
fn matching(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A text as it stands in a URL: all but the unreserved characters of RFC 3986 encoded.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> Labels {
        Labels::new([("service", value), ("namespace", "shop")])
    }

    #[test]
    fn a_query_is_filled_within_its_strings() {
        for (template, value, filled) in [
            (r#"up{service="$service"}"#, "checkout", r#"up{service="checkout"}"#),
            (r#"up{pod=~"$service-.+"}"#, "a.b", r#"up{pod=~"a\\.b-.+"}"#),
            ("up{pod !~ '$service'}", "a|b", r"up{pod !~ 'a\\|b'}"),
            (r#"up{a="$service"}"#, r#"x"} or vector(1) #"#, r#"up{a="x\"} or vector(1) #"}"#),
            ("up{a='$service'}", "it's", r"up{a='it\'s'}"),
            ("up{a=~`\\d$service`}", "`\n", r#"up{a=~"\\d`\n"}"#),
            (r#"up{a="\\$service"}"#, "b", r#"up{a="\\b"}"#),
            (r#"up{a="\$service"}"#, r#"b""#, r#"up{a="\$service"}"#),
            (
                r#"label_replace(up, "a", "$1", "b", "(.*)")"#,
                "x",
                r#"label_replace(up, "a", "$1", "b", "(.*)")"#,
            ),
            (r#"up{a=~"b$"} # $service "x"#, "c", r#"up{a=~"b$"} # $service "x"#),
            (r#"up{a="$namespace/$service"}"#, "c", r#"up{a="shop/c"}"#),
        ] {
            assert_eq!(in_query(template, &labels(value)).as_deref(), Ok(filled), "{template}");
        }
    }

    #[test]
    fn what_is_absent_or_does_not_fit_is_a_reason_and_never_empty() {
        let absent = |name: &str| FillError::Absent(name.into());
        let unfit = FillError::Unfit("service".into());
        let labels = |value: &str| labels(value);
        assert_eq!(in_query(r#"up{a=~"$pod"}"#, &labels("x")), Err(absent("pod")));
        assert_eq!(in_query(r#"up{a=~"$service"}"#, &labels("")), Err(absent("service")));
        assert_eq!(in_query("up > $service", &labels("1")), Err(FillError::Outside("service".into())));
        assert_eq!(in_query(r#"up{a="$service"}"#, &labels(&"x".repeat(513))), Err(unfit.clone()));
        assert_eq!(in_url("http://a/$pod", &labels("x")), Err(absent("pod")));
        for value in ["evil.com/", "a@b", "-a", "a:80", "é", "a.b"] {
            assert_eq!(in_url("http://$service.shop.svc/x", &labels(value)), Err(unfit.clone()), "{value}");
        }
        for value in [".", ".."] {
            assert_eq!(in_url("http://a/x/$service/y", &labels(value)), Err(unfit.clone()), "{value}");
        }
        for value in ["a,b=c", "a b", "!a", "a/b", "_", "é", ""] {
            assert!(in_selector("app=$service", &labels(value)).is_err(), "{value}");
        }
    }

    #[test]
    fn urls_and_selectors_are_filled_for_their_place() {
        let filled = in_url("https://$service.shop.svc/d?v=$service&n=$namespace#$1", &labels("pay-2"));
        assert_eq!(filled.as_deref(), Ok("https://pay-2.shop.svc/d?v=pay-2&n=shop#$1"));
        let filled = in_url("https://g/d/$service?q=$service", &labels("a/b&c=d#é%"));
        assert_eq!(
            filled.as_deref(),
            Ok("https://g/d/a%2Fb%26c%3Dd%23%C3%A9%25?q=a%2Fb%26c%3Dd%23%C3%A9%25")
        );
        let filled = in_selector("app=$service,tier in ($namespace,x)", &labels("a.b_c"));
        assert_eq!(filled.as_deref(), Ok("app=a.b_c,tier in (shop,x)"));
    }
}
