//! `resource_requirements`: the runbook's 6.1. Owns the units of its numbers.

use crate::config::tree::Node;
use crate::config::walk::Walk;
use crate::domain::capacity::{Requirement, ResourceRequirements};
use crate::domain::quantity::Unit;

/// Reads the requirements.
pub(super) fn read(walk: &Walk<'_>, node: &Node) -> ResourceRequirements {
    let fields = walk.fields(node, &["compute", "storage"]);
    let compute = fields.get("compute").map(|node| walk.fields(node, &["cpu", "memory"]));
    let storage = fields.get("storage").map(|node| walk.fields(node, &["database", "backup"]));
    let of = |key: &str, unit| {
        let node = compute.as_ref().and_then(|fields| fields.get(key))?;
        requirement(walk, node, unit)
    };
    let database = storage.as_ref().and_then(|fields| fields.get("database"));
    let backup = storage.as_ref().and_then(|fields| fields.get("backup"));
    let backup = backup.map(|node| walk.fields(node, &["multiplier", "retention"]));
    let backup = |key: &str| backup.as_ref().and_then(|fields| fields.get(key));
    ResourceRequirements {
        cpu: of("cpu", Unit::Cores),
        memory: of("memory", Unit::Bytes),
        database: database.and_then(|node| requirement(walk, node, Unit::Bytes)),
        backup_multiplier: backup("multiplier").and_then(|node| walk.amount(node, Unit::Ratio)),
        backup_retention: backup("retention").and_then(|node| walk.duration(node)),
    }
}

fn requirement(walk: &Walk<'_>, node: &Node, unit: Unit) -> Option<Requirement> {
    let fields = walk.fields(node, &["base", "per_tenant"]);
    if fields.is_empty() {
        walk.missing(node.span, "base", "base: 2");
        return None;
    }
    let amount = |key: &str| fields.get(key).map_or(Some(0.0), |node| walk.amount(node, unit));
    let (base, per_tenant) = (amount("base"), amount("per_tenant"));
    Some(Requirement { base: base?, per_tenant: per_tenant? })
}
