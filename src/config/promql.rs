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
    let (mut open, mut odd) = (0_i64, false);
    for c in expr.chars() {
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            '"' => odd = !odd,
            _ => {}
        }
    }
    if odd {
        return "the expression is not PromQL: a `\"` is not closed".into();
    }
    match open {
        0 => {}
        1.. => return "the expression is not PromQL: a `(` is not closed".into(),
        _ => return "the expression is not PromQL: a `)` too many".into(),
    }
    let line = error.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    match line {
        "" | "invalid promql query" => "the expression is not PromQL".into(),
        line => format!("the expression is not PromQL: {line}"),
    }
}
