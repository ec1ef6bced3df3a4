//! Loading files as people write them: the runbook's own blocks, the shipped folders, every mistake, and rubbish.

#[path = "config/folders.rs"]
mod folders;
#[path = "config/meaning.rs"]
mod meaning;
#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/robust.rs"]
mod robust;
#[path = "config/shipped.rs"]
mod shipped;
