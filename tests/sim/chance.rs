//! Chance: where the simulation's draws come from. One stream for each component, forked from the seed by name, so that
//! a new draw in one place shifts no other.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// One component's stream of draws.
pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    /// The stream of a component.
    pub(crate) fn fork(seed: u64, name: &str) -> Self {
        let mut hash = DefaultHasher::new();
        (seed, name).hash(&mut hash);
        Self(fastrand::Rng::with_seed(hash.finish()))
    }

    /// True so often in 1.
    pub(crate) fn strikes(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.0.f64() < rate
    }

    /// A whole number in `from..=to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0.u64(from..=to.max(from))
    }

    /// A number between two, each order of magnitude equally likely.
    pub(crate) fn magnitude(&mut self, from: f64, to: f64) -> f64 {
        from * (to / from).powf(self.0.f64())
    }

    /// Milliseconds between two spans in seconds, each order of magnitude equally likely.
    pub(crate) fn millis(&mut self, from: f64, to: f64) -> u64 {
        let millis = std::time::Duration::from_secs_f64(self.magnitude(from, to)).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX)
    }

    /// One of several.
    pub(crate) fn of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        (!all.is_empty()).then(|| &all[self.0.usize(..all.len())])
    }
}
