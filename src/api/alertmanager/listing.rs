//! Listings: how a query narrows a list of alerts. Owns the parameters of `/alerts` and `/alerts/groups`, read as leniently
//! as Alertmanager reads them.

use regex::Regex;

use crate::domain::matcher::Matchers;
use crate::domain::name::ChannelName;
use crate::engine::Engine;
use crate::engine::firing::FiringAlert;

use super::Refused;

/// The parameters of a query, in the order written.
pub(super) type Pairs = Vec<(String, String)>;

/// The longest receiver expression, in bytes.
const LONGEST_RECEIVER: usize = 1_000;

/// Which alerts are wanted.
pub(super) struct Listing {
    matchers: Matchers,
    active: bool,
    silenced: bool,
    inhibited: bool,
    receiver: Option<Regex>,
}

impl Listing {
    pub(super) fn read(pairs: &Pairs) -> Result<Self, Refused> {
        let flag = |name: &str| {
            let found = pairs.iter().find(|(key, _)| key == name);
            found.is_none_or(|(_, value)| is_true(value))
        };
        let receiver = pairs.iter().find(|(key, value)| key == "receiver" && !value.is_empty());
        let receiver = receiver.map(|(_, text)| expression(text)).transpose()?;
        Ok(Self {
            matchers: matchers(pairs)?,
            active: flag("active"),
            silenced: flag("silenced"),
            inhibited: flag("inhibited"),
            receiver,
        })
    }

    /// Whether an alert is wanted.
    pub(super) fn wants(&self, engine: &Engine, alert: &FiringAlert) -> bool {
        let is_silenced = !alert.silenced_by.is_empty();
        let is_inhibited = alert.inhibited_by.is_some();
        (self.active || is_silenced || is_inhibited)
            && (self.silenced || !is_silenced)
            && (self.inhibited || !is_inhibited)
            && self.matchers.match_all(&alert.labels)
            && (self.receiver.is_none() || receivers(engine, alert).iter().any(|it| self.wants_receiver(it)))
    }

    /// Whether a receiver is wanted.
    pub(super) fn wants_receiver(&self, name: &str) -> bool {
        self.receiver.as_ref().is_none_or(|wanted| wanted.is_match(name))
    }
}

/// Who hears of an alert.
pub(super) fn receivers<'e>(engine: &'e Engine, alert: &FiringAlert) -> Vec<&'e str> {
    let channels = alert.severity.map_or(&[][..], |severity| engine.hearing(severity));
    channels.iter().map(ChannelName::as_str).collect()
}

/// The matchers of all `filter` parameters together.
pub(super) fn matchers(pairs: &Pairs) -> Result<Matchers, Refused> {
    let mut all = Matchers::default();
    for (_, text) in pairs.iter().filter(|(key, _)| key == "filter") {
        let more = Matchers::parse(text)
            .map_err(|error| Refused::bad(format!("bad matcher format: {text}: {error}")))?;
        all = all.and(more);
    }
    Ok(all)
}

fn expression(text: &str) -> Result<Regex, Refused> {
    let bad = |why: String| Refused::bad(format!("failed to parse receiver param: {why}"));
    if text.len() > LONGEST_RECEIVER {
        return Err(bad("it is too long".into()));
    }
    let build = |text: &str| regex::RegexBuilder::new(text).size_limit(1 << 20).build();
    // Alone first: brackets must not pair with those around it.
    build(text).and_then(|_| build(&format!("^(?:{text})$"))).map_err(|error| bad(error.to_string()))
}

/// The words that Alertmanager takes for yes; all others are no.
fn is_true(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"].contains(&word.as_str())
}
