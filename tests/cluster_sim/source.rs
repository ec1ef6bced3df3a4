//! The source: what the services need, and what Prometheus says about it. Owns the load; every answer is asked for and
//! judged elsewhere.

use std::collections::BTreeMap;

use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Sample};

use crate::chance::Chance;
use crate::cluster::Workload;
use crate::faults::{Class, Faults};
use crate::plans::SERVICES;

/// What one service needs.
#[derive(Debug, Clone, Copy)]
struct Need {
    /// Pods at the threshold of CPU.
    pods: f64,
    /// Bytes of memory in each pod.
    memory: f64,
    /// Whether something behind it is slow, which no pod helps.
    slow: bool,
}

/// The load and Prometheus.
pub(crate) struct Source {
    needs: BTreeMap<&'static str, Need>,
    pub(crate) away: bool,
    draws: Chance,
}

/// The metrics that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    Cpu,
    Memory,
    Response,
}

impl Metric {
    /// By the name in the catalogue.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "cpu_usage" => Self::Cpu,
            "memory_usage" => Self::Memory,
            _ => Self::Response,
        }
    }
}

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        let need = Need { pods: 2.0, memory: 0.5e9, slow: false };
        let needs = SERVICES.map(|service| (service, need)).into();
        Self { needs, away: false, draws: Chance::fork(seed, "load") }
    }

    /// The load changes; milliseconds until it does again.
    pub(crate) fn turn(&mut self) -> u64 {
        let draws = &mut self.draws;
        if let Some(service) = draws.of(&SERVICES).copied() {
            let pods =
                if draws.strikes(0.3) { draws.magnitude(0.5, 4.0) } else { draws.magnitude(4.0, 24.0) };
            let memory = if draws.strikes(0.6) { 0.5e9 } else { draws.magnitude(0.9e9, 4e9) };
            let slow = draws.strikes(0.15);
            self.needs.insert(service, Need { pods, memory, slow });
        }
        draws.millis(60.0, 900.0)
    }

    /// The load of the calm: every service needs a few more pods than it has, and nothing else is wrong.
    pub(crate) fn calm(&mut self) {
        self.away = false;
        let pods = self.draws.magnitude(3.0, 30.0);
        self.needs.values_mut().for_each(|need| *need = Need { pods, memory: 0.5e9, slow: false });
    }

    /// The true value of a metric.
    pub(crate) fn value(&self, metric: Metric, workload: &Workload, now: u64) -> f64 {
        let Some(need) = self.needs.get(&*workload.id.name) else { return 0.0 };
        match metric {
            Metric::Cpu => (0.7 * need.pods / f64::from(workload.ready(now).max(1))).min(1.0),
            Metric::Memory => need.memory / workload.memory().max(1.0),
            Metric::Response => {
                if need.slow {
                    0.6
                } else {
                    0.1
                }
            }
        }
    }

    /// What Prometheus answers.
    pub(crate) fn answer<'w>(
        &self,
        metric: Metric,
        workloads: impl Iterator<Item = &'w Workload>,
        faults: &mut Faults,
        now: u64,
    ) -> Answer {
        if self.away {
            return Answer::Failed(QueryFailure::Unreachable);
        }
        let rate = faults.source;
        if faults.strikes(Class::Source, rate) {
            return Answer::Failed(QueryFailure::TimedOut);
        }
        let mut samples = Vec::new();
        for workload in workloads {
            let value = self.value(metric, workload, now);
            let seen = if faults.strikes(Class::Source, rate) {
                match faults.chance(Class::Source).between(0, 4) {
                    0 => Observation::Stale,
                    1 => Observation::NotANumber,
                    2 => Observation::Value(f64::INFINITY),
                    _ => continue,
                }
            } else {
                Observation::Value(value)
            };
            samples.push(Sample { labels: Labels::new([("service", &*workload.id.name)]), seen });
        }
        Answer::Series(samples)
    }
}
