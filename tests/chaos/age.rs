//! A pending alert keeps its age over a kill: `for` counts from the first breach, whoever watched.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;

use super::patience::lasting;
use super::run::World;
use super::script::{Level, Load, Problem};

/// How long the breach has to last; the daemon is killed near its end.
const HOLD: Duration = Duration::from_secs(6);

/// When the daemon is killed.
const KILLED_AT: Duration = Duration::from_secs(4);

const RULES: &str = "\
metrics:
  load: {query: load, unit: ratio, help: How loaded a service is.}
monitoring:
  metrics:
    system:
      - load: {warning: 70%, critical: 90%, for: 6s, group_by: [service], incident_type: service_outage}
";

/// From the first breach shown to the page, with a kill near the end of `for`.
pub(crate) async fn from_breach_to_page() -> anyhow::Result<Duration> {
    let mut world =
        World::new(1, Load { at_once: 0, critical: 0 }, "data/runbookd.db", Duration::ZERO).await?;
    world.home.write("rules/rules.yaml", RULES)?;
    let mut life = world.begin()?;
    world.home.ready(&mut life).await?;
    world.source.script().burst(1, &[Level::Warning]);
    lasting(KILLED_AT).await;
    ensure!(world.sinks.hook.journal.count() == 0, "nobody is paged before its time");
    world.kill(life, "anywhere").await?;
    let _life = world.begin()?;
    let page = |entry: &world::journal::Entry<super::hook::Said>| entry.body.event == "opened";
    let page = world.sinks.hook.journal.wait_for_entry(page, 3 * HOLD).await?;
    let shown: Option<Timestamp> = world.source.script().problems.first().and_then(Problem::first_seen);
    Ok(Duration::try_from(page.at.duration_since(shown.context("nothing was shown")?))?)
}

/// Whether a page came after its time and long before a clock that began anew could have run out.
pub(crate) fn is_in_time(took: Duration) -> bool {
    // The daemon asks for whole seconds, so the first breach may count from up to a second before it was shown.
    took + Duration::from_secs(1) >= HOLD && took + Duration::from_secs(1) < KILLED_AT + HOLD
}
