//! A forecast: a trend, how wrong it was on a tail it had not seen, and the band that follows from both. Owns the
//! measures of error; when something runs out is `exhaustion`.
//!
//! The last fifth of the past is held out: a trend read from the rest forecasts it, and the errors are reported (MAPE,
//! MASE, how much lay inside the band). The trend that serves is then read from all. The band covers 80 %: the slope's
//! own interval, fanning out from the middle of the past, plus the spread of what the trend leaves, inside the past or
//! on the tail, whichever is wider.

use super::trend::{History, LEAST_DAYS, Refusal, Trend, between, quantile};
use crate::domain::Timestamp;

/// The share of the past that is held out.
const HELD_OUT: f64 = 0.2;

/// How much of the past a trend for the test needs, of what one that serves needs.
const LEAST_HEAD: f64 = LEAST_DAYS * (1.0 - HELD_OUT);

/// How wrong a forecast was on the tail that it had not seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// How many values were held out.
    pub values: usize,
    /// The mean absolute error, in the unit of the values.
    pub mae: f64,
    /// The mean absolute error as a share of the value; values of zero have none.
    pub mape: Option<f64>,
    /// The mean absolute error, of that of saying "as a season ago" inside the past: below 1 is better than that.
    pub mase: Option<f64>,
    /// The share of the held-out values inside the band of 80 %.
    pub covered: f64,
}

/// What is expected at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// The lower end of the band of 80 %.
    pub low: f64,
    /// The value expected.
    pub value: f64,
    /// The upper end.
    pub high: f64,
}

/// A trend with its band and its error.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The trend, read from all of the past.
    pub trend: Trend,
    /// The past it was read from.
    pub history: History,
    /// How wrong it was on the held-out tail.
    pub accuracy: Accuracy,
    below: f64,
    above: f64,
}

impl Forecast {
    /// Reads a forecast out of a past.
    pub fn fit(history: History) -> Result<Self, Refusal> {
        let trend = Trend::fit(&history, LEAST_DAYS)?;
        let (accuracy, held_out) = hold_out(&history)?;
        let (below, above) = spread(&trend, &history);
        Ok(Self { trend, below: below.min(held_out.0), above: above.max(held_out.1), accuracy, history })
    }

    /// What is expected at an instant, within the past or beyond it.
    pub fn at(&self, at: Timestamp) -> Expected {
        expected(&self.trend, (self.below, self.above), at)
    }

    /// Growth a day: the lower end of its interval of 80 %, the value, the upper end.
    pub fn growth_a_day(&self) -> Expected {
        let Trend { slope, slope_low, slope_high, .. } = self.trend;
        Expected { low: slope_low, value: slope, high: slope_high }
    }
}

fn expected(trend: &Trend, (below, above): (f64, f64), at: Timestamp) -> Expected {
    let value = trend.at(at);
    let away = trend.distance(at).abs();
    Expected {
        low: value + below - (trend.slope - trend.slope_low) * away,
        value,
        high: value + above + (trend.slope_high - trend.slope) * away,
    }
}

/// What a trend leaves over the known values: the quantiles of 10 % and 90 %, on either side of zero.
fn spread(trend: &Trend, history: &History) -> (f64, f64) {
    let mut rests: Vec<f64> = history.known().map(|(at, value)| value - trend.at(at)).collect();
    rests.sort_by(f64::total_cmp);
    (quantile(&rests, 0.1).min(0.0), quantile(&rests, 0.9).max(0.0))
}

/// Forecasts the tail from the rest.
#[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
fn hold_out(history: &History) -> Result<(Accuracy, (f64, f64)), Refusal> {
    let too_short = Refusal::TooShort { days: history.days(), needed: LEAST_DAYS };
    let (Some((first, _)), Some((last, _))) = (history.known().next(), history.known().next_back()) else {
        return Err(too_short);
    };
    let seconds = (last.as_second() - first.as_second()) as f64 * (1.0 - HELD_OUT);
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a span")]
    let border = Timestamp::from_second(first.as_second() + seconds as i64).map_err(|_| too_short)?;
    let head = history.before(border);
    // A gap at the border must not refuse what there is enough of.
    let trend = Trend::fit(&head, LEAST_HEAD * 0.9)?;
    let own = spread(&trend, &head);
    let tail: Vec<(Timestamp, f64)> = history.known().filter(|(at, _)| *at >= border).collect();
    let count = tail.len().max(1) as f64;
    let mut errors = Vec::new();
    let (mut absolute, mut inside, mut shares) = (0.0, 0.0, Vec::new());
    for (at, value) in &tail {
        let expected = expected(&trend, own, *at);
        let error = value - expected.value;
        errors.push(error);
        absolute += error.abs();
        if *value != 0.0 {
            shares.push((error / value).abs());
        }
        if (expected.low..=expected.high).contains(value) {
            inside += 1.0;
        }
    }
    errors.sort_by(f64::total_cmp);
    let naive = naive_error(&head, trend.period()).filter(|naive| *naive > 0.0);
    let accuracy = Accuracy {
        values: tail.len(),
        mae: absolute / count,
        mape: (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64),
        mase: naive.map(|naive| absolute / count / naive),
        covered: inside / count,
    };
    Ok((accuracy, (quantile(&errors, 0.1).min(0.0), quantile(&errors, 0.9).max(0.0))))
}

/// The mean absolute difference to the value a season before.
#[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
fn naive_error(head: &History, period: i64) -> Option<f64> {
    let lag = usize::try_from((period / head.step.max(1)).max(1)).unwrap_or(1);
    let pairs = head.values.iter().zip(head.values.iter().skip(lag));
    let differences: Vec<f64> =
        pairs.map(|((_, old), (_, new))| (new - old).abs()).filter(|it| it.is_finite()).collect();
    (!differences.is_empty()).then(|| differences.iter().sum::<f64>() / differences.len() as f64)
}

/// How old the newest known value is at `now`, in days.
pub fn age_in_days(history: &History, now: Timestamp) -> Option<f64> {
    history.known().next_back().map(|(at, _)| between(at, now))
}
