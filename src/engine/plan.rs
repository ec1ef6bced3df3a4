//! The plan: the part of settings and rules that the engine decides by. Owns nothing that is needed to reach anything.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::incident::IncidentType;
use crate::domain::name::IncidentTypeName;
use crate::domain::notice::Communication;
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
    /// How long nothing could be evaluated before the daemon calls itself blind.
    pub blind_after: Duration,
    /// Whether scaling decisions reach the cluster.
    pub scaling: ScalingMode,
}
