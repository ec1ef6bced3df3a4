//! The runbook's blocks and the shipped folders.

use std::path::Path;

use runbookd::config::{Loaded, Sources, load, parse};

/// The fenced YAML blocks of the runbook, without the indentation of the list they stand in.
fn blocks() -> Vec<String> {
    let runbook = include_str!("../fixtures/runbook.md");
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for line in runbook.lines() {
        let indent = line.len() - line.trim_start().len();
        match &mut block {
            None if line.trim() == "```yaml" => block = Some((indent, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(block.take().map(|(_, text)| text)),
            Some((indent, text)) => {
                text.push_str(line.get(*indent..).unwrap_or(line.trim_start()));
                text.push('\n');
            }
        }
    }
    blocks
}

fn key(block: &str) -> &str {
    block.split(':').next().unwrap_or("")
}

fn belongs_to_config(block: &str) -> bool {
    ["incident_types", "communication", "diagnostic_tools", "emergency_contacts"].contains(&key(block))
}

fn load_alone(block: &str) -> Loaded {
    let file = [("block.yaml", block)];
    let sources = if belongs_to_config(block) {
        Sources::from_texts(&file, &[])
    } else {
        Sources::from_texts(&[], &file)
    };
    parse(&sources).unwrap_or_else(|diagnostics| panic!("{block}\n{diagnostics}"))
}

#[test]
fn every_block_of_the_runbook_loads_alone() {
    let blocks = blocks();
    assert_eq!(blocks.len(), 9);
    for block in &blocks {
        let loaded = load_alone(block);
        match key(block) {
            "incident_types" => {
                let names: Vec<_> = loaded.settings.incident_types.keys().map(ToString::to_string).collect();
                assert_eq!(names, ["security_breach", "service_outage"]);
            }
            "communication" => {
                let plan = &loaded.settings.communication;
                assert_eq!(plan.emergency.as_str(), "pagerduty");
                assert!(plan.initial_alert.starts_with("Incident: {incident_id}\nType: {type}\n"));
                assert_eq!(plan.critical.len(), 3);
            }
            "diagnostic_tools" => assert_eq!(loaded.settings.diagnostic_tools.len(), 9),
            "emergency_contacts" => assert_eq!(loaded.settings.contacts.len(), 3),
            "monitoring" => assert_eq!(loaded.rules.rules.len(), 8),
            "alert_responses" => assert_eq!(loaded.rules.responses.len(), 2),
            "scale_out_strategy" => {
                let policy = loaded.rules.policy.expect("a policy");
                assert_eq!(policy.triggers.len(), 3);
                assert!(policy.horizontal.is_some() && policy.vertical.is_some());
            }
            "resource_requirements" => {
                let needed = loaded.rules.resource_requirements.expect("requirements");
                let model = needed.model("platform").expect("the model that the runbook states");
                let of = |name: &str| {
                    let found = model.resources.iter().find(|resource| &*resource.name == name);
                    found.map(|resource| resource.need.for_tenants(140.0))
                };
                assert_eq!(of("memory"), Some(39.84e9));
                assert_eq!(of("cpu"), Some(16.0));
                assert_eq!((of("database"), of("backup")), (Some(160e9), Some(480e9)));
            }
            "backup_configuration" => {
                let backups = loaded.rules.backup_configuration.expect("backups");
                assert_eq!((backups.schedules.len(), backups.storage.len()), (2, 2));
            }
            other => panic!("no check for {other}"),
        }
    }
}

#[test]
fn the_shipped_folders_load_and_hold_the_runbooks_blocks_word_for_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (config, rules) = (root.join("config"), root.join("rules"));
    let loaded = load(&config, &rules).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    println!("{}", loaded.warnings);
    let of = |head: &str| loaded.rules.rules.keys().filter(|id| id.as_str().starts_with(head)).count();
    assert_eq!((of("monitoring/"), of("capacity/"), of("backup/")), (8, 1, 16));
    assert_eq!(loaded.settings.channels.len(), 3);
    let sources = Sources::read(&config, &rules);
    for block in blocks() {
        let held = sources.files.iter().any(|file| file.text.contains(block.trim_end()));
        assert!(held, "no shipped file holds\n{block}");
    }
}
