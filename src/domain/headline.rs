//! The headline: one line that says how bad, what, how much and what was done. Every channel uses this function.
//!
//! At most [`LONGEST`] characters, no markup, no newline; when too long it loses meaning in a fixed order (what was
//! done, then the limit, then the middle of the subject), never by cutting a string.

use jiff::tz::TimeZone;

use super::Timestamp;
use super::notice::{Facts, NoticeEvent};
use super::quantity::show_duration;

/// The most characters a headline has.
pub const LONGEST: usize = 120;

/// The longest subject that a headline shows whole once it is too long.
const LONGEST_SUBJECT: usize = 40;

/// The headline of a notice.
pub fn headline(event: &NoticeEvent, facts: &Facts) -> String {
    let subject = one_line(&facts.subject_name);
    let attempts = [
        (subject.clone(), true, true),
        (subject.clone(), true, false),
        (subject.clone(), false, false),
        (shortened(&subject, LONGEST_SUBJECT), false, false),
    ];
    let mut last = String::new();
    for (subject, with_limit, with_did) in attempts {
        last = compose(event, facts, &subject, with_limit, with_did);
        if last.chars().count() <= LONGEST {
            return last;
        }
    }
    shortened(&last, LONGEST)
}

/// A metric's name for people: `cpu_usage` reads `CPU usage`.
pub fn spoken(metric: &str) -> String {
    let words: Vec<String> = metric
        .split(['_', '-', ':'])
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "cpu" | "http" | "db" | "io" | "api" | "dns" | "tls" | "jvm" | "gc" => word.to_uppercase(),
            other => other.to_owned(),
        })
        .collect();
    if words.is_empty() { metric.to_owned() } else { words.join(" ") }
}

/// An instant as people read it at night: `03:14 UTC`.
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M UTC").to_string()
}

/// What is wrong and how much: `CPU 95 %`.
pub fn what(facts: &Facts) -> String {
    let spoken = spoken(&facts.metric);
    let name = spoken.strip_suffix(" usage").unwrap_or(&spoken);
    match facts.value {
        Some(value) => one_line(&format!("{name} {}", facts.unit.show(value))),
        None => one_line(name),
    }
}

fn compose(event: &NoticeEvent, facts: &Facts, subject: &str, with_limit: bool, with_did: bool) -> String {
    let severity = facts.severity.shout();
    let what = what(facts);
    let limit = match facts.threshold.filter(|_| with_limit) {
        Some(limit) => format!(" (limit {})", facts.unit.show(limit)),
        None => String::new(),
    };
    let did = match facts.did.as_deref().filter(|_| with_did) {
        Some(did) => format!(" · {}", one_line(did)),
        None => String::new(),
    };
    match event {
        NoticeEvent::Opened | NoticeEvent::Joined => format!("{severity} {subject}: {what}{limit}{did}"),
        NoticeEvent::Reopened => format!("{severity} again {subject}: {what}{limit}{did}"),
        NoticeEvent::Worsened { was } | NoticeEvent::Eased { was } => {
            format!("{severity}, was {was}: {subject} {what}{limit}{did}")
        }
        NoticeEvent::Scaled => {
            let did = facts.did.as_deref().map_or_else(|| "scaled".into(), one_line);
            format!("SCALED {subject}: {did}{}", eta(facts, " · verified by "))
        }
        NoticeEvent::NotScaled => {
            let did = facts.did.as_deref().map_or_else(|| "held".into(), one_line);
            format!("NOT SCALED {subject}: {did}")
        }
        NoticeEvent::Acknowledged { by } => format!("ACK {subject} by {} · {what}{limit}", one_line(by)),
        NoticeEvent::StatusUpdate => {
            let since = format!(" · since {}", clock(facts.opened_at));
            let next = facts
                .next_steps
                .first()
                .filter(|_| with_did)
                .map_or_else(String::new, |step| format!(" · next: {}", one_line(step)));
            format!("{severity} {subject}: {what}{limit}{since}{next}")
        }
        NoticeEvent::Resolved => {
            let lasted = lasted(facts.opened_at, facts.resolved_at.unwrap_or(facts.opened_at));
            format!("RESOLVED {subject}: {what}{lasted}{did}")
        }
    }
}

fn eta(facts: &Facts, lead: &str) -> String {
    facts.eta.map_or_else(String::new, |at| format!("{lead}{}", clock(at)))
}

fn lasted(from: Timestamp, to: Timestamp) -> String {
    let seconds = u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0);
    let whole = if seconds >= 120 { seconds - seconds % 60 } else { seconds };
    format!(" · lasted {}", show_duration(std::time::Duration::from_secs(whole)))
}

/// No newline and no control character survives: the line goes into mail headers and terminals.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Leaves out the middle, where names differ least.
fn shortened(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return text.to_owned();
    }
    let tail = (longest - 1) / 2;
    let head = longest - 1 - tail;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}
