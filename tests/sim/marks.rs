//! Marks: the hard states that a run has to have reached to mean something. Owns the list and the counting.

use std::collections::BTreeMap;
use std::fmt;

/// How often each must be reached in two hundred seeds.
pub(crate) const AT_LEAST: u64 = 3;

/// What a full run must have seen.
pub(crate) const MUST_REACH: &[&str] = &[
    "kill_at_an_event_boundary",
    "kill_between_commit_and_send",
    "kill_between_send_and_answer",
    "kill_inside_a_commit_that_happened",
    "kill_inside_a_commit_that_had_not",
    "kill_during_recovery",
    "answer_lost",
    "accepted_late",
    "repeat_after_a_kill",
    "rate_limited",
    "channel_gone_and_back",
    "reload_while_retrying",
    "reload_refused",
    "rule_removed_while_firing",
    "ack_during_failover",
    "ack_ended",
    "blind_and_back",
    "full_disk_freed",
    "unknown_commit_that_had_happened",
    "unknown_commit_that_had_not",
    "paged_from_memory",
    "heartbeat_held_without_a_record",
    "digest_in_a_storm",
    "parked_last_word_mended",
    "passed_on",
    "escalation_after_a_restart",
    "reopened",
    "worsened",
    "superseded",
    "clock_set_back",
    "clock_set_ahead",
];

/// How often what was reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(BTreeMap<&'static str, u64>);

impl Marks {
    pub(crate) fn reached(&mut self, mark: &'static str) {
        *self.0.entry(mark).or_insert(0) += 1;
    }

    pub(crate) fn count(&mut self, mark: &'static str, times: u64) {
        *self.0.entry(mark).or_insert(0) += times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mark, times) in &other.0 {
            self.count(mark, *times);
        }
    }

    /// Those of the list that were reached too rarely.
    pub(crate) fn missed(&self) -> Vec<&'static str> {
        let rare = |mark: &&&str| self.0.get(**mark).is_none_or(|times| *times < AT_LEAST);
        MUST_REACH.iter().filter(rare).copied().collect()
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mark in MUST_REACH {
            writeln!(f, "{:>8}  {mark}", self.0.get(mark).unwrap_or(&0))?;
        }
        for (mark, times) in self.0.iter().filter(|(mark, _)| !MUST_REACH.contains(mark)) {
            writeln!(f, "{times:>8}  ({mark})")?;
        }
        Ok(())
    }
}
