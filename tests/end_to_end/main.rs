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
mod http;
mod life_cycle;
mod reload;
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
    let stage = Stage::set(Path::new(SHIPPED), TimeScale::default()).await.unwrap();
    let daemon = start(&stage).await;
    (stage, daemon)
}

/// A daemon on a stage.
async fn start(stage: &Stage) -> Daemon {
    stage.start_daemon(Path::new(BINARY)).await.unwrap()
}
