//! Alertmanager's API: alerts in and out, groups, silences, receivers, status.

use serde_json::{Value, json};

use super::room::Room;

fn alert(labels: &Value) -> Value {
    json!([{"labels": labels, "annotations": {"summary": "it is down"}, "generatorURL": "http://prometheus.example/graph"}])
}

fn ends(alert: &Value, at: &str) -> Value {
    let mut alert = alert.clone();
    alert[0]["endsAt"] = at.into();
    alert
}

#[tokio::test]
async fn an_alert_that_is_handed_in_opens_an_incident_and_its_end_resolves_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room::open(folder.path()).await;
    let posted = alert(&json!({"alertname": "Down", "service": "checkout", "severity": "page"}));
    assert_eq!(room.post("/api/v2/alerts", &posted).await, (200, Value::Null));
    assert_eq!(room.left().await, ["chat opened checkout", "mail opened checkout"]);
    assert_eq!(room.post("/api/v2/alerts", &posted).await.0, 200);
    assert_eq!(room.left().await, [""; 0], "a repetition is no news");

    let (code, alerts) = room.get("/api/v2/alerts").await;
    let shown = &alerts[0];
    assert_eq!((code, alerts.as_array().unwrap().len()), (200, 1));
    assert_eq!(shown["labels"], posted[0]["labels"]);
    assert_eq!(shown["annotations"], posted[0]["annotations"]);
    assert_eq!(shown["generatorURL"], posted[0]["generatorURL"]);
    assert_eq!(shown["receivers"], json!([{"name": "chat"}, {"name": "mail"}]));
    let quiet = json!({"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []});
    assert_eq!(shown["status"], quiet);
    let (_, incidents) = room.get("/api/runbookd/v1/incidents").await;
    let incident = &incidents["items"][0];
    assert_eq!((&incident["severity"], &incident["state"]), (&json!("critical"), &json!("open")));
    let (_, groups) = room.get("/api/v2/alerts/groups").await;
    let group =
        |at: usize| (&groups[at]["receiver"]["name"], &groups[at]["labels"], &groups[at]["alerts"][0]);
    assert_eq!(group(0), (&json!("chat"), &json!({"service": "checkout"}), shown));
    assert_eq!(group(1), (&json!("mail"), &json!({"service": "checkout"}), shown));

    let over = ends(&posted, "2026-01-01T00:00:00Z");
    assert_eq!(room.post("/api/v2/alerts", &over).await.0, 200);
    assert_eq!(room.left().await.len(), 0, "the opening is still in flight; the all-clear waits behind it");
    let (_, incidents) = room.get("/api/runbookd/v1/incidents").await;
    assert_eq!(incidents["items"][0]["state"], "resolved");
    assert_eq!(room.get("/api/v2/alerts").await.1, json!([]));
    room.close().await;
}
