//! PagerDuty's webhooks, version 3: somebody acknowledged, gave back or resolved there. Owns what each event means
//! here. What is rightly signed is answered 2xx whatever it is about: PagerDuty switches a subscription off after a few
//! refusals.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::domain::name::{ChannelName, IncidentId};
use crate::domain::notice::Origin;
use crate::engine::event::Event;

use super::{Outcome, answer, ask, commit, done, in_time, name_of, note, plain, signature, unsigned};

const SOURCE: &str = "pagerduty";
/// The header with the signatures; there are several while a secret is rotated.
const SIGNATURE: &str = "x-pagerduty-signature";
/// How our dedup keys begin.
const OURS: &str = "runbookd/";

/// What of a webhook is read.
#[derive(Debug, Deserialize)]
struct Webhook {
    event: Told,
}

#[derive(Debug, Deserialize)]
struct Told {
    /// The same for a repeat.
    id: String,
    event_type: String,
    agent: Option<Agent>,
    #[serde(default)]
    data: Data,
}

/// Who did it.
#[derive(Debug, Deserialize)]
struct Agent {
    #[serde(default)]
    summary: Option<String>,
    #[serde(rename = "type", default)]
    kind: String,
}

/// The incident there.
#[derive(Debug, Default, Deserialize)]
struct Data {
    /// The dedup key of the alert that opened it.
    incident_key: Option<String>,
    resolve_reason: Option<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(rename = "type", default)]
    kind: String,
}

impl Told {
    /// The person who did it. What our own events and PagerDuty's timers do comes back as well, without one.
    fn person(&self) -> Option<Arc<str>> {
        let agent = self.agent.as_ref().filter(|agent| agent.kind.starts_with("user"))?;
        name_of(agent.summary.as_deref().unwrap_or("somebody in PagerDuty"))
    }

    /// Whether the incident there was put into another one: then it is not over.
    fn is_merge(&self) -> bool {
        self.data.resolve_reason.as_ref().is_some_and(|reason| reason.kind == "merge_resolve_reason")
    }
}

/// Takes a webhook.
pub(super) async fn event(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Response {
    let (outcome, detail) = take(&api, &headers, &body).await;
    note(&api, SOURCE, outcome, &detail);
    match outcome.status() {
        StatusCode::OK => answer(StatusCode::ACCEPTED, json!({"outcome": outcome.as_str()})),
        _ => plain(outcome),
    }
}

async fn take(api: &Api, headers: &HeaderMap, body: &[u8]) -> (Outcome, String) {
    let channel = match verified(api, headers, body) {
        Ok(channel) => channel,
        Err(refused) => return refused,
    };
    let told = match serde_json::from_slice::<Webhook>(body) {
        Ok(webhook) => webhook.event,
        Err(error) => return (Outcome::Malformed, error.to_string()),
    };
    let memory = format!("{SOURCE} {}", told.id);
    if api.callbacks.seen(|seen| seen.has(&memory)) {
        return (Outcome::Duplicate, told.id);
    }
    let (outcome, detail) = in_time(apply(api, channel, &told))
        .await
        .unwrap_or_else(|| (Outcome::Unavailable, "the core does not answer in time".to_owned()));
    if outcome != Outcome::Unavailable {
        api.callbacks.seen(|seen| seen.add(&memory));
    }
    (outcome, detail)
}

/// The channel whose secret signed the body.
fn verified(api: &Api, headers: &HeaderMap, body: &[u8]) -> Result<ChannelName, (Outcome, String)> {
    let shown = headers.get_all(SIGNATURE).iter().filter_map(|value| value.to_str().ok());
    let shown: Vec<_> = shown.flat_map(|header| signature::read(header, "v1")).collect();
    let doors = (api.callbacks.doors)();
    let signed =
        doors.pagerduty.iter().find(|door| signature::is_signed(&door.secrets.read, &shown, &[body]));
    match signed {
        Some(door) => Ok(door.channel.clone()),
        None => Err(unsigned(doors.pagerduty.iter().map(|door| &door.secrets))),
    }
}

async fn apply(api: &Api, channel: ChannelName, told: &Told) -> (Outcome, String) {
    let kind = told.event_type.as_str();
    if !matches!(kind, "incident.acknowledged" | "incident.unacknowledged" | "incident.resolved") {
        return (Outcome::Ignored, kind.to_owned());
    }
    let key = told.data.incident_key.as_deref().unwrap_or_default();
    let Some(uid) = key.strip_prefix(OURS).and_then(|rest| rest.split('/').next()) else {
        return (Outcome::NotOurs, kind.to_owned());
    };
    let uid = uid.to_owned();
    let found = ask(api, move |engine| {
        let ours = engine.incidents().find(|incident| *incident.uid == *uid);
        ours.map(|incident| (incident.id.clone(), incident.state.is_active()))
    });
    let (incident, is_active) = match found.await {
        Ok(Some(found)) => found,
        Ok(None) => return (Outcome::NotOurs, kind.to_owned()),
        Err(outcome) => return (outcome, kind.to_owned()),
    };
    if !is_active {
        return (Outcome::Stale, format!("{kind} about {incident}, which is over"));
    }
    let origin = Origin { channel, place: key.into() };
    match meaning(told, &incident, origin) {
        Some((event, detail)) => (commit(api, event).await, detail),
        None => (Outcome::Ignored, format!("{kind} about {incident}, not by a person")),
    }
}

fn meaning(told: &Told, incident: &IncidentId, origin: Origin) -> Option<(Event, String)> {
    let person = told.person();
    let id = incident.clone();
    match told.event_type.as_str() {
        "incident.acknowledged" => {
            let by = person?;
            let detail = done(incident, "acknowledge", &by);
            Some((Event::Acknowledge { incident: id, by, until: None, origin: Some(origin) }, detail))
        }
        // Also by a timer: whoever had it did nothing for so long that PagerDuty pages again.
        "incident.unacknowledged" => {
            let by = person.unwrap_or_else(|| "PagerDuty".into());
            let detail = done(incident, "unacknowledge", &by);
            Some((Event::Unacknowledge { incident: id, by }, detail))
        }
        _ if told.is_merge() => None,
        _ => {
            let by = person?;
            let detail = done(incident, "resolve", &by);
            Some((Event::Resolve { incident: id, by }, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, agent: &str, reason: &str) -> Option<Event> {
        let text = format!(
            r#"{{"event":{{"id":"1","event_type":"{kind}","agent":{agent},"data":{{"resolve_reason":{reason}}}}}}}"#
        );
        let webhook: Webhook = serde_json::from_str(&text).unwrap();
        let origin = Origin { channel: "pagerduty".into(), place: "runbookd/u".into() };
        meaning(&webhook.event, &"INC-1".into(), origin).map(|(event, _)| event)
    }

    #[test]
    fn only_people_acknowledge_and_resolve_and_a_merge_is_no_end() {
        let ana = r#"{"type":"user_reference","summary":"Ana"}"#;
        let ourselves = r#"{"type":"events_api_v2_inbound_integration_reference","summary":"runbookd"}"#;
        let acknowledged = "incident.acknowledged";
        let resolved = "incident.resolved";
        assert!(
            matches!(told(acknowledged, ana, "null"), Some(Event::Acknowledge { by, .. }) if &*by == "Ana")
        );
        assert!(told(acknowledged, ourselves, "null").is_none());
        assert!(told(acknowledged, "null", "null").is_none());
        assert!(matches!(told(resolved, ana, "null"), Some(Event::Resolve { by, .. }) if &*by == "Ana"));
        assert!(told(resolved, ourselves, "null").is_none());
        assert!(told(resolved, ana, r#"{"type":"merge_resolve_reason"}"#).is_none());
        let back = told("incident.unacknowledged", "null", "null");
        assert!(matches!(back, Some(Event::Unacknowledge { by, .. }) if &*by == "PagerDuty"));
    }
}
