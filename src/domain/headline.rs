//! The headline: one line that says how bad, what, how much and what was done. Every channel uses this function.
//!
//! At most [`LONGEST`] characters, no markup, no newline; when too long it loses meaning in a fixed order (what was
//! done, then the limit, then the middle of the subject, then of the other words), never by cutting off its end.

use jiff::tz::TimeZone;

use super::Timestamp;
use super::notice::{Facts, NoticeEvent};
use super::quantity::show_duration;

/// The most characters a headline has.
pub const LONGEST: usize = 120;

/// The longest subject that a headline shows whole once it is too long.
const LONGEST_SUBJECT: usize = 40;

/// The longest of the other words that a headline shows whole where nothing else helped.
const LONGEST_WORD: usize = 28;

/// How much a headline says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    WordsShortened,
    SubjectShortened,
    NoLimit,
    NoDid,
    Whole,
}

/// The headline of a notice.
pub fn headline(event: &NoticeEvent, facts: &Facts) -> String {
    let fullest =
        [Detail::Whole, Detail::NoDid, Detail::NoLimit, Detail::SubjectShortened, Detail::WordsShortened];
    let mut last = String::new();
    for detail in fullest {
        last = Line { facts, detail }.compose(event);
        if last.chars().count() <= LONGEST {
            break;
        }
    }
    last
}

/// A metric's name for people: `cpu_usage` reads `CPU usage`.
pub fn spoken(metric: &str) -> String {
    let words: Vec<String> = metric
        .split(['_', '-', ':', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "api" | "cpu" | "db" | "dns" | "gc" | "http" | "https" | "id" | "io" | "ip" | "jvm" | "oom"
            | "pvc" | "qps" | "rps" | "sql" | "tcp" | "tls" | "ttl" | "udp" | "url" => word.to_uppercase(),
            other => other.to_owned(),
        })
        .collect();
    if words.is_empty() { metric.to_owned() } else { words.join(" ") }
}

/// An instant as people read it at night: `03:14 UTC`.
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M UTC").to_string()
}

/// An instant for people who read at `now`: with its date where that is another day, `2026-11-22 03:14 UTC`.
pub fn clock_seen(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let format = if at.date() == now.date() { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
    at.strftime(format).to_string()
}

/// The time between two instants for people: `22m`; seconds only below two minutes, nothing below zero.
pub fn between(from: Timestamp, to: Timestamp) -> String {
    let seconds = u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0);
    let whole = if seconds >= 120 { seconds - seconds % 60 } else { seconds };
    show_duration(std::time::Duration::from_secs(whole))
}

/// What is wrong and how much: `CPU 95 %`.
pub fn what(facts: &Facts) -> String {
    what_with(facts, "")
}

/// What is wrong, how much and beyond what: `CPU 95 % (limit 90 %)`.
pub fn what_and_limit(facts: &Facts) -> String {
    format!("{}{}", what(facts), limit(facts))
}

/// A text on one line: no newline, no control character and none that reorders or hides others survives, because the
/// line goes into mail headers, terminals and chat.
pub fn one_line(text: &str) -> String {
    let disturbs = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if disturbs(c) { ' ' } else { c }).collect()
}

/// Leaves out the middle of a text beyond `longest` characters: names differ least there.
pub fn shortened(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest || longest == 0 {
        return text.to_owned();
    }
    let tail = (longest - 1) / 2;
    let head = longest - 1 - tail;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

fn what_with(facts: &Facts, adverb: &str) -> String {
    let spoken = spoken(&facts.metric);
    let name = spoken.strip_suffix(" usage").unwrap_or(&spoken);
    match facts.value {
        Some(value) => one_line(&format!("{name}{adverb} {}", facts.unit.show(value))),
        None => one_line(name),
    }
}

fn limit(facts: &Facts) -> String {
    facts.threshold.map_or_else(String::new, |limit| format!(" (limit {})", facts.unit.show(limit)))
}

/// One try at a headline.
struct Line<'f> {
    facts: &'f Facts,
    detail: Detail,
}

impl Line<'_> {
    fn compose(&self, event: &NoticeEvent) -> String {
        let facts = self.facts;
        let severity = facts.severity.shout();
        let subject = self.subject();
        let what = self.word(&what(facts));
        let limit = if self.detail >= Detail::NoDid { limit(facts) } else { String::new() };
        let did = match facts.did.as_deref().filter(|_| self.detail == Detail::Whole) {
            Some(did) => format!(" · {}", one_line(did)),
            None => String::new(),
        };
        match event {
            NoticeEvent::Opened | NoticeEvent::Joined => format!("{severity} {subject}: {what}{limit}{did}"),
            NoticeEvent::Reopened => format!("{severity} again {subject}: {what}{limit}{did}"),
            NoticeEvent::Worsened { was } | NoticeEvent::Eased { was } => {
                format!("{severity}, was {was}: {subject} {what}{limit}{did}")
            }
            NoticeEvent::Scaled => self.scaled(&subject),
            NoticeEvent::NotScaled => {
                let did = facts.did.as_deref().unwrap_or("held");
                format!(
                    "NOT SCALED {subject}: {}",
                    self.word(did.trim_start_matches("not scaled").trim_start_matches([':', ' ']))
                )
            }
            NoticeEvent::Acknowledged { by } => {
                let still = self.word(&what_with(facts, " still"));
                format!("ACK {subject} by {} · {still}{limit}", self.word(by))
            }
            NoticeEvent::Escalated { role } => {
                format!("{severity} {subject}: {what}{limit} · nobody took it, waking {}", self.word(role))
            }
            NoticeEvent::Digest | NoticeEvent::Heartbeat => format!("{event} {subject}"),
            NoticeEvent::StatusUpdate => {
                let since = clock(facts.opened_at);
                let next = match facts.next_steps.first().filter(|_| self.detail == Detail::Whole) {
                    // What is new says more than what is still to be done.
                    Some(step) if did.is_empty() => format!(" · next: {}", one_line(step)),
                    Some(_) | None => did,
                };
                format!("{severity} {subject}: {what}{limit} · since {since}{next}")
            }
            NoticeEvent::Resolved => {
                let lasted = between(facts.opened_at, facts.resolved_at.unwrap_or(facts.opened_at));
                format!("RESOLVED {subject}: {what} · lasted {lasted}{did}")
            }
        }
    }

    /// Whether the step worked is the news, so it leads; until it is known, when it will be.
    fn scaled(&self, subject: &str) -> String {
        let did = self.facts.did.as_deref().unwrap_or("scaled");
        let says = |words: &[&str]| words.iter().any(|word| did.contains(word));
        let failed = says(&["failed", "reverted", "not ready"]);
        let known = says(&["ready", "verified", "would", "dry run"]);
        let lead = match failed {
            _ if did.starts_with("would ") => "DRY RUN",
            true => "SCALING FAILED",
            false => "SCALED",
        };
        let step = did.strip_prefix("scaled ").or_else(|| did.strip_prefix("scaling ")).unwrap_or(did);
        let until = match self.facts.eta.filter(|_| !failed && !known && self.detail == Detail::Whole) {
            Some(eta) => format!(" · verified by {}", clock(eta)),
            None => String::new(),
        };
        format!("{lead} {subject}: {}{until}", self.word(step))
    }

    fn subject(&self) -> String {
        let subject = one_line(&self.facts.subject_name);
        if self.detail <= Detail::SubjectShortened { shortened(&subject, LONGEST_SUBJECT) } else { subject }
    }

    fn word(&self, text: &str) -> String {
        let text = one_line(text);
        if self.detail == Detail::WordsShortened { shortened(&text, LONGEST_WORD) } else { text }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::incident::IncidentState;
    use crate::domain::labels::Labels;
    use crate::domain::quantity::Unit;
    use crate::domain::severity::Severity;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The story's facts.
    pub(in crate::domain) fn facts() -> Facts {
        Facts {
            incident_id: "INC-20261123-0007".into(),
            uid: "3f2a".into(),
            incident_type: "service_outage".into(),
            severity: Severity::Critical,
            state: IncidentState::Open,
            acknowledged_by: None,
            acknowledged_in: None,
            subject: Labels::new([("service", "checkout")]),
            subject_name: "checkout".into(),
            opened_by: "cpu_usage".into(),
            metric: "cpu_usage".into(),
            value: Some(0.95),
            unit: Unit::Ratio,
            threshold: Some(0.9),
            impact: "".into(),
            team: "operations".into(),
            actions: Vec::new(),
            next_steps: vec!["Roll back".into()],
            eta: Some(at("2026-11-23T03:17:00Z")),
            since: at("2026-11-23T03:09:00Z"),
            opened_at: at("2026-11-23T03:11:00Z"),
            resolved_at: Some(at("2026-11-23T03:33:40Z")),
            did: Some("scaling 4 → 6".into()),
            labels: Labels::empty(),
            runbook_url: None,
            diagnosis: Vec::new(),
            links: Vec::new(),
            pages: 1,
            opened_revision: 1,
            lead: None,
        }
    }

    fn events() -> Vec<NoticeEvent> {
        vec![
            NoticeEvent::Opened,
            NoticeEvent::Worsened { was: Severity::Warning },
            NoticeEvent::Eased { was: Severity::Critical },
            NoticeEvent::Joined,
            NoticeEvent::Scaled,
            NoticeEvent::NotScaled,
            NoticeEvent::Acknowledged { by: "Ana".into() },
            NoticeEvent::StatusUpdate,
            NoticeEvent::Resolved,
            NoticeEvent::Reopened,
        ]
    }

    #[test]
    fn every_event_has_its_line() {
        let lines: Vec<String> = events().iter().map(|event| headline(event, &facts())).collect();
        assert_eq!(
            lines,
            [
                "CRITICAL checkout: CPU 95 % (limit 90 %) · scaling 4 → 6",
                "CRITICAL, was warning: checkout CPU 95 % (limit 90 %) · scaling 4 → 6",
                "CRITICAL, was critical: checkout CPU 95 % (limit 90 %) · scaling 4 → 6",
                "CRITICAL checkout: CPU 95 % (limit 90 %) · scaling 4 → 6",
                "SCALED checkout: 4 → 6 · verified by 03:17 UTC",
                "NOT SCALED checkout: scaling 4 → 6",
                "ACK checkout by Ana · CPU still 95 % (limit 90 %)",
                "CRITICAL checkout: CPU 95 % (limit 90 %) · since 03:11 UTC · scaling 4 → 6",
                "RESOLVED checkout: CPU 95 % · lasted 22m · scaling 4 → 6",
                "CRITICAL again checkout: CPU 95 % (limit 90 %) · scaling 4 → 6",
            ]
        );
    }

    #[test]
    fn an_update_without_news_says_what_is_to_be_done_next() {
        let quiet = headline(&NoticeEvent::StatusUpdate, &Facts { did: None, ..facts() });
        assert_eq!(quiet, "CRITICAL checkout: CPU 95 % (limit 90 %) · since 03:11 UTC · next: Roll back");
    }

    #[test]
    fn a_step_that_failed_does_not_read_as_one_that_worked() {
        let told = |did: &str| headline(&NoticeEvent::Scaled, &Facts { did: Some(did.into()), ..facts() });
        assert_eq!(told("4 → 6"), "SCALED checkout: 4 → 6 · verified by 03:17 UTC");
        assert_eq!(told("scaled 4 → 6, verified"), "SCALED checkout: 4 → 6, verified");
        assert_eq!(told("4 → 6, ready"), "SCALED checkout: 4 → 6, ready");
        assert_eq!(told("scaled 4 → 6, reverted to 4"), "SCALING FAILED checkout: 4 → 6, reverted to 4");
        let dry = told("would scale 4 → 6 (dry run, cpu 95 %)");
        assert_eq!(dry, "DRY RUN checkout: would scale 4 → 6 (dry run, cpu 95 %)");
        let held = Facts { did: Some("not scaled 4 → 6: quota".into()), ..facts() };
        assert_eq!(headline(&NoticeEvent::NotScaled, &held), "NOT SCALED checkout: 4 → 6: quota");
    }

    #[test]
    fn meaning_is_dropped_in_order() {
        let told = |subject: usize, did: &str| {
            let subject_name = format!("{}b", "a".repeat(subject - 1)).into();
            headline(&NoticeEvent::Opened, &Facts { subject_name, did: Some(did.into()), ..facts() })
        };
        assert!(told(60, "scaling 4 → 6").ends_with("b: CPU 95 % (limit 90 %) · scaling 4 → 6"));
        let without_did = told(80, "scaling 4 → 6");
        assert!(without_did.ends_with("b: CPU 95 % (limit 90 %)"), "{without_did}");
        let without_limit = told(100, "scaling 4 → 6");
        assert!(without_limit.ends_with("b: CPU 95 %") && !without_limit.contains('…'), "{without_limit}");
        let shortened = told(3_000, "scaling 4 → 6");
        assert_eq!(shortened.chars().count(), "CRITICAL : CPU 95 %".len() + LONGEST_SUBJECT);
    }

    #[test]
    fn names_and_times_read_as_people_say_them() {
        assert_eq!(spoken("cpu_usage"), "CPU usage");
        assert_eq!(spoken("http_5xx-rate"), "HTTP 5xx rate");
        assert_eq!(spoken("__"), "__");
        assert_eq!(what(&Facts { value: None, metric: "HighErrorRate".into(), ..facts() }), "HighErrorRate");
        let now = at("2026-11-23T03:17:00Z");
        assert_eq!(clock_seen(at("2026-11-23T23:59:59Z"), now), "23:59 UTC");
        assert_eq!(clock_seen(at("2026-11-22T23:59:59Z"), now), "2026-11-22 23:59 UTC");
        assert_eq!(between(now, at("2026-11-23T03:18:59Z")), "1m59s");
        assert_eq!(between(now, at("2026-11-22T03:18:59Z")), "0s");
    }

    #[test]
    fn one_line_stays_one_line() {
        assert_eq!(one_line("a\r\nBcc: x\u{202e}\u{2028}b\u{1b}[31m"), "a  Bcc: x  b [31m");
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![".{0,30}", "[a-z_\r\n\u{2028}🛑]{0,400}", Just("x".repeat(3_000))]
    }

    proptest! {
        #[test]
        fn a_headline_is_one_line_of_at_most_120_characters(
            (event, by) in (proptest::sample::select(events()), any_text()),
            (subject, metric, did, step) in (any_text(), any_text(), any_text(), any_text()),
            (value, threshold) in (any::<f64>(), any::<f64>()),
            unit in proptest::sample::select(Unit::ALL.to_vec()),
            (opened, resolved) in (-3_000_000_000_i64..200_000_000_000, -3_000_000_000_i64..200_000_000_000),
        ) {
            let event = match event {
                NoticeEvent::Acknowledged { .. } => NoticeEvent::Acknowledged { by: by.into() },
                other => other,
            };
            let line = headline(&event, &Facts {
                subject_name: subject.into(),
                metric: metric.into(),
                did: Some(did.into()),
                next_steps: vec![step.into()],
                value: Some(value),
                threshold: Some(threshold),
                unit,
                opened_at: Timestamp::from_second(opened).unwrap(),
                resolved_at: Some(Timestamp::from_second(resolved).unwrap()),
                ..facts()
            });
            prop_assert!(line.chars().count() <= LONGEST, "{} {line}", line.chars().count());
            let broken = line.chars().any(|c| c.is_control() || c == '\u{2028}');
            prop_assert!(!broken, "{line:?}");
        }
    }
}
