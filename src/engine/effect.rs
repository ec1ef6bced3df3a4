//! Effects: everything the engine asks the shell to do. Owns the closed list of outputs.
//!
//! Each has a deterministic id and states a target, never a delta: performing one twice is harmless.

use crate::domain::diagnosis::Diagnose;
use crate::domain::name::TargetId;
use crate::domain::notice::Notice;
use crate::domain::scaling::{Announcement, ScalingAction};

/// Something to do, after the state that explains it is committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Deliver a notice; answered by `Attempted`.
    Deliver(Box<Notice>),
    /// Run steps of an incident's diagnosis; each is answered by `Diagnosed`. They only read, so running one twice is
    /// harmless; the first answer counts.
    Diagnose(Box<Diagnose>),
    /// Look at a target; answered by `TargetSeen`.
    Look(TargetId),
    /// Write a size; answered by `Written`.
    Write(Box<ScalingAction>),
    /// Write a line on a workload; best effort, answered by nothing, and not repeated after a restart.
    Announce(Box<Announcement>),
}
