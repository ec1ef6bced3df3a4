//! `PromQL`: whether an expression can be understood at all. Owns the check and its memory of texts already seen;
//! evaluates nothing.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::diagnostic::Code;
use super::tree::Node;
use super::walk::Walk;

/// The longest expression checked here, in bytes.
const LONGEST: usize = 64 * 1024;

/// The deepest nesting of brackets checked here: the parser's tree is walked recursively.
const DEEPEST: usize = 200;

/// What became of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Fine,
    Bad(String),
    Newer(&'static str),
}

/// What the parser says when it knows nothing better.
const NO_REASON: &str = "invalid promql query";

/// How many texts are remembered.
const REMEMBERED: usize = 50_000;

/// What became of the texts seen so far. Ten thousand rules take seconds to check and are checked at every reload,
/// though few change: the verdict depends on the text alone, so it is kept for the life of the process.
static SEEN: LazyLock<Mutex<HashMap<Arc<str>, Verdict>>> = LazyLock::new(Mutex::default);

fn verdict(expr: &Arc<str>) -> Verdict {
    let lock = || SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lock().get(expr) {
        return known.clone();
    }
    let verdict = check(expr);
    let mut seen = lock();
    if seen.len() >= REMEMBERED {
        seen.clear();
    }
    seen.insert(expr.clone(), verdict.clone());
    verdict
}

/// Reads a node as an expression; white space around it is dropped.
pub(crate) fn read(walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
    let text = walk.text(node)?;
    let expr: Arc<str> = text.trim().into();
    match verdict(&expr) {
        Verdict::Fine => Some(expr),
        Verdict::Bad(why) => {
            walk.error(Code::BadPromql, node.span, why).expected("expected a PromQL expression");
            None
        }
        Verdict::Newer(what) => {
            walk.warning(Code::UncheckedPromql, node.span, format!("{what} cannot be checked here"))
                .expected("the server decides")
                .help("run the query against the server once");
            Some(expr)
        }
    }
}

fn check(expr: &str) -> Verdict {
    if expr.len() > LONGEST {
        return Verdict::Bad(format!("the expression has {} bytes, at most {LONGEST} are read", expr.len()));
    }
    if nesting(expr) > DEEPEST {
        return Verdict::Bad(format!("the expression nests more than {DEEPEST} brackets"));
    }
    match promql_parser::parser::parse(expr) {
        Ok(_) => Verdict::Fine,
        Err(error) => match newer(expr) {
            Some(what) => Verdict::Newer(what),
            None => Verdict::Bad(explain(expr, &error)),
        },
    }
}

fn nesting(expr: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in expr.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    // A chain of signs or operators nests as well.
    deepest.max(expr.matches(['+', '-', '^']).count() / 10)
}

/// What the expression has that servers read and the parser here does not.
fn newer(expr: &str) -> Option<&'static str> {
    // What stands in a string, such as the class of a regular expression, is no syntax.
    let (bare, _) = outside_strings(expr);
    let is_digit = |c: char| c.is_ascii_digit();
    let words = || bare.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let underscored = words().any(|word| {
        word.starts_with(is_digit) && word.contains('_') && word.chars().all(|c| is_digit(c) || c == '_')
    });
    let ranged = bare.split('[').skip(1).any(|rest| {
        let inside = rest.split(']').next().unwrap_or("");
        inside.starts_with(is_digit) && inside.contains(['+', '-', '*', '/', '('])
            || inside.contains("step()")
    });
    if words().any(|word| matches!(word, "smoothed" | "anchored")) {
        Some("a `smoothed` or `anchored` selector")
    } else if underscored {
        Some("a number with underscores")
    } else if ranged {
        Some("arithmetic on a duration")
    } else {
        None
    }
}

/// The parser's message in one line, or the likely cause where it names none.
fn explain(expr: &str, error: &str) -> String {
    let lines: Vec<&str> = error.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // A regular expression's mistake comes with a drawing, its reason last.
    let reason = lines.last().and_then(|last| last.strip_prefix("error: "));
    let why = match (brackets(expr), reason, lines.first()) {
        (Some(why), ..) => why.to_owned(),
        (None, Some(reason), _) => format!("a regular expression is wrong: {reason}"),
        (None, None, Some(line)) if *line != NO_REASON => (*line).to_owned(),
        (None, None, _) => return "the expression is not PromQL".into(),
    };
    format!("the expression is not PromQL: {why}")
}

/// Which mark is not closed, if one is not.
fn brackets(expr: &str) -> Option<&'static str> {
    let (bare, open_string) = outside_strings(expr);
    if open_string {
        return Some("a string is not closed");
    }
    let count = |mark: char| bare.matches(mark).count();
    match count('(').cmp(&count(')')) {
        Ordering::Greater => Some("a `(` is not closed"),
        Ordering::Less => Some("there is a `)` too many"),
        Ordering::Equal => None,
    }
}

/// The expression without what stands in its strings, and whether the last string is still open.
fn outside_strings(expr: &str) -> (String, bool) {
    let (mut bare, mut quote, mut escaped) = (String::new(), None, false);
    for c in expr.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(mark) if c == mark => quote = None,
            Some(mark) => escaped = c == '\\' && mark != '`',
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None => bare.push(c),
        }
    }
    (bare, quote.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expr: &str) -> &'static str {
        match check(expr) {
            Verdict::Fine => "fine",
            Verdict::Newer(_) => "newer",
            Verdict::Bad(_) => "bad",
        }
    }

    #[test]
    fn what_servers_may_read_is_told_from_what_nobody_reads() {
        let cases = [
            ("up == 0", "fine"),
            ("sum by (job) (rate(x{code=~\"5..\"}[5m])) / 2", "fine"),
            ("rate(x[5m]) > 1_000", "newer"),
            ("rate(x[5m] smoothed)", "newer"),
            ("rate(x[5m * 2])", "newer"),
            ("rate(x[step()])", "newer"),
            ("rate(x{a=~\"[0-9]+\"}[5m]", "bad"),
            ("1 - max without (cpu) (busy{mode!=\"idle\"} offset 10m) > bool 0.5", "fine"),
            ("sum(rate(a [10m])) WITHOUT (pod) / 1e+06 > 7*24*60*60", "fine"),
            ("(a == 1) + on(uid) group_left(node) (0 * b{hash=\"\"}) unless c", "fine"),
            ("quantile_over_time(0.5, a[1d]) == b and time() - c @ end() > 3600", "fine"),
            ("histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m:30s])))", "fine"),
            ("{\"http.status\", code=~'5..'}", "fine"),
            ("absent_over_time(up{job=`x`}[1h])", "fine"),
            ("histogram_avg(rate(a[5m])) atan2 -Inf", "fine"),
            ("limitk(3, up) or limit_ratio(0.5, up)", "fine"),
            ("up{", "bad"),
            ("ratee(x[5m])", "bad"),
            ("", "bad"),
        ];
        for (expr, wanted) in cases {
            assert_eq!(verdict(expr), wanted, "{expr}");
        }
    }
}
