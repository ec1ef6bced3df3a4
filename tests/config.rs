//! Loading files as people write them: the runbook's own blocks, the shipped folders, and every mistake.

#[path = "config/shipped.rs"]
mod shipped;
