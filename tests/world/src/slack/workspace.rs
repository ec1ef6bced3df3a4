//! What a Slack workspace holds: channels, their messages and the files shared in them. It owns the state and its
//! rules; requests and answers are not its matter.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::block_kit::{self, Fit};

/// The longest `text` of a message, in characters.
const LONGEST_TEXT: usize = 40_000;

/// A message as it stands, after all edits.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What names it within its channel.
    pub ts: String,
    /// The first message of its thread, if it is a reply.
    pub thread_ts: Option<String>,
    /// Whether a reply is shown in the channel too.
    pub broadcast: bool,
    /// Text, blocks, attachments and metadata as they were sent last.
    pub body: Value,
    /// How often it was edited.
    pub edits: usize,
}

impl Message {
    /// The text that notifications show.
    pub fn text(&self) -> &str {
        self.body.get("text").and_then(Value::as_str).unwrap_or_default()
    }

    fn is_in_channel(&self) -> bool {
        self.thread_ts.is_none() || self.broadcast
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// What names it.
    pub id: String,
    /// Its name.
    pub filename: String,
    /// How long its content was said to be, in bytes.
    pub length: usize,
    /// Its content, once that has arrived.
    pub content: Option<Vec<u8>>,
    /// The channel and thread it was shared to, once it was.
    pub shared: Option<(String, Option<String>)>,
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// In Slack's word for it, with details.
    Error(&'static str, Vec<String>),
    /// Too soon after the one before; try again after this time.
    TooSoon(Duration),
}

impl From<&'static str> for Refusal {
    fn from(error: &'static str) -> Self {
        Self::Error(error, Vec::new())
    }
}

#[derive(Debug, Default)]
pub(super) struct Workspace {
    channels: BTreeMap<String, Channel>,
    uploads: Vec<Upload>,
    pace: Option<Duration>,
    last_ts: i64,
    /// By channel: the earliest time of the next message.
    free_at: HashMap<String, Instant>,
}

#[derive(Debug, Default)]
struct Channel {
    name: String,
    messages: Vec<Message>,
}

impl Workspace {
    /// The channel of this name, made if it is not there; with or without `#`.
    pub(super) fn channel(&mut self, name: &str) -> String {
        let name = name.trim_start_matches('#');
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = format!("C{:010}", self.channels.len() + 1);
        self.channels.insert(id.clone(), Channel { name: name.to_owned(), messages: Vec::new() });
        id
    }

    /// The id of a channel given by id or name.
    pub(super) fn find(&self, channel: &str) -> Option<String> {
        if self.channels.contains_key(channel) {
            return Some(channel.to_owned());
        }
        let name = channel.trim_start_matches('#');
        self.channels.iter().find(|(_, channel)| channel.name == name).map(|(id, _)| id.clone())
    }

    pub(super) fn messages(&self, channel: &str) -> Vec<Message> {
        let id = self.find(channel);
        id.and_then(|id| self.channels.get(&id)).map(|channel| channel.messages.clone()).unwrap_or_default()
    }

    pub(super) fn uploads(&self) -> Vec<Upload> {
        self.uploads.clone()
    }

    /// The least time between two messages in one channel.
    pub(super) fn set_pace(&mut self, pace: Option<Duration>) {
        self.pace = pace;
        self.free_at.clear();
    }

    /// Posts a message, and says what it came to be called.
    pub(super) fn post(&mut self, channel: &str, body: &Value) -> Result<Message, Refusal> {
        self.keep_pace(channel)?;
        check_message(body)?;
        let thread_ts = match body.get("thread_ts") {
            None | Some(Value::Null) => None,
            Some(Value::String(ts)) => Some(ts.clone()),
            Some(_) => return Err("invalid_thread_ts".into()),
        };
        let messages = &self.channels.get(channel).ok_or("channel_not_found")?.messages;
        if let Some(ts) = &thread_ts
            && !messages.iter().any(|message| &message.ts == ts)
        {
            return Err("thread_not_found".into());
        }
        let message = Message {
            ts: self.next_ts(),
            thread_ts,
            broadcast: body.get("reply_broadcast").and_then(Value::as_bool).unwrap_or(false),
            body: contents(body),
            edits: 0,
        };
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.messages.push(message.clone());
        }
        Ok(message)
    }

    /// Puts other contents in the place of a message's.
    pub(super) fn update(&mut self, channel: &str, body: &Value) -> Result<Message, Refusal> {
        check_message(body)?;
        let ts = body.get("ts").and_then(Value::as_str).ok_or("message_not_found")?;
        let channel = self.channels.get_mut(channel).ok_or("channel_not_found")?;
        let message =
            channel.messages.iter_mut().find(|message| message.ts == ts).ok_or("message_not_found")?;
        let mut new = contents(body);
        // Metadata stays unless other metadata is given; everything else is stated whole.
        if let (Some(fields), Some(old)) = (new.as_object_mut(), message.body.get("metadata")) {
            fields.entry("metadata").or_insert_with(|| old.clone());
        }
        message.body = new;
        message.edits += 1;
        Ok(message.clone())
    }

    /// What a channel shows, newest first: replies only where they were sent to the channel too.
    pub(super) fn history(&self, channel: &str, query: &Value) -> Result<Value, Refusal> {
        let channel = self.channels.get(channel).ok_or("channel_not_found")?;
        let bound = |name| query.get(name).and_then(Value::as_str).filter(|ts| !ts.is_empty());
        let (oldest, latest) = (bound("oldest"), bound("latest"));
        let inclusive = flag(query, "inclusive");
        let within = |ts: &str| {
            let after = oldest.is_none_or(|oldest| is_before(oldest, ts) || (inclusive && oldest == ts));
            let before = latest.is_none_or(|latest| is_before(ts, latest) || (inclusive && latest == ts));
            after && before
        };
        let limit = number(query, "limit").unwrap_or(100).clamp(1, 999);
        let skip = bound("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let shown = channel.messages.iter().rev().filter(|m| m.is_in_channel() && within(&m.ts)).skip(skip);
        let shown: Vec<&Message> = shown.take(limit + 1).collect();
        let has_more = shown.len() > limit;
        let with_metadata = flag(query, "include_all_metadata");
        let shown: Vec<Value> =
            shown.into_iter().take(limit).map(|m| as_json(m, channel, with_metadata)).collect();
        let cursor = if has_more { (skip + limit).to_string() } else { String::new() };
        let mut answer = json!({"messages": shown, "has_more": has_more, "pin_count": 0});
        answer["response_metadata"] = json!({"next_cursor": cursor});
        Ok(answer)
    }

    /// A thread, the first message and then its replies, oldest first.
    pub(super) fn replies(&self, channel: &str, query: &Value) -> Result<Value, Refusal> {
        let channel = self.channels.get(channel).ok_or("channel_not_found")?;
        let ts = query.get("ts").and_then(Value::as_str).unwrap_or_default();
        if !channel.messages.iter().any(|message| message.ts == ts) {
            return Err("thread_not_found".into());
        }
        let with_metadata = flag(query, "include_all_metadata");
        let thread = channel.messages.iter().filter(|m| m.ts == ts || m.thread_ts.as_deref() == Some(ts));
        let limit = number(query, "limit").unwrap_or(1000).clamp(1, 1000);
        let skip = query.get("cursor").and_then(Value::as_str).and_then(|cursor| cursor.parse().ok());
        let skip = skip.unwrap_or(0);
        let shown: Vec<Value> =
            thread.skip(skip).take(limit + 1).map(|m| as_json(m, channel, with_metadata)).collect();
        let has_more = shown.len() > limit;
        let cursor = if has_more { (skip + limit).to_string() } else { String::new() };
        let shown: Vec<Value> = shown.into_iter().take(limit).collect();
        let metadata = json!({"next_cursor": cursor});
        Ok(json!({"messages": shown, "has_more": has_more, "response_metadata": metadata}))
    }

    /// The channels that the bot is in: all.
    pub(super) fn joined(&self) -> Value {
        let channels = self.channels.iter().map(|(id, channel)| json!({"id": id, "name": channel.name}));
        json!({"channels": channels.collect::<Vec<_>>(), "response_metadata": {"next_cursor": ""}})
    }

    /// Deletes a message, as a person with the right to does.
    pub(super) fn delete(&mut self, channel: &str, ts: &str) {
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.messages.retain(|message| message.ts != ts);
        }
    }

    /// Makes room for a file.
    pub(super) fn expect_upload(&mut self, filename: &str, length: usize) -> String {
        let id = format!("F{:010}", self.uploads.len() + 1);
        let filename = filename.to_owned();
        self.uploads.push(Upload { id: id.clone(), filename, length, content: None, shared: None });
        id
    }

    /// Takes a file's content; false if no such file or no such length is expected.
    pub(super) fn take_upload(&mut self, id: &str, content: Vec<u8>) -> bool {
        let upload = self.uploads.iter_mut().find(|upload| upload.id == id && upload.length == content.len());
        upload.map(|upload| upload.content = Some(content)).is_some()
    }

    /// Shares files that have arrived, and says what they are called.
    pub(super) fn share(&mut self, body: &Value) -> Result<Value, Refusal> {
        let files = body.get("files").and_then(Value::as_array).filter(|files| !files.is_empty());
        let files = files.ok_or("invalid_arguments")?;
        let channel = body.get("channel_id").and_then(Value::as_str);
        let thread = body.get("thread_ts").and_then(Value::as_str);
        if let Some(channel) = channel
            && !self.channels.contains_key(channel)
        {
            return Err("channel_not_found".into());
        }
        let ids: Vec<&str> = files.iter().filter_map(|file| file.get("id")?.as_str()).collect();
        let arrived = |id: &&str| self.uploads.iter().any(|file| file.id == **id && file.content.is_some());
        if ids.len() != files.len() || !ids.iter().all(arrived) {
            return Err("file_not_found".into());
        }
        for upload in &mut self.uploads {
            if let (true, Some(channel)) = (ids.contains(&upload.id.as_str()), channel) {
                upload.shared = Some((channel.to_owned(), thread.map(ToOwned::to_owned)));
            }
        }
        Ok(json!({"files": files}))
    }

    fn keep_pace(&mut self, channel: &str) -> Result<(), Refusal> {
        let Some(pace) = self.pace else { return Ok(()) };
        let now = Instant::now();
        if let Some(free_at) = self.free_at.get(channel)
            && *free_at > now
        {
            return Err(Refusal::TooSoon(*free_at - now));
        }
        self.free_at.insert(channel.to_owned(), now + pace);
        Ok(())
    }

    fn next_ts(&mut self) -> String {
        self.last_ts = Timestamp::now().as_microsecond().max(self.last_ts + 1);
        format!("{}.{:06}", self.last_ts / 1_000_000, self.last_ts % 1_000_000)
    }
}

fn check_message(body: &Value) -> Result<(), Refusal> {
    let filled = |name: &str| {
        body.get(name).is_some_and(|value| match value {
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => false,
        })
    };
    match block_kit::check(body) {
        Fit::Fine => {}
        Fit::Invalid(places) => return Err(Refusal::Error("invalid_blocks", places)),
        Fit::TooLong => return Err("msg_blocks_too_long".into()),
    }
    if !filled("text") && !filled("blocks") && !filled("attachments") {
        return Err("no_text".into());
    }
    let text = body.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.chars().count() > LONGEST_TEXT {
        return Err("msg_too_long".into());
    }
    Ok(())
}

/// What of a request is the message itself.
fn contents(body: &Value) -> Value {
    let fields = ["text", "blocks", "attachments", "metadata"].into_iter();
    let kept = fields.filter_map(|name| Some((name.to_owned(), body.get(name)?.clone())));
    Value::Object(kept.collect::<Map<_, _>>())
}

fn as_json(message: &Message, channel: &Channel, with_metadata: bool) -> Value {
    let mut shown = message.body.clone();
    shown["type"] = "message".into();
    shown["ts"] = message.ts.as_str().into();
    shown["user"] = super::BOT_USER.into();
    shown["bot_id"] = super::BOT_ID.into();
    shown["app_id"] = super::APP_ID.into();
    let replies = channel.messages.iter().filter(|m| m.thread_ts.as_ref() == Some(&message.ts)).count();
    if let Some(thread_ts) = &message.thread_ts {
        shown["thread_ts"] = thread_ts.as_str().into();
        shown["subtype"] = "thread_broadcast".into();
    } else if replies > 0 {
        shown["thread_ts"] = message.ts.as_str().into();
        shown["reply_count"] = replies.into();
    }
    if message.edits > 0 {
        shown["edited"] = json!({"user": super::BOT_USER, "ts": message.ts});
    }
    if let (false, Some(fields)) = (with_metadata, shown.as_object_mut()) {
        fields.remove("metadata");
    }
    shown
}

/// Both are `seconds.microseconds`; a bound may leave the fraction out.
fn is_before(earlier: &str, later: &str) -> bool {
    let parts = |ts: &str| {
        let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, ""));
        (seconds.parse::<u64>().unwrap_or(0), format!("{fraction:0<6}"))
    };
    parts(earlier) < parts(later)
}

fn flag(query: &Value, name: &str) -> bool {
    matches!(query.get(name).and_then(Value::as_str), Some("true" | "1"))
}

fn number(query: &Value, name: &str) -> Option<usize> {
    query.get(name)?.as_str()?.parse().ok()
}
