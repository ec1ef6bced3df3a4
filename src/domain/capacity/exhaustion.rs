//! When something runs out: the first instant at which a forecast exceeds a limit. Owns the search and its bound.
//!
//! The season counts: what fits at night and not at noon has run out at noon. The earliest date is the one at which the
//! upper end of the band exceeds the limit, the latest the one of its lower end, so they always lie around the date
//! expected.

use std::time::Duration;

use super::forecast::{Expected, Forecast};
use crate::domain::Timestamp;

/// The finest step of the search, in seconds.
const FINEST: i64 = 3_600;

/// When a limit is exceeded; `None` where it is not within the horizon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exhaustion {
    /// Not before this, with 90 %.
    pub earliest: Option<Timestamp>,
    /// The date expected.
    pub expected: Option<Timestamp>,
    /// Not after this, with 90 %.
    pub latest: Option<Timestamp>,
}

/// When a forecast first exceeds `limit`, looked for from `now` to the horizon.
pub fn exhaustion(forecast: &Forecast, limit: f64, now: Timestamp, horizon: Duration) -> Exhaustion {
    let mut found = Exhaustion::default();
    let step = forecast.history.step.max(FINEST);
    let end = now.as_second().saturating_add(i64::try_from(horizon.as_secs()).unwrap_or(i64::MAX));
    let mut second = now.as_second();
    while second <= end {
        let Ok(at) = Timestamp::from_second(second) else { break };
        let Expected { low, value, high } = forecast.at(at);
        let note = |place: &mut Option<Timestamp>, value: f64| {
            if value > limit && place.is_none() {
                *place = Some(at);
            }
        };
        note(&mut found.earliest, high);
        note(&mut found.expected, value);
        note(&mut found.latest, low);
        if found.latest.is_some() {
            break;
        }
        second += step;
    }
    found
}
