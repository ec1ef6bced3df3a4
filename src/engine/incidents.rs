//! Incidents in the engine: which alert opens, joins, worsens or ends which incident. Owns the numbering and the
//! timers; what is told about it is `news`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertChange, AlertKey, AlertReason, has_passed};
use crate::domain::headline::spoken;
use crate::domain::incident::{
    Acknowledgement, ActionTaken, Happening, Incident, IncidentState, IncidentType, Member,
};
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentId, IncidentTypeName};
use crate::domain::notice::NoticeEvent;
use crate::domain::response::ChecklistItem;
use crate::domain::response::StepRun;
use crate::domain::rule::Rule;
use crate::domain::severity::Severity;

use super::Engine;
use super::report::Report;
use super::rounds::Moved;

/// The name by which the daemon signs the timeline.
pub(super) const DAEMON: &str = "runbookd";

/// Where the digests are counted among the days that incidents are counted by.
pub(super) const DIGESTS: u32 = 0;

/// How long a closed incident is remembered.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// How many incidents are remembered at the most; beyond it the oldest closed ones make room.
const MOST_REMEMBERED: usize = 2_000;

/// What an incident is opened with.
pub(super) struct Opening {
    pub(super) incident_type: IncidentTypeName,
    pub(super) subject: Labels,
    pub(super) key: AlertKey,
    pub(super) member: Member,
    pub(super) checklist: Vec<ChecklistItem>,
    /// What the value alone does not say: that there is none.
    pub(super) remark: Option<Arc<str>>,
}

impl Engine {
    /// An alert moved at the round's instant `at`.
    pub(super) fn alert_moved(&mut self, moved: &Moved, at: Timestamp, now: Timestamp) {
        let key = moved.key();
        self.dirty.alerts.insert(key.clone());
        if moved.change != AlertChange::Same
            && let Some(alert) = self.state.alert(&key)
        {
            self.reports.push(Report::Alert {
                rule: key.rule.clone(),
                series: key.series.clone(),
                change: moved.change,
                reason: alert.reason,
                value: alert.value,
            });
        }
        match moved.change {
            AlertChange::Fired(severity) => {
                let opening = self.opening(&moved.rule, key, severity, at);
                self.alert_fired(opening, now);
            }
            // Whoever called the incident over had not seen this.
            AlertChange::Worsened(severity) if !self.is_worked_on(&key) => {
                let opening = self.opening(&moved.rule, key, severity, at);
                self.alert_fired(opening, now);
            }
            AlertChange::Worsened(severity) | AlertChange::Eased(severity) => {
                let fresh = self.member(&moved.rule, &key, severity, at);
                self.with_incident_of(&key, |engine, id| engine.member_moved(&id, &key, fresh, now));
            }
            AlertChange::Resolved => {
                let reason = self.explain(&key).map_or("cleared", |reason| reason.as_str());
                self.alert_ended(&key, reason, now);
            }
            AlertChange::Same | AlertChange::Pending | AlertChange::Withdrawn => {}
        }
    }

    /// A firing alert: joins the open incident of its type and subject, reopens a recent one, or opens one.
    pub(super) fn alert_fired(&mut self, opening: Opening, now: Timestamp) {
        let place = (opening.incident_type.clone(), opening.subject.clone());
        let known = self.state.open.get(&place).cloned();
        let known = known.and_then(|id| {
            // The timer that closes it may come after the first round of a day.
            let over = self.state.incidents.get(&id).is_none_or(|incident| incident.is_past_reopening(now));
            if over {
                self.close(&id, now);
            }
            (!over).then_some(id)
        });
        let Some(id) = known else {
            self.open_incident(opening, now);
            return;
        };
        let Some(incident) = self.state.incidents.get_mut(&id) else { return };
        let severity = opening.member.severity;
        let rule = opening.member.name.clone();
        let key = opening.key.clone();
        self.dirty.incidents.insert(id.clone());
        self.suppressor.alerts_moved(&id);
        self.state.holders.insert(opening.key.clone(), id.clone());
        incident.alerts.insert(opening.key, opening.member);
        for item in opening.checklist {
            if !incident.checklist.iter().any(|known| known.text == item.text) {
                incident.checklist.push(item);
            }
        }
        if incident.state == IncidentState::Resolved {
            incident.move_to(IncidentState::Open);
            incident.severity = incident.worst_firing().unwrap_or(severity);
            incident.acknowledged = None;
            incident.resolved_at = None;
            if let Some(chain) = &mut incident.escalation {
                chain.reset();
            }
            incident.note(now, DAEMON, Happening::Reopened);
            self.news.add(&id, NoticeEvent::Reopened, opening.remark);
            self.plan_diagnosis(&id, &key, now);
            return;
        }
        let did = format!("{} joined", spoken(&rule)).into();
        incident.note(now, DAEMON, Happening::AlertJoined { rule, severity });
        self.news.add(&id, NoticeEvent::Joined, Some(did));
        self.plan_diagnosis(&id, &key, now);
        self.settle_severity(&id, now);
    }

    /// An alert of an incident ended.
    pub(super) fn alert_ended(&mut self, key: &AlertKey, reason: &str, now: Timestamp) {
        let value = self.state.alert(key).and_then(|alert| alert.value);
        let reason: Arc<str> = reason.into();
        self.with_incident_of(key, |engine, id| {
            let Some(incident) = engine.state.incidents.get_mut(&id) else { return };
            let Some(member) = incident.alerts.get_mut(key) else { return };
            member.firing = false;
            member.value = value.or(member.value);
            let rule = member.name.clone();
            engine.dirty.incidents.insert(id.clone());
            engine.suppressor.alerts_moved(&id);
            incident.note(now, DAEMON, Happening::AlertEnded { rule, reason });
            if !incident.state.is_active() {
                return;
            }
            if incident.is_firing() {
                engine.settle_severity(&id, now);
            } else {
                engine.resolve(&id, DAEMON, now);
            }
        });
    }

    /// A person took an incident.
    pub(super) fn acknowledge(&mut self, id: &IncidentId, fresh: Acknowledgement, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let by = fresh.by.clone();
        let known = incident.acknowledged.as_ref();
        let renewed = known.is_some_and(|known| known.by == by);
        if !incident.state.is_active() || (renewed && known.is_some_and(|known| known.until == fresh.until)) {
            return;
        }
        incident.acknowledged = Some(fresh);
        self.dirty.incidents.insert(id.clone());
        if renewed {
            incident.note(now, &by, Happening::Acknowledged);
            return;
        }
        if incident.state == IncidentState::Open {
            incident.move_to(IncidentState::Acknowledged);
        }
        incident.actions.push(ActionTaken { at: now, text: format!("acknowledged by {by}").into() });
        incident.note(now, &by, Happening::Acknowledged);
        self.news.add(id, NoticeEvent::Acknowledged { by }, None);
    }

    /// An incident is nobody's again.
    pub(super) fn unacknowledge(&mut self, id: &IncidentId, by: &str, expired: bool, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        if incident.acknowledged.take().is_none() || !incident.state.is_active() {
            return;
        }
        if incident.state == IncidentState::Acknowledged {
            incident.move_to(IncidentState::Open);
        }
        incident.note(now, by, Happening::Unacknowledged { expired });
        self.dirty.incidents.insert(id.clone());
        let did = if expired { "acknowledgement ended".into() } else { format!("given back by {by}") };
        self.news.add(id, NoticeEvent::StatusUpdate, Some(did.into()));
    }

    /// A person writes something down.
    pub(super) fn note_by(&mut self, id: &IncidentId, by: &str, text: Arc<str>, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        incident.note(now, by, Happening::Noted { text });
        self.dirty.incidents.insert(id.clone());
    }

    /// A person did a step, or takes that back.
    pub(super) fn check(&mut self, id: &IncidentId, step: usize, done: bool, by: &Arc<str>, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let Some(item) = incident.checklist.get_mut(step).filter(|item| item.done.is_some() != done) else {
            return;
        };
        item.done = done.then(|| (by.clone(), now));
        let step = item.text.clone();
        incident.note(now, by, Happening::Ticked { step, done });
        self.dirty.incidents.insert(id.clone());
    }

    /// A person says that an incident is over.
    pub(super) fn resolve_by_hand(&mut self, id: &IncidentId, by: &Arc<str>, now: Timestamp) {
        if self.state.incidents.get(id).is_some_and(|incident| incident.state.is_active()) {
            self.resolve(id, by, now);
        }
    }

    /// What is due in the life of incidents.
    pub(super) fn update_incidents(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        let mut over = Vec::new();
        let mut ended = Vec::new();
        let mut remembered = Vec::new();
        for incident in self.state.incidents.values() {
            match incident.state {
                IncidentState::Open | IncidentState::Acknowledged | IncidentState::Mitigating => {
                    if incident.next_update_at <= now {
                        due.push(incident.id.clone());
                    }
                    let until = incident.acknowledged.as_ref().and_then(|known| known.until);
                    if until.is_some_and(|until| until <= now) {
                        ended.push(incident.id.clone());
                    }
                }
                IncidentState::Resolved => {
                    if incident.is_past_reopening(now) {
                        over.push(incident.id.clone());
                    }
                }
                IncidentState::Closed => {
                    if incident.resolved_at.is_none_or(|at| has_passed(at, REMEMBERED, now)) {
                        over.push(incident.id.clone());
                    } else {
                        remembered.push(&incident.id);
                    }
                }
            }
        }
        // Numbers grow with time, so the first are the oldest.
        let excess = remembered.len().saturating_sub(MOST_REMEMBERED);
        over.extend(remembered.into_iter().take(excess).cloned());
        for id in due {
            self.news.add(&id, NoticeEvent::StatusUpdate, None);
        }
        for id in ended {
            self.unacknowledge(&id, DAEMON, true, now);
        }
        let outbox = self.state.outbox.values().filter(|_| !over.is_empty());
        let owing: BTreeSet<IncidentId> = outbox.map(|notice| notice.facts.incident_id.clone()).collect();
        for id in over {
            if self.state.incidents.get(&id).is_some_and(|incident| incident.state == IncidentState::Closed) {
                // As long as somebody has to hear of it, it is not forgotten.
                if !owing.contains(&id) {
                    self.state.incidents.remove(&id);
                    self.dirty.incidents.insert(id);
                }
            } else {
                self.close(&id, now);
            }
        }
    }

    /// An incident is over for good.
    fn close(&mut self, id: &IncidentId, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        incident.move_to(IncidentState::Closed);
        incident.note(now, DAEMON, Happening::Closed);
        self.dirty.incidents.insert(id.clone());
        self.suppressor.alerts_moved(id);
        self.state.open.remove(&incident.place());
        for key in incident.alerts.keys() {
            if self.state.holders.get(key) == Some(id) {
                self.state.holders.remove(key);
            }
        }
    }

    /// Brings the incident's severity in line with its firing alerts.
    pub(super) fn settle_severity(&mut self, id: &IncidentId, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let Some(worst) = incident.worst_firing() else { return };
        let was = incident.severity;
        if worst == was || !incident.state.is_active() {
            return;
        }
        incident.severity = worst;
        incident.note(now, DAEMON, Happening::SeverityChanged { from: was, to: worst });
        self.dirty.incidents.insert(id.clone());
        let event = if worst > was { NoticeEvent::Worsened { was } } else { NoticeEvent::Eased { was } };
        self.news.add(id, event, None);
    }

    /// What people read about an alert says something else.
    pub(super) fn refresh_member(&mut self, key: &AlertKey, fresh: Member, now: Timestamp) {
        self.with_incident_of(key, |engine, id| engine.member_moved(&id, key, fresh, now));
    }

    fn member_moved(&mut self, id: &IncidentId, key: &AlertKey, fresh: Member, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        incident.alerts.insert(key.clone(), fresh);
        self.dirty.incidents.insert(id.clone());
        self.suppressor.alerts_moved(id);
        self.settle_severity(id, now);
    }

    fn resolve(&mut self, id: &IncidentId, by: &str, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        if !incident.move_to(IncidentState::Resolved) {
            return;
        }
        incident.resolved_at = Some(now);
        incident.note(now, by, Happening::Resolved);
        self.dirty.incidents.insert(id.clone());
        self.news.add(id, NoticeEvent::Resolved, None);
    }

    fn open_incident(&mut self, opening: Opening, now: Timestamp) {
        let (id, number) = self.next_number(now);
        let kind = self.incident_type(&opening.incident_type);
        let initial = kind.initial_actions.iter().map(|text| ChecklistItem {
            text: text.clone(),
            ticked_by: None,
            done: None,
        });
        let severity = opening.member.severity;
        let place = (opening.incident_type.clone(), opening.subject.clone());
        let key = opening.key.clone();
        self.state.holders.insert(key.clone(), id.clone());
        let mut incident = Incident {
            id: id.clone(),
            uid: Incident::uid(&opening.incident_type, &opening.subject, now, number),
            incident_type: opening.incident_type,
            subject: opening.subject,
            team: kind.response_team.clone(),
            severity,
            state: IncidentState::Open,
            opened_by: opening.key.clone(),
            alerts: BTreeMap::from([(opening.key, opening.member)]),
            opened_at: now,
            acknowledged: None,
            resolved_at: None,
            revision: 0,
            told: BTreeMap::new(),
            held: None,
            checklist: initial.chain(opening.checklist).collect(),
            diagnosis: Vec::new(),
            actions: Vec::new(),
            escalation: None,
            next_update_at: now,
            timeline: Vec::new(),
        };
        incident.escalation = self.chain(&incident);
        if severity == Severity::Critical
            && let Some(chain) = &mut incident.escalation
        {
            chain.start(now);
        }
        self.state.open.insert(place, id.clone());
        self.state.incidents.insert(id.clone(), incident);
        self.dirty.incidents.insert(id.clone());
        self.suppressor.alerts_moved(&id);
        self.news.add(&id, NoticeEvent::Opened, opening.remark);
        self.plan_diagnosis(&id, &key, now);
    }

    fn next_number(&mut self, now: Timestamp) -> (IncidentId, u32) {
        let date = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d").to_string();
        let day = date.parse().unwrap_or(0);
        let count = self.state.numbered.entry(day).or_insert(0);
        *count += 1;
        self.dirty.days.insert(day);
        (IncidentId::from(format!("INC-{date}-{count:04}")), *count)
    }

    fn incident_type(&self, name: &IncidentTypeName) -> IncidentType {
        self.plan.incident_types.get(name).cloned().unwrap_or_else(|| IncidentType {
            name: name.clone(),
            severity: Severity::Critical,
            response_team: "operations".into(),
            initial_actions: Vec::new(),
            escalation: Vec::new(),
            escalate_after: std::time::Duration::from_secs(15 * 60),
        })
    }

    fn opening(&self, rule: &Rule, key: AlertKey, severity: Severity, at: Timestamp) -> Opening {
        let member = self.member(rule, &key, severity, at);
        let plan = rule.response.as_ref().and_then(|name| self.plan.rules.responses.get(name));
        let checklist = plan.map_or_else(Vec::new, |plan| {
            plan.diagnosis
                .iter()
                .chain(&plan.actions)
                .map(|step| ChecklistItem {
                    text: step.text.clone(),
                    ticked_by: match step.run {
                        Some(StepRun::Scale(axis)) => Some(axis),
                        _ => None,
                    },
                    done: None,
                })
                .collect()
        });
        Opening {
            incident_type: rule.incident_type.clone(),
            subject: rule.group_by.subject(&member.labels),
            remark: self.explain(&key).and_then(AlertReason::silence).map(Arc::from),
            key,
            member,
            checklist,
        }
    }

    /// An incident's view of an alert.
    pub(super) fn member(&self, rule: &Rule, key: &AlertKey, severity: Severity, at: Timestamp) -> Member {
        let alert = self.state.alert(key);
        let value = alert.and_then(|alert| alert.value);
        let named = [("alertname", rule.name.clone())];
        let labels = Labels::new(named).with(key.series.iter()).with(rule.labels.iter());
        let threshold = rule
            .thresholds_for(&key.series)
            .and_then(|thresholds| thresholds.of(severity))
            .map(|threshold| threshold.value)
            .filter(|_| value.is_some());
        let fill = |template: &crate::domain::rule::SummaryTemplate| -> Arc<str> {
            template.fill(&labels, rule.unit, value.unwrap_or(f64::NAN), threshold).into()
        };
        Member {
            name: rule.name.clone(),
            severity,
            firing: true,
            value,
            unit: rule.unit,
            threshold,
            since: alert.and_then(crate::domain::alert::Alert::breaching_since).unwrap_or(at),
            summary: rule.summary.as_ref().map(fill),
            impact: rule.impact.as_ref().map(fill),
            runbook_url: rule.runbook_url.clone(),
            labels,
        }
    }

    /// The incident that holds an alert, while it is not closed.
    fn with_incident_of(&mut self, key: &AlertKey, act: impl FnOnce(&mut Self, IncidentId)) {
        if let Some(id) = self.state.holders.get(key).cloned() {
            act(self, id);
        }
    }

    /// Whether an alert is part of an incident that people have to do with.
    fn is_worked_on(&self, key: &AlertKey) -> bool {
        let holder = self.state.holders.get(key).and_then(|id| self.state.incidents.get(id));
        holder.is_some_and(|incident| incident.state.is_active())
    }
}
