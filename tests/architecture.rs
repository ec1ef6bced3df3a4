//! The architecture as a test: who may import whom, what the pure core may not know, how files look, and that the
//! reference pages say what the program does. ARCHITECTURE.md explains what is enforced here.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/pages.rs"]
mod pages;
#[path = "architecture/purity.rs"]
mod purity;
#[path = "architecture/tree.rs"]
mod tree;
