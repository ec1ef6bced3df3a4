//! The words of time intervals: `09:00`, `monday:friday`, `-3:-1`, `may:august`, `2026`, `Europe/Berlin`. Owns reading
//! each of them; what they mean together is the interval's.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Span;

/// Why a word of a time interval cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeFault {
    /// No time of day.
    #[error("`{0}` is no time of day")]
    Time(Box<str>),
    /// No day of the week.
    #[error("`{0}` is no day of the week")]
    Weekday(Box<str>),
    /// No day of a month.
    #[error("`{0}` is no day of a month")]
    Day(Box<str>),
    /// No month.
    #[error("`{0}` is no month")]
    Month(Box<str>),
    /// No year.
    #[error("`{0}` is no year")]
    Year(Box<str>),
    /// The end comes before the start.
    #[error("`{0}` ends before it starts")]
    Backwards(Box<str>),
    /// It starts from the month's end and ends from its start.
    #[error("`{0}` counts its start from the end of the month and its end from the start")]
    MixedDays(Box<str>),
    /// No place of the time zone database.
    #[error("`{0}` is no place that the time zone database knows")]
    Zone(Box<str>),
}

impl TimeFault {
    /// What would be right.
    pub fn expected(&self) -> &'static str {
        match self {
            Self::Time(_) => "expected a time from 00:00 to 24:00",
            Self::Weekday(_) => "expected days such as monday or monday:friday",
            Self::Day(_) | Self::MixedDays(_) => "expected days such as 1, 1:15 or -3:-1",
            Self::Month(_) => "expected months such as may, 5 or may:august",
            Self::Year(_) => "expected years such as 2026 or 2026:2028",
            Self::Backwards(_) => "expected the earlier one first",
            Self::Zone(_) => "expected a name such as Europe/Berlin or UTC",
        }
    }
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Reads a time of day as minutes since midnight: `09:00`, up to `24:00`.
pub fn time_of_day(text: &str) -> Result<i16, TimeFault> {
    let fault = || TimeFault::Time(text.into());
    let (hour, minute) = text.split_once(':').ok_or_else(fault)?;
    let number = |digits: &str| -> Option<i16> {
        let is_pair = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        is_pair.then(|| digits.parse().ok()).flatten()
    };
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(fault)?;
    let total = hour * 60 + minute;
    if minute < 60 && total <= 24 * 60 { Ok(total) } else { Err(fault()) }
}

/// Reads days of the week by name, 0 for Sunday: `monday` or `monday:friday`.
pub fn weekdays(text: &str) -> Result<Span<i8>, TimeFault> {
    span(text, |word| position(&WEEKDAYS, word).ok_or_else(|| TimeFault::Weekday(word.into())))
}

/// Reads days of the month, negative ones from its end: `1:15` or `-3:-1`.
pub fn days_of_month(text: &str) -> Result<Span<i8>, TimeFault> {
    let day = |word: &str| {
        let number = word.parse::<i8>().ok().filter(|day| *day != 0 && day.abs() <= 31);
        number.ok_or_else(|| TimeFault::Day(word.into()))
    };
    let (first, last) = ends(text);
    let span = Span { first: day(first)?, last: day(last)? };
    if span.first < 0 && span.last > 0 {
        return Err(TimeFault::MixedDays(text.into()));
    }
    // Shorter months cut a span off; in the longest one it has to make sense.
    let longest = |day: i8| if day < 0 { 32 + day } else { day };
    if longest(span.first) > longest(span.last) {
        return Err(TimeFault::Backwards(text.into()));
    }
    Ok(span)
}

/// Reads months by name or number: `may`, `5` or `may:august`.
pub fn months(text: &str) -> Result<Span<i8>, TimeFault> {
    span(text, |word| {
        let named = position(&MONTHS, word).map(|at| at + 1);
        let number = || word.parse::<i8>().ok().filter(|month| (1..=12).contains(month));
        named.or_else(number).ok_or_else(|| TimeFault::Month(word.into()))
    })
}

/// Reads years: `2026` or `2026:2028`.
pub fn years(text: &str) -> Result<Span<i16>, TimeFault> {
    span(text, |word| {
        let number = word.parse::<i16>().ok().filter(|year| (0..=9999).contains(year));
        number.ok_or_else(|| TimeFault::Year(word.into()))
    })
}

/// Finds a place of the time zone database that is part of the program: `Europe/Berlin`.
pub fn time_zone(name: &str) -> Result<TimeZone, TimeFault> {
    TimeZoneDatabase::bundled().get(name).map_err(|_| TimeFault::Zone(name.into()))
}

fn position(names: &[&str], word: &str) -> Option<i8> {
    let at = names.iter().position(|name| name.eq_ignore_ascii_case(word))?;
    i8::try_from(at).ok()
}

/// The two ends of `a:b`; of `a` alone, twice the same.
fn ends(text: &str) -> (&str, &str) {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    (first.trim(), last.trim())
}

fn span<T: PartialOrd>(
    text: &str,
    read: impl Fn(&str) -> Result<T, TimeFault>,
) -> Result<Span<T>, TimeFault> {
    let (first, last) = ends(text);
    let span = Span { first: read(first)?, last: read(last)? };
    if span.first > span.last { Err(TimeFault::Backwards(text.into())) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_nothing_are_refused() {
        for text in ["9:00", "24:01", "09:60", "0900", "09:00:00", "+9:00", "-1:00", ""] {
            assert_eq!(time_of_day(text), Err(TimeFault::Time(text.into())), "{text}");
        }
        for (text, minute) in [("00:00", 0), ("09:30", 570), ("23:59", 1439), ("24:00", 1440)] {
            assert_eq!(time_of_day(text), Ok(minute));
        }
        assert_eq!(weekdays("Monday : FRIDAY"), Ok(Span { first: 1, last: 5 }));
        assert_eq!(weekdays("friday:monday"), Err(TimeFault::Backwards("friday:monday".into())));
        assert_eq!(weekdays("1:5"), Err(TimeFault::Weekday("1".into())));
        assert_eq!(days_of_month("-5:-1"), Ok(Span { first: -5, last: -1 }));
        assert_eq!(days_of_month("1:-1"), Ok(Span { first: 1, last: -1 }));
        assert_eq!(days_of_month("-1:1"), Err(TimeFault::MixedDays("-1:1".into())));
        assert_eq!(days_of_month("-1:-5"), Err(TimeFault::Backwards("-1:-5".into())));
        assert_eq!(days_of_month("0"), Err(TimeFault::Day("0".into())));
        assert_eq!(days_of_month("32"), Err(TimeFault::Day("32".into())));
        assert_eq!(months("may:8"), Ok(Span { first: 5, last: 8 }));
        assert_eq!(months("13"), Err(TimeFault::Month("13".into())));
        assert_eq!(years("2026:2020"), Err(TimeFault::Backwards("2026:2020".into())));
        assert_eq!(years("soon"), Err(TimeFault::Year("soon".into())));
        assert!(time_zone("Europe/Berlin").is_ok() && time_zone("UTC").is_ok());
        assert_eq!(time_zone("Europe/Atlantis"), Err(TimeFault::Zone("Europe/Atlantis".into())));
    }
}
