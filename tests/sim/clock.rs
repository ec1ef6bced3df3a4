//! The clock and the agenda: true time in milliseconds, a wall clock that can be set, and everything that will happen, in
//! one heap. What is due at the same instant happens in an order drawn from the seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use runbookd::domain::Timestamp;

use crate::chance::Chance;

/// When every simulation begins: four in the morning, so that long ones see midnight pass.
const START: i64 = 1_795_406_400_000;

struct Entry<E> {
    due: u64,
    tie: u64,
    sequence: u64,
    what: E,
}

impl<E> Entry<E> {
    fn place(&self) -> (u64, u64, u64) {
        (self.due, self.tie, self.sequence)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

/// What will happen, and when it is.
pub(crate) struct Agenda<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    sequence: u64,
    ties: Chance,
    now: u64,
    offset: i64,
}

impl<E> Agenda<E> {
    pub(crate) fn new(seed: u64) -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0, ties: Chance::fork(seed, "ties"), now: 0, offset: 0 }
    }

    /// Milliseconds since the beginning, by a clock that nobody sets.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// The time the daemon reads.
    pub(crate) fn wall(&self) -> Timestamp {
        let now = i64::try_from(self.now).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(START + now + self.offset).unwrap_or(Timestamp::MAX)
    }

    /// Somebody sets the wall clock.
    pub(crate) fn step_wall(&mut self, millis: i64) {
        self.offset += millis;
    }

    /// Something will happen in so many milliseconds.
    pub(crate) fn after(&mut self, millis: u64, what: E) {
        self.sequence += 1;
        let tie = self.ties.between(0, u64::MAX);
        self.heap.push(Reverse(Entry { due: self.now + millis, tie, sequence: self.sequence, what }));
    }

    /// The next thing that happens: time jumps to it.
    pub(crate) fn next(&mut self) -> Option<E> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = self.now.max(entry.due);
        Some(entry.what)
    }
}
