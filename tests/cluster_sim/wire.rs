//! The wire: calls to the API server, one in flight for each target, as the daemon makes them. Owns what is lost, late or
//! refused on the way; what a call does when it arrives is the cluster's.

use std::collections::VecDeque;

use runbookd::domain::name::TargetId;
use runbookd::domain::scaling::{ClusterFailure, Purpose, ScalingAction, Size, WorkloadSnapshot};
use runbookd::engine::event::Event;

use crate::bugs::Bug;
use crate::cluster::Done;
use crate::faults::Class;
use crate::world::{Happens, World};

/// How long the daemon waits for an answer, in milliseconds.
const TIMEOUT: u64 = 10_000;
/// How much later than that a request may still be carried out.
const LATEST: u64 = 25_000;

/// The calls of one target.
#[derive(Default)]
pub(crate) struct Lane {
    waiting: VecDeque<Call>,
    busy: bool,
    /// A look that waits already answers the next one's question.
    looking: bool,
}

#[derive(Debug, Clone)]
enum Call {
    Look,
    Write(Box<ScalingAction>),
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Sound,
    RequestLost,
    AnswerLost,
    /// It arrives after the daemon stopped waiting.
    Late,
    Refused(ClusterFailure),
    /// What is seen is older than it says.
    TooOld,
    /// A resize ends after so many pods.
    Partly(usize),
}

/// One call on its way.
pub(crate) struct Flight {
    life: u32,
    target: TargetId,
    call: Call,
    fate: Fate,
    seen: Option<Result<Box<WorkloadSnapshot>, ClusterFailure>>,
    written: Option<Result<(), ClusterFailure>>,
}

impl World {
    pub(crate) fn call_look(&mut self, target: TargetId) {
        let Some(node) = &mut self.node else { return };
        let lane = node.lanes.entry(target.clone()).or_default();
        if !std::mem::replace(&mut lane.looking, true) {
            lane.waiting.push_back(Call::Look);
            self.next_call(target);
        }
    }

    pub(crate) fn call_write(&mut self, action: Box<ScalingAction>) {
        let target = action.target.clone();
        let Some(node) = &mut self.node else { return };
        node.lanes.entry(target.clone()).or_default().waiting.push_back(Call::Write(action));
        self.next_call(target);
    }

    fn next_call(&mut self, target: TargetId) {
        let Some(node) = &mut self.node else { return };
        let life = node.life;
        let Some(lane) = node.lanes.get_mut(&target).filter(|lane| !lane.busy) else { return };
        let Some(call) = lane.waiting.pop_front() else { return };
        lane.busy = true;
        let is_write = matches!(call, Call::Write(_));
        if !is_write {
            lane.looking = false;
        }
        let fate = self.fate(&call);
        self.flown += 1;
        let flight = self.flown;
        let soon = self.wire.between(2, 40);
        match fate {
            Fate::Sound | Fate::TooOld | Fate::Partly(_) => {
                self.agenda.after(soon, Happens::Arrive { flight });
            }
            Fate::RequestLost => self.agenda.after(TIMEOUT, Happens::Return { flight }),
            Fate::Refused(_) => self.agenda.after(soon, Happens::Return { flight }),
            Fate::AnswerLost => {
                self.agenda.after(soon, Happens::Arrive { flight });
                self.agenda.after(TIMEOUT, Happens::Return { flight });
            }
            Fate::Late => {
                let arrives = self.faults.chance(Class::Api).between(TIMEOUT, LATEST);
                self.agenda.after(arrives, Happens::Arrive { flight });
                self.agenda.after(TIMEOUT, Happens::Return { flight });
            }
        }
        if is_write {
            self.log(|| format!("{target} write leaves as {flight}: {fate:?}"));
            if self.faults.strikes(Class::Writers, 0.1) {
                self.agenda.after(self.wire.between(0, 30), Happens::SomebodyWrites);
            }
        }
        self.flights.insert(flight, Flight { life, target, call, fate, seen: None, written: None });
        if is_write {
            self.dies_at("kill_between_write_and_arrival");
        }
    }

    fn fate(&mut self, call: &Call) -> Fate {
        use ClusterFailure as F;
        if self.cluster.away {
            return if self.wire.strikes(0.5) { Fate::Refused(F::Unavailable) } else { Fate::RequestLost };
        }
        let write = match call {
            Call::Look => None,
            Call::Write(action) => Some(matches!(action.to, Size::Resources(_))),
        };
        // Looks are many and writes are few.
        let rate = if write.is_some() { self.faults.api } else { self.faults.api / 10.0 };
        if !self.faults.strikes(Class::Api, rate) {
            return Fate::Sound;
        }
        let draws = self.faults.chance(Class::Api);
        match (draws.between(0, 8), write) {
            (0, _) => Fate::RequestLost,
            (1, _) => Fate::AnswerLost,
            (3 | 6 | 7, Some(true)) => Fate::Partly(usize::try_from(draws.between(0, 3)).unwrap_or(0)),
            (2 | 7 | 8, Some(_)) => Fate::Late,
            (2 | 3 | 7 | 8, None) => Fate::TooOld,
            (4, Some(_)) => Fate::Refused(F::Invalid),
            (5, _) => Fate::Refused(F::Forbidden),
            _ => Fate::Refused(F::Unavailable),
        }
    }

    /// A request reaches the API server.
    pub(crate) fn arrive(&mut self, number: u64) {
        let Some(mut flight) = self.flights.remove(&number) else { return };
        let now = self.agenda.now();
        let target = flight.target.clone();
        let Some(workload) = self.cluster.workloads.get_mut(&target) else { return };
        let is_write = match &flight.call {
            Call::Look => {
                let mut seen = workload.snapshot(now);
                if flight.fate == Fate::TooOld
                    && let Some(former) = workload.former(self.faults.chance(Class::Api))
                {
                    self.marks.reached("seen_too_old");
                    seen = former;
                }
                self.judge.saw(&seen, flight.life);
                if let Some(bug) = self.order.bug {
                    bug.at_look(&mut seen);
                }
                flight.seen = Some(Ok(Box::new(seen)));
                false
            }
            Call::Write(action) => {
                let mut action = action.clone();
                if self.order.bug == Some(Bug::WritesWithoutAVersion) {
                    action.resource_version = workload.snapshot(now).resource_version;
                }
                if self.order.bug == Some(Bug::WritesADelta)
                    && let (Size::Replicas(from), Size::Replicas(to)) = (&action.from, &action.to)
                {
                    action.to = Size::Replicas(workload.replicas + to.saturating_sub(*from));
                    action.resource_version = workload.snapshot(now).resource_version;
                }
                if flight.fate == Fate::Late {
                    self.marks.reached("request_late");
                }
                let ends_after = if let Fate::Partly(pods) = flight.fate { Some(pods) } else { None };
                let before = workload.replicas;
                let done = workload.write(&action, ends_after, now);
                let changed = match done {
                    Ok(Done::Changed) => true,
                    // Some pods have it.
                    Err(ClusterFailure::Unreachable) => ends_after != Some(0),
                    Ok(Done::AlreadyThere) | Err(_) => false,
                };
                match done {
                    Err(ClusterFailure::Conflict) => self.marks.reached("conflict_with_another_writer"),
                    Err(ClusterFailure::Unreachable) => self.marks.reached("partly_resized"),
                    _ => {}
                }
                if done.is_ok() {
                    self.judge.accepted(&action.id);
                }
                flight.written = Some(done.map(|_| ()));
                self.log(|| format!("{target} write {number} arrives: {done:?}"));
                if changed {
                    self.marks.reached("step_carried_out");
                    if action.course.purpose == Purpose::Cleared {
                        self.marks.reached("step_back");
                    }
                    match flight.fate {
                        Fate::AnswerLost => self.marks.reached("answer_lost_and_carried_out"),
                        Fate::Late => self.marks.reached("request_late_and_carried_out"),
                        _ => {}
                    }
                    let on_record = self.disk.actions.contains(&action.id);
                    let held = self.judge.carried_out(&action, before, on_record, &self.edition, now);
                    self.check(held);
                }
                true
            }
        };
        let answers = !matches!(flight.fate, Fate::AnswerLost | Fate::Late);
        // Where the answer is lost the daemon still hears of a time-out.
        if flight.fate != Fate::Late {
            self.flights.insert(number, flight);
        }
        if answers {
            self.agenda.after(self.wire.between(2, 40), Happens::Return { flight: number });
        }
        if is_write {
            self.dies_at("kill_between_arrival_and_answer");
        }
    }

    /// A call ends for the daemon.
    pub(crate) fn come_back(&mut self, number: u64) {
        let Some(flight) = self.flights.remove(&number) else { return };
        let (life, target) = (flight.life, flight.target.clone());
        let failure = match flight.fate {
            Fate::Sound | Fate::TooOld | Fate::Partly(_) => None,
            Fate::RequestLost | Fate::AnswerLost | Fate::Late => Some(ClusterFailure::Unreachable),
            Fate::Refused(failure) => Some(failure),
        };
        if flight.fate == Fate::RequestLost {
            self.marks.reached("request_lost");
        }
        let event = match flight.call.clone() {
            Call::Look => {
                let seen =
                    failure.map(Err).or_else(|| flight.seen.clone()).unwrap_or(Err(ClusterFailure::NotFound));
                Event::TargetSeen { target: target.clone(), seen }
            }
            Call::Write(action) => {
                let sound = flight.written.unwrap_or(Err(ClusterFailure::NotFound));
                let outcome = failure.map_or(sound, Err);
                Event::Written { action: action.id, outcome: self.misread(outcome) }
            }
        };
        if flight.fate == Fate::Late {
            // It is still on its way.
            self.flights.insert(number, Flight { seen: None, ..flight });
        }
        if !self.is_alive(life) {
            return;
        }
        if let Some(lane) = self.node.as_mut().and_then(|node| node.lanes.get_mut(&target)) {
            lane.busy = false;
        }
        self.log(|| match &event {
            Event::Written { outcome, .. } => format!("{target} write {number} ends: {outcome:?}"),
            _ => format!("{target} look ends"),
        });
        let silent = self.order.bug == Some(Bug::LooksThatFailAreNotAnswered)
            && matches!(event, Event::TargetSeen { seen: Err(_), .. });
        if silent {
            // The lane hangs on it.
            if let Some(lane) = self.node.as_mut().and_then(|node| node.lanes.get_mut(&target)) {
                lane.busy = true;
            }
            return;
        }
        self.hand_in(event);
        self.next_call(target);
    }

    fn misread(&self, outcome: Result<(), ClusterFailure>) -> Result<(), ClusterFailure> {
        match (self.order.bug, outcome) {
            (
                Some(Bug::RefusalsCountAsAccepted),
                Err(ClusterFailure::Invalid | ClusterFailure::Forbidden),
            ) => Ok(()),
            (Some(Bug::AcceptedCountsAsConflict), Ok(())) => Err(ClusterFailure::Conflict),
            (Some(Bug::LostAnswersCountAsRefused), Err(ClusterFailure::Unreachable)) => {
                Err(ClusterFailure::Invalid)
            }
            (_, outcome) => outcome,
        }
    }
}
