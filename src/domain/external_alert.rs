//! External alerts: alerts that another evaluator (Prometheus, vmalert, a script) found and hands in. Owns when one is
//! over and how a repetition is merged, as Alertmanager does it; which incident it belongs to is the engine's business.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::labels::Labels;
use super::severity::Severity;

/// How long an alert fires that comes without an end, where the configuration does not say: as in Alertmanager.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Why an external alert began, or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExternalReason {
    /// It was handed in.
    Posted,
    /// Its sender said that it is over.
    ResolvedBySender,
    /// Nobody repeated it before its end.
    RanOut,
}

impl ExternalReason {
    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::ResolvedBySender => "resolved_by_sender",
            Self::RanOut => "ran_out",
        }
    }
}

impl fmt::Display for ExternalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an alert is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExternalFault {
    /// It has no label, so that nothing identifies it.
    #[error("at least one label pair required")]
    NoLabels,
    /// It ends before it starts.
    #[error("start time must be before end time")]
    EndsBeforeStart,
}

/// An alert as it is handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedAlert {
    /// What identifies it.
    pub labels: Labels,
    /// What is said about it, by name.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// When it began, where that is said.
    pub starts_at: Option<Timestamp>,
    /// When it is over unless it is repeated, where that is said.
    pub ends_at: Option<Timestamp>,
    /// A page about where it comes from.
    pub generator_url: Option<Arc<str>>,
}

/// An alert that fires elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalAlert {
    /// What identifies it.
    pub labels: Labels,
    /// What is said about it, by name.
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
    /// When it began.
    pub starts_at: Timestamp,
    /// When it is over unless it is repeated.
    pub ends_at: Timestamp,
    /// Whether the end is only assumed because none was said.
    pub assumed_end: bool,
    /// When it was last handed in.
    pub updated_at: Timestamp,
    /// A page about where it comes from.
    pub generator_url: Option<Arc<str>>,
}

impl PostedAlert {
    /// Whether it may be taken.
    pub fn check(&self) -> Result<(), ExternalFault> {
        if self.labels.is_empty() {
            return Err(ExternalFault::NoLabels);
        }
        match (self.starts_at, self.ends_at) {
            (Some(from), Some(to)) if to < from => Err(ExternalFault::EndsBeforeStart),
            _ => Ok(()),
        }
    }
}

impl ExternalAlert {
    /// The alert as it was handed in at `now`; without an end it is over after `timeout`.
    pub fn new(posted: PostedAlert, timeout: Duration, now: Timestamp) -> Self {
        let PostedAlert { labels, annotations, starts_at, ends_at, generator_url } = posted;
        Self {
            labels,
            annotations,
            starts_at: starts_at.or(ends_at).unwrap_or(now),
            ends_at: ends_at.unwrap_or_else(|| now.checked_add(timeout).unwrap_or(Timestamp::MAX)),
            assumed_end: ends_at.is_none(),
            updated_at: now,
            generator_url,
        }
    }

    /// This one, repeated by a `younger` one: where they overlap the first start counts, and an end that was said
    /// stands against an earlier one unless the younger says that it is over.
    #[must_use]
    pub fn repeated(&self, younger: Self, now: Timestamp) -> Self {
        let within = |at: Timestamp| at > self.starts_at && at < self.ends_at;
        let overlaps = within(younger.ends_at) || within(younger.starts_at);
        if !overlaps {
            return younger;
        }
        let keeps_end = !younger.is_over(now) && self.ends_at > younger.ends_at && !self.assumed_end;
        Self {
            starts_at: self.starts_at.min(younger.starts_at),
            ends_at: if keeps_end { self.ends_at } else { younger.ends_at },
            ..younger
        }
    }

    /// Whether it is over at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    /// Its name, where it has one.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").unwrap_or("alert")
    }

    /// Whether people are to be told at all: an alert marked `info` or `none`, such as a watchdog that always fires, is
    /// only shown.
    pub fn is_for_people(&self) -> bool {
        let word = self.labels.get("severity").unwrap_or_default().to_ascii_lowercase();
        !["info", "information", "informational", "none", "debug"].contains(&word.as_str())
    }

    /// How bad it is by its label `severity`; what says nothing known is a warning, as in rule files.
    pub fn severity(&self) -> Severity {
        self.labels.get("severity").and_then(Severity::parse).unwrap_or(Severity::Warning)
    }

    /// An annotation that says something.
    pub fn annotation(&self, name: &str) -> Option<&Arc<str>> {
        self.annotations.get(name).filter(|text| !text.trim().is_empty())
    }

    /// The names in an annotation that is a list with commas, such as `mute_time_intervals`.
    pub fn names(&self, annotation: &str) -> impl Iterator<Item = &str> {
        let text = self.annotation(annotation).map(AsRef::as_ref).unwrap_or_default();
        text.split(',').map(str::trim).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    fn posted(from: Option<i64>, to: Option<i64>) -> PostedAlert {
        PostedAlert {
            labels: Labels::new([("alertname", "Down")]),
            annotations: BTreeMap::new(),
            starts_at: from.map(at),
            ends_at: to.map(at),
            generator_url: None,
        }
    }

    #[test]
    fn what_is_not_said_is_assumed_as_alertmanager_does() {
        let made = |from, to| {
            let alert = ExternalAlert::new(posted(from, to), RESOLVE_TIMEOUT, at(100));
            (alert.starts_at, alert.ends_at, alert.assumed_end)
        };
        assert_eq!(made(None, None), (at(100), at(105), true));
        assert_eq!(made(Some(90), None), (at(90), at(105), true));
        assert_eq!(made(None, Some(110)), (at(110), at(110), false));
        assert_eq!(made(Some(90), Some(110)), (at(90), at(110), false));
        assert_eq!(posted(Some(2), Some(1)).check(), Err(ExternalFault::EndsBeforeStart));
        let bare = PostedAlert { labels: Labels::empty(), ..posted(None, None) };
        assert_eq!(bare.check(), Err(ExternalFault::NoLabels));
    }

    #[test]
    fn a_repetition_keeps_the_first_start_and_a_said_end() {
        // Known from, to; repeated from, to; the start and end that count at minute 100.
        let cases = [
            ((Some(90), Some(104)), (Some(95), Some(105)), (90, 105)),
            ((Some(90), Some(110)), (Some(95), Some(105)), (90, 110)),
            // An assumed end gives way to a said one.
            ((Some(90), None), (Some(95), Some(103)), (90, 103)),
            // Over is over.
            ((Some(90), Some(110)), (Some(90), Some(99)), (90, 99)),
            // No overlap: another one.
            ((Some(80), Some(90)), (Some(95), Some(105)), (95, 105)),
        ];
        for ((from, to), (again_from, again_to), wanted) in cases {
            let known = ExternalAlert::new(posted(from, to), RESOLVE_TIMEOUT, at(99));
            let younger = ExternalAlert::new(posted(again_from, again_to), RESOLVE_TIMEOUT, at(100));
            let merged = known.repeated(younger, at(100));
            assert_eq!((merged.starts_at, merged.ends_at), (at(wanted.0), at(wanted.1)), "{from:?} {to:?}");
        }
    }

    #[test]
    fn the_label_severity_says_who_hears_of_it() {
        let alert = |word: &str| {
            let labels = Labels::new([("alertname", "A"), ("severity", word)]);
            let posted = PostedAlert { labels, ..posted(None, None) };
            let alert = ExternalAlert::new(posted, RESOLVE_TIMEOUT, at(0));
            (alert.is_for_people(), alert.severity())
        };
        assert_eq!(alert("page"), (true, Severity::Critical));
        assert_eq!(alert("warning"), (true, Severity::Warning));
        assert_eq!(alert(""), (true, Severity::Warning));
        assert_eq!(alert("purple"), (true, Severity::Warning));
        assert!(!alert("none").0 && !alert("Info").0);
    }
}
