//! Mail to a server that speaks SMTP: the three kinds of protection, logins, and what each answer means.

use std::io::Write as _;
use std::time::Duration;

use runbookd::config::settings::{ChannelSettings, EmailSettings, SmtpTls};
use runbookd::domain::delivery::Attempt;
use runbookd::domain::digest::{Digest, DigestRow};
use runbookd::domain::labels::Labels;
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::domain::severity::Severity;
use runbookd::domain::template::Escape;
use runbookd::notify::channels::Channels;
use runbookd::notify::email;
use runbookd::notify::render::Wording;
use runbookd::notify::smtp::Mailer;
use tempfile::NamedTempFile;
use world::smtp::{Options, Security, Smtp, Trouble};

use crate::story::{
    PASSWORD, addresses, channels, communication, detail, mail_server, notice, secret, shown,
};

async fn server(security: Security, login: bool) -> Smtp {
    let login = login.then(|| ("runbookd".to_owned(), PASSWORD.to_owned()));
    Smtp::start(Options { security, login }).await.unwrap()
}

fn authority(server: &Smtp) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(server.ca_pem().as_bytes()).unwrap();
    file
}

fn with(settings: EmailSettings) -> Channels {
    channels("email", ChannelSettings::Email(settings))
}

fn login(settings: EmailSettings, password: &str) -> EmailSettings {
    EmailSettings { user: Some("runbookd".into()), password: Some(secret(password)), ..settings }
}

#[tokio::test]
async fn mail_arrives_over_every_protection_with_a_private_authority_and_a_login() {
    for (security, tls) in [(Security::StartTls, SmtpTls::StartTls), (Security::Implicit, SmtpTls::Implicit)]
    {
        let server = server(security, true).await;
        let ca = authority(&server);
        let settings = EmailSettings {
            tls,
            ca_file: Some(ca.path().to_path_buf()),
            ..login(mail_server(server.address()), PASSWORD)
        };
        let channels = with(settings);
        for event in [NoticeEvent::Opened, NoticeEvent::Resolved] {
            assert_eq!(channels.deliver(&notice(&event, "email")).await, Attempt::ACCEPTED, "{security:?}");
        }
        let mails = server.journal.bodies();
        assert_eq!(mails.len(), 2);
        assert!(mails.iter().all(|mail| mail.tls && mail.user.as_deref() == Some("runbookd")));
        assert_eq!(mails[1].header("In-Reply-To"), mails[0].header("Message-ID"));
        assert_eq!(mails[0].header("Date"), Some("Mon, 23 Nov 2026 03:11:00 +0000"));
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_cannot_prove_itself_or_protect_the_mail() {
    let stranger = server(Security::Implicit, true).await;
    let settings = login(mail_server(stranger.address()), PASSWORD);
    let attempt = with(EmailSettings { tls: SmtpTls::Implicit, ..settings }).deliver(&told()).await;
    assert_eq!(shown(&attempt), "failed unreachable", "{attempt:?}");
    assert_eq!(stranger.commands.count(), 0);

    let plain = server(Security::Plain, true).await;
    let settings = login(mail_server(plain.address()), PASSWORD);
    let attempt = with(EmailSettings { tls: SmtpTls::StartTls, ..settings }).deliver(&told()).await;
    assert_eq!(shown(&attempt), "refused rejected", "{attempt:?}");
    assert_eq!(
        plain.commands.count_where(|command| command.starts_with("AUTH") || command.starts_with("MAIL")),
        0
    );
}

fn told() -> runbookd::domain::notice::Notice {
    notice(&NoticeEvent::Opened, "email")
}

#[tokio::test]
async fn a_wrong_login_is_refused_and_a_new_password_is_used_at_once() {
    let server = server(Security::Plain, true).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let settings = EmailSettings {
        user: Some("runbookd".into()),
        password: Some(runbookd::config::secret::SecretSource::File(file.clone())),
        ..mail_server(server.address())
    };
    let channels = with(settings);
    assert_eq!(shown(&channels.deliver(&told()).await), "failed not_rendered");
    std::fs::write(&file, "wrong-password").unwrap();
    let attempt = channels.deliver(&told()).await;
    assert_eq!(shown(&attempt), "refused unauthorized", "{attempt:?}");
    assert!(!detail(&attempt).contains("wrong-password"));
    std::fs::write(&file, PASSWORD).unwrap();
    assert_eq!(channels.deliver(&told()).await, Attempt::ACCEPTED);
    // Nobody logged in where the server asks for it.
    let anonymous = with(mail_server(server.address())).deliver(&told()).await;
    assert_eq!(shown(&anonymous), "refused unauthorized", "{anonymous:?}");
}

#[tokio::test]
async fn mail_answers_have_their_classes() {
    let server = server(Security::Plain, false).await;
    let channels = with(mail_server(server.address()));
    let all = |code| Trouble::Recipient { code, only: None };
    for (trouble, times, expected) in [
        (Trouble::None, 1, "accepted"),
        (Trouble::Unavailable, 1, "failed server_error"),
        (all(451), 1, "failed server_error"),
        (all(550), 3, "refused rejected"),
        (Trouble::Content { code: 452 }, 1, "failed server_error"),
        (Trouble::Content { code: 554 }, 3, "refused rejected"),
        (Trouble::CutAfterDot, 1, "failed unreachable"),
        (Trouble::None, 1, "accepted"),
    ] {
        server.faults.next_requests(times, trouble.clone());
        let attempt = channels.deliver(&told()).await;
        assert_eq!(shown(&attempt), expected, "{trouble:?}: {attempt:?}");
    }
    server.take_down().await;
    assert_eq!(shown(&channels.deliver(&told()).await), "failed unreachable");
}

#[tokio::test]
async fn one_bad_address_does_not_keep_the_mail_from_the_others() {
    let server = server(Security::Plain, false).await;
    let channels = with(mail_server(server.address()));
    server.faults.set(Trouble::Recipient { code: 550, only: Some("oncall@example.org".into()) });
    assert_eq!(channels.deliver(&told()).await, Attempt::ACCEPTED);
    let mails = server.journal.bodies();
    assert_eq!(mails.iter().map(|mail| mail.to.clone()).collect::<Vec<_>>(), [["ops@example.org"]]);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_alone_for_a_minute() {
    let server = server(Security::Plain, false).await;
    let mailer = Mailer::new(mail_server(server.address())).within(Duration::from_millis(300));
    let wording = Wording::new(&communication()).unwrap();
    let told = told();
    let (text, html) =
        (wording.message(&told, Escape::Text, None), wording.message(&told, Escape::Html, None));
    let mail = email::mail(&text, &html, &addresses()).unwrap();
    for trouble in [Trouble::HangAtData, Trouble::HangAfterDot] {
        server.faults.next_requests(1, trouble);
        let attempt = mailer.send(&mail).await;
        assert_eq!(shown(&attempt), "failed timed_out after 60 s", "{attempt:?}");
    }
    assert_eq!(mailer.send(&mail).await, Attempt::ACCEPTED);
}

#[test]
fn each_digest_is_a_mail_of_its_own_that_says_what_it_is() {
    let told = notice(&NoticeEvent::Opened, "email");
    let digest = |name: &str, event: NoticeEvent| {
        let row = |n: u32| DigestRow {
            incident: format!("INC-20261123-{n:04}").into(),
            event: event.clone(),
            revision: 1,
            page: event.is_page(),
            severity: Severity::Critical,
            incident_type: "service_outage".into(),
            what: format!("pod-{n} CPU 95 %").into(),
            labels: Labels::empty(),
            opened_at: told.created_at,
        };
        let span = (told.created_at, told.created_at);
        let digest = Digest::new(name.into(), (1..=3).map(row).collect(), span);
        let mut facts = told.facts.clone();
        facts.uid = format!("digest/email/{name}").into();
        let id = Notice::id(&facts.uid, &told.channel, 0);
        let digest = Some(Box::new(digest));
        let notice = Notice { id, event: NoticeEvent::Digest, revision: 0, facts, digest, ..told.clone() };
        let wording = Wording::new(&communication()).unwrap();
        let text = wording.message(&notice, Escape::Text, None);
        let html = wording.message(&notice, Escape::Html, None);
        String::from_utf8(email::mail(&text, &html, &addresses()).unwrap().formatted()).unwrap()
    };
    let header = |mail: &str, name: &str| {
        let prefix = format!("{name}: ");
        mail.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
    };
    let (open, over) = (digest("D-0001", NoticeEvent::Opened), digest("D-0002", NoticeEvent::Resolved));
    let subject = header(&open, "Subject").unwrap();
    assert!(subject.starts_with("3 INCIDENTS at once "), "{subject}");
    assert_eq!(header(&over, "Subject").unwrap(), "RESOLVED 3 INCIDENTS at once");
    // A mail program may drop the second mail of one id.
    assert_ne!(header(&open, "Message-ID"), header(&over, "Message-ID"));
    assert_eq!((header(&open, "In-Reply-To"), header(&over, "References")), (None, None));
    assert_eq!(header(&open, "Importance").unwrap(), "high");
    assert_eq!(header(&over, "X-Runbookd-Incident").unwrap(), "D-0002");
}
