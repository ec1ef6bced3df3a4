//! The core loop: one thread that owns the engine, beside one that owns the store. Takes events in order, commits what
//! they changed, and only then hands out the effects.
//!
//! Events that wait together are committed together, so a storm costs few syncs.

pub mod clock;
mod committer;
pub mod feed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::domain::Timestamp;
use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::notice::NoticeEvent;
use crate::domain::scaling::ClusterFailure;
use crate::domain::trouble::Trouble;
use crate::engine::Engine;
use crate::engine::effect::Effect;
use crate::engine::event::Event;
use crate::store::{Finding, Store, StoreError};
use crate::telemetry::metrics::{FindingLabels, Metrics, OutcomeLabels};
use crate::telemetry::narrate::narrate;

use committer::{Answer, Committer, Job, PATIENCE};
use feed::{Feed, News};

/// The most events in one commit: enough to amortise the sync, few enough to keep the delay small.
const BATCH: usize = 256;

/// How many inputs may wait before those who observe are slowed down.
const WAITING: usize = 4096;

/// How often whoever only looks is answered while a commit is waited for: a long commit keeps nobody from seeing.
const PEEK_EVERY: Duration = Duration::from_millis(5);

type Question = Box<dyn FnOnce(&Engine) + Send>;

enum Input {
    Event(Box<Event>),
    /// The same, from somebody who waits for the commit.
    Confirm(Box<Event>, oneshot::Sender<bool>),
    Ask(Question),
    /// Somebody peeks: nothing to take, only a reason to wake up.
    Peek,
}

/// The way to the core, cheap to clone. The core stops when the last one is gone.
#[derive(Clone)]
pub struct Core {
    inputs: mpsc::Sender<Input>,
    peeks: mpsc::UnboundedSender<Question>,
    feed: Feed,
    started_at: Timestamp,
}

/// A core that was started.
pub struct Started {
    /// The way to it.
    pub core: Core,
    /// What it wants done.
    pub effects: mpsc::UnboundedReceiver<Effect>,
    /// When it wants an [`Event::Wake`].
    pub wakes: watch::Receiver<Option<Timestamp>>,
    /// Its thread.
    pub thread: std::thread::JoinHandle<()>,
}

/// The core has stopped: the daemon is shutting down.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is shutting down")]
pub struct Stopped;

impl Core {
    /// Starts the thread; effects come out of the receiver, those that a restore resumed first.
    ///
    /// The channel of effects is unbounded because the engine itself bounds what can be in it: one notice per entry
    /// of the outbox, one look and one write per target.
    pub fn start(
        engine: Engine,
        resumed: Vec<Effect>,
        mut store: Store,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Started> {
        let (inputs, waiting) = mpsc::channel(WAITING);
        let (effects, out) = mpsc::unbounded_channel();
        let (peeks, peeking) = mpsc::unbounded_channel();
        let (wake, wakes) = watch::channel(None);
        let feed = Feed::new();
        let (findings, is_tight) = (store.take_findings(), store.is_tight());
        let mut worker = Worker {
            engine,
            committer: Committer::start(store)?,
            metrics,
            effects,
            peeking,
            feed: feed.clone(),
            wake,
            failing: false,
            is_tight: false,
            troubles: Vec::new(),
        };
        // What the store noticed at the start is known before anything is done.
        worker.hear(&findings, is_tight);
        let thread =
            std::thread::Builder::new().name("core".into()).spawn(move || worker.run(resumed, waiting))?;
        Ok(Started {
            core: Self { inputs, peeks, feed, started_at: clock::now() },
            effects: out,
            wakes,
            thread,
        })
    }

    /// When it was started.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Watches what changes from now on; nothing where too many do.
    pub fn watch(&self) -> Option<broadcast::Receiver<News>> {
        self.feed.watch()
    }

    /// Waits until the core has ended, which it does by itself only when something in it failed.
    pub async fn ended(&self) {
        self.inputs.closed().await;
    }

    /// Hands in an event.
    pub async fn send(&self, event: Event) -> Result<(), Stopped> {
        self.inputs.send(Input::Event(Box::new(event))).await.map_err(|_| Stopped)
    }

    /// Hands in an event and waits until it is committed; `false` where that failed: then it is decided and lives in
    /// memory only. For whoever must not answer before.
    pub async fn confirm(&self, event: Event) -> Result<bool, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Confirm(Box::new(event), reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks the engine something, after everything handed in before.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |engine| {
            // Whoever asked may have gone away meanwhile.
            let _ = reply.send(question(engine));
        });
        self.inputs.send(Input::Ask(question)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Looks at the engine at once, whatever waits: what is seen may not be on record yet, and what was handed in just
    /// before may not be in it. For whoever only shows.
    pub async fn peek<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |engine| {
            // Whoever asked may have gone away meanwhile.
            let _ = reply.send(question(engine));
        });
        self.peeks.send(question).map_err(|_| Stopped)?;
        // Where no more inputs fit the core is awake.
        let _ = self.inputs.try_send(Input::Peek);
        answer.await.map_err(|_| Stopped)
    }
}

struct Worker {
    engine: Engine,
    committer: Committer,
    metrics: Arc<Metrics>,
    effects: mpsc::UnboundedSender<Effect>,
    peeking: mpsc::UnboundedReceiver<Question>,
    feed: Feed,
    wake: watch::Sender<Option<Timestamp>>,
    /// Whether the store fails.
    failing: bool,
    /// Whether its disk is full.
    is_tight: bool,
    /// What the store's state has to tell people, until the engine knows it.
    troubles: Vec<Event>,
}

impl Worker {
    fn run(mut self, resumed: Vec<Effect>, mut waiting: mpsc::Receiver<Input>) {
        // The daemon before this one may have died between a trouble and its end.
        if !self.failing {
            self.troubles.push(Event::Trouble { trouble: Trouble::StoreFailing, detail: None });
        }
        if !self.is_tight {
            self.troubles.push(Event::Trouble { trouble: Trouble::StoreFull, detail: None });
        }
        // A restore decides too: the plan may have changed while nothing ran.
        self.settle(resumed);
        while let Some(first) = waiting.blocking_recv() {
            self.answer_peeks();
            let mut effects = Vec::new();
            let mut questions = Vec::new();
            let mut confirmations = Vec::new();
            let mut next = Some(first);
            let mut taken = 0;
            while let Some(input) = next.take() {
                taken += 1;
                match input {
                    Input::Event(event) => {
                        self.feed.heard(&event);
                        effects.extend(self.engine.on(*event, clock::now()));
                    }
                    Input::Confirm(event, reply) => {
                        effects.extend(self.engine.on(*event, clock::now()));
                        confirmations.push(reply);
                    }
                    Input::Ask(question) => {
                        questions.push(question);
                        // A question is answered from committed state, so it ends the batch.
                        break;
                    }
                    Input::Peek => {}
                }
                if taken < BATCH {
                    next = waiting.try_recv().ok();
                }
            }
            let committed = self.settle(effects);
            for reply in confirmations {
                // Whoever waited may have gone away meanwhile.
                let _ = reply.send(committed);
            }
            for question in questions {
                question(&self.engine);
            }
        }
        self.settle(Vec::new());
        self.committer.close();
    }

    fn answer_peeks(&mut self) {
        while let Ok(question) = self.peeking.try_recv() {
            question(&self.engine);
        }
    }

    /// Gives a job and waits for its answer, for a while. Whoever only looks does not wait with it.
    fn wait_for(&mut self, job: Job) -> Option<Answer> {
        let began = Instant::now();
        self.committer.give(job);
        loop {
            if let Some(answer) = self.committer.answer(PEEK_EVERY) {
                return Some(answer);
            }
            if self.committer.is_gone() || began.elapsed() >= PATIENCE {
                return None;
            }
            self.answer_peeks();
        }
    }

    /// Commits what was decided and hands out what is to be done. What the commit says about the store may be a
    /// trouble, which is decided on, committed and handed out likewise. Says whether all of it is on record.
    fn settle(&mut self, mut effects: Vec<Effect>) -> bool {
        let mut committed = self.commit();
        let troubles = std::mem::take(&mut self.troubles);
        if !troubles.is_empty() {
            for trouble in troubles {
                effects.extend(self.engine.on(trouble, clock::now()));
            }
            committed = self.commit();
        }
        self.hand_out(effects, committed);
        committed
    }

    /// Without a commit people are paged all the same. The heart does not beat, and the cluster is not written to: a step that is nowhere on record
    /// would be taken again after a crash. The next look at the target writes it, once the store works.
    fn hand_out(&mut self, mut effects: Vec<Effect>, committed: bool) {
        if !committed {
            let needs_record = |effect: &mut Effect| match effect {
                // What is nowhere on record is not announced either.
                Effect::Write(_) | Effect::Announce(_) => true,
                Effect::Deliver(notice) => notice.event == NoticeEvent::Heartbeat,
                Effect::Look(_) | Effect::Diagnose(_) => false,
            };
            let held: Vec<Effect> = effects.extract_if(.., needs_record).collect();
            for effect in held {
                let answer = match effect {
                    Effect::Write(action) => {
                        Event::Written { action: action.id, outcome: Err(ClusterFailure::Unavailable) }
                    }
                    Effect::Deliver(notice) => Event::Attempted {
                        notice: notice.id,
                        attempt: Attempt::Failed {
                            reason: DeliveryReason::NotRecorded,
                            detail: "the store does not take it".into(),
                            retry_after: None,
                        },
                    },
                    Effect::Look(_) | Effect::Diagnose(_) | Effect::Announce(_) => continue,
                };
                effects.extend(self.engine.on(answer, clock::now()));
            }
        }
        let next = self.engine.next_turn(clock::now());
        self.wake.send_if_modified(|wake| std::mem::replace(wake, next) != next || next.is_some());
        for effect in effects {
            // Nobody performs effects any more while the daemon stops; they are in the outbox.
            let _ = self.effects.send(effect);
        }
    }

    /// Commits what changed; says whether everything decided so far is on record.
    ///
    /// A failing store stops nobody from being paged: the engine goes on in memory and the changes are committed with
    /// the next ones. Neither does one that hangs: what it was given is answered for later.
    fn commit(&mut self) -> bool {
        for report in self.engine.take_reports() {
            narrate(&report, &self.metrics);
        }
        if self.committer.is_busy()
            && let Some(answer) = self.committer.answer(Duration::ZERO)
        {
            self.take_answer(answer);
        }
        let changes = self.engine.take_changes();
        self.feed.changed(&changes);
        let is_all_on_record = changes.is_empty();
        if self.committer.is_busy() {
            self.engine.give_back(changes);
            return is_all_on_record;
        }
        if is_all_on_record && !self.failing {
            return true;
        }
        let mut answer = self.wait_for(Job::Changes(changes));
        if let Some(Answer { outcome: Err(StoreError::Behind), findings, is_tight, .. }) = &answer {
            self.hear(findings, *is_tight);
            answer = self.wait_for(Job::Everything(self.engine.everything()));
        }
        if let Some(answer) = answer {
            return self.take_answer(answer) || is_all_on_record;
        }
        self.fails(&format!("a commit takes longer than {PATIENCE:?}"));
        is_all_on_record
    }

    /// Takes what came of a commit; says whether it is on record.
    fn take_answer(&mut self, answer: Answer) -> bool {
        let Answer { changes, outcome, findings, is_tight, took } = answer;
        self.hear(&findings, is_tight);
        if !changes.is_empty() {
            self.metrics.store_commit.observe(took.as_secs_f64());
            let outcome = if outcome.is_ok() { "committed" } else { "failed" };
            self.metrics.store_commits.get_or_create(&OutcomeLabels { outcome }).inc();
        }
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    info!("the store works again");
                    self.metrics.store_failing.set(0);
                    self.troubles.push(Event::Trouble { trouble: Trouble::StoreFailing, detail: None });
                }
                true
            }
            Err(error) => {
                self.engine.give_back(changes);
                self.fails(&error.to_string());
                false
            }
        }
    }

    /// Tells once that the store fails.
    fn fails(&mut self, detail: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            error!(error = detail, "the store failed; going on from memory");
            self.metrics.store_failing.set(1);
            let detail = Some(detail.into());
            self.troubles.push(Event::Trouble { trouble: Trouble::StoreFailing, detail });
        }
    }

    /// Takes what the store noticed about itself: to the log, to the metrics, and to people.
    fn hear(&mut self, findings: &[Finding], is_tight: bool) {
        if std::mem::replace(&mut self.is_tight, is_tight) != is_tight {
            let detail = is_tight.then(|| "the room kept for that is given up".into());
            self.troubles.push(Event::Trouble { trouble: Trouble::StoreFull, detail });
        }
        for finding in findings {
            let code = finding.code();
            warn!(code, forgot = finding.forgot(), %finding, "the store noticed something");
            self.metrics.store_findings.get_or_create(&FindingLabels { finding: code }).inc();
            if matches!(finding, Finding::InMemory { .. }) {
                self.fails(&finding.to_string());
            }
            if finding.forgot() || !matches!(finding, Finding::InMemory { .. }) {
                let detail = Some(finding.to_string().into());
                self.troubles.push(Event::Trouble { trouble: Trouble::StoreForgot, detail });
            }
        }
    }
}
