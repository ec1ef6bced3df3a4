//! The notation of series: `0 10x5 _ stale`. Owns how a text or a list becomes one slot an interval; knows no rule.
//!
//! Counting is Prometheus': `10x5` is 10 and five more of it, `0+10x5` is 0 and five steps of 10.

use crate::domain::quantity::{self, Unit};

/// The most slots of one series: a month of minutes.
const MOST_SLOTS: usize = 50_000;

/// What one series is in one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Slot {
    /// A value, possibly NaN.
    Value(f64),
    /// The series is not in the answer: `_`.
    Absent,
    /// The series ends here: `stale`.
    Stale,
    /// The whole query fails: `failed`.
    Failed,
}

/// A token that cannot be read: where in the text it stands, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadToken {
    /// The first byte.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// Why, for people.
    pub why: String,
}

/// Reads a text of values in `unit`.
pub fn slots(text: &str, unit: Unit) -> Result<Vec<Slot>, BadToken> {
    let mut out = Vec::new();
    for token in text.split_whitespace() {
        let start = token.as_ptr() as usize - text.as_ptr() as usize;
        let bad = |why: String| BadToken { start, end: start + token.len(), why };
        expand(token, unit, &mut out).map_err(bad)?;
        if out.len() > MOST_SLOTS {
            return Err(bad(format!("more than {MOST_SLOTS} values are not read")));
        }
    }
    Ok(out)
}

fn expand(token: &str, unit: Unit, out: &mut Vec<Slot>) -> Result<(), String> {
    let (head, times) = match token.rsplit_once('x').map(|(head, tail)| (head, tail.parse::<usize>())) {
        Some((head, Ok(times))) if !head.is_empty() => (head, Some(times)),
        _ => (token, None),
    };
    if times.is_some_and(|times| times > MOST_SLOTS) {
        return Err(format!("more than {MOST_SLOTS} values are not read"));
    }
    if head == "_" {
        out.extend(std::iter::repeat_n(Slot::Absent, times.unwrap_or(1)));
        return Ok(());
    }
    let word = match head {
        "stale" => Some(Slot::Stale),
        "failed" => Some(Slot::Failed),
        "NaN" => Some(Slot::Value(f64::NAN)),
        _ => None,
    };
    let more = times.unwrap_or(0);
    if let Some(slot) = word {
        out.extend(std::iter::repeat_n(slot, more + 1));
        return Ok(());
    }
    let (first, step) = match step_of(head).filter(|_| times.is_some()) {
        Some((first, sign, step)) => (value(first, unit)?, sign * value(step, unit)?),
        None => (value(head, unit)?, 0.0),
    };
    for index in 0..=more {
        #[expect(clippy::cast_precision_loss, reason = "far fewer values than a double counts exactly")]
        let index = index as f64;
        out.push(Slot::Value(if step == 0.0 { first } else { first + step * index }));
    }
    Ok(())
}

/// `0+10` as 0, +, 10; the sign of an exponent is none.
fn step_of(text: &str) -> Option<(&str, f64, &str)> {
    let bytes = text.as_bytes();
    let at = (1..bytes.len())
        .find(|at| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[at - 1], b'e' | b'E'))?;
    let sign = if bytes[at] == b'+' { 1.0 } else { -1.0 };
    Some((text.get(..at)?, sign, text.get(at + 1..)?))
}

fn value(text: &str, unit: Unit) -> Result<f64, String> {
    match text {
        "Inf" | "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        // Prometheus' files write `1e3`, which is no quantity.
        _ => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => quantity::parse(text, unit).map_err(|error| error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, unit: Unit) -> Vec<String> {
        let word = |slot: &Slot| match slot {
            Slot::Value(value) => value.to_string(),
            Slot::Absent => "_".into(),
            Slot::Stale => "stale".into(),
            Slot::Failed => "failed".into(),
        };
        slots(text, unit).unwrap().iter().map(word).collect()
    }

    #[test]
    fn counting_is_prometheus_own() {
        assert_eq!(read("0 10x2 _ stale", Unit::Count), ["0", "10", "10", "10", "_", "stale"]);
        assert_eq!(read("0+10x3 50-10x2", Unit::Count), ["0", "10", "20", "30", "50", "40", "30"]);
        assert_eq!(read("_x3 -2x1 1e3", Unit::Count), ["_", "_", "_", "-2", "-2", "1000"]);
        assert_eq!(read("failed NaN +Inf", Unit::Count), ["failed", "NaN", "inf"]);
    }

    #[test]
    fn values_are_in_the_metrics_unit() {
        assert_eq!(read("50%x1 90%", Unit::Ratio), ["0.5", "0.5", "0.9"]);
        assert_eq!(read("300ms 1s", Unit::Seconds), ["0.3", "1"]);
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let bad = slots("1 2 twelve 4", Unit::Count).unwrap_err();
        assert_eq!((bad.start, bad.end), (4, 10));
        let bad = slots("50% 300ms", Unit::Ratio).unwrap_err();
        assert_eq!((bad.start, bad.end), (4, 9));
        assert!(slots("1x999999999", Unit::Count).is_err());
    }
}
