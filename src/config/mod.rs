//! Files → validated settings and rules. Owns reading, diagnosing and watching the two folders; decides nothing.
//!
//! ```text
//! source: bytes of both folders ─▶ tree: YAML with places ─▶ merge: one tree per top-level key
//!                                     ─▶ operator/*, rules/*: typed values, every mistake noted ─▶ load: all or nothing
//! ```

pub mod diagnostic;
pub mod load;
pub mod secret;
pub mod settings;
pub mod source;
pub mod status;

mod mask;
mod merge;
mod operator;
mod promql;
pub mod render;
mod rules;
pub(crate) mod selector;
mod suggest;
pub(crate) mod tree;
pub(crate) mod walk;

pub use diagnostic::Diagnostics;
pub use load::{Loaded, load, parse};
pub use source::Sources;
pub(crate) use suggest::suggestion;
