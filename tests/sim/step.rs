//! A step of the core: events in, changes to commit, and only then effects out. Owns that order and what may leave
//! without a record, as `src/core/mod.rs` has them; commits and performs nothing itself.
//!
//! ```text
//! take ─▶ take ─▶ … ─▶ changes ─▶ (commit) ─▶ effects
//! ```

use runbookd::domain::Timestamp;
use runbookd::domain::change::Change;
use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::notice::NoticeEvent;
use runbookd::domain::scaling::ClusterFailure;
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::report::Report;

/// What became of the changes of a step.
#[derive(Debug)]
pub(crate) enum Record {
    /// They are on record, or there were none.
    Kept,
    /// Nobody knows: they have to be committed again.
    Unknown(Vec<Change>),
}

/// An engine, and what it wants done once what it decided is on record.
#[derive(Debug)]
pub(crate) struct Step {
    engine: Engine,
    wanted: Vec<Effect>,
}

impl Step {
    /// The first step of an engine: its restore decided too, and wants these effects.
    pub(crate) fn new(engine: Engine, resumed: Vec<Effect>) -> Self {
        Self { engine, wanted: resumed }
    }

    /// The engine, for questions.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Takes one event. Several can be taken before one commit.
    pub(crate) fn take(&mut self, event: Event, now: Timestamp) {
        self.wanted.extend(self.engine.on(event, now));
    }

    /// What was decided since this was last asked.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        self.engine.take_reports()
    }

    /// What has to be committed before [`Step::effects`].
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        self.engine.take_changes()
    }

    /// What to do now.
    ///
    /// Without a record people are paged all the same. The heart does not beat, and the cluster is not written to: a
    /// step that is nowhere on record would be taken again after a crash. The next look at the target writes it, once
    /// the store works.
    pub(crate) fn effects(&mut self, record: Record, now: Timestamp) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.wanted);
        let Record::Unknown(changes) = record else { return effects };
        self.engine.give_back(changes);
        let held: Vec<Event> =
            effects.extract_if(.., |effect| needs_record(effect)).filter_map(held).collect();
        for answer in held {
            effects.extend(self.engine.on(answer, now));
        }
        effects
    }
}

fn needs_record(effect: &Effect) -> bool {
    match effect {
        Effect::Write(_) | Effect::Announce(_) => true,
        Effect::Deliver(notice) => notice.event == NoticeEvent::Heartbeat,
        Effect::Look(_) | Effect::Diagnose(_) => false,
    }
}

/// What the engine hears about an effect that must not leave.
fn held(effect: Effect) -> Option<Event> {
    match effect {
        Effect::Write(action) => {
            Some(Event::Written { action: action.id, outcome: Err(ClusterFailure::Unavailable) })
        }
        Effect::Deliver(notice) => Some(Event::Attempted {
            notice: notice.id,
            attempt: Attempt::Failed {
                reason: DeliveryReason::NotRecorded,
                detail: "the store does not take it".into(),
                retry_after: None,
            },
        }),
        Effect::Look(_) | Effect::Diagnose(_) | Effect::Announce(_) => None,
    }
}
