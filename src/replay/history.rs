//! History: the past of every query, chunk by chunk. Owns what is asked at once and what a refusal means; plays nothing.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::stream;

use crate::domain::name::QueryId;
use crate::domain::observation::QueryFailure;
use crate::domain::rule::Query;
use crate::prometheus::{Grid, PastSeries, Prometheus, QueryError};

use super::stage::grid;

/// The most instants that one question asks for: Prometheus answers at most 11,000.
const MOST_STEPS: i64 = 10_000;

/// A stretch of the past with the answers of all queries.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The first second.
    pub from: i64,
    /// The second after the last.
    pub until: i64,
    /// The answers; a query that the server refuses as wrong is a failed one, as in the daemon.
    pub answers: BTreeMap<QueryId, Result<Vec<PastSeries>, QueryFailure>>,
}

/// Why history could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{expr}: {error}")]
pub struct HistoryError {
    /// What was asked.
    expr: String,
    /// What came back.
    error: QueryError,
}

/// Where history is asked for.
#[derive(Debug, Clone)]
pub struct History {
    prometheus: Prometheus,
    /// How many questions are open at once.
    concurrency: usize,
}

impl History {
    /// History of a server.
    pub fn new(prometheus: Prometheus, concurrency: usize) -> Self {
        Self { prometheus, concurrency: concurrency.max(1) }
    }

    /// Asks for a stretch of the past of all queries.
    pub async fn chunk(&self, queries: &[Query], from: i64, until: i64) -> Result<Chunk, HistoryError> {
        let asked = queries.iter().filter_map(|query| Some((query, grid(query, from, until)?)));
        let asked: Vec<(Query, Grid)> = asked.map(|(query, grid)| (query.clone(), grid)).collect();
        let mut answers = stream::iter(asked)
            .map(|(query, grid)| async move { (self.past(&query, grid).await, query) })
            .buffer_unordered(self.concurrency);
        let mut chunk = Chunk { from, until, answers: BTreeMap::new() };
        while let Some((answer, query)) = answers.next().await {
            let answer = match answer {
                Ok(series) => Ok(series),
                Err(error) if error.failure == QueryFailure::Rejected => Err(error.failure),
                Err(error) => return Err(HistoryError { expr: query.expr.to_string(), error }),
            };
            chunk.answers.insert(query.id, answer);
        }
        Ok(chunk)
    }

    /// The past of one query; what is too much for one answer is asked for in halves.
    async fn past(&self, query: &Query, grid: Grid) -> Result<Vec<PastSeries>, QueryError> {
        let mut waiting = vec![grid];
        let mut whole: BTreeMap<crate::domain::labels::Labels, PastSeries> = BTreeMap::new();
        while let Some(grid) = waiting.pop() {
            let steps = (grid.last - grid.first) / grid.step;
            if steps >= MOST_STEPS {
                waiting.extend(halves(grid));
                continue;
            }
            match self.prometheus.query_past(&query.expr, grid).await {
                Ok(series) => {
                    for mut one in series {
                        match whole.get_mut(&one.labels) {
                            Some(known) => known.values.append(&mut one.values),
                            None => drop(whole.insert(one.labels.clone(), one)),
                        }
                    }
                }
                Err(error) if error.failure == QueryFailure::TooLarge && steps > 0 => {
                    waiting.extend(halves(grid));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(whole.into_values().collect())
    }
}

/// The two halves of a grid, the later one first: the earlier one is taken next.
fn halves(grid: Grid) -> [Grid; 2] {
    let steps = (grid.last - grid.first) / grid.step;
    let middle = grid.first + steps / 2 * grid.step;
    [Grid { first: middle + grid.step, ..grid }, Grid { last: middle, ..grid }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_every_instant_once_and_the_earlier_one_comes_off_the_end() {
        for steps in 1..9 {
            let whole = Grid { first: 100, last: 100 + 15 * steps, step: 15 };
            let [late, early] = halves(whole);
            assert_eq!((early.first, late.last), (whole.first, whole.last));
            assert_eq!(early.last + 15, late.first);
            assert!(late.first <= late.last, "{steps}");
        }
    }
}
