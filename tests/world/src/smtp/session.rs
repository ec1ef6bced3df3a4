//! One SMTP connection (RFC 5321, with STARTTLS of RFC 3207 and AUTH of RFC 4954), from greeting to end.

use std::{fmt::Write as _, io, ops::ControlFlow, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{Security, Service, Trouble, message};

/// The largest message in bytes.
const LARGEST_MESSAGE: usize = 10 << 20;
/// The longest line in bytes, its end included; the protocol asks for at least 1000 in message text.
const LONGEST_LINE: usize = 64 << 10;

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Serves a connection until either side ends it.
pub(super) async fn serve(service: Arc<Service>, stream: TcpStream) {
    let opened = async {
        let wire: Box<dyn Wire> = if service.options.security == Security::Implicit {
            Box::new(service.acceptor.accept(stream).await?)
        } else {
            Box::new(stream)
        };
        let tls = service.options.security == Security::Implicit;
        let session = Session { service: &service, wire: BufReader::new(wire), tls, user: None, mail: None };
        session.run().await
    };
    // A connection that breaks is the sender's to notice; what had been received is on record.
    let _: io::Result<()> = opened.await;
}

/// A mail transaction that has begun.
struct Transaction {
    trouble: Trouble,
    from: String,
    to: Vec<String>,
}

struct Session<'a> {
    service: &'a Service,
    wire: BufReader<Box<dyn Wire>>,
    tls: bool,
    user: Option<String>,
    mail: Option<Transaction>,
}

/// A reply, and whether the session goes on after it.
type Reply = ControlFlow<(u16, &'static str), (u16, String)>;

fn reply(code: u16, text: &str) -> Reply {
    ControlFlow::Continue((code, text.to_owned()))
}

impl Session<'_> {
    async fn run(mut self) -> io::Result<()> {
        self.say(220, "world.test ESMTP").await?;
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = verb.to_ascii_uppercase();
            let shown = if verb == "AUTH" { "AUTH".to_owned() } else { line.clone() };
            let receipt = self.service.commands.receive(shown);
            if verb == "DATA" && self.may_send_data() {
                if !self.data(receipt).await? {
                    return Ok(());
                }
                continue;
            }
            let answer = match verb.as_str() {
                "AUTH" => self.auth(argument).await?,
                _ => self.command(&verb, argument),
            };
            match answer {
                ControlFlow::Continue((code, text)) => {
                    receipt.answered(code);
                    self.say(code, &text).await?;
                    if verb == "STARTTLS" && code == 220 {
                        self = self.secure().await?;
                    }
                }
                ControlFlow::Break((code, text)) => {
                    receipt.answered(code);
                    self.say(code, text).await?;
                    return self.wire.shutdown().await;
                }
            }
        }
        Ok(())
    }

    fn command(&mut self, verb: &str, argument: &str) -> Reply {
        match verb {
            "EHLO" => {
                self.mail = None;
                reply(250, &self.extensions())
            }
            "HELO" => {
                self.mail = None;
                reply(250, "world.test")
            }
            "STARTTLS" if self.offers_starttls() => reply(220, "Ready to start TLS"),
            "MAIL" => self.mail_from(argument),
            "RCPT" => self.rcpt_to(argument),
            "DATA" => reply(503, "5.5.1 Bad sequence of commands"),
            "RSET" => {
                self.mail = None;
                reply(250, "2.0.0 Ok")
            }
            "NOOP" => reply(250, "2.0.0 Ok"),
            "VRFY" => reply(252, "2.0.0 Cannot say"),
            "QUIT" => ControlFlow::Break((221, "2.0.0 Bye")),
            _ => reply(502, "5.5.2 Command not recognized"),
        }
    }

    fn extensions(&self) -> String {
        let mut lines =
            vec!["world.test".to_owned(), "8BITMIME".to_owned(), format!("SIZE {LARGEST_MESSAGE}")];
        if self.offers_starttls() {
            lines.push("STARTTLS".to_owned());
        }
        if self.offers_auth() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        lines.join("\n")
    }

    fn offers_starttls(&self) -> bool {
        self.service.options.security == Security::StartTls && !self.tls
    }

    /// A password is asked for only where nobody reads along, or where there is no other way.
    fn offers_auth(&self) -> bool {
        self.service.options.login.is_some() && !self.offers_starttls()
    }

    async fn secure(self) -> io::Result<Self> {
        // What was sent ahead of the handshake must not count as sent within it, so the buffer is thrown away.
        let plain = self.wire.into_inner();
        let wire: Box<dyn Wire> = Box::new(self.service.acceptor.accept(plain).await?);
        Ok(Session { service: self.service, wire: BufReader::new(wire), tls: true, user: None, mail: None })
    }

    // === login ===

    async fn auth(&mut self, argument: &str) -> io::Result<Reply> {
        if !self.offers_auth() {
            return Ok(reply(502, "5.5.1 AUTH not available"));
        }
        if self.user.is_some() || self.mail.is_some() {
            return Ok(reply(503, "5.5.1 Bad sequence of commands"));
        }
        let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        let given = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let answer = if initial.is_empty() { self.challenge("").await? } else { initial.to_owned() };
                plain_credentials(&answer)
            }
            "LOGIN" => {
                // "Username:" and "Password:" in base64.
                let user = if initial.is_empty() {
                    self.challenge("VXNlcm5hbWU6").await?
                } else {
                    initial.to_owned()
                };
                let password = self.challenge("UGFzc3dvcmQ6").await?;
                decode_text(&user).zip(decode_text(&password))
            }
            _ => return Ok(reply(504, "5.5.4 Unrecognized authentication type")),
        };
        let Some(given) = given else { return Ok(reply(501, "5.5.2 Cannot decode")) };
        if Some(&given) == self.service.options.login.as_ref() {
            self.user = Some(given.0);
            return Ok(reply(235, "2.7.0 Authentication successful"));
        }
        Ok(reply(535, "5.7.8 Authentication credentials invalid"))
    }

    async fn challenge(&mut self, challenge: &str) -> io::Result<String> {
        self.say(334, challenge).await?;
        let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }

    // === mail transaction ===

    fn mail_from(&mut self, argument: &str) -> Reply {
        if self.offers_starttls() {
            return reply(530, "5.7.0 Must issue a STARTTLS command first");
        }
        if self.offers_auth() && self.user.is_none() {
            return reply(530, "5.7.0 Authentication required");
        }
        if self.mail.is_some() {
            return reply(503, "5.5.1 Sender already given");
        }
        let Some((from, parameters)) = path(argument, "FROM:") else {
            return reply(501, "5.5.4 Syntax: MAIL FROM:<address>");
        };
        for parameter in parameters.split_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" if value.parse::<usize>().is_ok_and(|size| size > LARGEST_MESSAGE) => {
                    return reply(552, "5.3.4 Message size exceeds fixed limit");
                }
                "BODY" | "AUTH" | "SIZE" => {}
                _ => return reply(555, "5.5.4 Unsupported option"),
            }
        }
        let trouble = self.service.faults.draw();
        if trouble == Trouble::Unavailable {
            return ControlFlow::Break((421, "4.3.2 Service not available, closing transmission channel"));
        }
        self.mail = Some(Transaction { trouble, from, to: Vec::new() });
        reply(250, "2.1.0 Ok")
    }

    fn rcpt_to(&mut self, argument: &str) -> Reply {
        let Some(mail) = &mut self.mail else { return reply(503, "5.5.1 Need MAIL command") };
        let Some((to, _)) = path(argument, "TO:").filter(|(to, _)| to.contains('@')) else {
            return reply(501, "5.5.4 Syntax: RCPT TO:<address>");
        };
        if let Trouble::Recipient { code, only } = &mail.trouble
            && only.as_ref().is_none_or(|only| *only == to)
        {
            let class = code / 100;
            return reply(*code, &format!("{class}.2.0 <{to}>: recipient refused"));
        }
        mail.to.push(to);
        reply(250, "2.1.5 Ok")
    }

    fn may_send_data(&self) -> bool {
        self.mail.as_ref().is_some_and(|mail| !mail.to.is_empty())
    }

    /// Takes the message; false if the session ends with it.
    async fn data(&mut self, command: crate::journal::Receipt<String>) -> io::Result<bool> {
        let Some(Transaction { trouble, from, to }) = self.mail.take() else { return Ok(false) };
        if trouble == Trouble::HangAtData {
            command.withheld();
            return std::future::pending().await;
        }
        command.answered(354);
        self.say(354, "End data with <CR><LF>.<CR><LF>").await?;
        let Some(raw) = self.message().await? else {
            self.say(552, "5.3.4 Message size exceeds fixed limit").await?;
            return Ok(true);
        };
        let mut mail = message::parse(raw);
        (mail.from, mail.to, mail.tls, mail.user) = (from, to, self.tls, self.user.clone());
        let receipt = self.service.journal.receive(mail);
        let code = match trouble {
            Trouble::HangAfterDot => {
                receipt.withheld();
                return std::future::pending().await;
            }
            Trouble::CutAfterDot => {
                receipt.withheld();
                return Ok(false);
            }
            Trouble::Content { code } => code,
            Trouble::Late(by) => {
                tokio::time::sleep(by).await;
                250
            }
            Trouble::None | Trouble::Unavailable | Trouble::Recipient { .. } | Trouble::HangAtData => 250,
        };
        receipt.answered(code);
        let class = code / 100;
        let text = if class == 2 { "2.0.0 Ok: queued".to_owned() } else { format!("{class}.0.0 Not taken") };
        self.say(code, &text).await?;
        Ok(true)
    }

    /// The message up to the dot, with dots at the start of lines taken off again; none if it is too large.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut raw = Vec::new();
        let mut too_large = false;
        loop {
            let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line == b".\r\n" {
                return Ok(Some(raw).filter(|_| !too_large));
            }
            too_large |= raw.len() + line.len() > LARGEST_MESSAGE;
            if !too_large {
                raw.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
    }

    // === lines ===

    /// The next line with its end; none at the end of the stream.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let available = self.wire.fill_buf().await?;
            if available.is_empty() {
                return if line.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            line.extend(available.iter().take(taken));
            self.wire.consume(taken);
            if line.len() > LONGEST_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }

    /// Sends a reply; each line of the text becomes one line of it.
    async fn say(&mut self, code: u16, text: &str) -> io::Result<()> {
        let mut lines = text.split('\n').peekable();
        let mut out = String::new();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            let _ = write!(out, "{code}{separator}{line}\r\n");
        }
        self.wire.write_all(out.as_bytes()).await?;
        self.wire.flush().await
    }
}

/// The address between angle brackets after a keyword, and the parameters behind it.
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(String, &'a str)> {
    let argument = argument.trim_start();
    let (start, rest) = argument.split_at_checked(keyword.len())?;
    let rest = rest.trim_start().strip_prefix('<')?;
    let (address, parameters) = rest.split_once('>')?;
    start.eq_ignore_ascii_case(keyword).then(|| (address.to_owned(), parameters))
}

/// `authorization NUL name NUL password` in base64 (RFC 4616).
fn plain_credentials(answer: &str) -> Option<(String, String)> {
    let text = decode_text(answer)?;
    let mut fields = text.split('\0').skip(1);
    Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
}

fn decode_text(base64: &str) -> Option<String> {
    String::from_utf8(message::base64(base64.as_bytes())?).ok()
}
