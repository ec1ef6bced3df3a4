//! Label sets: what identifies a series. Owns their order, identity and display; knows no query language.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A set of `name="value"` pairs, sorted by name, cheap to clone.
///
/// An empty value is the same as an absent label, as in Prometheus. Ordering compares a fingerprint first, so that
/// maps keyed by labels look up fast and still iterate in one deterministic order.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Vec<(Arc<str>, Arc<str>)>", into = "Vec<(Arc<str>, Arc<str>)>")]
pub struct Labels {
    pairs: Arc<[(Arc<str>, Arc<str>)]>,
    fingerprint: u64,
}

impl Labels {
    /// Builds a set from pairs in any order; the last value of a repeated name wins.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let mut sorted: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match sorted.binary_search_by(|(n, _)| n.cmp(&name)) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        sorted.retain(|(_, value)| !value.is_empty());
        let fingerprint = fingerprint(&sorted);
        Self { pairs: sorted.into(), fingerprint }
    }

    /// The set without any label.
    pub fn empty() -> Self {
        Self::new(std::iter::empty::<(Arc<str>, Arc<str>)>())
    }

    /// The value of `name`, if the label is present.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.binary_search_by(|(n, _)| n.as_ref().cmp(name)).ok().map(|at| self.pairs[at].1.as_ref())
    }

    /// The pairs in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Only the labels named, those that are present.
    #[must_use]
    pub fn project(&self, names: &[Arc<str>]) -> Self {
        Self::new(self.pairs.iter().filter(|(name, _)| names.contains(name)).cloned())
    }

    /// This set with `others` laid over it.
    #[must_use]
    pub fn with<N, V>(&self, others: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let own = self.pairs.iter().cloned();
        Self::new(own.chain(others.into_iter().map(|(name, value)| (name.into(), value.into()))))
    }

    /// Whether every pair of `wanted` is in this set.
    pub fn contains_all(&self, wanted: &Self) -> bool {
        wanted.iter().all(|(name, value)| self.get(name) == Some(value))
    }

    /// Whether the set has no label.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// How many labels the set has.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// A stable 64-bit hash of the set; equal sets have equal fingerprints in every process.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// FNV-1a over names and values with separators: deterministic across processes, which the order of maps and the ids
/// of effects rely on.
fn fingerprint(pairs: &[(Arc<str>, Arc<str>)]) -> u64 {
    let mut hash = Fnv::default();
    for (name, value) in pairs {
        hash.write(name.as_bytes());
        hash.write(&[0xff]);
        hash.write(value.as_bytes());
        hash.write(&[0xfe]);
    }
    hash.0
}

/// The FNV-1a hash (public domain, <http://www.isthe.com/chongo/tech/comp/fnv/>).
#[derive(Debug, Clone, Copy)]
pub struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Adds bytes to the hash.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u64::from(*byte);
            self.0 = self.0.wrapping_mul(0x0100_0000_01b3);
        }
    }
}

// === impl Labels ===

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
            && (Arc::ptr_eq(&self.pairs, &other.pairs) || self.pairs == other.pairs)
    }
}

impl Eq for Labels {}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.fingerprint.cmp(&other.fingerprint).then_with(|| self.pairs.cmp(&other.pairs))
    }
}

impl std::hash::Hash for Labels {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.fingerprint);
    }
}

impl From<Vec<(Arc<str>, Arc<str>)>> for Labels {
    fn from(pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        Self::new(pairs)
    }
}

impl From<Labels> for Vec<(Arc<str>, Arc<str>)> {
    fn from(labels: Labels) -> Self {
        labels.pairs.to_vec()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_construction_does_not_matter() {
        let one = Labels::new([("b", "2"), ("a", "1")]);
        let two = Labels::new([("a", "1"), ("b", "2")]);
        assert_eq!(one, two);
        assert_eq!(one.fingerprint(), two.fingerprint());
        assert_eq!(one.to_string(), r#"{a="1", b="2"}"#);
    }

    #[test]
    fn an_empty_value_is_an_absent_label() {
        assert_eq!(Labels::new([("a", ""), ("b", "2")]), Labels::new([("b", "2")]));
    }

    #[test]
    fn pairs_do_not_run_into_each_other() {
        assert_ne!(Labels::new([("a", "bc")]).fingerprint(), Labels::new([("ab", "c")]).fingerprint());
    }
}
