//! PagerDuty by the Events API v2: which events a notice is, and what their answers mean. Owns the dedup keys; the
//! routing key is added at the last moment and kept out of everything that is told.
//!
//! A trigger on a key that is open pages nobody again, so a second page about an incident has a key of its own, and
//! the end resolves every key that was used.

use serde_json::{Map, Value, json};

use crate::domain::caption::caption;
use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::headline::{shortened, what_and_limit};
use crate::domain::notice::NoticeEvent;

use super::render::{Message, tamed};
use super::status::Answer;

/// Where events go below the endpoint.
const PATH: &str = "/v2/enqueue";
/// The largest event in bytes; PagerDuty refuses 512 KB.
const LARGEST_EVENT: usize = 500_000;
/// How many lines `2_did` and `3_next` hold.
const MOST_LINES: usize = 10;
/// The longest words of a picture, in characters.
const LONGEST_ALT: usize = 500;
/// How many labels are told.
const MOST_LABELS: usize = 40;

/// The events of a notice, without a routing key; none where PagerDuty has nothing to hear. The message is made for
/// plain text.
pub fn events(message: &Message<'_>) -> Vec<Value> {
    let notice = message.notice;
    match notice.event {
        NoticeEvent::Opened
        | NoticeEvent::Worsened { .. }
        | NoticeEvent::Reopened
        | NoticeEvent::Escalated { .. } => {
            vec![trigger(message, &dedup_key(&notice.facts.uid, notice.facts.pages))]
        }
        NoticeEvent::Acknowledged { .. } => every_key(message, "acknowledge"),
        NoticeEvent::Resolved => every_key(message, "resolve"),
        NoticeEvent::Eased { .. }
        | NoticeEvent::Joined
        | NoticeEvent::Scaled
        | NoticeEvent::NotScaled
        | NoticeEvent::StatusUpdate
        | NoticeEvent::Digest
        | NoticeEvent::Heartbeat => Vec::new(),
    }
}

/// The key of an incident's n-th page: the incident's own identity, which no edit of rules or routes changes.
pub fn dedup_key(uid: &str, page: u32) -> String {
    if page <= 1 { format!("runbookd/{uid}") } else { format!("runbookd/{uid}/{page}") }
}

/// Which page a dedup key of ours is about.
pub fn page(dedup_key: &str) -> u32 {
    dedup_key
        .rsplit('/')
        .next()
        .filter(|_| dedup_key.matches('/').count() > 1)
        .map_or(1, |page| page.parse().unwrap_or(1))
}

/// An event with its routing key, ready to be sent.
pub fn with_routing_key(event: &Value, routing_key: &str) -> Value {
    let mut event = event.clone();
    event["routing_key"] = routing_key.into();
    event
}

/// Where events go at an endpoint.
pub fn url(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") }
}

/// What an answer means. A refusal lists what is wrong with the event.
pub fn judge(answer: &Answer) -> Attempt {
    let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let Some(errors) = said.get("errors").and_then(Value::as_array) else { return answer.attempt() };
    let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
    let told = Answer { body: errors.join("; "), ..answer.clone() };
    let about_key = errors.iter().any(|error| error.contains("routing_key"));
    match told.attempt() {
        Attempt::Refused { .. } if about_key => told.refused(DeliveryReason::Unauthorized),
        attempt => attempt,
    }
}

/// One event for every key that was used, the newest first: it is the one that rings. The alert in which it was
/// acknowledged knows it already.
fn every_key(message: &Message<'_>, action: &str) -> Vec<Value> {
    let notice = message.notice;
    let facts = &notice.facts;
    let known = facts.acknowledged_in.as_ref().filter(|origin| origin.channel == notice.channel);
    let known = known.filter(|_| matches!(notice.event, NoticeEvent::Acknowledged { .. }));
    let keys = (1..=facts.pages.max(1)).rev().map(|page| dedup_key(&facts.uid, page));
    let keys = keys.filter(|key| known.is_none_or(|origin| *origin.place != **key));
    keys.map(|key| json!({"event_action": action, "dedup_key": key})).collect()
}

fn trigger(message: &Message<'_>, dedup_key: &str) -> Value {
    let facts = &message.notice.facts;
    let group = facts.labels.get("namespace").or_else(|| facts.labels.get("tenant"));
    let group = group.or_else(|| facts.subject.get("namespace")).or_else(|| facts.subject.get("tenant"));
    let mut links = message.links();
    let chart = message.chart_url();
    if let Some(url) = chart.as_deref() {
        links.insert(1.min(links.len()), ("Chart".to_owned(), url));
    }
    let listed: Vec<String> = links.iter().map(|(name, url)| format!("{name}: {url}")).collect();
    let mut payload = json!({
        "summary": message.headline,
        "source": tamed(&facts.subject_name),
        "component": tamed(&facts.metric),
        "class": facts.incident_type.as_str(),
        "severity": facts.severity.as_str(),
        "timestamp": facts.since.to_string(),
        "custom_details": {
            "1_what": message.text,
            "2_did": message.did(MOST_LINES).join("\n"),
            "3_next": message.next_steps(MOST_LINES).join("\n"),
            "4_value": tamed(&what_and_limit(facts)),
            "5_links": listed.join("\n"),
            "incident": facts.incident_id.as_str(),
            "labels": labels(message),
        },
    });
    if let Some(group) = group {
        payload["group"] = tamed(group).into();
    }
    let mut event = json!({
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": format!("runbookd {}", facts.incident_id),
        "links": links.iter().map(|(name, url)| json!({"href": url, "text": name})).collect::<Vec<_>>(),
        "payload": payload,
    });
    if let Some(url) = message.incident_url.as_deref() {
        event["client_url"] = url.into();
    }
    // PagerDuty refuses an event whose image is not https.
    if let Some(url) = chart.as_deref().filter(|url| url.starts_with("https://")) {
        let alt = caption(facts, message.notice.created_at);
        let image =
            json!({"src": url, "href": message.incident_url.as_deref(), "alt": shortened(&alt, LONGEST_ALT)});
        event["images"] = json!([image]);
    }
    fitting(event)
}

/// What is told of the labels: the subject's first, because a series can have many.
fn labels(message: &Message<'_>) -> Value {
    let facts = &message.notice.facts;
    let told = facts.subject.iter().chain(facts.labels.iter()).take(MOST_LABELS);
    let told: Map<String, Value> =
        told.map(|(name, value)| (shortened(name, 100), Value::from(tamed(value)))).collect();
    Value::Object(told)
}

/// An event that PagerDuty takes: beyond its size the least useful details go, whole.
fn fitting(mut event: Value) -> Value {
    for detail in ["labels", "3_next", "2_did", "1_what"] {
        if event.to_string().len() <= LARGEST_EVENT {
            break;
        }
        event["payload"]["custom_details"][detail] = "left out: too long for PagerDuty".into();
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_may_be_written_with_or_without_its_path() {
        assert_eq!(url("https://events.pagerduty.com"), "https://events.pagerduty.com/v2/enqueue");
        assert_eq!(url("http://127.0.0.1:1/v2/enqueue/"), "http://127.0.0.1:1/v2/enqueue");
    }

    #[test]
    fn an_event_that_is_too_large_loses_its_labels_first() {
        let details = |labels: usize, what: usize| {
            let details = json!({"labels": "x".repeat(labels), "1_what": "y".repeat(what)});
            let event = fitting(json!({"payload": {"custom_details": details}}));
            let length = |name: &str| event["payload"]["custom_details"][name].as_str().unwrap().len();
            (length("labels"), length("1_what"))
        };
        assert_eq!(details(400_000, 90_000), (400_000, 90_000));
        assert_eq!(details(600_000, 90_000), (32, 90_000));
        assert_eq!(details(0, 600_000), (32, 32));
    }
}
