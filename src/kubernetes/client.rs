//! The connection to a cluster. Owns credentials, time-outs and what the server offers; looks at and writes nothing.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::core::ApiResource;
use kube::{Client, Config};
use reqwest::header::{HeaderValue, USER_AGENT};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::failure::{Call, classify};
use super::sight::Sight;
use crate::domain::name::TargetId;
use crate::domain::scaling::{ClusterFailure, FIELD_MANAGER};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many calls may be under way at once. A thousand targets may want a step in the same second, and the API server
/// shares its time fairly between those that ask: many at once gain nothing and cost connections.
const AT_ONCE: usize = 64;

/// How long it is believed that the cluster has no in-place resize: clusters are upgraded, not downgraded.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// Why there is no connection to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Neither a kubeconfig nor a service account could be used.
    #[error("no cluster is configured: neither a kubeconfig nor a service account can be used")]
    NotConfigured(#[source] kube::config::InferConfigError),
    /// The configuration names credentials or certificates that cannot be used.
    #[error("cannot set up the client of the cluster")]
    Setup(#[source] kube::Error),
}

/// A cluster. Cheap to clone; clones share connections and what is known of the server.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    timeout: Duration,
    known: Arc<Mutex<Known>>,
    /// Held by who asks what the server offers: a thousand looks at once ask it once.
    discovering: Arc<tokio::sync::Mutex<()>>,
    turns: Arc<Semaphore>,
    pub(super) sight: Arc<Sight>,
}

/// What the server was found to offer.
#[derive(Debug, Default)]
struct Known {
    kinds: HashMap<Arc<str>, ApiResource>,
    resize: Option<(bool, Instant)>,
    /// Whether objects of a kind that own workloads can be scaled themselves.
    owners: HashMap<String, bool>,
    /// Where each target was found.
    places: HashMap<TargetId, TargetId>,
}

impl Cluster {
    /// Connects as `KUBECONFIG`, the user's kubeconfig or the pod's service account say. Sends nothing yet.
    ///
    /// A rustls crypto provider must have been installed.
    pub async fn connect() -> Result<Self, ClusterError> {
        Self::from_config(Config::infer().await.map_err(ClusterError::NotConfigured)?)
    }

    /// Connects as `config` says, with the daemon's own time-outs and without the client's own retries: those repeat
    /// writes, too, and would outlast every deadline.
    pub fn from_config(mut config: Config) -> Result<Self, ClusterError> {
        config.default_retry = false;
        config.connect_timeout = Some(TIMEOUT / 2);
        config.headers.push((USER_AGENT, HeaderValue::from_static(FIELD_MANAGER)));
        let client = Client::try_from(config).map_err(ClusterError::Setup)?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let (known, discovering, sight) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { client, timeout: TIMEOUT, known, discovering, turns, sight })
    }

    /// The same cluster with another limit for each call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes a call once, within the time-out, when its turn has come.
    pub(super) async fn call<T>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterFailure> {
        // Closed by nobody; an error would only mean that no turn is needed.
        let _turn = self.turns.acquire().await;
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let failure = classify(&error, call);
                tracing::debug!(%error, %failure, ?call, "call to the cluster failed");
                Err(failure)
            }
            Err(_) => {
                tracing::debug!(timeout = ?self.timeout, ?call, "call to the cluster timed out");
                Err(ClusterFailure::Unreachable)
            }
        }
    }

    /// Whether pods can be resized in place: whether the server lists `pods/resize` (Kubernetes 1.33+, unless it was
    /// switched off), or where its lists may not be read, its version.
    pub(super) async fn offers_resize(&self) -> Result<bool, ClusterFailure> {
        if let Some(offers) = self.known_resize() {
            return Ok(offers);
        }
        let _one = self.discover().await;
        if let Some(offers) = self.known_resize() {
            return Ok(offers);
        }
        let offers = match self.call(Call::Read, self.client.list_core_api_resources("v1")).await {
            Ok(list) => list.resources.iter().any(|resource| resource.name == "pods/resize"),
            Err(ClusterFailure::Forbidden | ClusterFailure::NotFound) => {
                let version = self.call(Call::Read, self.client.apiserver_version()).await?;
                has_resize(&version.major, &version.minor)
            }
            Err(failure) => return Err(failure),
        };
        self.known(|known| known.resize = Some((offers, Instant::now())));
        Ok(offers)
    }

    /// Waits for its turn to ask what the server offers. What was learnt in between is known then.
    pub(super) async fn discover(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.discovering.lock().await
    }

    fn known_resize(&self) -> Option<bool> {
        let (offers, asked) = self.known(|known| known.resize)?;
        (offers || asked.elapsed() < ASK_AGAIN_AFTER).then_some(offers)
    }

    pub(super) fn known_kind(&self, kind: &str) -> Option<ApiResource> {
        self.known(|known| known.kinds.get(kind).cloned())
    }

    pub(super) fn remember_kind(&self, kind: &str, resource: Option<&ApiResource>) {
        self.known(|known| match resource {
            Some(resource) => drop(known.kinds.insert(kind.into(), resource.clone())),
            None => drop(known.kinds.remove(kind)),
        });
    }

    pub(super) fn known_owner(&self, kind: &str) -> Option<bool> {
        self.known(|known| known.owners.get(kind).copied())
    }

    pub(super) fn remember_owner(&self, kind: &str, is_scalable: bool) {
        self.known(|known| known.owners.insert(kind.to_owned(), is_scalable));
    }

    pub(super) fn known_place(&self, target: &TargetId) -> Option<TargetId> {
        self.known(|known| known.places.get(target).cloned())
    }

    pub(super) fn remember_place(&self, target: &TargetId, at: &TargetId) {
        self.known(|known| known.places.insert(target.clone(), at.clone()));
    }

    fn known<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        // Only whole entries are ever put in.
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Providers append a sign to the minor version: `33+`.
fn has_resize(major: &str, minor: &str) -> bool {
    let minor = minor.trim_end_matches(|c: char| !c.is_ascii_digit());
    match (major.parse::<u32>(), minor.parse::<u32>()) {
        (Ok(major), Ok(minor)) => (major, minor) >= (1, 33),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_providers_are_understood() {
        for (major, minor, offers) in
            [("1", "33", true), ("1", "34+", true), ("2", "0", true), ("1", "32", false), ("1", "", false)]
        {
            assert_eq!(has_resize(major, minor), offers, "{major}.{minor}");
        }
    }
}
