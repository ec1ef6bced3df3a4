//! PagerDuty over rotated keys, rate limits in the middle, and acknowledgements that were made there.

use std::path::Path;

use runbookd::config::secret::SecretSource;
use runbookd::config::settings::{ChannelSettings, PagerDutySettings};
use runbookd::domain::delivery::Attempt;
use runbookd::domain::notice::{Facts, Notice, NoticeEvent, Origin, Receipt};
use runbookd::domain::severity::Severity;
use runbookd::notify::channels::Channels;
use serde_json::Value;
use world::fault::Fault;
use world::pagerduty::{AlertState, PagerDuty};

use crate::story::{ROUTING_KEY, UID, channels, detail, notice, shown};

const NAME: &str = "pagerduty";
const NEWER: &str = "R9999999999abcdef0123456789abcde";

fn pager(server: &PagerDuty, file: &Path) -> Channels {
    let settings = PagerDutySettings {
        routing_key: SecretSource::File(file.to_path_buf()),
        webhook_secrets: Vec::new(),
        url: server.url().into(),
    };
    channels(NAME, ChannelSettings::PagerDuty(settings))
}

fn told(event: &NoticeEvent, receipt: Option<&Receipt>) -> Notice {
    Notice { receipt: receipt.cloned(), ..notice(event, NAME) }
}

fn receipt(attempt: &Attempt) -> Option<Receipt> {
    match attempt {
        Attempt::Accepted { receipt } => receipt.clone(),
        other => panic!("not accepted: {other:?}"),
    }
}

fn sent(server: &PagerDuty) -> Vec<(String, String)> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    server.journal.bodies().iter().map(|it| (text(it, "dedup_key"), text(it, "routing_key"))).collect()
}

#[tokio::test]
async fn the_all_clear_goes_out_with_the_key_that_opened() {
    let server = PagerDuty::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routing-key");
    std::fs::write(&file, ROUTING_KEY).unwrap();
    let channels = pager(&server, &file);
    let worsened = NoticeEvent::Worsened { was: Severity::Warning };

    let first = receipt(&channels.deliver(&told(&NoticeEvent::Opened, None)).await).unwrap();
    assert!(!first.0.contains(ROUTING_KEY), "a fingerprint, not the key");
    std::fs::write(&file, format!("{NEWER}\n{ROUTING_KEY}\n")).unwrap();
    let both = receipt(&channels.deliver(&told(&worsened, Some(&first))).await).unwrap();
    assert_eq!(receipt(&channels.deliver(&told(&NoticeEvent::Resolved, Some(&both))).await), None);
    let (one, two) = (format!("runbookd/{UID}"), format!("runbookd/{UID}/2"));
    let expected = [(&one, ROUTING_KEY), (&two, NEWER), (&two, NEWER), (&one, ROUTING_KEY)];
    let expected: Vec<_> = expected.into_iter().map(|(dedup, key)| (dedup.clone(), key.to_owned())).collect();
    assert_eq!(sent(&server), expected, "the newest alert first, each with its own key");
    assert_eq!(server.open(), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_that_is_gone_is_said_and_what_can_be_closed_is_closed() {
    let server = PagerDuty::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routing-key");
    std::fs::write(&file, ROUTING_KEY).unwrap();
    let channels = pager(&server, &file);
    let worsened = NoticeEvent::Worsened { was: Severity::Warning };
    let first = receipt(&channels.deliver(&told(&NoticeEvent::Opened, None)).await).unwrap();
    std::fs::write(&file, NEWER).unwrap();
    let both = receipt(&channels.deliver(&told(&worsened, Some(&first))).await).unwrap();
    let attempt = channels.deliver(&told(&NoticeEvent::Resolved, Some(&both))).await;
    assert_eq!(shown(&attempt), "refused not_found");
    assert_eq!(detail(&attempt), "could not close in PagerDuty: the routing key that opened it is gone");
    assert_eq!(server.open(), [format!("runbookd/{UID}")]);
}

#[tokio::test]
async fn a_rate_limit_in_the_middle_does_not_start_over() {
    let server = PagerDuty::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routing-key");
    std::fs::write(&file, ROUTING_KEY).unwrap();
    let channels = pager(&server, &file);
    let over = notice(&NoticeEvent::Resolved, NAME);
    let over = Notice { facts: Facts { pages: 4, ..over.facts }, ..over };
    for left in (0..4).rev() {
        // One is taken at a time.
        server.faults.next_requests(1, Fault::None);
        server.faults.next_requests(left.min(1), Fault::RateLimit);
        let attempt = channels.deliver(&over).await;
        assert_eq!(shown(&attempt), if left == 0 { "accepted" } else { "failed rate_limited" });
    }
    let taken = server.journal.entries();
    let taken = taken.iter().filter(|entry| entry.answer == world::journal::Answer::Code(202));
    let keys: Vec<_> = taken.map(|entry| entry.body["dedup_key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys, [4, 3, 2, 1].map(|page| runbookd::notify::pagerduty::dedup_key(UID, page)));
}

#[tokio::test]
async fn an_acknowledgement_made_there_is_not_told_there_again() {
    let server = PagerDuty::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routing-key");
    std::fs::write(&file, ROUTING_KEY).unwrap();
    let channels = pager(&server, &file);
    let worsened = NoticeEvent::Worsened { was: Severity::Warning };
    let acknowledged = |channel: &str, pages| {
        let told = notice(&NoticeEvent::Acknowledged { by: "Ana".into() }, NAME);
        let place = format!("runbookd/{UID}").into();
        let acknowledged_in = Some(Origin { channel: channel.into(), place });
        Notice { facts: Facts { pages, acknowledged_in, ..told.facts }, ..told }
    };
    channels.deliver(&told(&NoticeEvent::Opened, None)).await;
    assert_eq!(channels.deliver(&acknowledged(NAME, 1)).await, Attempt::NothingToSend);
    channels.deliver(&told(&worsened, None)).await;
    assert_eq!(shown(&channels.deliver(&acknowledged(NAME, 2)).await), "accepted");
    let states: Vec<_> = server.alerts().into_iter().map(|(_, alert)| alert.state).collect();
    assert_eq!(
        states,
        [AlertState::Triggered, AlertState::Acknowledged],
        "only the other alert had to hear it"
    );
    assert_eq!(shown(&channels.deliver(&acknowledged("slack", 2)).await), "accepted");
    let states: Vec<_> = server.alerts().into_iter().map(|(_, alert)| alert.state).collect();
    assert_eq!(states, [AlertState::Acknowledged, AlertState::Acknowledged]);
}
