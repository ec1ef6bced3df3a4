//! Exact bodies. `UPDATE=1` writes the files of `tests/golden/` anew; read the difference before committing it.

use std::path::PathBuf;

use runbookd::domain::notice::NoticeEvent;
use runbookd::domain::template::Escape;
use runbookd::notify::render::{Message, Wording};
use runbookd::notify::slack_bot::blocks::{self, Reply, Words};
use runbookd::notify::{email, pagerduty, slack, webhook};
use serde_json::{Value, json};

use crate::story::{PUBLIC_URL, addresses, communication, events, notice};

/// The channels and how their bodies are kept.
const CHANNELS: [(&str, &str); 5] =
    [("slack", "json"), ("slack_bot", "json"), ("email", "eml"), ("pagerduty", "json"), ("webhook", "json")];

fn message(notice: &runbookd::domain::notice::Notice, escape: Escape) -> Message<'_> {
    Wording::new(&communication()).unwrap().message(notice, escape, Some(PUBLIC_URL))
}

fn pretty(value: &impl serde::Serialize) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

fn body(channel: &str, event: &NoticeEvent) -> String {
    let notice = notice(event, channel);
    match channel {
        "slack" => pretty(&slack::body(&message(&notice, Escape::Mrkdwn))),
        "slack_bot" => {
            let message = message(&notice, Escape::Mrkdwn);
            let words = Words::new(&Wording::new(&communication()).unwrap(), &message);
            let kind = Reply::of(&notice);
            let reply = (kind != Reply::None).then(|| blocks::reply(&message, kind));
            pretty(&json!({"message": blocks::root(&message, &words, true), "reply": reply}))
        }
        "pagerduty" => pretty(&pagerduty::events(&message(&notice, Escape::Text))),
        "webhook" => pretty(&webhook::body(&message(&notice, Escape::Text))),
        _ => {
            let (text, html) = (message(&notice, Escape::Text), message(&notice, Escape::Html));
            let mail = email::mail(&text, &html, &addresses()).unwrap();
            String::from_utf8(mail.formatted()).unwrap().replace("\r\n", "\n")
        }
    }
}

#[test]
fn every_event_has_exactly_this_body_on_every_channel() {
    let update = std::env::var_os("UPDATE").is_some();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut differing = Vec::new();
    for (channel, kind) in CHANNELS {
        std::fs::create_dir_all(folder.join(channel)).unwrap();
        for event in events() {
            let path = folder.join(channel).join(format!("{event}.{kind}"));
            let is = body(channel, &event);
            if update {
                std::fs::write(&path, &is).unwrap();
            }
            let should = std::fs::read_to_string(&path).unwrap_or_default();
            if is != should {
                differing.push(format!("{}:\n{is}", path.display()));
            }
        }
    }
    assert!(differing.is_empty(), "run with UPDATE=1 if meant:\n{}", differing.join("\n"));
}

/// The runbook's templates filled by hand.
fn filled(event: &NoticeEvent) -> &'static str {
    match event {
        NoticeEvent::Digest | NoticeEvent::Heartbeat => unreachable!("about no incident"),
        NoticeEvent::Opened | NoticeEvent::Escalated { .. } => {
            "Incident: INC-20261123-0007\nType: service_outage\nSeverity: critical\n\
             Impact: CPU of checkout at 95 %; 1 service, 14 tenants\nResponse team: operations\n"
        }
        NoticeEvent::Worsened { .. } | NoticeEvent::Scaled => {
            "Status: mitigating\nActions taken: 03:12 UTC scaled 4 → 6\nNext steps: Review active processes; \
             Roll back if needed; Optimize workloads; and 1 more\nETA: 03:17 UTC\n"
        }
        NoticeEvent::Acknowledged { .. } => {
            "Status: acknowledged by Ana at 03:14 UTC\nActions taken: 03:13 UTC 6 of 6 pods ready; 03:12 UTC \
             scaled 4 → 6\nNext steps: Review active processes; Roll back if needed; Optimize workloads; and 1 \
             more\nETA: 03:22 UTC\n"
        }
        NoticeEvent::Joined => {
            "Status: mitigating, acknowledged by Ana\nActions taken: 03:14 UTC acknowledged by Ana; 03:13 UTC 6 \
             of 6 pods ready; 03:12 UTC scaled 4 → 6\nNext steps: Review active processes; Roll back if \
             needed; Optimize workloads; and 1 more\nETA: 03:22 UTC\n"
        }
        NoticeEvent::NotScaled => {
            "Status: acknowledged by Ana\nActions taken: 03:17 UTC scaled 4 → 6, verified; 03:14 UTC \
             acknowledged by Ana; 03:13 UTC 6 of 6 pods ready; and 1 earlier\nNext steps: Review active \
             processes; Roll back if needed; Optimize workloads; and 1 more\nETA: 03:22 UTC\n"
        }
        NoticeEvent::StatusUpdate | NoticeEvent::Eased { .. } => {
            "Status: acknowledged by Ana\nActions taken: 03:22 UTC scaled 6 → 8; 03:17 UTC scaled 4 → 6, \
             verified; 03:14 UTC acknowledged by Ana; and 2 earlier\nNext steps: Review active processes; Roll \
             back if needed; Optimize workloads; and 1 more\nETA: 03:55 UTC\n"
        }
        NoticeEvent::Resolved => {
            "Status: resolved at 03:33 UTC after 22m\nActions taken: 03:22 UTC scaled 6 → 8; 03:17 UTC scaled \
             4 → 6, verified; 03:14 UTC acknowledged by Ana; and 2 earlier\nNext steps: Review active \
             processes; Roll back if needed; Optimize workloads; and 1 more\nETA: none, this is over\n"
        }
        NoticeEvent::Reopened => {
            "Status: open again since 03:40 UTC, acknowledged by Ana\nActions taken: 03:22 UTC scaled 6 → 8; \
             03:17 UTC scaled 4 → 6, verified; 03:14 UTC acknowledged by Ana; and 2 earlier\nNext steps: \
             Review active processes; Roll back if needed; Optimize workloads; and 1 more\nETA: none yet\n"
        }
    }
}

#[test]
fn the_runbooks_words_stand_in_every_body_with_the_incidents_number() {
    for event in events() {
        let wanted = filled(&event);
        for (channel, _) in CHANNELS {
            let body = body(channel, &event);
            let silent = channel == "pagerduty" && !event.is_page();
            assert!(silent || body.contains("INC-20261123-0007"), "{channel} {event}");
            let texts = match channel {
                "email" => {
                    let mail = world::smtp::message::parse(body.replace('\n', "\r\n").into_bytes());
                    let html = mail.html().unwrap().replace("\r\n", "\n").replace("<br>\n", "\n");
                    vec![mail.text().unwrap().replace("\r\n", "\n"), html]
                }
                "slack" | "slack_bot" => {
                    let body: Value = serde_json::from_str(&body).unwrap();
                    let body = if channel == "slack_bot" { &body["message"] } else { &body };
                    let blocks = body["blocks"].as_array().unwrap().iter();
                    let texts: String = blocks.filter_map(|block| block["text"]["text"].as_str()).collect();
                    vec![without_date_tokens(&texts)]
                }
                "webhook" => {
                    let body: Value = serde_json::from_str(&body).unwrap();
                    vec![body["text"].as_str().unwrap().to_owned()]
                }
                _ => {
                    let events: Value = serde_json::from_str(&body).unwrap();
                    let pages = events.as_array().unwrap().iter();
                    pages
                        .filter_map(|event| {
                            Some(event["payload"]["custom_details"]["1_what"].as_str()?.to_owned())
                        })
                        .collect()
                }
            };
            assert_eq!(texts.is_empty(), silent, "{channel} {event}");
            for text in texts {
                assert!(text.contains(wanted), "{channel} {event}:\n{text}\nwanted:\n{wanted}");
            }
        }
    }
}

/// `<!date^1795403820^{time}|03:17 UTC>` as somebody in UTC reads it.
fn without_date_tokens(text: &str) -> String {
    let Some((before, rest)) = text.split_once("<!date^") else { return text.to_owned() };
    let (token, after) = rest.split_once('>').unwrap();
    let (_, shown) = token.split_once('|').unwrap();
    format!("{before}{shown}{}", without_date_tokens(after))
}

#[test]
fn pagerduty_gets_a_key_for_each_page_and_every_key_at_the_end() {
    let keys = |event: NoticeEvent| -> Vec<(String, String)> {
        let notice = notice(&event, "pagerduty");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let events = pagerduty::events(&message(&notice, Escape::Text));
        events.iter().map(|event| (text(&event["event_action"]), text(&event["dedup_key"]))).collect()
    };
    let key =
        |action: &str, suffix: &str| (action.to_owned(), format!("runbookd/{}{suffix}", crate::story::UID));
    assert_eq!(keys(NoticeEvent::Opened), [key("trigger", "")]);
    assert_eq!(
        keys(NoticeEvent::Worsened { was: runbookd::domain::severity::Severity::Warning }),
        [key("trigger", "/2")]
    );
    assert_eq!(keys(NoticeEvent::Reopened), [key("trigger", "/3")]);
    assert_eq!(
        keys(NoticeEvent::Acknowledged { by: "Ana".into() }),
        [key("acknowledge", "/2"), key("acknowledge", "")]
    );
    assert_eq!(keys(NoticeEvent::Resolved), [key("resolve", "/2"), key("resolve", "")]);
    for silent in
        [NoticeEvent::StatusUpdate, NoticeEvent::Scaled, NoticeEvent::NotScaled, NoticeEvent::Joined]
    {
        assert_eq!(keys(silent), []);
    }
}

#[test]
fn mails_of_one_incident_are_one_thread() {
    let parsed: Vec<world::smtp::Mail> = events()
        .iter()
        .map(|event| world::smtp::message::parse(body("email", event).replace('\n', "\r\n").into_bytes()))
        .collect();
    let opening = parsed[0].header("Message-ID").unwrap();
    assert_eq!(opening, "<inc-20261123-0007.3f2a9c1e77d0.r1.email@example.org>");
    assert_eq!(parsed[0].header("Subject"), Some("INC-20261123-0007 checkout CPU usage"));
    assert_eq!(parsed[0].header("In-Reply-To"), None);
    let mut ids = std::collections::BTreeSet::from([opening]);
    for mail in &parsed[1..] {
        assert_eq!(mail.header("Subject"), Some("Re: INC-20261123-0007 checkout CPU usage"));
        assert_eq!(mail.header("In-Reply-To"), Some(opening));
        assert_eq!(mail.header("References"), Some(opening));
        assert!(ids.insert(mail.header("Message-ID").unwrap()));
        assert!(mail.html().unwrap().len() < 20_000);
    }
    let important: Vec<bool> = parsed.iter().map(|mail| mail.header("Importance").is_some()).collect();
    assert_eq!(important, [true, true, false, false, false, false, false, false, false, true, true]);
    assert_eq!(parsed[8].header("From"), Some("\"RESOLVED runbookd\" <runbookd@example.org>"));
}

#[test]
fn a_channel_that_joins_late_begins_its_thread_with_what_it_hears_first() {
    let mut told = notice(&NoticeEvent::StatusUpdate, "email");
    told.facts.opened_revision = told.revision;
    let (text, html) = (message(&told, Escape::Text), message(&told, Escape::Html));
    let mail = world::smtp::message::parse(email::mail(&text, &html, &addresses()).unwrap().formatted());
    assert_eq!(mail.header("In-Reply-To"), None);
    assert_eq!(mail.header("Subject"), Some("INC-20261123-0007 checkout CPU usage"));
}
