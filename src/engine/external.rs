//! External alerts in the engine: what others evaluate opens, joins and ends incidents like the daemon's own alerts. Owns
//! their keys and when one is over; how repetitions merge is the domain's.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertKey, has_passed};
use crate::domain::explanation::{Explained, Reason};
use crate::domain::external_alert::{ExternalAlert, ExternalReason, PostedAlert};
use crate::domain::incident::Member;
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentTypeName, RuleId};
use crate::domain::quantity::Unit;
use crate::domain::response::ChecklistItem;
use crate::domain::rule::GroupBy;

use super::Engine;
use super::incidents::Opening;
use super::report::Report;

/// How many external alerts may fire at a time.
pub const MOST_EXTERNAL: usize = 20_000;

/// What stands in the place of the rule in the key of an external alert. No rule has this id: what stands in files has a
/// group and a name, and the daemon's own troubles have other names.
const EXTERNAL: &str = "runbookd/external";

/// The type of an incident whose alert names none that is configured.
const DEFAULT_TYPE: &str = "service_outage";

/// So long after a start nothing runs out: whoever repeats alerts could not while the daemon was away, and what still
/// fires must not be called over for that. Prometheus and vmalert repeat every minute.
const AFTER_START: Duration = Duration::from_secs(2 * 60);

/// The names of windows: in which nobody is told, and outside of which nobody is.
pub(super) struct Windows {
    pub(super) mute: Vec<Arc<str>>,
    pub(super) active: Vec<Arc<str>>,
}

/// The key of an external alert.
pub(super) fn key(labels: &Labels) -> AlertKey {
    AlertKey { rule: RuleId::from(EXTERNAL), series: labels.clone() }
}

impl Engine {
    /// Somebody hands in alerts. What begins is looked at before what ends: an incident that goes on must not end and
    /// come back in one step.
    pub(super) fn posted(&mut self, posted: Vec<PostedAlert>, now: Timestamp) {
        let timeout = self.plan.resolve_timeout;
        let mut over = Vec::new();
        for alert in posted.into_iter().filter(|alert| alert.check().is_ok()) {
            let alert = ExternalAlert::new(alert, timeout, now);
            let known = self.state.external.get(&alert.labels);
            let alert = match known {
                Some(known) => known.repeated(alert, now),
                None => alert,
            };
            if alert.is_over(now) {
                over.push(alert.labels);
            } else if known.is_some() {
                self.repeat_external(alert, now);
            } else if self.state.external.len() < MOST_EXTERNAL {
                self.begin_external(alert, now);
            }
        }
        for labels in over {
            self.end_external(&labels, ExternalReason::ResolvedBySender, now);
        }
    }

    /// Ends what nobody repeated.
    pub(super) fn end_external_alerts(&mut self, now: Timestamp) {
        if !has_passed(self.started_at, AFTER_START, now) {
            return;
        }
        let over: Vec<Labels> = self
            .state
            .external
            .values()
            .filter(|alert| alert.is_over(now))
            .map(|alert| alert.labels.clone())
            .collect();
        for labels in over {
            self.end_external(&labels, ExternalReason::RanOut, now);
        }
    }

    /// The external alerts that fire.
    pub fn external_alerts(&self) -> impl Iterator<Item = &ExternalAlert> {
        self.state.external.values()
    }

    /// The windows that an external alert names in its annotations: in which nobody is told, and outside of which nobody
    /// is. A name that no window has says nothing.
    pub(super) fn windows_of_external(&self, key: &AlertKey) -> Option<Windows> {
        let alert = self.state.external.get(&key.series).filter(|_| key.rule.as_str() == EXTERNAL)?;
        let known = |annotation: &str| {
            let names = alert.names(annotation);
            let known = |name: &&str| self.plan.rules.time_intervals.contains_key(*name);
            names.filter(known).map(Arc::from).collect::<Vec<_>>()
        };
        Some(Windows { mute: known("mute_time_intervals"), active: known("active_time_intervals") })
    }

    /// What there is to say of an alert that was handed in.
    pub(super) fn explain_external(&self, key: &AlertKey) -> Option<Explained> {
        let alert = self.state.external.get(&key.series).filter(|_| key.rule.as_str() == EXTERNAL)?;
        Some(Explained { at: Some(alert.starts_at), reason: Reason::Posted { until: alert.ends_at } })
    }

    fn begin_external(&mut self, alert: ExternalAlert, now: Timestamp) {
        self.report_external(&alert.labels, true, ExternalReason::Posted);
        let opening = alert.is_for_people().then(|| self.external_opening(&alert));
        self.keep_external(alert);
        if let Some(opening) = opening {
            self.alert_fired(opening, now);
        }
    }

    /// A repetition moves the end. What people read is changed only where it says something else.
    fn repeat_external(&mut self, alert: ExternalAlert, now: Timestamp) {
        let key = key(&alert.labels);
        let fresh = member(&alert);
        let holder = self.state.holders.get(&key).and_then(|id| self.state.incidents.get(id));
        let known = holder.and_then(|incident| incident.alerts.get(&key));
        if known.is_some_and(|known| known.firing && *known != fresh) {
            self.refresh_member(&key, fresh, now);
        }
        self.keep_external(alert);
    }

    fn end_external(&mut self, labels: &Labels, reason: ExternalReason, now: Timestamp) {
        if self.state.external.remove(labels).is_none() {
            return;
        }
        self.dirty.external.insert(labels.clone());
        self.report_external(labels, false, reason);
        self.alert_ended(&key(labels), reason.as_str(), now);
    }

    fn keep_external(&mut self, alert: ExternalAlert) {
        self.dirty.external.insert(alert.labels.clone());
        self.state.external.insert(alert.labels.clone(), alert);
    }

    fn report_external(&mut self, labels: &Labels, began: bool, reason: ExternalReason) {
        self.reports.push(Report::External { labels: labels.clone(), began, reason });
    }

    fn external_opening(&self, alert: &ExternalAlert) -> Opening {
        let named = alert.labels.get("incident_type").map(IncidentTypeName::from);
        let incident_type = named
            .filter(|name| self.plan.incident_types.contains_key(name))
            .unwrap_or_else(|| IncidentTypeName::from(DEFAULT_TYPE));
        let response = self.plan.rules.responses.get(alert.name());
        let steps = response.into_iter().flat_map(|plan| plan.diagnosis.iter().chain(&plan.actions));
        let checklist = steps
            .map(|step| ChecklistItem { text: step.text.clone(), ticked_by: None, done: None })
            .collect();
        Opening {
            incident_type,
            subject: GroupBy::Subject.subject(&alert.labels),
            key: key(&alert.labels),
            member: member(alert),
            checklist,
            remark: None,
        }
    }
}

/// An incident's view of an external alert. `summary` says what, `description` what it means; either serves alone.
fn member(alert: &ExternalAlert) -> Member {
    let says = |names: &[&str]| names.iter().find_map(|name| alert.annotation(name)).cloned();
    let (summary, impact) = match says(&["summary"]) {
        Some(summary) => (Some(summary), says(&["impact", "description", "message"])),
        None => (says(&["description", "message"]), says(&["impact"])),
    };
    let is_page = |url: &Arc<str>| {
        (url.starts_with("https://") || url.starts_with("http://"))
            && !url.contains(|c: char| c.is_control() || c.is_whitespace())
    };
    Member {
        name: alert.name().into(),
        labels: alert.labels.clone(),
        severity: alert.severity(),
        firing: true,
        value: None,
        unit: Unit::Count,
        threshold: None,
        since: alert.starts_at,
        summary,
        impact,
        runbook_url: says(&["runbook_url"]).filter(is_page),
    }
}
