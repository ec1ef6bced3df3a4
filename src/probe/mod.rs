//! Probe: one HTTP GET to a URL that a rule file names. Owns the only way from the words of a rule to a connection: who
//! may be reached (`guard.rs`) is asked before the request and again for every address the name leads to, inside the
//! client's own resolver, so that no second look-up can lead elsewhere.
//!
//! It carries no credential of the daemon, follows no redirect, knows no proxy and reads only the beginning of an
//! answer.

mod client;
mod guard;

pub use client::{Answer, Lookup, Probe, ProbeFailure, SystemLookup};
pub use guard::{AllowedHosts, Reach, reach_of};
