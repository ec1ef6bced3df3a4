//! Sight: whether the engine can evaluate anything at all. Owns the "blind" trouble; while blind nothing resolves and
//! nothing scales.

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::observation::Answer;
use crate::domain::trouble::Trouble;

use super::Engine;
use super::report::Report;
use super::state::State;
use super::trouble::key;

/// When something could last be evaluated.
#[derive(Debug)]
pub(super) struct Sight {
    last_good: Timestamp,
    blind: bool,
}

impl Sight {
    /// Sees well until shown otherwise.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { last_good: now, blind: false }
    }

    /// A daemon that went down blind is blind until an answer comes.
    pub(super) fn restore(&mut self, state: &State) {
        let key = key(Trouble::Blind);
        self.blind = state.incidents.values().any(|incident| {
            incident.state.is_active() && incident.alerts.get(&key).is_some_and(|it| it.firing)
        });
    }

    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }
}

impl Engine {
    /// An answer came, or did not.
    pub(super) fn saw(&mut self, answer: &Answer, now: Timestamp) {
        if matches!(answer, Answer::Failed(_)) {
            return;
        }
        self.sight.last_good = now;
        self.see_again("sees_again", now);
    }

    /// Without any query there is nothing to be blind to.
    pub(super) fn close_eyes(&mut self, now: Timestamp) {
        if self.plan.rules.queries.is_empty() {
            self.see_again("nothing_to_see", now);
        }
    }

    fn see_again(&mut self, reason: &str, now: Timestamp) {
        if std::mem::take(&mut self.sight.blind) {
            self.reports.push(Report::Sight { blind: false });
            self.out_of_trouble(Trouble::Blind, reason, now);
        }
    }

    /// When a query was last answered, or the daemon began where none was yet.
    pub fn last_answer(&self) -> Timestamp {
        self.sight.last_good
    }

    /// Whether something was evaluated lately, or there is nothing to evaluate.
    pub(super) fn sees(&self, now: Timestamp) -> bool {
        self.plan.rules.queries.is_empty() || !has_passed(self.sight.last_good, self.plan.blind_after, now)
    }

    /// Opens the incident once nothing could be evaluated for too long.
    pub(super) fn check_sight(&mut self, now: Timestamp) {
        // A clock that was set back must not make it see for that much longer.
        self.sight.last_good = self.sight.last_good.min(now);
        let nothing_to_see = self.plan.rules.queries.is_empty();
        if nothing_to_see || !has_passed(self.sight.last_good, self.plan.blind_after, now) {
            return;
        }
        if std::mem::replace(&mut self.sight.blind, true) {
            // Somebody called it over and it is not: once that is closed, people hear of it again.
            self.in_trouble(Trouble::Blind, None, self.sight.last_good, now);
            return;
        }
        self.reports.push(Report::Sight { blind: true });
        self.in_trouble(Trouble::Blind, None, self.sight.last_good, now);
    }
}
