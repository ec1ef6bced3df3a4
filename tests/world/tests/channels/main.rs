//! The channel servers of the world, met as a sender meets them: over a socket.

#![expect(clippy::unwrap_used, reason = "a test's helper functions are tests too")]

mod pagerduty;
mod prometheus;
mod slack;
mod smtp;
mod webhook;

use std::time::Duration;

/// Long enough for anything on loopback, short enough to see a hang.
const SOON: Duration = Duration::from_secs(20);

fn client() -> reqwest::Client {
    world::install_crypto();
    reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap()
}
