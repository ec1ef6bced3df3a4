//! I14: a reload with the same content moves no deadline. Owns a picture of every clock the engine shows.

use std::collections::{BTreeMap, BTreeSet};

use runbookd::domain::Timestamp;
use runbookd::domain::rest::Rest;
use runbookd::engine::Engine;

/// Every clock that runs.
pub(crate) struct Deadlines {
    /// Of incidents: the next update, the next step of the escalation, the end of the acknowledgement.
    incidents: BTreeMap<String, (Timestamp, Option<Rest>, Option<Timestamp>)>,
    /// Of notices that wait for a time and not for a mend.
    notices: BTreeMap<String, (u32, Option<Rest>)>,
    /// The digests that wait: one that is new has taken the place of other notices.
    digests: BTreeSet<String>,
    /// Of alerts: since when.
    alerts: Vec<(String, &'static str, Option<Timestamp>)>,
}

impl Deadlines {
    pub(crate) fn of(engine: &Engine) -> Self {
        let incidents = engine.incidents().map(|it| {
            let step = it.escalation.as_ref().and_then(|chain| chain.wait);
            let until = it.acknowledged.as_ref().and_then(|known| known.until);
            (it.id.to_string(), (it.next_update_at, step, until))
        });
        let notices = engine.outbox().filter(|(_, notice)| !notice.parked);
        let alerts = engine.alerts().map(|(rule, labels, alert)| {
            (format!("{rule} {labels}"), alert.state.as_str(), alert.breaching_since())
        });
        let digests = engine.outbox().filter(|(_, notice)| notice.digest.is_some());
        Self {
            digests: digests.map(|(id, _)| id.to_string()).collect(),
            incidents: incidents.collect(),
            notices: notices.map(|(id, it)| (id.to_string(), (it.attempts, it.rest))).collect(),
            alerts: alerts.collect(),
        }
    }

    /// Whether the clocks of `self` are the same in `later`.
    pub(crate) fn still(&self, later: &Self) -> Result<(), String> {
        for (id, clocks) in &self.incidents {
            if later.incidents.get(id) != Some(clocks) {
                return Err(format!(
                    "a reload moved a clock of {id}: {clocks:?} to {:?}",
                    later.incidents.get(id)
                ));
            }
        }
        let digested = !later.digests.is_subset(&self.digests);
        for (id, wait) in &self.notices {
            let known = later.notices.get(id);
            if known != Some(wait) && !(known.is_none() && digested) {
                return Err(format!("a reload moved the wait of notice {id}: {wait:?} to {known:?}"));
            }
        }
        if self.alerts != later.alerts {
            return Err("a reload moved the clock of an alert".into());
        }
        Ok(())
    }
}
