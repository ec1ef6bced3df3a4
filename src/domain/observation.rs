//! Observations: one series' value, or its absence, at an instant. Owns what kinds of "no value" there are.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::labels::Labels;

/// What was seen of one series in one round.
///
/// Absence is never zero: each kind of "no value" stays apart, because each asks for another answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Observation {
    /// A number, infinite ones included: they compare like any other.
    Value(f64),
    /// The series is there and its value is NaN, usually 0/0: there is nothing to compare.
    NotANumber,
    /// The answer carried a sample that is too old to act on.
    Stale,
    /// The query succeeded and the series was not in the answer.
    Missing,
    /// The query failed, so nothing is known.
    Failed(QueryFailure),
}

/// Why a query gave no answer. A closed set: it becomes a metric label and a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum QueryFailure {
    /// No connection could be made, or it broke.
    Unreachable,
    /// No complete answer within the time-out.
    TimedOut,
    /// The answer was larger than allowed.
    TooLarge,
    /// The server answered with an error about the query itself (`bad_data`, 400, 422).
    Rejected,
    /// The server answered with another error (5xx, 429, `unavailable`, …).
    Unavailable,
    /// The answer could not be understood.
    Malformed,
    /// The answer declares itself partial (Thanos, Mimir): what is missing from it is unknown, not gone.
    Partial,
}

impl QueryFailure {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for QueryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The series, without `__name__`.
    pub labels: Labels,
    /// What was seen of it: a value, `NotANumber` or `Stale`.
    pub seen: Observation,
}

/// What one query of one round brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The query succeeded; possibly without any series.
    Series(Vec<Sample>),
    /// The query failed.
    Failed(QueryFailure),
}

/// One query's answer in one round.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// Which query.
    pub query: super::name::QueryId,
    /// The instant the query was asked for: the time of every sample in it.
    pub at: Timestamp,
    /// What came back.
    pub answer: Answer,
}
