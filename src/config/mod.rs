//! Files → validated settings and rules. Owns reading, diagnosing and watching the two folders; decides nothing.

pub mod secret;
pub mod settings;
pub mod status;
