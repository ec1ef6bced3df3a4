//! The mail server, spoken to line by line.

use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use world::{
    journal::Answer,
    smtp::{Options, Security, Smtp, Trouble},
    tls::Identity,
};

use crate::SOON;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A client that sends lines and reads replies.
struct Client(BufReader<Box<dyn Wire>>);

impl Client {
    /// Connects, over TLS if the server is set up so, and takes the greeting.
    async fn connect(server: &Smtp, security: Security) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let wire: Box<dyn Wire> = match security {
            Security::Implicit => Box::new(tls(server.identity(), stream).await.unwrap()),
            Security::Plain | Security::StartTls => Box::new(stream),
        };
        let mut client = Self(BufReader::new(wire));
        assert_eq!(client.reply().await.unwrap().0, 220);
        client
    }

    async fn plain(server: &Smtp) -> Self {
        Self::connect(server, Security::Plain).await
    }

    /// Sends a line and takes the reply's code and text; none if the connection ended instead.
    async fn send(&mut self, line: &str) -> Option<(u16, String)> {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    async fn code(&mut self, line: &str) -> u16 {
        self.send(line).await.unwrap().0
    }

    async fn reply(&mut self) -> Option<(u16, String)> {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            if tokio::time::timeout(SOON, self.0.read_line(&mut line)).await.unwrap().unwrap_or(0) == 0 {
                return None;
            }
            let (code, rest) = line.split_at(3);
            text.push_str(rest[1..].trim_end());
            text.push('\n');
            if rest.starts_with(' ') {
                return Some((code.parse().unwrap(), text));
            }
        }
    }

    async fn starttls(mut self, identity: &Identity) -> std::io::Result<Self> {
        assert_eq!(self.code("STARTTLS").await, 220);
        Ok(Self(BufReader::new(Box::new(tls(identity, self.0.into_inner()).await?))))
    }

    /// From `MAIL` to the dot; the codes of each step as far as it came.
    async fn mail(&mut self, message: &str) -> Vec<u16> {
        let mut codes = Vec::new();
        let dot = format!("{message}\r\n.");
        for line in ["MAIL FROM:<runbook@a.test> BODY=8BITMIME", "RCPT TO:<ana@b.test>", "DATA", &dot] {
            let Some((code, _)) = self.send(line).await else { return codes };
            codes.push(code);
            if code >= 400 {
                return codes;
            }
        }
        codes
    }
}

async fn tls<S: Wire>(identity: &Identity, stream: S) -> std::io::Result<tokio_rustls::client::TlsStream<S>> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(identity.client_config().unwrap()).connect(name, stream).await
}

async fn start(security: Security, login: bool) -> Smtp {
    let login = login.then(|| ("runbook".to_owned(), "secret".to_owned()));
    Smtp::start(Options { security, login }).await.unwrap()
}

const MAIL: &str = "Subject: down\r\n\r\nbody";

#[tokio::test]
async fn takes_a_message_with_its_dots() {
    let server = start(Security::Plain, false).await;
    let mut client = Client::plain(&server).await;
    let (code, extensions) = client.send("EHLO me").await.unwrap();
    assert_eq!(code, 250);
    assert!(
        extensions.contains("8BITMIME") && !extensions.contains("STARTTLS") && !extensions.contains("AUTH")
    );
    assert_eq!(
        client.mail("Subject: =?utf-8?Q?=C3=BCber?=\r\n\r\n..dot\r\n...\r\nend").await,
        [250, 250, 354, 250]
    );
    let mail = server.journal.wait_for(|mail| mail.from == "runbook@a.test", SOON).await.unwrap();
    assert_eq!((mail.to, mail.tls, mail.user.clone()), (vec!["ana@b.test".to_owned()], false, None));
    assert_eq!(mail.raw, b"Subject: =?utf-8?Q?=C3=BCber?=\r\n\r\n.dot\r\n..\r\nend\r\n");
    assert_eq!(mail.headers, [("Subject".to_owned(), "über".to_owned())]);
    assert_eq!(mail.parts[0].text(), ".dot\r\n..\r\nend\r\n");
    assert_eq!(client.code("QUIT").await, 221);
    assert_eq!(client.send("NOOP").await, None);
}

#[tokio::test]
async fn the_order_of_commands_is_kept() {
    let server = start(Security::Plain, false).await;
    let mut client = Client::plain(&server).await;
    for (line, code) in [
        ("EHLO me", 250),
        ("NOOP", 250),
        ("DATA", 503),
        ("RCPT TO:<a@b.test>", 503),
        ("MAIL FROM:no-brackets@b.test", 501),
        ("MAIL FROM:<a@b.test> SIZE=99999999", 552),
        ("MAIL FROM:<a@b.test> SMTPUTF8", 555),
        ("MAIL FROM:<>", 250),
        ("MAIL FROM:<a@b.test>", 503),
        ("DATA", 503),
        ("RCPT TO:<nobody>", 501),
        ("RSET", 250),
        ("RCPT TO:<a@b.test>", 503),
        ("STARTTLS", 502),
        ("AUTH PLAIN AA==", 502),
        ("FLY", 502),
    ] {
        assert_eq!(client.code(line).await, code, "{line}");
    }
    let entry = server.commands.wait_for_entry(|entry| entry.body == "FLY", SOON).await.unwrap();
    assert_eq!(entry.answer, Answer::Code(502));
    assert_eq!(server.journal.count(), 0);
}

#[tokio::test]
async fn starttls_comes_before_login_and_mail() {
    let server = start(Security::StartTls, true).await;
    let mut client = Client::plain(&server).await;
    let (_, extensions) = client.send("EHLO me").await.unwrap();
    assert!(extensions.contains("STARTTLS") && !extensions.contains("AUTH"), "{extensions}");
    assert_eq!(client.code("MAIL FROM:<a@b.test>").await, 530);
    let mut client = client.starttls(server.identity()).await.unwrap();
    let (_, extensions) = client.send("EHLO me").await.unwrap();
    assert!(extensions.contains("AUTH PLAIN LOGIN") && !extensions.contains("STARTTLS"), "{extensions}");
    assert_eq!(client.code("MAIL FROM:<a@b.test>").await, 530);
    // \0runbook\0wrong, then \0runbook\0secret.
    assert_eq!(client.code("AUTH PLAIN AHJ1bmJvb2sAd3Jvbmc=").await, 535);
    assert_eq!(client.code("AUTH PLAIN AHJ1bmJvb2sAc2VjcmV0").await, 235);
    assert_eq!(client.mail(MAIL).await, [250, 250, 354, 250]);
    let mail = &server.journal.bodies()[0];
    assert_eq!((mail.tls, mail.user.as_deref()), (true, Some("runbook")));
    assert_eq!(server.commands.count_where(|line| line.contains("AHJ1")), 0, "a password is not kept");
}

#[tokio::test]
async fn implicit_tls_with_login_in_two_steps() {
    let server = start(Security::Implicit, true).await;
    assert!(server.url().starts_with("smtps://runbook@127.0.0.1:"));
    let mut client = Client::connect(&server, Security::Implicit).await;
    assert_eq!(client.code("EHLO me").await, 250);
    assert_eq!(client.send("AUTH LOGIN").await.unwrap(), (334, "VXNlcm5hbWU6\n".to_owned()));
    assert_eq!(client.send("cnVuYm9vaw==").await.unwrap(), (334, "UGFzc3dvcmQ6\n".to_owned()));
    assert_eq!(client.code("c2VjcmV0").await, 235);
    assert_eq!(client.mail(MAIL).await, [250, 250, 354, 250]);
    assert!(server.journal.bodies()[0].tls);
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let server = start(Security::StartTls, false).await;
    let client = Client::plain(&server).await;
    let error = client.starttls(&Identity::issue().unwrap()).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let stranger = Identity::issue_for(&["mail.elsewhere.test"]).unwrap();
    let options = Options::default();
    let server = Smtp::start_at(world::loopback::ANY_PORT, options, stranger.clone()).await.unwrap();
    assert!(Client::plain(&server).await.starttls(&stranger).await.is_err(), "the name does not fit");
}

#[tokio::test]
async fn refusals_by_recipient_and_by_content() {
    let server = start(Security::Plain, false).await;
    let mut client = Client::plain(&server).await;
    client.code("EHLO me").await;
    server.faults.next_requests(1, Trouble::Recipient { code: 451, only: None });
    assert_eq!(client.mail(MAIL).await, [250, 451]);
    client.code("RSET").await;
    let only = Some("ben@b.test".to_owned());
    server.faults.next_requests(1, Trouble::Recipient { code: 550, only });
    for (line, code) in
        [("MAIL FROM:<a@b.test>", 250), ("RCPT TO:<ben@b.test>", 550), ("RCPT TO:<ana@b.test>", 250)]
    {
        assert_eq!(client.code(line).await, code);
    }
    client.code("RSET").await;
    server.faults.next_requests(1, Trouble::Content { code: 452 });
    assert_eq!(client.mail(MAIL).await, [250, 250, 354, 452]);
    assert_eq!(client.mail(MAIL).await, [250, 250, 354, 250]);
    let answers: Vec<Answer> = server.journal.entries().iter().map(|entry| entry.answer).collect();
    assert_eq!(answers, [Answer::Code(452), Answer::Code(250)]);
    server.faults.next_requests(1, Trouble::Unavailable);
    assert_eq!(client.mail(MAIL).await, [421]);
    assert_eq!(client.send("NOOP").await, None);
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_was_taken() {
    let server = start(Security::StartTls, false).await;
    server.faults.set(Trouble::CutAfterDot);
    let mut client = Client::plain(&server).await.starttls(server.identity()).await.unwrap();
    client.code("EHLO me").await;
    assert_eq!(client.mail(MAIL).await, [250, 250, 354]);
    let entry = server.journal.wait_for_entry(|_| true, SOON).await.unwrap();
    assert_eq!((entry.answer, entry.body.text().as_deref()), (Answer::Withheld, Some("body\r\n")));
}

#[tokio::test]
async fn a_server_that_hangs_does_so_until_it_is_taken_down() {
    let server = start(Security::Plain, false).await;
    for (trouble, taken) in [(Trouble::HangAtData, 0), (Trouble::HangAfterDot, 1)] {
        server.faults.set(trouble);
        let mut client = Client::plain(&server).await;
        client.code("EHLO me").await;
        let sending = tokio::spawn(async move { client.mail(MAIL).await });
        if taken == 0 {
            server.commands.wait_for(|line| line == "DATA", SOON).await.unwrap();
        } else {
            server.journal.wait_count(taken, SOON).await.unwrap();
        }
        assert!(!sending.is_finished());
        server.take_down().await;
        sending.await.unwrap();
        assert!(TcpStream::connect(server.address()).await.is_err());
        server.bring_up().await.unwrap();
    }
    server.faults.set(Trouble::Late(Duration::from_millis(20)));
    let mut client = Client::plain(&server).await;
    assert_eq!(client.mail(MAIL).await, [250, 250, 354, 250]);
    assert_eq!(server.journal.count(), 2);
}
