//! The stage of a replay: one rule set, one engine, and the rounds of history in the order of time. Owns when each round
//! is; what comes of it is the engine's decision.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::name::QueryId;
use crate::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use crate::domain::rule::Query;
use crate::domain::scaling::{Policy, ScalingMode};
use crate::engine::plan::Plan;
use crate::prometheus::{Cadence, Grid, PastSeries};
use crate::rehearsal::{Player, Workload, Workloads, rehearsed};

use super::history::Chunk;
use super::tally::Tally;

/// The workloads as a replay takes them to be, because history does not say: the fewest replicas, each with one core and
/// 1 GiB, or what it may have at most.
pub fn assumed(policy: Option<&Policy>) -> Vec<Workload> {
    let targets = policy.iter().flat_map(|policy| &policy.targets);
    let workload = |target: &crate::domain::scaling::Target| {
        let mut workload = Workload::new(target.id.clone(), target.min_replicas);
        let cpu = target.max_cpu.map_or(1.0, |most| most.min(1.0));
        let memory = target.max_memory.map_or(1_073_741_824.0, |most| most.min(1_073_741_824.0));
        (workload.container.cpu_request, workload.container.cpu_limit) = (Some(cpu), Some(cpu));
        (workload.container.memory_request, workload.container.memory_limit) = (Some(memory), Some(memory));
        workload
    };
    targets.map(workload).collect()
}

/// One rule set in a replay.
#[derive(Debug)]
pub struct Stage {
    player: Player,
    plan: Arc<Plan>,
    tally: Tally,
}

impl Stage {
    /// A stage at `from`: the engine knows nothing of what was before. Steps are decided and not taken, because history
    /// went on without them.
    pub fn new(plan: Plan, from: Timestamp, to: Timestamp) -> Self {
        let mode = if plan.rules.policy.is_some() { ScalingMode::DryRun } else { ScalingMode::Off };
        let plan = Arc::new(rehearsed(plan, mode));
        let workloads = Workloads::new(assumed(plan.rules.policy.as_ref()));
        let tally = Tally::new(&plan.rules, from, to);
        Self { player: Player::new(plan.clone(), workloads, from), plan, tally }
    }

    /// The queries that are asked of history.
    pub fn queries(&self) -> impl Iterator<Item = &Query> {
        self.plan.rules.queries.values()
    }

    /// Plays a chunk that begins where the one before ended.
    pub fn play(&mut self, chunk: &Chunk) {
        let plan = self.plan.clone();
        let mut due: BinaryHeap<Reverse<(i64, &QueryId)>> = BinaryHeap::new();
        let mut rounds: BTreeMap<&QueryId, Rounds<'_>> = BTreeMap::new();
        for query in plan.rules.queries.values() {
            let Some(answered) = chunk.answers.get(&query.id) else { continue };
            let Some(grid) = grid(query, chunk.from, chunk.until) else { continue };
            due.push(Reverse((grid.first, &query.id)));
            rounds.insert(&query.id, Rounds::new(grid, answered));
        }
        while let Some(Reverse((second, id))) = due.pop() {
            let Some(round) = rounds.get_mut(id) else { continue };
            let answer = round.answer(second);
            if second + round.grid.step <= round.grid.last {
                due.push(Reverse((second + round.grid.step, id)));
            }
            let Ok(at) = Timestamp::from_second(second) else { continue };
            self.player.pass_to(at);
            self.tally.saw(id, at, &answer);
            self.player.observe(Round { query: id.clone(), at, answer });
            self.count();
        }
        if let Ok(end) = Timestamp::from_second(chunk.until - 1) {
            self.player.pass_to(end);
        }
        self.count();
    }

    fn count(&mut self) {
        for entry in self.player.take_journal() {
            self.tally.count(entry);
        }
    }

    /// What came of everything that was played.
    pub fn finish(mut self) -> Tally {
        self.count();
        self.tally
    }
}

/// The instants of a query from `from` on and before `until`, in the daemon's own rhythm, cut to whole seconds.
pub(super) fn grid(query: &Query, from: i64, until: i64) -> Option<Grid> {
    let step = i64::try_from(query.interval.as_secs()).ok()?.max(1);
    let phase = Cadence::new(&query.id, query.interval, 0).phase().as_secs();
    let phase = i64::try_from(phase).ok()?;
    let first = from + (phase - from).rem_euclid(step);
    let steps = (until - 1 - first).div_euclid(step);
    (steps >= 0).then_some(Grid { first, last: first + steps * step, step })
}

/// The rounds of one query in a chunk: a cursor into each series.
struct Rounds<'c> {
    grid: Grid,
    answered: &'c Result<Vec<PastSeries>, QueryFailure>,
    cursors: Vec<usize>,
}

impl<'c> Rounds<'c> {
    fn new(grid: Grid, answered: &'c Result<Vec<PastSeries>, QueryFailure>) -> Self {
        let cursors = vec![0; answered.as_ref().map_or(0, Vec::len)];
        Self { grid, answered, cursors }
    }

    /// What the query answered at an instant; instants are asked for in order.
    fn answer(&mut self, second: i64) -> Answer {
        let series = match self.answered {
            Ok(series) => series,
            Err(failure) => return Answer::Failed(*failure),
        };
        let mut samples = Vec::with_capacity(series.len());
        for (one, cursor) in series.iter().zip(&mut self.cursors) {
            while one.values.get(*cursor).is_some_and(|(at, _)| *at < second) {
                *cursor += 1;
            }
            if let Some((at, value)) = one.values.get(*cursor)
                && *at == second
            {
                let seen = if value.is_nan() { Observation::NotANumber } else { Observation::Value(*value) };
                samples.push(Sample { labels: one.labels.clone(), seen });
            }
        }
        Answer::Series(samples)
    }
}
