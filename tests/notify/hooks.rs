//! Webhooks with a body, headers and a signature of their own, as a server receives them.

use runbookd::config::secret::SecretSource;
use runbookd::config::settings::{ChannelSettings, WebhookSettings};
use runbookd::domain::delivery::Attempt;
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::notify::channels::Channels;
use serde_json::json;
use world::fault::Fault;
use world::signature::hmac;
use world::webhook::{Hook, Webhook};

use crate::story::{at, channels, detail, notice, secret, shown};

fn with(server: &Webhook, change: impl FnOnce(&mut WebhookSettings)) -> Channels {
    let mut settings = WebhookSettings::new(secret(server.url()));
    change(&mut settings);
    channels("audit", ChannelSettings::Webhook(settings))
}

fn told() -> Notice {
    notice(&NoticeEvent::Opened, "audit")
}

async fn received(channels: &Channels, server: &Webhook, notice: &Notice) -> Hook {
    assert_eq!(channels.deliver(notice).await, Attempt::ACCEPTED);
    server.journal.bodies().pop().unwrap()
}

#[tokio::test]
async fn a_template_makes_the_body_and_its_media_type() {
    let server = Webhook::start().await.unwrap();
    let body = "{ {\"text\": headline, \"id\": incident.id, \"who\": incident.acknowledged_by, \
                \"service\": incident.labels.service}|tojson }";
    let hook = received(&with(&server, |it| it.body = Some(body.into())), &server, &told()).await;
    let expected = json!({
        "text": "CRITICAL checkout: CPU 95 % (limit 90 %) · scaling 4 → 6",
        "id": "INC-20261123-0007",
        "who": null,
        "service": "checkout",
    });
    assert_eq!(hook.body, expected);
    assert_eq!(hook.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(hook.header("idempotency-key"), Some(told().id.as_str()));

    let form = with(&server, |it| {
        it.body = Some("id={incident.id|urlencode}&text={headline|urlencode}".into());
        it.content_type = "application/x-www-form-urlencoded".into();
    });
    // The server takes only JSON, and keeps what it does not take.
    assert_eq!(shown(&form.deliver(&told()).await), "refused rejected");
    let hook = server.journal.bodies().pop().unwrap();
    assert_eq!(hook.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(hook.raw.starts_with(b"id=INC-20261123-0007&text=CRITICAL%20checkout"));
}

#[tokio::test]
async fn a_template_that_fails_at_the_last_moment_sends_the_documented_body() {
    let server = Webhook::start().await.unwrap();
    for body in [
        // Fine with one action or none, as the samples have; not with the four of the story.
        "{% for a in incident.actions %}{% if loop.index > 3 %}{ 1 + a }{% endif %}{% endfor %}\"x\"",
        "{% for a in incident.actions %}{% if loop.index > 3 %}[{% endif %}{% endfor %}\"x\"",
        // Costs nothing with one action, and more than any rendering may with the story's.
        "{% for i in range(incident.actions|length * 4000) %}{% if i > 1 %}{% endif %}{% endfor %}\"x\"",
    ] {
        let channels = with(&server, |it| it.body = Some(body.into()));
        let late = notice(&NoticeEvent::StatusUpdate, "audit");
        let hook = received(&channels, &server, &late).await;
        assert_eq!(hook.body["incident"]["id"], "INC-20261123-0007", "{body}");
        assert_eq!(hook.body["version"], 1);
    }
}

#[tokio::test]
async fn a_signature_covers_the_time_and_every_byte_that_arrives() {
    let server = Webhook::start().await.unwrap();
    let channels = with(&server, |it| it.secret = Some(secret("s3cr3t-to-sign-with")));
    for now in ["03:11:00", "03:15:30"] {
        let now = at(now);
        assert_eq!(channels.deliver_with(&told(), None, now).await, Attempt::ACCEPTED);
        let hook = server.journal.bodies().pop().unwrap();
        let mut signed = format!("{}.", now.as_second()).into_bytes();
        signed.extend_from_slice(&hook.raw);
        let expected = format!("t={},v1={}", now.as_second(), hmac("s3cr3t-to-sign-with", &signed));
        assert_eq!(hook.header("x-runbookd-signature"), Some(expected.as_str()));
    }
    let unsigned = received(&with(&server, |_| {}), &server, &told()).await;
    assert_eq!(unsigned.header("x-runbookd-signature"), None);
}

#[tokio::test]
async fn headers_are_read_at_each_send_and_never_told() {
    let server = Webhook::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let channels = with(&server, |it| {
        it.headers = vec![
            ("Authorization".into(), SecretSource::File(file.path().into())),
            ("X-Team".into(), secret("shop")),
        ];
    });
    assert_eq!(shown(&channels.deliver(&told()).await), "failed not_rendered", "the file is empty");
    std::fs::write(file.path(), "Bearer first-t0ken\n").unwrap();
    let hook = received(&channels, &server, &told()).await;
    assert_eq!(
        (hook.header("authorization"), hook.header("x-team")),
        (Some("Bearer first-t0ken"), Some("shop"))
    );
    std::fs::write(file.path(), "Bearer second-t0ken\n").unwrap();
    let echo = Fault::Status { code: 400, retry_after: None, body: "no second-t0ken here".into() };
    server.faults.next_requests(1, echo);
    let attempt = channels.deliver(&told()).await;
    assert!(
        shown(&attempt).starts_with("refused") && !detail(&attempt).contains("second-t0ken"),
        "{attempt:?}"
    );
    std::fs::write(file.path(), "two\nlines").unwrap();
    let attempt = channels.deliver(&told()).await;
    assert_eq!(shown(&attempt), "failed not_rendered");
    assert!(!detail(&attempt).contains("lines"), "{attempt:?}");
}
