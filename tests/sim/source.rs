//! The source: what Prometheus would answer. Owns the series' curves (calm, and troubles of all lengths), storms, and the
//! ways an answer can lack something.

use std::collections::BTreeMap;
use std::time::Duration;

use runbookd::domain::labels::Labels;
use runbookd::domain::name::QueryId;
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::prometheus::Cadence;

use crate::bugs::Bug;
use crate::chance::Chance;
use crate::faults::Class;
use crate::world::{Happens, World};

/// How often each query is asked.
const EVERY: u64 = 15_000;

/// Services, and how many series each query has.
const SERVICES: [&str; 6] = ["checkout", "cart", "search", "mail", "login", "stock"];

struct Curve {
    labels: Labels,
    value: f64,
    until: u64,
}

struct Query {
    id: QueryId,
    cadence: Cadence,
    /// Whether being returned at all is the trouble.
    presence: bool,
    curves: Vec<Curve>,
}

/// What Prometheus knows.
pub(crate) struct Source {
    queries: Vec<Query>,
    chance: Chance,
    /// Nothing is answered.
    pub(crate) down: bool,
    calm: bool,
    /// The longest well spell in seconds.
    well: f64,
}

impl Source {
    pub(crate) fn new(seed: u64, plan: &Plan) -> Self {
        let mut chance = Chance::fork(seed, "source");
        let mut presence: BTreeMap<QueryId, bool> = BTreeMap::new();
        for rule in plan.rules.rules.values() {
            let is = matches!(rule.condition, runbookd::domain::rule::Condition::Presence { .. });
            presence.insert(rule.query.clone(), is);
        }
        let queries = presence.into_iter().map(|(id, presence)| {
            let services = SERVICES.iter().take(if presence { 2 } else { SERVICES.len() });
            let curves = services.map(|service| Curve {
                labels: Labels::new([("service", *service)]),
                value: well(presence),
                until: 0,
            });
            let cadence = Cadence::new(&id, Duration::from_millis(EVERY), 0);
            Query { cadence, presence, curves: curves.collect(), id }
        });
        let queries = queries.collect();
        let well = chance.magnitude(1_200.0, 20_000.0);
        Self { queries, chance, down: false, calm: false, well }
    }

    pub(crate) fn queries(&self) -> usize {
        self.queries.len()
    }

    /// All series of some queries are in trouble at once.
    pub(crate) fn storm(&mut self, now: u64) {
        for query in &mut self.queries {
            if self.calm || query.presence || self.chance.strikes(0.4) {
                continue;
            }
            for curve in &mut query.curves {
                curve.value = 0.95;
                curve.until = now + self.chance.millis(120.0, 1_200.0);
            }
        }
    }

    /// All is well and stays so.
    pub(crate) fn calm(&mut self) {
        self.down = false;
        self.calm = true;
        for query in &mut self.queries {
            let value = well(query.presence);
            query.curves.iter_mut().for_each(|curve| curve.value = value);
        }
    }

    /// The curves move on to `now`.
    fn move_on(&mut self, query: usize, now: u64) {
        let query = &mut self.queries[query];
        for curve in &mut query.curves {
            while !self.calm && curve.until <= now {
                let ends = self.chance.strikes(0.7);
                let is_well = curve.value == well(query.presence);
                let levels = if query.presence { &[0.0][..] } else { &[0.65, 0.75, 0.8, 0.95, 0.97] };
                if !is_well && ends {
                    curve.value = well(query.presence);
                    curve.until = now.max(curve.until) + self.chance.millis(30.0, self.well);
                } else if is_well && curve.until == 0 {
                    curve.until = now + self.chance.millis(10.0, self.well);
                } else {
                    curve.value = self.chance.of(levels).copied().unwrap_or(0.95);
                    curve.until = now.max(curve.until) + self.chance.millis(10.0, 1_500.0);
                }
            }
        }
    }
}

/// Nothing wrong; a presence query returns nothing then.
fn well(presence: bool) -> f64 {
    if presence { 1.0 } else { 0.2 }
}

impl World {
    /// A query is asked and answered.
    pub(crate) fn round(&mut self, life: u32, query: usize) {
        if !self.is_alive(life) {
            return;
        }
        self.agenda.after(EVERY, Happens::Round { life, query });
        let id = self.source.queries[query].id.clone();
        if !self.plan.rules.queries.contains_key(&id) {
            return;
        }
        self.source.move_on(query, self.agenda.now());
        let at = self.source.queries[query].cadence.latest_due(self.agenda.wall());
        let mut answer = self.ask(query);
        if self.order.bug == Some(Bug::FailuresReadAsEmpty) && matches!(answer, Answer::Failed(_)) {
            answer = Answer::Series(Vec::new());
        }
        self.hand_in(Event::Observed(Round { query: id, at, answer }));
    }

    fn ask(&mut self, query: usize) -> Answer {
        let fails = self.source.down || self.faults.strikes(Class::Source, self.faults.source);
        self.watch.asked(self.source.down && !self.source.calm);
        if fails {
            return Answer::Failed(QueryFailure::Unreachable);
        }
        if self.faults.strikes(Class::Source, self.faults.source / 4.0) {
            return Answer::Series(Vec::new());
        }
        let mut samples = Vec::new();
        let rate = self.faults.source / 4.0;
        for at in 0..self.source.queries[query].curves.len() {
            let lacks = self.faults.strikes(Class::Source, rate);
            let how = if lacks { self.source.chance.between(0, 2) } else { 3 };
            let query = &self.source.queries[query];
            let curve = &query.curves[at];
            let seen = match how {
                0 => continue,
                1 => Observation::NotANumber,
                2 => Observation::Stale,
                _ if query.presence && curve.value > 0.5 => continue,
                _ => Observation::Value(curve.value),
            };
            samples.push(Sample { labels: curve.labels.clone(), seen });
        }
        Answer::Series(samples)
    }

    pub(crate) fn source_fails(&mut self) {
        if !self.faults.happens(Class::Source) {
            return;
        }
        self.source.down = true;
        self.log(|| "Prometheus is gone".into());
        let lasts = self.faults.chance(Class::Source).millis(10.0, 1_800.0);
        self.agenda.after(lasts, Happens::SourceWorks);
    }
}
