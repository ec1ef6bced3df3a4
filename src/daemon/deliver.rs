//! Delivery: one lane a channel, one message in flight a lane. Owns waiting and retrying; how a channel is spoken to
//! is `notify`'s business, what to say the engine's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::core::Core;
use crate::core::clock;
use crate::domain::labels::Fnv;
use crate::domain::name::ChannelName;
use crate::domain::notice::{Attempt, Notice, backoff};
use crate::engine::event::Event;
use crate::telemetry::metrics::{ChannelLabels, Metrics, NoticeLabels};

use super::running::Running;

/// How long an attempt in flight may take once the daemon stops.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// The lanes. Notices of one channel leave in the order they were decided.
pub struct Delivery {
    running: watch::Receiver<Arc<Running>>,
    core: Core,
    metrics: Arc<Metrics>,
    lanes: HashMap<ChannelName, mpsc::UnboundedSender<Notice>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Delivery {
    /// Lanes over the channels as they are configured at each attempt.
    pub fn new(
        running: watch::Receiver<Arc<Running>>,
        core: Core,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self { running, core, metrics, lanes: HashMap::new(), stop, tasks }
    }

    /// Queues a notice on its channel's lane, in memory; the durable queue is the engine's outbox.
    pub fn queue(&mut self, notice: Notice) {
        let lane = self.lanes.entry(notice.channel.clone()).or_insert_with(|| {
            let (queue, waiting) = mpsc::unbounded_channel();
            let lane = Lane {
                running: self.running.clone(),
                core: self.core.clone(),
                metrics: self.metrics.clone(),
                stop: self.stop.clone(),
            };
            self.tasks.spawn(lane.run(waiting));
            queue
        });
        // A lane only ends when the daemon stops; the outbox keeps what it did not take.
        let _ = lane.send(notice);
    }
}

struct Lane {
    running: watch::Receiver<Arc<Running>>,
    core: Core,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Lane {
    async fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Notice>) {
        loop {
            let notice = tokio::select! {
                () = self.stop.cancelled() => return,
                notice = waiting.recv() => notice,
            };
            let Some(notice) = notice else { return };
            if !self.deliver(&notice).await {
                return;
            }
        }
    }

    /// Tries until the channel accepts or refuses; `false` when the daemon stops first.
    async fn deliver(&mut self, notice: &Notice) -> bool {
        let mut tries = 0;
        loop {
            let channels = self.running.borrow_and_update().channels.clone();
            let attempt = tokio::select! {
                attempt = channels.deliver(notice) => attempt,
                // A receiver that hangs must not hold up the stop; the outbox has the notice.
                () = patience_over(&self.stop) => return false,
            };
            self.count(notice, &attempt);
            let wait = match &attempt {
                Attempt::Failed { retry_after, .. } => {
                    Some(backoff(tries, *retry_after, jitter(notice, tries)))
                }
                Attempt::Accepted { .. } | Attempt::NothingToSend | Attempt::Refused { .. } => None,
            };
            let reported = Event::Attempted { notice: notice.id.clone(), attempt };
            if self.core.send(reported).await.is_err() {
                return false;
            }
            let Some(wait) = wait else { return true };
            tries += 1;
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(wait) => {}
                // A new configuration may be the mend: try at once.
                changed = self.running.changed() => if changed.is_err() { return false },
            }
        }
    }

    fn count(&self, notice: &Notice, attempt: &Attempt) {
        let (outcome, reason) = match attempt {
            Attempt::Accepted { .. } => ("accepted", ""),
            Attempt::NothingToSend => ("nothing_to_send", ""),
            Attempt::Failed { reason, .. } => ("failed", reason.as_str()),
            Attempt::Refused { reason, .. } => ("refused", reason.as_str()),
        };
        let channel = notice.channel.to_string();
        let labels = NoticeLabels { channel: channel.clone(), outcome, reason };
        self.metrics.notices.get_or_create(&labels).inc();
        let (incident, event) = (&notice.facts.incident_id, &notice.event);
        match attempt {
            Attempt::Accepted { .. } => {
                let delay = clock::now().duration_since(notice.created_at).as_secs_f64().max(0.0);
                self.metrics.notice_delay.get_or_create(&ChannelLabels { channel }).observe(delay);
                info!(%incident, %event, channel = %notice.channel, revision = notice.revision, "notice delivered");
            }
            Attempt::NothingToSend => {}
            Attempt::Failed { detail, .. } => {
                warn!(%incident, %event, channel = %notice.channel, reason, %detail, "notice not delivered yet");
            }
            Attempt::Refused { detail, .. } => {
                warn!(%incident, %event, channel = %notice.channel, reason, %detail, "notice refused");
            }
        }
    }
}

/// Until a stop was asked for and what is in flight had its time to end.
async fn patience_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(IN_FLIGHT).await;
}

/// In `0..1`, spread over notices and attempts, so that lanes do not retry in step.
fn jitter(notice: &Notice, tries: u32) -> f64 {
    let mut hash = Fnv::default();
    hash.write(notice.id.as_str().as_bytes());
    hash.write(&tries.to_be_bytes());
    f64::from(u32::try_from(hash.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
