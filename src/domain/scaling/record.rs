//! Records: what must be remembered of a target beside its actions: a pause, steps that did not help, the size its pods
//! are meant to have. Owns that it is durable; decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

use super::{Axis, ContainerSize};

/// What is remembered of a target over restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Somebody asked for rest.
    #[serde(default)]
    pub pause: Option<PauseOrder>,
    /// How its steps have fared, by axis, since its triggers were last clear.
    #[serde(default)]
    pub standings: BTreeMap<Axis, Standing>,
    /// The size that in-place steps gave its pods.
    #[serde(default)]
    pub kept: Option<KeptSize>,
}

impl TargetRecord {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.pause.is_none() && self.kept.is_none() && self.standings.is_empty()
    }
}

/// A time without steps that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseOrder {
    /// Who.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` until somebody resumes.
    pub until: Option<Timestamp>,
}

impl PauseOrder {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// How the steps on an axis have fared since the triggers were last clear.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// So many steps in a row did not help.
    pub strikes: u32,
    /// The replicas that the last step left, where nothing has been taken back since.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// The axis rests until the triggers are clear or a person resumes it.
    #[serde(default)]
    pub frozen: Option<Frozen>,
}

/// Why an axis rests until the triggers are clear or a person resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frozen {
    /// Several steps in a row did not help.
    DoesNotHelp {
        /// How many.
        steps: u32,
    },
    /// Somebody took a step back.
    Undone {
        /// Who: the field manager that wrote it, where that is known.
        by: Option<Arc<str>>,
    },
}

/// The size that in-place steps gave a workload's pods: pods of a later rollout start from the template, and are brought
/// to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptSize {
    /// The workload's identity.
    pub uid: Arc<str>,
    /// What its pods are meant to have.
    pub containers: Vec<ContainerSize>,
    /// What the template gave them when that was decided: a template that somebody changed since speaks for itself.
    pub template: Vec<ContainerSize>,
    /// Since when.
    pub since: Timestamp,
}
