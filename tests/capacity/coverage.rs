//! How often the interval is right, and how far the date is off: measured over made pasts whose truth is known. The
//! table in docs/capacity.md is from here: `cargo test --test capacity -- --nocapture coverage`.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]
#![allow(clippy::cast_precision_loss, reason = "a few hundred")]

use std::time::Duration;

use runbookd::domain::Timestamp;
use runbookd::domain::capacity::exhaustion::exhaustion;
use runbookd::domain::capacity::forecast::Forecast;

use crate::made::{DAY, Shape, end};

const SEEDS: u64 = 100;

/// The first hour at which one course exceeds a limit.
fn truth(shape: &Shape, limit: f64, seed: u64) -> Timestamp {
    let hours = (0..24 * 365).map(|hour| Timestamp::from_second(end().as_second() + hour * 3_600).unwrap());
    hours.into_iter().find(|at| shape.course(*at, seed) > limit).expect("it runs out within a year")
}

#[test]
fn the_interval_holds_the_true_date_as_often_as_it_says() {
    let steady = Shape { level: 200.0, slope: 2.0, day: 0.0, weekend: 0.0, noise: 5.0, days: 10.0 };
    // Half of the dates are off by no more days than this, half of the intervals are no wider than that. Loud noise
    // exceeds a limit long before the line does.
    let shapes = [
        ("growth, days that differ", steady, 4.0, 25.0),
        ("with hours", Shape { day: 30.0, ..steady }, 4.0, 25.0),
        ("with hours and weekends", Shape { day: 30.0, weekend: 40.0, ..steady }, 4.0, 25.0),
        (
            "slow and loud",
            Shape { slope: 0.8, day: 10.0, weekend: 10.0, noise: 20.0, days: 20.0, ..steady },
            20.0,
            150.0,
        ),
        ("hardly any noise", Shape { day: 30.0, weekend: 40.0, noise: 1.0, days: 1.0, ..steady }, 2.0, 6.0),
    ];
    for (name, shape, most_off, widest) in shapes {
        let limit = shape.level + shape.slope * 45.0;
        let (mut inside, mut off, mut wide) = (0.0, Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let wanted = truth(&shape, limit, seed);
            let forecast = Forecast::fit(shape.history(30, seed)).unwrap();
            let found = exhaustion(&forecast, limit, end(), Duration::from_secs(2 * 365 * 86_400));
            let (earliest, latest) = (found.earliest.unwrap(), found.latest.unwrap_or(Timestamp::MAX));
            inside += f64::from(u8::from((earliest..=latest).contains(&wanted)));
            let days =
                |from: Timestamp, to: Timestamp| (to.as_second() - from.as_second()) as f64 / DAY as f64;
            off.push(days(wanted, found.expected.unwrap()).abs());
            wide.push(days(earliest, latest));
        }
        let median = |list: &mut Vec<f64>| {
            list.sort_by(f64::total_cmp);
            list[list.len() / 2]
        };
        let (share, off, wide) = (inside / SEEDS as f64, median(&mut off), median(&mut wide));
        println!("| {name} | {:.0} % | {off:.1} days | {wide:.1} days |", share * 100.0);
        assert!(share >= 0.75, "{name}: an interval of 80 % held the date in {:.0} %", share * 100.0);
        assert!(off < most_off, "{name}: half of the dates are more than {off:.1} days off");
        assert!(wide < widest, "{name}: an interval of {wide:.1} days says nothing");
    }
}
