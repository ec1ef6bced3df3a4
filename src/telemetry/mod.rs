//! Telemetry: how the daemon speaks about itself. Owns logs and its own metrics; decides nothing.

pub mod log;
pub mod metrics;
pub mod narrate;
