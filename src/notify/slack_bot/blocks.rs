//! What a bot's messages look like: the incident's one message with its buttons, and the replies in its thread. Owns
//! layout and limits; the buttons' values are what a click brings back.

use serde_json::{Value, json};

use crate::domain::headline::{clock_seen, shortened};
use crate::domain::notice::{Notice, NoticeEvent};
use crate::domain::severity::Severity;
use crate::domain::template::Escape;
use crate::notify::render::{Message, Wording, is_over, tamed};
use crate::notify::slack::{attachments, section, sections, sign};

/// The most sections of the opening's words and of the status' words: with everything else they stay below the
/// total that Slack refuses without documenting it, about 13,200 characters.
const MOST_SECTIONS: (usize, usize) = (2, 1);
/// The longest line of a reply, before it is escaped.
const LONGEST_LINE: usize = 300;
/// The longest link of a button; Slack refuses 3000 characters.
const LONGEST_URL: usize = 2_900;

/// The runbook's templates, filled for the message that always shows the whole incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The opening's words.
    pub opening: String,
    /// The status' words.
    pub status: String,
}

impl Words {
    /// The words of a message; a digest has its own.
    pub fn new(wording: &Wording, message: &Message<'_>) -> Self {
        let notice = message.notice;
        if notice.digest.is_some() {
            return Self { opening: String::new(), status: message.text.clone() };
        }
        Self {
            opening: wording.opening(notice, Escape::Mrkdwn),
            status: wording.status(notice, Escape::Mrkdwn),
        }
    }
}

/// Whether an event gets a reply in the thread, and who sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// None: the edited message says it all.
    None,
    /// In the thread only.
    Quiet,
    /// In the thread and in the channel: an edit notifies nobody.
    Broadcast,
}

impl Reply {
    /// The reply of a notice.
    pub fn of(notice: &Notice) -> Self {
        match &notice.event {
            NoticeEvent::Opened | NoticeEvent::Digest | NoticeEvent::Heartbeat => Self::None,
            NoticeEvent::Worsened { .. }
            | NoticeEvent::Escalated { .. }
            | NoticeEvent::Reopened
            | NoticeEvent::Resolved => Self::Broadcast,
            NoticeEvent::NotScaled if notice.facts.severity == Severity::Critical => Self::Broadcast,
            // That it goes on is what the message itself says.
            NoticeEvent::StatusUpdate if notice.facts.did.is_none() => Self::None,
            NoticeEvent::NotScaled
            | NoticeEvent::StatusUpdate
            | NoticeEvent::Scaled
            | NoticeEvent::Acknowledged { .. }
            | NoticeEvent::Joined
            | NoticeEvent::Eased { .. } => Self::Quiet,
        }
    }
}

/// The incident's message, whole: the body of a post or of an edit without its place. The message is made with
/// [`Escape::Mrkdwn`].
pub fn root(message: &Message<'_>, words: &Words, clickable: bool) -> Value {
    let mut texts = Vec::new();
    // What is over loses height; the thread has the rest.
    if !is_over(message.notice) {
        texts.extend(sections(&words.opening, MOST_SECTIONS.0));
    }
    texts.extend(sections(&words.status, MOST_SECTIONS.1));
    let number = Escape::Mrkdwn.escape(message.notice.facts.incident_id.as_str());
    let is_named = message.notice.digest.is_some() || texts.iter().any(|text| text.contains(&number));
    let mut blocks = vec![section(&head(message, if is_named { "" } else { &number }))];
    blocks.extend(texts.iter().map(|text| section(text)));
    body(message, blocks, &buttons(message, clickable))
}

/// The same, shortened by meaning: the headline, where it stands, the buttons that act.
pub fn short_root(message: &Message<'_>, clickable: bool) -> Value {
    let status = format!("*Status:* {}", Escape::Mrkdwn.escape(&tamed(&message.status())));
    let mut buttons = buttons(message, clickable);
    buttons.retain(|button| button.get("url").is_none());
    let number = Escape::Mrkdwn.escape(message.notice.facts.incident_id.as_str());
    body(message, vec![section(&head(message, &number)), section(&status)], &buttons)
}

/// A reply in the thread, without its place.
pub fn reply(message: &Message<'_>, kind: Reply) -> Value {
    let notice = message.notice;
    let line =
        format!("{} {} {}", clock_seen(notice.created_at, notice.created_at), sign(message), bold(message));
    let mut blocks = vec![section(&line)];
    if kind == Reply::Broadcast {
        // Whoever reads it in the channel does not see the message above it.
        let said = message.text.as_str();
        blocks.extend(sections(said, MOST_SECTIONS.1).iter().map(|text| section(text)));
        if let Some(open) = open_button(message) {
            blocks.push(json!({"type": "actions", "elements": [open]}));
        }
    }
    let mut body = json!({
        "text": Escape::Mrkdwn.escape(&message.headline),
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    });
    if kind == Reply::Broadcast {
        body["reply_broadcast"] = true.into();
    }
    body
}

/// A reply's one line.
pub fn short_reply(message: &Message<'_>) -> Value {
    json!({"blocks": [section(&format!("{} {}", sign(message), bold(message)))]})
}

fn body(message: &Message<'_>, mut blocks: Vec<Value>, buttons: &[Value]) -> Value {
    if !buttons.is_empty() {
        blocks.push(json!({"type": "actions", "block_id": "incident", "elements": buttons}));
    }
    json!({
        "text": Escape::Mrkdwn.escape(&message.headline),
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
        "attachments": attachments(message),
    })
}

fn head(message: &Message<'_>, number: &str) -> String {
    format!("{} {}\n{number}", sign(message), bold(message)).trim_end().to_owned()
}

fn bold(message: &Message<'_>) -> String {
    format!("*{}*", Escape::Mrkdwn.escape(&shortened(&message.headline, LONGEST_LINE)))
}

/// At most four; what is over can only be opened.
fn buttons(message: &Message<'_>, clickable: bool) -> Vec<Value> {
    let notice = message.notice;
    let value = value(notice);
    let button = |id: &str, text: &str| {
        json!({
            "type": "button",
            "action_id": id,
            "text": {"type": "plain_text", "text": text},
            "value": value,
        })
    };
    let mut buttons = Vec::new();
    if clickable && !is_over(notice) && notice.digest.is_none() {
        let mut first = if notice.facts.acknowledged_by.is_some() {
            button("unacknowledge", "Unack")
        } else {
            button("acknowledge", "Acknowledge")
        };
        if notice.facts.acknowledged_by.is_none() {
            first["style"] = "primary".into();
        }
        let mut resolve = button("resolve", "Resolve…");
        resolve["confirm"] = json!({
            "title": {"type": "plain_text", "text": "Is it over?"},
            "text": {
                "type": "plain_text",
                "text": format!("Everybody who was told of {} hears that it is over.", notice.facts.incident_id),
            },
            "confirm": {"type": "plain_text", "text": "Resolve"},
            "deny": {"type": "plain_text", "text": "Not yet"},
        });
        buttons.extend([first, resolve, button("silence_1h", "Silence 1h")]);
    }
    buttons.extend(open_button(message));
    buttons
}

fn open_button(message: &Message<'_>) -> Option<Value> {
    let url = message.incident_url.as_deref().filter(|url| url.len() <= LONGEST_URL)?;
    Some(json!({
        "type": "button",
        "action_id": "open_incident",
        "text": {"type": "plain_text", "text": "Open incident"},
        "url": url,
    }))
}

/// What a click brings back: which incident it is about, and which state of it the person saw.
fn value(notice: &Notice) -> String {
    json!({
        "incident": notice.facts.incident_id.as_str(),
        "uid": &*notice.facts.uid,
        "revision": notice.revision,
        "channel": notice.channel.as_str(),
    })
    .to_string()
}
