//! I6, the first half: a step of an escalation is taken by thirty seconds after it is due, counted in the time the daemon
//! was up. Owns a clock of its own for each chain and looks at nothing but who has the incident and how bad it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use runbookd::domain::incident::{Incident, IncidentState};
use runbookd::domain::name::IncidentId;
use runbookd::domain::severity::Severity;
use runbookd::engine::Engine;

/// How late a step may be.
const LATE: i64 = 30_000;

/// The longest time between two looks that counts as the daemon having been up.
const LOOKS: u64 = 5_000;

struct Clock {
    /// Up-time without anybody having it, in milliseconds.
    waited: i64,
    taken: usize,
}

/// Every chain's clock.
#[derive(Default)]
pub(crate) struct Chains {
    clocks: BTreeMap<(IncidentId, Arc<str>), Clock>,
    last: u64,
}

impl Chains {
    pub(crate) fn started(&mut self, now: u64) {
        self.last = now;
    }

    pub(crate) fn begin_anew(&mut self, incident: &IncidentId) {
        self.clocks.retain(|(id, _), _| id != incident);
    }

    /// An incident is about to be on record: where nobody need be woken the clock stands.
    pub(crate) fn look(&mut self, incident: &Incident) {
        if !runs(incident) {
            self.clocks.remove(&key(incident));
        }
    }

    /// A clock set back makes what waits wait that much longer, or begin anew.
    pub(crate) fn clock_set(&mut self, step: i64) {
        for clock in self.clocks.values_mut().filter(|_| step < 0) {
            clock.waited = (clock.waited + step).max(0);
        }
    }

    pub(crate) fn tick(&mut self, engine: &Engine, now: u64) -> Result<(), String> {
        if now - self.last < 3_000 {
            return Ok(());
        }
        let passed = i64::try_from((now - self.last).min(LOOKS)).unwrap_or(0);
        self.last = now;
        for incident in engine.incidents() {
            let Some(chain) = &incident.escalation else { continue };
            if !runs(incident) || chain.taken >= chain.steps.len() {
                self.clocks.remove(&key(incident));
                continue;
            }
            let clock = self.clocks.entry(key(incident)).or_insert(Clock { waited: 0, taken: chain.taken });
            if clock.taken != chain.taken {
                *clock = Clock { waited: 0, taken: chain.taken };
            }
            clock.waited += passed;
            let every = i64::try_from(chain.every.as_millis()).unwrap_or(i64::MAX);
            if clock.waited > every + LATE {
                let waited = clock.waited / 1_000;
                return Err(format!("{} waits for step {} for {waited} s", incident.id, chain.taken + 1));
            }
        }
        Ok(())
    }
}

/// A number that was never on record may be given again.
fn key(incident: &Incident) -> (IncidentId, Arc<str>) {
    (incident.id.clone(), incident.uid.clone())
}

fn runs(incident: &Incident) -> bool {
    matches!(incident.state, IncidentState::Open | IncidentState::Mitigating)
        && incident.acknowledged.is_none()
        && incident.severity == Severity::Critical
}
