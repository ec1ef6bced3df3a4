//! The source of metrics: answers Prometheus' query API from the script. Owns the port and the clock of the script.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::any;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use world::loopback::{ANY_PORT, Loopback};

use super::daemon::Asker;
use super::patience::lasting;
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
    listening: Option<JoinHandle<()>>,
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
        Ok(Self { shared, door: Loopback::start(ANY_PORT, router).await?, moving, listening: None })
    }

    /// Asks the daemon again and again whether it is alive, which it says after the commit of what it was shown.
    pub(crate) fn listen_to(&mut self, daemon: Asker) {
        let shared = self.shared.clone();
        self.listening = Some(tokio::spawn(async move {
            loop {
                let (life, since) = (shared.life.load(Ordering::SeqCst), Instant::now());
                let alive = daemon.text("/healthz").await.is_ok();
                // A life that ended meanwhile may have left the answer to the next.
                if alive && shared.life.load(Ordering::SeqCst) == life {
                    shared.script().recorded(life, since, Instant::now());
                }
                lasting(STEP).await;
            }
        }));
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
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

impl Shared {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(shared): State<Shared>, uri: Uri, form: String) -> impl IntoResponse {
    let time = form.split('&').find_map(|field| field.strip_prefix("time=")).unwrap_or("0").to_owned();
    let life = shared.life.load(Ordering::SeqCst);
    // Only a round says what the daemon has taken; the past is asked for by charts, whenever they are drawn.
    let body = if uri.path().ends_with("/query") {
        let body = shared.script().answer(life, &time, Instant::now());
        shared.asked.send_replace(life);
        body
    } else {
        r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#.to_owned()
    };
    ([(CONTENT_TYPE, "application/json")], body)
}
