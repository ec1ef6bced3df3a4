//! Faults: which kinds of failure a seed knows and how often each strikes. Owns the draw (each class is on in half of the
//! seeds, all are off in a tenth, all on in a twentieth) and the numbering by which single faults can be left out.

use std::collections::BTreeSet;

use crate::chance::Chance;

/// A kind of failure that a seed has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Single calls to channels fail, hang, are refused or lose their answer.
    Sender,
    /// Whole channels fail for a while.
    Outage,
    /// Queries fail, and answers lack series or values.
    Source,
    /// The daemon is killed.
    Process,
    /// Commits fail or are slow, and the disk is full for a while.
    Disk,
    /// The wall clock is set.
    Time,
    /// People acknowledge, resolve and write notes.
    People,
    /// Files are edited and loaded again.
    Files,
}

impl Class {
    pub(crate) const ALL: [Self; 8] = [
        Self::Sender,
        Self::Outage,
        Self::Source,
        Self::Process,
        Self::Disk,
        Self::Time,
        Self::People,
        Self::Files,
    ];
}

/// One fault of a run: the n-th of its class.
pub(crate) type Fault = (Class, u32);

/// How often what fails, in one seed.
pub(crate) struct Faults {
    on: BTreeSet<Class>,
    left_out: BTreeSet<Fault>,
    struck: Vec<u32>,
    ended: bool,
    draws: Vec<Chance>,
    /// Of calls to channels.
    pub(crate) sender: f64,
    /// Of queries.
    pub(crate) source: f64,
    /// Of commits.
    pub(crate) commit: f64,
    /// Of commits that are slow.
    pub(crate) slow: f64,
    /// Milliseconds between two kills.
    pub(crate) kill_every: u64,
}

impl Faults {
    pub(crate) fn draw(seed: u64, left_out: BTreeSet<Fault>) -> Self {
        let mut swarm = Chance::fork(seed, "swarm");
        let how = swarm.between(1, 100);
        let on = Class::ALL.into_iter().filter(|_| {
            let half = swarm.strikes(0.5);
            how > 95 || (how > 10 && half)
        });
        Self {
            on: on.collect(),
            left_out,
            struck: vec![0; Class::ALL.len()],
            ended: false,
            draws: Class::ALL.map(|class| Chance::fork(seed, &format!("{class:?}"))).into(),
            sender: swarm.magnitude(0.001, 0.3),
            source: swarm.magnitude(0.001, 0.2),
            commit: swarm.magnitude(0.000_3, 0.05),
            slow: swarm.magnitude(0.000_3, 0.02),
            kill_every: swarm.millis(120.0, 1_800.0),
        }
    }

    /// The classes that are on.
    pub(crate) fn classes(&self) -> &BTreeSet<Class> {
        &self.on
    }

    /// From now on nothing fails.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether a class can strike.
    pub(crate) fn has(&self, class: Class) -> bool {
        !self.ended && self.on.contains(&class)
    }

    /// Whether a fault of a class happens now, so often in 1.
    pub(crate) fn strikes(&mut self, class: Class, rate: f64) -> bool {
        self.has(class) && self.draws[class as usize].strikes(rate) && self.happens(class)
    }

    /// A planned fault is due: whether it happens.
    pub(crate) fn happens(&mut self, class: Class) -> bool {
        if !self.has(class) {
            return false;
        }
        let number = &mut self.struck[class as usize];
        *number += 1;
        !self.left_out.contains(&(class, *number))
    }

    /// The draws of a class.
    pub(crate) fn chance(&mut self, class: Class) -> &mut Chance {
        &mut self.draws[class as usize]
    }

    /// Every fault so far.
    pub(crate) fn all(&self) -> BTreeSet<Fault> {
        let of = |class: Class| (1..=self.struck[class as usize]).map(move |number| (class, number));
        let all: BTreeSet<Fault> = Class::ALL.into_iter().flat_map(of).collect();
        all.difference(&self.left_out).copied().collect()
    }
}
