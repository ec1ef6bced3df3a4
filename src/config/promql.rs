//! PromQL: whether an expression can be understood at all. Owns the check and its memory of texts already seen;
//! evaluates nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

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

/// Checks expressions, each text once: ten thousand rules often share a few.
#[derive(Default)]
pub(crate) struct Promql {
    seen: RefCell<HashMap<Arc<str>, Verdict>>,
}

impl Promql {
    /// Reads a node as an expression; white space around it is dropped.
    pub(crate) fn read(&self, walk: &Walk<'_>, node: &Node) -> Option<Arc<str>> {
        let text = walk.text(node)?;
        let expr: Arc<str> = text.trim().into();
        let verdict = self.seen.borrow().get(&expr).cloned();
        let verdict = match verdict {
            Some(verdict) => verdict,
            None => {
                let verdict = check(&expr);
                self.seen.borrow_mut().insert(expr.clone(), verdict.clone());
                verdict
            }
        };
        match verdict {
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
    let bytes = expr.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let words = || expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
    let underscored = words().any(|word| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.contains('_')
            && word.chars().all(|c| c.is_ascii_digit() || c == '_')
    });
    let ranged = expr.match_indices('[').any(|(at, _)| {
        let inside = expr.get(at + 1..).and_then(|rest| rest.split(']').next()).unwrap_or("");
        is_digit(at + 1) && inside.contains(['+', '-', '*', '/', '(']) || inside.contains("step()")
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
    let why = match brackets(expr) {
        Err(why) => why,
        Ok(()) => {
            let mut lines = error.lines().map(str::trim).filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or("");
            // A regular expression's mistake comes with a drawing, its reason last.
            match lines.last().and_then(|last| last.strip_prefix("error: ")) {
                Some(reason) => format!("a regular expression is wrong: {reason}"),
                None if first.is_empty() || first == "invalid promql query" => {
                    return "the expression is not PromQL".into();
                }
                None => first.to_owned(),
            }
        }
    };
    format!("the expression is not PromQL: {why}")
}

/// Whether strings and round brackets are closed.
fn brackets(expr: &str) -> Result<(), String> {
    let (mut open, mut quote, mut escaped) = (0_i64, None, false);
    for c in expr.chars() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(mark), c) if c == mark => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(') => open += 1,
            (None, ')') => open -= 1,
            (None, _) => {}
        }
    }
    match (quote, open) {
        (Some(mark), _) => Err(format!("a {mark} is not closed")),
        (None, 1..) => Err("a `(` is not closed".into()),
        (None, ..0) => Err("there is a `)` too many".into()),
        (None, 0) => Ok(()),
    }
}
