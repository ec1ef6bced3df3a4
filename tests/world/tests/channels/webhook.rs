//! The webhook sink, and through it what all HTTP servers share: faults, the journal, going down and coming back.

use std::time::{Duration, Instant};

use serde_json::json;
use world::{
    fault::Fault,
    journal::Answer,
    webhook::{Hook, Webhook},
};

use crate::{SOON, client};

async fn post(sink: &Webhook, n: u32) -> reqwest::Result<reqwest::Response> {
    client().post(sink.url()).json(&json!({"n": n})).send().await
}

fn numbers(hooks: &[Hook]) -> Vec<u64> {
    hooks.iter().filter_map(|hook| hook.body["n"].as_u64()).collect()
}

#[tokio::test]
async fn records_path_headers_and_json() {
    let sink = Webhook::start().await.unwrap();
    let url = format!("{}/any/path?x=1", sink.door.url());
    let sent =
        client().post(url).header("Idempotency-Key", "k1").json(&json!({"a": [1]})).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let hook = sink.journal.wait_for(|hook| hook.body["a"] == json!([1]), SOON).await.unwrap();
    assert_eq!((hook.path.as_str(), hook.header("idempotency-key")), ("/any/path?x=1", Some("k1")));
    assert_eq!(hook.raw, br#"{"a":[1]}"#);
}

#[tokio::test]
async fn refuses_what_is_not_json() {
    let sink = Webhook::start().await.unwrap();
    assert_eq!(client().post(sink.url()).body("{").send().await.unwrap().status(), 400);
    let entries = sink.journal.entries();
    assert_eq!((&entries[0].body.body, entries[0].answer), (&json!("{"), Answer::Code(400)));
}

#[tokio::test]
async fn a_status_fault_answers_so_many_requests_and_no_more() {
    let sink = Webhook::start().await.unwrap();
    let retry_after = Some(Duration::from_millis(1500));
    sink.faults.next_requests(1, Fault::Status { code: 503, retry_after, body: "later".to_owned() });
    sink.faults.next_requests(1, Fault::RateLimit);
    let refused = post(&sink, 1).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"2".parse().unwrap()));
    assert_eq!(refused.text().await.unwrap(), "later");
    assert_eq!(post(&sink, 1).await.unwrap().status(), 429);
    assert_eq!(post(&sink, 1).await.unwrap().status(), 200);
    let answers: Vec<Answer> = sink.journal.entries().iter().map(|entry| entry.answer).collect();
    assert_eq!(answers, [503, 429, 200].map(Answer::Code));
}

#[tokio::test]
async fn a_cut_connection_ends_before_the_answer_and_the_request_is_on_record() {
    let sink = Webhook::start().await.unwrap();
    sink.faults.next_requests(1, Fault::Cut);
    let begun = Instant::now();
    let error = post(&sink, 1).await.unwrap_err();
    assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
    assert!(begun.elapsed() < SOON);
    assert_eq!(post(&sink, 2).await.unwrap().status(), 200);
    let entries = sink.journal.entries();
    assert_eq!(numbers(&sink.journal.bodies()), [1, 2]);
    assert_eq!(entries.iter().map(|e| e.answer).collect::<Vec<_>>(), [Answer::Withheld, Answer::Code(200)]);
}

#[tokio::test]
async fn a_hanging_server_answers_nobody_until_it_is_taken_down() {
    let sink = Webhook::start().await.unwrap();
    sink.faults.set(Fault::Hang);
    let hanging = tokio::spawn({
        let (client, url) = (client(), sink.url());
        async move { client.post(url).json(&json!({"n": 1})).send().await }
    });
    sink.journal.wait_count(1, SOON).await.unwrap();
    assert!(!hanging.is_finished());
    sink.door.take_down().await;
    let error = hanging.await.unwrap().unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_late_answer_to_a_sender_who_has_left_was_withheld() {
    let sink = Webhook::start().await.unwrap();
    sink.faults.next_requests(1, Fault::Late(Duration::from_millis(30)));
    assert_eq!(post(&sink, 1).await.unwrap().status(), 200);
    let entry = &sink.journal.entries()[0];
    assert!(entry.settled_at.duration_since(entry.at).as_millis() >= 30, "{entry:?}");
    sink.faults.set(Fault::Late(Duration::from_secs(3600)));
    let impatient = client().post(sink.url()).json(&json!({"n": 2})).timeout(Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    let given_up = sink.journal.wait_for_entry(|entry| entry.body.body["n"] == 2, SOON).await.unwrap();
    assert_eq!(given_up.answer, Answer::Withheld);
}

#[tokio::test]
async fn down_and_up_again_on_the_same_port() {
    let sink = Webhook::start().await.unwrap();
    post(&sink, 1).await.unwrap();
    sink.door.take_down().await;
    assert!(post(&sink, 2).await.unwrap_err().is_connect());
    sink.door.bring_up().await.unwrap();
    assert_eq!(post(&sink, 3).await.unwrap().status(), 200);
    assert_eq!(numbers(&sink.journal.bodies()), [1, 3]);
}

#[tokio::test]
async fn a_dropped_server_refuses_connections() {
    let sink = Webhook::start().await.unwrap();
    let (client, url) = (client(), sink.url());
    client.post(&url).json(&json!({})).send().await.unwrap();
    let address = sink.door.address();
    drop(sink);
    // The port is closed by the runtime, as soon as this task lets it.
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, closed).await.unwrap();
}
