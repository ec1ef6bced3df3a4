//! The committer: a thread that owns the store, so that a disk that hangs holds up the decisions, and with them the
//! pages, no longer than [`PATIENCE`]. Commits one thing at a time and decides nothing.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::domain::change::Change;
use crate::store::{Finding, Store, StoreError};

/// How long a commit is waited for before people are paged without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What to commit.
pub(super) enum Job {
    /// What changed.
    Changes(Vec<Change>),
    /// Everything there is, in place of what the store holds.
    Everything(Vec<Change>),
}

/// What came of it.
pub(super) struct Answer {
    /// What was to be committed.
    pub(super) changes: Vec<Change>,
    /// Whether it is on record.
    pub(super) outcome: Result<(), StoreError>,
    /// What the store noticed meanwhile.
    pub(super) findings: Vec<Finding>,
    /// Whether its disk is full.
    pub(super) is_tight: bool,
    /// How long it took.
    pub(super) took: Duration,
}

/// The way to the thread.
pub(super) struct Committer {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    is_busy: bool,
    is_gone: bool,
    thread: JoinHandle<()>,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(mut store: Store) -> std::io::Result<Self> {
        let (jobs, waiting) = channel::<Job>();
        let (answer, answers) = channel();
        let work = move || {
            for job in waiting {
                let began = Instant::now();
                let (changes, outcome) = match job {
                    Job::Changes(changes) => {
                        let outcome = store.commit(&changes);
                        (changes, outcome)
                    }
                    Job::Everything(everything) => {
                        let outcome = store.replace(&everything);
                        (everything, outcome)
                    }
                };
                let (findings, is_tight) = (store.take_findings(), store.is_tight());
                let took = began.elapsed();
                if answer.send(Answer { changes, outcome, findings, is_tight, took }).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("store".into()).spawn(work)?;
        Ok(Self { jobs, answers, is_busy: false, is_gone: false, thread })
    }

    /// Whether a job was given that is not answered yet; another one must not be given then.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether the thread has ended, so that nothing will be answered any more.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Gives a job.
    pub(super) fn give(&mut self, job: Job) {
        // A thread that is gone answers nothing, which is seen below.
        let _ = self.jobs.send(job);
        self.is_busy = true;
    }

    /// The answer to the job that was given, once it is there.
    pub(super) fn answer(&mut self, patience: Duration) -> Option<Answer> {
        match self.answers.recv_timeout(patience) {
            Ok(answer) => {
                self.is_busy = false;
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.is_gone = true;
                None
            }
        }
    }

    /// Closes the store, unless it hangs.
    pub(super) fn close(self) {
        drop(self.jobs);
        if !self.is_busy && self.thread.join().is_err() {
            tracing::error!("the store's thread failed");
        }
    }
}
