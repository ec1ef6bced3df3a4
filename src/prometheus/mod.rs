//! Prometheus: asking queries and reading answers. Owns the HTTP API's wire format and when each query is due;
//! knows no rule and no alert.
//!
//! Anything that speaks the query API is a Prometheus here: Thanos, Mimir, `VictoriaMetrics`. An answer is not trusted:
//! it is bounded in time and in size, and what cannot be understood is a failed query, never a missing series.

mod answer;
mod client;
mod matrix;
mod pool;
mod range;
mod schedule;

pub use answer::{Asked, decode};
pub use client::{ClientError, Prometheus};
pub use matrix::{Grid, PastSeries};
pub use pool::LabelPool;
pub use range::{MOST_POINTS, Span};
pub use schedule::{Cadence, Schedule};

use crate::domain::observation::QueryFailure;

/// A query that gave no answer: the class that the engine acts on, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}: {detail}")]
pub struct QueryError {
    /// What kind of failure it was.
    pub failure: QueryFailure,
    /// What the server or the connection said, shortened; carries no credential.
    pub detail: String,
}

impl QueryError {
    fn new(failure: QueryFailure, detail: impl Into<String>) -> Self {
        const LONGEST: usize = 400;
        let mut detail: String = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(LONGEST) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { failure, detail }
    }
}
