//! Scales: which values and which times an axis spans, and where its ticks are. Owns round numbers; draws nothing.

use crate::domain::Timestamp;
use crate::domain::quantity::Unit;

/// The largest number an axis can show: beyond it differences overflow.
const LARGEST: f64 = 1e300;

/// About how many steps an axis of values has.
const STEPS: f64 = 4.0;

/// The span of the values and its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ValueScale {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
}

impl ValueScale {
    /// The scale that shows every one of `values`; infinite ones lie at its edges.
    pub(super) fn of(values: impl Iterator<Item = f64>, unit: Unit) -> Self {
        let finite = values.filter(|value| value.is_finite()).map(|value| value.clamp(-LARGEST, LARGEST));
        let (mut low, mut high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // What is counted, paid or waited for begins at nothing, unless that would flatten what there is to see.
        if low > 0.0 && (unit == Unit::Ratio || low < high * 0.7) {
            low = 0.0;
        }
        if high < 0.0 && high > low * 0.7 {
            high = 0.0;
        }
        let least = high.abs().max(low.abs()) * 1e-6;
        if high - low <= least {
            let room = if high == 0.0 && low == 0.0 { 1.0 } else { high.abs().max(low.abs()) * 0.1 };
            high += room;
            if low != 0.0 {
                low -= room;
            }
        }
        let step = step((high - low) / STEPS, unit);
        let first = (low / step).floor();
        // A little room above the highest value; a ratio's whole is an edge of its own.
        let room = if unit == Unit::Ratio && high <= 1.0 { 0.0 } else { (high - low) * 0.02 };
        let count = (((high + room) / step).ceil() - first).clamp(1.0, 12.0);
        let mut ticks = Vec::new();
        let mut at = 0.0;
        while at <= count {
            ticks.push((first + at) * step);
            at += 1.0;
        }
        Self { low: first * step, high: (first + count) * step, ticks }
    }

    /// Where a value lies between the lower edge (0) and the upper one (1).
    pub(super) fn share(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// The round number nearest above a step, in the unit's own kind of roundness.
fn step(raw: f64, unit: Unit) -> f64 {
    const LONG: [f64; 12] =
        [60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 43_200.0, 86_400.0];
    if unit == Unit::Seconds
        && raw > 20.0
        && let Some(step) = LONG.into_iter().find(|step| *step >= raw)
    {
        return step;
    }
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= raw);
    step.filter(|step| step.is_normal()).unwrap_or(1.0)
}

/// The span of time and its ticks, which lie on round times of UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeScale {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) ticks: Vec<Timestamp>,
}

impl TimeScale {
    pub(super) fn of(from: Timestamp, to: Timestamp) -> Self {
        const STEPS: [i64; 13] =
            [60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];
        const MOST: i64 = 7;
        let (from, to) = if to > from {
            (from, to)
        } else {
            (to.checked_sub(jiff::SignedDuration::from_mins(60)).unwrap_or(Timestamp::MIN), to)
        };
        let (first, last) = (from.as_second(), to.as_second());
        let step = STEPS.into_iter().find(|step| (last - first) / step < MOST);
        // Beyond a week a tick a whole number of days apart.
        let step = step.unwrap_or_else(|| ((last - first) / MOST / 86_400 + 1) * 86_400);
        let begin = first.div_euclid(step) + 1;
        let ticks = (begin..=last.div_euclid(step)).filter_map(|at| Timestamp::from_second(at * step).ok());
        Self { from, to, ticks: ticks.collect() }
    }

    /// Where an instant lies between the left edge (0) and the right one (1).
    pub(super) fn share(&self, at: Timestamp) -> f64 {
        let whole = self.to.duration_since(self.from).as_secs_f64();
        if whole <= 0.0 {
            return 1.0;
        }
        (at.duration_since(self.from).as_secs_f64() / whole).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(values: &[f64], unit: Unit) -> (f64, f64, usize) {
        let scale = ValueScale::of(values.iter().copied(), unit);
        (scale.low, scale.high, scale.ticks.len())
    }

    #[test]
    fn axes_begin_and_end_on_round_numbers() {
        assert_eq!(span(&[0.2, 0.9, 0.95], Unit::Ratio), (0.0, 1.0, 5));
        assert_eq!(span(&[0.99, 0.995], Unit::Ratio), (0.0, 1.0, 5));
        assert_eq!(span(&[0.0, 0.0], Unit::Count), (0.0, 1.25, 6));
        assert_eq!(span(&[], Unit::Count), (0.0, 1.25, 6));
        assert_eq!(span(&[12.0, 300.0], Unit::Seconds), (0.0, 360.0, 4));
        assert_eq!(span(&[-5.0, 5.0], Unit::Count), (-5.0, 7.5, 6));
        assert_eq!(span(&[1e9, 4e9], Unit::Bytes), (0.0, 5e9, 6));
    }

    #[test]
    fn no_values_break_an_axis() {
        let odd = [
            &[f64::NAN][..],
            &[f64::INFINITY, f64::NEG_INFINITY],
            &[f64::MAX, f64::MIN],
            &[5e-324, 1e-323],
            &[1e300, 1e300],
            &[-7.0],
            &[1e15, 1e15 + 1.0],
        ];
        for values in odd {
            let scale = ValueScale::of(values.iter().copied(), Unit::Count);
            let is_fine = scale.low.is_finite() && scale.high.is_finite() && scale.low < scale.high;
            assert!(is_fine && (2..=13).contains(&scale.ticks.len()), "{values:?}: {scale:?}");
            for value in values.iter().filter(|value| !value.is_nan()) {
                assert!((0.0..=1.0).contains(&scale.share(*value)), "{value} in {scale:?}");
            }
        }
    }

    #[test]
    fn times_are_marked_at_round_ones() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let scale = TimeScale::of(at("2026-11-23T02:21:07Z"), at("2026-11-23T03:21:07Z"));
        let ticks: Vec<String> = scale.ticks.iter().map(|it| it.strftime("%H:%M").to_string()).collect();
        assert_eq!(ticks, ["02:30", "02:40", "02:50", "03:00", "03:10", "03:20"]);
        assert_eq!(scale.share(at("2026-11-23T02:51:07Z")), 0.5);
        for (from, to) in
            [(at("2026-11-23T03:21:07Z"), at("2026-11-23T03:21:07Z")), (Timestamp::MIN, Timestamp::MAX)]
        {
            let scale = TimeScale::of(from, to);
            assert!(scale.from < scale.to && scale.ticks.len() <= 8, "{scale:?}");
        }
    }
}
