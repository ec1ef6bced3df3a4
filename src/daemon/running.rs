//! What runs under one configuration: everything made from settings and rules, built whole before it takes over.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;

use crate::config::Loaded;
use crate::config::settings::Settings;
use crate::domain::name::QueryId;
use crate::engine::plan::Plan;
use crate::notify::channels::Channels;
use crate::prometheus::{Prometheus, Schedule};

/// Everything made from one configuration.
pub struct Running {
    /// The settings.
    pub settings: Settings,
    /// What the engine decides by.
    pub plan: Arc<Plan>,
    /// The metrics' source.
    pub prometheus: Arc<Prometheus>,
    /// When each query is due.
    pub schedule: Schedule,
    /// How many rules read each query.
    pub readers: BTreeMap<QueryId, u64>,
    /// The ways to people.
    pub channels: Arc<Channels>,
}

impl Running {
    /// Builds everything; what cannot be built is an error and changes nothing.
    pub fn build(loaded: Loaded) -> anyhow::Result<Self> {
        let Loaded { settings, rules, warnings: _ } = loaded;
        let prometheus =
            Prometheus::new(&settings.prometheus).context("cannot set up the Prometheus client")?;
        let channels =
            Channels::new(&settings.channels, &settings.communication, settings.public_url.as_deref())
                .context("cannot set up the channels")?;
        let schedule = Schedule::new(rules.queries.values().map(|query| (&query.id, query.interval)), 0);
        let mut readers = BTreeMap::new();
        for rule in rules.rules.values() {
            *readers.entry(rule.query.clone()).or_insert(0) += 1;
        }
        let plan = Arc::new(Plan {
            rules,
            incident_types: settings.incident_types.clone(),
            communication: settings.communication.clone(),
            blind_after: settings.evaluation.blind_after,
            scaling: settings.kubernetes_mode,
        });
        Ok(Self {
            settings,
            plan,
            prometheus: Arc::new(prometheus),
            schedule,
            readers,
            channels: Arc::new(channels),
        })
    }
}
