//! The source of metrics: answers Prometheus' query API from the script. Owns the port and the clock of the script.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::any;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use world::loopback::{ANY_PORT, Loopback};

use super::script::Script;

/// How often the script moves on.
const STEP: Duration = Duration::from_millis(50);

#[derive(Clone)]
struct Shared {
    script: Arc<Mutex<Script>>,
    life: Arc<AtomicU64>,
    asked: watch::Sender<u64>,
}

/// A running source.
pub(crate) struct Source {
    shared: Shared,
    door: Loopback,
    moving: JoinHandle<()>,
}

impl Source {
    /// Starts on a free port.
    pub(crate) async fn start(script: Script) -> anyhow::Result<Self> {
        let shared = Shared {
            script: Arc::new(Mutex::new(script)),
            life: Arc::new(AtomicU64::new(0)),
            asked: watch::Sender::new(0),
        };
        let router = Router::new().fallback(any(answer)).with_state(shared.clone());
        let moved = shared.clone();
        let moving = tokio::spawn(async move {
            let mut steps = tokio::time::interval(STEP);
            loop {
                steps.tick().await;
                moved.script().advance(Instant::now());
            }
        });
        Ok(Self { shared, door: Loopback::start(ANY_PORT, router).await?, moving })
    }

    /// The URL of its root.
    pub(crate) fn url(&self) -> String {
        self.door.url()
    }

    /// The script.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
    }

    /// Another life of the daemon begins.
    pub(crate) fn next_life(&self) {
        self.shared.life.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until this life of the daemon has asked something, or for `patience`.
    pub(crate) async fn asked(&self, patience: Duration) {
        let life = self.shared.life.load(Ordering::SeqCst);
        let mut asked = self.shared.asked.subscribe();
        // A life that never asks is killed all the same.
        let _ = tokio::time::timeout(patience, asked.wait_for(|by| *by == life)).await;
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.moving.abort();
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Shared>, form: String) -> impl IntoResponse {
    let time = form.split('&').find_map(|field| field.strip_prefix("time=")).unwrap_or("0").to_owned();
    let life = shared.life.load(Ordering::SeqCst);
    let body = shared.script().answer(life, &time, Instant::now());
    shared.asked.send_replace(life);
    ([(CONTENT_TYPE, "application/json")], body)
}
