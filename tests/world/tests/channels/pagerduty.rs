//! PagerDuty: what it refuses, and what becomes of an alert.

use serde_json::{Value, json};
use world::{
    fault::Fault,
    pagerduty::{AlertState, PagerDuty},
};

use crate::client;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn event(action: &str, dedup_key: &str) -> Value {
    let payload = json!({"summary": "CPU 95 %", "source": "checkout", "severity": "critical"});
    json!({"routing_key": KEY, "event_action": action, "dedup_key": dedup_key, "payload": payload})
}

async fn send(server: &PagerDuty, event: &Value) -> (u16, Value) {
    let answer = client().post(server.url()).json(event).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// What is complained about when this is set in a valid event.
async fn errors_with(server: &PagerDuty, pointer: &str, value: Value) -> Vec<String> {
    let mut event = event("trigger", "a");
    event["links"] = json!([{"href": "https://x.test", "text": "x"}]);
    event["images"] = json!([{"src": "https://x.test/a.png"}]);
    event["payload"]["timestamp"] = "2026-11-23T03:09:00Z".into();
    if value.is_null() {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    } else {
        *event.pointer_mut(pointer).unwrap() = value;
    }
    let (status, answer) = send(server, &event).await;
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    assert_eq!(status, if errors.is_empty() { 202 } else { 400 });
    errors.iter().map(|error| error.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn names_each_wrong_field() {
    let server = PagerDuty::start().await.unwrap();
    for (pointer, value, field) in [
        ("/routing_key", json!("short"), "routing_key"),
        ("/routing_key", Value::Null, "routing_key"),
        ("/event_action", json!("open"), "event_action"),
        ("/dedup_key", json!("x".repeat(256)), "dedup_key"),
        ("/payload", Value::Null, "payload"),
        ("/payload/summary", json!(""), "payload.summary"),
        ("/payload/summary", json!("x".repeat(1025)), "payload.summary"),
        ("/payload/source", Value::Null, "payload.source"),
        ("/payload/severity", json!("page"), "payload.severity"),
        ("/payload/timestamp", json!("yesterday"), "payload.timestamp"),
        ("/links/0/href", Value::Null, "links[0].href"),
        ("/images/0/src", json!("http://x.test/a.png"), "images[0].src"),
    ] {
        let errors = errors_with(&server, pointer, value.clone()).await;
        assert_eq!(errors.len(), 1, "{pointer} {value}: {errors:?}");
        assert!(errors[0].contains(&format!("'{field}'")), "{pointer}: {errors:?}");
    }
    assert!(errors_with(&server, "/dedup_key", json!("ü".repeat(255))).await.is_empty());
    assert!(errors_with(&server, "/payload/summary", json!("ü".repeat(1024))).await.is_empty());
    let (_, answer) = send(&server, &json!({"routing_key": KEY, "event_action": "resolve"})).await;
    assert_eq!(answer["errors"], json!(["'dedup_key' is missing or blank"]));
    let (status, answer) = send(&server, &json!([])).await;
    assert_eq!((status, &answer["status"]), (400, &json!("invalid event")));
}

#[tokio::test]
async fn refuses_an_event_beyond_512_kb() {
    let server = PagerDuty::start().await.unwrap();
    let mut large = event("trigger", "a");
    large["payload"]["custom_details"] = json!({"log": "x".repeat(512 * 1024)});
    assert_eq!(send(&server, &large).await.0, 400);
    assert_eq!(server.alert("a"), None);
}

#[tokio::test]
async fn an_alert_from_trigger_to_resolve_pages_once() {
    let server = PagerDuty::start().await.unwrap();
    let accepted = json!({"status": "success", "message": "Event processed", "dedup_key": "a"});
    assert_eq!(send(&server, &event("trigger", "a")).await, (202, accepted));
    send(&server, &event("trigger", "a")).await;
    assert_eq!(server.alert("a").map(|alert| (alert.state, alert.pages)), Some((AlertState::Triggered, 1)));
    send(&server, &event("acknowledge", "a")).await;
    send(&server, &event("trigger", "a")).await;
    assert_eq!(server.alert("a").unwrap().state, AlertState::Acknowledged);
    assert_eq!(server.open(), ["a"]);
    send(&server, &event("resolve", "a")).await;
    send(&server, &event("acknowledge", "a")).await;
    let alert = server.alert("a").unwrap();
    assert_eq!((alert.state, alert.pages, alert.log.len()), (AlertState::Resolved, 1, 5));
    assert!(server.open().is_empty());
    send(&server, &event("trigger", "a")).await;
    assert_eq!(server.alert("a").unwrap().pages, 2, "a trigger under a closed key opens anew");
}

#[tokio::test]
async fn a_resolve_with_another_routing_key_has_no_effect() {
    let server = PagerDuty::start().await.unwrap();
    send(&server, &event("trigger", "a")).await;
    let mut other = event("resolve", "a");
    other["routing_key"] = "f".repeat(32).into();
    assert_eq!(send(&server, &other).await.0, 202);
    assert_eq!(server.open(), ["a"]);
}

#[tokio::test]
async fn a_trigger_without_a_key_gets_one() {
    let server = PagerDuty::start().await.unwrap();
    let mut trigger = event("trigger", "");
    trigger.as_object_mut().unwrap().remove("dedup_key");
    let (_, first) = send(&server, &trigger).await;
    let (_, second) = send(&server, &trigger).await;
    assert_ne!(first["dedup_key"], second["dedup_key"]);
    assert_eq!(server.open().len(), 2);
}

#[tokio::test]
async fn a_refused_event_has_no_effect_and_one_whose_answer_is_lost_has() {
    let server = PagerDuty::start().await.unwrap();
    server.faults.next_requests(1, Fault::RateLimit);
    assert_eq!(send(&server, &event("trigger", "a")).await.0, 429);
    assert_eq!(server.alert("a"), None);
    server.faults.next_requests(1, Fault::Cut);
    let sent = client().post(server.url()).json(&event("trigger", "a")).send().await;
    assert!(sent.is_err());
    assert_eq!(server.open(), ["a"]);
    assert_eq!(server.journal.count(), 2);
}
