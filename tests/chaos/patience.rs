//! Patience: waiting for another process. Owns the two ways of it: until something is so, and for as long as a life or
//! an illness is meant to last.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;

/// How often another process is asked again: it has no way to tell by itself.
const AGAIN_AFTER: Duration = Duration::from_millis(30);

/// Asks until it is so; an error is asked again too.
///
/// # Errors
/// If it is not so in time.
pub(crate) async fn until(
    patience: Duration,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = is_so().await;
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not so after {patience:?}; the last answer was {answer:?}");
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Lets so much time pass: how long something lasts is what the test is about.
pub(crate) async fn lasting(time: Duration) {
    tokio::time::sleep(time).await;
}
