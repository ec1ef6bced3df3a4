//! A running watch: a stream of JSON lines that follows the store's history.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::call::{Call, Target};
use super::cluster::{Cluster, State};
use super::event::served;
use super::selector::Selector;
use super::status::Refusal;
use super::store::Change;
use super::table;

struct Watch {
    cluster: Arc<Cluster>,
    changes: watch::Receiver<u64>,
    target: Target,
    selector: Selector,
    accept: String,
    /// Everything up to this revision has been told.
    told: u64,
    epoch: u64,
    ends: Instant,
    bookmark: Option<(Instant, Duration)>,
    lines: VecDeque<Bytes>,
    over: bool,
}

/// Begins a watch; its body runs until its time is over, its history is lost or the server stops.
pub(crate) fn start(cluster: &Arc<Cluster>, call: &Call, target: Target) -> Result<Body, Refusal> {
    if !call.option("sendInitialEvents").is_empty() || !call.option("resourceVersionMatch").is_empty() {
        let message = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return Err(Refusal::invalid(
            "ListOptions.meta.k8s.io",
            "",
            &[("sendInitialEvents".into(), message.into())],
        ));
    }
    let mut selector = Selector::parse(call.option("labelSelector"), call.option("fieldSelector"))?;
    if !target.name.is_empty() {
        selector = Selector::parse("", &format!("metadata.name={}", target.name))?;
    }
    let from = call.option("resourceVersion");
    let from: u64 = if from.is_empty() {
        0
    } else {
        from.parse().map_err(|_| Refusal::bad_request(format!("invalid resource version: {from}")))?
    };
    let seconds = call.option("timeoutSeconds").parse().unwrap_or(1800).clamp(1, 3600);
    let now = Instant::now();
    let changes = cluster.changes();
    let watch = cluster.with(|state| {
        let every = state.settings.bookmark_every;
        let mut watch = Watch {
            cluster: Arc::clone(cluster),
            changes,
            target,
            selector,
            accept: call.accept.clone(),
            told: if from == 0 { state.store.revision() } else { from },
            epoch: state.settings.watch_epoch,
            ends: now + Duration::from_secs(seconds),
            bookmark: (call.option("allowWatchBookmarks") == "true").then_some((now + every, every)),
            lines: VecDeque::new(),
            over: false,
        };
        if from == 0 {
            for (_, object) in state.store.list(&watch.target.kind, &watch.target.namespace) {
                if watch.wants(object) {
                    watch.lines.push_back(watch.line("ADDED", object));
                }
            }
        }
        watch
    });
    Ok(Body::from_stream(stream::unfold(watch, Watch::next)))
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some((Ok(line), self));
            }
            if self.over {
                return None;
            }
            self.changes.borrow_and_update();
            let cluster = Arc::clone(&self.cluster);
            cluster.with(|state| self.follow(state));
            if !self.lines.is_empty() || self.over {
                continue;
            }
            let bookmark = self.bookmark.map(|(due, _)| due);
            tokio::select! {
                news = self.changes.changed() => self.over = news.is_err(),
                () = cluster.stop.cancelled() => self.over = true,
                () = sleep_until(self.ends) => {
                    self.over = true;
                    self.mark();
                }
                () = sleep_until(bookmark.unwrap_or(self.ends)), if bookmark.is_some() => self.mark(),
            }
        }
    }

    fn mark(&mut self) {
        if let Some((due, every)) = &mut self.bookmark {
            *due = Instant::now() + *every;
            let kind = &self.target.kind;
            let object = json!({"kind": kind.kind, "apiVersion": kind.api_version(),
                                "metadata": {"resourceVersion": self.told.to_string(), "creationTimestamp": null}});
            self.lines.push_back(spelled("BOOKMARK", &object));
        }
    }

    fn follow(&mut self, state: &State) {
        if state.settings.watch_epoch != self.epoch {
            self.over = true;
            return;
        }
        if self.told < state.store.forgotten() {
            let refusal = Refusal::expired(self.told, state.store.forgotten());
            self.lines.push_back(spelled("ERROR", &refusal.to_json()));
            self.over = true;
            return;
        }
        let place = self.target.kind.key("", "");
        for change in state.store.changes_since(self.told) {
            let key = &change.key;
            let here = self.target.namespace.is_empty() || self.target.namespace == key.namespace;
            if key.group == place.group && key.plural == place.plural && here {
                self.lines.extend(self.tell(change));
            }
        }
        self.told = self.told.max(state.store.revision());
    }

    /// A change as this watch sees it: an object may enter or leave the selection without being created or deleted.
    fn tell(&self, change: &Change) -> Option<Bytes> {
        let before = change.before.as_ref().is_some_and(|object| self.wants(object));
        let after = !change.deleted && self.wants(&change.object);
        let what = match (before, after) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(self.line(what, &change.object))
    }

    fn wants(&self, object: &Value) -> bool {
        if self.target.kind.group == "events.k8s.io" {
            return self.selector.matches(&served(&self.target.kind, object.clone()));
        }
        self.selector.matches(object)
    }

    fn line(&self, what: &str, object: &Value) -> Bytes {
        let object = served(&self.target.kind, object.clone());
        spelled(what, &table::present(&self.target.kind, object, &self.accept))
    }
}

fn spelled(what: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": what, "object": object})))
}
