//! Troubles: what can be wrong with the daemon itself so that people must hear of it. Owns the closed list and the words;
//! each becomes an incident like any other.

use serde::{Deserialize, Serialize};

use super::severity::Severity;

/// Something of the daemon itself that is in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trouble {
    /// Nothing can be evaluated.
    Blind,
    /// What is decided cannot be put on record.
    StoreFailing,
    /// The disk of the store is full, and what was kept for that is used up next.
    StoreFull,
    /// The store forgot something that was on record.
    StoreForgot,
    /// Somebody should have been woken and was not.
    EscalationLate,
    /// A new configuration has been refused for long.
    ConfigRefused,
}

impl Trouble {
    /// Every trouble.
    pub const ALL: [Self; 6] = [
        Self::Blind,
        Self::StoreFailing,
        Self::StoreFull,
        Self::StoreForgot,
        Self::EscalationLate,
        Self::ConfigRefused,
    ];

    /// The code: the name of the incident's type and of its rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::StoreFailing => "store_failing",
            Self::StoreFull => "store_full",
            Self::StoreForgot => "store_forgot",
            Self::EscalationLate => "escalation_late",
            Self::ConfigRefused => "config_refused",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::Blind | Self::StoreFailing | Self::EscalationLate => Severity::Critical,
            Self::StoreFull | Self::StoreForgot | Self::ConfigRefused => Severity::Warning,
        }
    }

    /// What it means, before the details.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Blind => {
                "runbookd is blind: no query was answered; nothing resolves or scales until one is"
            }
            Self::StoreFailing => {
                "runbookd cannot write to its store: people are paged from memory, the cluster is left alone"
            }
            Self::StoreFull => {
                "the disk of runbookd's store is full: make room before it cannot write any more"
            }
            Self::StoreForgot => "runbookd's store lost something that was on record",
            Self::EscalationLate => "runbookd was late in waking somebody",
            Self::ConfigRefused => "runbookd goes on with an old configuration: the new one is refused",
        }
    }
}
