//! Notices: one message to one channel about one incident revision. Owns what a notice says (facts) and whom it goes
//! to (the communication plan); how it looks on a channel is the channel's business.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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

/// Why a notice could not be delivered. A closed set: it becomes a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeliveryReason {
    /// No connection could be made, or it broke.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The other side asked to slow down.
    RateLimited,
    /// The other side is in trouble itself (5xx, SMTP 4xx).
    ServerError,
    /// The other side does not know us (401, 403, SMTP 535).
    Unauthorized,
    /// The other side refuses the message as it is (400, SMTP 5xx).
    Rejected,
    /// The other side's address is gone (404, 410).
    NotFound,
    /// The message could not be made: a template or a secret failed.
    NotRendered,
    /// The channel is no longer configured.
    NoSuchChannel,
    /// It could not be put on record, and must not leave without.
    NotRecorded,
}

impl DeliveryReason {
    /// The word used in metrics and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Unauthorized => "unauthorized",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::NotRendered => "not_rendered",
            Self::NoSuchChannel => "no_such_channel",
            Self::NotRecorded => "not_recorded",
        }
    }
}

impl fmt::Display for DeliveryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What became of one attempt to deliver a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The other side accepted it.
    Accepted {
        /// What it gave back, for the notices that follow; `None` keeps the one there is.
        receipt: Option<Receipt>,
    },
    /// The channel has nothing to say about such an event (PagerDuty about a status update).
    NothingToSend,
    /// It may work later.
    Failed {
        /// Why.
        reason: DeliveryReason,
        /// What the other side said, without any secret.
        detail: Arc<str>,
        /// When the other side asked to be tried again.
        retry_after: Option<Duration>,
    },
    /// It will never work as it is.
    Refused {
        /// Why.
        reason: DeliveryReason,
        /// What the other side said, without any secret.
        detail: Arc<str>,
    },
}

impl Attempt {
    /// Accepted by a channel that gives nothing back.
    pub const ACCEPTED: Self = Self::Accepted { receipt: None };
}

/// How long to wait before the next attempt: half a second, doubled each time up to four seconds, so that what waits
/// leaves within five of a recovery, and up to thirty after some ten minutes of failing; `jitter` in `0..1` takes off
/// up to half of it, so that channels do not retry in step. A `Retry-After` is honoured as it stands, up to an hour.
pub fn backoff(attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let longest = Duration::from_secs(if attempt < 150 { 4 } else { 30 });
    let full = Duration::from_millis(500).saturating_mul(1 << attempt.min(7)).min(longest);
    let own = full.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
    // Never sooner than our own: a receiver that says "now" each time would be asked without a pause.
    retry_after.map_or(own, |asked| asked.min(Duration::from_secs(3_600)).max(own))
}

/// How a channel takes notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePolicy {
    /// How many notices may be in flight at once, of different incidents: its number of lanes, at least 1.
    pub lanes: u32,
    /// The shortest time between two notices.
    pub pace: Duration,
    /// Whether a storm is told in digests: programs want each incident, and so does a pager.
    pub digests: bool,
}

impl Default for LanePolicy {
    fn default() -> Self {
        Self { lanes: 1, pace: Duration::ZERO, digests: false }
    }
}

/// Above which rate the incidents of a channel are told in digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// This many notices within `per` are told one by one; so many may wait.
    pub above: usize,
    /// The span they are counted over, and the shortest between two digests.
    pub per: Duration,
}

impl Default for Storm {
    fn default() -> Self {
        Self { above: 30, per: Duration::from_secs(60) }
    }
}

/// The runbook's communication plan: who is told, in which words, how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Communication {
    /// The ladder of the runbook's 2.2: primary, secondary, emergency.
    pub primary: ChannelName,
    /// The second rung.
    pub secondary: ChannelName,
    /// The last rung.
    pub emergency: ChannelName,
    /// The template `initial_alert`, word for word.
    pub initial_alert: Arc<str>,
    /// The template `status_update`, word for word.
    pub status_update: Arc<str>,
    /// The channels told about a warning.
    pub warning: Vec<ChannelName>,
    /// The channels told about a critical incident.
    pub critical: Vec<ChannelName>,
    /// How often people hear that an incident goes on.
    pub status_every: Duration,
    /// How long a channel may fail before the next rung is used.
    pub failover_after: Duration,
    /// Above which rate incidents are told in digests.
    pub storm: Storm,
}

impl Communication {
    /// The rungs of the ladder below a channel, the next first; the whole ladder below a channel that is no rung.
    pub fn below(&self, channel: &ChannelName) -> Vec<ChannelName> {
        let ladder = [&self.primary, &self.secondary, &self.emergency];
        let from = ladder.iter().position(|rung| *rung == channel).map_or(0, |at| at + 1);
        ladder[from..].iter().map(|rung| (*rung).clone()).collect()
    }

    /// The channels told about an incident of `severity`.
    pub fn channels(&self, severity: Severity) -> &[ChannelName] {
        match severity {
            Severity::Warning => &self.warning,
            Severity::Critical => &self.critical,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_a_bound_and_honours_retry_after() {
        assert_eq!(backoff(0, None, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(3, None, 0.0), Duration::from_secs(4));
        assert_eq!(backoff(40, None, 0.0), Duration::from_secs(4));
        assert_eq!(backoff(150, None, 0.0), Duration::from_secs(30));
        assert_eq!(backoff(3, None, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(3, Some(Duration::from_secs(30)), 1.0), Duration::from_secs(30));
        assert_eq!(backoff(3, Some(Duration::from_secs(90_000)), 0.0), Duration::from_secs(3_600));
    }

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
