//! Escalation: who is woken next while nobody acknowledges. Owns the chain's place and its clock; sends nothing.
//!
//! ```text
//! critical ──▶ wait ──▶ step 1 ──▶ wait ──▶ step 2 ──▶ … ──▶ exhausted
//!                │ acknowledged, eased or over: the clock stops, the place is kept
//!                ◀─ given back, expired or worse again: the clock starts anew at the same place
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::name::ChannelName;
use super::notice::Recipients;
use super::rest::Rest;

/// How late a due step may leave before that is a trouble of its own.
pub const LATE_AFTER: Duration = Duration::from_secs(30);

/// One step of a chain: a role and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// The role, in the runbook's words.
    pub role: Arc<str>,
    /// The channel that reaches it: the emergency channel where the role has no contact.
    pub channel: ChannelName,
    /// Whom the channel tells.
    pub recipients: Recipients,
}

/// An incident's chain, as it was when the incident opened: a later edit of the runbook does not move it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The steps, in order.
    pub steps: Vec<EscalationStep>,
    /// How long each has to acknowledge.
    pub every: Duration,
    /// How many steps were taken.
    pub taken: usize,
    /// The wait for the next step, while the clock runs.
    pub wait: Option<Rest>,
}

impl Escalation {
    /// A chain whose clock does not run yet.
    pub fn new(steps: Vec<EscalationStep>, every: Duration) -> Self {
        Self { steps, every, taken: 0, wait: None }
    }

    /// Starts the clock where it stands and a step is left.
    pub fn start(&mut self, now: Timestamp) {
        if self.wait.is_none() && self.taken < self.steps.len() {
            self.wait = Some(Rest::of(self.every, now));
        }
    }

    /// Stops the clock and keeps the place.
    pub fn stop(&mut self) {
        self.wait = None;
    }

    /// Begins again at the first step, with the clock stopped.
    pub fn reset(&mut self) {
        self.taken = 0;
        self.wait = None;
    }

    /// When the next step is due, while the clock runs.
    pub fn due(&self) -> Option<Timestamp> {
        self.wait.map(|wait| wait.until)
    }

    /// Takes the next step if it is due, with how late it is; the clock starts for the one after it. A clock that was
    /// set back starts the wait anew: nobody is woken by it.
    pub fn take(&mut self, now: Timestamp) -> Option<(EscalationStep, Duration)> {
        let wait = self.wait?.rearmed(now);
        self.wait = Some(wait);
        if now < wait.until {
            return None;
        }
        let step = self.steps.get(self.taken)?.clone();
        self.taken += 1;
        self.wait = None;
        self.start(now);
        Some((step, Duration::try_from(now.duration_since(wait.until)).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn chain() -> Escalation {
        let step = |role: &str| EscalationStep {
            role: role.into(),
            channel: "pagerduty".into(),
            recipients: Recipients::Own,
        };
        Escalation::new(vec![step("lead"), step("CTO")], Duration::from_secs(15 * 60))
    }

    fn taken(chain: &mut Escalation, minute: i64) -> Option<(String, u64)> {
        chain.take(at(minute)).map(|(step, late)| (step.role.to_string(), late.as_secs()))
    }

    #[test]
    fn steps_are_taken_one_after_the_other_and_then_no_more() {
        let mut chain = chain();
        assert_eq!(taken(&mut chain, 100), None, "the clock does not run");
        chain.start(at(100));
        assert_eq!(taken(&mut chain, 114), None);
        assert_eq!(taken(&mut chain, 115), Some(("lead".into(), 0)));
        assert_eq!(taken(&mut chain, 129), None);
        assert_eq!(taken(&mut chain, 131), Some(("CTO".into(), 60)));
        assert_eq!((taken(&mut chain, 1_000), chain.due()), (None, None));
    }

    #[test]
    fn the_place_is_kept_while_the_clock_stands() {
        let mut chain = chain();
        chain.start(at(0));
        assert!(taken(&mut chain, 15).is_some());
        chain.stop();
        assert_eq!(taken(&mut chain, 500), None);
        chain.start(at(500));
        assert_eq!(chain.due(), Some(at(515)));
        assert_eq!(taken(&mut chain, 515), Some(("CTO".into(), 0)));
        chain.reset();
        chain.start(at(600));
        assert_eq!(taken(&mut chain, 615), Some(("lead".into(), 0)));
    }

    #[test]
    fn a_clock_that_is_set_back_wakes_nobody() {
        let mut chain = chain();
        chain.start(at(100));
        assert_eq!(taken(&mut chain, 40), None);
        assert_eq!(chain.due(), Some(at(55)));
    }
}
