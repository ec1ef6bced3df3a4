//! The daemon's own API: lists, explanations, the event stream, errors, and who may do what.

use std::time::Duration;

use serde_json::{Value, json};

use super::room::{CONFIG, RULES, Room, answer};

const API: &str = "/api/runbookd/v1";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn lists_are_narrowed_and_paged() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    room.cpu_is(&[("a", 0.95), ("b", 0.8), ("c", 0.8), ("d", 0.1)]).await;
    let foreign = json!([{"labels": {"alertname": "Down", "service": "e", "severity": "page"}}]);
    room.post("/api/v2/alerts", &foreign).await;
    let cases = [
        ("incidents", 4),
        ("incidents?state=open&severity=critical", 2),
        ("incidents?type=service_outage&subject=b", 1),
        ("incidents?subject=nobody", 0),
        ("alerts", 4),
        ("alerts?state=firing&severity=warning", 2),
        ("alerts?subject=e", 1),
        ("alerts?state=pending", 0),
        ("rules", 2),
        ("rules?state=firing", 1),
        ("rules?state=resolved", 0),
    ];
    for (path, wanted) in cases {
        let (code, said) = room.get(&format!("{API}/{path}")).await;
        assert_eq!((code, said["items"].as_array().map(Vec::len)), (200, Some(wanted)), "{path}: {said}");
        assert_eq!(said["next"], Value::Null, "{path}");
        // Page by page the same things come in the same order.
        let (mut after, mut paged) = (String::new(), Vec::new());
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let (_, page) = room.get(&format!("{API}/{path}{joint}limit=1{after}")).await;
            paged.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(said["items"], Value::from(paged), "{path}");
    }
    for path in [
        "incidents?severity=loud",
        "incidents?state=x",
        "alerts?state=x",
        "alerts?limit=x",
        "rules?colour=red",
    ] {
        let (code, said) = room.get(&format!("{API}/{path}")).await;
        assert_eq!((code, &said["status"]), (400, &json!(400)), "{path}: {said}");
    }
    room.close().await;
}

#[tokio::test]
async fn whatever_has_an_id_is_explained_and_an_incident_has_a_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    room.cpu_is(&[("a", 0.8)]).await;
    let foreign = json!([{"labels": {"alertname": "Down", "service": "b", "severity": "page"}}]);
    room.post("/api/v2/alerts", &foreign).await;
    let (_, alerts) = room.get(&format!("{API}/alerts")).await;
    let mut seen = Vec::new();
    for alert in alerts["items"].as_array().unwrap() {
        let (code, said) = room.get(&format!("{API}/explain/{}", alert["id"].as_str().unwrap())).await;
        let reasons: Vec<&str> =
            said["items"].as_array().unwrap().iter().map(|link| link["reason"].as_str().unwrap()).collect();
        assert_eq!((code, &said["kind"], reasons[1]), (200, &json!("alert"), "grouped"), "{said}");
        assert!(reasons.contains(&"queued"), "{said}");
        seen.push(reasons[0].to_owned());
        let incident = alert["incident"].as_str().unwrap();
        let (code, said) = room.get(&format!("{API}/explain/{incident}")).await;
        assert_eq!((code, &said["kind"]), (200, &json!("incident")));
        let (code, said) = room.get(&format!("{API}/incidents/{incident}/timeline?limit=1")).await;
        assert_eq!((code, &said["items"][0]["what"], &said["next"]), (200, &json!("opened"), &json!("0")));
        let (_, said) = room.get(&format!("{API}/incidents/{incident}/timeline?after=0")).await;
        assert_eq!(said["items"][0]["what"], "queued");
    }
    seen.sort();
    assert_eq!(seen, ["beyond_threshold", "posted"]);
    let notice =
        room.core.ask(|engine| engine.outbox().map(|(id, _)| id.to_string()).next()).await.unwrap().unwrap();
    let (code, said) = room.get(&format!("{API}/explain/{notice}")).await;
    assert_eq!((code, &said["kind"], &said["items"][0]["reason"]), (200, &json!("notice"), &json!("queued")));
    assert_eq!(room.get(&format!("{API}/explain/nobody")).await.0, 404);
    assert_eq!(room.get(&format!("{API}/incidents/INC-0/timeline")).await.0, 404);
    room.close().await;
}

/// Reads the stream until `wanted` stands in it.
async fn read_until(stream: &mut reqwest::Response, heard: &mut String, wanted: &str) {
    let reading = async {
        while !heard.contains(wanted) {
            let chunk = stream.chunk().await.unwrap().unwrap_or_else(|| panic!("it ended: {heard}"));
            heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("no `{wanted}`"));
}

#[tokio::test]
async fn the_event_stream_tells_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let mut stream = room.client.get(format!("{}{API}/events", room.url)).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    read_until(&mut stream, &mut heard, "event: hello\n").await;
    room.cpu_is(&[("a", 0.8)]).await;
    read_until(&mut stream, &mut heard, "event: incident\n").await;
    let data = r#"{"kind":"incident","id":"INC-"#;
    read_until(&mut stream, &mut heard, data).await;
    read_until(&mut stream, &mut heard, r#""revision":1,"state":"open"}"#).await;
    read_until(&mut stream, &mut heard, "event: alerts\n").await;
    let silence = json!({"matchers": "service=x", "for": "1h", "comment": "x"});
    room.post(&format!("{API}/silences"), &silence).await;
    read_until(&mut stream, &mut heard, "event: silence\n").await;
    drop(stream);
    room.close().await;
}

#[tokio::test]
async fn too_many_watchers_are_refused_and_a_place_is_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let mut watching: Vec<_> = std::iter::from_fn(|| room.core.watch()).take(1_000).collect();
    assert_eq!(watching.len(), 100);
    let (code, said) = room.get(&format!("{API}/events")).await;
    assert_eq!((code, &said["status"]), (503, &json!(503)));
    watching.pop();
    let stream = room.client.get(format!("{}{API}/events", room.url)).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    drop((watching, stream));
    room.close().await;
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let url = |path: &str| format!("{}{path}", room.url);
    let large = format!("{{\"by\": \"{}\"}}", "x".repeat(70_000));
    let resolve = url(&format!("{API}/incidents/INC-0/resolve"));
    let json = |body: &str| {
        room.client.post(&resolve).header("Content-Type", "application/json").body(body.to_owned())
    };
    let cases = [
        (room.client.get(url("/nowhere")), 404),
        (room.client.get(url("/api/v2/nowhere")), 404),
        (room.client.get(url(&format!("{API}/incidents?limit=x"))), 400),
        (room.client.put(url(&format!("{API}/incidents"))), 405),
        (room.client.delete(url("/api/v2/alerts")), 405),
        (room.client.post(url("/api/v1/rules")), 405),
        (room.client.get(&resolve), 405),
        (json(&large), 413),
        (room.client.post(&resolve).body("{}"), 415),
        (json("{"), 400),
        (json("{}"), 404),
        (room.client.get(url(&format!("{API}/silences?limit=-1"))), 400),
        (room.client.post(url(&format!("{API}/incidents/INC-0/checklist/x"))).json(&json!({})), 400),
    ];
    for (request, wanted) in cases {
        let request = request.build().unwrap();
        let what = format!("{} {}", request.method(), request.url());
        let answer = room.client.execute(request).await.unwrap();
        assert_eq!(answer.status(), wanted, "{what}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{what}");
        assert!(wanted != 405 || answer.headers().contains_key("allow"), "{what}");
        let said: Value = answer.json().await.unwrap();
        assert_eq!(said["status"], wanted, "{what}");
        assert!(
            said["title"].is_string() && said["detail"].as_str().is_some_and(|it| !it.is_empty()),
            "{said}"
        );
    }
    room.close().await;
}

#[tokio::test]
async fn a_role_says_what_a_token_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let tokens =
        "eve fixture-eve viewer\nbob fixture-bob responder\nana fixture-ana admin\nold fixture-old\n";
    let room = Room::furnished(folder.path(), CONFIG, RULES, Some(tokens)).await;
    let alerts = json!([{"labels": {"alertname": "Down", "service": "a", "severity": "page"}}]);
    let silence = json!({"matchers": "service=x", "for": "1h", "comment": "x"});
    let reload = format!("{API}/config/reload");
    let silences = format!("{API}/silences");
    let cases: [(&str, &str, &Value, [u16; 5]); 3] = [
        ("an alert", "/api/v2/alerts", &alerts, [401, 403, 200, 200, 200]),
        ("a silence", &silences, &silence, [401, 403, 201, 201, 201]),
        ("a reload", &reload, &json!({}), [401, 403, 403, 202, 202]),
    ];
    for (what, path, body, wanted) in cases {
        for (token, wanted) in ["nobody", "eve", "bob", "ana", "old"].into_iter().zip(wanted) {
            let request = room.client.post(format!("{}{path}", room.url)).json(body);
            let (code, said) = answer(request.bearer_auth(format!("fixture-{token}"))).await;
            assert_eq!(code, wanted, "{what} by {token}: {said}");
        }
    }
    for token in ["eve", "nobody"] {
        let request = room.client.get(format!("{}{API}/incidents", room.url));
        assert_eq!(answer(request.bearer_auth(format!("fixture-{token}"))).await.0, 200, "reading is free");
    }
    room.close().await;
}
