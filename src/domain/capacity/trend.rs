//! The trend of a series: a line with a season around it. Owns the method; draws no conclusion.
//!
//! The method is Sen's slope in its seasonal form (Hirsch, Slack and Smith 1982): the slope is the median of the slopes
//! between all pairs of values of the same season, so that neither a season nor a few odd values tilt it; a third of
//! the values may be wrong. A season is one slot of the week (`Monday 15:00`), or of the day where there are less than
//! three weeks. The season's part is the median of what the line leaves in its slot. Gaps need no filling.
//!
//! The interval of the slope is Gilbert's (1987): two ranks among the sorted slopes, from the variance of Kendall's
//! statistic. The values of one day are taken to move together, which widens it; days are taken to be independent.

use crate::domain::Timestamp;

/// The least past that a trend is read from, in days.
pub const LEAST_DAYS: f64 = 14.0;

/// The least days for which slots of the week are told apart.
const WEEKLY_FROM: f64 = 21.0;

/// The least values of a trend.
const LEAST_VALUES: usize = 24;

/// The most slopes that are looked at.
const MOST_SLOPES: usize = 200_000;

/// An interval of 80 % of a normal distribution reaches so many deviations to either side.
const Z: f64 = 1.281_551_565_5;

const DAY: f64 = 86_400.0;

/// Why there is no trend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    /// The past is too short.
    TooShort {
        /// How many days there are.
        days: f64,
        /// How many are needed.
        needed: f64,
    },
    /// The past has too few values for its length.
    TooSparse {
        /// How many values there are.
        values: usize,
        /// How many are needed.
        needed: usize,
    },
}

impl Refusal {
    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooShort { .. } => "too_short",
            Self::TooSparse { .. } => "too_sparse",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooShort { days, needed } => {
                write!(f, "{days:.1} days of history, {needed:.0} are needed")
            }
            Self::TooSparse { values, needed } => {
                write!(f, "{values} values of history, {needed} are needed")
            }
        }
    }
}

/// Values on a grid, oldest first; an instant without a value is NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The distance of two values, in seconds; at least 1.
    pub step: i64,
    /// The values.
    pub values: Vec<(Timestamp, f64)>,
}

impl History {
    /// The values that are numbers.
    pub fn known(&self) -> impl DoubleEndedIterator<Item = (Timestamp, f64)> {
        self.values.iter().copied().filter(|(_, value)| value.is_finite())
    }

    /// From the first value to the last, in days.
    pub fn days(&self) -> f64 {
        match (self.known().next(), self.known().next_back()) {
            (Some((first, _)), Some((last, _))) => between(first, last),
            _ => 0.0,
        }
    }

    /// The part before an instant.
    #[must_use]
    pub fn before(&self, end: Timestamp) -> Self {
        let values = self.values.iter().copied().filter(|(at, _)| *at < end);
        Self { step: self.step, values: values.collect() }
    }
}

/// A line with a season around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The line's value at `middle`.
    pub level: f64,
    /// Growth a day.
    pub slope: f64,
    /// The lower end of the slope's interval of 80 %.
    pub slope_low: f64,
    /// The upper end.
    pub slope_high: f64,
    /// The instant the line turns around.
    pub middle: Timestamp,
    seasons: Seasons,
}

/// What is added to the line, by slot.
#[derive(Debug, Clone, PartialEq)]
struct Seasons {
    step: i64,
    /// A week or a day, in seconds.
    period: i64,
    parts: Vec<f64>,
}

impl Seasons {
    fn slot(step: i64, period: i64, at: Timestamp) -> usize {
        // The epoch was a Thursday; any fixed day does.
        usize::try_from(at.as_second().rem_euclid(period) / step).unwrap_or(0)
    }

    fn part(&self, at: Timestamp) -> f64 {
        self.parts.get(Self::slot(self.step, self.period, at)).copied().unwrap_or(0.0)
    }
}

impl Trend {
    /// Reads the trend out of a past.
    pub fn fit(history: &History, least_days: f64) -> Result<Self, Refusal> {
        let days = history.days();
        if days < least_days {
            return Err(Refusal::TooShort { days, needed: least_days });
        }
        let values: Vec<(Timestamp, f64)> = history.known().collect();
        let needed = LEAST_VALUES.max(history.values.len() / 3).min(history.values.len());
        if values.len() < needed || values.len() < 7 {
            return Err(Refusal::TooSparse { values: values.len(), needed: needed.max(7) });
        }
        let step = history.step.max(1);
        let period = if days >= WEEKLY_FROM { 7 * 86_400 } else { 86_400 };
        // A step that does not divide the period has no slots: everything is one season.
        let (step, period) = if period % step == 0 { (step, period) } else { (period, period) };
        let slots = usize::try_from(period / step).unwrap_or(1).max(1);
        let mut groups: Vec<Vec<(Timestamp, f64)>> = vec![Vec::new(); slots];
        for (at, value) in &values {
            if let Some(group) = groups.get_mut(Seasons::slot(step, period, *at)) {
                group.push((*at, *value));
            }
        }
        let slopes = slopes(&groups);
        if slopes.is_empty() {
            return Err(Refusal::TooSparse { values: values.len(), needed: slots * 2 });
        }
        let slope = median(&slopes);
        let (slope_low, slope_high) = interval(&slopes, deviation(&groups, step, period));
        let middle = middle(&values);
        let rest = |(at, value): &(Timestamp, f64)| value - slope * between(middle, *at);
        let mut rests: Vec<f64> = values.iter().map(rest).collect();
        rests.sort_by(f64::total_cmp);
        let level = median(&rests);
        let parts = groups.iter().map(|group| {
            let mut rests: Vec<f64> = group.iter().map(|value| rest(value) - level).collect();
            rests.sort_by(f64::total_cmp);
            if rests.is_empty() { 0.0 } else { median(&rests) }
        });
        let seasons = Seasons { step, period, parts: parts.collect() };
        Ok(Self {
            level,
            slope,
            slope_low: slope_low.min(slope),
            slope_high: slope_high.max(slope),
            middle,
            seasons,
        })
    }

    /// The line and the season at an instant.
    pub fn at(&self, at: Timestamp) -> f64 {
        self.level + self.slope * self.distance(at) + self.seasons.part(at)
    }

    /// Days from the instant the line turns around.
    pub fn distance(&self, at: Timestamp) -> f64 {
        between(self.middle, at)
    }

    /// The season's length, in seconds: a week or a day.
    pub fn period(&self) -> i64 {
        self.seasons.period
    }
}

/// Days from one instant to another.
pub fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() / DAY
}

/// Halfway between the first and the last value: it moves with neither the values nor their gaps.
fn middle(values: &[(Timestamp, f64)]) -> Timestamp {
    match (values.first(), values.last()) {
        (Some((first, _)), Some((last, _))) => {
            let half = (last.as_second() - first.as_second()) / 2;
            Timestamp::from_second(first.as_second() + half).unwrap_or(*first)
        }
        _ => Timestamp::UNIX_EPOCH,
    }
}

/// The slopes of all pairs of one season, sorted.
fn slopes(groups: &[Vec<(Timestamp, f64)>]) -> Vec<f64> {
    let mut slopes = Vec::new();
    for group in groups {
        for (index, (at, value)) in group.iter().enumerate() {
            for (later, other) in group.iter().skip(index + 1) {
                let days = between(*at, *later);
                if days > 0.0 && slopes.len() < MOST_SLOPES {
                    slopes.push((other - value) / days);
                }
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes
}

/// The deviation of Kendall's statistic without a trend: the slots of one day move together, days do not.
fn deviation(groups: &[Vec<(Timestamp, f64)>], step: i64, period: i64) -> f64 {
    let a_day = usize::try_from((86_400.min(period) / step).max(1)).unwrap_or(1);
    let variance: f64 = groups
        .chunks(a_day)
        .map(|day| {
            let together: f64 = day.iter().map(|group| single_deviation(group.len())).sum();
            together * together
        })
        .sum();
    variance.sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
fn single_deviation(count: usize) -> f64 {
    let n = count as f64;
    (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).max(0.0).sqrt()
}

/// The interval of 80 % of the slope: two of the sorted slopes.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks among at most 200000 slopes, clamped to them"
)]
fn interval(slopes: &[f64], deviation: f64) -> (f64, f64) {
    let count = slopes.len() as f64;
    let reach = Z * deviation;
    let low = ((count - reach) / 2.0).floor().max(0.0) as usize;
    let high = ((count + reach) / 2.0).ceil() as usize;
    let last = slopes.len() - 1;
    (slopes[low.min(last)], slopes[high.min(last)])
}

/// The median of sorted numbers, of which there is at least one.
pub(super) fn median(sorted: &[f64]) -> f64 {
    quantile(sorted, 0.5)
}

/// A quantile of sorted numbers, between two of them where it must; 0 of none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into at most 200000 numbers"
)]
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (sorted[below.min(last)], sorted[above.min(last)]);
    if below == above { low } else { low + (high - low) * (place - place.floor()) }
}
