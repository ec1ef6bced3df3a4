//! Escalation in the engine: wakes the next role while nobody has taken a critical incident, and audits itself. The
//! chain's place and clock are the domain's; they stand on the incident, so a restart and a reload keep them.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::escalation::{Escalation, LATE_AFTER};
use crate::domain::incident::{Happening, Incident, IncidentState};
use crate::domain::name::IncidentId;
use crate::domain::notice::NoticeEvent;
use crate::domain::severity::Severity;
use crate::domain::trouble::Trouble;

use super::Engine;

/// How long a lateness is told after it was seen last.
const LATE_FOR: Duration = Duration::from_secs(5 * 60);

impl Engine {
    /// The chain of an incident that opens now.
    pub(super) fn chain(&self, incident: &Incident) -> Option<Escalation> {
        let steps = self.plan.escalations.get(&incident.incident_type).filter(|steps| !steps.is_empty())?;
        let every = self.plan.incident_types.get(&incident.incident_type)?.escalate_after;
        Some(Escalation::new(steps.clone(), every))
    }

    /// Wakes whom it is time to wake, on all incidents.
    pub(super) fn escalate(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (id, incident) in &mut self.state.incidents {
            let runs = incident.state == IncidentState::Open || incident.state == IncidentState::Mitigating;
            let wanted = runs
                && incident.held.is_none()
                && incident.acknowledged.is_none()
                && incident.severity == Severity::Critical;
            // Nobody is woken for what nobody is told of; the chain begins anew when that ends.
            let wanted = wanted && incident.held.is_none();
            let Some(chain) = &mut incident.escalation else { continue };
            let before = chain.wait;
            if wanted {
                chain.start(now);
            } else {
                chain.stop();
            }
            if let Some(wait) = &mut chain.wait {
                *wait = wait.rearmed(now);
            }
            if chain.wait != before {
                self.dirty.incidents.insert(id.clone());
            }
            if chain.due().is_some_and(|at| at <= now) {
                due.push(id.clone());
            }
        }
        for id in due {
            self.wake_next(&id, now);
        }
        self.audit(now);
    }

    fn wake_next(&mut self, id: &IncidentId, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let Some(chain) = &mut incident.escalation else { return };
        let Some((step, late)) = chain.take(now) else { return };
        let exhausted = chain.wait.is_none();
        incident.revision += 1;
        self.dirty.incidents.insert(id.clone());
        let what = Happening::Escalated {
            role: step.role.clone(),
            channel: step.channel.clone(),
            late: late.as_secs(),
        };
        self.note(id, now, what);
        if exhausted {
            self.note(id, now, Happening::EscalationExhausted);
        }
        if late > LATE_AFTER {
            let detail = format!("{} of {id} should have been woken {} s ago", step.role, late.as_secs());
            self.late(&detail, now);
        }
        let did: Arc<str> = format!("woke {}", step.role).into();
        self.act(id, &did, now);
        if let Some(facts) = self.facts(id, None, now) {
            let event = NoticeEvent::Escalated { role: step.role };
            self.queue(&facts, &step.channel, &event, &step.recipients, now);
        }
    }

    /// Whether a step that was taken has not left in time; ends the trouble once none is late any more.
    fn audit(&mut self, now: Timestamp) {
        let stuck = self.state.outbox.values().find(|notice| {
            matches!(notice.event, NoticeEvent::Escalated { .. })
                && has_passed(notice.created_at, LATE_AFTER, now)
        });
        if let Some(notice) = stuck {
            let (id, channel) = (&notice.facts.incident_id, &notice.channel);
            let detail = format!("{id} waits for {channel} with an escalation");
            self.late(&detail, now);
            return;
        }
        let over = self.late_at.is_none_or(|at| has_passed(at, LATE_FOR, now) || now < at);
        if over {
            self.out_of_trouble(Trouble::EscalationLate, "in_time_again", now);
        }
    }

    fn late(&mut self, detail: &str, now: Timestamp) {
        self.late_at = Some(now);
        self.in_trouble(Trouble::EscalationLate, Some(detail), now, now);
    }
}
