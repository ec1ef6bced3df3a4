//! Kubernetes: seeing workloads and writing their size. Owns the API's wire format and what its refusals mean;
//! decides no size and keeps no state but what the server offers and says.
//!
//! What surrounds a workload (nodes, pods, quotas, other autoscalers) is followed by watches, so that looks at a thousand
//! targets ask for it once. Every other call is bounded in time and made once: whether to repeat one is for whoever knows why it was made. Every
//! write states an absolute size and the version it must still find, so repeating it is harmless.

mod announce;
mod bounds;
mod client;
mod demand;
mod evidence;
mod failure;
mod find;
mod hpa;
mod kind;
mod mirror;
mod observe;
mod occupancy;
mod owner;
mod resources;
mod rights;
mod rollout;
mod sight;
mod watch;
mod workloads;
mod write;

pub use announce::Line;
pub use client::{Cluster, ClusterError};
pub use evidence::{LastEvents, LogTail};
pub use resources::{cpu_quantity, memory_quantity, parse_quantity};
