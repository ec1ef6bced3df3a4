//! When each query is due: spread over its interval, aligned to the wall clock. Pure: owns the arithmetic, not the
//! clock and not the waiting.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::labels::Fnv;
use crate::domain::name::QueryId;

/// Intervals shorter than this are not spread: where every second counts all rounds begin together.
const SPREAD_FROM: Duration = Duration::from_secs(2);

/// The rhythm of one query: due at every multiple of its interval since the epoch, plus its phase.
///
/// Aligned instants make rounds comparable over restarts and replicas, and let a server cache them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    interval: i64,
    phase: i64,
}

impl Cadence {
    /// The rhythm of `query`. Its phase depends on its id and the seed alone, so it stays over reloads; intervals are
    /// whole milliseconds, at least one.
    pub fn new(query: &QueryId, interval: Duration, seed: u64) -> Self {
        let millis = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let phase = if interval < SPREAD_FROM {
            0
        } else {
            let mut hash = Fnv::default();
            hash.write(&seed.to_le_bytes());
            hash.write(query.as_str().as_bytes());
            i64::try_from(mix(hash.0) % millis.unsigned_abs()).unwrap_or(0)
        };
        Self { interval: millis, phase }
    }

    /// How far behind the multiple of its interval the query is due: less than the interval.
    pub fn phase(self) -> Duration {
        Duration::from_millis(self.phase.unsigned_abs())
    }

    /// The first instant after `after` at which the query is due.
    pub fn next_due(self, after: Timestamp) -> Timestamp {
        self.instant(self.count(after).saturating_add(1))
    }

    /// The last instant at or before `now` at which the query was due: what a round that begins now should ask for.
    pub fn latest_due(self, now: Timestamp) -> Timestamp {
        self.instant(self.count(now))
    }

    /// How many rounds were skipped when the last one was due at `last` and the next begins at `now`: the instants
    /// after `last` and up to `now`, without the newest, which is the round that begins.
    pub fn missed(self, last: Timestamp, now: Timestamp) -> u64 {
        let passed = self.count(now).saturating_sub(self.count(last));
        u64::try_from(passed.saturating_sub(1)).unwrap_or(0)
    }

    /// The number of the last due instant at or before `at`.
    fn count(self, at: Timestamp) -> i64 {
        let millis = at.as_nanosecond().div_euclid(1_000_000);
        let count = (millis - i128::from(self.phase)).div_euclid(i128::from(self.interval));
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    fn instant(self, count: i64) -> Timestamp {
        let millis = count.saturating_mul(self.interval).saturating_add(self.phase);
        Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
    }
}

/// The avalanche step of `MurmurHash3` (public domain): the low bits of FNV alone cluster for names that differ in
/// their last characters.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The rhythms of all queries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    cadences: BTreeMap<QueryId, Cadence>,
}

impl Schedule {
    /// Spreads the queries over their intervals. Daemons with different seeds ask the same server at different times.
    pub fn new<'a>(queries: impl IntoIterator<Item = (&'a QueryId, Duration)>, seed: u64) -> Self {
        let cadences = queries
            .into_iter()
            .map(|(id, interval)| (id.clone(), Cadence::new(id, interval, seed)))
            .collect();
        Self { cadences }
    }

    /// The rhythm of a query, where it is one of the schedule's.
    pub fn cadence(&self, query: &QueryId) -> Option<Cadence> {
        self.cadences.get(query).copied()
    }

    /// The queries and their rhythms, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&QueryId, Cadence)> {
        self.cadences.iter().map(|(id, cadence)| (id, *cadence))
    }

    /// The first instant after `after` at which `query` is due.
    pub fn next_due(&self, query: &QueryId, after: Timestamp) -> Option<Timestamp> {
        self.cadence(query).map(|cadence| cadence.next_due(after))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    fn query(number: u32) -> QueryId {
        QueryId::from(format!("metric_{number}@15s"))
    }

    #[test]
    fn short_intervals_begin_together_at_whole_multiples() {
        let ids: Vec<_> = (0..50).map(query).collect();
        let schedule = Schedule::new(ids.iter().map(|id| (id, Duration::from_secs(1))), 7);
        for id in &ids {
            assert_eq!(schedule.next_due(id, at(1_700_000_000_300)), Some(at(1_700_000_001_000)));
        }
        assert_eq!(schedule.next_due(&query(999), at(0)), None);
    }

    #[test]
    fn longer_ones_are_spread_evenly_and_stay_over_restarts() {
        let interval = Duration::from_secs(15);
        let mut per_second = [0_u32; 15];
        for number in 0..1_500 {
            let cadence = Cadence::new(&query(number), interval, 7);
            assert_eq!(cadence, Cadence::new(&query(number), interval, 7));
            per_second[usize::try_from(cadence.phase().as_secs()).unwrap()] += 1;
        }
        assert!(per_second.iter().all(|count| (60..=140).contains(count)), "{per_second:?}");
        assert_ne!(Cadence::new(&query(1), interval, 7), Cadence::new(&query(1), interval, 8));
    }

    #[test]
    fn rounds_that_were_skipped_are_counted() {
        let cadence = Cadence::new(&query(1), Duration::from_secs(1), 0);
        assert_eq!(cadence.missed(at(10_000), at(10_000)), 0);
        assert_eq!(cadence.missed(at(10_000), at(11_000)), 0);
        assert_eq!(cadence.missed(at(10_000), at(12_000)), 1);
        assert_eq!(cadence.missed(at(10_000), at(14_999)), 3);
        assert_eq!(cadence.missed(at(14_000), at(10_000)), 0, "a clock set back misses nothing");
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for interval in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
            let cadence = Cadence::new(&query(1), interval, u64::MAX);
            for instant in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
                cadence.next_due(instant);
                cadence.latest_due(instant);
                cadence.missed(Timestamp::MIN, instant);
            }
        }
    }

    proptest! {
        #[test]
        fn the_next_instant_is_later_by_at_most_an_interval_and_on_the_beat(
            number in 0..1_000_u32,
            interval in 1..100_000_u64,
            now in 0..4_000_000_000_000_i64,
            seed: u64,
        ) {
            let cadence = Cadence::new(&query(number), Duration::from_millis(interval), seed);
            let next = cadence.next_due(at(now));
            let wait = next.as_millisecond() - now;
            prop_assert!(wait > 0 && wait <= i64::try_from(interval).unwrap());
            prop_assert_eq!(cadence.latest_due(next), next);
            prop_assert_eq!(cadence.missed(cadence.latest_due(at(now)), next), 0);
            let beat = (next.as_millisecond() - i64::try_from(cadence.phase().as_millis()).unwrap())
                .rem_euclid(i64::try_from(interval).unwrap());
            prop_assert_eq!(beat, 0);
        }
    }
}
