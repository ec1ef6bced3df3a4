//! Charts in mail, and mail to the people a notice names, as a mail server receives them.

use runbookd::config::settings::ChannelSettings;
use runbookd::domain::delivery::Attempt;
use runbookd::domain::notice::{NoticeEvent, Recipients};
use runbookd::notify::channels::Channels;
use world::smtp::{Options, Security, Smtp};

use crate::story::{channels, events, mail_server, notice, webhook};

/// What stands for a picture here: a channel does not look into it.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff.\r\n.\r\n and the rest of a picture";

async fn mail() -> (Smtp, Channels) {
    let server = Smtp::start(Options { security: Security::Plain, login: None }).await.unwrap();
    let channels = channels("email", ChannelSettings::Email(mail_server(server.address())));
    (server, channels)
}

#[tokio::test]
async fn a_chart_stands_within_the_mail_with_a_sentence_for_those_who_do_not_see_it() {
    let (server, channels) = mail().await;
    let notice =
        notice(&NoticeEvent::Worsened { was: runbookd::domain::severity::Severity::Warning }, "email");
    for _ in 0..2 {
        assert_eq!(channels.deliver_with(&notice, Some(drawn()), notice.created_at).await, Attempt::ACCEPTED);
    }
    assert_eq!(channels.deliver(&notice).await, Attempt::ACCEPTED);
    let mails = server.journal.bodies();
    assert_eq!(mails[0].raw, mails[1].raw, "a repeat is the same mail");

    let media: Vec<&str> = mails[0].parts.iter().map(|part| part.media_type.as_str()).collect();
    assert_eq!(media, ["text/plain", "text/html", "image/png"]);
    let raw = String::from_utf8_lossy(&mails[0].raw).into_owned();
    let (alternative, related) = (raw.find("multipart/alternative"), raw.find("multipart/related"));
    assert!(alternative.is_some() && alternative < related, "alternative(text, related(html, chart))");
    let picture = mails[0].part("image/png").unwrap();
    assert_eq!(picture.content, PNG);
    let id = picture.header("Content-ID").unwrap().trim_matches(['<', '>']).to_owned();
    assert!(picture.header("Content-Disposition").unwrap().starts_with("inline"));
    let html = mails[0].html().unwrap();
    assert_eq!(html.matches(&format!("src=\"cid:{id}\"")).count(), 1);
    assert!(html.contains("width=\"560\" height=\"240\""));
    let alt = "alt=\"CPU usage of checkout: 95 %, above the limit of 90 %; first breach 03:09 UTC; scaled 4 → 6 at \
               03:12 UTC\"";
    assert!(html.contains(alt), "{html}");
    assert!(!html.contains("data:") && html.len() < 20_000);

    let bare: Vec<&str> = mails[2].parts.iter().map(|part| part.media_type.as_str()).collect();
    assert_eq!(bare, ["text/plain", "text/html"]);
    assert!(!mails[2].html().unwrap().contains("<img"));
    assert_eq!(mails[2].text(), mails[0].text(), "the text part is complete on its own");
}

#[tokio::test]
async fn pages_and_the_all_clear_are_told_with_a_chart_and_nothing_else() {
    let (_server, channels) = mail().await;
    let shown: Vec<&str> = events()
        .iter()
        .filter(|event| channels.shows_charts(&notice(event, "email")))
        .map(NoticeEvent::as_str)
        .collect();
    assert_eq!(shown, ["opened", "worsened", "resolved", "reopened", "escalated"]);
    let other = crate::story::channels("audit", webhook("http://127.0.0.1:1/".into()));
    assert!(!other.shows_charts(&notice(&NoticeEvent::Opened, "audit")));
}

#[tokio::test]
async fn a_notice_goes_to_the_people_it_names() {
    let (server, channels) = mail().await;
    let named = |who: &[&str]| who.iter().map(|it| (*it).into()).collect::<Vec<_>>();
    let own = ["oncall@example.org", "ops@example.org"];
    for (recipients, expected) in [
        (Recipients::Own, own.to_vec()),
        (Recipients::Only(named(&["Lead <lead@example.org>"])), vec!["lead@example.org"]),
        (
            Recipients::OwnAnd(named(&[
                "lead@example.org",
                "ops@example.org",
                "no address\r\nBcc: x@example.org",
            ])),
            vec!["oncall@example.org", "ops@example.org", "lead@example.org"],
        ),
        (Recipients::Only(named(&["nobody", ""])), own.to_vec()),
    ] {
        let notice = runbookd::domain::notice::Notice { recipients, ..notice(&NoticeEvent::Opened, "email") };
        assert_eq!(channels.deliver(&notice).await, Attempt::ACCEPTED);
        let mails = server.journal.bodies();
        let mail = mails.last().unwrap();
        assert_eq!(mail.to, expected);
        assert!(!String::from_utf8_lossy(&mail.raw).contains("Bcc"));
    }
}

#[test]
fn pagerduty_is_given_a_link_and_over_https_the_picture() {
    use runbookd::domain::template::Escape;
    use runbookd::notify::{pagerduty, render::Wording};

    let wording = Wording::new(&crate::story::communication()).unwrap();
    let event = |notice: &runbookd::domain::notice::Notice, url: Option<&str>| {
        pagerduty::events(&wording.message(notice, Escape::Text, url)).remove(0)
    };
    let opened = notice(&NoticeEvent::Opened, "pagerduty");
    for (url, images) in [("https://runbookd.example.org", 1), ("http://runbookd.shop.svc", 0)] {
        let event = event(&opened, Some(url));
        let chart = format!("{url}/incidents/INC-20261123-0007/chart.png");
        assert_eq!(event["links"][1], serde_json::json!({"href": chart, "text": "Chart"}));
        assert_eq!(event["images"].as_array().map_or(0, Vec::len), images, "{url}");
        if images > 0 {
            assert_eq!(event["images"][0]["src"], chart);
        }
    }
    assert_eq!(event(&opened, None)["links"][0]["text"], "Runbook", "no address, no picture");
    let mut undrawn = opened;
    undrawn.facts.lead = None;
    let event = event(&undrawn, Some("https://runbookd.example.org"));
    assert!(event.get("images").is_none() && !event.to_string().contains("chart.png"));
}

/// A chart that is there at once.
fn drawn() -> runbookd::notify::LateChart<'static> {
    Box::pin(std::future::ready(Some(PNG.into())))
}
