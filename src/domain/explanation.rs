//! Explanations: the chain of reasons behind what people were, or were not, told. Owns the closed list of links of such
//! a chain and their words; finds none itself.

use std::fmt;
use std::sync::Arc;

use super::Timestamp;
use super::alert::AlertReason;
use super::name::{ChannelName, IncidentId};
use super::notice::NoticeEvent;
use super::severity::Severity;
use super::suppression::Suppression;

/// One link of the chain, in the order in which the daemon decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// What the alert's value says: `CPU usage 95 %, critical beyond 90 %, breaching since 03:09 UTC`.
    Value {
        /// Why the alert is in its state.
        reason: AlertReason,
        /// The value, its limits and its clock, in words.
        text: Arc<str>,
    },
    /// Somebody else evaluates the alert, and handed it in.
    Posted {
        /// When it is over unless it is repeated.
        until: Timestamp,
    },
    /// Which incident the alert is part of, and why that one.
    Grouped {
        /// The incident.
        incident: IncidentId,
        /// The type and the labels they have in common.
        by: Arc<str>,
    },
    /// The alert is part of no incident: it does not fire.
    NotFiring,
    /// Nobody is told at present.
    Held(Suppression),
    /// The channel hears of incidents of this severity.
    Routed {
        /// Which channel.
        channel: ChannelName,
        /// The severity.
        severity: Severity,
    },
    /// The channel does not hear of incidents of this severity, and nothing else brought it in.
    NotRouted {
        /// Which channel.
        channel: ChannelName,
        /// The severity.
        severity: Severity,
    },
    /// The channel knows already: nothing that it would be paged for has happened since.
    AlreadyTold {
        /// Which channel.
        channel: ChannelName,
        /// How often it was paged.
        pages: u32,
    },
    /// A notice was decided.
    Queued {
        /// For which channel.
        channel: ChannelName,
        /// About what.
        event: NoticeEvent,
        /// The revision.
        revision: u32,
    },
    /// What became of a notice: an attempt with its answer, a digest, a newer one in its place, another channel.
    Became {
        /// Which channel.
        channel: ChannelName,
        /// What, in the words of the timeline.
        text: Arc<str>,
    },
    /// The notice is in flight.
    InFlight {
        /// To which channel.
        channel: ChannelName,
    },
    /// The notice waits.
    Waits {
        /// For which channel.
        channel: ChannelName,
        /// Until when, where it waits for a time and not for its turn.
        until: Option<Timestamp>,
        /// Whether it was refused and waits for somebody to mend that.
        parked: bool,
    },
}

impl Reason {
    /// The code shown everywhere.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Value { reason, .. } => reason.as_str(),
            Self::Posted { .. } => "posted",
            Self::Grouped { .. } => "grouped",
            Self::NotFiring => "not_firing",
            Self::Held(why) => why.as_str(),
            Self::Routed { .. } => "routed",
            Self::NotRouted { .. } => "not_routed",
            Self::AlreadyTold { .. } => "already_told",
            Self::Queued { .. } => "queued",
            Self::Became { .. } => "attempted",
            Self::InFlight { .. } => "in_flight",
            Self::Waits { parked: true, .. } => "parked",
            Self::Waits { until: Some(_), .. } => "resting",
            Self::Waits { .. } => "waiting",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { text, .. } => f.write_str(text),
            Self::Posted { until } => {
                let until = until.strftime("%Y-%m-%d %H:%M:%S UTC");
                write!(f, "handed in by whoever evaluates it; over at {until} unless it is repeated")
            }
            Self::Grouped { incident, by } => write!(f, "part of {incident}: {by}"),
            Self::NotFiring => f.write_str("part of no incident: it does not fire"),
            Self::Held(why) => write!(f, "held back: {why}"),
            Self::Routed { channel, severity } => write!(f, "{channel} hears of {severity} incidents"),
            Self::NotRouted { channel, severity } => {
                write!(f, "{channel} does not hear of {severity} incidents")
            }
            Self::AlreadyTold { channel, pages } => {
                write!(f, "{channel} was paged {pages} times and knows; nothing worse has happened since")
            }
            Self::Queued { channel, event, revision } => {
                write!(f, "{event} was decided for {channel} as revision {revision}")
            }
            Self::Became { channel, text } => write!(f, "{channel}: {text}"),
            Self::InFlight { channel } => write!(f, "on its way to {channel}"),
            Self::Waits { channel, parked: true, .. } => {
                write!(f, "refused by {channel}; it is tried on until somebody mends why")
            }
            Self::Waits { channel, until: Some(until), .. } => {
                write!(f, "waits for {channel} until {}", until.strftime("%H:%M:%S UTC"))
            }
            Self::Waits { channel, until: None, .. } => write!(f, "waits for its turn on {channel}"),
        }
    }
}

/// A reason and when it came about, where that is an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// When.
    pub at: Option<Timestamp>,
    /// Why.
    pub reason: Reason,
}
