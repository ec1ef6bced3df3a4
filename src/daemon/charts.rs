//! Charts of incidents: finds the query and the series of an incident's leading alert, asks for its last hour and has
//! it drawn. Owns the bound on all that: whoever waits for a chart waits two seconds at most and then goes on without.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{Semaphore, watch};
use tracing::debug;

use crate::api::chart::DrawChart;
use crate::chart::{Chart, DrawError, Mark, MarkKind, Point};
use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::headline::spoken;
use crate::domain::notice::{Facts, Notice};
use crate::domain::rule::{Direction, Rule, Thresholds};
use crate::prometheus::{QueryError, Span};

use super::running::Running;

/// How long a chart may take in all.
const WITHIN: Duration = Duration::from_secs(2);

/// How many are made at once; each is a query over an hour.
const AT_ONCE: usize = 2;

/// How far back a chart goes.
const LOOK_BACK: SignedDuration = SignedDuration::from_mins(60);
/// How far before the first breach it begins, where that was longer ago.
const BEFORE_BREACH: SignedDuration = SignedDuration::from_mins(15);
/// How far it goes back at most.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// How long a chart that was made, or could not be, serves those who ask for the same.
const KEPT: SignedDuration = SignedDuration::from_secs(15);

/// Why there is no chart.
#[derive(Debug, thiserror::Error)]
enum NoChart {
    #[error("the incident's alert reads no query")]
    NoQuery,
    #[error("there are no values")]
    NoData,
    #[error("the query failed: {0}")]
    Query(#[from] QueryError),
    #[error(transparent)]
    Draw(#[from] DrawError),
    #[error("it took longer than two seconds")]
    TooLate,
    #[error("the daemon is stopping")]
    Stopping,
}

/// A PNG, or that there is none.
type Picture = Option<Arc<[u8]>>;

/// What was made lately: by the incident's identity and the right edge.
type Recent = BTreeMap<(Arc<str>, Timestamp), (Timestamp, Picture)>;

/// Makes charts over the running configuration.
pub struct Charts {
    running: watch::Receiver<Arc<Running>>,
    turns: Semaphore,
    recent: Mutex<Recent>,
}

impl Charts {
    /// Over the running configuration.
    pub fn new(running: watch::Receiver<Arc<Running>>) -> Self {
        Self { running, turns: Semaphore::new(AT_ONCE), recent: Mutex::default() }
    }

    /// The chart that goes with a notice: as it was when the notice was decided, so that a repeat shows the same.
    pub async fn of_notice(&self, notice: &Notice) -> Picture {
        self.draw(&notice.facts, notice.created_at).await
    }

    /// The chart of an incident now; the same for a quarter of a minute.
    pub async fn of_incident(&self, facts: &Facts) -> Picture {
        let now = clock::now().as_second();
        let to = Timestamp::from_second(now - now.rem_euclid(KEPT.as_secs())).ok()?;
        self.draw(facts, to).await
    }

    /// The drawing of an incident's chart, to be handed to those who may not see a query.
    pub fn into_drawing(self) -> DrawChart {
        let charts = Arc::new(self);
        Arc::new(move |facts| {
            let charts = charts.clone();
            Box::pin(async move { charts.of_incident(&facts).await })
        })
    }

    /// Never fails and never takes longer than two seconds: a page does not wait for a picture.
    async fn draw(&self, facts: &Facts, to: Timestamp) -> Picture {
        let key = (facts.uid.clone(), to);
        if let Some(known) = self.known(&key) {
            return known;
        }
        let made = tokio::time::timeout(WITHIN, self.make(facts, to)).await.unwrap_or(Err(NoChart::TooLate));
        if let Err(reason) = &made {
            debug!(incident = %facts.incident_id, %reason, "no chart");
        }
        let picture = made.ok();
        self.remember(key, picture.clone());
        picture
    }

    async fn make(&self, facts: &Facts, to: Timestamp) -> Result<Arc<[u8]>, NoChart> {
        let lead = facts.lead.as_ref().ok_or(NoChart::NoQuery)?;
        let running = self.running.borrow().clone();
        let rules = &running.plan.rules;
        let rule = rules.rules.get(&lead.rule).ok_or(NoChart::NoQuery)?;
        let query = rules.queries.get(&rule.query).ok_or(NoChart::NoQuery)?;
        let span = Span { from: begin(facts.since, to), to, within: WITHIN };
        let _turn = self.turns.acquire().await.map_err(|_| NoChart::Stopping)?;
        let values = running.prometheus.query_range(&query.expr, span, &lead.series).await?;
        let chart = chart(facts, rule, values.ok_or(NoChart::NoData)?, span);
        if !chart.has_data() {
            return Err(NoChart::NoData);
        }
        let drawn = tokio::task::spawn_blocking(move || chart.draw()).await.map_err(|_| NoChart::Stopping)?;
        Ok(drawn?.into())
    }

    fn known(&self, key: &(Arc<str>, Timestamp)) -> Option<Picture> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, picture) = recent.get(key)?;
        is_fresh(*made, clock::now()).then(|| picture.clone())
    }

    fn remember(&self, key: (Arc<str>, Timestamp), picture: Picture) {
        let now = clock::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, (made, _)| is_fresh(*made, now));
        recent.insert(key, (now, picture));
    }
}

/// A clock that was set back makes nothing last longer.
fn is_fresh(made: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(made);
    age >= SignedDuration::ZERO && age < KEPT
}

/// Where a chart that ends at `to` begins: an hour before, or a quarter of an hour before the first breach.
fn begin(since: Timestamp, to: Timestamp) -> Timestamp {
    let before = |at: Timestamp, by| at.checked_sub(by).unwrap_or(Timestamp::MIN);
    before(to, LOOK_BACK).min(before(since, BEFORE_BREACH)).max(before(to, LONGEST))
}

fn chart(facts: &Facts, rule: &Rule, values: Vec<(Timestamp, f64)>, span: Span) -> Chart {
    let series = facts.lead.as_ref().map(|lead| &lead.series);
    let thresholds = series.and_then(|labels| rule.thresholds_for(labels));
    let limit = |which: fn(Thresholds) -> Option<crate::domain::rule::Threshold>| {
        thresholds.and_then(which).map(|threshold| threshold.value)
    };
    Chart {
        title: format!("{} {}", facts.subject_name, spoken(&rule.name)).into(),
        unit: rule.unit,
        points: values.into_iter().map(|(at, value)| Point { at, value }).collect(),
        direction: thresholds.map_or(Direction::Above, |them| them.direction),
        warning: limit(|them| them.warning),
        critical: limit(|them| them.critical),
        marks: marks(facts),
        from: span.from,
        to: span.to,
    }
}

/// The first breach, the steps that were taken and the end.
fn marks(facts: &Facts) -> Vec<Mark> {
    let mark = |at, kind, label: &str| Mark { at, kind, label: label.into() };
    let steps = facts.actions.iter().filter_map(|action| {
        let change = action.text.strip_prefix("scaled ")?;
        Some(mark(action.at, MarkKind::Step, change.trim_end_matches(" replicas")))
    });
    let over = facts.resolved_at.map(|at| mark(at, MarkKind::Over, "resolved"));
    let breach = mark(facts.since, MarkKind::Breach, "first breach");
    let mut marks: Vec<Mark> = std::iter::once(breach).chain(steps).chain(over).collect();
    marks.sort_by_key(|mark| mark.at);
    marks
}
