//! Storms: thousands of alerts at once to one webhook, measured from outside: how long until the last is told, how
//! much memory it took, how the API answers meanwhile, and what an outage with a kill in it repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::hook::OWN;
use super::patience::{lasting, until};
use super::run::World;
use super::script::{Level, Load};

/// How often the API is asked during a storm.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How long a storm may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Nothing happens by itself: a storm is one burst.
const CALM: Load = Load { at_once: 0, critical: 0 };

/// What was measured of a storm.
#[derive(Debug)]
pub(crate) struct Measured {
    /// How many alerts there were.
    pub(crate) alerts: usize,
    /// How many of them were never told.
    pub(crate) lost: usize,
    /// How many messages were repeats.
    pub(crate) repeated: usize,
    /// From the answer that showed the alerts, or from the sink's recovery, to the last notice.
    pub(crate) took: Duration,
    /// The most memory the daemon held, in bytes.
    pub(crate) memory: u64,
    /// The processor time it used, from its start.
    pub(crate) processor: Duration,
    /// How often it committed, since its last start: each is a sync of the disk that a lane waits for.
    pub(crate) commits: f64,
    /// The time within which 99 of 100 requests to the API were answered.
    pub(crate) api_p99: Duration,
    /// How many requests that is of.
    pub(crate) asked: usize,
}

impl Measured {
    /// What there is to say about it.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} alerts: the last notice after {:?}, {} lost, {} repeated, {} MB and {:?} of processor time, \
             {} commits, API p99 {:?} of {}",
            self.alerts,
            self.took,
            self.lost,
            self.repeated,
            self.memory / 1_000_000,
            self.processor,
            self.commits,
            self.api_p99,
            self.asked,
        )
    }
}

/// All alerts at once.
pub(crate) async fn at_once(alerts: usize) -> anyhow::Result<Measured> {
    let world = World::new(1, CALM, "data/runbookd.db", Duration::ZERO).await?;
    let mut life = world.begin()?;
    world.home.ready(&mut life).await?;
    world.source.asked(PATIENCE).await;
    let until = tokio_util::sync::CancellationToken::new();
    let asking = tokio::spawn(ask(world.home.asker(), until.clone()));
    world.source.script().burst(alerts, &[Level::Warning]);
    told(&world, alerts).await?;
    until.cancel();
    let used = (life.peak_memory()?, life.processor_time()?, commits(&world).await?);
    let answered = asking.await?;
    let shown = world.source.script().problems.iter().filter_map(super::script::Problem::first_seen).min();
    let shown = shown.context("nothing was shown")?;
    Ok(measured(&world, alerts, shown, used, answered))
}

/// Half of the alerts before an outage of the receiver and half in it, with a kill in its middle.
pub(crate) async fn in_an_outage(alerts: usize, outage: Duration) -> anyhow::Result<Measured> {
    let mut world = World::new(1, CALM, "data/runbookd.db", Duration::ZERO).await?;
    let mut life = world.begin()?;
    world.home.ready(&mut life).await?;
    world.source.script().burst(alerts / 2, &[Level::Warning]);
    told(&world, alerts / 2).await?;
    let began = Instant::now();
    world.sinks.hook.door.take_down().await;
    world.source.script().burst(alerts - alerts / 2, &[Level::Warning]);
    let waiting = f64::from(u32::try_from(alerts - alerts / 2)?);
    until(PATIENCE, async || Ok(world.home.metric("runbookd_outbox_messages").await? == waiting)).await?;
    lasting((outage / 2).saturating_sub(began.elapsed())).await;
    world.kill(life, "anywhere").await?;
    let mut life = world.begin()?;
    world.home.ready(&mut life).await?;
    lasting(outage.saturating_sub(began.elapsed())).await;
    let recovered = Timestamp::now();
    world.sinks.hook.door.bring_up().await?;
    told(&world, alerts).await?;
    let used = (life.peak_memory()?, life.processor_time()?, commits(&world).await?);
    Ok(measured(&world, alerts, recovered, used, Vec::new()))
}

/// Waits until all are told and nothing is left to send.
async fn told(world: &World, alerts: usize) -> anyhow::Result<()> {
    world.sinks.hook.journal.wait_count(alerts, PATIENCE).await?;
    until(PATIENCE, async || Ok(world.home.metric("runbookd_outbox_messages").await? == 0.0)).await
}

async fn commits(world: &World) -> anyhow::Result<f64> {
    world.home.metric("runbookd_store_commits_total{outcome=\"committed\"}").await
}

/// Asks the API again and again; how long each answer took.
async fn ask(home: super::daemon::Asker, until: tokio_util::sync::CancellationToken) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut turns = tokio::time::interval(ASK_EVERY);
    while !until.is_cancelled() {
        turns.tick().await;
        let from = Instant::now();
        if home.text("/api/runbookd/v1/incidents?limit=50").await.is_ok() {
            took.push(from.elapsed());
        } else {
            took.push(Duration::from_secs(10));
        }
    }
    took
}

fn measured(
    world: &World,
    alerts: usize,
    from: Timestamp,
    (memory, processor, commits): (u64, Duration, f64),
    mut answered: Vec<Duration>,
) -> Measured {
    let mut first: BTreeMap<String, Timestamp> = BTreeMap::new();
    let mut messages = BTreeSet::new();
    let mut repeated = 0;
    for entry in world.sinks.hook.journal.entries() {
        if entry.body.service.starts_with(OWN) {
            continue;
        }
        repeated += usize::from(!messages.insert((entry.body.service.clone(), entry.body.revision)));
        let at = first.entry(entry.body.service).or_insert(entry.at);
        *at = entry.at.min(*at);
    }
    let last = first.values().max().copied().unwrap_or(from);
    answered.sort();
    let p99 = answered.get(answered.len() * 99 / 100).copied().unwrap_or_default();
    Measured {
        alerts,
        lost: alerts - first.len(),
        repeated,
        took: Duration::try_from(last.duration_since(from)).unwrap_or_default(),
        memory,
        processor,
        commits,
        api_p99: p99,
        asked: answered.len(),
    }
}
