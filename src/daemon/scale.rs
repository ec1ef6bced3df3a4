//! Scaling on the cluster: one lane a target, one call in flight a lane. Owns the connection and the order of calls;
//! what to write is decided before it comes here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OnceCell, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::core::Core;
use crate::domain::name::TargetId;
use crate::domain::scaling::{
    Announcement, ClusterFailure, Direction, Purpose, ScalingAction, ScalingMode, Size,
};
use crate::engine::event::Event;
use crate::kubernetes::{Cluster, ClusterError, Line};

use super::running::Running;

/// So many lines may wait to be written on workloads.
const MOST_LINES: usize = 1_000;

enum Call {
    Look,
    Write(Box<ScalingAction>),
}

/// The lanes.
pub struct Scaling {
    shared: Shared,
    lanes: HashMap<TargetId, Lane>,
    /// The lines for workloads, once there was one.
    lines: Option<mpsc::Sender<Box<Announcement>>>,
}

/// What every lane uses.
#[derive(Clone)]
struct Shared {
    running: watch::Receiver<Arc<Running>>,
    cluster: Arc<OnceCell<Cluster>>,
    is_watched: Arc<AtomicBool>,
    core: Core,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Lane {
    calls: mpsc::UnboundedSender<Call>,
    /// A look that waits already answers the next one's question.
    looking: Arc<AtomicBool>,
}

impl Scaling {
    /// Lanes over a cluster that is connected to at the first call.
    pub fn new(
        running: watch::Receiver<Arc<Running>>,
        core: Core,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let (cluster, is_watched) = (Arc::default(), Arc::default());
        let shared = Shared { running, cluster, is_watched, core, stop, tasks };
        Self { shared, lanes: HashMap::new(), lines: None }
    }

    /// The connection, for others who look at the same cluster.
    pub fn cluster(&self) -> Arc<OnceCell<Cluster>> {
        self.shared.cluster.clone()
    }

    /// Looks at a target.
    pub fn look(&mut self, target: TargetId) {
        let lane = self.lane(target);
        if !lane.looking.swap(true, Ordering::AcqRel) {
            let _ = lane.calls.send(Call::Look);
        }
    }

    /// Writes a decided size.
    pub fn write(&mut self, action: Box<ScalingAction>) {
        let lane = self.lane(action.target.clone());
        let _ = lane.calls.send(Call::Write(action));
    }

    /// Writes a line on a workload, beside the lanes: no write waits for it. Best effort: the record and the incident
    /// say the same.
    pub fn announce(&mut self, line: Box<Announcement>) {
        let lines = self.lines.get_or_insert_with(|| {
            let (lines, waiting) = mpsc::channel(MOST_LINES);
            self.shared.tasks.spawn(self.shared.clone().tell(waiting));
            lines
        });
        if lines.try_send(line).is_err() {
            debug!("too much to be announced on workloads; one line is left out");
        }
    }

    fn lane(&mut self, target: TargetId) -> &Lane {
        self.lanes.entry(target.clone()).or_insert_with(|| {
            let (calls, waiting) = mpsc::unbounded_channel();
            let looking = Arc::new(AtomicBool::new(false));
            self.shared.tasks.spawn(self.shared.clone().run(target, waiting, looking.clone()));
            Lane { calls, looking }
        })
    }
}

/// Writes what an action decided: the workload's own size, or the least of the autoscaler that has the say over it.
async fn write(cluster: &Cluster, action: &ScalingAction) -> Result<(), ClusterFailure> {
    let (Some(scaler), Size::Replicas(from), Size::Replicas(to)) =
        (&action.course.raise, &action.from, &action.to)
    else {
        return cluster.write(action).await;
    };
    let namespace = &action.target.namespace;
    match (action.course.purpose, action.course.direction) {
        (Purpose::Revert, _) => cluster.lower_hpa_min(namespace, scaler, *from, *to).await,
        (_, Direction::In) => cluster.ease_hpa_min(namespace, scaler, *to).await,
        (_, Direction::Out) => cluster.raise_hpa_min(namespace, scaler, *to).await,
    }
}

fn told(line: &Announcement) -> Line<'_> {
    Line {
        name: &line.name,
        target: &line.target,
        uid: &line.uid,
        reason: line.reason,
        note: &line.note,
        is_warning: line.is_warning,
        at: line.at,
    }
}

impl Shared {
    async fn run(
        self,
        target: TargetId,
        mut waiting: mpsc::UnboundedReceiver<Call>,
        looking: Arc<AtomicBool>,
    ) {
        loop {
            let call = tokio::select! {
                () = self.stop.cancelled() => return,
                call = waiting.recv() => call,
            };
            let Some(call) = call else { return };
            let connected = self.connected().await;
            if let Err(error) = &connected {
                warn!(%target, %error, "no connection to a cluster");
            }
            let connected = connected.map_err(|_| ClusterFailure::Unreachable);
            let event = match call {
                Call::Look => {
                    looking.store(false, Ordering::Release);
                    let seen = match connected {
                        Ok(cluster) => cluster.look(&target).await.map(Box::new),
                        Err(failure) => Err(failure),
                    };
                    Event::TargetSeen { target: target.clone(), seen }
                }
                Call::Write(action) => {
                    // It may have waited: what may be written is asked at the last moment.
                    let may_write = self.running.borrow().settings.kubernetes_mode == ScalingMode::Apply;
                    let outcome = match connected {
                        Ok(_) if !may_write => Err(ClusterFailure::Unavailable),
                        Ok(cluster) => write(cluster, &action).await,
                        Err(failure) => Err(failure),
                    };
                    Event::Written { action: action.id.clone(), outcome }
                }
            };
            if self.core.send(event).await.is_err() {
                return;
            }
        }
    }

    /// Writes lines on workloads, one after the other; none where nothing may be written.
    async fn tell(self, mut waiting: mpsc::Receiver<Box<Announcement>>) {
        loop {
            let line = tokio::select! {
                () = self.stop.cancelled() => return,
                line = waiting.recv() => line,
            };
            let Some(line) = line else { return };
            if self.running.borrow().settings.kubernetes_mode != ScalingMode::Apply {
                continue;
            }
            let Ok(cluster) = self.connected().await else { continue };
            if let Err(failure) = cluster.announce(&told(&line)).await {
                debug!(target = %line.target, %failure, reason = line.reason, "not announced on the workload");
            }
        }
    }

    /// The connection. What surrounds the targets is watched from the first call on, once for all lanes.
    async fn connected(&self) -> Result<&Cluster, ClusterError> {
        let cluster = self.cluster.get_or_try_init(Cluster::connect).await?;
        if !self.is_watched.swap(true, Ordering::AcqRel) {
            let watch = cluster.watch();
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(watch));
        }
        Ok(cluster)
    }
}
