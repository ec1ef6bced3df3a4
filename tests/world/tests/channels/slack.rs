//! Slack: the incoming webhook, the Web API, Block Kit's limits and the rate limit.

use std::time::Duration;

use serde_json::{Value, json};
use world::{
    fault::Fault,
    slack::{BOT_TOKEN, CHANNEL, Slack},
};

use crate::{SOON, client};

async fn hook(slack: &Slack, body: &Value) -> (u16, String) {
    let answer = client().post(slack.webhook_url()).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn call(slack: &Slack, method: &str, arguments: &Value) -> Value {
    let url = format!("{}/{method}", slack.api_url());
    let request = client().post(url).bearer_auth(BOT_TOKEN).json(arguments);
    request.send().await.unwrap().json().await.unwrap()
}

async fn ask(slack: &Slack, method: &str, arguments: &[(&str, &str)]) -> Value {
    let url = format!("{}/{method}", slack.api_url());
    let request = client().post(url).bearer_auth(BOT_TOKEN).form(arguments);
    request.send().await.unwrap().json().await.unwrap()
}

fn texts(history: &Value) -> Vec<&str> {
    history["messages"].as_array().unwrap().iter().filter_map(|message| message["text"].as_str()).collect()
}

fn text(kind: &str, length: usize) -> Value {
    json!({"type": kind, "text": "x".repeat(length)})
}

fn button(length: usize, url: usize) -> Value {
    json!({"type": "button", "text": text("plain_text", length), "url": "u".repeat(url)})
}

// === incoming webhook ===

#[tokio::test]
async fn the_webhook_answers_as_slack_does() {
    let slack = Slack::start().await.unwrap();
    assert_eq!(hook(&slack, &json!({"text": "hello"})).await, (200, "ok".to_owned()));
    assert_eq!(hook(&slack, &json!({"text": ""})).await, (400, "no_text".to_owned()));
    let broken = client().post(slack.webhook_url()).body("{\"text\":").send().await.unwrap();
    assert_eq!((broken.status().as_u16(), broken.text().await.unwrap()), (400, "invalid_payload".to_owned()));
    let elsewhere = format!("{}/services/T000/B000/YYYY", slack.door.url());
    let elsewhere = client().post(elsewhere).json(&json!({"text": "x"})).send().await.unwrap();
    assert_eq!(
        (elsewhere.status().as_u16(), elsewhere.text().await.unwrap()),
        (404, "no_service".to_owned())
    );
    let shown: Vec<String> =
        slack.messages(CHANNEL).iter().map(|message| message.text().to_owned()).collect();
    assert_eq!(shown, ["hello"]);
    assert_eq!(slack.journal.count(), 4);
    assert_eq!(slack.journal.wait_for(|call| call.method == "webhook", SOON).await.unwrap().text(), "hello");
}

#[tokio::test]
async fn each_block_kit_limit_holds_at_the_limit_and_not_beyond() {
    let slack = Slack::start().await.unwrap();
    let section = |length| json!([{"type": "section", "text": text("mrkdwn", length)}]);
    let header = |length| json!([{"type": "header", "text": text("plain_text", length)}]);
    let blocks = |count| json!(vec![json!({"type": "divider"}); count]);
    let fields = |count| json!([{"type": "section", "fields": vec![text("mrkdwn", 1); count]}]);
    let context = |count| json!([{"type": "context", "elements": vec![text("mrkdwn", 1); count]}]);
    let actions = |count| json!([{"type": "actions", "elements": vec![button(1, 1); count]}]);
    let label = |length| json!([{"type": "actions", "elements": [button(length, 1)]}]);
    let url = |length| json!([{"type": "actions", "elements": [button(1, length)]}]);
    for (fits, too_much, what) in [
        (section(3000), section(3001), "section text"),
        (header(150), header(151), "header"),
        (blocks(50), blocks(51), "blocks"),
        (fields(10), fields(11), "fields"),
        (context(10), context(11), "context elements"),
        (actions(25), actions(26), "actions"),
        (label(75), label(76), "button text"),
        (url(3000), url(3001), "url"),
    ] {
        assert_eq!(hook(&slack, &json!({"blocks": fits})).await.1, "ok", "{what}");
        let refused = hook(&slack, &json!({"text": "x", "blocks": too_much})).await;
        assert_eq!(refused, (400, "invalid_blocks".to_owned()), "{what}");
    }
    for wrong in [
        json!({}),
        json!([{"type": "headline"}]),
        json!([{"type": "section"}]),
        json!([{"type": "header", "text": text("mrkdwn", 1)}]),
        json!([{"type": "image", "image_url": "https://x.test"}]),
        json!([{"type": "actions", "elements": [
            {"type": "button", "text": text("plain_text", 1), "action_id": "a"},
            {"type": "button", "text": text("plain_text", 1), "action_id": "a"},
        ]}]),
    ] {
        assert_eq!(hook(&slack, &json!({"text": "x", "blocks": wrong})).await.1, "invalid_blocks", "{wrong}");
    }
    let attached = json!({"text": "x", "attachments": [{"color": "#c00", "blocks": header(151)}]});
    assert_eq!(hook(&slack, &attached).await.1, "invalid_blocks");
    let long: Vec<Value> = (0..5).map(|_| json!({"type": "section", "text": text("mrkdwn", 2800)})).collect();
    assert_eq!(hook(&slack, &json!({"blocks": long})).await.1, "msg_blocks_too_long");
}

// === Web API ===

#[tokio::test]
async fn a_token_is_asked_for() {
    let slack = Slack::start().await.unwrap();
    let url = format!("{}/auth.test", slack.api_url());
    let without: Value = client().post(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(without, json!({"ok": false, "error": "not_authed"}));
    let wrong = client().post(&url).bearer_auth("xoxb-other").send().await.unwrap();
    assert_eq!(wrong.status(), 200);
    assert_eq!(wrong.json::<Value>().await.unwrap()["error"], "invalid_auth");
    assert_eq!(call(&slack, "auth.test", &json!({})).await["ok"], true);
    assert_eq!(call(&slack, "chat.shout", &json!({})).await["error"], "unknown_method");
}

#[tokio::test]
async fn post_edit_and_reply() {
    let slack = Slack::start().await.unwrap();
    let root = call(&slack, "chat.postMessage", &json!({"channel": "#incidents", "text": "down"})).await;
    let (channel, ts) = (&root["channel"], &root["ts"]);
    assert_eq!((&root["ok"], channel.as_str()), (&json!(true), Some(slack.channel(CHANNEL).as_str())));
    let edit = json!({"channel": channel, "ts": ts, "text": "up"});
    assert_eq!(call(&slack, "chat.update", &edit).await["ts"], *ts);
    for broadcast in [false, true] {
        let reply =
            json!({"channel": channel, "text": "because", "thread_ts": ts, "reply_broadcast": broadcast});
        assert_eq!(call(&slack, "chat.postMessage", &reply).await["ok"], true);
    }
    let messages = slack.messages(CHANNEL);
    assert_eq!((messages[0].text(), messages[0].edits), ("up", 1));
    assert_eq!(messages[1].thread_ts.as_deref(), ts.as_str());

    for (method, arguments, error) in [
        ("chat.update", json!({"channel": channel, "ts": "1.000000", "text": "x"}), "message_not_found"),
        ("chat.update", json!({"channel": "#incidents", "ts": ts, "text": "x"}), "channel_not_found"),
        ("chat.postMessage", json!({"channel": "#nowhere", "text": "x"}), "channel_not_found"),
        ("chat.postMessage", json!({"channel": channel}), "no_text"),
        (
            "chat.postMessage",
            json!({"channel": channel, "text": "x", "thread_ts": "1.000000"}),
            "thread_not_found",
        ),
        ("chat.postMessage", json!({"channel": channel, "text": "x", "thread_ts": 1.5}), "invalid_thread_ts"),
        ("chat.postMessage", json!({"channel": channel, "text": "x".repeat(40_001)}), "msg_too_long"),
        ("conversations.history", json!({"channel": channel}), "invalid_arguments"),
    ] {
        let answer = call(&slack, method, &arguments).await;
        assert_eq!((&answer["ok"], &answer["error"]), (&json!(false), &json!(error)), "{method}");
    }
    let blocks = json!({"channel": channel, "text": "x", "blocks": [{"type": "section"}]});
    let answer = call(&slack, "chat.postMessage", &blocks).await;
    assert!(answer["response_metadata"]["messages"][0].as_str().unwrap().contains("/blocks/0"), "{answer}");
}

#[tokio::test]
async fn history_finds_a_message_by_its_metadata() {
    let slack = Slack::start().await.unwrap();
    let channel = slack.channel(CHANNEL);
    let metadata = json!({"event_type": "notice", "event_payload": {"notice_id": "n1"}});
    let mut sent = Vec::new();
    for n in 0..3 {
        let body = json!({"channel": channel, "text": format!("m{n}"), "metadata": metadata});
        sent.push(call(&slack, "chat.postMessage", &body).await["ts"].as_str().unwrap().to_owned());
    }
    let reply = json!({"channel": channel, "text": "hidden", "thread_ts": sent[0]});
    call(&slack, "chat.postMessage", &reply).await;

    let all = ask(&slack, "conversations.history", &[("channel", &channel)]).await;
    assert_eq!(texts(&all), ["m2", "m1", "m0"]);
    assert_eq!(
        (&all["messages"][2]["reply_count"], &all["messages"][0]["metadata"]),
        (&json!(1), &Value::Null)
    );
    let since = [("channel", channel.as_str()), ("oldest", &sent[1]), ("include_all_metadata", "true")];
    let since = ask(&slack, "conversations.history", &since).await;
    assert_eq!(texts(&since), ["m2"]);
    assert_eq!(since["messages"][0]["metadata"], metadata);
    let page = ask(&slack, "conversations.history", &[("channel", &channel), ("limit", "2")]).await;
    let cursor = page["response_metadata"]["next_cursor"].as_str().unwrap();
    let rest = [("channel", channel.as_str()), ("limit", "2"), ("cursor", cursor)];
    let rest = ask(&slack, "conversations.history", &rest).await;
    assert_eq!((texts(&page), texts(&rest)), (vec!["m2", "m1"], vec!["m0"]));
    assert_eq!((&page["has_more"], &rest["has_more"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn a_file_is_announced_uploaded_and_shared() {
    let slack = Slack::start().await.unwrap();
    let channel = slack.channel(CHANNEL);
    let ticket =
        ask(&slack, "files.getUploadURLExternal", &[("filename", "chart.png"), ("length", "4")]).await;
    let share = json!({"files": [{"id": ticket["file_id"], "title": "CPU"}], "channel_id": channel});
    assert_eq!(call(&slack, "files.completeUploadExternal", &share).await["error"], "file_not_found");
    let url = ticket["upload_url"].as_str().unwrap();
    assert_eq!(client().post(url).body("too long").send().await.unwrap().status(), 400);
    let uploaded = client().post(url).body("\u{89}PN").send().await.unwrap();
    assert_eq!((uploaded.status().as_u16(), uploaded.text().await.unwrap().as_str()), (200, "OK - 4"));
    assert_eq!(call(&slack, "files.completeUploadExternal", &share).await["ok"], true);
    let upload = &slack.uploads()[0];
    assert_eq!(upload.shared, Some((channel, None)));
    assert_eq!(upload.content.as_deref(), Some("\u{89}PN".as_bytes()));
    let as_json = json!({"filename": "chart.png", "length": 4});
    let refused = call(&slack, "files.getUploadURLExternal", &as_json).await;
    assert_eq!(refused["error"], "invalid_arguments", "a form is asked for here");
}

// === rate limit and faults ===

#[tokio::test]
async fn messages_too_close_together_get_429_and_edits_do_not() {
    let slack = Slack::start().await.unwrap();
    slack.limit_messages(Some(Duration::from_secs(60)));
    let url = format!("{}/chat.postMessage", slack.api_url());
    let first = call(&slack, "chat.postMessage", &json!({"channel": "#incidents", "text": "1"})).await;
    let second = client().post(&url).bearer_auth(BOT_TOKEN);
    let second = second.json(&json!({"channel": "#incidents", "text": "2"})).send().await.unwrap();
    assert_eq!(second.status(), 429);
    let wait: u64 = second.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(second.json::<Value>().await.unwrap(), json!({"ok": false, "error": "ratelimited"}));
    assert_eq!(hook(&slack, &json!({"text": "3"})).await, (429, "rate_limited".to_owned()));
    let edit = json!({"channel": first["channel"], "ts": first["ts"], "text": "1b"});
    assert_eq!(call(&slack, "chat.update", &edit).await["ok"], true);
    slack.channel("other");
    assert_eq!(call(&slack, "chat.postMessage", &json!({"channel": "other", "text": "4"})).await["ok"], true);
    slack.limit_messages(None);
    assert_eq!(hook(&slack, &json!({"text": "5"})).await.0, 200);
    assert_eq!(slack.messages(CHANNEL).len(), 2);
}

#[tokio::test]
async fn a_rate_limit_fault_speaks_the_language_of_each_side() {
    let slack = Slack::start().await.unwrap();
    slack.faults.set(Fault::RateLimit);
    assert_eq!(hook(&slack, &json!({"text": "x"})).await, (429, "rate_limited".to_owned()));
    let answer = call(&slack, "chat.postMessage", &json!({"channel": "#incidents", "text": "x"})).await;
    assert_eq!(answer["error"], "ratelimited");
    slack.faults.clear();
    assert!(slack.messages(CHANNEL).is_empty());
    assert_eq!(hook(&slack, &json!({"text": "x"})).await.0, 200);
}

#[tokio::test]
async fn a_post_whose_answer_is_cut_is_in_the_channel() {
    let slack = Slack::start().await.unwrap();
    slack.faults.next_requests(1, Fault::Cut);
    let url = format!("{}/chat.postMessage", slack.api_url());
    let body = json!({"channel": "#incidents", "text": "x"});
    assert!(client().post(url).bearer_auth(BOT_TOKEN).json(&body).send().await.is_err());
    assert_eq!(slack.messages(CHANNEL).len(), 1);
}
