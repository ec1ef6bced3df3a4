//! The trend of a series: a line with a season around it. Owns the method; draws no conclusion.
//!
//! The method is Sen's slope, the median of the slopes between pairs of values, so that a few odd values do not tilt it.
//! It is taken twice. First in its seasonal form (Hirsch, Slack and Smith 1982), between values of the same season only,
//! which needs no season to be known: a season is one slot of the week (`Monday 15:00`), or of the day where there are
//! less than three weeks. What that line leaves is divided among the hours of the day and, from three weeks on, the days
//! of the week: each part is a median, and the parts together are made smaller by as much as chance alone would have
//! made them large, so that noise is no season. Then between the medians of all days of what is left, which uses every
//! pair of days. Gaps need no filling.
//!
//! The interval of the slope is Gilbert's (1987): two ranks among the sorted slopes, from the variance of Kendall's
//! statistic. A day counts as one value there, however many it has: its hours move together. Days are taken to be
//! independent.

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

const DAY_SECONDS: i64 = 86_400;

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

/// What is added to the line.
#[derive(Debug, Clone, PartialEq)]
struct Seasons {
    /// A week or a day, in seconds.
    period: i64,
    /// By time of the day.
    hours: Season,
    /// By day of the week; nothing where the period is a day.
    weekdays: Season,
}

/// What is added by slot of a period.
#[derive(Debug, Clone, PartialEq)]
struct Season {
    slot: i64,
    parts: Vec<f64>,
}

/// Which slot of a period an instant lies in. The epoch was a Thursday; any fixed day does.
fn slot(step: i64, period: i64, at: Timestamp) -> usize {
    usize::try_from(at.as_second().rem_euclid(period) / step).unwrap_or(0)
}

impl Season {
    /// The parts of what is left, `slot` seconds each, as many as make a period.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
    fn of(rests: &[(Timestamp, f64)], slot: i64, period: i64) -> Self {
        let count = usize::try_from(period / slot).unwrap_or(1).max(1);
        let mut groups: Vec<Vec<f64>> = vec![Vec::new(); count];
        for (at, rest) in rests {
            if let Some(group) = groups.get_mut(self::slot(slot, period, *at)) {
                group.push(*rest);
            }
        }
        let (mut parts, mut chance, mut size) = (Vec::new(), 0.0, 0.0);
        for group in &mut groups {
            group.sort_by(f64::total_cmp);
            let part = median(group);
            // A median's variance is that of the values over their number, times π/2; half of the values of a normal
            // distribution lie within 1.349 deviations.
            let deviation = (quantile(group, 0.75) - quantile(group, 0.25)) / 1.349;
            chance += std::f64::consts::FRAC_PI_2 * deviation * deviation / group.len().max(1) as f64;
            size += part * part;
            parts.push(part);
        }
        let kept = if size > 0.0 { (1.0 - chance / size).max(0.0) } else { 0.0 };
        Self { slot, parts: parts.into_iter().map(|part| part * kept).collect() }
    }

    fn none() -> Self {
        Self { slot: 1, parts: Vec::new() }
    }

    fn part(&self, at: Timestamp) -> f64 {
        let count = i64::try_from(self.parts.len()).unwrap_or(0);
        if count == 0 {
            return 0.0;
        }
        self.parts.get(slot(self.slot, self.slot * count, at)).copied().unwrap_or(0.0)
    }
}

impl Seasons {
    fn of(mut rests: Vec<(Timestamp, f64)>, step: i64, period: i64) -> Self {
        let hours =
            if DAY_SECONDS % step == 0 { Season::of(&rests, step, DAY_SECONDS) } else { Season::none() };
        for (at, rest) in &mut rests {
            *rest -= hours.part(*at);
        }
        let weekdays =
            if period > DAY_SECONDS { Season::of(&rests, DAY_SECONDS, period) } else { Season::none() };
        Self { period, hours, weekdays }
    }

    fn part(&self, at: Timestamp) -> f64 {
        self.hours.part(at) + self.weekdays.part(at)
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
        let period = if days >= WEEKLY_FROM { 7 * DAY_SECONDS } else { DAY_SECONDS };
        // A step that does not divide the period has no slots: everything is one season.
        let (step, period) = if period % step == 0 { (step, period) } else { (period, period) };
        let slots = usize::try_from(period / step).unwrap_or(1).max(1);
        let mut groups: Vec<Vec<(Timestamp, f64)>> = vec![Vec::new(); slots];
        for (at, value) in &values {
            if let Some(group) = groups.get_mut(slot(step, period, *at)) {
                group.push((*at, *value));
            }
        }
        let seasonal = slopes(&groups);
        if seasonal.is_empty() {
            return Err(Refusal::TooSparse { values: values.len(), needed: slots * 2 });
        }
        let (middle, first_slope) = (middle(&values), median(&seasonal));
        let seasons = Seasons::of(rests(&values, middle, first_slope).1, history.step.max(1), period);
        let days = days_left(&values, middle, first_slope, &seasons);
        let left = slopes(std::slice::from_ref(&days));
        if left.is_empty() {
            return Err(Refusal::TooSparse { values: values.len(), needed: slots * 2 });
        }
        let slope = first_slope + median(&left);
        let (low, high) = interval(&left, deviation(days.len()));
        let (slope_low, slope_high) = (first_slope + low, first_slope + high);
        let (level, rests) = rests(&values, middle, slope);
        let seasons = Seasons::of(rests, history.step.max(1), period);
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

/// The level of a line's rest, and what lies around it.
fn rests(values: &[(Timestamp, f64)], middle: Timestamp, slope: f64) -> (f64, Vec<(Timestamp, f64)>) {
    let rest = |(at, value): &(Timestamp, f64)| value - slope * between(middle, *at);
    let mut sorted: Vec<f64> = values.iter().map(rest).collect();
    sorted.sort_by(f64::total_cmp);
    let level = median(&sorted);
    (level, values.iter().map(|value| (value.0, rest(value) - level)).collect())
}

/// One value a day of what a line and its season leave: the median.
fn days_left(
    values: &[(Timestamp, f64)],
    middle: Timestamp,
    slope: f64,
    seasons: &Seasons,
) -> Vec<(Timestamp, f64)> {
    let (_, rests) = rests(values, middle, slope);
    let day = |at: Timestamp| at.as_second().div_euclid(DAY_SECONDS);
    let chunks = rests.chunk_by(|(one, _), (two, _)| day(*one) == day(*two));
    let of_day = chunks.filter_map(|chunk| {
        let mut left: Vec<f64> = chunk.iter().map(|(at, rest)| rest - seasons.part(*at)).collect();
        left.sort_by(f64::total_cmp);
        let noon = day(chunk.first()?.0) * DAY_SECONDS + DAY_SECONDS / 2;
        Some((Timestamp::from_second(noon).ok()?, median(&left)))
    });
    of_day.collect()
}

/// The deviation of Kendall's statistic of so many independent values without a trend.
#[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
fn deviation(count: usize) -> f64 {
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
    let high = f64::midpoint(count, reach).ceil() as usize;
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
