//! The state of the last reload, as surfaces show it.

use std::sync::Arc;

use crate::domain::Timestamp;

/// How the last reload went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadStatus {
    /// Whether it was taken.
    pub taken: bool,
    /// When it was tried.
    pub at: Timestamp,
    /// What is wrong, for people; empty where it was taken.
    pub diagnostics: Arc<str>,
}
