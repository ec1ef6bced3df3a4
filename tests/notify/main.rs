//! Notices as receivers see them: exact bodies of every event on every channel, hostile labels, and what each answer
//! means, against servers that speak the real protocols.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is all test code")]

mod answers;
mod bodies;
mod hooks;
mod hostile;
mod mail;
mod pager;
mod pictures;
mod slack_bot;
mod story;
