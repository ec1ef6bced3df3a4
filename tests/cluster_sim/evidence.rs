//! Evidence, told a second time: what the answers really said about each target, as somebody with a steady clock would
//! write it down. Owns runs of breaches; the engine's own memory is never asked.

use std::collections::BTreeMap;

use runbookd::domain::observation::{Answer, Observation};
use runbookd::domain::scaling::{Target, Trigger};

use crate::marks::Marks;
use crate::plans::INTERVAL;

/// A value away for this long is a gap, in milliseconds.
pub(crate) const GAP: u64 = 3 * INTERVAL;

/// How much of it is kept, in milliseconds: the longest `sustained`, and more.
const KEPT: u64 = 15 * 60_000;

/// Nobody asks whether a run is longer, in milliseconds.
const ENOUGH: u64 = 6 * 60_000;

/// One value at an instant of the steady clock.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    at: u64,
    value: f64,
}

/// A run of values beyond a threshold, without a gap, to the last value there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// When the first was seen.
    pub(crate) from: u64,
    /// When the last was seen.
    pub(crate) to: u64,
    /// The last value.
    pub(crate) last: f64,
}

impl Run {
    /// How long it lasts, in milliseconds.
    pub(crate) fn lasts(&self) -> u64 {
        self.to - self.from
    }
}

/// What was answered in this life of the daemon.
#[derive(Default)]
pub(crate) struct Evidence {
    /// By service and metric.
    seen: BTreeMap<String, BTreeMap<String, Vec<Sighting>>>,
    /// When something was last answered at all.
    pub(crate) answered_at: u64,
}

impl Evidence {
    /// A daemon begins; it knows nothing.
    pub(crate) fn begins(&mut self, now: u64) {
        self.seen.clear();
        self.answered_at = now;
    }

    /// An answer that the daemon gets.
    pub(crate) fn add(&mut self, trigger: &Trigger, asked: u64, answer: &Answer, marks: &mut Marks) {
        let Answer::Series(samples) = answer else { return };
        self.answered_at = self.answered_at.max(asked);
        for sample in samples {
            let Observation::Value(value) = sample.seen else { continue };
            let Some(service) = sample.labels.get("service") else { continue };
            let of = self.seen.entry(service.to_owned()).or_default();
            let of = of.entry(trigger.metric.to_string()).or_default();
            let breach = |value: f64| value > trigger.threshold;
            if of.last().is_some_and(|last| asked - last.at >= GAP && breach(last.value) && breach(value)) {
                marks.reached("gap_in_a_breach");
            }
            of.push(Sighting { at: asked, value });
            if of.first().is_some_and(|first| first.at + 2 * KEPT < asked) {
                of.retain(|it| it.at + KEPT >= asked);
            }
        }
    }

    /// The run of breaches that lasts up to the last value, none if that is not beyond the threshold.
    pub(crate) fn breach(&self, target: &Target, trigger: &Trigger, since: u64) -> Option<Run> {
        self.run(target, trigger, since, |value| value > trigger.threshold)
    }

    /// The run of values without a breach that lasts up to the last one.
    pub(crate) fn quiet(&self, target: &Target, trigger: &Trigger, since: u64) -> Option<Run> {
        self.run(target, trigger, since, |value| value <= trigger.threshold)
    }

    /// The run of clear values that lasts up to the last one.
    pub(crate) fn clear(&self, target: &Target, trigger: &Trigger, since: u64) -> Option<Run> {
        self.run(target, trigger, since, |value| value <= trigger.clear)
    }

    fn run(
        &self,
        target: &Target,
        trigger: &Trigger,
        since: u64,
        counts: impl Fn(f64) -> bool,
    ) -> Option<Run> {
        let seen = self.seen.get(&*target.service)?.get(&*trigger.metric)?;
        let mut run: Option<Run> = None;
        for it in seen.iter().rev().take_while(|it| it.at >= since) {
            let is_enough = run.is_some_and(|run| run.lasts() > ENOUGH);
            if is_enough || !counts(it.value) || run.is_some_and(|run| run.from - it.at >= GAP) {
                break;
            }
            run =
                Some(run.map_or(Run { from: it.at, to: it.at, last: it.value }, |run| Run {
                    from: it.at,
                    ..run
                }));
        }
        run
    }
}
