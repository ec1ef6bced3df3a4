//! The world: everything around one simulated daemon, and the loop that lets things happen to it. Owns the agenda and the
//! phases: faults for some hours, then calm, in which everything owed has to arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use runbookd::domain::delivery::Attempt;
use runbookd::domain::name::{ChannelName, NoticeId};
use runbookd::domain::notice::Notice;
use runbookd::engine::plan::Plan;

use crate::bugs::Bug;
use crate::chance::Chance;
use crate::channels::Mood;
use crate::clock::Agenda;
use crate::disk::{Commit, Disk};
use crate::faults::{Class, Fault, Faults};
use crate::invariants::Watch;
use crate::marks::Marks;
use crate::node::Node;
use crate::plans::{Edition, Taste};
use crate::source::Source;
use crate::truth::{Message, Truth};

/// How long after the faults everything owed has to have arrived, beyond what a channel asked to wait: the longest
/// back-off twice, failing over, and an incident's own end.
const CALM: u64 = 25 * 60_000;

/// Something that happens. `life`: to which incarnation of the daemon; a later one does not know of it.
pub(crate) enum Happens {
    Tick { life: u32 },
    Wake { life: u32, turn: u64 },
    Round { life: u32, query: usize },
    CommitEnds { life: u32, commit: Commit },
    Send { life: u32, notice: Box<Notice> },
    Arrive { life: u32, flight: u64 },
    Answer { life: u32, flight: u64, notice: NoticeId, attempt: Attempt },
    Kill,
    Restart,
    SetClock,
    ChannelFails { channel: &'static str },
    ChannelWorks { channel: &'static str },
    SourceFails,
    SourceWorks,
    DiskFull,
    DiskFreed,
    Storm,
    Reload,
    Person,
    Calm,
    Look,
}

/// How a run ended badly.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: u8,
    pub(crate) message: String,
}

/// What to run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    pub(crate) seed: u64,
    pub(crate) bug: Option<Bug>,
    pub(crate) left_out: BTreeSet<Fault>,
    /// Whether to write down what happens.
    pub(crate) journal: bool,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) marks: Marks,
    pub(crate) hash: u64,
    pub(crate) classes: BTreeSet<Class>,
    pub(crate) faults: BTreeSet<Fault>,
    pub(crate) journal: Vec<String>,
    incidents: usize,
    messages: u64,
}

impl Outcome {
    /// In a few words.
    pub(crate) fn summary(&self) -> String {
        format!("{} incidents, {} messages", self.incidents, self.messages)
    }
}

/// The world of one seed.
pub(crate) struct World {
    pub(crate) order: Order,
    pub(crate) agenda: Agenda<Happens>,
    pub(crate) faults: Faults,
    pub(crate) taste: Taste,
    pub(crate) edition: Edition,
    /// What the daemon runs under.
    pub(crate) plan: Arc<Plan>,
    pub(crate) node: Option<Node>,
    pub(crate) lives: u32,
    pub(crate) disk: Disk,
    pub(crate) moods: BTreeMap<ChannelName, Mood>,
    pub(crate) flights: BTreeMap<u64, Message>,
    pub(crate) truth: Truth,
    pub(crate) source: Source,
    pub(crate) watch: Watch,
    pub(crate) marks: Marks,
    pub(crate) wire: Chance,
    pub(crate) bug_draws: Chance,
    pub(crate) calm_since: Option<u64>,
    /// The longest that a channel asked to be left alone.
    pub(crate) asked_to_wait: u64,
    pub(crate) messages: u64,
    violation: Option<Violation>,
    journal: Vec<String>,
    hash: DefaultHasher,
    ended: bool,
}

impl World {
    fn new(order: Order) -> Self {
        let seed = order.seed;
        let taste = Taste::draw(seed);
        let mut world = Self {
            agenda: Agenda::new(seed),
            faults: Faults::draw(seed, order.left_out.clone()),
            edition: Edition::Base,
            plan: taste.plan(Edition::Base),
            node: None,
            lives: 0,
            disk: Disk::new(seed % 10 == 7),
            moods: BTreeMap::new(),
            flights: BTreeMap::new(),
            truth: Truth::default(),
            source: Source::new(seed, &taste.plan(Edition::Base)),
            taste,
            watch: Watch::default(),
            marks: Marks::default(),
            wire: Chance::fork(seed, "wire"),
            bug_draws: Chance::fork(seed, "bug"),
            calm_since: None,
            asked_to_wait: 0,
            messages: 0,
            violation: None,
            journal: Vec::new(),
            hash: DefaultHasher::new(),
            ended: false,
            order,
        };
        world.plan_the_day();
        world
    }

    /// What will happen whatever the daemon does.
    fn plan_the_day(&mut self) {
        let mut day = Chance::fork(self.order.seed, "day");
        let horizon = if day.strikes(0.2) { day.millis(600.0, 3.0 * 3_600.0) } else { 2_700_000 };
        let mut planned = Vec::new();
        let within = |day: &mut Chance| day.between(60_000, horizon);
        for channel in ["slack", "email", "pagerduty", "audit"] {
            for _ in 0..day.between(0, 2) {
                planned.push((within(&mut day), Happens::ChannelFails { channel }));
            }
        }
        for _ in 0..day.between(0, 2) {
            planned.push((within(&mut day), Happens::SourceFails));
            planned.push((within(&mut day), Happens::Storm));
        }
        for _ in 0..day.between(0, 2) {
            planned.push((within(&mut day), Happens::DiskFull));
        }
        for _ in 0..day.between(0, 4) {
            planned.push((within(&mut day), Happens::SetClock));
        }
        for _ in 0..day.between(0, 10) {
            planned.push((within(&mut day), Happens::Reload));
        }
        for _ in 0..day.between(0, 30) {
            planned.push((within(&mut day), Happens::Person));
        }
        let mut at = 0;
        while at < horizon {
            at += day.between(1_000, 2 * self.faults.kill_every);
            planned.push((at, Happens::Kill));
        }
        for (at, what) in planned {
            self.agenda.after(at, what);
        }
        self.agenda.after(horizon, Happens::Calm);
        self.start();
    }

    /// Breaks the run off: an invariant does not hold.
    pub(crate) fn fail(&mut self, invariant: u8, message: impl Into<String>) {
        if self.violation.is_none() {
            let violation = Violation { invariant, message: message.into() };
            self.log(|| format!("!! I{invariant}: {}", violation.message));
            self.violation = Some(violation);
        }
    }

    /// Writes down what happens, where somebody wants to read it.
    pub(crate) fn log(&mut self, line: impl FnOnce() -> String) {
        if self.order.journal {
            let (wall, now) = (self.agenda.wall(), self.agenda.now());
            let seconds = std::time::Duration::from_millis(now).as_secs_f64();
            self.journal.push(format!("{seconds:>10.3} {wall:.0} {}", line()));
        }
    }

    /// Whether the record is compared with the engine: what a planted bug forgets at a restart is for the invariants
    /// about the world to find.
    pub(crate) fn compares_records(&self) -> bool {
        self.order.bug.is_none_or(|bug| !bug.is_at_restore())
    }

    /// Adds to the fingerprint of the run.
    pub(crate) fn trace(&mut self, what: impl std::hash::Hash) {
        what.hash(&mut self.hash);
    }

    fn happen(&mut self, what: Happens) {
        match what {
            Happens::Tick { life } => self.tick(life),
            Happens::Wake { life, turn } => self.wake(life, turn),
            Happens::Round { life, query } => self.round(life, query),
            Happens::CommitEnds { life, commit } => self.commit_ends(life, commit),
            Happens::Send { life, notice } => self.send(life, *notice),
            Happens::Arrive { life, flight } => self.arrive(life, flight),
            Happens::Answer { life, flight, notice, attempt } => self.answer(life, flight, notice, attempt),
            Happens::Kill => self.kill_somehow(),
            Happens::Restart => self.start(),
            Happens::SetClock => self.set_clock(),
            Happens::ChannelFails { channel } => self.channel_fails(channel),
            Happens::ChannelWorks { channel } => self.channel_works(channel),
            Happens::SourceFails => self.source_fails(),
            Happens::SourceWorks => self.source.down = false,
            Happens::DiskFull => self.disk_full(),
            Happens::DiskFreed => self.disk_freed(),
            Happens::Storm => self.source.storm(self.agenda.now()),
            Happens::Reload => self.reload_somehow(),
            Happens::Person => self.somebody_does_something(),
            Happens::Calm => self.calm_down(),
            Happens::Look => self.look(),
        }
    }

    /// From now on nothing fails; what is owed has to arrive.
    fn calm_down(&mut self) {
        self.log(|| "calm".into());
        self.faults.end();
        self.moods.clear();
        self.disk_freed();
        self.source.calm();
        self.calm_since = Some(self.agenda.now());
        self.reload(Edition::Whole);
        self.agenda.after(30_000, Happens::Look);
    }

    /// Whether everything owed has arrived.
    fn look(&mut self) {
        let Some(since) = self.calm_since else { return };
        if self.is_quiet() {
            self.ended = true;
            return;
        }
        if self.agenda.now() - since > CALM + 2 * self.asked_to_wait {
            let owed = self.owed();
            self.fail(2, format!("still owed after the calm: {owed}"));
        }
        self.agenda.after(30_000, Happens::Look);
    }

    fn is_quiet(&self) -> bool {
        let Some(node) = &self.node else { return false };
        let engine = node.step.engine();
        self.flights.is_empty()
            && !node.failing
            && engine.outbox().all(|(_, notice)| notice.facts.incident_id.as_str() == "heartbeat")
            && engine.incidents().all(|incident| !incident.state.is_active())
    }

    fn owed(&self) -> String {
        let Some(node) = &self.node else { return "the daemon is down".into() };
        let engine = node.step.engine();
        let notices = engine.outbox().map(|(_, notice)| {
            format!("{} {} to {}", notice.facts.incident_id, notice.event, notice.channel)
        });
        let open = engine.incidents().filter(|incident| incident.state.is_active());
        notices
            .chain(open.map(|incident| format!("the end of {}", incident.id)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Runs one seed.
pub(crate) fn run(order: Order) -> Outcome {
    let mut world = World::new(order);
    while world.violation.is_none() && !world.ended {
        let Some(what) = world.agenda.next() else { break };
        world.happen(what);
    }
    if world.violation.is_none() {
        world.judge();
    }
    let incidents = world.watch.incidents();
    world.marks.count("incidents", u64::try_from(incidents).unwrap_or(0));
    world.marks.count("messages", world.messages);
    world.marks.count("kills", u64::from(world.lives.saturating_sub(1)));
    Outcome {
        hash: world.hash.finish(),
        classes: world.faults.classes().clone(),
        faults: world.faults.all(),
        incidents,
        messages: world.messages,
        violation: world.violation,
        marks: world.marks,
        journal: world.journal,
    }
}

/// The name of an incident's place in the truth.
pub(crate) type Place = (Arc<str>, ChannelName);
