//! The plan: the part of settings and rules that the engine decides by. Owns nothing that is needed to reach anything.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::communication::{Communication, LanePolicy};
use crate::domain::diagnosis::Link;
use crate::domain::escalation::EscalationStep;
use crate::domain::incident::IncidentType;
use crate::domain::name::{ChannelName, IncidentTypeName};
use crate::domain::rule::RuleSet;
use crate::domain::scaling::ScalingMode;

/// What the engine decides by; swapped as a whole at a reload.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The rules.
    pub rules: RuleSet,
    /// The incident types, by name.
    pub incident_types: BTreeMap<IncidentTypeName, IncidentType>,
    /// Who is told.
    pub communication: Communication,
    /// How each configured channel takes notices.
    pub channels: BTreeMap<ChannelName, LanePolicy>,
    /// Who is woken one after the other, by type of incident.
    pub escalations: BTreeMap<IncidentTypeName, Vec<EscalationStep>>,
    /// How often an outside watchdog hears that everything works.
    pub heartbeat: Option<Duration>,
    /// How long nothing could be evaluated before the daemon calls itself blind.
    pub blind_after: Duration,
    /// How long an alert that is handed in without an end fires.
    pub resolve_timeout: Duration,
    /// The links to the tools of the runbook's 5.2; `$label` stands in their URLs.
    pub tools: Vec<Link>,
    /// Whether scaling decisions reach the cluster.
    pub scaling: ScalingMode,
}
