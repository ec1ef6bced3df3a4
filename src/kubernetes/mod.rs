//! Kubernetes: seeing workloads and writing their size. Owns the API's wire format and what its refusals mean;
//! decides no size and keeps no state but what the server offers.
//!
//! Every call is bounded in time and made once: whether to repeat one is for whoever knows why it was made. Every
//! write states an absolute size and the version it must still find, so repeating it is harmless.

mod client;
mod evidence;
mod failure;
mod kind;
mod observe;
mod resources;
mod rollout;
mod write;

pub use client::{Cluster, ClusterError, FIELD_MANAGER};
pub use evidence::{LastEvents, LogTail};
pub use resources::{cpu_quantity, memory_quantity, parse_quantity};
