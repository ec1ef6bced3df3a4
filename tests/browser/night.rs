//! The night.
