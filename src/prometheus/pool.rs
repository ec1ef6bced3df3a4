//! The pool of label sets: each series of consecutive rounds is built once and shared. Owns what is remembered and
//! for how long; reads no JSON.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::labels::{Fnv, Labels};

/// How long a generation lasts: a series that was not seen for one to two of them is forgotten.
const GENERATION: Duration = Duration::from_secs(300);

/// Label sets seen lately.
///
/// The same series come back in every round, so a round that brings nothing new allocates no label at all. Two
/// generations bound it: a set that is used moves to the young one, and the old one is dropped as a whole.
#[derive(Debug, Default)]
pub struct LabelPool {
    young: HashMap<u64, Labels>,
    old: HashMap<u64, Labels>,
    texts: HashSet<Arc<str>>,
    began: Option<Timestamp>,
}

impl LabelPool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many label sets are remembered.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// Begins a new generation where the last one has lasted long enough; a clock set back begins one too.
    pub(super) fn turn(&mut self, now: Timestamp) {
        let lasts = self.began.is_some_and(|began| {
            Duration::try_from(now.duration_since(began)).is_ok_and(|age| age < GENERATION)
        });
        if !lasts {
            self.began = Some(now);
            self.old = std::mem::take(&mut self.young);
            self.texts = HashSet::new();
        }
    }

    /// The set of these pairs.
    pub(super) fn intern(&mut self, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Labels {
        let Some(key) = fingerprint(pairs) else { return self.build(pairs) };
        if let Some(known) = self.young.get(&key) {
            if is_same(known, pairs) {
                return known.clone();
            }
            return self.build(pairs);
        }
        let labels = match self.old.remove(&key) {
            Some(known) if is_same(&known, pairs) => known,
            Some(_) | None => self.build(pairs),
        };
        self.young.insert(key, labels.clone());
        labels
    }

    fn build(&mut self, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Labels {
        let shared: Vec<(Arc<str>, Arc<str>)> =
            pairs.iter().map(|(name, value)| (self.text(name), self.text(value))).collect();
        Labels::new(shared)
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }
}

/// A hash of the pairs; none where they are not in strict order without empty values, which [`Labels`] would be.
fn fingerprint(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Option<u64> {
    let mut hash = Fnv::default();
    let mut last: Option<&str> = None;
    for (name, value) in pairs {
        if value.is_empty() || last.is_some_and(|last| last >= name.as_ref()) {
            return None;
        }
        last = Some(name);
        hash.write(name.as_bytes());
        hash.write(&[0xff]);
        hash.write(value.as_bytes());
        hash.write(&[0xfe]);
    }
    Some(hash.0)
}

fn is_same(labels: &Labels, pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> bool {
    labels.len() == pairs.len()
        && labels.iter().zip(pairs).all(|((name, value), (n, v))| name == n.as_ref() && value == v.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(service: &'static str) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
        vec![("namespace".into(), "shop".into()), ("service".into(), service.into())]
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_series_that_comes_back_is_shared_and_one_that_does_not_is_forgotten() {
        let mut pool = LabelPool::new();
        pool.turn(at(0));
        let first = pool.intern(&pairs("checkout"));
        pool.intern(&pairs("gone"));
        assert_eq!(first, Labels::new([("service", "checkout"), ("namespace", "shop")]));
        assert_eq!(pool.len(), 2);
        for round in 1..=3 {
            pool.turn(at(round * 301));
            let again = pool.intern(&pairs("checkout"));
            let texts = |labels: &Labels| labels.iter().map(|(_, value)| value.as_ptr()).collect::<Vec<_>>();
            assert_eq!(texts(&again), texts(&first), "the same memory, round {round}");
        }
        assert_eq!(pool.len(), 1, "`gone` was not seen for two generations");
    }

    #[test]
    fn pairs_out_of_order_or_empty_make_the_same_set() {
        let mut pool = LabelPool::new();
        let mut turned = pairs("checkout");
        turned.reverse();
        turned.push(("zone".into(), "".into()));
        assert_eq!(pool.intern(&turned), pool.intern(&pairs("checkout")));
    }
}
