//! Cases: one test as it was read, and what differed when it was played. Owns no reading and no playing.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::labels::Labels;
use crate::domain::name::{ChannelName, QueryId};
use crate::domain::severity::Severity;
use crate::engine::plan::Plan;
use crate::rehearsal::Workload;

use super::notation::Slot;

/// One test.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name, for people.
    pub name: Arc<str>,
    /// Where it stands: `checkout.test.yaml:22`.
    pub place: Arc<str>,
    /// What the engine decides by.
    pub(super) plan: Arc<Plan>,
    /// The first instant.
    pub(super) start: Timestamp,
    /// The answers, query by query.
    pub(super) feeds: Vec<Feed>,
    /// The workloads that may be scaled.
    pub(super) workloads: Vec<Workload>,
    /// What must hold, in the order of time.
    pub(super) expects: Vec<Expect>,
}

/// What one query answers over time.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    pub(super) query: QueryId,
    /// How often it is asked.
    pub(super) every: Duration,
    pub(super) series: Vec<Series>,
    /// How long a value stands when no newer one is there; zero where each slot speaks for itself.
    pub(super) look_back: Duration,
}

/// One series of an answer: a slot an interval, from the start on.
#[derive(Debug, Clone)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) interval: Duration,
    pub(super) slots: Vec<Slot>,
}

/// What must hold at an instant.
#[derive(Debug, Clone)]
pub(super) struct Expect {
    pub(super) at: Duration,
    pub(super) place: Arc<str>,
    /// Exactly these alerts are pending or firing.
    pub(super) alerts: Option<Vec<WantedAlert>>,
    /// Only the alerts of this name are compared, and only the firing ones.
    pub(super) only: Option<Arc<str>>,
    /// Exactly these notices left since the last expectation of notices.
    pub(super) notices: Option<Vec<WantedNotice>>,
    /// Exactly these steps were decided since the last expectation of scaling.
    pub(super) scaling: Option<Vec<WantedStep>>,
}

/// An alert as it is expected.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WantedAlert {
    pub(super) rule: Arc<str>,
    pub(super) labels: Labels,
    pub(super) state: &'static str,
    pub(super) severity: Option<Severity>,
    /// Whether no label may be there beside those named.
    pub(super) exact: bool,
}

/// A notice as it is expected.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WantedNotice {
    pub(super) channel: ChannelName,
    pub(super) event: Arc<str>,
    /// A part of its headline.
    pub(super) says: Option<Arc<str>>,
}

/// A step as it is expected.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WantedStep {
    pub(super) target: Arc<str>,
    pub(super) to: Arc<str>,
}

/// One thing that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// When, after the start.
    pub at: Duration,
    /// Where the expectation stands.
    pub place: Arc<str>,
    /// `alert`, `notice` or `scaling`.
    pub kind: &'static str,
    /// What was expected, where something was.
    pub expected: Option<String>,
    /// What was there, where something was.
    pub got: Option<String>,
    /// The engine's reason for what was there.
    pub reason: Option<String>,
}

/// A part of a file that is not played, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it stands: `up.test.yaml:3`.
    pub place: Arc<str>,
    /// Why.
    pub why: String,
}
