//! Loading files as people write them: the runbook's own blocks, the shipped folders, every mistake, and rubbish.

#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/robust.rs"]
mod robust;
#[path = "config/shipped.rs"]
mod shipped;
