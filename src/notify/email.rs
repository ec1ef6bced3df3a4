//! Mail: what a message looks like to a reader and to a mail program. Owns headers, threading and the text part; the
//! HTML part is `html.rs`, the way to the server `smtp.rs`.
//!
//! One incident is one thread: the subject never changes, every mail answers the opening one, and the state stands in
//! the sender's name, which lists and lock screens show beside the subject.

use std::fmt::Write as _;
use std::time::SystemTime;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};

use crate::domain::headline::{one_line, shortened, spoken};
use crate::domain::notice::{Notice, NoticeEvent, Recipients};
use crate::domain::severity::Severity;

use super::html;
use super::render::{Message, is_over};

/// The longest subject name within a Subject.
const LONGEST_SUBJECT: usize = 60;
/// The longest Subject of a digest, which is its headline.
const LONGEST_DIGEST_SUBJECT: usize = 120;
/// How many lines a list has.
const MOST_LINES: usize = 10;
/// Where a list's lines are folded, in columns.
const WIDTH: usize = 72;

/// Who a mail is from and to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The sender.
    pub from: Mailbox,
    /// The receivers.
    pub to: Vec<Mailbox>,
}

impl Addresses {
    /// Reads the addresses as they are configured; the error is the one that cannot be read.
    pub fn read(from: &str, to: &[impl AsRef<str>]) -> Result<Self, String> {
        let read = |text: &str| text.trim().parse::<Mailbox>().map_err(|_| text.to_owned());
        let to = to.iter().map(|text| read(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { from: read(from)?, to })
    }

    /// Whom one notice goes to. An address that cannot be read is left out; where none is left, the channel's own
    /// receivers hear of it, because somebody must.
    #[must_use]
    pub fn for_recipients(&self, recipients: &Recipients) -> Self {
        let mut to = if recipients.has_own() { self.to.clone() } else { Vec::new() };
        for text in recipients.named() {
            match text.trim().parse::<Mailbox>() {
                Ok(address) if to.iter().all(|known| known.email != address.email) => to.push(address),
                Ok(_) => {}
                Err(_) => tracing::warn!(address = %one_line(text), "no mail address, left out"),
            }
        }
        if to.is_empty() {
            to.clone_from(&self.to);
        }
        Self { from: self.from.clone(), to }
    }
}

/// The mail of a notice without a chart.
pub fn mail(
    text: &Message<'_>,
    html: &Message<'_>,
    addresses: &Addresses,
) -> Result<lettre::Message, lettre::error::Error> {
    mail_with(text, html, addresses, None)
}

/// The mail of a notice, made from its message for plain text and for HTML, and of its chart, a PNG that stands within
/// the HTML. The same notice makes the same mail, byte for byte, so that a repeat is one that mail programs can
/// recognise.
pub fn mail_with(
    text: &Message<'_>,
    html: &Message<'_>,
    addresses: &Addresses,
    chart: Option<&[u8]>,
) -> Result<lettre::Message, lettre::error::Error> {
    let notice = text.notice;
    let facts = &notice.facts;
    let host = addresses.from.email.domain();
    let own = message_id(notice, notice.revision, host);
    let opening = message_id(notice, facts.opened_revision, host);
    let sender = Mailbox::new(Some(sender_name(notice)), addresses.from.email.clone());
    let mut mail = lettre::Message::builder().from(sender).date(SystemTime::from(notice.created_at));
    for receiver in &addresses.to {
        mail = mail.to(receiver.clone());
    }
    let subject = subject(notice);
    if notice.digest.is_some() {
        // About many incidents: a thread of its own.
        let headline = one_line(&text.headline);
        mail = mail.subject(shortened(&headline, LONGEST_DIGEST_SUBJECT)).message_id(Some(own));
    } else if notice.event == NoticeEvent::Opened || own == opening {
        mail = mail.subject(subject).message_id(Some(own));
    } else {
        mail = mail
            .subject(format!("Re: {subject}"))
            .message_id(Some(own))
            .in_reply_to(opening.clone())
            .references(opening);
    }
    if notice.is_page() && facts.severity == Severity::Critical {
        mail = mail.raw_header(header("Importance", "high"));
    }
    let about = notice.digest.as_ref().map_or(facts.incident_id.as_str(), |digest| &digest.name);
    mail.raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Runbookd-Incident", about))
        .raw_header(header("X-Runbookd-Severity", facts.severity.as_str()))
        .raw_header(header("X-Runbookd-Event", notice.event.as_str()))
        .multipart(parts(text, html, host, chart))
}

/// `alternative(text, html)`, with a chart `alternative(text, related(html, chart))`.
fn parts(text: &Message<'_>, html: &Message<'_>, host: &str, chart: Option<&[u8]>) -> MultiPart {
    let id = word(text.notice.id.as_str());
    let plain = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text_part(text));
    let both = MultiPart::alternative().boundary(format!("runbookd-{id}")).singlepart(plain);
    let page = |chart: Option<&str>| {
        SinglePart::builder().header(ContentType::TEXT_HTML).body(html::page(html, chart))
    };
    let (Some(png), Ok(kind)) = (chart, ContentType::parse("image/png")) else {
        return both.singlepart(page(None));
    };
    let name = format!("chart.{id}@{host}");
    let picture = Attachment::new_inline_with_name(name.clone(), "chart.png".to_owned());
    let related = MultiPart::related()
        .boundary(format!("runbookd-{id}-chart"))
        .singlepart(page(Some(&name)))
        .singlepart(picture.body(Body::new(png.to_vec()), kind));
    both.multipart(related)
}

/// The Subject of every mail about an incident, without `Re:`. No brackets: some mail programs ignore what is in them
/// when they sort mails into threads.
pub fn subject(notice: &Notice) -> String {
    let facts = &notice.facts;
    let subject = shortened(&one_line(&facts.subject_name), LONGEST_SUBJECT);
    let metric = shortened(&one_line(&spoken(&facts.opened_by)), LONGEST_SUBJECT);
    format!("{} {subject} {metric}", one_line(facts.incident_id.as_str()))
}

/// `<inc-20261123-0007.3f2a9c1e.r7.email@host>`. The identity is in it because a restored database may hand out a
/// number twice, and a mail program may drop the second mail of one id.
fn message_id(notice: &Notice, revision: u32, host: &str) -> String {
    if let Some(digest) = &notice.digest {
        return format!("<{}.{}@{host}>", word(&digest.name), word(notice.id.as_str()));
    }
    let uid: String = word(&notice.facts.uid).chars().take(12).collect();
    let number = word(notice.facts.incident_id.as_str());
    format!("<{number}.{uid}.r{revision}.{}@{host}>", word(notice.channel.as_str()))
}

fn sender_name(notice: &Notice) -> String {
    let state = if is_over(notice) { "RESOLVED" } else { notice.facts.severity.shout() };
    format!("{state} runbookd")
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), one_line(value))
}

/// Letters, digits and hyphens in lower case: what may stand in an id.
fn word(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(safe).collect()
}

/// The part that is complete on its own.
fn text_part(message: &Message<'_>) -> String {
    let notice = message.notice;
    let mut out = format!("{}\n\n", message.headline);
    if notice.digest.is_none() && !message.names_incident() {
        line(&mut out, notice.facts.incident_id.as_str());
    }
    out.push_str(&message.text);
    if !message.text.ends_with('\n') {
        out.push('\n');
    }
    for (title, mark, lines) in [
        ("What runbookd did", "- ", message.did(MOST_LINES)),
        ("What runbookd found", "- ", message.found(MOST_LINES)),
        ("Do next", "[ ] ", message.next_steps(MOST_LINES)),
    ] {
        if !lines.is_empty() && !is_over(notice) {
            line(&mut out, "");
            line(&mut out, title);
            for text in lines {
                folded(&mut out, mark, &text);
            }
        }
    }
    for (name, url) in message.links() {
        line(&mut out, "");
        line(&mut out, &name);
        line(&mut out, url);
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{text}");
}

/// Folds a list's line at words and indents what follows the first.
fn folded(out: &mut String, mark: &str, text: &str) {
    let mut column = mark.len();
    out.push_str(mark);
    for (at, word) in text.split_whitespace().enumerate() {
        let width = word.chars().count();
        if at > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(mark.len()));
            column = mark.len();
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_folded_at_words() {
        let mut out = String::new();
        folded(&mut out, "[ ] ", &"abcdefghi ".repeat(8));
        assert_eq!(out, format!("[ ] {}abcdefghi\n    {}abcdefghi\n", "abcdefghi ".repeat(5), "abcdefghi "));
        let mut long = String::new();
        folded(&mut long, "- ", &"x".repeat(200));
        assert_eq!(long, format!("- {}\n", "x".repeat(200)));
    }

    #[test]
    fn addresses_are_read_with_and_without_a_name() {
        let read = Addresses::read("Runbook <a@example.org>", &["b@example.org"]).unwrap();
        assert_eq!((read.from.email.as_ref(), read.to.len()), ("a@example.org", 1));
        assert_eq!(Addresses::read("a@example.org", &["not an address"]), Err("not an address".into()));
    }
}
