//! `incident_types`: the runbook's 2.1. Owns the type that is always there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reader;
use crate::config::diagnostic::Code;
use crate::config::rules::DEFAULT_INCIDENT_TYPE;
use crate::config::settings::{Contact, contact};
use crate::config::tree::{Entry, Node};
use crate::domain::incident::IncidentType;
use crate::domain::name::IncidentTypeName;
use crate::domain::severity::Severity;

/// How long each role has to acknowledge, where a type does not say.
const ESCALATE_AFTER: Duration = Duration::from_secs(15 * 60);

const KEYS: &[&str] = &["severity", "response_team", "initial_actions", "escalation", "escalate_after"];

/// Reads the types; `service_outage` is added where the files have none of that name.
pub(super) fn read(reader: &Reader<'_>, contacts: &[Contact]) -> BTreeMap<IncidentTypeName, IncidentType> {
    let entries = reader.blocks.get("incident_types").map_or(&[][..], |node| reader.walk.entries(node));
    let mut types: BTreeMap<IncidentTypeName, IncidentType> =
        entries.iter().map(|entry| one(reader, entry, contacts)).map(|one| (one.name.clone(), one)).collect();
    let name = IncidentTypeName::from(DEFAULT_INCIDENT_TYPE);
    types.entry(name.clone()).or_insert_with(|| IncidentType {
        name,
        severity: Severity::Critical,
        response_team: "operations".into(),
        initial_actions: Vec::new(),
        escalation: Vec::new(),
        escalate_after: ESCALATE_AFTER,
    });
    types
}

fn one(reader: &Reader<'_>, entry: &Entry, contacts: &[Contact]) -> IncidentType {
    let walk = reader.walk;
    let fields = walk.fields(&entry.value, KEYS);
    let severities = [Severity::Warning, Severity::Critical].map(|severity| (severity.as_str(), severity));
    let severity = fields.get("severity").and_then(|node| walk.word(node, &severities));
    let team = fields.get("response_team").and_then(|node| walk.text(node)).cloned();
    let escalation = fields.get("escalation").map_or(&[][..], |node| walk.list(node));
    for role in escalation {
        check_role(reader, role, contacts);
    }
    let least = Duration::from_secs(60);
    let escalate_after = fields.get("escalate_after").and_then(|node| walk.duration_from(node, least));
    IncidentType {
        name: IncidentTypeName::from(entry.key.clone()),
        severity: severity.unwrap_or(Severity::Critical),
        response_team: team.unwrap_or_else(|| "operations".into()),
        initial_actions: fields.get("initial_actions").map(|node| walk.texts(node)).unwrap_or_default(),
        escalation: escalation.iter().filter_map(|node| walk.text(node).cloned()).collect(),
        escalate_after: escalate_after.unwrap_or(ESCALATE_AFTER),
    }
}

/// The runbook itself has roles without a contact: their step goes to the emergency channel and names the role.
fn check_role(reader: &Reader<'_>, node: &Node, contacts: &[Contact]) {
    let Some(role) = node.text().filter(|role| !role.trim().is_empty()) else { return };
    let reachable = |one: &Contact| one.contact.is_some() || one.phone.is_some();
    if !contact(contacts, role).is_some_and(reachable) {
        reader
            .walk
            .warning(Code::UnknownRole, node.span, format!("`{role}` has no contact"))
            .expected("its step goes to the emergency channel")
            .help(format!("add somebody with `role: {role}` to `emergency_contacts`"));
    }
}
