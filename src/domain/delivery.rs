//! Deliveries: what becomes of an attempt to send a notice, why it fails, and how long to wait before the next. Sends
//! nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notice::Receipt;

/// Why a notice could not be delivered. A closed set: it becomes a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeliveryReason {
    /// No connection could be made, or it broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The other side asked to slow down.
    RateLimited,
    /// The other side is in trouble itself (5xx, SMTP 4xx).
    ServerError,
    /// The other side does not know us (401, 403, SMTP 535).
    Unauthorized,
    /// The other side refuses the message as it is (400, SMTP 5xx).
    Rejected,
    /// The other side's address is gone (404, 410).
    NotFound,
    /// The message could not be made: a template or a secret failed.
    NotRendered,
    /// The channel is no longer configured.
    NoSuchChannel,
    /// It could not be put on record, and must not leave without.
    NotRecorded,
}

impl DeliveryReason {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Unauthorized => "unauthorized",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::NotRendered => "not_rendered",
            Self::NoSuchChannel => "no_such_channel",
            Self::NotRecorded => "not_recorded",
        }
    }
}

impl fmt::Display for DeliveryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What became of one attempt to deliver a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The other side accepted it.
    Accepted {
        /// What it gave back, for the notices that follow; `None` keeps the one there is.
        receipt: Option<Receipt>,
    },
    /// The channel has nothing to say about such an event (PagerDuty about a status update).
    NothingToSend,
    /// It may work later.
    Failed {
        /// Why.
        reason: DeliveryReason,
        /// What the other side said, without any secret.
        detail: Arc<str>,
        /// When the other side asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// It will never work as it is.
    Refused {
        /// Why.
        reason: DeliveryReason,
        /// What the other side said, without any secret.
        detail: Arc<str>,
    },
}

impl Attempt {
    /// Accepted by a channel that gives nothing back.
    pub const ACCEPTED: Self = Self::Accepted { receipt: None };
}

/// How long to wait before the next attempt: half a second, doubled each time up to four seconds, so that what waits
/// leaves within five of a recovery, and up to thirty after some ten minutes of failing; `jitter` in `0..1` takes off
/// up to half of it, so that channels do not retry in step. A `Retry-After` is honoured as it stands, up to an hour.
pub fn backoff(attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let longest = Duration::from_secs(if attempt < 150 { 4 } else { 30 });
    let full = Duration::from_millis(500).saturating_mul(1 << attempt.min(7)).min(longest);
    let own = full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
    // Never sooner than our own: a receiver that says "now" each time would be asked without a pause.
    retry_after.map_or(own, |asked| asked.min(Duration::from_secs(3_600)).max(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_a_bound_and_honours_retry_after() {
        assert_eq!(backoff(0, None, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(3, None, 0.0), Duration::from_secs(4));
        assert_eq!(backoff(40, None, 0.0), Duration::from_secs(4));
        assert_eq!(backoff(150, None, 0.0), Duration::from_secs(30));
        assert_eq!(backoff(3, None, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(3, Some(Duration::from_secs(30)), 1.0), Duration::from_secs(30));
        assert_eq!(backoff(3, Some(Duration::from_secs(90_000)), 0.0), Duration::from_secs(3_600));
    }
}
