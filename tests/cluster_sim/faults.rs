//! Faults: which kinds of failure a seed knows and how often each strikes. Owns the draw (each class is on in half of the
//! seeds, all are off in a tenth, all on in a tenth) and the numbering by which single faults can be left out.

use std::collections::BTreeSet;

use crate::chance::Chance;

/// A kind of failure that a seed has or has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Calls to the API server are lost, late, refused, or lose their answer; what is seen may be old.
    Api,
    /// The API server is away for a while.
    ApiOutage,
    /// Queries fail; answers lack series, or hold what is stale or no number.
    Source,
    /// Prometheus is away for a while.
    SourceOutage,
    /// Pods start slowly or never, and a quota keeps some from being made.
    Pods,
    /// Other writers: people, another autoscaler, a pipeline.
    Writers,
    /// Workloads are made anew under their name, and new templates are rolled out.
    Owners,
    /// The daemon is killed.
    Process,
    /// Commits fail, or nobody knows what became of them.
    Disk,
    /// The wall clock is set.
    Time,
    /// Files are edited and loaded again.
    Files,
    /// People pause targets and let them go on.
    Pauses,
}

impl Class {
    pub(crate) const ALL: [Self; 12] = [
        Self::Api,
        Self::ApiOutage,
        Self::Source,
        Self::SourceOutage,
        Self::Pods,
        Self::Writers,
        Self::Owners,
        Self::Process,
        Self::Disk,
        Self::Time,
        Self::Files,
        Self::Pauses,
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
    /// Of calls to the API server.
    pub(crate) api: f64,
    /// Of answers of Prometheus.
    pub(crate) source: f64,
    /// Of commits.
    pub(crate) commit: f64,
    /// Of the boundaries in the life of a step.
    pub(crate) kill: f64,
}

impl Faults {
    pub(crate) fn draw(seed: u64, left_out: BTreeSet<Fault>) -> Self {
        let mut swarm = Chance::fork(seed, "swarm");
        let how = swarm.between(1, 100);
        let on = Class::ALL.into_iter().filter(|_| {
            let half = swarm.strikes(0.5);
            how > 90 || (how > 10 && half)
        });
        Self {
            on: on.collect(),
            left_out,
            struck: vec![0; Class::ALL.len()],
            ended: false,
            draws: Class::ALL.map(|class| Chance::fork(seed, &format!("{class:?}"))).into(),
            api: swarm.magnitude(0.02, 0.5),
            source: swarm.magnitude(0.001, 0.1),
            commit: swarm.magnitude(0.003, 0.2),
            kill: swarm.magnitude(0.003, 0.1),
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
