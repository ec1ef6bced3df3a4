//! Rests: a span of waiting that knows when it began, so that a clock set back neither stretches it nor ends it
//! unseen. Owns that arithmetic and nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Waiting from one instant until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rest {
    /// When it is over. First, because rests are ordered by their ends.
    pub until: Timestamp,
    /// When the waiting began.
    pub since: Timestamp,
}

impl Rest {
    /// A rest of `span` from `now` on.
    pub fn of(span: Duration, now: Timestamp) -> Self {
        Self { since: now, until: now.checked_add(span).unwrap_or(Timestamp::MAX) }
    }

    /// Whether it is over. A clock that shows a time before the rest began has been set back, and nobody knows how
    /// much of the rest has passed: it counts as over.
    pub fn is_over(self, now: Timestamp) -> bool {
        now >= self.until || now < self.since
    }

    /// The same span from `now` on where the clock has been set back behind the beginning; otherwise unchanged.
    #[must_use]
    pub fn rearmed(self, now: Timestamp) -> Self {
        if now >= self.since {
            return self;
        }
        Self::of(Duration::try_from(self.until.duration_since(self.since)).unwrap_or_default(), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_rest_ends_by_its_span_and_by_a_clock_that_is_set_back() {
        let rest = Rest::of(Duration::from_secs(60), at(1_000));
        assert_eq!([1_000, 1_059, 1_060, 999].map(|now| rest.is_over(at(now))), [false, false, true, true]);
        assert_eq!(rest.rearmed(at(1_030)), rest);
        assert_eq!(rest.rearmed(at(500)), Rest { since: at(500), until: at(560) });
    }
}
