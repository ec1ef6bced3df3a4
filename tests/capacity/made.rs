//! Made pasts: a line with a day, a week and noise in it. The same seed always makes the same.

use std::sync::Arc;

use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::Timestamp;
use runbookd::domain::capacity::trend::History;
use runbookd::engine::plan::Plan;

pub(crate) const DAY: i64 = 86_400;

/// The step that a month is asked for in.
pub(crate) const STEP: i64 = 3 * 3_600;

/// When pasts end.
pub(crate) fn end() -> Timestamp {
    "2026-11-23T03:00:00Z".parse().unwrap()
}

/// So many seconds after the end.
pub(crate) fn after(seconds: i64) -> Timestamp {
    Timestamp::from_second(end().as_second() + seconds).unwrap()
}

/// A shape of growth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// The value at the end, without season and noise.
    pub(crate) level: f64,
    /// Growth a day.
    pub(crate) slope: f64,
    /// How much a day swings to either side.
    pub(crate) day: f64,
    /// How much less there is on a weekend.
    pub(crate) weekend: f64,
    /// How much noise there is to either side, evenly, in each value.
    pub(crate) noise: f64,
    /// How much whole days differ, to either side, evenly.
    pub(crate) days: f64,
}

impl Shape {
    /// The value without noise.
    #[allow(clippy::cast_precision_loss, reason = "seconds are exact in a double")]
    pub(crate) fn truth(&self, at: Timestamp) -> f64 {
        let days = (at.as_second() - end().as_second()) as f64 / DAY as f64;
        let hour = at.as_second().rem_euclid(DAY) as f64 / DAY as f64;
        // 1970-01-01 was a Thursday: days 2 and 3 of its weeks are the weekend.
        let weekday = at.as_second().div_euclid(DAY).rem_euclid(7);
        let weekend = if weekday == 2 || weekday == 3 { self.weekend } else { 0.0 };
        self.level + self.slope * days + self.day * (hour * std::f64::consts::TAU).sin() - weekend
    }

    /// The value of one course of it, whose days differ by chance.
    pub(crate) fn course(&self, at: Timestamp, seed: u64) -> f64 {
        let day = at.as_second().div_euclid(DAY).unsigned_abs();
        let mut chance = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9).wrapping_add(day));
        self.truth(at) + self.days * (chance.f64() * 2.0 - 1.0)
    }

    /// So many days of it, with noise.
    pub(crate) fn history(&self, days: i64, seed: u64) -> History {
        let mut chance = fastrand::Rng::with_seed(seed);
        let values = (0..=days * DAY / STEP).rev().map(|back| {
            let at = after(-back * STEP);
            (at, self.course(at, seed) + self.noise * (chance.f64() * 2.0 - 1.0))
        });
        History { step: STEP, values: values.collect() }
    }
}

/// The plan of a configuration, as the daemon makes it.
pub(crate) fn plan(rules: &str) -> Arc<Plan> {
    // Minutes of silence between two steps mean nothing here.
    let config = "evaluation: {blind_after: 100 days}";
    let sources = Sources::from_texts(&[("config.yaml", config)], &[("rules.yaml", rules)]);
    let loaded = parse(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    Arc::new(plan_of(&loaded.settings, loaded.rules))
}
