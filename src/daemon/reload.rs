//! Reload: notices that the files changed and takes the new ones over, whole or not at all. Owns the watching and the
//! last good configuration's place; what the files mean is `config`'s business.
//!
//! The folders are watched, not the files, and not recursively: a ConfigMap is replaced by renaming a link inside the
//! folder, and a watched file would be gone after the first swap. Reading is an event too and is ignored, or the
//! reload would wake itself. Because a watch can be lost or never delivered, files are also compared every so often.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::render::Colour;
use crate::config::status::ReloadStatus;
use crate::config::{Sources, parse};
use crate::core::Core;
use crate::core::clock;
use crate::domain::Timestamp;
use crate::domain::alert::has_passed;
use crate::domain::trouble::Trouble;
use crate::engine::event::Event;
use crate::telemetry::metrics::{Metrics, OutcomeLabels};

use super::running::Running;

/// How long the files must be quiet before they are read: editors and kubelets write in several steps.
const QUIET: Duration = Duration::from_millis(300);

/// How long a configuration may stay refused before people are told.
const COMPLAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The operators' folder.
    pub config: PathBuf,
    /// The service owners' folder.
    pub rules: PathBuf,
}

/// The task that reloads, and what it needs.
pub struct Reloader {
    folders: Folders,
    fingerprint: u64,
    current: watch::Sender<Arc<Running>>,
    core: Core,
    metrics: Arc<Metrics>,
    status: Arc<Mutex<ReloadStatus>>,
    /// Since when every configuration has been refused, and what was wrong with the first.
    refused: Option<(Timestamp, Arc<str>)>,
}

impl Reloader {
    /// Takes over after the first load, whose files had `fingerprint`.
    pub fn new(
        folders: Folders,
        fingerprint: u64,
        current: watch::Sender<Arc<Running>>,
        core: Core,
        metrics: Arc<Metrics>,
    ) -> Self {
        let at = clock::now();
        metrics.last_reload_successful.set(1);
        metrics.last_reload_timestamp.set(at.as_duration().as_secs_f64());
        let status = Arc::new(Mutex::new(ReloadStatus { taken: true, at, diagnostics: "".into() }));
        Self { folders, fingerprint, current, core, metrics, status, refused: None }
    }

    /// How the last reload went, for the surfaces.
    pub fn status(&self) -> Arc<Mutex<ReloadStatus>> {
        self.status.clone()
    }

    /// Reloads whenever files change, `asked` says so, or the poll finds a difference, until told to stop.
    pub async fn run(mut self, mut asked: mpsc::Receiver<()>, stop: CancellationToken) {
        let (hint, mut hints) = mpsc::channel(1);
        // Held for life: dropping it ends the watch.
        let _watcher = watch_folders(&self.folders, hint);
        loop {
            let poll = self.current.borrow().settings.reload_poll;
            let forced = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(poll) => false,
                // Where no watch could be set up there is never a hint, and the poll remains.
                Some(()) = hints.recv() => false,
                order = asked.recv() => order.is_some(),
            };
            if !forced {
                settle(&mut hints).await;
            }
            self.reload(forced).await;
            self.complain().await;
        }
    }

    /// A configuration that stays refused is an incident: what people wrote does not count, and they may not know.
    async fn complain(&self) {
        let Some((since, wrong)) = &self.refused else { return };
        if has_passed(*since, COMPLAIN_AFTER, clock::now()) {
            let trouble = Event::Trouble { trouble: Trouble::ConfigRefused, detail: Some(wrong.clone()) };
            // The core only goes away when the daemon stops.
            let _ = self.core.send(trouble).await;
        }
    }

    async fn reload(&mut self, forced: bool) {
        let folders = self.folders.clone();
        let read = tokio::task::spawn_blocking(move || {
            let sources = Sources::read(&folders.config, &folders.rules);
            let fingerprint = sources.fingerprint();
            (fingerprint, sources)
        });
        let Ok((fingerprint, sources)) = read.await else { return };
        if fingerprint == self.fingerprint && !forced {
            return;
        }
        self.fingerprint = fingerprint;
        let built = tokio::task::spawn_blocking(move || {
            let loaded = parse(&sources).map_err(|diagnostics| diagnostics.render(Colour::Never))?;
            for warning in loaded.warnings.iter() {
                warn!(%warning, "configuration warning");
            }
            Running::build(loaded).map_err(|error| format!("{error:#}"))
        });
        match built.await {
            Ok(Ok(running)) => self.take(running).await,
            Ok(Err(diagnostics)) => self.refuse(diagnostics),
            Err(_) => self.refuse("the new configuration could not be loaded".into()),
        }
    }

    async fn take(&mut self, running: Running) {
        let running = Arc::new(running);
        // The engine first: observations of new queries must find their rules.
        if self.core.send(Event::Reloaded(running.plan.clone())).await.is_err() {
            return;
        }
        self.refused = None;
        let over = Event::Trouble { trouble: Trouble::ConfigRefused, detail: None };
        if self.core.send(over).await.is_err() {
            return;
        }
        let rules = running.plan.rules.rules.len();
        self.current.send_replace(running);
        self.note(true, String::new());
        info!(rules, "configuration reloaded");
    }

    fn refuse(&mut self, diagnostics: String) {
        let first = diagnostics.lines().next().unwrap_or_default();
        self.refused.get_or_insert_with(|| (clock::now(), first.into()));
        error!("configuration refused; the last good one goes on\n{diagnostics}");
        self.note(false, diagnostics);
    }

    fn note(&self, taken: bool, diagnostics: String) {
        let at = clock::now();
        self.metrics.last_reload_successful.set(i64::from(taken));
        if taken {
            self.metrics.last_reload_timestamp.set(at.as_duration().as_secs_f64());
        }
        let outcome = if taken { "taken" } else { "refused" };
        self.metrics.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
        if let Ok(mut status) = self.status.lock() {
            *status = ReloadStatus { taken, at, diagnostics: diagnostics.into() };
        }
    }
}

/// Waits until the files have been quiet for a moment.
async fn settle(hints: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(QUIET, hints.recv()).await {}
}

fn watch_folders(folders: &Folders, hint: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // A full channel already holds a hint.
            let _ = hint.try_send(());
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            warn!(%error, "files cannot be watched; they are compared by polling");
            return None;
        }
    };
    for folder in [&folders.config, &folders.rules] {
        if let Err(error) = watcher.watch(watched(folder), RecursiveMode::NonRecursive) {
            warn!(folder = %folder.display(), %error, "a folder cannot be watched; it is compared by polling");
        }
    }
    Some(watcher)
}

/// A single file is watched through its folder.
fn watched(path: &Path) -> &Path {
    if path.is_file() { path.parent().unwrap_or(path) } else { path }
}
