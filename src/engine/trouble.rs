//! Troubles in the engine: what is wrong with the daemon itself becomes an incident like any other, with the same
//! channels, life and close contract. Owns their alerts' keys; who notices a trouble is somebody else's business.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertKey, has_passed};
use crate::domain::incident::Member;
use crate::domain::labels::Labels;
use crate::domain::name::IncidentTypeName;
use crate::domain::quantity::Unit;
use crate::domain::rest::Rest;
use crate::domain::scaling::{Axis, Direction};
use crate::domain::trouble::Trouble;

use super::Engine;
use super::incidents::Opening;
use super::report::Report;

/// How long it is told that something was forgotten.
const FORGOT_FOR: Duration = Duration::from_secs(60 * 60);

/// The key of a trouble's alert.
pub(super) fn key(trouble: Trouble) -> AlertKey {
    AlertKey { rule: format!("runbookd/{}", trouble.as_str()).into(), series: Labels::empty() }
}

impl Engine {
    /// A trouble began (with what is known about it) or is over.
    pub(super) fn trouble(&mut self, trouble: Trouble, detail: Option<Arc<str>>, now: Timestamp) {
        let Some(detail) = detail else {
            self.troubles.remove(&trouble);
            self.out_of_trouble(trouble, "over", now);
            return;
        };
        self.in_trouble(trouble, Some(&detail), now, now);
        if trouble == Trouble::StoreForgot {
            self.rest_all(now);
        } else {
            self.troubles.insert(trouble, detail);
        }
    }

    /// What somebody called over and is not: once that is closed, people hear of it again.
    pub(super) fn renew_troubles(&mut self, now: Timestamp) {
        for (trouble, detail) in self.troubles.clone() {
            self.in_trouble(trouble, Some(&detail), now, now);
        }
    }

    /// Ends what has no end of its own: that something was forgotten.
    pub(super) fn end_troubles(&mut self, now: Timestamp) {
        let trouble = Trouble::StoreForgot;
        let key = key(trouble);
        let holder = self.state.holders.get(&key).and_then(|id| self.state.incidents.get(id));
        let since = holder.and_then(|it| it.alerts.get(&key)).filter(|it| it.firing).map(|it| it.since);
        if since.is_some_and(|since| has_passed(since, FORGOT_FOR, now)) {
            self.out_of_trouble(trouble, "told", now);
        }
    }

    /// A step that may have been forgotten counts as one that was just taken, on every target and axis.
    fn rest_all(&mut self, now: Timestamp) {
        let plan = self.plan.clone();
        let Some(policy) = &plan.rules.policy else { return };
        for target in &policy.targets {
            for axis in Axis::ALL {
                let Some(rest) = policy.axis(axis).map(|axis| axis.cool_down) else { continue };
                let rest = Rest::of(rest, now);
                let place = (target.id.clone(), axis, Direction::Out);
                let known = self.state.cooldowns.entry(place.clone()).or_insert(rest);
                *known = rest.max(*known);
                self.dirty.cooldowns.insert(place);
            }
        }
    }

    /// Opens the trouble's incident, unless it is open.
    pub(super) fn in_trouble(
        &mut self,
        trouble: Trouble,
        detail: Option<&str>,
        since: Timestamp,
        now: Timestamp,
    ) {
        if self.is_in_trouble(trouble) {
            return;
        }
        self.reports.push(Report::Trouble { trouble, began: true });
        let name = trouble.as_str();
        let subject = Labels::new([("service", "runbookd")]);
        let summary: Arc<str> = match detail {
            Some(detail) => format!("{}: {detail}", trouble.summary()).into(),
            None => trouble.summary().into(),
        };
        let member = Member {
            name: name.into(),
            labels: subject.with([("alertname", name)]),
            severity: trouble.severity(),
            firing: true,
            value: None,
            unit: Unit::Count,
            threshold: None,
            since,
            summary: Some(summary.clone()),
            impact: Some(summary),
            runbook_url: None,
        };
        let opening = Opening {
            incident_type: IncidentTypeName::from(name),
            subject,
            key: key(trouble),
            member,
            checklist: Vec::new(),
            remark: None,
        };
        self.alert_fired(opening, now);
    }

    /// Ends the trouble's alert, if it fires.
    pub(super) fn out_of_trouble(&mut self, trouble: Trouble, reason: &str, now: Timestamp) {
        if self.is_in_trouble(trouble) {
            self.reports.push(Report::Trouble { trouble, began: false });
            self.alert_ended(&key(trouble), reason, now);
        }
    }

    /// Whether a trouble's alert fires.
    pub(super) fn is_in_trouble(&self, trouble: Trouble) -> bool {
        let key = key(trouble);
        let holder = self.state.holders.get(&key).and_then(|id| self.state.incidents.get(id));
        holder.is_some_and(|incident| incident.alerts.get(&key).is_some_and(|member| member.firing))
    }
}
