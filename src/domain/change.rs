//! Changes: the pieces of state that a step of the engine altered, as the store keeps them. Owns the closed list of
//! what is durable.

use super::alert::{Alert, AlertKey};
use super::external_alert::ExternalAlert;
use super::incident::Incident;
use super::labels::Labels;
use super::name::{ActionId, IncidentId, NoticeId, SilenceId, TargetId};
use super::notice::Notice;
use super::rest::Rest;
use super::scaling::{Axis, Direction, ScalingAction, TargetRecord};
use super::silence::Silence;

/// A piece of state that changed and must be committed before the effects are performed. `None` deletes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An alert.
    Alert(AlertKey, Option<Alert>),
    /// An incident.
    Incident(IncidentId, Option<Box<Incident>>),
    /// A notice of the outbox.
    Notice(NoticeId, Option<Box<Notice>>),
    /// A scaling action.
    Action(ActionId, Option<Box<ScalingAction>>),
    /// A cooldown.
    Cooldown(TargetId, Axis, Direction, Option<Rest>),
    /// What is remembered of a target beside its actions.
    Target(TargetId, Option<Box<TargetRecord>>),
    /// A silence.
    Silence(SilenceId, Option<Box<Silence>>),
    /// An alert that others evaluate.
    External(Labels, Option<Box<ExternalAlert>>),
    /// How many incidents were numbered on a day (`20261123`).
    Numbered(u32, u32),
}
