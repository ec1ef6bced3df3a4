//! Notices: one message to one channel about one incident revision. Owns what a notice says (its facts); how it looks on
//! a channel is the channel's business, whom it goes to the communication plan's.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::alert::AlertKey;
use super::diagnosis::Link;
use super::digest::Digest;
use super::incident::{ActionTaken, IncidentState};
use super::labels::{Fnv, Labels};
use super::name::{ChannelName, IncidentId, IncidentTypeName, NoticeId};
use super::quantity::Unit;
use super::rest::Rest;
use super::severity::Severity;

/// What a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoticeEvent {
    /// An incident was opened, or this channel hears of it for the first time.
    Opened,
    /// Its severity rose.
    Worsened {
        /// The severity before.
        was: Severity,
    },
    /// Its severity fell.
    Eased {
        /// The severity before.
        was: Severity,
    },
    /// Another alert joined it.
    Joined,
    /// A scaling action was applied, became ready, was verified or failed.
    Scaled,
    /// A wanted step was not taken.
    NotScaled,
    /// Somebody took it.
    Acknowledged {
        /// Who.
        by: Arc<str>,
    },
    /// Nobody took it in time, so somebody else is woken.
    Escalated {
        /// The role.
        role: Arc<str>,
    },
    /// Nothing new, but people should know that it goes on.
    StatusUpdate,
    /// It is over.
    Resolved,
    /// It came back within ten minutes.
    Reopened,
    /// Many incidents at once, see [`Digest`].
    Digest,
    /// The daemon is alive from its rules to its senders.
    Heartbeat,
}

impl NoticeEvent {
    /// The word used in headers, metrics and APIs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worsened { .. } => "worsened",
            Self::Eased { .. } => "eased",
            Self::Joined => "joined",
            Self::Scaled => "scaled",
            Self::NotScaled => "not_scaled",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Escalated { .. } => "escalated",
            Self::StatusUpdate => "status_update",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Digest => "digest",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// Whether it uses the runbook's `initial_alert` template; all others use `status_update`.
    pub fn is_initial(&self) -> bool {
        matches!(self, Self::Opened | Self::Escalated { .. })
    }

    /// Whether it should reach people who are not looking.
    pub fn is_page(&self) -> bool {
        matches!(self, Self::Opened | Self::Worsened { .. } | Self::Reopened | Self::Escalated { .. })
    }

    /// Whether a newer notice about the incident says all that this one does: it need not be told any more.
    pub fn is_superseded(&self) -> bool {
        match self {
            Self::Eased { .. }
            | Self::Joined
            | Self::Scaled
            | Self::NotScaled
            | Self::Acknowledged { .. }
            | Self::StatusUpdate
            | Self::Heartbeat => true,
            Self::Opened
            | Self::Worsened { .. }
            | Self::Escalated { .. }
            | Self::Resolved
            | Self::Reopened
            | Self::Digest => false,
        }
    }
}

impl fmt::Display for NoticeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The facts of an incident at one revision: all that any channel needs to write its message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The incident's number.
    pub incident_id: IncidentId,
    /// The incident's identity towards other systems.
    pub uid: Arc<str>,
    /// Its type.
    pub incident_type: IncidentTypeName,
    /// Its severity at this revision.
    pub severity: Severity,
    /// Its state at this revision.
    pub state: IncidentState,
    /// Who took it.
    pub acknowledged_by: Option<Arc<str>>,
    /// Where that was done, if in a channel: it need not be told so itself.
    #[serde(default)]
    pub acknowledged_in: Option<Origin>,
    /// The labels its alerts have in common.
    pub subject: Labels,
    /// The subject in one word: `checkout`.
    pub subject_name: Arc<str>,
    /// The name of the rule that opened the incident, for what must not change while it lives: a mail's subject.
    pub opened_by: Arc<str>,
    /// The leading rule's name: `cpu_usage`.
    pub metric: Arc<str>,
    /// The leading alert's value.
    pub value: Option<f64>,
    /// The unit of value and threshold.
    pub unit: Unit,
    /// The threshold of the severity.
    pub threshold: Option<f64>,
    /// What it means, in a sentence.
    pub impact: Arc<str>,
    /// Who responds.
    pub team: Arc<str>,
    /// What the daemon and people did, newest first.
    pub actions: Vec<ActionTaken>,
    /// What is still to be done.
    pub next_steps: Vec<Arc<str>>,
    /// When something happens next: the end of a verification or cooldown, else the next update.
    pub eta: Option<Timestamp>,
    /// The first breach.
    pub since: Timestamp,
    /// When the incident was opened.
    pub opened_at: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// What the daemon just did or did not do, for the headline: `scaling 4 → 6`.
    pub did: Option<Arc<str>>,
    /// The leading alert's labels.
    pub labels: Labels,
    /// A page people should read.
    pub runbook_url: Option<Arc<str>>,
    /// What the diagnosis found, a line a step.
    #[serde(default)]
    pub diagnosis: Vec<Arc<str>>,
    /// The tools and pages to look at, filled for this incident.
    #[serde(default)]
    pub links: Vec<Link>,
    /// How often this channel was paged about the incident, this notice included: 1 for the opening.
    pub pages: u32,
    /// The revision that this channel heard first: the head of a mail thread.
    pub opened_revision: u32,
    /// The leading alert: whose values a chart shows.
    #[serde(default)]
    pub lead: Option<AlertKey>,
}

/// What a channel gave back for the first notice it accepted about an incident, in the channel's own form: where a
/// Slack message stands, which routing key a `PagerDuty` alert was opened with. Opaque to everyone but the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Receipt(pub Arc<str>);

/// Whom a channel tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recipients {
    /// Those it always tells.
    #[default]
    Own,
    /// Those it always tells, and these addresses.
    OwnAnd(Vec<Arc<str>>),
    /// These addresses and nobody else.
    Only(Vec<Arc<str>>),
}

impl Recipients {
    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let named = union(self.named(), other.named());
        match (self, other) {
            (Self::Only(_), Self::Only(_)) => Self::Only(named),
            _ if named.is_empty() => Self::Own,
            _ => Self::OwnAnd(named),
        }
    }

    /// The addresses named beside the channel's own.
    pub fn named(&self) -> &[Arc<str>] {
        match self {
            Self::Own => &[],
            Self::OwnAnd(named) | Self::Only(named) => named,
        }
    }

    /// Whether the channel's own receivers are among them.
    pub fn has_own(&self) -> bool {
        !matches!(self, Self::Only(_))
    }
}

fn union(one: &[Arc<str>], two: &[Arc<str>]) -> Vec<Arc<str>> {
    let mut all = one.to_vec();
    all.extend(two.iter().filter(|it| !one.contains(it)).cloned());
    all
}

/// Where a person did something: a channel, and the thing there that was touched, in the channel's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The channel.
    pub channel: ChannelName,
    /// A `PagerDuty` alert's key, a Slack message's place. Opaque to everyone but the channel.
    pub place: Arc<str>,
}

/// One message to one channel about one incident revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The same (incident, channel, revision) always has the same id.
    pub id: NoticeId,
    /// Where it goes.
    pub channel: ChannelName,
    /// Which revision of the incident it tells; grows along a channel.
    pub revision: u32,
    /// What it is about.
    pub event: NoticeEvent,
    /// What there is to say.
    pub facts: Facts,
    /// When it was decided.
    pub created_at: Timestamp,
    /// How many attempts to deliver it have failed: waiting behind others is no failure.
    #[serde(default)]
    pub attempts: u32,
    /// The wait before the next attempt, after one that failed.
    #[serde(default)]
    pub rest: Option<Rest>,
    /// Whether it was refused and waits for somebody to mend what is wrong.
    #[serde(default)]
    pub parked: bool,
    /// Whether it may have arrived though nothing says so: an attempt ended without an answer, or the daemon did.
    #[serde(default)]
    pub possibly_sent: bool,
    /// What the channel gave back for the incident's first notice, once it accepted one.
    #[serde(default)]
    pub receipt: Option<Receipt>,
    /// Whom the channel tells.
    #[serde(default)]
    pub recipients: Recipients,
    /// What a digest tells; `facts` are then those of its worst incident.
    #[serde(default)]
    pub digest: Option<Box<Digest>>,
}

impl Notice {
    /// Whether it should reach people who are not looking.
    pub fn is_page(&self) -> bool {
        self.event.is_page() || self.digest.iter().flat_map(|digest| &digest.rows).any(|row| row.page)
    }

    /// A notice that has not left, to those whom the channel always tells.
    pub fn new(
        channel: ChannelName,
        revision: u32,
        event: NoticeEvent,
        facts: Facts,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id: Self::id(&facts.uid, &channel, revision),
            channel,
            revision,
            event,
            facts,
            created_at,
            attempts: 0,
            rest: None,
            parked: false,
            possibly_sent: false,
            receipt: None,
            recipients: Recipients::Own,
            digest: None,
        }
    }

    /// The id of a notice: a pure function of what it tells whom.
    pub fn id(uid: &str, channel: &ChannelName, revision: u32) -> NoticeId {
        let mut hash = Fnv::default();
        hash.write(uid.as_bytes());
        hash.write(&[0xff]);
        hash.write(channel.as_str().as_bytes());
        hash.write(&revision.to_be_bytes());
        NoticeId::from(format!("{revision:06}-{:016x}", hash.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_add_up() {
        let only = |who: &str| Recipients::Only(vec![who.into()]);
        assert_eq!(only("a").and(&only("b")), Recipients::Only(vec!["a".into(), "b".into()]));
        assert_eq!(only("a").and(&only("a")), only("a"));
        assert_eq!(Recipients::Own.and(&only("a")), Recipients::OwnAnd(vec!["a".into()]));
        assert_eq!(only("a").and(&Recipients::Own), Recipients::OwnAnd(vec!["a".into()]));
        assert_eq!(Recipients::Own.and(&Recipients::Own), Recipients::Own);
    }

    #[test]
    fn a_notice_has_one_id_for_ever() {
        let channel = ChannelName::from("email");
        assert_eq!(Notice::id("u", &channel, 7), Notice::id("u", &channel, 7));
        assert_ne!(Notice::id("u", &channel, 7), Notice::id("u", &channel, 8));
    }
}
