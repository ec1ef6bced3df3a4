//! What was seen before: signatures of clicks, ids of events. Owns how much is remembered; the oldest make room.

use std::collections::{BTreeSet, VecDeque};

/// How many are remembered: clicks of ten minutes, and more events than come back within their 20 minutes of retries.
const MOST: usize = 8_192;

/// A memory of limited size.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Whether it was seen before.
    pub(super) fn has(&self, what: &str) -> bool {
        self.known.contains(what)
    }

    /// Remembers it; `false` where it was seen before.
    pub(super) fn add(&mut self, what: &str) -> bool {
        if !self.known.insert(what.to_owned()) {
            return false;
        }
        self.order.push_back(what.to_owned());
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Forgets it: it was not taken, and may come again.
    pub(super) fn forget(&mut self, what: &str) {
        if self.known.remove(what) {
            self.order.retain(|known| known != what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_what_was_not_taken_may_come_again() {
        let mut seen = Seen::default();
        assert!(seen.add("first") && !seen.add("first"));
        seen.forget("first");
        assert!(seen.add("first"));
        for n in 0..MOST {
            assert!(seen.add(&format!("n{n}")));
        }
        assert!(!seen.has("first") && seen.has("n0"));
        assert_eq!(seen.known.len(), seen.order.len());
    }
}
