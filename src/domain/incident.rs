//! Incidents: what people work on. Owns the life cycle and the timeline; sends nothing and scales nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::alert::{AlertKey, has_passed};
use super::diagnosis::DiagnosisStep;
use super::escalation::Escalation;
use super::labels::{Fnv, Labels};
use super::matcher::{MatchOp, Matcher, Matchers};
use super::name::{ActionId, ChannelName, IncidentId, IncidentTypeName, SilenceId};
use super::notice::{NoticeEvent, Origin, Receipt, Recipients};
use super::quantity::Unit;
use super::response::ChecklistItem;
use super::scaling::Axis;
use super::severity::Severity;
use super::suppression::{Hold, Suppression};

/// How long after its resolution a re-fire reopens an incident instead of opening another.
pub const REOPEN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The longest timeline kept; beyond it the oldest entries after the opening make room.
const LONGEST_TIMELINE: usize = 500;

/// An incident type of the runbook's 2.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentType {
    /// Its name.
    pub name: IncidentTypeName,
    /// The severity that serves where no alert carries one.
    pub severity: Severity,
    /// Who responds.
    pub response_team: Arc<str>,
    /// What is done first: the head of the checklist.
    pub initial_actions: Vec<Arc<str>>,
    /// The roles to wake one after the other.
    pub escalation: Vec<Arc<str>>,
    /// How long each has to acknowledge.
    pub escalate_after: Duration,
}

/// Where an incident is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IncidentState {
    /// Nobody has taken it.
    Open,
    /// Somebody has.
    Acknowledged,
    /// An action against it is under way.
    Mitigating,
    /// Over; a re-fire within ten minutes reopens it.
    Resolved,
    /// Over for good.
    Closed,
}

impl IncidentState {
    /// Every state, in the order of life.
    pub const ALL: [Self; 5] =
        [Self::Open, Self::Acknowledged, Self::Mitigating, Self::Resolved, Self::Closed];

    /// The word used in APIs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Mitigating => "mitigating",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// Whether people still have to do with it.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Open | Self::Acknowledged | Self::Mitigating)
    }

    /// The legal moves.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Open => matches!(next, Self::Acknowledged | Self::Mitigating | Self::Resolved),
            Self::Acknowledged => matches!(next, Self::Open | Self::Mitigating | Self::Resolved),
            Self::Mitigating => matches!(next, Self::Open | Self::Acknowledged | Self::Resolved),
            Self::Resolved => matches!(next, Self::Open | Self::Closed),
            Self::Closed => false,
        }
    }
}

impl fmt::Display for IncidentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One alert of an incident, as it was last seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The rule's name.
    pub name: Arc<str>,
    /// The series' labels with the rule's own.
    pub labels: Labels,
    /// Its severity now, or its last one.
    pub severity: Severity,
    /// Whether it fires.
    pub firing: bool,
    /// The last number seen.
    pub value: Option<f64>,
    /// The unit of the value.
    pub unit: Unit,
    /// The threshold of its severity.
    pub threshold: Option<f64>,
    /// The first breach.
    pub since: Timestamp,
    /// The rule's sentence about it.
    pub summary: Option<Arc<str>>,
    /// The rule's words about what it means.
    pub impact: Option<Arc<str>>,
    /// A page people should read.
    pub runbook_url: Option<Arc<str>>,
}

/// Who has taken an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// When it ends unless it is renewed: then the incident is nobody's again.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Where it was done, if in a channel.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// What a channel heard about an incident.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// Nothing.
    #[default]
    Nothing,
    /// Perhaps that it is open: a page was sent and nobody knows whether it arrived.
    Perhaps,
    /// That it is open.
    Open,
    /// That it is over.
    Over,
}

/// What a channel was told about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Whether the channel's last word is "open".
    pub open: bool,
    /// How many times it was paged: 1 for the opening, one more for each worsening or reopening.
    pub pages: u32,
    /// The revision it heard first.
    pub first: u32,
    /// What it gave back when it first accepted a notice.
    #[serde(default)]
    pub receipt: Option<Receipt>,
    /// What it heard last for certain, or perhaps: what was queued for it may have been refused.
    #[serde(default)]
    pub heard: Heard,
    /// Whom it told: the same hear how it goes on and that it is over.
    #[serde(default)]
    pub recipients: Recipients,
}

/// What people work on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number as people say it.
    pub id: IncidentId,
    /// Its identity towards other systems: never handed out twice, unlike a number in a restored database.
    pub uid: Arc<str>,
    /// What kind of thing happened.
    pub incident_type: IncidentTypeName,
    /// What it happened to: the labels its alerts have in common.
    pub subject: Labels,
    /// Who responds.
    pub team: Arc<str>,
    /// How bad it is now.
    pub severity: Severity,
    /// Where it is in its life.
    pub state: IncidentState,
    /// The alert that opened it: it names the incident for as long as it lives.
    pub opened_by: AlertKey,
    /// The alerts in it.
    #[serde(with = "pairs")]
    pub alerts: BTreeMap<AlertKey, Member>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Who has taken it.
    pub acknowledged: Option<Acknowledgement>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// Grows with every notice-worthy change.
    pub revision: u32,
    /// What each channel was told.
    pub told: BTreeMap<ChannelName, Told>,
    /// Why nobody is told of it at present, where that is so.
    #[serde(default)]
    pub held: Option<Hold>,
    /// What is to be done.
    pub checklist: Vec<ChecklistItem>,
    /// What the daemon looked at by itself, and what it found.
    #[serde(default)]
    pub diagnosis: Vec<DiagnosisStep>,
    /// What was done, oldest first.
    pub actions: Vec<ActionTaken>,
    /// Who is woken next.
    #[serde(default)]
    pub escalation: Option<Escalation>,
    /// When the next status update is due.
    pub next_update_at: Timestamp,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
}

/// A map whose keys are records themselves, kept as a list of pairs: JSON knows only texts as keys.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Something the daemon or a person did about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionTaken {
    /// When.
    pub at: Timestamp,
    /// What, in a few words: `scaled 4 → 6, ready`.
    pub text: Arc<str>,
}

/// One line of the timeline: who, what, when, why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// Who: a person's name, or `runbookd`.
    pub by: Arc<str>,
    /// What, with its reason.
    pub what: Happening,
}

/// What can happen to an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Happening {
    /// It was opened by an alert.
    Opened {
        /// The headline.
        headline: Arc<str>,
    },
    /// An alert joined it.
    AlertJoined {
        /// Which rule's.
        rule: Arc<str>,
        /// With which severity.
        severity: Severity,
    },
    /// An alert of it ended.
    AlertEnded {
        /// Which rule's.
        rule: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
    /// Its severity moved.
    SeverityChanged {
        /// Before.
        from: Severity,
        /// After.
        to: Severity,
    },
    /// Somebody took it.
    Acknowledged,
    /// It is nobody's again: given back by whoever had it, or the acknowledgement ended.
    Unacknowledged {
        /// Whether the acknowledgement's time was over.
        expired: bool,
    },
    /// Somebody wrote something down.
    Noted {
        /// What.
        text: Arc<str>,
    },
    /// A step of the checklist was done, or is to be done again.
    Ticked {
        /// The step's words.
        step: Arc<str>,
        /// Whether it is done now.
        done: bool,
    },
    /// A step of the diagnosis ended.
    Diagnosed {
        /// The step's words.
        step: Arc<str>,
        /// Whether it found something.
        found: bool,
        /// What it found, or why it did not.
        text: Arc<str>,
    },
    /// A notice was queued.
    Queued {
        /// For which channel.
        channel: ChannelName,
        /// About what.
        event: NoticeEvent,
        /// The revision it tells.
        revision: u32,
    },
    /// A channel accepted a notice.
    Delivered {
        /// Which channel.
        channel: ChannelName,
        /// The revision it told.
        revision: u32,
    },
    /// A channel did not accept a notice.
    DeliveryFailed {
        /// Which channel.
        channel: ChannelName,
        /// The revision it would have told.
        revision: u32,
        /// The reason, with what the other side said.
        reason: Arc<str>,
        /// Whether it will be tried again.
        retried: bool,
    },
    /// An update was left out because a newer one says more.
    Superseded {
        /// For which channel.
        channel: ChannelName,
        /// The revision left out.
        revision: u32,
    },
    /// It was told together with others.
    Digested {
        /// To which channel.
        channel: ChannelName,
        /// The newest revision told.
        revision: u32,
        /// The digest's name.
        digest: Arc<str>,
    },
    /// A channel that was told cannot be told that it is over; it is tried on.
    Parked {
        /// Which channel.
        channel: ChannelName,
        /// The revision that waits.
        revision: u32,
    },
    /// Somebody else was woken because nobody took it.
    Escalated {
        /// The role.
        role: Arc<str>,
        /// By which channel.
        channel: ChannelName,
        /// How late, in seconds.
        late: u64,
    },
    /// Nobody took it and nobody is left to wake.
    EscalationExhausted,
    /// A channel's failure was made good by telling another.
    PassedOn {
        /// The channel that failed.
        from: ChannelName,
        /// The channel told instead.
        to: ChannelName,
    },
    /// Nobody is told, and why.
    Held {
        /// Why.
        why: Suppression,
        /// What was not told; nothing where nothing happened but the suppression itself.
        event: Option<NoticeEvent>,
    },
    /// People are told again.
    Released {
        /// What held it back.
        why: Suppression,
    },
    /// A silence that holds it back is about to end.
    SilenceEnding {
        /// Which.
        silence: SilenceId,
        /// When.
        at: Timestamp,
    },
    /// A scaling action began, moved or ended.
    Scaling {
        /// Which.
        action: ActionId,
        /// On which axis.
        axis: Axis,
        /// Its state or reason and sizes, in words.
        text: Arc<str>,
    },
    /// A wanted scaling step was not taken.
    NotScaled {
        /// On which axis.
        axis: Axis,
        /// The reason's code.
        reason: Arc<str>,
        /// The reason in words.
        text: Arc<str>,
    },
    /// It is over.
    Resolved,
    /// It came back.
    Reopened,
    /// It is over for good.
    Closed,
}

impl Happening {
    /// Whether it says only that telling people went its usual way.
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::Queued { .. } | Self::Delivered { .. } | Self::Superseded { .. } | Self::Digested { .. }
        )
    }
}

impl Incident {
    /// What it is, and what it is about: there is one open incident for each.
    pub fn place(&self) -> (IncidentTypeName, Labels) {
        (self.incident_type.clone(), self.subject.clone())
    }

    /// Whether it is resolved for so long that what comes back is another incident.
    pub fn is_past_reopening(&self, now: Timestamp) -> bool {
        self.state == IncidentState::Resolved
            && self.resolved_at.is_none_or(|at| has_passed(at, REOPEN_WITHIN, now))
    }

    /// Whether any alert of it fires.
    pub fn is_firing(&self) -> bool {
        self.alerts.values().any(|member| member.firing)
    }

    /// The worst severity of its firing alerts, where any fires.
    pub fn worst_firing(&self) -> Option<Severity> {
        self.alerts.values().filter(|member| member.firing).map(|member| member.severity).max()
    }

    /// The alert that stands for the incident: of the firing ones the worst, of those the oldest; the one that opened
    /// it once none fires.
    pub fn lead(&self) -> Option<(&AlertKey, &Member)> {
        self.alerts
            .iter()
            .filter(|(_, member)| member.firing)
            .min_by_key(|(_, member)| (std::cmp::Reverse(member.severity), member.since))
            .or_else(|| self.alerts.get_key_value(&self.opened_by))
    }

    /// What a silence of this incident is about: its subject, and the alerts that fire in it now. Another alert of the
    /// same subject is still told. `None` where the incident has no label to hold on to.
    pub fn silence_matchers(&self) -> Option<Matchers> {
        let firing = self.alerts.values().filter(|member| member.firing);
        let names: BTreeSet<&str> = firing.map(|member| member.name.as_ref()).collect();
        let names: Vec<String> = names.into_iter().map(regex::escape).collect();
        let subject = self.subject.iter().map(|(name, value)| Matcher::equal(name, value));
        let any = Matcher::new("alertname", MatchOp::Regex, names.join("|")).ok();
        let matchers = Matchers::new(subject.chain(any.filter(|_| !names.is_empty())));
        (!matchers.is_empty() && !matchers.all_match_absent()).then_some(matchers)
    }

    /// What the incident is about in one word: the most telling label's value, or the type's name.
    pub fn subject_name(&self) -> &str {
        super::rule::SUBJECT_LABELS
            .into_iter()
            .find_map(|name| self.subject.get(name))
            .or_else(|| self.subject.iter().next().map(|(_, value)| value))
            .unwrap_or(self.incident_type.as_str())
    }

    /// Moves to `next` if that is a legal move; says whether it was.
    pub fn move_to(&mut self, next: IncidentState) -> bool {
        let legal = self.state.may_become(next);
        if legal {
            self.state = next;
        }
        legal
    }

    /// Writes a line of the timeline.
    pub fn note(&mut self, at: Timestamp, by: &str, what: Happening) {
        if self.timeline.len() >= LONGEST_TIMELINE {
            // The opening stays; what went its usual way goes before what people did and what went wrong.
            let usual = self.timeline.iter().skip(1).position(|entry| entry.what.is_routine());
            self.timeline.remove(usual.map_or(1, |at| at + 1));
        }
        self.timeline.push(TimelineEntry { at, by: by.into(), what });
    }

    /// The identity of an incident: a pure function of what opened it and when, so that a repeated step makes the
    /// same one.
    pub fn uid(
        incident_type: &IncidentTypeName,
        subject: &Labels,
        opened_at: Timestamp,
        number: u32,
    ) -> Arc<str> {
        let mut hash = Fnv::default();
        hash.write(incident_type.as_str().as_bytes());
        hash.write(&subject.fingerprint().to_be_bytes());
        hash.write(&opened_at.as_nanosecond().to_be_bytes());
        let first = hash.0;
        hash.write(&number.to_be_bytes());
        format!("{first:016x}{:016x}", hash.0).into()
    }
}
