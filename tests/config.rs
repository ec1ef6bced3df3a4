//! Loading files as people write them: the runbook's own blocks, the shipped folders, every mistake, and rubbish.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "tests may fail loudly, in their helping functions too"
)]

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
#[path = "config/suppression.rs"]
mod suppression;
