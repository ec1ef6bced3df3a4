//! Sight: whether the engine can evaluate anything at all. Owns the "blind" incident; while blind nothing resolves
//! and nothing scales.

use crate::domain::Timestamp;
use crate::domain::alert::{AlertKey, has_passed};
use crate::domain::incident::Member;
use crate::domain::labels::Labels;
use crate::domain::name::IncidentTypeName;
use crate::domain::observation::Answer;
use crate::domain::quantity::Unit;
use crate::domain::severity::Severity;

use super::Engine;
use super::incidents::Opening;
use super::report::Report;
use super::state::State;

/// The rule id of the daemon's own incident.
const RULE: &str = "runbookd/blind";

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
        let key = key();
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
        if std::mem::take(&mut self.sight.blind) {
            self.reports.push(Report::Sight { blind: false });
            self.alert_ended(&key(), "sees_again", now);
        }
    }

    /// Without any query there is nothing to be blind to.
    pub(super) fn close_eyes(&mut self, now: Timestamp) {
        if self.plan.rules.queries.is_empty() && std::mem::take(&mut self.sight.blind) {
            self.reports.push(Report::Sight { blind: false });
            self.alert_ended(&key(), "nothing_to_see", now);
        }
    }

    /// Opens the incident once nothing could be evaluated for too long.
    pub(super) fn check_sight(&mut self, now: Timestamp) {
        let nothing_to_see = self.plan.rules.queries.is_empty();
        if self.sight.blind || nothing_to_see || !has_passed(self.sight.last_good, self.plan.blind_after, now)
        {
            return;
        }
        self.sight.blind = true;
        self.reports.push(Report::Sight { blind: true });
        let subject = Labels::new([("service", "runbookd")]);
        let summary = "runbookd is blind: no query was answered; nothing resolves or scales until one is";
        let member = Member {
            name: "blind".into(),
            labels: subject.with([("alertname", "blind")]),
            severity: Severity::Critical,
            firing: true,
            value: None,
            unit: Unit::Count,
            threshold: None,
            since: self.sight.last_good,
            summary: Some(summary.into()),
            impact: Some(summary.into()),
            runbook_url: None,
        };
        let incident_type = IncidentTypeName::from("blind");
        let opening =
            Opening { incident_type, subject, key: key(), member, checklist: Vec::new(), remark: None };
        self.alert_fired(opening, now);
    }
}

fn key() -> AlertKey {
    AlertKey { rule: RULE.into(), series: Labels::empty() }
}
