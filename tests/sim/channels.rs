//! Channels: what becomes of one attempt to deliver. Owns moods and fates: whether and when a message arrives, and what
//! the daemon is answered, which need not be the truth.

use std::time::Duration;

use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::notice::{Notice, NoticeEvent, Receipt};

use crate::chance::Chance;

/// How long the daemon waits for an answer.
const PATIENCE: u64 = 10_000;

/// How a channel answers for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Works,
    Unreachable,
    ServerError,
    SlowDown(u64),
    Unauthorized,
    Rejects,
    Hangs,
    /// Takes everything and never says so.
    LosesAnswers,
}

impl Mood {
    /// One that fails, so often as it is written here.
    pub(crate) fn bad(chance: &mut Chance) -> Self {
        let waits = [0, 1, 5, 30, 120, 900, 1_000_000];
        let wait = chance.of(&waits).copied().unwrap_or(1);
        let all = [
            Self::Unreachable,
            Self::Unreachable,
            Self::ServerError,
            Self::SlowDown(wait),
            Self::Unauthorized,
            Self::Rejects,
            Self::Hangs,
            Self::LosesAnswers,
        ];
        chance.of(&all).copied().unwrap_or(Self::Unreachable)
    }
}

/// What becomes of one attempt.
pub(crate) struct Fate {
    /// In how many milliseconds the message arrives and is accepted.
    pub(crate) arrives: Option<u64>,
    /// In how many the daemon hears this.
    pub(crate) answered: u64,
    pub(crate) answer: Attempt,
}

impl Fate {
    /// Whether the message may count though the daemon is told that it failed.
    pub(crate) fn is_lost_answer(&self) -> bool {
        self.arrives.is_some() && matches!(self.answer, Attempt::Failed { .. })
    }

    fn failed(reason: DeliveryReason, answered: u64, retry_after: Option<u64>) -> Self {
        let retry_after = retry_after.map(Duration::from_secs);
        let answer = Attempt::Failed { reason, detail: "it does".into(), retry_after };
        Self { arrives: None, answered, answer }
    }

    fn refused(reason: DeliveryReason, answered: u64) -> Self {
        Self { arrives: None, answered, answer: Attempt::Refused { reason, detail: "no".into() } }
    }
}

/// What becomes of an attempt on a channel in a mood. `known`: the channel is configured.
pub(crate) fn fate(notice: &Notice, known: bool, mood: Mood, stray: bool, chance: &mut Chance) -> Fate {
    if !known {
        return Fate::refused(DeliveryReason::NoSuchChannel, 0);
    }
    if says_nothing(notice) {
        return Fate { arrives: None, answered: 0, answer: Attempt::NothingToSend };
    }
    let takes = chance.millis(0.005, 0.4);
    let arrives = Some(takes / 2);
    let mood = if mood == Mood::Works && stray { Mood::bad(chance) } else { mood };
    match mood {
        Mood::Works => {
            let receipt = Some(Receipt(notice.channel.as_str().into()));
            Fate { arrives, answered: takes, answer: Attempt::Accepted { receipt } }
        }
        Mood::Unreachable => Fate::failed(DeliveryReason::Unreachable, takes, None),
        Mood::ServerError => Fate::failed(DeliveryReason::ServerError, takes, None),
        Mood::SlowDown(wait) => Fate::failed(DeliveryReason::RateLimited, takes, Some(wait)),
        Mood::Unauthorized => Fate::refused(DeliveryReason::Unauthorized, takes),
        Mood::Rejects => Fate::refused(DeliveryReason::Rejected, takes),
        Mood::Hangs => Fate::failed(DeliveryReason::TimedOut, PATIENCE, None),
        Mood::LosesAnswers => {
            // Half of them arrive after the daemon gave up.
            let late = chance.strikes(0.5).then(|| PATIENCE + chance.millis(0.1, 40.0));
            let arrives = late.or(arrives);
            Fate { arrives, ..Fate::failed(DeliveryReason::TimedOut, PATIENCE, None) }
        }
    }
}

/// A pager hears of pages, of who took them, and of the end.
fn says_nothing(notice: &Notice) -> bool {
    notice.channel.as_str() == "pagerduty"
        && matches!(
            notice.event,
            NoticeEvent::Eased { .. }
                | NoticeEvent::Joined
                | NoticeEvent::Scaled
                | NoticeEvent::NotScaled
                | NoticeEvent::StatusUpdate
                | NoticeEvent::Digest
        )
}
