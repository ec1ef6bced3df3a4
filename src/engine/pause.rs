//! Pauses: a person asks for rest, for a while or until somebody resumes. Owns what is remembered of that; a pause holds
//! steps and reverts, and lets what is under way be watched to its end.

use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::name::TargetId;
use crate::domain::scaling::{Axis, HeldReason, PauseOrder};

use super::Engine;
use super::report::Report;

impl Engine {
    /// A person asks for rest of a target.
    pub(super) fn pause_scaling(&mut self, id: &TargetId, order: PauseOrder, now: Timestamp) {
        let Some(target) = self.target(id).cloned() else { return };
        let text: Arc<str> =
            HeldReason::Paused { until: order.until, by: order.by.clone(), reason: order.reason.clone() }
                .to_string()
                .into();
        self.reports.push(Report::Paused { target: id.clone(), by: order.by.clone(), paused: true });
        let by = order.by.clone();
        self.with_record(id, |record| record.pause = Some(order));
        if let Some(incident) = self.incident_of(&target) {
            self.note_by(&incident, &by, format!("scaling {text}").into(), now);
        }
    }

    /// A person lets a target be scaled again; what did not help or was undone is forgiven.
    pub(super) fn resume_scaling(&mut self, id: &TargetId, by: &Arc<str>, now: Timestamp) {
        let Some(target) = self.target(id).cloned() else { return };
        self.reports.push(Report::Paused { target: id.clone(), by: by.clone(), paused: false });
        self.with_record(id, |record| record.pause = None);
        for axis in Axis::ALL {
            self.forget_standing(&target, axis, "resumed", now);
        }
        if let Some(state) = self.targets.get_mut(id) {
            state.held.clear();
            state.rests.clear();
        }
        if let Some(incident) = self.incident_of(&target) {
            self.note_by(&incident, by, "scaling resumed".into(), now);
        }
    }

    /// Why a target rests because a person asked for it.
    pub(super) fn paused(&self, id: &TargetId, now: Timestamp) -> Option<HeldReason> {
        let order = self.state.targets.get(id)?.pause.as_ref().filter(|order| order.holds(now))?;
        let (until, by, reason) = (order.until, order.by.clone(), order.reason.clone());
        Some(HeldReason::Paused { until, by, reason })
    }

    /// Forgets a pause that is over.
    pub(super) fn end_pause(&mut self, id: &TargetId, now: Timestamp) {
        let over =
            self.state.targets.get(id).and_then(|it| it.pause.as_ref()).is_some_and(|it| !it.holds(now));
        if over {
            self.reports.push(Report::Paused { target: id.clone(), by: "runbookd".into(), paused: false });
            self.with_record(id, |record| record.pause = None);
        }
    }
}
