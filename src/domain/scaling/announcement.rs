//! Announcements: what is written on a workload, as an event of the cluster, when a scaling action moves. Owns the words;
//! writes nothing.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::name::TargetId;

use super::ScalingAction;

/// A line on a workload. Writing it twice under its name leaves one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Its name: the same move of the same action always has the same.
    pub name: Arc<str>,
    /// The workload.
    pub target: TargetId,
    /// The workload's identity.
    pub uid: Arc<str>,
    /// The reason in the cluster's spelling: `ScalingApplied`.
    pub reason: &'static str,
    /// What happened, in a sentence.
    pub note: Arc<str>,
    /// Whether somebody should look.
    pub is_warning: bool,
    /// When.
    pub at: Timestamp,
}

impl Announcement {
    /// What is to be said about an action's state.
    pub fn of(action: &ScalingAction, text: &str) -> Self {
        let state = &action.state;
        let at = state.at().unwrap_or(action.planned_at);
        Self {
            name: format!(
                "{}.runbookd-{}-{}",
                action.target.name,
                action.id,
                state.as_str().replace('_', "-")
            )
            .into(),
            target: action.target.clone(),
            uid: action.uid.clone(),
            reason: state.event_reason(),
            note: format!("{}: {text}", state.as_str()).into(),
            is_warning: state.is_bad(),
            at,
        }
    }
}
