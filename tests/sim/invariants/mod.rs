//! Invariants: what must hold whatever happens, as code with a number and a message. Owns the watch that follows a run and
//! asks each of them at the moment it can be broken. What the channels really accepted is judged by `truth`.
//!
//! | number | what |
//! |---|---|
//! | 1 | nothing leaves without a record, unless the store fails and it is a page or news; no number is given twice |
//! | 2 | every incident is told on every channel of its severity, or elsewhere with the reason on its timeline |
//! | 3 | whoever was told that it began is told once that it is over, and nothing after that |
//! | 4 | repeats: at most one for each lost answer, and one for each lane and kill |
//! | 5 | revisions arrive in order |
//! | 6 | an escalation's step is taken in time, and none once somebody has the incident |
//! | 7 | a pending alert fires at the first evaluation that its hold has lasted to |
//! | 8-12 | scaling and several owners: not here |
//! | 13 | what is restored is what was committed, and what is committed is what was decided |
//! | 14 | a reload with the same content moves no deadline |
//! | 15 | a source that is gone for long is said |
//! | 16 | what is in flight and what waits is bounded |

pub(crate) mod chains;
pub(crate) mod deadlines;
pub(crate) mod judge;
pub(crate) mod pending;
pub(crate) mod restored;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runbookd::domain::Timestamp;
use runbookd::domain::change::Change;
use runbookd::domain::incident::{Happening, Incident};
use runbookd::domain::name::IncidentId;
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::engine::Engine;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::engine::report::Report;

use crate::disk::Disk;
use crate::marks::Marks;
use crate::node::Node;
use crate::step::Step;
use crate::world::Place;

use chains::Chains;
use pending::Pending;

/// A broken invariant: its number and what was seen.
pub(crate) type Broken = (u8, String);

/// How much may wait at the most: many times what the world can cause.
const MOST_WAITING: usize = 2_000;

/// How long a source may be gone before the daemon has to say so: what the plan says, and a slow disk.
const BLIND_WITHIN: u64 = 180_000;

/// An incident that somebody has, on record.
struct Taken {
    uid: Arc<str>,
    revision: u32,
    until: Option<Timestamp>,
}

/// Follows a run.
#[derive(Default)]
pub(crate) struct Watch {
    /// Whom each incident on record has to reach.
    pub(crate) expected: BTreeSet<Place>,
    known: BTreeSet<Arc<str>>,
    taken: BTreeMap<IncidentId, Taken>,
    asked_for: Vec<IncidentId>,
    reloaded: bool,
    pending: Pending,
    chains: Chains,
    /// Since when every answer failed, in true milliseconds, in this life.
    dark_since: Option<u64>,
    dark: bool,
    lanes_moved_in: u32,
}

impl Watch {
    /// How many incidents were on record.
    pub(crate) fn incidents(&self) -> usize {
        self.known.len()
    }

    /// The engine takes an event.
    pub(crate) fn take(
        &mut self,
        step: &mut Step,
        event: Event,
        wall: Timestamp,
        now: u64,
    ) -> Result<(), Broken> {
        match event {
            Event::Observed(round) => {
                let answered = self.pending.before(step.engine(), &round);
                step.take(Event::Observed(round), wall);
                return self.pending.after(step.engine(), answered).map_err(|what| (7, what));
            }
            Event::Tick => {
                step.take(Event::Tick, wall);
                self.chains.tick(step.engine(), now).map_err(|what| (6, what))?;
                self.still_taken(step.engine(), wall)?;
                return self.see(step.engine(), now);
            }
            Event::Reloaded(plan) => {
                self.reloaded = true;
                step.take(Event::Reloaded(plan), wall);
            }
            Event::Acknowledge { ref incident, .. } => {
                self.asked_for.push(incident.clone());
                step.take(event, wall);
            }
            other => step.take(other, wall),
        }
        Ok(())
    }

    /// Whether what somebody took on record is still theirs: nobody gave it back, and its time is not over.
    fn still_taken(&mut self, engine: &Engine, wall: Timestamp) -> Result<(), Broken> {
        self.taken.retain(|_, taken| taken.until.is_none_or(|until| wall < until));
        let lost = self.taken.iter().find(|(id, taken)| {
            let known = engine.incident(id).filter(|it| it.uid == taken.uid && it.state.is_active());
            known.is_some_and(|incident| incident.acknowledged.is_none())
        });
        match lost {
            Some((id, _)) => Err((6, format!("{id} was taken on record and is nobody's again"))),
            None => Ok(()),
        }
    }

    /// Whether the daemon says that it is blind when it is.
    fn see(&mut self, engine: &Engine, now: u64) -> Result<(), Broken> {
        if !self.dark {
            self.dark_since = None;
            return Ok(());
        }
        let since = *self.dark_since.get_or_insert(now);
        if now - since > BLIND_WITHIN && !engine.is_blind() {
            return Err((
                15,
                format!("nothing was answered for {} s and nobody says so", (now - since) / 1_000),
            ));
        }
        Ok(())
    }

    /// A query was asked while the source was gone, or not.
    pub(crate) fn asked(&mut self, gone: bool) {
        self.dark = gone;
    }

    /// Changes are about to be on record.
    pub(crate) fn committed(
        &mut self,
        changes: &[Change],
        disk: &Disk,
        plan: &Plan,
        marks: &mut Marks,
    ) -> Result<(), Broken> {
        let mut fresh: BTreeMap<&IncidentId, &Incident> = BTreeMap::new();
        for change in changes {
            let Change::Incident(id, Some(incident)) = change else { continue };
            fresh.insert(id, incident);
            if disk.numbers.get(id).is_some_and(|uid| *uid != incident.uid) {
                return Err((1, format!("{id} is the number of two incidents")));
            }
            self.known.insert(incident.uid.clone());
            self.chains.look(incident);
            let before = disk.image.incidents.get(id);
            let known = before.map_or(0, |before| before.timeline.len());
            for entry in incident.timeline.iter().skip(known) {
                match entry.what {
                    Happening::PassedOn { .. } => marks.reached("passed_on"),
                    Happening::Superseded { .. } => marks.reached("superseded"),
                    Happening::Unacknowledged { expired: true } => marks.reached("ack_ended"),
                    _ => {}
                }
            }
            let rose = before.is_none_or(|it| incident.severity > it.severity || !it.state.is_active());
            if rose && incident.state.is_active() && !self.reloaded {
                let channels = plan.communication.channels(incident.severity);
                self.expected.extend(channels.iter().map(|it| (incident.uid.clone(), it.clone())));
            }
        }
        for change in changes {
            let Change::Notice(id, Some(notice)) = change else { continue };
            let step = matches!(notice.event, NoticeEvent::Escalated { .. }) && !disk.notices.contains(id);
            let incident = &notice.facts.incident_id;
            let before = disk.image.incidents.get(incident).and_then(|it| it.acknowledged.as_ref());
            let after = fresh.get(incident).and_then(|it| it.acknowledged.as_ref());
            if step && before.is_some() && before.map(|it| it.at) == after.map(|it| it.at) {
                return Err((6, format!("{incident} was somebody's, and somebody else was woken")));
            }
        }
        Ok(())
    }

    /// Everything taken so far is on record, whatever the daemon believes.
    pub(crate) fn kept(&mut self) {
        self.pending.kept();
    }

    /// The daemon knows that everything it took so far is on record.
    pub(crate) fn settled(&mut self, engine: &Engine, wall: Timestamp) {
        self.kept();
        self.reloaded = false;
        for id in std::mem::take(&mut self.asked_for) {
            let Some(incident) = engine.incident(&id) else { continue };
            let Some(known) = &incident.acknowledged else { continue };
            let taken = Taken { uid: incident.uid.clone(), revision: incident.revision, until: known.until };
            self.taken.insert(id, taken);
        }
        self.taken.retain(|id, taken| {
            let over = taken.until.is_some_and(|until| until <= wall);
            !over && engine.incident(id).is_some_and(|it| it.uid == taken.uid && it.state.is_active())
        });
    }

    /// A notice is about to be sent.
    pub(crate) fn handed_out(
        &mut self,
        node: &Node,
        notice: &Notice,
        plan: &Plan,
        wall: Timestamp,
    ) -> Result<(), Broken> {
        if node.flying.contains_key(&notice.id) && !self.moved_lanes(node.life) {
            return Err((16, format!("{} to {} is in flight twice", notice.event, notice.channel)));
        }
        let flying = node.flying.values().filter(|channel| **channel == notice.channel).count() + 1;
        if let Some(policy) = plan.channels.get(&notice.channel)
            && !self.moved_lanes(node.life)
            && flying > usize::try_from(policy.lanes).unwrap_or(usize::MAX)
        {
            return Err((16, format!("{flying} notices are in flight on {}", notice.channel)));
        }
        let waiting = node.step.engine().outbox().count();
        if waiting > MOST_WAITING {
            return Err((16, format!("{waiting} notices wait")));
        }
        if matches!(notice.event, NoticeEvent::Escalated { .. })
            && let Some(taken) = self.taken.get(&notice.facts.incident_id)
            && taken.uid == notice.facts.uid
            && notice.revision > taken.revision
            && taken.until.is_none_or(|until| wall < until)
        {
            let what =
                format!("{} was taken on record, and somebody else was woken", notice.facts.incident_id);
            return Err((6, what));
        }
        Ok(())
    }

    /// What was decided, for the marks.
    pub(crate) fn report(&mut self, report: &Report, marks: &mut Marks) {
        match report {
            Report::Sight { blind: false } => marks.reached("blind_and_back"),
            Report::Incident { id, event: NoticeEvent::Reopened, .. } => {
                // What came back is nobody's, and its escalation begins anew.
                self.taken.remove(id);
                self.chains.begin_anew(id);
                marks.reached("reopened");
            }
            Report::Incident { event: NoticeEvent::Worsened { .. }, .. } => marks.reached("worsened"),
            _ => {}
        }
    }

    /// Somebody does something about an incident: its escalation may begin its wait anew, and whose it is
    /// shows once that is on record.
    pub(crate) fn somebody_acts(&mut self, incident: &IncidentId, takes_or_gives_back: bool) {
        self.chains.begin_anew(incident);
        if takes_or_gives_back {
            self.taken.remove(incident);
        }
    }

    pub(crate) fn started(&mut self, now: u64) {
        self.dark_since = None;
        self.dark = false;
        self.chains.started(now);
    }

    /// The daemon died: what was not on record did not happen.
    pub(crate) fn killed(&mut self, failing: bool) {
        self.pending.killed();
        if failing {
            self.chains.forget();
        }
        self.asked_for.clear();
    }

    pub(crate) fn clock_set(&mut self, step: i64) {
        if step < 0 {
            self.dark_since = None;
        }
        self.chains.clock_set(step);
    }

    /// A reload changes how many lanes a channel has: two that now share one may both be in flight.
    pub(crate) fn lanes_move(&mut self, life: u32) {
        self.lanes_moved_in = life;
    }

    /// Whether that happened in this life.
    pub(crate) fn moved_lanes(&self, life: u32) -> bool {
        self.lanes_moved_in == life
    }
}
