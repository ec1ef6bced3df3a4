//! What a server has received, in the order in which it was settled. It owns the record and the waiting for it, and
//! forgets nothing: a test compares it with what should have been sent.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::watch;

/// What the sender was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A reply of this code: the status in HTTP, the reply code in SMTP.
    Code(u16),
    /// Nothing: the request was read and the answer never left.
    Withheld,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<T> {
    /// When it had been read in full.
    pub at: Timestamp,
    /// When it was answered, or given up.
    pub settled_at: Timestamp,
    /// What it said.
    pub body: T,
    /// What the sender was told.
    pub answer: Answer,
}

/// An append-only record of requests. Clones share one record.
#[derive(Debug)]
pub struct Journal<T>(Arc<Record<T>>);

#[derive(Debug)]
struct Record<T> {
    entries: Mutex<Vec<Entry<T>>>,
    length: watch::Sender<usize>,
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self(Arc::new(Record { entries: Mutex::default(), length: watch::Sender::new(0) }))
    }
}

impl<T> Journal<T> {
    /// Notes that a request was read in full. It enters the record when the receipt says what was answered.
    pub fn receive(&self, body: T) -> Receipt<T> {
        Receipt { journal: self.clone(), open: Some((Timestamp::now(), body)) }
    }

    /// How many requests are on record.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many requests on record are so.
    pub fn count_where(&self, mut is_so: impl FnMut(&T) -> bool) -> usize {
        self.lock().iter().filter(|entry| is_so(&entry.body)).count()
    }

    fn append(&self, entry: Entry<T>) {
        let length = {
            let mut entries = self.lock();
            entries.push(entry);
            entries.len()
        };
        // Two appends may report in the other order; waiters look at the record itself.
        self.0.length.send_modify(|known| *known = length.max(*known));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry<T>>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Journal<T> {
    /// All that is on record.
    pub fn entries(&self) -> Vec<Entry<T>> {
        self.lock().clone()
    }

    /// What was said in all requests on record.
    pub fn bodies(&self) -> Vec<T> {
        self.lock().iter().map(|entry| entry.body.clone()).collect()
    }

    /// The first request, on record or yet to come, that is so.
    ///
    /// # Errors
    /// If none came within `timeout`.
    pub async fn wait_for(&self, mut is_so: impl FnMut(&T) -> bool, timeout: Duration) -> anyhow::Result<T> {
        Ok(self.wait_for_entry(|entry| is_so(&entry.body), timeout).await?.body)
    }

    /// The first entry, on record or yet to come, that is so.
    ///
    /// # Errors
    /// If none came within `timeout`.
    pub async fn wait_for_entry(
        &self,
        mut is_so: impl FnMut(&Entry<T>) -> bool,
        timeout: Duration,
    ) -> anyhow::Result<Entry<T>> {
        let mut seen = 0;
        let found = self.wait_until(timeout, |entries| {
            let fresh = entries.get(seen..).unwrap_or_default();
            seen = entries.len();
            fresh.iter().find(|entry| is_so(entry)).cloned()
        });
        let found = found.await;
        found.with_context(|| format!("none of the {} requests within {timeout:?} is it", self.count()))
    }

    /// All entries, once there are at least this many.
    ///
    /// # Errors
    /// If there were fewer after `timeout`.
    pub async fn wait_count(&self, count: usize, timeout: Duration) -> anyhow::Result<Vec<Entry<T>>> {
        let enough = self.wait_until(timeout, |all| (all.len() >= count).then(|| all.to_vec()));
        let enough = enough.await;
        enough.with_context(|| format!("{} of {count} requests came within {timeout:?}", self.count()))
    }

    async fn wait_until<R>(
        &self,
        timeout: Duration,
        mut look: impl FnMut(&[Entry<T>]) -> Option<R>,
    ) -> Option<R> {
        let mut length = self.0.length.subscribe();
        let seen = async {
            loop {
                length.mark_unchanged();
                if let Some(found) = look(&self.lock()) {
                    return Some(found);
                }
                length.changed().await.ok()?;
            }
        };
        tokio::time::timeout(timeout, seen).await.ok().flatten()
    }
}

/// A request that was read and not yet answered. Dropping it puts it on record as one whose answer was withheld:
/// so it is when the sender goes away first.
#[derive(Debug)]
pub struct Receipt<T> {
    journal: Journal<T>,
    open: Option<(Timestamp, T)>,
}

impl<T> Receipt<T> {
    /// Puts the request on record with the answer's code; call it before the answer is written, so that whoever
    /// has read the answer finds the entry.
    pub fn answered(mut self, code: u16) {
        self.settle(Answer::Code(code));
    }

    /// Puts the request on record as one that gets no answer.
    pub fn withheld(self) {
        drop(self);
    }

    fn settle(&mut self, answer: Answer) {
        if let Some((at, body)) = self.open.take() {
            self.journal.append(Entry { at, settled_at: Timestamp::now(), body, answer });
        }
    }
}

impl<T> Drop for Receipt<T> {
    fn drop(&mut self) {
        self.settle(Answer::Withheld);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn waiting_finds_what_is_there_and_what_comes() {
        let journal = Journal::default();
        journal.receive(1).answered(200);
        assert_eq!(journal.wait_for(|n| *n == 1, SOON).await.unwrap(), 1);
        let later = journal.clone();
        let (found, ()) = tokio::join!(journal.wait_for(|n| *n == 3, SOON), async move {
            for n in [2, 3] {
                tokio::task::yield_now().await;
                later.receive(n).answered(200);
            }
        });
        assert_eq!(found.unwrap(), 3);
        assert_eq!(journal.wait_count(3, SOON).await.unwrap().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_in_vain_says_how_much_came() {
        let journal = Journal::default();
        journal.receive(1).answered(200);
        let error = journal.wait_count(2, SOON).await.unwrap_err();
        assert_eq!(error.to_string(), "1 of 2 requests came within 5s");
        assert!(journal.wait_for(|n| *n == 2, SOON).await.is_err());
    }

    #[test]
    fn a_dropped_receipt_is_a_withheld_answer() {
        let journal = Journal::default();
        drop(journal.receive("read"));
        assert_eq!(journal.entries()[0].answer, Answer::Withheld);
    }
}
