//! Scaling by the real binary against a cluster's API: storms, kills, people, and targets that cannot be scaled. What
//! counts is what the API server wrote down.

mod crash;
mod people;
mod rig;
mod source;
mod storm;
mod targets;
