//! The generic webhook: a notice as JSON for programs. Owns the schema, version 1: fields are added, never renamed or
//! removed; numbers are raw with their unit, times are RFC 3339, every word is a code of the API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::header::HeaderName;
use serde::Serialize;

use super::render::Message;

/// The header by which a receiver recognises a repeat: it holds the notice's id.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The body of a webhook.
#[derive(Debug, Serialize)]
pub struct Body<'m> {
    /// The version of this schema.
    pub version: u32,
    /// The notice's id; a repeat has the same.
    pub notice: &'m str,
    /// The channel it was sent on.
    pub channel: &'m str,
    /// What it is about: `opened`, `worsened`, `eased`, `joined`, `scaled`, `not_scaled`, `acknowledged`,
    /// `status_update`, `resolved` or `reopened`.
    pub event: &'static str,
    /// Grows along a channel.
    pub revision: u32,
    /// When it was decided.
    pub created_at: Timestamp,
    /// One line of at most 120 characters.
    pub headline: &'m str,
    /// The runbook's template, filled.
    pub text: &'m str,
    /// What it is about.
    pub incident: Incident<'m>,
}

/// The incident at the notice's revision.
#[derive(Debug, Serialize)]
pub struct Incident<'m> {
    /// Its number.
    pub id: &'m str,
    /// Its identity, which no other incident ever has.
    pub uid: &'m str,
    /// Its page.
    pub url: Option<&'m str>,
    /// Its type.
    #[serde(rename = "type")]
    pub incident_type: &'m str,
    /// `warning` or `critical`.
    pub severity: &'static str,
    /// The severity before, where that is the news.
    pub was: Option<&'static str>,
    /// `open`, `acknowledged`, `mitigating`, `resolved` or `closed`.
    pub state: &'static str,
    /// Who took it.
    pub acknowledged_by: Option<&'m str>,
    /// The subject in one word.
    pub subject: &'m str,
    /// The labels that identify the subject.
    pub subject_labels: BTreeMap<&'m str, &'m str>,
    /// The leading alert's labels.
    pub labels: BTreeMap<&'m str, &'m str>,
    /// The leading rule.
    pub metric: &'m str,
    /// Its value; null where there is none, also where it is not a number.
    pub value: Option<f64>,
    /// The threshold of the severity.
    pub threshold: Option<f64>,
    /// The unit of both: `ratio`, `seconds`, `bytes`, `cores` or `count`.
    pub unit: &'static str,
    /// What it means.
    pub impact: &'m str,
    /// Who responds.
    pub team: &'m str,
    /// What was done, newest first.
    pub actions: Vec<Action<'m>>,
    /// What the diagnosis found, a line a step.
    pub diagnosis: Vec<&'m str>,
    /// What is to be done.
    pub next_steps: Vec<&'m str>,
    /// When something happens next.
    pub eta: Option<Timestamp>,
    /// The first breach.
    pub since: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// A page to read.
    pub runbook_url: Option<&'m str>,
    /// Tools and pages to look at.
    pub links: Vec<Link<'m>>,
    /// The picture of the leading alert's values.
    pub chart_url: Option<String>,
    /// How often this channel was paged about it.
    pub pages: u32,
}

/// A page to look at.
#[derive(Debug, Serialize)]
pub struct Link<'m> {
    /// What it leads to.
    pub name: &'m str,
    /// Its http or https URL.
    pub url: &'m str,
}

/// Something that was done.
#[derive(Debug, Serialize)]
pub struct Action<'m> {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: &'m str,
}

/// The body of a notice. The message is made for plain text.
pub fn body<'m>(message: &'m Message<'_>) -> Body<'m> {
    use crate::domain::notice::NoticeEvent;

    let notice = message.notice;
    let facts = &notice.facts;
    let was = match &notice.event {
        NoticeEvent::Worsened { was } | NoticeEvent::Eased { was } => Some(was.as_str()),
        NoticeEvent::Opened
        | NoticeEvent::Joined
        | NoticeEvent::Scaled
        | NoticeEvent::NotScaled
        | NoticeEvent::Acknowledged { .. }
        | NoticeEvent::Escalated { .. }
        | NoticeEvent::Digest
        | NoticeEvent::Heartbeat
        | NoticeEvent::StatusUpdate
        | NoticeEvent::Resolved
        | NoticeEvent::Reopened => None,
    };
    Body {
        version: 1,
        notice: notice.id.as_str(),
        channel: notice.channel.as_str(),
        event: notice.event.as_str(),
        revision: notice.revision,
        created_at: notice.created_at,
        headline: &message.headline,
        text: &message.text,
        incident: Incident {
            id: facts.incident_id.as_str(),
            uid: &facts.uid,
            url: message.incident_url.as_deref(),
            incident_type: facts.incident_type.as_str(),
            severity: facts.severity.as_str(),
            was,
            state: facts.state.as_str(),
            acknowledged_by: facts.acknowledged_by.as_deref(),
            subject: &facts.subject_name,
            subject_labels: facts.subject.iter().collect(),
            labels: facts.labels.iter().collect(),
            metric: &facts.metric,
            value: facts.value.filter(|value| value.is_finite()),
            threshold: facts.threshold.filter(|threshold| threshold.is_finite()),
            unit: facts.unit.as_str(),
            impact: &facts.impact,
            team: &facts.team,
            actions: facts
                .actions
                .iter()
                .map(|action| Action { at: action.at, text: &action.text })
                .collect(),
            diagnosis: facts.diagnosis.iter().map(AsRef::as_ref).collect(),
            next_steps: facts.next_steps.iter().map(AsRef::as_ref).collect(),
            eta: facts.eta,
            since: facts.since,
            opened_at: facts.opened_at,
            resolved_at: facts.resolved_at,
            runbook_url: message.runbook_url(),
            links: message.tools().map(|link| Link { name: &link.name, url: &link.url }).collect(),
            chart_url: message.chart_url(),
            pages: facts.pages,
        },
    }
}
