//! Views: what the API says about an incident, an alert, a target. Owns the wire names; holds no secret and no
//! domain type.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use serde::Serialize;

use crate::core::clock;
use crate::domain::diagnosis::{Ask, DiagnosisStep, Link};
use crate::domain::headline::headline;
use crate::domain::incident::{Happening, Incident, Member, TimelineEntry};
use crate::domain::labels::Labels;
use crate::domain::notice::NoticeEvent;
use crate::engine::Engine;

use super::problem::Problem;

/// A list, and where it goes on.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// An incident.
#[derive(Debug, Serialize)]
pub(super) struct IncidentView {
    pub(super) id: String,
    pub(super) state: &'static str,
    pub(super) severity: &'static str,
    #[serde(rename = "type")]
    pub(super) incident_type: String,
    pub(super) subject: serde_json::Map<String, serde_json::Value>,
    pub(super) headline: String,
    pub(super) team: String,
    pub(super) alerts: Vec<AlertView>,
    pub(super) opened_at: String,
    pub(super) acknowledged_by: Option<String>,
    pub(super) resolved_at: Option<String>,
    /// Why nobody is told of it, where that is so.
    pub(super) held: Option<HoldView>,
    pub(super) checklist: Vec<ChecklistView>,
    pub(super) links: Vec<LinkView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) diagnosis: Option<Vec<DiagnosisView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeline: Option<Vec<TimelineView>>,
}

/// Why nobody is told of an incident.
#[derive(Debug, Serialize)]
pub(super) struct HoldView {
    pub(super) reason: &'static str,
    pub(super) text: String,
    pub(super) since: String,
}

/// An alert of an incident.
#[derive(Debug, Serialize)]
pub(super) struct AlertView {
    pub(super) rule: String,
    pub(super) alertname: String,
    pub(super) labels: serde_json::Map<String, serde_json::Value>,
    pub(super) severity: &'static str,
    pub(super) firing: bool,
    pub(super) value: Option<f64>,
    pub(super) unit: &'static str,
    pub(super) threshold: Option<f64>,
    pub(super) since: String,
    pub(super) reason: Option<&'static str>,
}

/// A line of a checklist.
#[derive(Debug, Serialize)]
pub(super) struct ChecklistView {
    pub(super) text: String,
    pub(super) done_by: Option<String>,
    pub(super) done_at: Option<String>,
}

/// A page to look at.
#[derive(Debug, Serialize)]
pub(super) struct LinkView {
    pub(super) name: String,
    pub(super) url: String,
}

/// A step of the diagnosis.
#[derive(Debug, Serialize)]
pub(super) struct DiagnosisView {
    pub(super) step: String,
    pub(super) kind: &'static str,
    pub(super) asked: Option<String>,
    pub(super) asked_at: String,
    /// `running`, `found`, or why nothing was found.
    pub(super) outcome: &'static str,
    pub(super) ended_at: Option<String>,
    pub(super) took_seconds: Option<f64>,
    /// What was found, or what was said about the failure, on one line.
    pub(super) head: Option<String>,
    pub(super) text: Option<String>,
    /// Whether the text lacks something that did not fit.
    pub(super) cut: bool,
}

/// A line of a timeline.
#[derive(Debug, Serialize)]
pub(super) struct TimelineView {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) what: &'static str,
    pub(super) text: String,
}

impl IncidentView {
    pub(super) fn new(engine: &Engine, incident: &Incident, with_timeline: bool) -> Self {
        let alerts = incident.alerts.iter().map(|(key, member)| {
            let reason = engine.explain(key).map(crate::domain::alert::AlertReason::as_str);
            AlertView::new(key.rule.as_str(), member, reason)
        });
        Self {
            id: incident.id.to_string(),
            state: incident.state.as_str(),
            severity: incident.severity.as_str(),
            incident_type: incident.incident_type.to_string(),
            subject: object(&incident.subject),
            headline: engine.facts_of(&incident.id, clock::now()).map_or_else(
                || incident.subject_name().to_owned(),
                |facts| headline(&news(incident), &facts),
            ),
            team: incident.team.to_string(),
            alerts: alerts.collect(),
            opened_at: incident.opened_at.to_string(),
            acknowledged_by: incident.acknowledged.as_ref().map(|ack| ack.by.to_string()),
            resolved_at: incident.resolved_at.map(|at| at.to_string()),
            held: incident.held.as_ref().map(|hold| HoldView {
                reason: hold.why.as_str(),
                text: hold.why.to_string(),
                since: hold.since.to_string(),
            }),
            checklist: incident
                .checklist
                .iter()
                .map(|item| ChecklistView {
                    text: item.text.to_string(),
                    done_by: item.done.as_ref().map(|(by, _)| by.to_string()),
                    done_at: item.done.as_ref().map(|(_, at)| at.to_string()),
                })
                .collect(),
            links: engine.links_of(incident).iter().map(LinkView::new).collect(),
            diagnosis: with_timeline.then(|| incident.diagnosis.iter().map(DiagnosisView::new).collect()),
            timeline: with_timeline.then(|| incident.timeline.iter().map(TimelineView::new).collect()),
        }
    }
}

/// What a headline of the incident as it stands is about.
fn news(incident: &Incident) -> NoticeEvent {
    if incident.state.is_active() { NoticeEvent::StatusUpdate } else { NoticeEvent::Resolved }
}

impl AlertView {
    fn new(rule: &str, member: &Member, reason: Option<&'static str>) -> Self {
        Self {
            rule: rule.to_owned(),
            alertname: member.name.to_string(),
            labels: object(&member.labels),
            severity: member.severity.as_str(),
            firing: member.firing,
            value: member.value,
            unit: member.unit.as_str(),
            threshold: member.threshold,
            since: member.since.to_string(),
            reason,
        }
    }
}

impl LinkView {
    fn new(link: &Link) -> Self {
        Self { name: link.name.to_string(), url: link.url.to_string() }
    }
}

impl DiagnosisView {
    fn new(step: &DiagnosisStep) -> Self {
        let finding = step.finding.as_ref();
        let (outcome, head) = match finding.map(|finding| &finding.outcome) {
            None => ("running", None),
            Some(Ok(found)) => ("found", Some(found.head.to_string())),
            Some(Err(failed)) => (failed.why.as_str(), Some(failed.detail.to_string())),
        };
        let found = finding.and_then(|finding| finding.outcome.as_ref().ok());
        Self {
            step: step.step.to_string(),
            kind: step.kind.as_str(),
            asked: step.ask.as_ref().map(Ask::words),
            asked_at: step.asked_at.to_string(),
            outcome,
            ended_at: finding.map(|finding| finding.at.to_string()),
            took_seconds: finding.map(|finding| finding.took.as_secs_f64()),
            head,
            text: found.map(|found| found.text.to_string()),
            cut: found.is_some_and(|found| found.cut),
        }
    }
}

impl TimelineView {
    pub(super) fn new(entry: &TimelineEntry) -> Self {
        let (what, text) = words(&entry.what);
        Self { at: entry.at.to_string(), by: entry.by.to_string(), what, text }
    }
}

/// A happening's code and sentence.
fn words(what: &Happening) -> (&'static str, String) {
    match what {
        Happening::Opened { headline } => ("opened", headline.to_string()),
        Happening::AlertJoined { rule, severity } => {
            ("alert_joined", format!("{rule} joined with {severity}"))
        }
        Happening::AlertEnded { rule, reason } => ("alert_ended", format!("{rule} ended: {reason}")),
        Happening::SeverityChanged { from, to } => ("severity_changed", format!("{from} → {to}")),
        Happening::Acknowledged => ("acknowledged", "took the incident".into()),
        Happening::Unacknowledged { expired: true } => ("unacknowledged", "the acknowledgement ended".into()),
        Happening::Unacknowledged { expired: false } => ("unacknowledged", "gave the incident back".into()),
        Happening::Noted { text } => ("noted", text.to_string()),
        Happening::Ticked { step, done } => {
            ("ticked", format!("{step}: {}", if *done { "done" } else { "to be done again" }))
        }
        Happening::Diagnosed { step, found: true, text } => ("diagnosed", format!("{step}: {text}")),
        Happening::Diagnosed { step, found: false, text } => {
            ("diagnosed", format!("{step}: nothing found, {text}"))
        }
        Happening::Queued { channel, event, revision } => {
            ("queued", format!("{event} for {channel}, revision {revision}"))
        }
        Happening::Delivered { channel, revision } => {
            ("delivered", format!("{channel} accepted revision {revision}"))
        }
        Happening::DeliveryFailed { channel, revision, reason, retried } => {
            let then = if *retried { "it will be tried again" } else { "it is given up" };
            ("delivery_failed", format!("{channel}, revision {revision}: {reason}; {then}"))
        }
        Happening::Superseded { channel, revision } => {
            ("superseded", format!("{channel}: revision {revision} was left out, a newer one says more"))
        }
        Happening::Digested { channel, revision, digest } => {
            ("digested", format!("{channel} was told revision {revision} in digest {digest}"))
        }
        Happening::Parked { channel, revision } => {
            ("parked", format!("{channel} still has to hear revision {revision}; it is tried on"))
        }
        Happening::Escalated { role, channel, late } => {
            let late = if *late > 0 { format!(", {late} s late") } else { String::new() };
            ("escalated", format!("nobody took it, so {role} is woken by {channel}{late}"))
        }
        Happening::EscalationExhausted => {
            ("escalation_exhausted", "nobody took it and nobody is left to wake".into())
        }
        Happening::PassedOn { from, to } => ("passed_on", format!("{from} failed, so {to} is told")),
        Happening::Held { why, event: Some(event) } => ("held", format!("{event} is not told: {why}")),
        Happening::Held { why, event: None } => ("held", why.to_string()),
        Happening::Released { why } => ("released", why.ended().into()),
        Happening::SilenceEnding { at, .. } => {
            ("silence_ending", format!("the silence ends at {}", at.strftime("%H:%M UTC")))
        }
        Happening::Scaling { axis, text, .. } => ("scaling", format!("{axis}: {text}")),
        Happening::NotScaled { text, .. } => ("not_scaled", text.to_string()),
        Happening::Resolved => ("resolved", "it is over".into()),
        Happening::Reopened => ("reopened", "it came back".into()),
        Happening::Closed => ("closed", "no re-fire within ten minutes".into()),
    }
}

/// The query, or what is wrong with it.
pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(said)| said).map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))
}

/// Labels as a JSON object.
pub(super) fn object(labels: &Labels) -> serde_json::Map<String, serde_json::Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}
