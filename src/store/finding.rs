//! Findings: what the store noticed about itself that people must hear of. Owns the closed list, the codes and the
//! words; what follows from a finding is decided elsewhere.

use std::fmt;
use std::path::PathBuf;

use super::cause::Cause;

/// Something noticed while the store was opened, or opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The database is older than what was committed to it: its last commits are gone, or an older copy stands there.
    LostTail {
        /// How many commits are missing.
        commits: u64,
        /// Whether the daemon forgot them too; a running one still knows and writes everything again.
        forgot: bool,
    },
    /// Rows whose checksum or form is wrong were put aside, into the table `damaged`.
    Damaged {
        /// How many.
        rows: usize,
    },
    /// The file could not be read as a database and was put aside; a new one was begun.
    MovedAside {
        /// Where it is now.
        to: PathBuf,
        /// How many sound rows were taken over from it.
        saved: usize,
        /// Whether the daemon forgot the rest.
        forgot: bool,
    },
    /// The file cannot be written now; the daemon runs from memory and goes on trying.
    InMemory {
        /// Why.
        cause: Cause,
        /// The same in words.
        detail: String,
        /// Whether what was on record could not even be read.
        forgot: bool,
    },
}

impl Finding {
    /// The code, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::LostTail { .. } => "lost_tail",
            Self::Damaged { .. } => "damaged_rows",
            Self::MovedAside { .. } => "moved_aside",
            Self::InMemory { .. } => "in_memory",
        }
    }

    /// Whether the daemon may have forgotten something that it did: whoever scales has to rest before the next step.
    pub fn forgot(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::LostTail { forgot, .. }
            | Self::MovedAside { forgot, .. }
            | Self::InMemory { forgot, .. } => *forgot,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = "; everything is known in memory and was written again";
        match self {
            Self::LostTail { commits, forgot } => {
                write!(f, "the store lost its last {commits} commits")?;
                f.write_str(if *forgot { "" } else { known })
            }
            Self::Damaged { rows } => {
                write!(f, "{rows} damaged rows were put aside, into the table `damaged` of the store")
            }
            Self::MovedAside { to, saved, forgot } => {
                write!(f, "the store could not be used and was put aside as {}", to.display())?;
                if *forgot { write!(f, "; {saved} rows of it were saved") } else { f.write_str(known) }
            }
            Self::InMemory { cause, detail, forgot } => {
                write!(f, "the store cannot be opened ({cause}): {detail}; running from memory")?;
                f.write_str(if *forgot { ", and what was on record could not be read" } else { "" })
            }
        }
    }
}
