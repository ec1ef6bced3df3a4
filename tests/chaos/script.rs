//! The script: which problem is how bad when. Owns the truth that every expectation follows from; knows nothing of
//! what the daemon made of it.
//!
//! A problem stays at a level until the daemon has certainly taken note of it: until one life of the daemon asked twice and
//! then answered that it is alive. It asks again only once it has handed in the answer before, and says that it is alive
//! only after the commit of all that was handed in. How fast the machine is does not matter.

use std::time::{Duration, Instant};

use super::dice::Dice;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Not at all.
    Clear,
    /// Beyond the warning threshold.
    Warning,
    /// Beyond the critical threshold.
    Critical,
}

use Level::{Clear, Critical, Warning};

impl Level {
    fn value(self) -> &'static str {
        match self {
            Clear => "0.3",
            Warning => "0.8",
            Critical => "0.95",
        }
    }
}

/// One service and what it goes through.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// Its name: `svc-000017`, which no other ever has.
    pub(crate) service: String,
    levels: Vec<Level>,
    at: usize,
    /// The life that was shown the level, and when it asked again.
    seen: Option<(u64, Option<Instant>)>,
    first_seen: Option<jiff::Timestamp>,
    settled: Option<Instant>,
    hold: Duration,
    done: bool,
}

impl Problem {
    /// The levels that the daemon has certainly seen.
    pub(crate) fn certain(&self) -> &[Level] {
        let reached = if self.settled.is_some() { self.at + 1 } else { self.at };
        self.levels.get(..reached).unwrap_or_default()
    }

    /// The levels that the daemon has seen, the last of them perhaps in a life that ended before it took note.
    pub(crate) fn seen(&self) -> &[Level] {
        let reached = if self.seen.is_some() { self.at + 1 } else { self.at };
        self.levels.get(..reached).unwrap_or_default()
    }

    /// When it was first shown.
    pub(crate) fn first_seen(&self) -> Option<jiff::Timestamp> {
        self.first_seen
    }

    /// The levels that the daemon may have seen.
    pub(crate) fn possible(&self) -> &[Level] {
        self.levels.get(..=self.at).unwrap_or_default()
    }
}

/// What the problems of a run are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// How many there are at once.
    pub(crate) at_once: usize,
    /// How many of them may be critical: those go to channels that take one message a second.
    pub(crate) critical: usize,
}

/// All problems there ever were.
#[derive(Debug)]
pub(crate) struct Script {
    dice: Dice,
    load: Load,
    stopped: bool,
    /// Every problem, in the order in which they began.
    pub(crate) problems: Vec<Problem>,
}

impl Script {
    /// A script without problems yet.
    pub(crate) fn new(seed: u64, load: Load) -> Self {
        Self { dice: Dice::new(seed, "script"), load, stopped: false, problems: Vec::new() }
    }

    /// No new problems from now on; those that are there come to their end.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether every problem has come to its end and the daemon has certainly seen it.
    pub(crate) fn is_over(&self) -> bool {
        self.stopped && self.problems.iter().all(|problem| problem.done)
    }

    /// Problems that all begin at once with this level and stay.
    pub(crate) fn burst(&mut self, count: usize, levels: &[Level]) {
        for _ in 0..count {
            self.begin(levels.to_vec(), Duration::MAX);
        }
    }

    /// Ends what a burst began.
    pub(crate) fn end_burst(&mut self) {
        self.problems.iter_mut().for_each(|problem| problem.hold = Duration::ZERO);
        self.stop();
    }

    fn begin(&mut self, levels: Vec<Level>, hold: Duration) {
        let service = format!("svc-{:06}", self.problems.len() + 1);
        self.problems.push(Problem {
            service,
            levels,
            at: 0,
            seen: None,
            first_seen: None,
            settled: None,
            hold,
            done: false,
        });
    }

    /// Moves every problem on that has been seen for long enough, and begins others.
    pub(crate) fn advance(&mut self, now: Instant) {
        let mut running = 0;
        let mut critical = 0;
        for problem in &mut self.problems {
            if problem.done {
                continue;
            }
            if let Some(settled) = problem.settled
                && now.duration_since(settled) >= problem.hold
            {
                if problem.at + 1 == problem.levels.len() {
                    problem.done = true;
                    continue;
                }
                problem.at += 1;
                (problem.seen, problem.settled) = (None, None);
            }
            running += 1;
            critical += usize::from(problem.levels.contains(&Critical));
        }
        if self.stopped || self.load.at_once == 0 {
            return;
        }
        // A few at a time, and now and then many: the load of a bad day and that of a bad minute.
        let missing = self.load.at_once.saturating_sub(running);
        let wave = if self.dice.percent(3) { missing } else { missing.min(3) };
        for _ in 0..wave {
            let may_be_critical = critical < self.load.critical;
            let levels = match self.dice.below(10) {
                0 | 1 if may_be_critical => vec![Critical, Clear],
                2 if may_be_critical => vec![Warning, Critical, Clear],
                3 if may_be_critical => vec![Critical, Clear, Critical, Clear],
                4 | 5 => vec![Warning, Clear, Warning, Clear],
                _ => vec![Warning, Clear],
            };
            critical += usize::from(levels.contains(&Critical));
            let hold = self.dice.up_to(Duration::from_millis(1_500));
            self.begin(levels, hold);
        }
    }

    /// A life has on record whatever it had handed in at `since`.
    pub(crate) fn recorded(&mut self, life: u64, since: Instant, now: Instant) {
        for problem in self.problems.iter_mut().filter(|problem| problem.settled.is_none()) {
            if problem.seen.is_some_and(|(by, again)| by == life && again.is_some_and(|at| at <= since)) {
                problem.settled = Some(now);
            }
        }
    }

    /// The answer to a question that a life of the daemon asks, as the query API gives it.
    pub(crate) fn answer(&mut self, life: u64, time: &str, now: Instant) -> String {
        let mut series = vec![sample("svc-000000", Clear, time)];
        for problem in &mut self.problems {
            if problem.done {
                continue;
            }
            match &mut problem.seen {
                _ if problem.settled.is_some() => {}
                Some((seen_by, again)) if *seen_by == life => {
                    again.get_or_insert(now);
                }
                _ => {
                    problem.seen = Some((life, None));
                    problem.first_seen.get_or_insert_with(jiff::Timestamp::now);
                }
            }
            let level = problem.levels.get(problem.at).copied().unwrap_or(Clear);
            series.push(sample(&problem.service, level, time));
        }
        let series = series.join(",");
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
    }
}

fn sample(service: &str, level: Level, time: &str) -> String {
    format!(r#"{{"metric":{{"service":"{service}"}},"value":[{time},"{}"]}}"#, level.value())
}
