//! Slack by bot: one message an incident, edited in place, a thread beside it, and no repeat whatever is lost.

use std::time::Duration;

use runbookd::config::settings::{ChannelSettings, SlackAllow, SlackBotSettings};
use runbookd::domain::delivery::Attempt;
use runbookd::domain::digest::{Digest, DigestRow};
use runbookd::domain::notice::{Notice, NoticeEvent, Receipt};
use runbookd::domain::severity::Severity;
use runbookd::domain::template::Escape;
use runbookd::notify::channels::Channels;
use runbookd::notify::render::Wording;
use runbookd::notify::slack_bot::SlackBot;
use runbookd::notify::slack_bot::blocks::Words;
use world::fault::Fault;
use world::slack::click::buttons;
use world::slack::workspace::Message;
use world::slack::{BOT_TOKEN, CHANNEL, Slack};

use crate::story::{PUBLIC_URL, channels, communication, detail, events, notice, secret, shown};

const NAME: &str = "slack-#incidents";

pub(crate) fn settings(server: &Slack) -> SlackBotSettings {
    SlackBotSettings {
        bot_token: secret(BOT_TOKEN),
        channel: CHANNEL.into(),
        api_url: server.door.url().into(),
        signing_secrets: vec![secret("fixture-signing-secret")],
        allow: SlackAllow::Channel,
        users: [].into(),
    }
}

fn bot(settings: SlackBotSettings) -> Channels {
    channels(NAME, ChannelSettings::SlackBot(settings))
}

fn receipt(attempt: &Attempt) -> Receipt {
    match attempt {
        Attempt::Accepted { receipt: Some(receipt) } => receipt.clone(),
        other => panic!("not accepted with a receipt: {other:?}"),
    }
}

fn with(notice: Notice, receipt: &Receipt) -> Notice {
    Notice { receipt: Some(receipt.clone()), ..notice }
}

fn again(notice: &Notice) -> Notice {
    Notice { attempts: notice.attempts + 1, ..notice.clone() }
}

/// The incident's message and the replies below it.
fn thread(server: &Slack) -> (Message, Vec<Message>) {
    let messages = server.messages(CHANNEL);
    let (mut roots, replies): (Vec<_>, Vec<_>) = messages.into_iter().partition(|it| it.thread_ts.is_none());
    assert_eq!(roots.len(), 1, "one incident is one message: {roots:?}");
    (roots.remove(0), replies)
}

#[tokio::test]
async fn an_incident_is_one_message_and_its_thread_the_timeline() {
    let server = Slack::start().await.unwrap();
    let channels = bot(settings(&server));
    let mut receipt_now = None;
    for event in events() {
        let told = Notice { receipt: receipt_now.clone(), ..notice(&event, NAME) };
        let attempt = channels.deliver(&told).await;
        let given = receipt(&attempt);
        assert_eq!(receipt_now.clone().unwrap_or(given.clone()), given, "{event}: it stays where it is");
        receipt_now = Some(given);
        let (root, _) = thread(&server);
        assert!(root.text().starts_with(told.facts.severity.shout()) || !event.is_page(), "{}", root.text());
        let offered = buttons(&root);
        match event {
            NoticeEvent::Opened => {
                assert_eq!(offered, ["acknowledge", "resolve", "silence_1h", "open_incident"]);
            }
            NoticeEvent::Acknowledged { .. } => {
                assert_eq!(offered, ["unacknowledge", "resolve", "silence_1h", "open_incident"]);
            }
            NoticeEvent::Resolved => assert_eq!(offered, ["open_incident"]),
            _ => {}
        }
    }
    let (root, replies) = thread(&server);
    assert_eq!(root.edits, events().len() - 1);
    let seen: Vec<(String, bool)> =
        replies.iter().map(|it| (it.text().split(' ').next().unwrap().to_owned(), it.broadcast)).collect();
    let expected = [
        ("CRITICAL,", true),
        ("SCALED", false),
        ("ACK", false),
        ("CRITICAL", false),
        ("NOT", true),
        ("WARNING,", false),
        ("RESOLVED", true),
        ("CRITICAL", true),
        ("CRITICAL", true),
    ];
    let seen: Vec<(&str, bool)> = seen.iter().map(|(word, broadcast)| (word.as_str(), *broadcast)).collect();
    assert_eq!(seen, expected, "a status update says nothing that the message does not");
    let all = server.journal.bodies();
    let told: Vec<_> = all.iter().filter(|call| call.method.starts_with("chat.")).collect();
    assert!(told.iter().all(|call| call.body["unfurl_links"] == false && call.body["unfurl_media"] == false));
}

#[tokio::test]
async fn what_was_posted_and_not_answered_is_found_and_not_posted_again() {
    let server = Slack::start().await.unwrap();
    let opening = notice(&NoticeEvent::Opened, NAME);
    server.faults.next_requests(1, Fault::Cut);
    let attempt = bot(settings(&server)).deliver(&opening).await;
    assert_eq!(shown(&attempt), "failed unreachable");
    // Another process: it knows neither the channel's id nor what its forerunner did.
    let channels = bot(settings(&server));
    let given = receipt(&channels.deliver(&again(&opening)).await);
    let (root, _) = thread(&server);
    assert_eq!(given.0.split_once(':').unwrap().1, root.ts);

    let worsened = with(notice(&NoticeEvent::Worsened { was: Severity::Warning }, NAME), &given);
    // The edit is answered, the reply is not.
    server.faults.next_requests(1, Fault::None);
    server.faults.next_requests(1, Fault::Cut);
    assert_eq!(shown(&channels.deliver(&worsened).await), "failed unreachable");
    assert_eq!(receipt(&channels.deliver(&again(&worsened)).await), given);
    let possibly = Notice { possibly_sent: true, ..worsened.clone() };
    assert_eq!(receipt(&channels.deliver(&possibly).await), given);
    assert_eq!(thread(&server).1.len(), 1, "one reply, however often it was tried");
}

#[tokio::test]
async fn a_message_whose_place_nobody_wrote_down_is_found_by_its_incident() {
    let server = Slack::start().await.unwrap();
    let channels = bot(settings(&server));
    let given = receipt(&channels.deliver(&notice(&NoticeEvent::Opened, NAME)).await);
    let lost = notice(&NoticeEvent::Resolved, NAME);
    assert_eq!(receipt(&channels.deliver(&lost).await), given);
    assert!(thread(&server).0.text().starts_with("RESOLVED"));
}

#[tokio::test]
async fn a_deleted_message_is_replaced_by_one_that_says_everything() {
    let server = Slack::start().await.unwrap();
    let channels = bot(settings(&server));
    let given = receipt(&channels.deliver(&notice(&NoticeEvent::Opened, NAME)).await);
    let (channel, ts) = given.0.split_once(':').unwrap();
    server.delete(channel, ts);
    let scaled = with(notice(&NoticeEvent::Scaled, NAME), &given);
    // The new one is posted and its answer lost: it is not posted a third time.
    server.faults.next_requests(1, Fault::None);
    server.faults.next_requests(1, Fault::Cut);
    assert_eq!(shown(&channels.deliver(&scaled).await), "failed unreachable");
    let new = receipt(&channels.deliver(&again(&scaled)).await);
    assert_ne!(new, given);
    assert_eq!(new.0.split_once(':').unwrap().1, thread(&server).0.ts);
    let over = with(notice(&NoticeEvent::Resolved, NAME), &new);
    assert_eq!(receipt(&channels.deliver(&over).await), new);
}

#[tokio::test]
async fn answers_have_their_classes_and_no_token_is_told() {
    let server = Slack::start().await.unwrap();
    let channels = bot(settings(&server));
    let told = notice(&NoticeEvent::Opened, NAME);
    let said = |error: &str| Fault::Status {
        code: 200,
        retry_after: None,
        body: format!(r#"{{"ok":false,"error":"{error}","token":"{BOT_TOKEN}"}}"#),
    };
    let later = Fault::Status { code: 429, retry_after: Some(Duration::from_secs(30)), body: String::new() };
    for (fault, expected) in [
        (Fault::RateLimit, "failed rate_limited after 1 s"),
        (later, "failed rate_limited after 30 s"),
        (said("ratelimited"), "failed rate_limited"),
        (said("internal_error"), "failed server_error"),
        (said("fatal_error"), "failed server_error"),
        (said("service_unavailable"), "failed server_error"),
        (Fault::status(503), "failed server_error"),
        (Fault::Status { code: 200, retry_after: None, body: "<html>".into() }, "failed server_error"),
        (said("channel_not_found"), "refused not_found"),
        (said("not_in_channel"), "refused not_found"),
        (said("is_archived"), "refused not_found"),
        (said("invalid_auth"), "refused unauthorized"),
        (said("token_revoked"), "refused unauthorized"),
        (said("account_inactive"), "refused unauthorized"),
        (said("something_new"), "refused rejected"),
        (Fault::status(302), "refused rejected"),
        (Fault::Cut, "failed unreachable"),
    ] {
        server.faults.next_requests(1, fault.clone());
        let attempt = channels.deliver(&told).await;
        assert_eq!(shown(&attempt), expected, "{fault:?}: {attempt:?}");
        assert!(!detail(&attempt).contains(BOT_TOKEN), "{attempt:?}");
    }
    let wrong = bot(SlackBotSettings { bot_token: secret("xoxb-wrong-0000000000"), ..settings(&server) });
    assert_eq!(shown(&wrong.deliver(&told).await), "refused unauthorized");
    let nowhere = bot(SlackBotSettings { channel: "#nowhere".into(), ..settings(&server) });
    assert_eq!(shown(&nowhere.deliver(&told).await), "refused not_found");
}

#[tokio::test]
async fn what_is_too_long_is_shortened_by_meaning_and_told() {
    let server = Slack::start().await.unwrap();
    let channels = bot(settings(&server));
    let told = notice(&NoticeEvent::Opened, NAME);
    for error in ["msg_too_long", "msg_blocks_too_long", "invalid_blocks"] {
        let body = format!(r#"{{"ok":false,"error":"{error}"}}"#);
        server.faults.next_requests(1, Fault::Status { code: 200, retry_after: None, body });
        assert_eq!(shown(&channels.deliver(&told).await), "accepted", "{error}");
    }
    for message in server.messages(CHANNEL) {
        let text = message.body["blocks"].to_string();
        assert!(text.contains("INC-20261123-0007") && text.contains("*Status:* open"), "{text}");
        assert!(!text.contains("Response team"), "{text}");
        assert_eq!(buttons(&message), ["acknowledge", "resolve", "silence_1h"]);
    }
}

#[tokio::test]
async fn a_rate_limit_between_two_calls_repeats_nothing_that_is_seen() {
    let server = Slack::start().await.unwrap();
    server.limit_messages(Some(Duration::from_mins(1)));
    let channels = bot(settings(&server));
    let given = receipt(&channels.deliver(&notice(&NoticeEvent::Opened, NAME)).await);
    let over = with(notice(&NoticeEvent::Resolved, NAME), &given);
    assert_eq!(shown(&channels.deliver(&over).await), "failed rate_limited after 60 s");
    server.limit_messages(None);
    assert_eq!(receipt(&channels.deliver(&again(&over)).await), given);
    let (root, replies) = thread(&server);
    assert_eq!((root.text().starts_with("RESOLVED"), replies.len()), (true, 1));
}

#[tokio::test]
async fn a_chart_stands_in_the_thread_and_its_failure_costs_nothing() {
    let server = Slack::start().await.unwrap();
    world::install_crypto();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let wording = Wording::new(&communication()).unwrap();
    let opening = notice(&NoticeEvent::Opened, NAME);
    let message = wording.message(&opening, Escape::Mrkdwn, Some(PUBLIC_URL));
    let words = Words::new(&wording, &message);
    let png = b"\x89PNG fixture".as_slice();

    // Drawn once the message is there: nobody waits for a picture.
    let drawn = || -> Option<runbookd::notify::LateChart<'_>> {
        Some(Box::pin(async {
            assert!(thread(&server).0.text().starts_with("CRITICAL checkout"), "posted before it is drawn");
            Some(png.into())
        }))
    };
    let given = receipt(&SlackBot::new(settings(&server)).deliver(&client, &message, &words, drawn()).await);
    let (channel, ts) = given.0.split_once(':').unwrap();
    let uploads = server.uploads();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].content.as_deref(), Some(png));
    assert_eq!(uploads[0].shared, Some((channel.to_owned(), Some(ts.to_owned()))));
    assert_eq!(uploads[0].filename, "INC-20261123-0007.png");

    for calls in 1..=3 {
        server.faults.next_requests(calls, Fault::None);
        server.faults.next_requests(1, Fault::status(500));
        let chart: Option<runbookd::notify::LateChart<'_>> =
            Some(Box::pin(std::future::ready(Some(png.into()))));
        let attempt = SlackBot::new(settings(&server)).deliver(&client, &message, &words, chart).await;
        assert_eq!(shown(&attempt), "accepted", "the call after {calls} fails");
        server.faults.clear();
    }
}

#[tokio::test]
async fn without_a_signing_secret_no_button_acts() {
    let server = Slack::start().await.unwrap();
    let channels = bot(SlackBotSettings { signing_secrets: Vec::new(), ..settings(&server) });
    assert_eq!(shown(&channels.deliver(&notice(&NoticeEvent::Opened, NAME)).await), "accepted");
    assert_eq!(buttons(&thread(&server).0), ["open_incident"]);
}

#[tokio::test]
async fn a_private_answer_goes_to_slack_and_nowhere_else() {
    let server = Slack::start().await.unwrap();
    let elsewhere = world::webhook::Webhook::start().await.unwrap();
    let channels = bot(settings(&server));
    let ours = format!("{}/actions/T0/1/x", server.door.url());
    channels.answer_privately(&NAME.into(), &ours, "already resolved by Ben").await.unwrap();
    let said = server.journal.bodies();
    assert_eq!((said[0].method.as_str(), said[0].text()), ("response", "already resolved by Ben"));
    assert_eq!(said[0].body["response_type"], "ephemeral");
    let foreign = channels.answer_privately(&NAME.into(), &elsewhere.url(), "x").await;
    assert!(foreign.is_err());
    assert_eq!(elsewhere.journal.count(), 0);
}

#[tokio::test]
async fn a_digest_is_one_message_of_its_own_without_buttons_that_act() {
    let server = Slack::start().await.unwrap();
    let channels = bot(settings(&server));
    let told = notice(&NoticeEvent::Opened, NAME);
    let row = |n: u32| DigestRow {
        incident: format!("INC-20261123-{n:04}").into(),
        event: NoticeEvent::Opened,
        revision: 1,
        page: true,
        severity: Severity::Critical,
        incident_type: "service_outage".into(),
        what: format!("shop-{n} CPU 95 %").into(),
        labels: told.facts.labels.clone(),
        opened_at: told.created_at,
    };
    let span = (told.created_at, told.created_at);
    let digest = Digest::new("D-0001".into(), (1..=200).map(row).collect(), span);
    let told = Notice { event: NoticeEvent::Digest, digest: Some(Box::new(digest)), ..told };
    assert_eq!(shown(&channels.deliver(&told).await), "accepted");
    let (root, replies) = thread(&server);
    assert!(root.text().starts_with("200 INCIDENTS "), "{}", root.text());
    assert!(root.body["blocks"].to_string().contains("and 190 more"));
    assert_eq!((buttons(&root), replies.len()), (vec!["open_incident".to_owned()], 0));
    assert!(server.journal.bodies().iter().all(|call| call.method == "chat.postMessage"));
}
