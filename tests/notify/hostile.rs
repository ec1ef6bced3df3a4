//! Labels written by somebody who wants to ring every phone, to forge a header or to break the message; and words
//! that fail at the last moment.

use std::sync::Arc;

use runbookd::domain::communication::Communication;
use runbookd::domain::delivery::Attempt;
use runbookd::domain::diagnosis::Link;
use runbookd::domain::labels::Labels;
use runbookd::domain::notice::{Facts, Notice, NoticeEvent};
use runbookd::domain::template::Escape;
use runbookd::notify::render::Wording;
use world::pagerduty::PagerDuty;
use world::slack::Slack;
use world::smtp::{Options, Security, Smtp};
use world::webhook::Webhook;

use crate::story::{channels, communication, events, mail_server, notice, pagerduty, shown, slack, webhook};

const HOSTILE: &str =
    "<!channel> <http://evil.example|x> <script>alert(1)</script> 🛑\r\nBcc: spy@evil.example\r\n\r\n";

fn hostile(event: &NoticeEvent, channel: &str) -> Notice {
    let told = notice(event, channel);
    let long: Arc<str> = "y&<\"'".repeat(600).into();
    Notice {
        facts: Facts {
            subject: Labels::new([("service", Arc::from(HOSTILE)), ("namespace", Arc::clone(&long))]),
            labels: Labels::new((0..200).map(|n| (format!("label_{n}"), Arc::clone(&long)))),
            subject_name: HOSTILE.into(),
            opened_by: long.clone(),
            metric: long.clone(),
            impact: format!("{HOSTILE}Status: resolved {long}").into(),
            team: HOSTILE.into(),
            acknowledged_by: Some(HOSTILE.into()),
            next_steps: vec![long.clone(); 40],
            runbook_url: Some("javascript:alert(1)".into()),
            diagnosis: vec![HOSTILE.into()],
            links: vec![
                Link { name: HOSTILE.into(), url: "javascript:alert(2)".into() },
                Link { name: HOSTILE.into(), url: "https://grafana.example.org/d".into() },
            ],
            did: Some(long),
            ..told.facts
        },
        ..told
    }
}

#[tokio::test]
async fn slack_takes_hostile_labels_and_nobody_is_mentioned() {
    let server = Slack::start().await.unwrap();
    let channels = channels("slack", slack(server.webhook_url()));
    for event in events() {
        assert_eq!(channels.deliver(&hostile(&event, "slack")).await, Attempt::ACCEPTED, "{event}");
    }
    for call in server.journal.bodies() {
        let text = call.body.to_string();
        assert!(
            !text.contains("<!channel") && !text.contains("<http") && !text.contains("<script"),
            "{text}"
        );
        assert!(text.contains("&lt;!channel&gt;") && !text.contains("javascript:"));
        assert!(call.text().chars().count() <= 600 && !call.text().contains('\n'));
    }
}

#[tokio::test]
async fn a_bot_takes_hostile_labels_and_nobody_is_mentioned() {
    let server = Slack::start().await.unwrap();
    let settings = crate::slack_bot::settings(&server);
    let channels = channels("slack", runbookd::config::settings::ChannelSettings::SlackBot(settings));
    let mut receipt = None;
    for event in events() {
        let told = Notice { receipt: receipt.clone(), ..hostile(&event, "slack") };
        let attempt = channels.deliver(&told).await;
        let Attempt::Accepted { receipt: given } = attempt else { panic!("{event}: {attempt:?}") };
        receipt = given;
    }
    let all = server.journal.bodies();
    assert!(
        all.iter().all(|call| !call.method.starts_with("conversations")),
        "nothing was refused or sought"
    );
    assert_eq!(all.len(), 2 * events().len() - 1, "nothing had to be shortened");
    for call in all {
        let text = call.body.to_string();
        assert!(
            !text.contains("<!channel") && !text.contains("<http") && !text.contains("<script"),
            "{text}"
        );
        assert!(text.contains("&lt;!channel&gt;") && !text.contains("javascript:"));
    }
}

#[tokio::test]
async fn mail_takes_hostile_labels_and_no_header_is_forged() {
    let server = Smtp::start(Options { security: Security::Plain, login: None }).await.unwrap();
    let settings = runbookd::config::settings::ChannelSettings::Email(mail_server(server.address()));
    let channels = channels("email", settings);
    for event in events() {
        assert_eq!(channels.deliver(&hostile(&event, "email")).await, Attempt::ACCEPTED, "{event}");
    }
    for mail in server.journal.bodies() {
        assert_eq!(mail.header("Bcc"), None);
        assert_eq!(mail.to, ["oncall@example.org", "ops@example.org"]);
        let subject = mail.header("Subject").unwrap();
        assert!(subject.contains("<!channel>") && subject.len() < 400, "{subject}");
        let html = mail.html().unwrap();
        assert!(html.len() < 20_000, "{}", html.len());
        assert!(!html.contains("<script") && !html.contains("javascript:") && html.contains("&lt;!channel"));
        // A label's line break does not make a line of the template.
        assert!(!mail.text().unwrap().contains("\nStatus: resolved y"));
    }
}

#[tokio::test]
async fn pagerduty_and_webhooks_take_hostile_labels() {
    let (pager, hook) = (PagerDuty::start().await.unwrap(), Webhook::start().await.unwrap());
    let paging = channels("pagerduty", pagerduty(pager.url()));
    let hooking = channels("audit", webhook(hook.url()));
    for event in
        [NoticeEvent::Opened, NoticeEvent::Acknowledged { by: HOSTILE.into() }, NoticeEvent::Resolved]
    {
        assert_eq!(shown(&paging.deliver(&hostile(&event, "pagerduty")).await), "accepted", "{event}");
        assert_eq!(hooking.deliver(&hostile(&event, "audit")).await, Attempt::ACCEPTED, "{event}");
    }
    let summary = pager.journal.bodies()[0]["payload"]["summary"].as_str().unwrap().to_owned();
    assert!(summary.chars().count() <= 120 && !summary.chars().any(char::is_control), "{summary}");
    assert_eq!(hook.journal.bodies()[0].body["incident"]["subject"], HOSTILE);
}

#[test]
fn a_template_that_fails_at_the_last_moment_does_not_cost_the_page() {
    let text = "Status: {% if status == 'open' %}{eta + 1}{% endif %}\n";
    let communication = Communication { initial_alert: text.into(), ..communication() };
    let told = notice(&NoticeEvent::Opened, "slack");
    let wording = Wording::new(&communication).unwrap();
    let message = wording.message(&told, Escape::Mrkdwn, None);
    assert_eq!(message.template_error.map(|error| error.line), Some(1));
    assert_eq!(
        message.text,
        "Incident: INC-20261123-0007\nType: service_outage\nSeverity: critical\nImpact: CPU of checkout at 95 %; \
         1 service, 14 tenants\nResponse team: operations\nStatus: open\nActions taken: none yet\nNext steps: \
         Review active processes; Roll back if needed; Optimize workloads; and 1 more\nETA: \
         <!date^1795403820^{time}|03:17 UTC>\n"
    );
}

#[test]
fn what_is_empty_says_so_and_another_day_has_its_date() {
    let told = notice(&NoticeEvent::StatusUpdate, "slack");
    let facts =
        Facts { eta: Some("2026-11-24T00:10:00Z".parse().unwrap()), next_steps: Vec::new(), ..told.facts };
    let told = Notice { facts: Facts { actions: Vec::new(), ..facts }, ..told };
    let wording = Wording::new(&communication()).unwrap();
    assert_eq!(
        wording.message(&told, Escape::Text, None).text,
        "Status: acknowledged by Ana\nActions taken: none yet\nNext steps: none yet\nETA: 2026-11-24 00:10 UTC\n"
    );
    let slack = wording.message(&told, Escape::Mrkdwn, None).text;
    assert!(
        slack.ends_with("<!date^1795479000^{date_short_pretty} {time}|2026-11-24 00:10 UTC>\n"),
        "{slack}"
    );
}

#[test]
fn a_template_with_an_unknown_name_is_refused_with_the_channels() {
    let communication = Communication { status_update: "{statsu}".into(), ..communication() };
    let error = Wording::new(&communication).unwrap_err().to_string();
    assert_eq!(
        error,
        "the template `status_update`: line 1 of the template: unknown placeholder `{statsu}`, did you mean `{status}`?"
    );
}
