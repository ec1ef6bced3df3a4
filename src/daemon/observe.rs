//! Observation: asks each query when it is due and hands the answers to the core. Owns the waiting and the bound on
//! queries at once; when a query is due and how an answer reads is `prometheus`' business.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::core::Core;
use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::name::QueryId;
use crate::domain::observation::{Answer, Round, Sample};
use crate::engine::event::Event;
use crate::prometheus::QueryError;
use crate::telemetry::metrics::{Metrics, OutcomeLabels};

use super::running::Running;

/// The longest sleep between two looks at the wall clock, which may have been set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// Asks for ever, until told to stop.
pub async fn observe(
    mut configured: watch::Receiver<Arc<Running>>,
    core: Core,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let rounds = TaskTracker::new();
    let mut running = configured.borrow_and_update().clone();
    let mut asked: BTreeMap<QueryId, Asked> = BTreeMap::new();
    let mut due = agenda(&running, &asked);
    let mut gate = Arc::new(Semaphore::new(running.settings.evaluation.concurrency));
    loop {
        let now = clock::now();
        while let Some(Reverse((at, query))) = due.peek().cloned() {
            let Some(cadence) = running.schedule.cadence(&query) else {
                due.pop();
                continue;
            };
            if at > now {
                // The wall clock was set back: what lies further ahead than the next round would wait for hours.
                if at > cadence.next_due(now) {
                    due.pop();
                    due.push(Reverse((cadence.next_due(now), query)));
                    continue;
                }
                break;
            }
            due.pop();
            due.push(Reverse((cadence.next_due(now), query.clone())));
            let entry = asked.entry(query.clone()).or_default();
            if let Some(last) = entry.last {
                metrics.missed_rounds.inc_by(cadence.missed(last, now));
            }
            if entry.busy.swap(true, Ordering::AcqRel) {
                metrics.missed_rounds.inc();
                continue;
            }
            entry.last = Some(at.max(cadence.latest_due(now)));
            let round = Asking {
                running: running.clone(),
                core: core.clone(),
                metrics: metrics.clone(),
                gate: gate.clone(),
                busy: entry.busy.clone(),
                failing: entry.failing.clone(),
                query,
                at: entry.last.unwrap_or(at),
            };
            rounds.spawn(round.ask(stop.clone()));
        }
        let wait = due.peek().map_or(LONGEST_SLEEP, |Reverse((at, _))| {
            Duration::try_from(at.duration_since(now)).unwrap_or_default().min(LONGEST_SLEEP)
        });
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
            changed = configured.changed() => {
                if changed.is_err() {
                    break;
                }
                running = configured.borrow_and_update().clone();
                gate = Arc::new(Semaphore::new(running.settings.evaluation.concurrency));
                asked.retain(|query, _| running.schedule.cadence(query).is_some());
                due = agenda(&running, &asked);
            }
        }
    }
    rounds.close();
    rounds.wait().await;
}

/// What was asked of a query so far.
#[derive(Default)]
struct Asked {
    last: Option<Timestamp>,
    busy: Arc<AtomicBool>,
    failing: Arc<AtomicBool>,
}

type Agenda = BinaryHeap<Reverse<(Timestamp, QueryId)>>;

/// A query that was never asked is due at once; the others go on in their rhythm.
fn agenda(running: &Running, asked: &BTreeMap<QueryId, Asked>) -> Agenda {
    let now = clock::now();
    let due = running.schedule.iter().map(|(query, cadence)| {
        let known = asked.get(query).is_some_and(|asked| asked.last.is_some());
        Reverse((if known { cadence.next_due(now) } else { now }, query.clone()))
    });
    due.collect()
}

struct Asking {
    running: Arc<Running>,
    core: Core,
    metrics: Arc<Metrics>,
    gate: Arc<Semaphore>,
    busy: Arc<AtomicBool>,
    failing: Arc<AtomicBool>,
    query: QueryId,
    at: Timestamp,
}

impl Asking {
    async fn ask(self, stop: CancellationToken) {
        let asked = tokio::select! {
            () = stop.cancelled() => None,
            answer = self.answer() => answer,
        };
        if let Some((at, answer)) = asked {
            self.count(&answer);
            let round = Round { query: self.query.clone(), at, answer };
            // The core only goes away when the daemon stops.
            let _ = self.core.send(Event::Observed(round)).await;
        }
        self.busy.store(false, Ordering::Release);
    }

    /// The answer, and the instant it was asked for: after a wait for a turn, the newest that was due.
    async fn answer(&self) -> Option<(Timestamp, Answer)> {
        let query = self.running.plan.rules.queries.get(&self.query)?;
        let _turn = self.gate.acquire().await.ok()?;
        let due = self.running.schedule.cadence(&self.query)?.latest_due(clock::now());
        let at = due.max(self.at);
        let answer = self.running.prometheus.query_vector(&query.expr, at).await;
        self.narrate(&query.expr, &answer);
        let answer = match answer {
            Ok(series) => Answer::Series(series),
            Err(error) => Answer::Failed(error.failure),
        };
        Some((at, answer))
    }

    /// A line when a query begins to fail and one when it works again; what happens in between is counted.
    fn narrate(&self, expr: &str, answer: &Result<Vec<Sample>, QueryError>) {
        match answer {
            Err(error) if !self.failing.swap(true, Ordering::AcqRel) => {
                warn!(query = expr, reason = %error.failure, detail = error.detail, "a query fails");
            }
            Ok(_) if self.failing.swap(false, Ordering::AcqRel) => {
                info!(query = expr, "a query is answered again");
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn count(&self, answer: &Answer) {
        let outcome = match answer {
            Answer::Series(series) if series.is_empty() => "empty",
            Answer::Series(_) => "answered",
            Answer::Failed(failure) => failure.as_str(),
        };
        let labels = OutcomeLabels { outcome };
        self.metrics.queries.get_or_create(&labels).inc();
        let rules = self.running.readers.get(&self.query).copied().unwrap_or(0);
        self.metrics.rule_evaluations.get_or_create(&labels).inc_by(rules);
        let delay = clock::now().duration_since(self.at).as_secs_f64().max(0.0);
        self.metrics.evaluation_round.observe(delay);
    }
}
