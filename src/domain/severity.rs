//! Severity: how bad a thing is. Owns the order `warning < critical`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a thing is; `Warning < Critical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Worth a look in working hours.
    Warning,
    /// Worth waking somebody.
    Critical,
}

impl Severity {
    /// The lower-case word used in labels, files and APIs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The upper-case word used in headlines.
    pub fn shout(self) -> &'static str {
        match self {
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }

    /// Reads the words people put into a `severity` label; the ones outside the runbook's two map to the nearest:
    /// `page`, `error` and `emergency` wake somebody, `info` and `none` are not alerts for people and map to nothing.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "critical" | "page" | "error" | "emergency" | "major" | "high" => Some(Self::Critical),
            "warning" | "warn" | "minor" | "ticket" | "medium" => Some(Self::Warning),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
