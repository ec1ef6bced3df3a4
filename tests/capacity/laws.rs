//! The laws that every forecast keeps, whatever the past looks like.

use std::time::Duration;

use proptest::prelude::*;
use runbookd::domain::Timestamp;
use runbookd::domain::capacity::Requirement;
use runbookd::domain::capacity::exhaustion::{Exhaustion, exhaustion};
use runbookd::domain::capacity::floor::Floor;
use runbookd::domain::capacity::forecast::Forecast;
use runbookd::domain::capacity::trend::{History, Refusal};

use crate::made::{DAY, STEP, Shape, after, end};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn shape() -> impl Strategy<Value = Shape> {
    (0.0..500.0, -5.0..20.0, 0.0..40.0, 0.0..40.0, 0.0..20.0, 0.0..20.0).prop_map(
        |(level, slope, day, weekend, noise, days)| Shape { level, slope, day, weekend, noise, days },
    )
}

/// A past with gaps.
fn history() -> impl Strategy<Value = History> {
    (shape(), 15_i64..31, any::<u64>(), 0.0..0.3).prop_map(|(shape, days, seed, gaps)| {
        let mut history = shape.history(days, seed);
        let mut chance = fastrand::Rng::with_seed(seed ^ 1);
        for (_, value) in &mut history.values {
            if chance.f64() < gaps {
                *value = f64::NAN;
            }
        }
        history
    })
}

fn date(history: &History, limit: f64) -> Exhaustion {
    let forecast = Forecast::fit(history.clone()).expect("enough of a past");
    exhaustion(&forecast, limit, end(), YEAR)
}

/// Later or never, than or as.
fn is_no_earlier(one: Option<Timestamp>, than: Option<Timestamp>) -> bool {
    one.unwrap_or(Timestamp::MAX) >= than.unwrap_or(Timestamp::MAX)
}

fn changed(history: &History, change: impl Fn(Timestamp, f64) -> f64) -> History {
    let values = history.values.iter().map(|(at, value)| (*at, change(*at, *value)));
    History { step: history.step, values: values.collect() }
}

#[allow(clippy::cast_precision_loss, reason = "days of a year")]
fn days(at: Timestamp) -> f64 {
    (at.as_second() - end().as_second()) as f64 / DAY as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_interval_lies_around_the_date(history in history(), limit in 0.0..2_000.0) {
        let Exhaustion { earliest, expected, latest } = date(&history, limit);
        prop_assert!(is_no_earlier(expected, earliest), "{expected:?} before {earliest:?}");
        prop_assert!(is_no_earlier(latest, expected), "{latest:?} before {expected:?}");
    }

    #[test]
    fn more_room_lasts_no_shorter(history in history(), limit in 0.0..2_000.0, more in 0.0..500.0) {
        let (one, two) = (date(&history, limit), date(&history, limit + more));
        prop_assert!(is_no_earlier(two.earliest, one.earliest));
        prop_assert!(is_no_earlier(two.expected, one.expected));
        prop_assert!(is_no_earlier(two.latest, one.latest));
    }

    #[test]
    fn growth_that_is_added_to_the_past_never_makes_it_last_longer(
        history in history(), limit in 0.0..2_000.0, more in 0.0..10.0,
    ) {
        // Turned around a point of the past, so that no value ahead becomes smaller.
        let first = history.values[0].0;
        let faster = changed(&history, |at, value| value + more * (days(at) - days(first)));
        let (one, two) = (date(&history, limit), date(&faster, limit));
        prop_assert!(is_no_earlier(one.expected, two.expected));
        prop_assert!(is_no_earlier(one.earliest, two.earliest));
    }

    #[test]
    fn the_unit_does_not_matter(history in history(), limit in 0.0..2_000.0) {
        // A power of two changes no digit of a number.
        let scaled = changed(&history, |_, value| value * 1024.0);
        prop_assert_eq!(date(&history, limit), date(&scaled, limit * 1024.0));
    }

    #[test]
    fn the_week_does_not_matter(shape in shape(), seed in any::<u64>(), limit in 0.0..2_000.0, weeks in 1_i64..50) {
        let history = shape.history(30, seed);
        let shift = weeks * 7 * DAY;
        let move_by = |at: Timestamp| Timestamp::from_second(at.as_second() + shift).unwrap();
        let values = history.values.iter().map(|(at, value)| (move_by(*at), *value)).collect();
        let later = Forecast::fit(History { step: STEP, values }).expect("enough of a past");
        let moved = exhaustion(&later, limit, move_by(end()), YEAR);
        prop_assert_eq!(date(&history, limit).expected.map(move_by), moved.expected);
    }

    #[test]
    fn one_value_in_ten_may_be_anything(shape in shape(), seed in any::<u64>(), odd in -1e9..1e9_f64) {
        let plain = Shape { noise: 0.0, days: 0.0, ..shape };
        let mut history = plain.history(30, seed);
        let count = history.values.len();
        let mut chance = fastrand::Rng::with_seed(seed);
        for _ in 0..count / 10 {
            history.values[chance.usize(..count)].1 = odd;
        }
        let forecast = Forecast::fit(history).expect("enough of a past");
        let slope = forecast.growth_a_day().value;
        prop_assert!((slope - shape.slope).abs() < 1.0 + shape.slope.abs() / 4.0, "{slope} for {}", shape.slope);
    }

    #[test]
    fn what_needs_more_fits_fewer_times(
        base in 0.0..100.0, per_tenant in 0.001..10.0, available in 0.0..1e4, more in 0.0..100.0,
    ) {
        let need = Requirement { base, per_tenant };
        let fits = need.tenants_within(available);
        prop_assert!(fits >= 0.0 && fits == fits.floor());
        prop_assert!(need.tenants_within(available + more) >= fits);
        let dearer = Requirement { base: base + more, per_tenant };
        prop_assert!(dearer.tenants_within(available) <= fits);
        if fits > 0.0 {
            prop_assert!(need.for_tenants(fits) <= available * (1.0 + 1e-9));
        }
        prop_assert!(need.for_tenants(fits + 1.0) > available * (1.0 - 1e-9));
    }

    #[test]
    fn the_floor_has_what_the_tenants_need_and_no_replica_more(
        cores in 0.0..500.0, memory in 0.0..1e12, each in 0.1..16.0, bytes in 1e8..1e11,
    ) {
        let floor = Floor { cores: Some(cores), memory: Some(memory) };
        let replicas = f64::from(floor.replicas(Some(each), Some(bytes)).expect("two resources"));
        prop_assert!(replicas * each >= cores * (1.0 - 1e-9) && replicas * bytes >= memory * (1.0 - 1e-9));
        let fewer = (replicas - 1.0).max(0.0);
        prop_assert!(replicas == 0.0 || fewer * each < cores || fewer * bytes < memory);
    }
}

#[test]
fn a_line_is_continued_to_the_hour() {
    let shape = Shape { level: 100.0, slope: 2.0, day: 0.0, weekend: 0.0, noise: 0.0, days: 0.0 };
    let history = shape.history(30, 1);
    let forecast = Forecast::fit(history.clone()).unwrap();
    assert!((forecast.growth_a_day().value - 2.0).abs() < 1e-9);
    assert!(forecast.accuracy.mape.unwrap() < 1e-9 && forecast.accuracy.covered > 0.0);
    let found = date(&history, 150.0);
    // 100 + 2 × 25 is the limit itself, and no more.
    assert_eq!(found.expected, Some(after(25 * DAY + STEP)));
    let flat = Shape { slope: 0.0, ..shape }.history(30, 1);
    assert_eq!(date(&flat, 100.5), Exhaustion::default());
    let falling = Shape { slope: -1.0, ..shape }.history(30, 1);
    assert_eq!(date(&falling, 100.5), Exhaustion::default());
}

#[test]
fn what_has_run_out_at_noon_has_run_out() {
    let shape = Shape { level: 100.0, slope: 1.0, day: 20.0, weekend: 0.0, noise: 0.0, days: 0.0 };
    let found = date(&shape.history(30, 1), 150.0);
    // The line alone takes 50 days; with the top of the day on it 30 suffice.
    let days = days(found.expected.unwrap());
    assert!((29.0..32.0).contains(&days), "{days}");
}

#[test]
fn too_little_of_a_past_is_refused_with_what_is_missing() {
    let shape = Shape { level: 10.0, slope: 1.0, day: 0.0, weekend: 0.0, noise: 0.0, days: 0.0 };
    assert_eq!(Forecast::fit(shape.history(13, 1)), Err(Refusal::TooShort { days: 13.0, needed: 14.0 }));
    assert!(Forecast::fit(shape.history(14, 1)).is_ok());
    let none = History { step: STEP, values: Vec::new() };
    assert!(matches!(Forecast::fit(none), Err(Refusal::TooShort { .. })));
    let mut sparse = shape.history(30, 1);
    for (index, (_, value)) in sparse.values.iter_mut().enumerate() {
        if index % 4 != 0 {
            *value = f64::NAN;
        }
    }
    let refused = Forecast::fit(sparse).expect_err("a quarter of the values is no past");
    assert_eq!(
        (refused.as_str(), refused.to_string().as_str()),
        ("too_sparse", "61 values of history, 80 are needed")
    );
}
