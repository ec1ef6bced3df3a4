//! Delivery: carries out one attempt for each notice that the engine hands out. Owns the bound on an attempt and its
//! counting; what leaves when, again or elsewhere is the engine's, how a channel is spoken to `notify`'s business.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::core::Core;
use crate::core::clock;
use crate::domain::delivery::{Attempt, DeliveryReason};
use crate::domain::notice::Notice;
use crate::engine::event::Event;
use crate::notify::LateChart;
use crate::notify::channels::Channels;
use crate::telemetry::metrics::{ChannelLabels, Metrics, NoticeLabels};

use super::charts::Charts;
use super::running::Running;

/// How long an attempt in flight may take once the daemon stops.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// How long an attempt may take at all. Every channel has a shorter bound of its own; this one is for what they forgot.
const ATTEMPT_WITHIN: Duration = Duration::from_secs(120);

/// Attempts over the channels as they are configured when each begins.
#[derive(Clone)]
pub struct Delivery {
    running: watch::Receiver<Arc<Running>>,
    core: Core,
    metrics: Arc<Metrics>,
    charts: Arc<Charts>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Delivery {
    /// Over the running configuration.
    pub fn new(
        running: watch::Receiver<Arc<Running>>,
        core: Core,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let charts = Arc::new(Charts::new(running.clone()));
        Self { running, core, metrics, charts, stop, tasks }
    }

    /// Begins one attempt; the engine hears of its end. How many there are at once is bounded by the engine's lanes.
    pub fn attempt(&self, notice: Notice) {
        let own = self.clone();
        self.tasks.spawn(async move { own.deliver(notice).await });
    }

    async fn deliver(self, notice: Notice) {
        let channels = self.running.borrow().channels.clone();
        let attempt = tokio::select! {
            attempt = tokio::time::timeout(ATTEMPT_WITHIN, survived(self.attempt_by(&channels, &notice))) => attempt,
            // A receiver that hangs must not hold up the stop; the outbox has the notice.
            () = patience_over(&self.stop) => return,
        };
        let attempt = attempt.unwrap_or_else(|_| Attempt::Failed {
            reason: DeliveryReason::TimedOut,
            detail: format!("no end within {} s", ATTEMPT_WITHIN.as_secs()).into(),
            retry_after: None,
        });
        self.count(&notice, &attempt);
        // The core only goes away when the daemon stops; the outbox has the notice.
        let _ = self.core.send(Event::Attempted { notice: notice.id, attempt }).await;
    }

    /// With a chart where the channel shows one and it is there in time.
    async fn attempt_by(&self, channels: &Channels, notice: &Notice) -> Attempt {
        let shows = channels.shows_charts(notice);
        let chart = shows.then(|| Box::pin(self.charts.of_notice(notice)) as LateChart<'_>);
        channels.deliver_with(notice, chart, clock::now()).await
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

/// An attempt that panics is one that failed: without an answer its lane would wait for ever.
async fn survived(attempt: impl Future<Output = Attempt>) -> Attempt {
    // What it shares with other attempts is behind locks that are read whether poisoned or not.
    std::panic::AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("an attempt to deliver a notice panicked");
        Attempt::Failed {
            reason: DeliveryReason::NotRendered,
            detail: "the attempt broke off by a fault of runbookd's own".into(),
            retry_after: None,
        }
    })
}

/// Until a stop was asked for and what is in flight had its time to end.
async fn patience_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(IN_FLIGHT).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[allow(clippy::panic, reason = "what is tested is a panic")]
    async fn an_attempt_that_panics_has_failed() {
        let broken = std::future::ready(Attempt::ACCEPTED).map(|_| panic!("a fault"));
        let attempt = survived(broken).await;
        assert!(
            matches!(attempt, Attempt::Failed { reason: DeliveryReason::NotRendered, .. }),
            "{attempt:?}"
        );
        assert_eq!(survived(async { Attempt::ACCEPTED }).await, Attempt::ACCEPTED);
    }
}
