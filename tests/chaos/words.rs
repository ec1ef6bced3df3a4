//! Words: what was said on each channel, read from what the receivers wrote down. Owns the reading; judges nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use regex::Regex;
use world::journal::{Answer, Entry};

use super::sinks::{Channel, Sinks};

/// What a word is to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is a problem, or it is worse, or back.
    Page,
    /// It is over.
    Over,
    /// Anything between.
    Update,
}

/// One message that arrived in full.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// Where.
    pub(crate) channel: Channel,
    /// About which service; empty if it names none.
    pub(crate) service: String,
    /// The incident's number; empty where the channel does not say it.
    pub(crate) incident: String,
    /// The incident's identity; empty where the channel does not say it.
    pub(crate) uid: String,
    /// What is the same in a repeat: the revision, or action and key in `PagerDuty`.
    pub(crate) same: String,
    /// The revision, where the channel says it.
    pub(crate) revision: Option<u64>,
    /// What it says.
    pub(crate) kind: Kind,
    /// When its last byte was read.
    pub(crate) at: Timestamp,
    /// Whether it had its effect: accepted, or the answer was withheld.
    pub(crate) heard: bool,
    /// Whether the sender never got an answer.
    pub(crate) withheld: bool,
    /// Whether the answer was a yes, and nothing was taken.
    pub(crate) lied: bool,
}

/// Every word so far, in the order of arrival.
pub(crate) fn read(sinks: &Sinks) -> Vec<Word> {
    let mut words = Vec::new();
    words.extend(sinks.hook.journal.entries().iter().map(hook));
    words.extend(slack(sinks));
    words.extend(sinks.smtp.journal.entries().iter().map(mail));
    words.extend(pagerduty(sinks));
    words.sort_by_key(|word| word.at);
    words
}

fn word<T>(channel: Channel, entry: &Entry<T>) -> Word {
    let heard = match entry.answer {
        Answer::Code(code) => (200..300).contains(&code),
        Answer::Withheld => true,
    };
    Word {
        channel,
        service: String::new(),
        incident: String::new(),
        uid: String::new(),
        same: String::new(),
        revision: None,
        kind: Kind::Update,
        at: entry.at,
        heard,
        withheld: entry.answer == Answer::Withheld,
        lied: false,
    }
}

fn hook(entry: &Entry<super::hook::Said>) -> Word {
    let said = &entry.body;
    let kind = match said.event.as_str() {
        "opened" | "worsened" | "reopened" if said.keyed => Kind::Page,
        "resolved" if said.keyed => Kind::Over,
        _ => Kind::Update,
    };
    Word {
        service: said.service.clone(),
        incident: said.incident.clone(),
        uid: said.uid.clone(),
        same: said.revision.to_string(),
        revision: Some(said.revision),
        kind,
        ..word(Channel::Hook, entry)
    }
}

fn slack(sinks: &Sinks) -> Vec<Word> {
    // Slack may say 200 and take nothing: what is in the channel was taken.
    let mut taken: BTreeMap<(String, String), usize> = BTreeMap::new();
    for message in sinks.slack.messages(world::slack::CHANNEL) {
        let text = message.body.to_string();
        *taken.entry((first(&text, SERVICE), first(&text, REVISION))).or_default() += 1;
    }
    let mut words = Vec::new();
    for entry in sinks.slack.journal.entries().iter().rev() {
        let text = entry.body.body.to_string();
        let (service, same) = (first(&text, SERVICE), first(&text, REVISION));
        let mut word = word(Channel::Slack, entry);
        if word.heard {
            // Of several attempts the last were taken.
            let left = taken.entry((service.clone(), same.clone())).or_default();
            word.heard = *left > 0;
            word.lied = !word.heard;
            *left = left.saturating_sub(1);
        }
        let over = entry.body.text().starts_with("RESOLVED");
        let revision = same.trim_start_matches("rev ").parse().ok();
        let kind = if over { Kind::Over } else { Kind::Page };
        words.push(Word { service, incident: first(&text, NUMBER), same, revision, kind, ..word });
    }
    words
}

fn mail(entry: &Entry<world::smtp::Mail>) -> Word {
    let header = |name| entry.body.header(name).unwrap_or_default();
    let kind = match header("X-Runbookd-Event") {
        "opened" | "worsened" | "reopened" => Kind::Page,
        "resolved" => Kind::Over,
        _ => Kind::Update,
    };
    let revision = first(header("Message-ID"), r"\.r\d+\.");
    Word {
        service: first(header("Subject"), SERVICE),
        incident: header("X-Runbookd-Incident").to_owned(),
        revision: revision.trim_matches(['.', 'r']).parse().ok(),
        same: revision,
        kind,
        ..word(Channel::Email, entry)
    }
}

fn pagerduty(sinks: &Sinks) -> Vec<Word> {
    let mut services: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut entries = sinks.pagerduty.journal.entries();
    entries.sort_by_key(|entry| entry.at);
    let mut words = Vec::new();
    for entry in &entries {
        let event = &entry.body;
        let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
        let uid = key.split('/').nth(1).unwrap_or_default().to_owned();
        let action = event["event_action"].as_str().unwrap_or_default();
        if action == "trigger" {
            let text = event.to_string();
            services.entry(uid.clone()).or_insert_with(|| (first(&text, SERVICE), first(&text, NUMBER)));
        }
        let kind = match action {
            "trigger" => Kind::Page,
            "resolve" => Kind::Over,
            _ => Kind::Update,
        };
        let (service, incident) = services.get(&uid).cloned().unwrap_or_default();
        let same = format!("{action} {key}");
        words.push(Word { service, incident, uid, same, kind, ..word(Channel::PagerDuty, entry) });
    }
    words
}

const SERVICE: &str = r"svc-\d{6}";
const NUMBER: &str = r"INC-\d{8}-\d{4,}";
const REVISION: &str = r"rev \d+";

/// The first match, or nothing.
fn first(text: &str, pattern: &str) -> String {
    thread_local! {
        static PATTERNS: std::cell::RefCell<BTreeMap<String, Regex>> = const { std::cell::RefCell::new(BTreeMap::new()) };
    }
    PATTERNS.with_borrow_mut(|patterns| {
        let regex =
            patterns.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).expect("a pattern"));
        regex.find(text).map(|found| found.as_str().to_owned()).unwrap_or_default()
    })
}
