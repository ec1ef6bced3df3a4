//! Quantities: numbers with a unit, as the runbook writes them. Owns reading, comparing and printing them.
//!
//! A text alone can be ambiguous (`500m` is half a core or 500 minutes), so it is always read *as* the unit that its
//! place expects, and a quantity of another unit is an error that says so.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// A share: 0.7 is written `70%`.
    Ratio,
    /// Seconds: written `300ms`, `10m`, `30 days`.
    Seconds,
    /// Bytes: written `256MB` (powers of ten) or `4Gi` (powers of two).
    Bytes,
    /// CPU cores: written `2 cores`, `0.1 cores` or `500m`.
    Cores,
    /// A plain number.
    Count,
}

impl Unit {
    /// Every unit, in the order people know them.
    pub const ALL: [Self; 5] = [Self::Ratio, Self::Seconds, Self::Bytes, Self::Cores, Self::Count];

    /// The word used in rule files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ratio => "ratio",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Cores => "cores",
            Self::Count => "count",
        }
    }

    /// Reads the word used in rule files.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == word)
    }

    /// What a quantity of this unit looks like, for error messages.
    pub fn example(self) -> &'static str {
        match self {
            Self::Ratio => "a percentage such as 70%",
            Self::Seconds => "a duration such as 300ms or 10m",
            Self::Bytes => "a size such as 256MB or 4Gi",
            Self::Cores => "cores such as 2 cores or 500m",
            Self::Count => "a plain number such as 100",
        }
    }

    /// Prints a value of this unit for people: `91 %`, `412 ms`, `3.2 GB`, `1.5 cores`, `120`.
    pub fn show(self, value: f64) -> String {
        if value.is_nan() {
            return "no value".into();
        }
        if value.is_infinite() {
            return if value > 0.0 { "∞".into() } else { "-∞".into() };
        }
        match self {
            Self::Ratio => format!("{} %", rounded(value * 100.0)),
            Self::Seconds => show_seconds(value),
            Self::Bytes => show_bytes(value),
            Self::Cores => format!("{} {}", rounded(value), if value == 1.0 { "core" } else { "cores" }),
            Self::Count => rounded(value),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a text is not the quantity that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It reads as a quantity, but of another unit.
    #[error("`{text}` is in {found}, expected {}", .expected.example())]
    OtherUnit {
        /// What was written.
        text: String,
        /// The unit it reads as.
        found: Unit,
        /// The unit its place asks for.
        expected: Unit,
    },
    /// It reads as no quantity at all.
    #[error("`{text}` is not a quantity, expected {}", .expected.example())]
    Unreadable {
        /// What was written.
        text: String,
        /// The unit its place asks for.
        expected: Unit,
    },
}

/// Reads a text as a value of `unit`, in its base (ratio, seconds, bytes, cores, count).
///
/// A plain number is taken in the base unit: `0.7` is 70 %.
pub fn parse(text: &str, unit: Unit) -> Result<f64, QuantityError> {
    let trimmed = text.trim();
    if let Some(value) = parse_as(trimmed, unit) {
        return Ok(value);
    }
    let found = Unit::ALL.into_iter().find(|other| *other != unit && parse_as(trimmed, *other).is_some());
    Err(match found {
        Some(found) => QuantityError::OtherUnit { text: trimmed.into(), found, expected: unit },
        None => QuantityError::Unreadable { text: trimmed.into(), expected: unit },
    })
}

fn parse_as(text: &str, unit: Unit) -> Option<f64> {
    let (number, suffix) = split(text)?;
    let factor = if suffix.is_empty() {
        1.0
    } else {
        match unit {
            Unit::Ratio => match suffix {
                "%" => 0.01,
                "x" => 1.0,
                _ => return None,
            },
            Unit::Seconds => return parse_duration(text).map(|duration| duration.as_secs_f64()),
            Unit::Bytes => bytes_factor(suffix)?,
            Unit::Cores => match suffix {
                "m" => 0.001,
                "core" | "cores" => 1.0,
                _ => return None,
            },
            Unit::Count => match suffix {
                "k" => 1e3,
                "M" => 1e6,
                _ => return None,
            },
        }
    };
    Some(scaled(number, factor))
}

/// `70 × 0.01` is 0.7000000000000001 in binary; dividing keeps thresholds at the number people wrote.
fn scaled(number: f64, factor: f64) -> f64 {
    if factor == 0.01 {
        number / 100.0
    } else if factor == 0.001 {
        number / 1000.0
    } else {
        number * factor
    }
}

/// Splits `0.1 cores` into the number and the unit's word.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *c == '.' || (*at == 0 && (*c == '-' || *c == '+'))))
        .map_or(text.len(), |(at, _)| at);
    let (number, rest) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((number, rest.trim()))
}

fn bytes_factor(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "B" | "bytes" => 1.0,
        "k" | "K" | "kB" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "T" | "TB" => 1e12,
        "P" | "PB" => 1e15,
        "Ki" | "KiB" => 1024.0,
        "Mi" | "MiB" => 1024.0 * 1024.0,
        "Gi" | "GiB" => 1024.0 * 1024.0 * 1024.0,
        "Ti" | "TiB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    })
}

/// The longest duration a file may ask for: long enough for any retention, short enough that adding it to a date
/// never leaves the calendar.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Reads a duration: humantime's words (`10m`, `1h 30m`, `30 days`) with Prometheus's reading of `y` as 365 days;
/// `M` is refused, because one of the two reads it as a month.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let trimmed = text.trim();
    if trimmed.contains('M') {
        return None;
    }
    let duration = match split(trimmed) {
        Some((years, "y" | "year" | "years")) if years >= 0.0 => {
            Duration::try_from_secs_f64(years * 365.0 * 86_400.0).ok()?
        }
        _ => humantime::parse_duration(trimmed).ok()?,
    };
    (duration <= LONGEST).then_some(duration)
}

/// Prints a duration as rule files spell it: `1h30m`, `300ms`, `0s`.
pub fn show_duration(duration: Duration) -> String {
    let mut out = String::new();
    let mut rest = duration.as_secs();
    for (seconds, word) in [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")] {
        if rest >= seconds {
            out.push_str(&format!("{}{word}", rest / seconds));
            rest %= seconds;
        }
    }
    if duration.subsec_millis() > 0 {
        out.push_str(&format!("{}ms", duration.subsec_millis()));
    }
    if out.is_empty() { "0s".into() } else { out }
}

/// A change of size, as the runbook writes it: `+2 replicas` or `+25% resources`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// So many replicas more.
    Replicas(u32),
    /// So much more of each resource: 0.25 for `+25% resources`.
    Resources(f64),
}

impl Step {
    /// Reads `+2 replicas`, `+50% replicas` is not offered; `None` where the text is neither form.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, word) = split(text.trim())?;
        match word {
            "replicas" | "replica" if number >= 1.0 && number.fract() == 0.0 && number <= 10_000.0 =>
            {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked to be 1..=10000"
                )]
                Some(Self::Replicas(number as u32))
            }
            word => {
                let percent = word.strip_prefix('%')?.trim();
                (matches!(percent, "resources" | "resource") && number > 0.0 && number <= 1_000.0)
                    .then_some(Self::Resources(number / 100.0))
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas(count) => write!(f, "+{count} replicas"),
            Self::Resources(share) => write!(f, "+{}% resources", rounded(share * 100.0)),
        }
    }
}

/// Three significant digits, never an exponent, no trailing zeros.
fn rounded(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn show_seconds(value: f64) -> String {
    let size = value.abs();
    if size < 1.0 {
        format!("{} ms", rounded(value * 1000.0))
    } else if size < 120.0 {
        format!("{} s", rounded(value))
    } else if size < 7_200.0 {
        format!("{} min", rounded(value / 60.0))
    } else if size < 172_800.0 {
        format!("{} h", rounded(value / 3_600.0))
    } else {
        format!("{} days", rounded(value / 86_400.0))
    }
}

fn show_bytes(value: f64) -> String {
    let (factor, word) = match value.abs() {
        size if size >= 1e12 => (1e12, "TB"),
        size if size >= 1e9 => (1e9, "GB"),
        size if size >= 1e6 => (1e6, "MB"),
        size if size >= 1e3 => (1e3, "kB"),
        _ => (1.0, "B"),
    };
    format!("{} {word}", rounded(value / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runbooks_quantities_read_as_their_units() {
        let cases = [
            ("70%", Unit::Ratio, 0.7),
            ("3x", Unit::Ratio, 3.0),
            ("300ms", Unit::Seconds, 0.3),
            ("10m", Unit::Seconds, 600.0),
            ("30 days", Unit::Seconds, 2_592_000.0),
            ("1y", Unit::Seconds, 31_536_000.0),
            ("2 cores", Unit::Cores, 2.0),
            ("0.1 cores", Unit::Cores, 0.1),
            ("500m", Unit::Cores, 0.5),
            ("256MB", Unit::Bytes, 256e6),
            ("4GB", Unit::Bytes, 4e9),
            ("4Gi", Unit::Bytes, 4_294_967_296.0),
            ("0.7", Unit::Ratio, 0.7),
            ("100", Unit::Count, 100.0),
        ];
        for (text, unit, value) in cases {
            assert_eq!(parse(text, unit), Ok(value), "{text}");
        }
    }

    #[test]
    fn another_unit_is_named_and_rubbish_is_refused() {
        let found = |text, unit| match parse(text, unit) {
            Err(QuantityError::OtherUnit { found, .. }) => Some(found),
            Ok(_) | Err(QuantityError::Unreadable { .. }) => None,
        };
        assert_eq!(found("70%", Unit::Seconds), Some(Unit::Ratio));
        assert_eq!(found("300ms", Unit::Ratio), Some(Unit::Seconds));
        for text in ["", "abc", "1..2%", "70 %%", "inf", "NaN", "1e400", "99999999999999 days"] {
            assert!(parse(text, Unit::Seconds).is_err(), "{text}");
        }
    }

    #[test]
    fn steps_read_and_print_the_same() {
        for text in ["+2 replicas", "+25% resources"] {
            assert_eq!(Step::parse(text).map(|step| step.to_string()).as_deref(), Some(text));
        }
        for text in ["+0 replicas", "+2.5 replicas", "-2 replicas", "+25%", "+25 resources", ""] {
            assert_eq!(Step::parse(text), None, "{text}");
        }
    }

    #[test]
    fn values_print_for_people() {
        assert_eq!(Unit::Ratio.show(0.953), "95.3 %");
        assert_eq!(Unit::Ratio.show(0.95), "95 %");
        assert_eq!(Unit::Seconds.show(0.412), "412 ms");
        assert_eq!(Unit::Bytes.show(3.2e9), "3.2 GB");
        assert_eq!(Unit::Count.show(120.0), "120");
        assert_eq!(show_duration(Duration::from_secs(5_400)), "1h30m");
    }
}
