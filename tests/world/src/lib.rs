//! The world outside the daemon, for its tests, benchmarks and demo: servers on loopback that speak the real
//! protocols, and what they have received.
//!
//! Nothing here knows the daemon. A server starts on a free port, answers as the real one would unless a fault is
//! set, writes down each request and stops when dropped.

pub mod daemon;
pub mod fault;
pub mod journal;
pub mod kubernetes;
pub mod loopback;
pub mod pagerduty;
pub mod prometheus;
pub mod shop;
pub mod signature;
pub mod slack;
pub mod smtp;
pub mod stage;
pub mod story;
pub mod tls;
pub mod webhook;

/// Makes `ring` the process-wide TLS provider, which reqwest needs before its first client; calling it again is fine.
pub fn install_crypto() {
    // The only error is that some provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
