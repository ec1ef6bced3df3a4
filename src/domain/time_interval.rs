//! Time intervals: stretches of the calendar with a name, as Alertmanager writes and means them. Owns whether an instant
//! lies in one and when that changes; what is muted by one is the rule's business.

mod words;

use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

pub use words::{TimeFault, days_of_month, months, time_of_day, time_zone, weekdays, years};

/// How far ahead the end of an interval is looked for.
const HORIZON_DAYS: i32 = 5 * 366;

/// A stretch of whole numbers, both ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<T> {
    /// The first.
    pub first: T,
    /// The last.
    pub last: T,
}

impl<T: PartialOrd> Span<T> {
    /// Whether a number lies in it.
    pub fn contains(&self, one: &T) -> bool {
        self.first <= *one && *one <= self.last
    }
}

/// A part of the day, in minutes since its local midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayPart {
    /// The first minute in it.
    pub from: i16,
    /// The first minute after it: 1440 for the day's end.
    pub to: i16,
}

/// One entry of an interval: an instant lies in it when it fits every kind of restriction that is there; of one kind,
/// any one will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Parts of the day; none restricts nothing, here and below.
    pub times: Vec<DayPart>,
    /// Days of the week, 0 for Sunday.
    pub weekdays: Vec<Span<i8>>,
    /// Days of the month, from 1; negative ones count from the month's end.
    pub days_of_month: Vec<Span<i8>>,
    /// Months, from 1.
    pub months: Vec<Span<i8>>,
    /// Years.
    pub years: Vec<Span<i16>>,
    /// Where its clock and calendar hang.
    pub zone: TimeZone,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            times: Vec::new(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            zone: TimeZone::UTC,
        }
    }
}

impl Entry {
    fn contains(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let in_day = |part: &DayPart| part.from <= minute && minute < part.to;
        (self.times.is_empty() || self.times.iter().any(in_day)) && self.has_day(local.date())
    }

    fn has_day(&self, date: Date) -> bool {
        let any = |spans: &[Span<i8>], one: i8| spans.is_empty() || spans.iter().any(|it| it.contains(&one));
        let years = self.years.is_empty() || self.years.iter().any(|it| it.contains(&date.year()));
        years
            && any(&self.months, date.month())
            && any(&self.weekdays, date.weekday().to_sunday_zero_offset())
            && (self.days_of_month.is_empty()
                || self.days_of_month.iter().any(|it| has_day_of_month(*it, date)))
    }

    /// The instants of a local day at which the entry may begin or end, where it has to do with the day at all.
    fn edges_of(&self, date: Date, edges: &mut Vec<Timestamp>) {
        let mut add = |local: DateTime| match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => edges.extend(offset.to_timestamp(local)),
            AmbiguousOffset::Fold { before, after } => {
                edges.extend(before.to_timestamp(local));
                edges.extend(after.to_timestamp(local));
            }
            // The clock jumps over it: the jump itself is an edge.
            AmbiguousOffset::Gap { .. } => {}
        };
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        add(midnight);
        if self.has_day(date) {
            for part in &self.times {
                for minute in [part.from, part.to] {
                    if let Ok(local) = midnight.checked_add(i64::from(minute).minutes()) {
                        add(local);
                    }
                }
            }
        }
    }

    /// Whether the day, or one of its neighbours, is one of the entry's.
    fn is_near(&self, date: Date) -> bool {
        let neighbour = |by: i64| date.checked_add(by.days()).is_ok_and(|other| self.has_day(other));
        self.has_day(date) || neighbour(1) || neighbour(-1)
    }
}

/// As Alertmanager clamps: a span that begins after the month's end is none, one that reaches beyond it ends with it.
fn has_day_of_month(span: Span<i8>, date: Date) -> bool {
    let length = date.days_in_month();
    let from_start = |day: i8| if day < 0 { length + day + 1 } else { day };
    let (first, last) = (from_start(span.first), from_start(span.last));
    first <= length && first <= date.day() && date.day() <= last
}

/// A stretch of the calendar with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeInterval {
    /// The name by which rules speak of it.
    pub name: Arc<str>,
    /// An instant lies in the interval when it lies in any entry.
    pub entries: Vec<Entry>,
}

impl TimeInterval {
    /// Whether an instant lies in it.
    pub fn contains(&self, now: Timestamp) -> bool {
        self.entries.iter().any(|entry| entry.contains(now))
    }

    /// The first instant after `now` that lies in the interval where `now` does not, or the other way round.
    ///
    /// `None` where there is none within five years. Looks at days and not at minutes: what it costs grows with the
    /// days that the entries name.
    pub fn ends_after(&self, now: Timestamp) -> Option<Timestamp> {
        let inside = self.contains(now);
        let mut edges = Vec::new();
        for day in 0..HORIZON_DAYS {
            edges.clear();
            for entry in &self.entries {
                let today = entry.zone.to_datetime(now).date();
                let Ok(date) = today.checked_add(day.days()) else { continue };
                // On other days nothing begins or ends, and asking the zone would cost the most.
                if entry.is_near(date) {
                    entry.edges_of(date, &mut edges);
                    edges.extend(jumps(&entry.zone, date));
                }
            }
            edges.sort_unstable();
            let turn = edges.iter().find(|edge| **edge > now && self.contains(**edge) != inside);
            if let Some(turn) = turn {
                return Some(self.first_turn(*turn, now, inside));
            }
        }
        None
    }

    /// The walk goes by each entry's own calendar, and those lie a day apart at the most: an earlier turn may stand
    /// among the edges of a neighbouring day.
    fn first_turn(&self, found: Timestamp, now: Timestamp, inside: bool) -> Timestamp {
        let mut edges = Vec::new();
        for entry in &self.entries {
            let date = entry.zone.to_datetime(found).date();
            for by in [-1_i64, 0, 1] {
                if let Ok(date) = date.checked_add(by.days()) {
                    entry.edges_of(date, &mut edges);
                    edges.extend(jumps(&entry.zone, date));
                }
            }
        }
        let turns = edges.into_iter().filter(|edge| *edge > now && self.contains(*edge) != inside);
        turns.min().map_or(found, |turn| turn.min(found))
    }
}

/// The instants of a local day at which the zone's clock jumps.
fn jumps(zone: &TimeZone, date: Date) -> Vec<Timestamp> {
    let Ok(start) = date.to_zoned(zone.clone()).map(|day| day.timestamp()) else { return Vec::new() };
    let end = start.checked_add(26.hours()).unwrap_or(Timestamp::MAX);
    let before = start.checked_sub(1.second()).unwrap_or(start);
    zone.following(before).map(|jump| jump.timestamp()).take_while(|jump| *jump < end).take(4).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn interval(entries: impl IntoIterator<Item = Entry>) -> TimeInterval {
        TimeInterval { name: "it".into(), entries: entries.into_iter().collect() }
    }

    fn day_part(from: &str, to: &str) -> DayPart {
        DayPart { from: time_of_day(from).unwrap(), to: time_of_day(to).unwrap() }
    }

    /// `times|weekdays|days|months|years|zone`, each part may be empty.
    fn entry(text: &str) -> Entry {
        let parts: Vec<&str> = text.split('|').collect();
        let list = |at: usize| parts.get(at).unwrap_or(&"").split(',').filter(|word| !word.is_empty());
        Entry {
            times: list(0).map(|it| it.split_once('-').map(|(a, b)| day_part(a, b)).unwrap()).collect(),
            weekdays: list(1).map(|word| weekdays(word).unwrap()).collect(),
            days_of_month: list(2).map(|word| days_of_month(word).unwrap()).collect(),
            months: list(3).map(|word| months(word).unwrap()).collect(),
            years: list(4).map(|word| years(word).unwrap()).collect(),
            zone: parts.get(5).map_or(TimeZone::UTC, |name| time_zone(name).unwrap()),
        }
    }

    #[test]
    fn an_instant_lies_in_an_interval_as_alertmanager_says() {
        let cases = [
            ("", "2026-11-24T15:00:00Z", true),
            ("09:00-17:00|monday:friday", "2020-07-09T15:04:59Z", true),
            ("09:00-17:00|monday:friday", "2020-07-09T17:00:00Z", false),
            ("09:00-17:00|monday:friday", "2020-07-09T09:00:00Z", true),
            ("09:00-17:00|monday:friday", "2020-07-11T15:04:59Z", false),
            ("|Saturday,sunday", "2020-07-11T15:04:59Z", true),
            ("||1:10,-4:-1", "2020-02-27T00:00:00Z", true),
            ("||-4:-1", "2020-02-25T23:59:59Z", false),
            ("||-4:-1", "2021-02-25T00:00:00Z", true),
            ("||-1", "2020-02-29T12:00:00Z", true),
            ("||1:-1", "2020-02-29T12:00:00Z", true),
            ("||31", "2020-02-29T12:00:00Z", false),
            ("||29:31", "2021-02-28T12:00:00Z", false),
            ("||25:31", "2021-02-28T12:00:00Z", true),
            ("||-31:-30", "2021-02-28T12:00:00Z", false),
            ("|||april:may,10", "2020-05-31T23:59:59Z", true),
            ("|||april:may,10", "2020-10-01T00:00:00Z", true),
            ("|||april:may,10", "2020-06-01T00:00:00Z", false),
            ("||||2020:2022,2030", "2022-12-31T23:59:59Z", true),
            ("||||2020:2022,2030", "2023-01-01T00:00:00Z", false),
            ("00:00-24:00", "2023-01-01T23:59:59Z", true),
            // The location's own clock and calendar.
            ("09:00-17:00|monday:friday||||Australia/Sydney", "2022-04-03T23:30:00Z", true),
            ("09:00-17:00|monday:friday||||Australia/Sydney", "2022-04-04T07:30:00Z", false),
            ("09:00-17:00|||||Europe/Berlin", "2026-07-01T07:00:00Z", true),
            ("09:00-17:00|||||Europe/Berlin", "2026-12-01T07:00:00Z", false),
            ("|monday||||America/New_York", "2026-11-24T04:59:59Z", true),
            ("|monday||||America/New_York", "2026-11-24T05:00:00Z", false),
        ];
        for (text, now, wanted) in cases {
            assert_eq!(interval([entry(text)]).contains(instant(now)), wanted, "{text} at {now}");
        }
        assert!(!interval([]).contains(instant("2026-11-24T15:00:00Z")), "no entry is no time at all");
        let either = interval([entry("|monday"), entry("|wednesday")]);
        assert!(either.contains(instant("2026-11-25T01:00:00Z")));
        assert!(!either.contains(instant("2026-11-24T01:00:00Z")));
    }

    #[test]
    fn the_next_turn_is_found_over_nights_years_and_changes_of_the_clock() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("", "2026-11-24T15:00:00Z", None),
            ("00:00-24:00", "2026-11-24T15:00:00Z", None),
            ("09:00-17:00|monday:friday", "2026-11-24T15:00:00Z", Some("2026-11-24T17:00:00Z")),
            ("09:00-17:00|monday:friday", "2026-11-27T17:00:00Z", Some("2026-11-30T09:00:00Z")),
            ("22:00-24:00,00:00-06:00", "2026-11-24T22:30:00Z", Some("2026-11-25T06:00:00Z")),
            ("|saturday,sunday", "2026-11-28T12:00:00Z", Some("2026-11-30T00:00:00Z")),
            ("||29|2", "2026-11-24T15:00:00Z", Some("2028-02-29T00:00:00Z")),
            ("||||2026", "2026-11-24T15:00:00Z", Some("2027-01-01T00:00:00Z")),
            ("||||2020", "2026-11-24T15:00:00Z", None),
            // Berlin: 02:00 to 03:00 does not exist on 29 March 2026 and comes twice on 25 October.
            ("09:00-17:00|||||Europe/Berlin", "2026-03-28T16:30:00Z", Some("2026-03-29T07:00:00Z")),
            ("02:15-02:45|||||Europe/Berlin", "2026-03-28T12:00:00Z", Some("2026-03-30T00:15:00Z")),
            ("01:30-02:30|||||Europe/Berlin", "2026-03-29T00:45:00Z", Some("2026-03-29T01:00:00Z")),
            ("02:30-04:00|||||Europe/Berlin", "2026-03-29T00:45:00Z", Some("2026-03-29T01:00:00Z")),
            ("02:15-02:45|||||Europe/Berlin", "2026-10-24T23:00:00Z", Some("2026-10-25T00:15:00Z")),
            ("02:15-02:45|||||Europe/Berlin", "2026-10-25T00:20:00Z", Some("2026-10-25T00:45:00Z")),
            ("02:15-02:45|||||Europe/Berlin", "2026-10-25T00:50:00Z", Some("2026-10-25T01:15:00Z")),
            ("01:00-02:00|||||America/New_York", "2026-11-01T05:30:00Z", Some("2026-11-01T07:00:00Z")),
            ("02:30-03:30|||||America/New_York", "2026-03-08T06:30:00Z", Some("2026-03-08T07:00:00Z")),
        ];
        for (text, now, wanted) in cases {
            let turn = interval([entry(text)]).ends_after(instant(now));
            assert_eq!(turn, wanted.map(instant), "{text} at {now}");
        }
        let zones =
            interval([entry("00:00-12:00|||||Asia/Tokyo"), entry("00:00-12:00|||||America/New_York")]);
        assert_eq!(zones.ends_after(instant("2026-11-24T00:00:00Z")), Some(instant("2026-11-24T03:00:00Z")));
        assert_eq!(zones.ends_after(instant("2026-11-24T03:00:00Z")), Some(instant("2026-11-24T05:00:00Z")));
    }

    fn spans(list: Vec<(i8, i8)>) -> Vec<Span<i8>> {
        list.into_iter().map(|(a, b)| Span { first: a.min(b), last: a.max(b) }).collect()
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let times = prop::collection::vec((0_i16..1440, 1_i16..=1440), 0..3);
        let weekdays = prop::collection::vec((0_i8..7, 0_i8..7), 0..2);
        let days = prop::collection::vec(prop_oneof![(1_i8..=28, 1_i8..=31), (-31_i8..0, -31_i8..0)], 0..2);
        let months = prop::collection::vec((1_i8..=12, 1_i8..=12), 0..2);
        let zone = prop::sample::select(vec![
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "America/Sao_Paulo",
        ]);
        (times, weekdays, days, months, zone).prop_map(|(times, weekdays, days, months, zone)| Entry {
            times: times
                .into_iter()
                .map(|(a, b)| DayPart { from: a.min(b), to: a.max(b) })
                .filter(|part| part.from < part.to)
                .collect(),
            weekdays: spans(weekdays),
            days_of_month: spans(days),
            months: spans(months),
            years: Vec::new(),
            zone: time_zone(zone).unwrap(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Time goes forward, nothing turns before the turn that is told, and the turn is one.
        #[test]
        fn the_next_turn_is_the_first_one(
            entries in prop::collection::vec(any_entry(), 1..3),
            second in 1_262_300_000_i64..1_900_000_000,
        ) {
            let interval = interval(entries);
            let now = Timestamp::from_second(second).unwrap();
            let inside = interval.contains(now);
            let turn = interval.ends_after(now);
            if let Some(turn) = turn {
                prop_assert!(turn > now);
                prop_assert_ne!(interval.contains(turn), inside);
                prop_assert_eq!(interval.contains(turn - 1.nanosecond()), inside);
            }
            // A walk of its own, in steps that no entry is shorter than.
            let end = turn.unwrap_or(Timestamp::MAX).min(now + (24 * 60).hours());
            let mut at = now;
            while at < end {
                prop_assert_eq!(interval.contains(at), inside, "{} before {:?}", at, turn);
                at += 7.minutes();
            }
        }
    }
}
