//! I7: a pending alert fires at the first evaluation that its hold has lasted to, whatever restarted between. Owns a
//! naive second opinion that keeps every value on record and asks the whole history each time.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use runbookd::domain::Timestamp;
use runbookd::domain::labels::Labels;
use runbookd::domain::name::RuleId;
use runbookd::domain::observation::{Answer, Observation, Round};
use runbookd::domain::rule::{Condition, OnNoData, Thresholds};
use runbookd::domain::severity::Severity;
use runbookd::engine::Engine;

type Key = (RuleId, Labels);

/// The history of every series of the rules that no reload edits.
#[derive(Default)]
pub(crate) struct Pending {
    seen: BTreeMap<Key, Vec<(Timestamp, f64)>>,
    /// What is not on record yet.
    loose: Vec<Key>,
}

/// Series that were answered with a value: whether each fired before.
pub(crate) type Answered = Vec<(Key, bool)>;

impl Pending {
    pub(crate) fn before(&mut self, engine: &Engine, round: &Round) -> Answered {
        let Answer::Series(samples) = &round.answer else { return Vec::new() };
        let mut answered = Vec::new();
        for rule in engine.plan().rules.rules.values() {
            let edited = ["response_time", "error_rate"].contains(&rule.name.as_ref());
            if rule.query != round.query || edited || rule.on_no_data != OnNoData::Keep {
                continue;
            }
            if !matches!(rule.condition, Condition::Threshold(_)) {
                continue;
            }
            let firing = firing(engine, &rule.id);
            for sample in samples {
                let Observation::Value(value) = sample.seen else { continue };
                let key = (rule.id.clone(), sample.labels.clone());
                self.seen.entry(key.clone()).or_default().push((round.at, value));
                self.loose.push(key.clone());
                let fired = firing.contains(&&sample.labels);
                answered.push((key, fired));
            }
        }
        answered
    }

    pub(crate) fn after(&self, engine: &Engine, answered: Answered) -> Result<(), String> {
        for (key, fired) in answered {
            if fired {
                continue;
            }
            let Some(rule) = engine.rule(&key.0) else { continue };
            let Condition::Threshold(limits) = &rule.condition else { continue };
            let history = self.seen.get(&key).map_or(&[][..], Vec::as_slice);
            let expected = has_lasted(history, limits);
            let fires = firing(engine, &key.0).contains(&&key.1);
            if fires != expected {
                let verb = if fires { "fires too early" } else { "does not fire in time" };
                return Err(format!("{} {} {verb}", rule.name, key.1));
            }
        }
        Ok(())
    }

    pub(crate) fn kept(&mut self) {
        self.loose.clear();
    }

    pub(crate) fn killed(&mut self) {
        for key in std::mem::take(&mut self.loose) {
            self.seen.get_mut(&key).and_then(Vec::pop);
        }
    }
}

fn firing<'e>(engine: &'e Engine, rule: &RuleId) -> Vec<&'e Labels> {
    let own = engine.alerts().filter(|(id, _, alert)| *id == rule && alert.state.is_firing());
    own.map(|(_, labels, _)| labels).collect()
}

/// Whether the unbroken run of values beyond a threshold has lasted as long as its hold.
fn has_lasted(history: &[(Timestamp, f64)], limits: &Thresholds) -> bool {
    let Some((last, _)) = history.last() else { return false };
    [Severity::Warning, Severity::Critical].into_iter().any(|severity| {
        let Some(limit) = limits.of(severity) else { return false };
        let beyond = |(_, value): &&(Timestamp, f64)| limits.direction.is_beyond(*value, limit.value);
        // A clock that was set back makes the earliest instant another than the first.
        let first = history.iter().rev().take_while(beyond).map(|(at, _)| at).min();
        let hold = SignedDuration::try_from(limit.hold).unwrap_or(SignedDuration::MAX);
        first.is_some_and(|since| limit.hold.is_zero() || last.duration_since(*since) >= hold)
    })
}
