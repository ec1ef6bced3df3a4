//! Lanes under random turns: order within an incident, one notice a lane, nobody left behind.

use proptest::prelude::*;

use super::*;

const CHANNEL: &str = "chat";

fn fixture(channel: &str, uid: &str, revision: u32) -> Notice {
    let at = Timestamp::UNIX_EPOCH;
    let facts = crate::engine::heartbeat::facts(uid, at);
    Notice {
        id: Notice::id(uid, &channel.into(), revision),
        channel: channel.into(),
        revision,
        event: NoticeEvent::StatusUpdate,
        facts,
        created_at: at,
        attempts: 0,
        rest: None,
        parked: false,
        possibly_sent: false,
        receipt: None,
        recipients: crate::domain::notice::Recipients::Own,
        digest: None,
    }
}

/// What can happen to a channel.
#[derive(Debug, Clone)]
enum Turned {
    Queue { incident: u8, page: bool },
    Accept(u8),
    Fail(u8),
    Forget(u8),
    Lanes(u32),
    Pass(u16),
}

fn turned() -> impl Strategy<Value = Turned> {
    prop_oneof![
        5 => (0..6_u8, any::<bool>()).prop_map(|(incident, page)| Turned::Queue { incident, page }),
        4 => any::<u8>().prop_map(Turned::Accept),
        3 => any::<u8>().prop_map(Turned::Fail),
        1 => any::<u8>().prop_map(Turned::Forget),
        1 => (1..4_u32).prop_map(Turned::Lanes),
        3 => (1..5_000_u16).prop_map(Turned::Pass),
    ]
}

/// Lanes with the outbox they stand for, checked after every turn.
struct Watched {
    lanes: Lanes,
    outbox: BTreeMap<NoticeId, Notice>,
    flying: Vec<NoticeId>,
    policy: LanePolicy,
    now: Timestamp,
    revision: u32,
}

impl Watched {
    fn new(policy: LanePolicy) -> Self {
        Self {
            lanes: Lanes::default(),
            outbox: BTreeMap::new(),
            flying: Vec::new(),
            policy,
            now: Timestamp::from_second(1_000).unwrap(),
            revision: 0,
        }
    }

    fn queue(&mut self, incident: u8, page: bool) {
        self.revision += 1;
        let mut notice = fixture(CHANNEL, &format!("uid-{incident}"), self.revision);
        notice.event = if page { NoticeEvent::Opened } else { NoticeEvent::StatusUpdate };
        notice.created_at = self.now;
        self.lanes.add(&notice, self.policy);
        self.outbox.insert(notice.id.clone(), notice);
    }

    fn pick(&self, which: u8) -> Option<NoticeId> {
        let at = usize::from(which).checked_rem(self.flying.len())?;
        self.flying.get(at).cloned()
    }

    fn land(&mut self, id: &NoticeId) {
        self.flying.retain(|flying| flying != id);
    }

    fn forget(&mut self, id: &NoticeId) {
        self.lanes.remove(&CHANNEL.into(), id);
        self.outbox.remove(id);
        self.land(id);
    }

    fn turn(&mut self, turned: &Turned) {
        match turned {
            Turned::Queue { incident, page } => self.queue(*incident, *page),
            Turned::Accept(which) => {
                let Some(id) = self.pick(*which) else { return };
                for id in self.lanes.worked(&CHANNEL.into()) {
                    if self.lanes.is_in_flight(&CHANNEL.into(), &id) {
                        continue;
                    }
                    if let Some(notice) = self.outbox.get_mut(&id) {
                        notice.rest = None;
                        self.lanes.moved(&notice.clone());
                    }
                }
                self.forget(&id);
            }
            Turned::Fail(which) => {
                let Some(id) = self.pick(*which) else { return };
                let Some(notice) = self.outbox.get_mut(&id) else { return };
                notice.attempts += 1;
                notice.rest = Some(Rest::of(Duration::from_millis(700), self.now));
                let rest = Rest::of(Duration::from_millis(500), self.now);
                self.lanes.failed(&notice.clone(), rest, self.now);
                self.land(&id);
            }
            Turned::Forget(which) => {
                let at = usize::from(*which).checked_rem(self.outbox.len());
                let id = at.and_then(|at| self.outbox.keys().nth(at)).cloned();
                let Some(id) = id.filter(|id| !self.flying.contains(id)) else { return };
                self.forget(&id);
            }
            Turned::Lanes(lanes) => {
                self.policy.lanes = *lanes;
                let policies = BTreeMap::from([(CHANNEL.into(), self.policy)]);
                self.lanes.configure(&policies, &self.outbox);
                // Of several that share a lane now, one counts as in flight.
                let lanes = &self.lanes;
                self.flying.retain(|id| lanes.is_in_flight(&CHANNEL.into(), id));
            }
            Turned::Pass(milliseconds) => {
                self.now += Duration::from_millis(u64::from(*milliseconds));
            }
        }
    }

    /// Lets leave what may, and checks it.
    fn depart(&mut self) -> Result<(), TestCaseError> {
        for (_, turn) in self.lanes.turns(Storm { above: 1_000, per: Duration::from_secs(60) }, self.now) {
            let Turn::Send(id) = turn else { return Err(TestCaseError::fail("a digest")) };
            let notice = &self.outbox[&id];
            let earlier = self
                .outbox
                .values()
                .find(|other| other.facts.uid == notice.facts.uid && other.revision < notice.revision);
            prop_assert!(earlier.is_none(), "{:?} overtook {:?}", notice.id, earlier.map(|it| &it.id));
            prop_assert!(notice.rest.is_none_or(|rest| rest.is_over(self.now)), "it rests");
            prop_assert!(!self.flying.contains(&id), "it is in flight already");
            self.flying.push(id);
        }
        prop_assert!(self.flying.len() <= usize::try_from(self.policy.lanes).unwrap());
        Ok(())
    }
}

proptest! {
    #[test]
    fn notices_of_one_incident_leave_in_order_one_a_lane_and_all_of_them(
        story in proptest::collection::vec(turned(), 1..120),
        paced in any::<bool>(),
    ) {
        let pace = Duration::from_secs(u64::from(paced));
        let mut watched = Watched::new(LanePolicy { lanes: 2, pace, digests: false });
        for turned in &story {
            watched.turn(turned);
            watched.depart()?;
        }
        for _ in 0..1_000 {
            while !watched.flying.is_empty() {
                watched.turn(&Turned::Accept(0));
            }
            watched.turn(&Turned::Pass(1_000));
            watched.depart()?;
            let due = watched.lanes.next_turn(Storm::default(), watched.now);
            let idle = watched.flying.is_empty() && !watched.outbox.is_empty();
            prop_assert!(!idle || due.is_some(), "what waits has an instant to wait for");
        }
        prop_assert!(watched.outbox.is_empty(), "left behind: {:?}", watched.outbox.keys());
    }
}

#[test]
fn one_that_never_gets_through_holds_up_its_own_incident_only() {
    let mut watched = Watched::new(LanePolicy::default());
    for incident in [0, 0, 1, 2] {
        watched.queue(incident, false);
    }
    let mut arrived = Vec::new();
    for _ in 0..20 {
        watched.depart().unwrap();
        let Some(id) = watched.pick(0) else {
            watched.turn(&Turned::Pass(1_000));
            continue;
        };
        let notice = &watched.outbox[&id];
        if notice.facts.uid.as_ref() == "uid-0" {
            watched.turn(&Turned::Fail(0));
        } else {
            arrived.push(notice.revision);
            watched.turn(&Turned::Accept(0));
        }
    }
    assert_eq!(arrived, [3, 4]);
    assert_eq!(watched.outbox.len(), 2);
}
