//! Following one kind of object: a list, then a watch from its version, for ever. Owns reconnecting and the pulse that
//! says how far what was read can be trusted; keeps no object.
//!
//! The client library's own watcher does not tell when a quiet watch is alive again. Here every bookmark and every
//! renewed connection counts, because "nothing changed" and "nothing is heard" are two different answers.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Resource;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::client::Cluster;
use super::failure::{Call, classify};
use crate::domain::scaling::{ClusterFailure, Unseen};

/// How long one watch is asked for: its end and renewal are signs of life where the server sends no bookmarks.
const WATCH: Duration = Duration::from_secs(60);

/// How much later a watch that does not end is given up.
const GRACE: Duration = Duration::from_secs(15);

/// How long what was read is trusted without a sign of life.
const SILENT: Duration = Duration::from_secs(120);

/// How long what was read is trusted once reading is known to fail.
const FAILING: Duration = Duration::from_secs(30);

/// How long a kind that the cluster does not serve is taken for absent.
const ABSENT: Duration = Duration::from_secs(60);

/// The pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Objects of one answer of a list.
const PAGE: u32 = 500;

/// Where the objects of a kind go.
pub(super) trait Sink<K> {
    /// These are all there are.
    fn replace(&self, all: Vec<K>);
    /// It is new or changed.
    fn apply(&self, one: K);
    /// It is gone.
    fn remove(&self, one: &K);
}

/// How far what was read can be trusted.
#[derive(Debug)]
pub(super) struct Pulse(watch::Sender<Beat>);

#[derive(Debug, Clone, Copy)]
struct Beat {
    /// The last sign of life.
    alive: Option<Instant>,
    /// Since when reading fails, and why it failed last.
    failing: Option<(Instant, ClusterFailure)>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(watch::Sender::new(Beat { alive: None, failing: None }))
    }
}

impl Pulse {
    fn beat(&self) {
        self.0.send_modify(|beat| *beat = Beat { alive: Some(Instant::now()), failing: None });
    }

    fn miss(&self, failure: ClusterFailure) {
        self.0.send_modify(|beat| {
            let since = beat.failing.map_or_else(Instant::now, |(since, _)| since);
            beat.failing = Some((since, failure));
        });
    }

    /// Whether what was read can be gone by.
    pub(super) fn trusted(&self) -> Result<(), Unseen> {
        let beat = *self.0.borrow();
        if let Some((_, ClusterFailure::Forbidden)) = beat.failing {
            return Err(Unseen::Forbidden);
        }
        let alive = beat.alive.ok_or(Unseen::NotYet)?;
        let fails = beat.failing.is_some_and(|(since, _)| since.elapsed() > FAILING);
        if fails || alive.elapsed() > SILENT { Err(Unseen::Stale) } else { Ok(()) }
    }

    /// Waits until something is so; asks anew after each sign of life, and at once where reading fails.
    pub(super) async fn when(&self, is_so: impl Fn() -> bool) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|beat| beat.failing.is_some() || is_so()).await;
    }

    /// Waits until something was read or could not be.
    pub(super) async fn begun(&self) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|beat| beat.alive.is_some() || beat.failing.is_some()).await;
    }
}

impl Cluster {
    /// Follows a kind for as long as it is polled. `only` is a field selector.
    pub(super) async fn follow<K>(&self, api: Api<K>, only: Option<&str>, pulse: &Pulse, sink: &impl Sink<K>)
    where
        K: Clone + Debug + DeserializeOwned + Resource,
    {
        let mut version = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let failure = match self.session(&api, only, &mut version, pulse, sink).await {
                Ok(()) => continue,
                Err(failure) => failure,
            };
            if failure == ClusterFailure::NotFound {
                sink.replace(Vec::new());
                pulse.beat();
                version = None;
                sleep(ABSENT).await;
                continue;
            }
            pulse.miss(failure);
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One watch, with a list before it where there is no version to watch from.
    async fn session<K>(
        &self,
        api: &Api<K>,
        only: Option<&str>,
        version: &mut Option<String>,
        pulse: &Pulse,
        sink: &impl Sink<K>,
    ) -> Result<(), ClusterFailure>
    where
        K: Clone + Debug + DeserializeOwned + Resource,
    {
        let from = if let Some(known) = version.clone() {
            known
        } else {
            let (all, listed) = self.list_all(api, only).await?;
            sink.replace(all);
            pulse.beat();
            version.insert(listed).clone()
        };
        let params = WatchParams {
            field_selector: only.map(str::to_owned),
            timeout: u32::try_from(WATCH.as_secs()).ok(),
            ..WatchParams::default()
        };
        let mut events = pin!(self.call(Call::Read, api.watch(&params, &from)).await?);
        pulse.beat();
        loop {
            let event = match timeout(WATCH + GRACE, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Err(classify(&error, Call::Read)),
                Ok(None) => return Ok(()),
                Err(_) => return Err(ClusterFailure::Unreachable),
            };
            let seen = |one: &K| one.meta().resource_version.clone();
            match event {
                WatchEvent::Added(one) | WatchEvent::Modified(one) => {
                    *version = seen(&one).or(version.take());
                    sink.apply(one);
                }
                WatchEvent::Deleted(one) => {
                    *version = seen(&one).or(version.take());
                    sink.remove(&one);
                }
                WatchEvent::Bookmark(mark) => *version = Some(mark.metadata.resource_version),
                WatchEvent::Error(status) => {
                    // The history is gone: what changed in between is learnt by a new list.
                    *version = None;
                    if status.code == 410 {
                        return Ok(());
                    }
                    return Err(classify(&kube::Error::Api(status), Call::Read));
                }
            }
            pulse.beat();
        }
    }

    async fn list_all<K>(&self, api: &Api<K>, only: Option<&str>) -> Result<(Vec<K>, String), ClusterFailure>
    where
        K: Clone + Debug + DeserializeOwned,
    {
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        params.field_selector = only.map(str::to_owned);
        loop {
            let page = self.call(Call::Read, api.list(&params)).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok((all, page.metadata.resource_version.unwrap_or_default())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(span: Duration) {
        tokio::time::advance(span).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_is_trusted_as_long_as_there_are_signs_of_life() {
        let pulse = Pulse::default();
        assert_eq!(pulse.trusted(), Err(Unseen::NotYet));
        pulse.miss(ClusterFailure::Unreachable);
        assert_eq!(pulse.trusted(), Err(Unseen::NotYet), "nothing was ever read");
        pulse.beat();
        assert_eq!(pulse.trusted(), Ok(()));
        after(SILENT).await;
        assert_eq!(pulse.trusted(), Ok(()));
        after(Duration::from_millis(1)).await;
        assert_eq!(pulse.trusted(), Err(Unseen::Stale), "nothing was heard");
        pulse.beat();
        pulse.miss(ClusterFailure::Unavailable);
        after(FAILING).await;
        pulse.miss(ClusterFailure::Unavailable);
        assert_eq!(pulse.trusted(), Ok(()), "a server that restarts is no reason");
        after(Duration::from_millis(1)).await;
        assert_eq!(pulse.trusted(), Err(Unseen::Stale), "each failure counts from the first one");
        pulse.beat();
        pulse.miss(ClusterFailure::Forbidden);
        assert_eq!(pulse.trusted(), Err(Unseen::Forbidden), "a right that was taken is taken at once");
    }
}
