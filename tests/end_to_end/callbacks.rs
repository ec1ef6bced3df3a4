//! People act in Slack and in PagerDuty: what they do there happens here, and what somebody forges does not.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use world::daemon::Daemon;
use world::pagerduty::webhook::webhook;
use world::slack::click::{ANA, BEN, buttons};
use world::slack::workspace::Message;
use world::slack::{BOT_TOKEN, CHANNEL};
use world::stage::{Stage, TimeScale};

const PATIENCE: Duration = Duration::from_secs(60);
const API: &str = "/api/runbookd/v1";
const SIGNING: &str = "fixture-slack-signing-secret";
const BEFORE: &str = "fixture-slack-signing-secret-before";
const PAGER: &str = "fixture-pagerduty-webhook-secret";

/// A world in which Slack is spoken to by bot, and both sides sign.
async fn signed_world() -> (Stage, Daemon) {
    let stage = Stage::set(Path::new(super::SHIPPED), TimeScale::default()).await.unwrap();
    let secrets = stage.file("secrets");
    for (name, secret) in
        [("slack-bot-token", BOT_TOKEN), ("signing", SIGNING), ("signing-before", BEFORE), ("pager", PAGER)]
    {
        std::fs::write(secrets.join(name), secret).unwrap();
    }
    let secrets = secrets.display();
    let bot = format!(
        "bot_token_file: {secrets}/slack-bot-token\n      channel: \"{CHANNEL}\"\n      api_url: {}\n      \
         signing_secret_file: [{secrets}/signing, {secrets}/signing-before]\n      users: {{{}: Ana}}",
        stage.slack.door.url(),
        ANA.id
    );
    let key = format!("routing_key_file: {secrets}/pagerduty-routing-key");
    let changes = [
        (format!("webhook_url_file: {secrets}/slack-webhook-url"), bot),
        (key.clone(), format!("{key}\n      webhook_secret_file: {secrets}/pager")),
    ];
    let changes: Vec<(&str, &str)> = changes.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    stage.edit("config/runbookd.yaml", &changes).unwrap();
    let daemon = super::start(&stage).await;
    stage.shop.set_disk("node-1", 0.9).unwrap();
    (stage, daemon)
}

async fn incident(daemon: &Daemon) -> Value {
    let list = daemon.json(&format!("{API}/incidents")).await.unwrap();
    let id = list["items"][0]["id"].as_str().unwrap();
    daemon.json(&format!("{API}/incidents/{id}")).await.unwrap()
}

/// The incident's message, once it offers this button.
async fn message_with(stage: &Stage, daemon: &Daemon, button: &str) -> Message {
    let root = async |_: &Daemon| {
        let messages = stage.slack.messages(CHANNEL);
        Ok(messages.into_iter().find(|it| it.thread_ts.is_none() && it.text().contains("node-1")))
    };
    let offers = |root: &Option<Message>| {
        root.as_ref().is_some_and(|root| buttons(root).iter().any(|it| it == button))
    };
    daemon.until(PATIENCE, root, offers).await.unwrap().unwrap()
}

async fn counted(daemon: &Daemon, source: &str, outcome: &str) -> f64 {
    let name = format!(r#"runbookd_callbacks_total{{source="{source}",outcome="{outcome}"}}"#);
    daemon.metric(&name).await.unwrap().unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_click_acknowledges_and_a_forged_or_replayed_one_does_not() {
    let _alone = super::alone().await;
    let (stage, daemon) = signed_world().await;
    let url = format!("{}{API}/callbacks/slack", daemon.url());
    let opening = message_with(&stage, &daemon, "acknowledge").await;

    let forged = stage.slack.click(CHANNEL, &opening, "acknowledge", &ANA, "guessed").unwrap();
    assert_eq!(forged.send(&url).await.unwrap().0, 401);
    assert_eq!(incident(&daemon).await["acknowledged_by"], Value::Null);

    let click = stage.slack.click(CHANNEL, &opening, "acknowledge", &ANA, BEFORE).unwrap();
    assert_eq!(click.send(&url).await.unwrap().0, 200);
    assert_eq!(incident(&daemon).await["acknowledged_by"], json!("Ana"), "committed when it is answered");
    let acknowledged = |event: &Value| event["event_action"] == "acknowledge";
    stage.pagerduty.journal.wait_for(acknowledged, PATIENCE).await.expect("PagerDuty hears of it");
    let taken = message_with(&stage, &daemon, "unacknowledge").await;
    assert_eq!((taken.ts.as_str(), taken.text().starts_with("ACK node-1")), (opening.ts.as_str(), true));

    assert_eq!(click.send(&url).await.unwrap().0, 401, "the same click once more");
    let resolve = stage.slack.click(CHANNEL, &taken, "resolve", &BEN, SIGNING).unwrap();
    assert_eq!(resolve.send(&url).await.unwrap().0, 200);
    assert_eq!(incident(&daemon).await["state"], "resolved");
    let late = stage.slack.click(CHANNEL, &taken, "resolve", &ANA, SIGNING).unwrap();
    assert_eq!(late.send(&url).await.unwrap().0, 200);
    let told = |call: &world::slack::Call| {
        call.method == "response" && call.text().contains("was already resolved by ben.slack")
    };
    stage.slack.journal.wait_for(told, PATIENCE).await.expect("whoever clicks late is told, alone");
    for (outcome, count) in [("forged", 1.0), ("replayed", 1.0), ("taken", 2.0), ("stale", 1.0)] {
        assert_eq!(counted(&daemon, "slack", outcome).await, count, "{outcome}");
    }
    let log = daemon.log();
    assert!(log.contains("callback refused") && log.contains("forged"), "{log}");
    for secret in [SIGNING, BEFORE, PAGER, BOT_TOKEN] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_in_pagerduty_counts_here_and_is_not_sent_back() {
    let _alone = super::alone().await;
    let (stage, daemon) = signed_world().await;
    let url = format!("{}{API}/callbacks/pagerduty", daemon.url());
    message_with(&stage, &daemon, "acknowledge").await;
    stage.pagerduty.journal.wait_count(1, PATIENCE).await.unwrap();
    let key = stage.pagerduty.open().remove(0);
    let send = async |id: &str, kind: &str, key: &str, secret: &str| {
        let signed = webhook(id, kind, key, Some("Ana"), &["rotated-away", secret]);
        signed.send(&url).await.unwrap().0
    };

    assert_eq!(send("e0", "incident.acknowledged", &key, "guessed").await, 401);
    assert_eq!(send("e1", "incident.acknowledged", "another-tool/7", PAGER).await, 202);
    assert_eq!(incident(&daemon).await["acknowledged_by"], Value::Null);
    assert_eq!(send("e2", "incident.acknowledged", &key, PAGER).await, 202);
    assert_eq!(incident(&daemon).await["acknowledged_by"], json!("Ana"));
    message_with(&stage, &daemon, "unacknowledge").await;
    assert_eq!(send("e2", "incident.acknowledged", &key, PAGER).await, 202);

    assert_eq!(send("e3", "incident.resolved", &key, PAGER).await, 202);
    assert_eq!(incident(&daemon).await["state"], "resolved");
    let resolved = |event: &Value| event["event_action"] == "resolve";
    stage.pagerduty.journal.wait_for(resolved, PATIENCE).await.unwrap();
    let events: Vec<Value> = stage.pagerduty.journal.bodies();
    assert!(events.iter().all(|event| event["event_action"] != "acknowledge"), "{events:?}");
    for (outcome, count) in [("forged", 1.0), ("not_ours", 1.0), ("duplicate", 1.0), ("taken", 2.0)] {
        assert_eq!(counted(&daemon, "pagerduty", outcome).await, count, "{outcome}");
    }
}
