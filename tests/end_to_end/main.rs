//! The real binary in a whole world: a real Prometheus, a shop that reacts to scaling, servers that speak the real
//! protocols. What counts is what those servers received.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells its story"
)]

mod blind;
mod callbacks;
mod diagnosed;
mod disk;
mod http;
mod life_cycle;
mod pictures;
mod power_loss;
mod reload;
mod scaling;
mod told;

use std::path::Path;

use world::daemon::Daemon;
use world::stage::{Stage, TimeScale};
use world::story::Story;

/// The daemon's binary.
const BINARY: &str = env!("CARGO_BIN_EXE_runbookd");

/// The folder with the shipped config/ and rules/.
const SHIPPED: &str = env!("CARGO_MANIFEST_DIR");

/// Worlds live one after the other, whatever runs the tests: their seconds are real seconds.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static WORLD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    WORLD.lock().await
}

/// The story up to its beginning.
async fn begin() -> Story {
    Story::begin(Path::new(BINARY), Path::new(SHIPPED), |line| println!("{line}")).await.unwrap()
}

/// A world with a daemon in it, for what needs no story.
async fn world() -> (Stage, Daemon) {
    let stage = stage().await;
    let daemon = start(&stage).await;
    (stage, daemon)
}

/// A world whose daemon is not started yet.
async fn stage() -> Stage {
    Stage::set(Path::new(SHIPPED), TimeScale::default()).await.unwrap()
}

/// A daemon on a stage.
async fn start(stage: &Stage) -> Daemon {
    stage.start_daemon(Path::new(BINARY)).await.unwrap()
}
