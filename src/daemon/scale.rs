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
use crate::kubernetes::Cluster;

use super::running::Running;

enum Call {
    Look,
    Write(Box<ScalingAction>),
}

/// The lanes.
pub struct Scaling {
    running: watch::Receiver<Arc<Running>>,
    cluster: Arc<OnceCell<Cluster>>,
    core: Core,
    lanes: HashMap<TargetId, Lane>,
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
        Self { running, cluster: Arc::default(), core, lanes: HashMap::new(), stop, tasks }
    }

    /// The connection, for others who look at the same cluster.
    pub fn cluster(&self) -> Arc<OnceCell<Cluster>> {
        self.cluster.clone()
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
            let run = run(
                target,
                waiting,
                looking.clone(),
                self.running.clone(),
                self.cluster.clone(),
                self.core.clone(),
                self.stop.clone(),
            );
            self.tasks.spawn(run);
            Lane { calls, looking }
        })
    }
}

async fn run(
    target: TargetId,
    mut waiting: mpsc::UnboundedReceiver<Call>,
    looking: Arc<AtomicBool>,
    running: watch::Receiver<Arc<Running>>,
    cluster: Arc<OnceCell<Cluster>>,
    core: Core,
    stop: CancellationToken,
) {
    loop {
        let call = tokio::select! {
            () = stop.cancelled() => return,
            call = waiting.recv() => call,
        };
        let Some(call) = call else { return };
        let connected = cluster.get_or_try_init(Cluster::connect).await;
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
                let may_write = running.borrow().settings.kubernetes_mode == ScalingMode::Apply;
                let outcome = match connected {
                    Ok(_) if !may_write => Err(ClusterFailure::Unavailable),
                    Ok(cluster) => cluster.write(&action).await,
                    Err(failure) => Err(failure),
                };
                Event::Written { action: action.id.clone(), outcome }
            }
        };
        if core.send(event).await.is_err() {
            return;
        }
    }
}
