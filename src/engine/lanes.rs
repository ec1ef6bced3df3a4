//! Lanes: which notice of the outbox leaves when. Owns order, pacing, waiting after failures and what is in flight;
//! decides nothing about what is told to whom.
//!
//! A channel has one or more lanes and a lane has at most one notice in flight, so a kill can repeat at most one
//! notice a lane. Notices of one incident always share a lane and leave in the order of their revisions; between
//! incidents pages leave first, then the oldest. A channel that fails is probed by one notice at a time, each time
//! by another incident's, so that one notice that never gets through holds up its own incident only.
//!
//! Derived from the outbox and made anew at a restart; what must survive (attempts, waits) stands on the notices.
//! Cost: O(log n) a notice queued, dispatched or ended, and a look at every lane per event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::communication::{LanePolicy, Storm};
use crate::domain::labels::Fnv;
use crate::domain::name::{ChannelName, NoticeId};
use crate::domain::notice::{Notice, NoticeEvent};
use crate::domain::rest::Rest;

/// When lanes are looked at again where nothing says when.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Orders the incidents of a lane: those that rest last, pages first, then by age.
type Place = (Option<Rest>, bool, Timestamp, u32, Arc<str>);

/// One incident's notices, the oldest first.
type Queue = VecDeque<NoticeId>;

/// One notice at a time.
#[derive(Debug, Default)]
struct Lane {
    queues: BTreeMap<Arc<str>, Queue>,
    heads: BTreeSet<Place>,
    in_flight: Option<(NoticeId, Arc<str>)>,
}

/// Everything that waits for one channel.
#[derive(Debug, Default)]
struct Pipe {
    policy: LanePolicy,
    lanes: Vec<Lane>,
    /// Until when nothing leaves: the pace, or a wait after a failure.
    rest: Option<Rest>,
    /// Notices that failed since the channel last accepted one, and how often in all.
    failed: BTreeSet<NoticeId>,
    failures: u32,
    /// When notices left, within the storm's span.
    left: VecDeque<Timestamp>,
    digested_at: Option<Timestamp>,
    /// A digest that has not arrived yet: what follows must not overtake it.
    barrier: Option<NoticeId>,
    /// Escalations that have not left the outbox: they are not kept back for the next digest.
    urgent: BTreeSet<NoticeId>,
    /// What the channel refused and somebody has to mend.
    parked: BTreeSet<NoticeId>,
}

/// All channels' lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    pipes: BTreeMap<ChannelName, Pipe>,
    /// Where each waiting or flying notice stands.
    places: BTreeMap<NoticeId, Place>,
}

/// What a lane may do now.
pub(super) enum Turn {
    /// Send this notice.
    Send(NoticeId),
    /// Tell all of these in one digest.
    Digest(Vec<NoticeId>),
}

impl Pipe {
    fn is_resting(&self, now: Timestamp) -> bool {
        self.rest.is_some_and(|rest| !rest.is_over(now))
    }

    fn in_flight(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.in_flight.is_some()).count()
    }

    fn waiting_incidents(&self) -> usize {
        self.lanes.iter().map(|lane| lane.heads.len()).sum()
    }

    fn slot(&self, incident: &str) -> usize {
        let mut hash = Fnv::default();
        hash.write(incident.as_bytes());
        let lanes = u64::try_from(self.lanes.len().max(1)).unwrap_or(1);
        // FNV's low bits are its weakest.
        usize::try_from((hash.0 >> 32) % lanes).unwrap_or(0)
    }
}

impl Lanes {
    /// Brings the lanes in line with how channels take notices now. Clocks, failures and what is in flight go on.
    pub(super) fn configure(
        &mut self,
        policies: &BTreeMap<ChannelName, LanePolicy>,
        outbox: &BTreeMap<NoticeId, Notice>,
    ) {
        for (channel, pipe) in &mut self.pipes {
            // A channel that is gone keeps its lanes for what is in flight, and joins nothing: a digest to it would be
            // refused, taken apart and joined again.
            let gone = LanePolicy { digests: false, ..pipe.policy };
            let policy = policies.get(channel).copied().unwrap_or(gone);
            let lanes = usize::try_from(policy.lanes.max(1)).unwrap_or(1);
            if pipe.lanes.len() != lanes {
                let old = std::mem::take(&mut pipe.lanes);
                pipe.lanes = std::iter::repeat_with(Lane::default).take(lanes).collect();
                for lane in old {
                    for (incident, queue) in lane.queues {
                        let slot = pipe.slot(&incident);
                        let Some(lane) = pipe.lanes.get_mut(slot) else { continue };
                        lane.queues.insert(incident, queue);
                    }
                    if let Some((id, incident)) = lane.in_flight {
                        let slot = pipe.slot(&incident);
                        // Where two now share a lane the second counts as waiting: it may leave once more.
                        if let Some(lane) = pipe.lanes.get_mut(slot).filter(|lane| lane.in_flight.is_none()) {
                            lane.in_flight = Some((id, incident));
                        }
                    }
                }
                for lane in &mut pipe.lanes {
                    lane.heads.clear();
                    for (incident, queue) in &lane.queues {
                        let flying = lane.in_flight.as_ref().is_some_and(|(_, it)| it == incident);
                        let head = queue.front().and_then(|id| self.places.get(id));
                        lane.heads.extend(head.filter(|_| !flying).cloned());
                    }
                }
            }
            pipe.policy = policy;
        }
        let missing: Vec<&Notice> =
            outbox.values().filter(|notice| !self.places.contains_key(&notice.id)).collect();
        let mut missing = missing;
        // By revision first: a clock that was set back dates the newer of an incident before the older.
        missing.sort_by(|one, two| {
            (one.revision, one.created_at, &one.id).cmp(&(two.revision, two.created_at, &two.id))
        });
        for notice in missing {
            let policy = policies.get(&notice.channel).copied().unwrap_or_default();
            self.add(notice, policy);
        }
    }

    /// A notice was added to the outbox: behind all earlier ones of its incident, before all later ones.
    pub(super) fn add(&mut self, notice: &Notice, policy: LanePolicy) {
        let pipe = self.pipes.entry(notice.channel.clone()).or_default();
        if pipe.lanes.is_empty() {
            pipe.policy = policy;
            let lanes = usize::try_from(policy.lanes.max(1)).unwrap_or(1);
            pipe.lanes.resize_with(lanes, Lane::default);
        }
        let incident = &notice.facts.uid;
        let slot = pipe.slot(incident);
        let Some(lane) = pipe.lanes.get_mut(slot) else { return };
        let place = place(notice);
        if notice.event == NoticeEvent::Digest {
            pipe.barrier = Some(notice.id.clone());
        }
        if matches!(notice.event, NoticeEvent::Escalated { .. }) {
            pipe.urgent.insert(notice.id.clone());
        }
        if notice.parked {
            pipe.parked.insert(notice.id.clone());
        }
        let queue = lane.queues.entry(incident.clone()).or_default();
        let flying = lane.in_flight.as_ref().filter(|(_, flying)| flying == incident);
        let is_later = |id: &NoticeId| {
            flying.is_none_or(|(flying, _)| flying != id)
                && self.places.get(id).is_some_and(|place| place.3 > notice.revision)
        };
        // Almost always the last: only the parts of a digest come late, and what is restored comes in any order.
        let at = queue.iter().rposition(|id| !is_later(id)).map_or(0, |before| before + 1);
        if at == 0 && flying.is_none() {
            if let Some(was) = queue.front().and_then(|id| self.places.get(id)) {
                lane.heads.remove(was);
            }
            lane.heads.insert(place.clone());
        }
        queue.insert(at, notice.id.clone());
        self.places.insert(notice.id.clone(), place);
    }

    /// A notice left the outbox.
    pub(super) fn remove(&mut self, channel: &ChannelName, id: &NoticeId) {
        let Some(place) = self.places.remove(id) else { return };
        let Some(pipe) = self.pipes.get_mut(channel) else { return };
        pipe.failed.remove(id);
        pipe.urgent.remove(id);
        pipe.parked.remove(id);
        if pipe.barrier.as_ref() == Some(id) {
            pipe.barrier = None;
        }
        let slot = pipe.slot(&place.4);
        let Some(lane) = pipe.lanes.get_mut(slot) else { return };
        lane.heads.remove(&place);
        if lane.in_flight.as_ref().is_some_and(|(flying, _)| flying == id) {
            lane.in_flight = None;
        }
        let Some(queue) = lane.queues.get_mut(&place.4) else { return };
        queue.retain(|waiting| waiting != id);
        match queue.front() {
            None => drop(lane.queues.remove(&place.4)),
            Some(next) => {
                let flying = lane.in_flight.as_ref().is_some_and(|(_, incident)| *incident == place.4);
                if let Some(next) = self.places.get(next).filter(|_| !flying) {
                    lane.heads.insert(next.clone());
                }
            }
        }
    }

    /// The notices of an incident that wait for a channel and have not left, oldest first.
    pub(super) fn waiting(&self, channel: &ChannelName, incident: &str) -> Vec<NoticeId> {
        let Some(pipe) = self.pipes.get(channel) else { return Vec::new() };
        let Some(lane) = pipe.lanes.get(pipe.slot(incident)) else { return Vec::new() };
        let flying = lane.in_flight.as_ref().map(|(id, _)| id);
        let queue = lane.queues.get(incident).into_iter().flatten();
        queue.filter(|id| Some(*id) != flying).cloned().collect()
    }

    /// Whether a notice is in flight.
    pub(super) fn is_in_flight(&self, channel: &ChannelName, id: &NoticeId) -> bool {
        let lanes = self.pipes.get(channel).map_or(&[][..], |pipe| &pipe.lanes);
        lanes.iter().any(|lane| lane.in_flight.as_ref().is_some_and(|(flying, _)| flying == id))
    }

    /// A channel accepted or finally refused something: it works. Says which notices need not rest any longer,
    /// because it was the channel that failed and not they.
    pub(super) fn worked(&mut self, channel: &ChannelName) -> Vec<NoticeId> {
        let Some(pipe) = self.pipes.get_mut(channel) else { return Vec::new() };
        pipe.failures = 0;
        let failed = std::mem::take(&mut pipe.failed);
        if failed.len() >= 2 { failed.into_iter().collect() } else { Vec::new() }
    }

    /// An attempt failed and may work later: the notice rests, and the channel for `channel_rest`.
    pub(super) fn failed(&mut self, notice: &Notice, channel_rest: Rest, now: Timestamp) {
        if let Some(pipe) = self.pipes.get_mut(&notice.channel) {
            pipe.failures = pipe.failures.saturating_add(1);
            pipe.failed.insert(notice.id.clone());
            pipe.rest = Some(pipe.rest.filter(|rest| !rest.is_over(now)).map_or(channel_rest, |rest| {
                if rest.until > channel_rest.until { rest } else { channel_rest }
            }));
        }
        self.moved(notice);
    }

    /// A channel rests, as it did before the daemon went down.
    pub(super) fn rest(&mut self, channel: &ChannelName, rest: Rest) {
        if let Some(pipe) = self.pipes.get_mut(channel) {
            pipe.rest = Some(pipe.rest.map_or(rest, |known| known.max(rest)));
        }
    }

    /// The notices that may have been in flight when the daemon went down: the first of each lane. How many lanes a
    /// channel had that is no longer configured nobody knows, so there it is the first of each incident.
    pub(super) fn firsts(&self, configured: &BTreeMap<ChannelName, LanePolicy>) -> Vec<NoticeId> {
        let mut firsts = Vec::new();
        for (channel, pipe) in &self.pipes {
            let most = if configured.contains_key(channel) { 1 } else { usize::MAX };
            for lane in &pipe.lanes {
                let first = |place: &Place| lane.queues.get(&place.4).and_then(VecDeque::front).cloned();
                firsts.extend(lane.heads.iter().take(most).filter_map(first));
            }
        }
        firsts
    }

    /// What waits on a channel until somebody has mended why it was refused.
    pub(super) fn parked(&self, channel: &ChannelName) -> impl Iterator<Item = &NoticeId> {
        self.pipes.get(channel).into_iter().flat_map(|pipe| &pipe.parked)
    }

    /// How often in a row a channel failed.
    pub(super) fn failures(&self, channel: &ChannelName) -> u32 {
        self.pipes.get(channel).map_or(0, |pipe| pipe.failures)
    }

    /// A notice's wait changed, and it is not in flight.
    pub(super) fn moved(&mut self, notice: &Notice) {
        let Some(pipe) = self.pipes.get_mut(&notice.channel) else { return };
        if notice.parked {
            pipe.parked.insert(notice.id.clone());
        } else {
            pipe.parked.remove(&notice.id);
        }
        let slot = pipe.slot(&notice.facts.uid);
        let (Some(lane), Some(was)) = (pipe.lanes.get_mut(slot), self.places.get(&notice.id)) else { return };
        lane.heads.remove(was);
        if lane.in_flight.as_ref().is_some_and(|(flying, _)| *flying == notice.id) {
            lane.in_flight = None;
        }
        let place = place(notice);
        let is_head =
            lane.queues.get(&notice.facts.uid).and_then(VecDeque::front).is_some_and(|id| *id == notice.id);
        if is_head {
            lane.heads.insert(place.clone());
        }
        self.places.insert(notice.id.clone(), place);
    }

    /// What may leave now, on all channels; what is sent is in flight from here on.
    pub(super) fn turns(&mut self, storm: Storm, now: Timestamp) -> Vec<(ChannelName, Turn)> {
        let mut turns = Vec::new();
        for (channel, pipe) in &mut self.pipes {
            if pipe.lanes.iter().all(|lane| lane.heads.is_empty()) || pipe.is_resting(now) {
                continue;
            }
            if let Some(all) = pipe.digest(storm, now) {
                turns.push((channel.clone(), Turn::Digest(all)));
                continue;
            }
            if pipe.holds_for_digest(storm, now) {
                continue;
            }
            for at in 0..pipe.lanes.len() {
                // A channel that fails is probed by one notice at a time.
                if pipe.is_resting(now) || (pipe.failures > 0 && pipe.in_flight() > 0) {
                    break;
                }
                let Some(lane) = pipe.lanes.get_mut(at).filter(|lane| lane.in_flight.is_none()) else {
                    continue;
                };
                let barrier = pipe.barrier.as_ref();
                let may_leave = |place: &&Place| {
                    let head = lane.queues.get(&place.4).and_then(VecDeque::front);
                    is_due(place, now) && (barrier.is_none() || head == barrier)
                };
                // Rests sort last and by their ends, so only a barrier makes it look further than the first.
                let found = if barrier.is_some() {
                    lane.heads.iter().find(may_leave)
                } else {
                    lane.heads.first().filter(may_leave)
                };
                let Some(place) = found.cloned() else { continue };
                lane.heads.remove(&place);
                let Some(id) = lane.queues.get(&place.4).and_then(VecDeque::front).cloned() else { continue };
                lane.in_flight = Some((id.clone(), place.4));
                if !pipe.policy.pace.is_zero() {
                    pipe.rest = Some(Rest::of(pipe.policy.pace, now));
                }
                if pipe.policy.digests {
                    pipe.left.push_back(now);
                }
                turns.push((channel.clone(), Turn::Send(id)));
            }
        }
        turns
    }

    /// When the next notice may leave, where one waits for a time and not for an answer.
    pub(super) fn next_turn(&self, storm: Storm, now: Timestamp) -> Option<Timestamp> {
        let next = self.pipes.values().filter_map(|pipe| {
            let idle = pipe.lanes.iter().filter(|lane| lane.in_flight.is_none());
            let head = idle.filter_map(|lane| lane.heads.first()).min()?;
            if pipe.failures > 0 && pipe.in_flight() > 0 {
                return None;
            }
            let own = head.0.filter(|rest| !rest.is_over(now)).map(|rest| rest.until);
            let channel = pipe.rest.filter(|rest| !rest.is_over(now)).map(|rest| rest.until);
            let digest = pipe
                .digested_at
                .filter(|_| pipe.holds_for_digest(storm, now))
                .and_then(|at| at.checked_add(storm.per).ok());
            [own, channel, digest].into_iter().flatten().max().or_else(|| now.checked_add(LOOK_AGAIN).ok())
        });
        next.min()
    }
}

impl Pipe {
    fn is_storming(&self, storm: Storm, now: Timestamp) -> bool {
        let recent = self.left.iter().filter(|at| !Rest::of(storm.per, **at).is_over(now)).count();
        self.policy.digests
            && self.barrier.is_none()
            && self.failures == 0
            && self.waiting_incidents() > 1
            && (self.waiting_incidents() > storm.above || recent >= storm.above)
    }

    /// Whether what waits is kept back for the next digest.
    fn holds_for_digest(&self, storm: Storm, now: Timestamp) -> bool {
        self.urgent.is_empty()
            && self.is_storming(storm, now)
            && self.digested_at.is_some_and(|at| !Rest::of(storm.per, at).is_over(now))
    }

    /// Everything that waits, if it is to be told at once.
    fn digest(&mut self, storm: Storm, now: Timestamp) -> Option<Vec<NoticeId>> {
        while self.left.front().is_some_and(|at| Rest::of(storm.per, *at).is_over(now)) {
            self.left.pop_front();
        }
        if !self.is_storming(storm, now) || self.holds_for_digest(storm, now) {
            return None;
        }
        let mut all = Vec::new();
        for lane in &self.lanes {
            // Those in flight have no head here: what follows must not overtake them. Those that rest, because they
            // failed or were refused, keep their own wait.
            for place in lane.heads.iter().filter(|place| is_due(place, now)) {
                all.extend(lane.queues.get(&place.4).into_iter().flatten().cloned());
            }
        }
        let enough = all.len() > 1;
        if enough {
            self.digested_at = Some(now);
        }
        enough.then_some(all)
    }
}

fn place(notice: &Notice) -> Place {
    let uid = notice.facts.uid.clone();
    (notice.rest, !notice.is_page(), notice.created_at, notice.revision, uid)
}

fn is_due(place: &Place, now: Timestamp) -> bool {
    place.0.is_none_or(|rest| rest.is_over(now))
}

#[cfg(test)]
mod tests;
