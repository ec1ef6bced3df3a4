//! Scaling on the cluster: one lane a target, one call in flight a lane. Owns the connection and the order of calls;
//! what to write is decided before it comes here.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OnceCell, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::core::Core;
use crate::domain::name::TargetId;
use crate::domain::scaling::{ClusterFailure, ScalingAction, ScalingMode};
use crate::engine::event::Event;
use crate::kubernetes::{Cluster, ClusterError};

use super::running::Running;

enum Call {
    Look,
    Write(Box<ScalingAction>),
}

/// The lanes.
pub struct Scaling {
    shared: Shared,
    lanes: HashMap<TargetId, Lane>,
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
        Self { shared: Shared { running, cluster, is_watched, core, stop, tasks }, lanes: HashMap::new() }
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

    fn lane(&mut self, target: TargetId) -> &Lane {
        self.lanes.entry(target.clone()).or_insert_with(|| {
            let (calls, waiting) = mpsc::unbounded_channel();
            let looking = Arc::new(AtomicBool::new(false));
            self.shared.tasks.spawn(self.shared.clone().run(target, waiting, looking.clone()));
            Lane { calls, looking }
        })
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
                        Ok(cluster) => cluster.write(&action).await,
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
