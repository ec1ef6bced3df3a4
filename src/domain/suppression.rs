//! Suppression: why people are not told of an alert that fires, and what has to be made good when that ends. Owns the
//! closed list of reasons; finds none itself.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::alert::AlertKey;
use super::name::SilenceId;
use super::severity::Severity;

/// Why nobody is told of an alert that fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suppression {
    /// Somebody silenced it.
    Silenced {
        /// By which silence; of several the one that ends last.
        id: SilenceId,
        /// Until when.
        until: Timestamp,
    },
    /// An alert that says enough fires.
    Inhibited {
        /// Which.
        by: AlertKey,
    },
    /// Its rule is muted in this part of the calendar.
    Muted {
        /// The name of the interval.
        interval: Arc<str>,
    },
    /// Its rule tells people in another part of the calendar only.
    OutsideActiveWindow {
        /// The names of the intervals in which it would.
        interval: Arc<str>,
    },
}

impl Suppression {
    /// Every reason's code, for what is counted by reason.
    pub const CODES: [&'static str; 4] = ["silenced", "inhibited", "muted", "outside_active_window"];

    /// The code used in logs, metrics and APIs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Silenced { .. } => "silenced",
            Self::Inhibited { .. } => "inhibited",
            Self::Muted { .. } => "muted",
            Self::OutsideActiveWindow { .. } => "outside_active_window",
        }
    }

    /// What ended, in the words of a headline.
    pub fn ended(&self) -> &'static str {
        match self {
            Self::Silenced { .. } => "the silence ended",
            Self::Inhibited { .. } => "no longer inhibited",
            Self::Muted { .. } => "the muted time ended",
            Self::OutsideActiveWindow { .. } => "the active time began",
        }
    }
}

impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silenced { until, .. } => {
                write!(f, "silenced until {}", until.strftime("%Y-%m-%d %H:%M UTC"))
            }
            Self::Inhibited { by } if by.series.is_empty() => write!(f, "inhibited by {}", by.rule),
            Self::Inhibited { by } => write!(f, "inhibited by {} {}", by.rule, by.series),
            Self::Muted { interval } => write!(f, "muted in {interval}"),
            Self::OutsideActiveWindow { interval } => write!(f, "outside of {interval}"),
        }
    }
}

/// An incident of which nobody is told at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub why: Suppression,
    /// Since when.
    pub since: Timestamp,
    /// The severity that people knew of when it began: a worse one by its end is a page.
    pub severity: Severity,
}
