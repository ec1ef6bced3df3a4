//! The pure nouns: what an alert, an incident, a notice or a scaling action *is* and how each moves.
//!
//! Nothing here knows a clock, a random source, I/O or async: time comes in as `now`, decisions come out as values
//! with a reason. The `serde` derives describe the store's record form only; every wire format has its own types in
//! the adapter that speaks it.

pub mod alert;
pub mod backup;
pub mod body;
pub mod capacity;
pub mod caption;
pub mod change;
pub mod communication;
pub mod delivery;
pub mod diagnosis;
pub mod digest;
pub mod escalation;
pub mod explanation;
pub mod external_alert;
pub mod headline;
pub mod incident;
pub mod inhibition;
pub mod labels;
pub mod matcher;
pub mod name;
pub mod notice;
pub mod observation;
pub mod placeholder;
pub mod quantity;
pub mod response;
pub mod rest;
pub mod rule;
pub mod scaling;
pub mod severity;
pub mod silence;
pub mod suppression;
pub mod template;
pub mod tenant;
pub mod time_interval;
pub mod trouble;

/// An instant on the wall clock. The core only ever receives it.
pub type Timestamp = jiff::Timestamp;
