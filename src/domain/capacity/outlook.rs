//! The outlook of one resource: when it runs out, by the tenants that grow or by the use that is measured, whichever is
//! earlier. Owns which of the two counts, and what is said where there is no date.

use std::fmt;

use super::exhaustion::{Exhaustion, exhaustion};
use super::forecast::{Forecast, age_in_days};
use super::headroom::Room;
use super::trend::Refusal;
use super::{Forecasting, Resource};
use crate::domain::Timestamp;
use crate::domain::observation::QueryFailure;

/// A past that ends longer ago than this is no base for a date, in days.
const STALE_AFTER: f64 = 2.0;

/// Why there is no forecast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoForecast {
    /// The past was not asked for yet.
    NotAsked,
    /// The past could not be had.
    Failed(QueryFailure),
    /// The past does not suffice.
    Refused(Refusal),
    /// The newest value is too old.
    Stale,
    /// Nothing is forecast here.
    NotCounted,
    /// It is not known how much there is, so nothing runs out.
    NoLimit,
}

impl NoForecast {
    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Failed(failure) => failure.as_str(),
            Self::Refused(refusal) => refusal.as_str(),
            Self::Stale => "stale",
            Self::NotCounted => "not_counted",
            Self::NoLimit => "no_limit",
        }
    }
}

impl fmt::Display for NoForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.pad("the past was not asked for yet"),
            Self::Failed(failure) => write!(f, "the query for the past failed: {failure}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Stale => f.pad("the newest value is more than two days old"),
            Self::NotCounted => f.pad("nothing counts it"),
            Self::NoLimit => f.pad("it is not known how much there is"),
        }
    }
}

/// What a date follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The tenants, by the model.
    Tenants,
    /// The use that is measured.
    Use,
}

impl Basis {
    /// The word shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::Use => "use",
        }
    }
}

/// When a resource runs out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// What the dates follow from.
    pub basis: Basis,
    /// The dates; none within the horizon is good news.
    pub exhaustion: Exhaustion,
    /// The seconds left until the date expected: 0 where it has run out, infinite beyond the horizon.
    pub left: f64,
}

/// The forecast that serves at `now`, or why there is none.
pub fn serving(
    known: Option<&Result<Forecast, NoForecast>>,
    now: Timestamp,
) -> Result<&Forecast, NoForecast> {
    match known {
        None => Err(NoForecast::NotAsked),
        Some(Err(why)) => Err(*why),
        Some(Ok(forecast)) => match age_in_days(&forecast.history, now) {
            Some(age) if age <= STALE_AFTER => Ok(forecast),
            _ => Err(NoForecast::Stale),
        },
    }
}

/// The outlook of a resource by the forecasts there are.
pub fn outlook(
    resource: &Resource,
    room: &Room,
    tenants: Result<&Forecast, NoForecast>,
    used: Result<&Forecast, NoForecast>,
    how: &Forecasting,
    now: Timestamp,
) -> Result<Outlook, NoForecast> {
    // That it has run out is seen, not forecast.
    let is_out = |over: Option<f64>| over.is_some_and(|over| over > 0.0);
    let by_tenants = if is_out(room.headroom.map(|headroom| -headroom)) {
        Some(Outlook::out(Basis::Tenants, now))
    } else {
        tenants.ok().zip(room.fits).map(|(forecast, fits)| look(Basis::Tenants, forecast, fits, how, now))
    };
    let by_use = if is_out(room.used.zip(room.available).map(|(used, available)| used - available)) {
        Some(Outlook::out(Basis::Use, now))
    } else {
        used.ok().zip(room.available).map(|(forecast, limit)| look(Basis::Use, forecast, limit, how, now))
    };
    match (by_tenants, by_use) {
        (Some(one), Some(two)) => Ok(if two.left < one.left { two } else { one }),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => match (tenants, resource.used.is_some()) {
            (Err(why), false) => Err(why),
            (Err(why), true) => Err(used.err().filter(|_| why == NoForecast::NotCounted).unwrap_or(why)),
            (Ok(_), _) => Err(NoForecast::NoLimit),
        },
    }
}

impl Outlook {
    fn out(basis: Basis, now: Timestamp) -> Self {
        let exhaustion = Exhaustion { earliest: Some(now), expected: Some(now), latest: Some(now) };
        Self { basis, exhaustion, left: 0.0 }
    }
}

fn look(basis: Basis, forecast: &Forecast, limit: f64, how: &Forecasting, now: Timestamp) -> Outlook {
    let exhaustion = exhaustion(forecast, limit, now, how.horizon);
    let left = exhaustion.expected.map_or(f64::INFINITY, |at| at.duration_since(now).as_secs_f64().max(0.0));
    Outlook { basis, exhaustion, left }
}
