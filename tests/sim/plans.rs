//! Plans: the configurations that a simulated daemon runs under and is reloaded with, made from the files' own language.
//! Owns the texts; each is read once a process.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::communication::Storm;
use runbookd::engine::plan::Plan;

use crate::chance::Chance;

const CONFIG: &str = "
incident_types:
  service_outage: {severity: critical, response_team: operations, escalation: [DevOps lead, CTO, Nobody], escalate_after: 4m}
  memory: {severity: warning, response_team: operations, escalation: [CTO], escalate_after: 6m}
  slowness: {severity: warning, response_team: shop}
  errors: {severity: critical, response_team: shop, escalation: [DevOps lead], escalate_after: 5m}
  disk: {severity: warning, response_team: storage}
emergency_contacts:
  primary: {role: DevOps lead, contact: lead@shop.example}
  secondary: {role: CTO, contact: cto@shop.example}
heartbeat: {url: 'http://127.0.0.1:9/beat', every: 60s}
channels:
  slack: {slack: {webhook_url: 'http://127.0.0.1:9/services/fixture-word'}}
  email: {email: {smtp_url: 'smtp://127.0.0.1:9', tls: none, from: a@shop.example, to: [CTO]}}
  pagerduty: {pagerduty: {routing_key: fixture-routing-key}}
  audit: {webhook: {url: 'http://127.0.0.1:9/audit'}}
communication:
  channels: {primary: slack, secondary: email, emergency: pagerduty}
  notify: {warning: [primary, audit], critical: [primary, secondary, emergency, audit]}
  status_every: 10m
  failover_after: 60s
";

const RULES: &str = "
metrics:
  cpu_usage: {query: cpu, unit: ratio}
  memory_usage: {query: memory, unit: ratio}
  response_time: {query: response, unit: ratio}
  error_rate: {query: errors, unit: ratio}
  disk_free: {query: disk, unit: ratio}
monitoring:
  metrics:
    system:
      - cpu_usage: {warning: 70%, critical: 90%, for: 1m, clear: 60%, keep_firing_for: 45s, incident_type: service_outage}
      - memory_usage: {warning: 70%, critical: 90%, for: {warning: 5m, critical: 30s}, incident_type: memory}
      - response_time: {warning: 70%, critical: 90%, incident_type: slowness}
      - error_rate: {critical: 90%, for: 30s, incident_type: errors}
      - disk_free: {warning: 70%, critical: 90%, on_no_data: fire, no_data_after: 3m, incident_type: disk}
groups: [{name: shop, rules: [{alert: Unready, expr: ready == 0, for: 1m, labels: {severity: critical}}]}]
";

/// What a reload brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edition {
    /// What the daemon starts with.
    Base,
    /// Other thresholds for one rule.
    Edited,
    /// One rule less.
    Removed,
    /// One channel less.
    NoAudit,
    /// A rung of the ladder has another name.
    Renamed,
    /// Everything that was ever configured.
    Whole,
}

impl Edition {
    /// What people reload between.
    pub(crate) const ALL: [Self; 5] = [Self::Base, Self::Edited, Self::Removed, Self::NoAudit, Self::Renamed];

    fn texts(self) -> (String, String) {
        let (config, rules) = (CONFIG.to_owned(), RULES.to_owned());
        match self {
            Self::Base => (config, rules),
            Self::Edited => {
                let old = "response_time: {warning: 70%, critical: 90%";
                (config, rules.replace(old, "response_time: {warning: 40%, critical: 95%, for: 30s"))
            }
            Self::Removed => {
                let kept = rules.lines().filter(|line| !line.contains("- error_rate"));
                (config, kept.collect::<Vec<_>>().join("\n"))
            }
            Self::NoAudit => {
                let kept = config.lines().filter(|line| !line.contains("  audit:"));
                (kept.collect::<Vec<_>>().join("\n").replace(", audit", ""), rules)
            }
            Self::Renamed => {
                let config = config.replace("  email: {email", "  mail: {email");
                (config.replace("secondary: email", "secondary: mail"), rules)
            }
            Self::Whole => {
                let email = config.lines().find(|line| line.contains("  email: {email"));
                let both = email.map(|line| format!("{line}\n{}", line.replace("  email: {", "  mail: {")));
                (config.replace(email.unwrap_or(""), &both.unwrap_or_default()), rules)
            }
        }
    }
}

/// How one seed's daemon is set beyond what the texts say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taste {
    storm: Storm,
}

impl Taste {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut chance = Chance::fork(seed, "taste");
        let above = usize::try_from(chance.between(2, 12)).unwrap_or(2);
        Self { storm: Storm { above, per: Duration::from_secs(chance.between(10, 60)) } }
    }

    /// The plan of an edition, made anew: nothing but its content says that it is the same.
    pub(crate) fn plan(self, edition: Edition) -> Arc<Plan> {
        static READ: OnceLock<Vec<Plan>> = OnceLock::new();
        let read = READ.get_or_init(|| Edition::ALL.into_iter().chain([Edition::Whole]).map(read).collect());
        let mut plan = read[edition as usize].clone();
        plan.communication.storm = self.storm;
        Arc::new(plan)
    }
}

fn read(edition: Edition) -> Plan {
    let (config, rules) = edition.texts();
    let sources = Sources::from_texts(&[("config.yaml", &config)], &[("rules.yaml", &rules)]);
    let loaded = parse(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    plan_of(&loaded.settings, loaded.rules)
}
