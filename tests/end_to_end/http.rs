//! The HTTP surface: what people can read and change, and what is refused.

use std::time::Duration;

use serde_json::json;
use world::slack::Call;

const PATIENCE: Duration = Duration::from_secs(60);
const API: &str = "/api/runbookd/v1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_read_taken_and_resolved_over_http() {
    let _alone = super::alone().await;
    let (stage, daemon) = super::world().await;
    stage.shop.set_disk("node-1", 0.9).unwrap();
    stage.pagerduty.journal.wait_count(1, PATIENCE).await.unwrap();
    let list = daemon.json(&format!("{API}/incidents")).await.unwrap();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    let one = format!("{API}/incidents/{id}");

    let (code, _) = daemon.post(&format!("{one}/acknowledge"), &json!({"by": "Ana"})).await.unwrap();
    assert_eq!(code, 200);
    let acknowledged = |event: &serde_json::Value| event["event_action"] == "acknowledge";
    stage.pagerduty.journal.wait_for(acknowledged, PATIENCE).await.unwrap();
    let told = |call: &Call| call.text().starts_with("ACK node-1") && call.text().contains("Ana");
    stage.slack.journal.wait_for(told, PATIENCE).await.unwrap();
    let incident = daemon.json(&one).await.unwrap();
    assert_eq!((&incident["state"], &incident["acknowledged_by"]), (&json!("acknowledged"), &json!("Ana")));
    let page = daemon.text(&format!("/incidents/{id}")).await.unwrap();
    assert!(page.contains(&id) && page.contains("Ana"), "the page of the link says the same");

    let (code, said) =
        daemon.post(&format!("{one}/notes"), &json!({"by": "Ana", "text": "logs rotated"})).await.unwrap();
    assert!(code == 200 && said.to_string().contains("logs rotated"), "a note stands on the timeline");
    let (code, said) =
        daemon.post(&format!("{one}/checklist/0"), &json!({"by": "Ana", "done": true})).await.unwrap();
    assert_eq!((code, &said["checklist"][0]["done_by"]), (200, &json!("Ana")));
    let (code, said) = daemon.post(&format!("{one}/unacknowledge"), &json!({"by": "Ana"})).await.unwrap();
    assert_eq!((code, &said["state"]), (200, &json!("open")));

    let (code, _) = daemon.post(&format!("{one}/resolve"), &json!({"by": "Ana"})).await.unwrap();
    assert_eq!(code, 200);
    let resolved = |event: &serde_json::Value| event["event_action"] == "resolve";
    stage.pagerduty.journal.wait_for(resolved, PATIENCE).await.unwrap();
    assert_eq!(daemon.json(&one).await.unwrap()["state"], "resolved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_problems_and_foreign_pages_change_nothing() {
    let _alone = super::alone().await;
    let (_stage, daemon) = super::world().await;
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let url = |path: &str| format!("{}{path}", daemon.url());
    let reload = url(&format!("{API}/config/reload"));
    let post = || client.post(&reload).header("Content-Type", "application/json").body("{}");
    let pause = format!("{API}/scaling/shop/Deployment/nobody/pause");
    let cases = [
        (client.get(url("/nowhere")), 404),
        (client.get(url(&format!("{API}/incidents/INC-0"))), 404),
        (client.get(url(&format!("{API}/incidents?state=sleepy"))), 400),
        (client.get(url(&format!("{API}/incidents?colour=red"))), 400),
        (client.post(&reload).body("{}"), 415),
        (post().header("Origin", "https://evil.example"), 403),
        (post().header("Host", "evil.example"), 403),
        (client.post(url(&format!("{API}/incidents/INC-0/acknowledge"))).json(&json!({"by": "Ana"})), 404),
        (client.post(url(&format!("{API}/incidents/INC-0/acknowledge"))).json(&json!({"by": ""})), 400),
        (client.post(url(&format!("{API}/incidents/INC-0/acknowledge"))).json(&json!({"bye": 1})), 400),
        (client.post(url(&format!("{API}/incidents/INC-0/acknowledge"))).json(&json!({"for": "soon"})), 400),
        (client.post(url(&format!("{API}/incidents/INC-0/unacknowledge"))).json(&json!({"by": "Ana"})), 404),
        (client.post(url(&format!("{API}/incidents/INC-0/notes"))).json(&json!({"text": " "})), 400),
        (client.post(url(&format!("{API}/incidents/INC-0/notes"))).json(&json!({"text": "seen"})), 404),
        (client.post(url(&format!("{API}/incidents/INC-0/checklist/0"))).json(&json!({"done": true})), 404),
        (client.post(url(&format!("{API}/incidents/INC-0/checklist/x"))).json(&json!({"done": true})), 400),
        (client.post(url(&pause)).json(&json!({"by": "Ana", "reason": "moving", "for": "1h"})), 404),
        (client.post(url(&pause)).json(&json!({"by": "Ana"})), 400),
        (client.post(url(&pause)).json(&json!({"by": "Ana", "reason": " "})), 400),
        (client.post(url(&pause)).json(&json!({"reason": "moving", "for": "soon"})), 400),
        (post(), 202),
    ];
    for (request, expected) in cases {
        let request = request.build().unwrap();
        let what = format!("{} {} {:?}", request.method(), request.url(), request.headers());
        let answer = client.execute(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{what}");
    }
}
