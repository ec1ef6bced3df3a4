//! Heartbeat: tells an outside watchdog that everything works, by the same way as a page: decided here, committed, in
//! the outbox, sent from a lane. So it stays away when any part of that stalls, and the watchdog raises the alarm.

use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::incident::IncidentState;
use crate::domain::labels::Labels;
use crate::domain::name::ChannelName;
use crate::domain::notice::{Facts, Notice, NoticeEvent};
use crate::domain::quantity::Unit;
use crate::domain::rest::Rest;
use crate::domain::severity::Severity;

use super::Engine;

/// The lane of heartbeats; no configured channel can have this name.
pub const HEARTBEAT: &str = "runbookd/heartbeat";

/// How old a page that has not left may be while the heart still beats.
const OLDEST_PAGE: std::time::Duration = std::time::Duration::from_secs(120);

impl Engine {
    /// Beats if it is time and everything works as far as the engine can tell.
    pub(super) fn beat(&mut self, now: Timestamp) {
        let Some(every) = self.plan.heartbeat else { return };
        if self.beaten.is_some_and(|rest| !rest.is_over(now)) || !self.is_well(now) {
            return;
        }
        let channel = ChannelName::from(HEARTBEAT);
        // One at a time: what waits is not repeated.
        if self.state.outbox.values().any(|notice| notice.channel == channel) {
            return;
        }
        self.beaten = Some(Rest::of(every, now));
        let uid = format!("heartbeat/{}", now.as_nanosecond());
        let facts = facts(&uid, now);
        self.post(Notice::new(channel, 0, NoticeEvent::Heartbeat, facts, now));
    }

    /// Whether rounds are answered and pages leave.
    fn is_well(&self, now: Timestamp) -> bool {
        let sees = !self.is_blind() && self.sees(now);
        let stuck = self
            .state
            .outbox
            .values()
            .any(|notice| notice.is_page() && has_passed(notice.created_at, OLDEST_PAGE, now));
        sees && !stuck
    }
}

/// The facts of a heartbeat: that there is nothing to say.
pub(super) fn facts(uid: &str, now: Timestamp) -> Facts {
    let subject = Labels::new([("service", "runbookd")]);
    Facts {
        incident_id: "heartbeat".into(),
        uid: uid.into(),
        incident_type: "heartbeat".into(),
        severity: Severity::Warning,
        state: IncidentState::Closed,
        acknowledged_by: None,
        acknowledged_in: None,
        subject: subject.clone(),
        subject_name: "runbookd".into(),
        opened_by: "heartbeat".into(),
        metric: "heartbeat".into(),
        value: None,
        unit: Unit::Count,
        threshold: None,
        impact: "".into(),
        team: "".into(),
        actions: Vec::new(),
        next_steps: Vec::new(),
        eta: None,
        since: now,
        opened_at: now,
        resolved_at: None,
        did: None,
        labels: subject,
        runbook_url: None,
        diagnosis: Vec::new(),
        links: Vec::new(),
        pages: 0,
        opened_revision: 0,
        lead: None,
    }
}
