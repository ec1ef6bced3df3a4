//! The application: one straight start, one orderly stop.
//!
//! Signals are not handled here: whoever starts the daemon hands it a token, so tests run it in their own process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::api::Api;
use crate::config::render::Colour;
use crate::config::settings::StoreSettings;
use crate::config::{Sources, parse};
use crate::core::{Core, Started, clock};
use crate::domain::Timestamp;
use crate::engine::Engine;
use crate::engine::effect::Effect;
use crate::engine::event::Event;
use crate::engine::state::State;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

use super::callbacks::callbacks;
use super::capacity::follow_capacity;
use super::charts::Charts;
use super::deliver::Delivery;
use super::diagnose::Diagnosis;
use super::observe::observe;
use super::reload::{Folders, Reloader};
use super::running::Running;
use super::scale::Scaling;

/// How often timers are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long a stop may take before what is left is abandoned; the outbox keeps it.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What a start needs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the configuration comes from.
    pub folders: Folders,
    /// Listen here instead of where the configuration says.
    pub listen: Option<SocketAddr>,
}

/// A running daemon.
pub struct Daemon {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
    core: Core,
    core_thread: std::thread::JoinHandle<()>,
    stopping: Arc<AtomicBool>,
    reload_now: mpsc::Sender<()>,
}

impl Daemon {
    /// Loads, restores and starts everything; returns once the daemon listens.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let sources = Sources::read(&options.folders.config, &options.folders.rules);
        let fingerprint = sources.fingerprint();
        let loaded =
            parse(&sources).map_err(|diagnostics| anyhow!("{}", diagnostics.render(Colour::Never)))?;
        for warning in loaded.warnings.iter() {
            warn!(%warning, "configuration warning");
        }
        let running = Arc::new(Running::build(loaded)?);
        let settings = &running.settings;

        let metrics = Arc::new(Metrics::default());
        let (store, committed) = open_store(&settings.store)?;
        let mut state = State::default();
        for change in committed {
            state.apply(change);
        }
        let (engine, resumed) = Engine::restore(running.plan.clone(), state, clock::now());

        let listen = options.listen.unwrap_or(settings.listen);
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr().context("cannot tell where the daemon listens")?;

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let stopping = Arc::new(AtomicBool::new(false));
        let Started { core, effects, wakes, thread: core_thread } =
            Core::start(engine, resumed, store, metrics.clone()).context("cannot start the core thread")?;
        let tokens_file = settings.api_tokens_file.clone();
        let watched = settings.heartbeat.is_some();
        let (rules, queries) = (running.plan.rules.rules.len(), running.plan.rules.queries.len());
        let (current, configured) = watch::channel(running);

        let delivery =
            Delivery::new(configured.clone(), core.clone(), metrics.clone(), stop.clone(), tasks.clone());
        let scaling = Scaling::new(configured.clone(), core.clone(), stop.clone(), tasks.clone());
        let diagnosis =
            Diagnosis::new(configured.clone(), scaling.cluster(), core.clone(), stop.clone(), tasks.clone());
        tasks.spawn(perform(effects, delivery, diagnosis, scaling, stop.clone()));
        let draw_chart = Charts::new(configured.clone()).into_drawing();
        tasks.spawn(observe(configured.clone(), core.clone(), metrics.clone(), stop.clone()));
        tasks.spawn(follow_capacity(configured.clone(), core.clone(), stop.clone()));
        tasks.spawn(tick(core.clone(), wakes, stop.clone()));

        let reloader = Reloader::new(options.folders, fingerprint, current, core.clone(), metrics.clone());
        let reload = reloader.status();
        let (reload_now, asked) = mpsc::channel(1);
        tasks.spawn(reloader.run(asked, stop.clone()));

        let api = Api {
            core: core.clone(),
            metrics,
            reload,
            reload_now: reload_now.clone(),
            stopping: stopping.clone(),
            listen: address,
            tokens_file,
            callbacks: callbacks(configured, &tasks, stop.clone()),
            draw_chart,
        };
        let stopped = stop.clone();
        tasks.spawn(async move {
            let served =
                axum::serve(listener, api.router()).with_graceful_shutdown(stopped.cancelled_owned());
            if let Err(error) = served.await {
                error!(%error, "the HTTP server failed");
            }
        });
        if !watched {
            warn!("no `heartbeat` is configured: nobody outside notices when this daemon is gone");
        }
        info!(%address, rules, queries, "runbookd is running");
        Ok(Self { address, stop, tasks, core, core_thread, stopping, reload_now })
    }

    /// Where the daemon listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the daemon can do nothing any more because its core failed.
    pub async fn failed(&self) {
        self.core.ended().await;
    }

    /// Asks for a reload, as SIGHUP does.
    pub fn reload(&self) {
        // A full queue already holds a request.
        let _ = self.reload_now.try_send(());
    }

    /// Stops: no new work, what is in flight ends, everything decided is committed.
    pub async fn stop(self) {
        self.stopping.store(true, Ordering::Release);
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await.is_err() {
            warn!("something still ran after {STOP_WITHIN:?}; what was not delivered is kept");
        }
        // The core ends when the last way to it is gone, after it committed what it was given.
        let Self { core, core_thread, .. } = self;
        drop(core);
        let joined = tokio::task::spawn_blocking(move || core_thread.join());
        match tokio::time::timeout(Duration::from_secs(1), joined).await {
            Ok(Ok(Ok(()))) => info!("stopped"),
            Ok(_) => error!("the core thread failed"),
            Err(_) => warn!("the core did not end in time"),
        }
    }
}

/// Only a file that is somebody else's stops the start. What else is wrong with the store is told by the core, which
/// goes on from memory and tries again with each commit: a page is worth more than its record.
fn open_store(settings: &StoreSettings) -> anyhow::Result<(Store, crate::store::Committed)> {
    Store::open(settings).context("cannot open the store")
}

/// Hands effects to those who perform them.
async fn perform(
    mut effects: mpsc::UnboundedReceiver<Effect>,
    delivery: Delivery,
    diagnosis: Diagnosis,
    mut scaling: Scaling,
    stop: CancellationToken,
) {
    let mut act = |effect| match effect {
        Effect::Deliver(notice) => delivery.attempt(*notice),
        Effect::Diagnose(run) => diagnosis.begin(*run),
        Effect::Look(target) => scaling.look(target),
        Effect::Write(action) => scaling.write(action),
        Effect::Announce(line) => scaling.announce(line),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            effect = effects.recv() => match effect {
                Some(effect) => act(effect),
                None => return,
            },
        }
    }
}

/// Lets the engine look at its timers every second, and at its lanes when it said so.
async fn tick(core: Core, mut wakes: watch::Receiver<Option<Timestamp>>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let wake = *wakes.borrow_and_update();
        let event = tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => Event::Tick,
            () = until(wake) => Event::Wake,
            changed = wakes.changed() => {
                if changed.is_err() {
                    return;
                }
                continue;
            }
        };
        if core.send(event).await.is_err() {
            return;
        }
        if wake.is_some() {
            // Its answer says when to wake next; until then the old instant is over.
            let _ = tokio::time::timeout(TICK, wakes.changed()).await;
        }
    }
}

/// Until an instant of the wall clock; for ever without one.
async fn until(at: Option<Timestamp>) {
    match at {
        Some(at) => {
            let wait = Duration::try_from(at.duration_since(clock::now())).unwrap_or_default();
            tokio::time::sleep(wait).await;
        }
        None => std::future::pending().await,
    }
}
