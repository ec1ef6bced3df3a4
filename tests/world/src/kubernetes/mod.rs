//! A Kubernetes API server in this process, with the controllers behind it: plain HTTP on a free loopback port.
//!
//! Speaks discovery, the verbs on objects, watches, the `scale` and `resize` subresources, the four kinds of patch
//! and proper `Status` refusals, well enough for client libraries and `kubectl`. It keeps no containers: a pod becomes
//! ready when its time has come. What is not here: authentication, admission webhooks, custom resource definitions
//! (kinds are installed from the test), graceful termination, and autoscalers acting by themselves.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//!
//! let kubernetes = world::kubernetes::Kubernetes::start().await?;
//! kubernetes.deployment("shop", "checkout", 2, 0.5, 256 << 20);
//! kubernetes.until(Duration::from_secs(5), |k| k.workload("shop", "checkout").is_some_and(|w| w.ready_pods == 2)).await?;
//! # Ok(())
//! # }
//! ```

mod admission;
mod call;
mod cluster;
mod connection;
mod controller;
mod discovery;
mod event;
mod faults;
mod fields;
mod journal;
mod kind;
mod patch;
mod quantity;
mod quota;
mod resize;
mod router;
mod scale;
mod scheduler;
mod seed;
mod selector;
mod status;
mod store;
mod table;
mod verbs;
mod watch;
mod workload;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::cluster::Cluster;
use self::connection::{CuttableListener, Scissors};
pub use self::faults::{Fault, FaultRule};
pub use self::journal::{Exchange, Write};
pub use self::kind::Kind;
pub use self::resize::Resize;
pub use self::workload::{PodSize, WorkloadSize};

/// A running API server; dropping it stops everything.
#[derive(Debug)]
pub struct Kubernetes {
    cluster: Arc<Cluster>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Kubernetes {
    /// Starts a server with two empty nodes (`node-1`, `node-2`: 8 cores, 32 GiB each) and the namespaces `default` and
    /// `kube-system`. Fails if no loopback port can be bound.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind a loopback port")?;
        let address = listener.local_addr()?;
        let cluster = Arc::new(Cluster::new());
        let app = router::router(Arc::clone(&cluster)).into_make_service_with_connect_info::<Scissors>();
        let stopped = cluster.stop.clone();
        let server = tokio::spawn(async move {
            let serving = axum::serve(CuttableListener(listener), app)
                .with_graceful_shutdown(stopped.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "the Kubernetes API server ended");
            }
        });
        let controller = tokio::spawn(controller::run(Arc::clone(&cluster)));
        let kubernetes = Self { cluster, address, tasks: vec![server, controller] };
        kubernetes.namespace("default");
        kubernetes.namespace("kube-system");
        kubernetes.node("node-1", 8.0, 32 << 30);
        kubernetes.node("node-2", 8.0, 32 << 30);
        Ok(kubernetes)
    }

    /// The server's address, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig that leads here, with the current namespace `default`.
    pub fn write_kubeconfig(&self, path: &Path) -> anyhow::Result<()> {
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "world",
            "clusters": [{"name": "world", "cluster": {"server": self.url()}}],
            "users": [{"name": "world", "user": {}}],
            "contexts": [{"name": "world", "context": {"cluster": "world", "user": "world", "namespace": "default"}}],
        });
        // JSON is YAML.
        std::fs::write(path, config.to_string()).with_context(|| format!("write {}", path.display()))
    }

    /// Serves one more kind, as installing a custom resource definition does.
    pub fn install(&self, kind: Kind) {
        self.cluster.with(|state| state.kinds.push(kind));
    }

    /// The object as stored, by kind name (`Deployment`), namespace (empty where there is none) and name.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.cluster.with(|state| {
            let kind = state.kinds.iter().find(|known| known.kind == kind)?;
            state.store.get(&kind.key(namespace, name)).map(|object| (**object).clone())
        })
    }

    /// All objects as stored.
    pub fn objects(&self) -> Vec<Value> {
        self.cluster.with(|state| {
            let kinds = state.kinds.clone();
            let of = |kind: &Kind| {
                state.store.list(kind, "").map(|(_, object)| (**object).clone()).collect::<Vec<_>>()
            };
            kinds.iter().flat_map(of).collect()
        })
    }

    /// Deletes an object with all that it controls; tells whether there was one.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.cluster.with(|state| {
            let kind = state.kinds.iter().find(|known| known.kind == kind).copied();
            kind.is_some_and(|kind| state.store.remove(&kind.key(namespace, name)).is_some())
        })
    }

    /// What runs of a `Deployment` or `StatefulSet` of this name.
    pub fn workload(&self, namespace: &str, name: &str) -> Option<WorkloadSize> {
        self.cluster.with(|state| workload::size(&state.store, namespace, name))
    }

    /// Waits until something is so; looks again after every change of an object. Fails after the timeout.
    pub async fn until(&self, timeout: Duration, is_so: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let mut changes = self.cluster.changes();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if is_so(self) {
                    return Ok(());
                }
                changes.changed().await?;
            }
        };
        match tokio::time::timeout(timeout, waiting).await {
            Ok(result) => result,
            Err(_) => bail!("not so within {timeout:?}"),
        }
    }

    // === What was asked and answered ===

    /// All requests so far, in the order of arrival.
    pub fn journal(&self) -> Vec<Exchange> {
        self.cluster.with(|state| state.journal.exchanges().to_vec())
    }

    /// The first exchange, past or coming, that fits. Fails after the timeout.
    pub async fn await_exchange(
        &self,
        timeout: Duration,
        fits: impl Fn(&Exchange) -> bool,
    ) -> anyhow::Result<Exchange> {
        let mut answers = self.cluster.answers();
        let waiting = async {
            loop {
                answers.borrow_and_update();
                if let Some(found) =
                    self.cluster.with(|state| state.journal.exchanges().iter().find(|e| fits(e)).cloned())
                {
                    return Ok(found);
                }
                answers.changed().await?;
            }
        };
        match tokio::time::timeout(timeout, waiting).await {
            Ok(result) => result,
            Err(_) => bail!("no such request within {timeout:?}"),
        }
    }

    /// Waits until so many exchanges fit. Fails after the timeout.
    pub async fn await_exchanges(
        &self,
        timeout: Duration,
        count: usize,
        fits: impl Fn(&Exchange) -> bool,
    ) -> anyhow::Result<()> {
        let mut answers = self.cluster.answers();
        let waiting = async {
            loop {
                answers.borrow_and_update();
                let found =
                    self.cluster.with(|state| state.journal.exchanges().iter().filter(|e| fits(e)).count());
                if found >= count {
                    return Ok(());
                }
                answers.changed().await?;
            }
        };
        match tokio::time::timeout(timeout, waiting).await {
            Ok(result) => result,
            Err(_) => bail!("no {count} such requests within {timeout:?}"),
        }
    }

    /// The first write, accepted or refused, past or coming, that fits. Fails after the timeout.
    pub async fn await_write(
        &self,
        timeout: Duration,
        fits: impl Fn(&Exchange) -> bool,
    ) -> anyhow::Result<Exchange> {
        self.await_exchange(timeout, |exchange| exchange.write.is_some() && fits(exchange)).await
    }

    // === What goes wrong ===

    /// Injects a fault; it goes before those injected earlier.
    pub fn fault(&self, rule: impl Into<FaultRule>) {
        let rule = rule.into();
        self.cluster.with(|state| state.faults.add(rule));
    }

    /// Removes all injected faults.
    pub fn clear_faults(&self) {
        self.cluster.with(|state| state.faults.clear());
    }

    /// Takes a right away: 403 for the verb on the resource (`deployments/scale`); `*` stands for all.
    pub fn forbid(&self, verb: &str, resource: &str) {
        self.cluster.with(|state| state.rights.forbid(verb, resource));
    }

    /// Gives a right back that was taken with the same words.
    pub fn allow(&self, verb: &str, resource: &str) {
        self.cluster.with(|state| state.rights.allow(verb, resource));
    }

    /// Forgets the history: older watches and watches from older resourceVersions get 410 Gone.
    pub fn compact(&self) {
        self.cluster.with(|state| state.store.compact());
    }

    /// Ends all running watches, as a restart of the server does.
    pub fn end_watches(&self) {
        self.cluster.set(|settings| settings.watch_epoch += 1);
    }

    // === How pods behave ===

    /// From a pod's binding to its readiness; for pods that start from now on. Zero at first.
    pub fn set_ready_after(&self, delay: Duration) {
        self.cluster.set(|settings| settings.ready_after = delay);
    }

    /// Whether pods that are not ready now stay so; once switched off, they become ready after the usual delay.
    pub fn set_never_ready(&self, never: bool) {
        self.cluster.set(|settings| settings.never_ready = never);
    }

    /// What becomes of in-place resizes. Carried out at once at first.
    pub fn set_resize(&self, resize: Resize) {
        self.cluster.set(|settings| settings.resize = resize);
    }

    /// The pause between two bookmarks of new watches. 5 s at first.
    pub fn set_bookmark_every(&self, pause: Duration) {
        self.cluster.set(|settings| settings.bookmark_every = pause);
    }

    /// Whether the controllers, the scheduler and the kubelets do nothing: what is written stands and nothing comes of
    /// it until they work again. They share this process' time and its one lock with the API server, which measures of
    /// the server alone have to leave out.
    pub fn set_controllers_rest(&self, rest: bool) {
        self.cluster.set(|settings| settings.controllers_rest = rest);
    }

    /// How long every request is on its way, before it has arrived and is performed. Zero at first.
    pub fn set_latency(&self, latency: Duration) {
        self.cluster.set(|settings| settings.latency = latency);
    }

    /// The log of the pods whose names begin so.
    pub fn set_log(&self, namespace: &str, pod: &str, log: &str) {
        self.cluster.with(|state| state.logs.insert((namespace.to_owned(), pod.to_owned()), log.to_owned()));
    }

    /// Stops the server and waits until it has ended.
    pub async fn shutdown(mut self) {
        self.cluster.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            // A task that panicked has said so already.
            let _ = task.await;
        }
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        self.cluster.stop.cancel();
    }
}
