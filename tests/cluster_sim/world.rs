//! The world: everything around one simulated daemon, and the loop that lets things happen to it. Owns the agenda and the
//! phases: faults for an hour or so, then calm, in which what is wanted has to be done.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};

use runbookd::domain::Timestamp;
use runbookd::domain::observation::{Answer, Sample};
use runbookd::domain::scaling::Policy;

use crate::bugs::Bug;
use crate::chance::Chance;
use crate::clock::Agenda;
use crate::cluster::Cluster;
use crate::faults::{Class, Fault, Faults};
use crate::judge::Judge;
use crate::marks::Marks;
use crate::node::{Disk, Node};
use crate::plans::{self, Edition, INTERVAL};
use crate::source::{Metric, Source};
use crate::wire::Flight;

/// How long the calm lasts, in milliseconds: the end of a step under way, the longest rest, and time to see that a trigger
/// lasts and to take a step.
pub(crate) const CALM: u64 = 35 * 60_000;

/// The longest that the daemon stays down, in milliseconds.
pub(crate) const DOWN: u64 = 200_000;

/// Something that happens. `life`: to which incarnation of the daemon; a later one does not know of it.
pub(crate) enum Happens {
    Tick { life: u32 },
    Round { life: u32, metric: usize },
    Answered { life: u32, metric: usize, at: Timestamp, asked: u64, answer: Answer },
    Arrive { flight: u64 },
    Return { flight: u64 },
    Load,
    Kill,
    Restart,
    SetClock,
    Reload,
    Pause,
    SomebodyWrites,
    MadeAnew,
    Rollout,
    PodsTurn,
    ApiFails,
    ApiWorks,
    SourceFails,
    SourceWorks,
    Calm,
    Resume,
    End,
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
    steps: usize,
}

impl Outcome {
    /// In a few words.
    pub(crate) fn summary(&self) -> String {
        format!("{} steps carried out", self.steps)
    }
}

/// The world of one seed.
pub(crate) struct World {
    pub(crate) order: Order,
    pub(crate) agenda: Agenda<Happens>,
    pub(crate) faults: Faults,
    pub(crate) edition: Edition,
    pub(crate) node: Option<Node>,
    pub(crate) lives: u32,
    pub(crate) disk: Disk,
    pub(crate) cluster: Cluster,
    pub(crate) source: Source,
    pub(crate) flights: BTreeMap<u64, Flight>,
    pub(crate) flown: u64,
    pub(crate) judge: Judge,
    pub(crate) marks: Marks,
    pub(crate) wire: Chance,
    pub(crate) files: Chance,
    pub(crate) last_answers: BTreeMap<usize, Vec<Sample>>,
    pub(crate) calm: bool,
    violation: Option<Violation>,
    journal: Vec<String>,
    hash: DefaultHasher,
    ended: bool,
}

impl World {
    fn new(order: Order) -> Self {
        let seed = order.seed;
        let mut files = Chance::fork(seed, "files");
        let mut world = Self {
            agenda: Agenda::new(seed),
            faults: Faults::draw(seed, order.left_out.clone()),
            edition: plans::draw_whole(&mut files),
            node: None,
            lives: 0,
            disk: Disk::default(),
            cluster: Cluster::new(seed),
            source: Source::new(seed),
            flights: BTreeMap::new(),
            flown: 0,
            judge: Judge::default(),
            marks: Marks::default(),
            wire: Chance::fork(seed, "wire"),
            files,
            last_answers: BTreeMap::new(),
            calm: false,
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
        let horizon = day.between(20, 50) * 60_000;
        let mut plan = |most: u64, what: fn() -> Happens| {
            for _ in 0..day.between(0, most) {
                self.agenda.after(day.between(60_000, horizon), what());
            }
        };
        plan(12, || Happens::SomebodyWrites);
        plan(3, || Happens::MadeAnew);
        plan(6, || Happens::Rollout);
        plan(8, || Happens::PodsTurn);
        plan(3, || Happens::ApiFails);
        plan(3, || Happens::SourceFails);
        plan(10, || Happens::Kill);
        plan(4, || Happens::SetClock);
        plan(8, || Happens::Reload);
        plan(5, || Happens::Pause);
        self.agenda.after(0, Happens::Load);
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

    /// Breaks the run off where a check failed.
    pub(crate) fn check(&mut self, held: Result<(), (u8, String)>) {
        if let Err((invariant, message)) = held {
            self.fail(invariant, message);
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

    /// Adds to the fingerprint of the run.
    pub(crate) fn trace(&mut self, what: impl std::hash::Hash) {
        what.hash(&mut self.hash);
    }

    fn happen(&mut self, what: Happens) {
        match what {
            Happens::Tick { life } => self.tick(life),
            Happens::Round { life, metric } => self.round(life, metric),
            Happens::Answered { life, metric, at, asked, answer } => {
                self.answered(life, metric, at, asked, answer);
            }
            Happens::Arrive { flight } => self.arrive(flight),
            Happens::Return { flight } => self.come_back(flight),
            Happens::Load => {
                if !self.calm {
                    let wait = self.source.turn();
                    self.agenda.after(wait, Happens::Load);
                }
            }
            Happens::Kill => self.kill_at_a_boundary(),
            Happens::Restart => self.start(),
            Happens::SetClock => self.set_clock(),
            Happens::Reload => self.reload_somehow(),
            Happens::Pause => self.pause_or_resume(),
            Happens::SomebodyWrites => self.somebody_writes(),
            Happens::MadeAnew => self.made_anew(),
            Happens::Rollout => self.roll_out(),
            Happens::PodsTurn => self.pods_turn(),
            Happens::ApiFails => self.api_fails(),
            Happens::ApiWorks => self.cluster.away = false,
            Happens::SourceFails => self.source_fails(),
            Happens::SourceWorks => self.source.away = false,
            Happens::Calm => self.calm_down(),
            Happens::Resume => {
                let targets: Vec<_> = self.cluster.workloads.keys().cloned().collect();
                for target in targets {
                    self.resume(target);
                }
            }
            Happens::End => self.ended = true,
        }
    }

    /// From now on nothing fails and nobody else writes; what is wanted has to be done.
    fn calm_down(&mut self) {
        self.log(|| "calm".into());
        self.faults.end();
        self.calm = true;
        self.cluster.away = false;
        self.source.calm();
        let now = self.agenda.now();
        self.cluster.workloads.values_mut().for_each(|workload| workload.heal(now));
        let edition = plans::draw_whole(&mut self.files);
        self.reload(edition);
        // By then the daemon is up again.
        self.agenda.after(DOWN, Happens::Resume);
        self.agenda.after(CALM, Happens::End);
    }

    /// One round of a query begins.
    fn round(&mut self, life: u32, metric: usize) {
        if !self.is_alive(life) {
            return;
        }
        self.agenda.after(INTERVAL, Happens::Round { life, metric });
        let Some(trigger) = policy(&self.edition).triggers.get(metric) else { return };
        let (now, at) = (self.agenda.now(), self.agenda.wall());
        let workloads = self.cluster.workloads.values();
        let answer = self.source.answer(Metric::named(&trigger.metric), workloads, &mut self.faults, now);
        let takes = self.wire.between(2, 60);
        self.agenda.after(takes, Happens::Answered { life, metric, at, asked: now, answer });
    }

    fn answered(&mut self, life: u32, metric: usize, at: Timestamp, asked: u64, mut answer: Answer) {
        if !self.is_alive(life) {
            return;
        }
        let Some(trigger) = policy(&self.edition).triggers.get(metric).cloned() else { return };
        self.judge.answered(&trigger, asked, &answer, &mut self.marks);
        if let Some(bug) = self.order.bug {
            let last = self.last_answers.get(&metric).map_or(&[][..], Vec::as_slice);
            bug.at_answer(&mut answer, last);
            if let Answer::Series(samples) = &answer {
                self.last_answers.insert(metric, samples.clone());
            }
        }
        self.observe(trigger.query, at, answer);
    }
}

fn policy(edition: &Edition) -> &Policy {
    edition.policy()
}

/// Runs one seed.
pub(crate) fn run(order: Order) -> Outcome {
    let mut world = World::new(order);
    while world.violation.is_none() && !world.ended {
        let Some(what) = world.agenda.next() else { break };
        world.happen(what);
    }
    if world.violation.is_none() {
        let held = world.judge_the_calm();
        world.check(held);
    }
    world.marks.count("lives", u64::from(world.lives));
    Outcome {
        hash: world.hash.finish(),
        classes: world.faults.classes().clone(),
        faults: world.faults.all(),
        steps: world.judge.steps(),
        violation: world.violation,
        marks: world.marks,
        journal: world.journal,
    }
}
