//! Silences: alerts that nobody wants to hear of for a while. Owns what a valid silence is and whether it holds at an
//! instant; which incident is held back by one is the engine's business.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::alert::has_passed;
use super::labels::{Fnv, Labels};
use super::matcher::Matchers;
use super::name::SilenceId;

/// How long an expired silence is remembered, as in Alertmanager.
pub const RETENTION: Duration = Duration::from_secs(120 * 3_600);

/// How long before its end people hear that a silence is about to end while it holds something back.
pub const WARN_BEFORE: Duration = Duration::from_secs(15 * 60);

/// Where a silence is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SilenceState {
    /// It has not begun.
    Pending,
    /// It holds.
    Active,
    /// It is over.
    Expired,
}

impl SilenceState {
    /// The word used in APIs and metrics, as in Alertmanager.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for SilenceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What became of a silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SilenceMove {
    /// Somebody made it.
    Made,
    /// Somebody changed it.
    Changed,
    /// Somebody ended it before its time.
    Ended,
    /// It is about to end while it holds something back.
    Ending,
    /// It is over for so long that it is forgotten.
    Forgotten,
}

impl SilenceMove {
    /// The word used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Changed => "changed",
            Self::Ended => "ended",
            Self::Ending => "ending",
            Self::Forgotten => "forgotten",
        }
    }
}

/// Why a silence is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SilenceFault {
    /// It names no label.
    #[error("a silence needs at least one matcher")]
    NoMatchers,
    /// Every matcher fits the empty text, so that it would fit alerts that have none of its labels.
    #[error("at least one matcher must not match the empty text, else the silence would fit everything")]
    MatchesEverything,
    /// Its end is past.
    #[error("the silence is already over: its end lies in the past")]
    AlreadyOver,
    /// It ends before it starts, or at the same instant.
    #[error("the silence ends before it starts")]
    EndsBeforeStart,
    /// Nobody signs for it.
    #[error("a silence needs an author")]
    NoAuthor,
    /// It says not why.
    #[error("a silence needs a comment that says why")]
    NoComment,
}

impl SilenceFault {
    /// The word used in APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMatchers => "no_matchers",
            Self::MatchesEverything => "matches_everything",
            Self::AlreadyOver => "already_over",
            Self::EndsBeforeStart => "ends_before_start",
            Self::NoAuthor => "no_author",
            Self::NoComment => "no_comment",
        }
    }
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceRequest {
    /// Which alerts.
    pub matchers: Matchers,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who.
    pub author: Arc<str>,
    /// Why.
    pub comment: Arc<str>,
}

/// Alerts that nobody wants to hear of for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Identifies it for ever.
    pub id: SilenceId,
    /// Which alerts: those that fit all of them.
    pub matchers: Matchers,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when; at this instant it is over.
    pub ends_at: Timestamp,
    /// Who.
    pub author: Arc<str>,
    /// Why.
    pub comment: Arc<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The end of which people were warned, where they were: another end asks for another warning.
    #[serde(default)]
    pub warned_of: Option<Timestamp>,
}

impl Silence {
    /// A silence as asked for at `now`; without an `id` it gets one of its own.
    ///
    /// The start may lie in the past, the end may not.
    pub fn new(asked: SilenceRequest, id: Option<SilenceId>, now: Timestamp) -> Result<Self, SilenceFault> {
        if asked.matchers.is_empty() {
            return Err(SilenceFault::NoMatchers);
        }
        if asked.matchers.all_match_absent() {
            return Err(SilenceFault::MatchesEverything);
        }
        if asked.ends_at <= asked.starts_at {
            return Err(SilenceFault::EndsBeforeStart);
        }
        if asked.ends_at <= now {
            return Err(SilenceFault::AlreadyOver);
        }
        if asked.author.trim().is_empty() {
            return Err(SilenceFault::NoAuthor);
        }
        if asked.comment.trim().is_empty() {
            return Err(SilenceFault::NoComment);
        }
        let id = id.unwrap_or_else(|| own_id(&asked, now));
        let SilenceRequest { matchers, starts_at, ends_at, author, comment } = asked;
        let (created_at, updated_at) = (now, now);
        Ok(Self {
            id,
            matchers,
            starts_at,
            ends_at,
            author,
            comment,
            created_at,
            updated_at,
            warned_of: None,
        })
    }

    /// Where it is in its life at `now`.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if self.ends_at <= now {
            SilenceState::Expired
        } else if self.starts_at > now {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }

    /// Whether it holds at `now` and fits the labels.
    pub fn holds(&self, labels: &Labels, now: Timestamp) -> bool {
        self.state(now) == SilenceState::Active && self.matchers.match_all(labels)
    }

    /// Ends it at `now`; one that has not begun never will. Says whether that changed anything.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        if self.state(now) == SilenceState::Expired {
            return false;
        }
        self.starts_at = self.starts_at.min(now);
        self.ends_at = now;
        self.updated_at = now;
        true
    }

    /// Whether people should hear now that it is about to end.
    ///
    /// A silence that is not longer than the warning time is not warned of: its author knows.
    pub fn is_warning_due(&self, now: Timestamp) -> bool {
        let length = self.starts_at.duration_until(self.ends_at);
        self.state(now) == SilenceState::Active
            && self.warned_of != Some(self.ends_at)
            && length.unsigned_abs() > WARN_BEFORE
            && now.checked_add(WARN_BEFORE).is_ok_and(|soon| soon >= self.ends_at)
    }

    /// Whether it is over for so long that it is forgotten.
    pub fn is_past_retention(&self, now: Timestamp) -> bool {
        has_passed(self.ends_at, RETENTION, now)
    }
}

/// An id in the form that Alertmanager's clients know: a pure function of what is asked by whom and when, so that a
/// request repeated at the same instant makes the same silence.
fn own_id(asked: &SilenceRequest, now: Timestamp) -> SilenceId {
    let mut hash = Fnv::default();
    hash.write(asked.matchers.to_string().as_bytes());
    hash.write(&[0xff]);
    hash.write(asked.author.as_bytes());
    hash.write(&[0xff]);
    hash.write(asked.comment.as_bytes());
    hash.write(&asked.starts_at.as_nanosecond().to_be_bytes());
    hash.write(&asked.ends_at.as_nanosecond().to_be_bytes());
    let first = hash.0;
    hash.write(&now.as_nanosecond().to_be_bytes());
    let text = format!("{:016x}{first:016x}", hash.0);
    let parts: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().map(|at| &text[at]).collect();
    SilenceId::from(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
    }

    fn asked(matchers: &str, from: i64, to: i64) -> SilenceRequest {
        SilenceRequest {
            matchers: Matchers::parse(matchers).unwrap(),
            starts_at: at(from),
            ends_at: at(to),
            author: "ana".into(),
            comment: "deploy".into(),
        }
    }

    #[test]
    fn a_silence_that_says_nothing_or_comes_too_late_is_refused() {
        let fault = |asked: SilenceRequest| Silence::new(asked, None, at(0)).unwrap_err();
        assert_eq!(fault(asked("{}", 0, 60)), SilenceFault::NoMatchers);
        assert_eq!(fault(asked("a=~\".*\", b!=c", 0, 60)), SilenceFault::MatchesEverything);
        assert_eq!(fault(asked("a=b", -60, 0)), SilenceFault::AlreadyOver);
        assert_eq!(fault(asked("a=b", 60, 60)), SilenceFault::EndsBeforeStart);
        assert_eq!(
            fault(SilenceRequest { author: " ".into(), ..asked("a=b", 0, 60) }),
            SilenceFault::NoAuthor
        );
        assert_eq!(
            fault(SilenceRequest { comment: "".into(), ..asked("a=b", 0, 60) }),
            SilenceFault::NoComment
        );
        assert!(Silence::new(asked("a=~\".*\", b=c", -60, 60), None, at(0)).is_ok());
    }

    #[test]
    fn it_holds_from_its_start_until_just_before_its_end() {
        let silence = Silence::new(asked("a=b", 10, 20), None, at(0)).unwrap();
        let labels = Labels::new([("a", "b")]);
        let seen: Vec<_> = [9, 10, 19, 20].map(|minute| silence.state(at(minute)).as_str()).to_vec();
        assert_eq!(seen, ["pending", "active", "active", "expired"]);
        assert!(silence.holds(&labels, at(10)) && !silence.holds(&labels, at(20)));
        assert!(!silence.holds(&Labels::new([("a", "c")]), at(10)));
        assert!(!silence.is_past_retention(at(20 + 120 * 60 - 1)));
        assert!(silence.is_past_retention(at(20 + 120 * 60)));
    }

    #[test]
    fn it_can_be_ended_at_any_time_and_only_once() {
        let mut early = Silence::new(asked("a=b", 10, 20), None, at(0)).unwrap();
        assert!(early.expire(at(5)));
        assert_eq!(
            (early.starts_at, early.ends_at, early.state(at(5))),
            (at(5), at(5), SilenceState::Expired)
        );
        assert!(!early.expire(at(6)));
        let mut running = Silence::new(asked("a=b", 10, 20), None, at(0)).unwrap();
        assert!(running.expire(at(12)));
        assert_eq!((running.starts_at, running.ends_at), (at(10), at(12)));
    }

    #[test]
    fn its_end_is_told_a_quarter_of_an_hour_before_once() {
        let mut silence = Silence::new(asked("a=b", 0, 60), None, at(0)).unwrap();
        assert!(!silence.is_warning_due(at(44)) && silence.is_warning_due(at(45)));
        silence.warned_of = Some(silence.ends_at);
        assert!(!silence.is_warning_due(at(50)));
        silence.ends_at = at(120);
        assert!(!silence.is_warning_due(at(50)) && silence.is_warning_due(at(105)));
        assert!(!Silence::new(asked("a=b", 0, 15), None, at(0)).unwrap().is_warning_due(at(14)));
    }

    #[test]
    fn its_id_is_its_own_and_a_repeat_has_the_same() {
        let id = |matchers: &str, now: i64| Silence::new(asked(matchers, 0, 60), None, at(now)).unwrap().id;
        assert_eq!(id("a=b", 0), id("a=b", 0));
        assert_ne!(id("a=b", 0), id("a=b", 1));
        assert_ne!(id("a=b", 0), id("a=c", 0));
        let text = id("a=b", 0);
        assert_eq!(text.as_str().split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
