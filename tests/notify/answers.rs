//! What each answer of an HTTP receiver means, and that no secret is told.

use std::collections::BTreeMap;
use std::time::Duration;

use runbookd::config::secret::SecretSource;
use runbookd::config::settings::{ChannelSettings, WebhookSettings};
use runbookd::domain::delivery::Attempt;
use runbookd::domain::name::ChannelName;
use runbookd::domain::notice::NoticeEvent;
use runbookd::notify::channels::Channels;
use world::fault::Fault;
use world::journal::Answer;
use world::pagerduty::{AlertState, PagerDuty};
use world::slack::Slack;
use world::webhook::Webhook;

use crate::story::{
    PUBLIC_URL, ROUTING_KEY, UID, channels, communication, detail, notice, pagerduty, shown, slack, webhook,
};

fn status(code: u16, body: &str) -> Fault {
    Fault::Status { code, retry_after: None, body: body.into() }
}

fn later(code: u16, seconds: u64) -> Fault {
    Fault::Status { code, retry_after: Some(Duration::from_secs(seconds)), body: String::new() }
}

#[tokio::test]
async fn slack_answers_have_their_classes() {
    let server = Slack::start().await.unwrap();
    let channels = channels("slack", slack(server.webhook_url()));
    let told = notice(&NoticeEvent::Opened, "slack");
    for (fault, expected) in [
        (Fault::None, "accepted"),
        (Fault::RateLimit, "failed rate_limited after 1 s"),
        (later(429, 30), "failed rate_limited after 30 s"),
        (status(200, "ratelimited"), "failed rate_limited"),
        (status(200, "{\"ok\":false,\"error\":\"ratelimited\"}"), "failed rate_limited"),
        (status(200, "nope"), "refused rejected"),
        (status(400, "invalid_payload"), "refused rejected"),
        (status(400, "no_team"), "refused not_found"),
        (status(403, "action_prohibited"), "refused unauthorized"),
        (status(403, "invalid_token"), "refused unauthorized"),
        (status(404, "no_service"), "refused not_found"),
        (status(410, "channel_is_archived"), "refused not_found"),
        (status(302, ""), "refused rejected"),
        (later(503, 7), "failed server_error after 7 s"),
        (status(500, "rollup_error"), "failed server_error"),
        (Fault::Cut, "failed unreachable"),
    ] {
        server.faults.next_requests(1, fault.clone());
        let attempt = channels.deliver(&told).await;
        assert_eq!(shown(&attempt), expected, "{fault:?}: {attempt:?}");
        assert!(!detail(&attempt).contains("XXXX"), "{attempt:?}");
    }
    server.door.take_down().await;
    assert_eq!(shown(&channels.deliver(&told).await), "failed unreachable");
}

#[tokio::test]
async fn pagerduty_answers_have_their_classes() {
    let server = PagerDuty::start().await.unwrap();
    let channels = channels("pagerduty", pagerduty(server.url()));
    let told = notice(&NoticeEvent::Opened, "pagerduty");
    let invalid = r#"{"status":"invalid event","errors":["'payload.source' is missing or blank","two"]}"#;
    for (fault, expected) in [
        (Fault::None, "accepted"),
        (Fault::RateLimit, "failed rate_limited"),
        (later(429, 20), "failed rate_limited after 20 s"),
        (status(400, invalid), "refused rejected"),
        (status(403, ""), "refused unauthorized"),
        (status(500, ""), "failed server_error"),
        (Fault::Cut, "failed unreachable"),
    ] {
        server.faults.next_requests(1, fault.clone());
        let attempt = channels.deliver(&told).await;
        assert_eq!(shown(&attempt), expected, "{fault:?}: {attempt:?}");
        assert!(!detail(&attempt).contains(ROUTING_KEY), "{attempt:?}");
    }
    server.faults.next_requests(1, status(400, invalid));
    assert_eq!(detail(&channels.deliver(&told).await), "HTTP 400: 'payload.source' is missing or blank; two");
    let quiet = notice(&NoticeEvent::StatusUpdate, "pagerduty");
    let before = server.journal.count();
    assert_eq!(channels.deliver(&quiet).await, Attempt::NothingToSend);
    assert_eq!(server.journal.count(), before);
}

#[tokio::test]
async fn pagerduty_is_paged_again_when_it_worsens_and_closed_with_every_key() {
    let server = PagerDuty::start().await.unwrap();
    let channels = channels("pagerduty", pagerduty(server.url()));
    let states =
        || -> Vec<AlertState> { server.alerts().into_iter().map(|(_, alert)| alert.state).collect() };
    let worsened = NoticeEvent::Worsened { was: runbookd::domain::severity::Severity::Warning };
    for (event, expected) in [
        (NoticeEvent::Opened, &[AlertState::Triggered][..]),
        (worsened, &[AlertState::Triggered, AlertState::Triggered]),
        (NoticeEvent::Acknowledged { by: "Ana".into() }, &[AlertState::Acknowledged; 2]),
        (NoticeEvent::Resolved, &[AlertState::Resolved; 2]),
    ] {
        assert_eq!(shown(&channels.deliver(&notice(&event, "pagerduty")).await), "accepted", "{event}");
        assert_eq!(states(), expected, "{event}");
    }
    assert_eq!(server.alert(&format!("runbookd/{UID}")).unwrap().pages, 1);
}

#[tokio::test]
async fn webhook_answers_have_their_classes_and_repeats_the_same_key() {
    let server = Webhook::start().await.unwrap();
    let channels = channels("audit", webhook(format!("{}?token=s3cr3t-token", server.url())));
    let told = notice(&NoticeEvent::Opened, "audit");
    for (fault, expected) in [
        (Fault::None, "accepted"),
        (status(204, ""), "accepted"),
        (later(429, 3), "failed rate_limited after 3 s"),
        (status(401, "bad /hook?token=s3cr3t-token"), "refused unauthorized"),
        (status(404, ""), "refused not_found"),
        (status(422, "s3cr3t-token"), "refused rejected"),
        (status(502, ""), "failed server_error"),
    ] {
        server.faults.next_requests(1, fault.clone());
        let attempt = channels.deliver(&told).await;
        assert_eq!(shown(&attempt), expected, "{fault:?}: {attempt:?}");
        assert!(!detail(&attempt).contains("s3cr3t"), "{attempt:?}");
    }
    for hook in server.journal.bodies() {
        assert_eq!(hook.header("idempotency-key"), Some(told.id.as_str()));
        assert_eq!(hook.body["notice"], told.id.as_str());
        assert!(hook.header("user-agent").unwrap().starts_with("runbookd/"));
    }
    let accepted = server.journal.entries().iter().filter(|entry| entry.answer == Answer::Code(200)).count();
    assert_eq!(accepted, 1);
}

#[tokio::test]
async fn a_secret_is_read_at_each_send_and_never_told() {
    world::install_crypto();
    let server = Webhook::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let audit = ChannelName::from("audit");
    let settings = WebhookSettings::new(SecretSource::File(file.clone()));
    let settings = BTreeMap::from([(audit, ChannelSettings::Webhook(settings))]);
    let channels = Channels::new(&settings, &communication(), Some(PUBLIC_URL)).unwrap();
    let told = notice(&NoticeEvent::Opened, "audit");

    assert_eq!(shown(&channels.deliver(&told).await), "failed not_rendered");
    std::fs::write(&file, "not-a-url-but-secret").unwrap();
    let attempt = channels.deliver(&told).await;
    assert_eq!(shown(&attempt), "failed not_rendered");
    assert!(!detail(&attempt).contains("secret"), "{attempt:?}");
    std::fs::write(&file, format!("{}\n", server.url())).unwrap();
    assert_eq!(channels.deliver(&told).await, Attempt::ACCEPTED);
    assert_eq!(server.journal.count(), 1);

    let elsewhere = notice(&NoticeEvent::Opened, "nobody");
    assert_eq!(shown(&channels.deliver(&elsewhere).await), "refused no_such_channel");
}
