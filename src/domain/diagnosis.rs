//! Diagnosis: what the daemon looks at by itself when an incident opens, and what it found. Owns what can be asked, the
//! bounds of what is attached and the closed list of failures; asks nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::headline::{one_line, shortened};
use super::name::{IncidentId, TargetId};
use super::placeholder::FillError;
use super::quantity::Unit;

/// The most steps of one incident that are run; further ones stay with the people.
pub const MOST_STEPS: usize = 20;

/// The most text attached by one step, in bytes.
pub const LONGEST_TEXT: usize = 4 * 1024;

/// The longest line that says what was found, in characters.
const LONGEST_HEAD: usize = 120;

/// What a step looks at, with every label filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// A query, and the unit of its values where it is known.
    Query {
        /// The PromQL expression.
        expr: Arc<str>,
        /// The unit.
        unit: Option<Unit>,
    },
    /// The last lines of a pod's log.
    Logs(Pods),
    /// The last events of an object and of the pods that carry its name.
    Events {
        /// The Kubernetes namespace.
        namespace: Arc<str>,
        /// The object's name.
        name: Arc<str>,
    },
    /// An HTTP GET.
    Http(Arc<str>),
    /// A link for people; nothing is asked.
    Link(Arc<str>),
}

/// Which pods a step is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pods {
    /// Those that a label selector fits.
    Selected {
        /// The Kubernetes namespace.
        namespace: Arc<str>,
        /// The selector, as Kubernetes spells it.
        selector: Arc<str>,
    },
    /// One.
    Named {
        /// The Kubernetes namespace.
        namespace: Arc<str>,
        /// The pod's name.
        name: Arc<str>,
    },
    /// Those of a workload.
    Of(TargetId),
}

/// What kind of step it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepKind {
    /// A query.
    Query,
    /// A log's tail.
    Logs,
    /// Kubernetes events.
    Events,
    /// An HTTP check.
    Http,
    /// A link.
    Link,
}

impl StepKind {
    /// The word used in files, metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Logs => "logs",
            Self::Events => "events",
            Self::Http => "http",
            Self::Link => "link",
        }
    }
}

impl Ask {
    /// What is asked, for people: the query, the URL, the pods.
    pub fn words(&self) -> String {
        match self {
            Self::Query { expr, .. } => expr.to_string(),
            Self::Logs(Pods::Selected { namespace, selector }) => format!("pods of {namespace}: {selector}"),
            Self::Logs(Pods::Named { namespace, name }) => format!("pod {namespace}/{name}"),
            Self::Logs(Pods::Of(target)) => format!("pods of {} {target}", target.kind),
            Self::Events { namespace, name } => format!("events of {namespace}/{name}"),
            Self::Http(url) | Self::Link(url) => url.to_string(),
        }
    }
}

/// Why a step found nothing. A closed set: it becomes a metric label and a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepFailure {
    /// A label the step names is not there.
    NoLabel,
    /// A label's value cannot stand where the step puts it.
    UnfitLabel,
    /// No complete answer in time.
    TimedOut,
    /// No connection could be made, or it broke.
    Unreachable,
    /// The other side is in trouble itself.
    Unavailable,
    /// There is no such thing.
    NotFound,
    /// A right is missing.
    Forbidden,
    /// The question itself was refused as wrong.
    Rejected,
    /// The host, or what its name leads to, may not be reached.
    RefusedHost,
    /// The answer was larger than allowed.
    TooLarge,
    /// The answer could not be understood.
    Malformed,
    /// Nothing that could answer is configured.
    NotAvailable,
    /// Too many steps ran at once for this one to begin in time.
    Busy,
}

impl StepFailure {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoLabel => "no_label",
            Self::UnfitLabel => "unfit_label",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Rejected => "rejected",
            Self::RefusedHost => "refused_host",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::NotAvailable => "not_available",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A step that found nothing: the class, and words for people without any secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub why: StepFailure,
    /// What was said about it, on one line; may be empty.
    pub detail: Arc<str>,
}

impl Failed {
    /// A failure with what is known about it.
    pub fn new(why: StepFailure, detail: &str) -> Self {
        Self { why, detail: shortened(one_line(detail).trim(), LONGEST_HEAD).into() }
    }
}

impl From<FillError> for Failed {
    fn from(error: FillError) -> Self {
        let why = match error {
            FillError::Absent(_) => StepFailure::NoLabel,
            FillError::Unfit(_) | FillError::Outside(_) => StepFailure::UnfitLabel,
        };
        Self::new(why, &error.to_string())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { self.why.fmt(f) } else { write!(f, "{}: {}", self.why, self.detail) }
    }
}

/// Which end of a long text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The beginning: a table, an answer.
    Beginning,
    /// The end: a log.
    End,
}

/// What a step attached to the incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// What was found, on one line.
    pub head: Arc<str>,
    /// All of it, at most [`LONGEST_TEXT`] bytes in whole lines; no control character but newline and tab survives.
    pub text: Arc<str>,
    /// Whether something did not fit.
    pub cut: bool,
}

impl Attachment {
    /// An attachment of a text from outside, made harmless and brought within its bounds.
    pub fn new(head: &str, text: &str, keep: Keep) -> Self {
        let text = without_controls(text);
        let (kept, cut) = match keep {
            Keep::Beginning => beginning(&text),
            Keep::End => end(&text),
        };
        Self { head: shortened(one_line(head).trim(), LONGEST_HEAD).into(), text: kept.into(), cut }
    }
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub outcome: Result<Attachment, Failed>,
}

/// One step of an incident's diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosisStep {
    /// The runbook's words.
    pub step: Arc<str>,
    /// What kind of step it is.
    pub kind: StepKind,
    /// What is asked; nothing where a label was missing.
    pub ask: Option<Ask>,
    /// When it was decided to run it: steps decided together are one run.
    pub asked_at: Timestamp,
    /// How it ended; nothing while it runs.
    pub finding: Option<Finding>,
}

impl DiagnosisStep {
    /// What it found, unless it is a link, which finds nothing.
    pub fn found(&self) -> Option<&Attachment> {
        let finding = self.finding.as_ref().filter(|_| self.kind != StepKind::Link)?;
        finding.outcome.as_ref().ok()
    }

    /// The step and how it ended, on one line; nothing while it runs, and for a link.
    pub fn line(&self) -> Option<String> {
        let finding = self.finding.as_ref().filter(|_| self.kind != StepKind::Link)?;
        let step = shortened(&one_line(&self.step), LONGEST_HEAD / 2);
        Some(match &finding.outcome {
            Ok(found) => format!("{step}: {}", found.head),
            Err(failed) => format!("{step}: nothing found, {failed}"),
        })
    }
}

/// Steps to run now, all of one incident and one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnose {
    /// The incident.
    pub incident: IncidentId,
    /// Which run of it.
    pub asked_at: Timestamp,
    /// Each step's place in the incident's diagnosis and what it asks.
    pub steps: Vec<(usize, Ask)>,
}

/// A link that people may follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it leads to.
    pub name: Arc<str>,
    /// The URL; http or https.
    pub url: Arc<str>,
}

/// Takes out terminal sequences whole and every other control character but newline and tab.
fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // A sequence of colours or cursor moves: `ESC [`, parameters, one letter (ECMA-48, 5.4).
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                    chars.next_if(|c| matches!(c, '@'..='~'));
                }
            }
            '\n' | '\t' => out.push(c),
            c if one_line(c.encode_utf8(&mut [0; 4])) == " " && c != ' ' => {}
            c => out.push(c),
        }
    }
    out
}

fn beginning(text: &str) -> (String, bool) {
    let text = text.trim_end();
    if text.len() <= LONGEST_TEXT {
        return (text.to_owned(), false);
    }
    let room = &text[..(0..=LONGEST_TEXT).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0)];
    // Whole lines, unless one line alone is too long.
    let kept = room.rfind('\n').map_or(room, |at| &room[..at]);
    (kept.to_owned(), true)
}

fn end(text: &str) -> (String, bool) {
    let text = text.trim_end();
    if text.len() <= LONGEST_TEXT {
        return (text.to_owned(), false);
    }
    let from = (text.len() - LONGEST_TEXT..text.len()).find(|at| text.is_char_boundary(*at));
    let room = &text[from.unwrap_or(text.len())..];
    let kept = room.find('\n').map_or(room, |at| &room[at + 1..]);
    (kept.to_owned(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_attached_is_bounded_and_cannot_disturb() {
        let odd =
            Attachment::new("a\nb\u{202e}", "\u{1b}[31mred\u{1b}[0m\u{7}\r\nnext\tcolumn\n\n", Keep::End);
        assert_eq!((&*odd.head, &*odd.text, odd.cut), ("a b", "red\nnext\tcolumn", false));
        let lines: Vec<String> = (0..1_000).map(|n| format!("line {n} é\n")).collect();
        let lines = lines.concat();
        let first = Attachment::new("", &lines, Keep::Beginning);
        assert!(first.cut && first.text.len() <= LONGEST_TEXT && first.text.starts_with("line 0 é\nline 1"));
        assert!(first.text.ends_with('é'));
        let last = Attachment::new("", &lines, Keep::End);
        assert!(last.cut && last.text.len() <= LONGEST_TEXT && last.text.ends_with("line 999 é"));
        assert!(last.text.starts_with("line "));
        let one = Attachment::new("", &"é".repeat(5_000), Keep::End);
        assert!(one.cut && one.text.len() <= LONGEST_TEXT && one.text.chars().all(|c| c == 'é'));
    }
}
