//! The Horizontal Pod Autoscaler's behaviour: what becomes of a wanted number of replicas. Owns the windows, the rates
//! and the bounds, with Kubernetes' defaults; knows no metric.

use std::cmp::Ordering;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// Seconds for which the largest recommendation holds off going down. Going up waits for nothing.
const DOWN_WINDOW: i64 = 300;
/// Seconds over which the rates count.
const PERIOD: i64 = 15;
/// Going up: so many pods or so many percent within a period, whichever is more.
const UP_PODS: u32 = 4;
const UP_PERCENT: u32 = 100;

/// What the controller remembers between two looks: in memory only.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// What was wanted, unstabilized.
    wanted: Vec<(i64, u32)>,
    /// By how much it went up, and down.
    ups: Vec<(i64, u32)>,
    downs: Vec<(i64, u32)>,
}

impl Memory {
    /// What to write, given what is wanted. `None`: nothing.
    pub(crate) fn decide(
        &mut self,
        wanted: Option<u32>,
        replicas: u32,
        bounds: Bounds,
        now: i64,
    ) -> Option<u32> {
        if self.wanted.is_empty() {
            self.wanted.push((now, replicas));
        }
        let next = if replicas > bounds.max {
            bounds.max
        } else if replicas < bounds.min {
            bounds.min
        } else {
            let next = self.stabilized(wanted?, replicas, now);
            self.limited(next, replicas, bounds, now)
        };
        (next != replicas).then_some(next)
    }

    /// A write was accepted.
    pub(crate) fn wrote(&mut self, from: u32, to: u32, now: i64) {
        let events = if to > from { &mut self.ups } else { &mut self.downs };
        events.retain(|(at, _)| now - at < PERIOD);
        events.push((now, to.abs_diff(from)));
    }

    fn stabilized(&mut self, wanted: u32, replicas: u32, now: i64) -> u32 {
        self.wanted.retain(|(at, _)| now - at < DOWN_WINDOW);
        let down = self.wanted.iter().map(|(_, wanted)| *wanted).fold(wanted, u32::max);
        self.wanted.push((now, wanted));
        let mut next = replicas;
        // The window for going up is empty: nothing but what is wanted now is in it.
        next = next.max(wanted);
        next.min(down)
    }

    fn limited(&self, next: u32, replicas: u32, bounds: Bounds, now: i64) -> u32 {
        let within = |events: &[(i64, u32)]| -> u32 {
            events.iter().filter(|(at, _)| now - at < PERIOD).map(|(_, by)| *by).sum()
        };
        // How many there were when the period began.
        let start = (replicas + within(&self.downs)).saturating_sub(within(&self.ups));
        match next.cmp(&replicas) {
            Ordering::Greater => {
                let limit = (start + UP_PODS).max(start + (start * UP_PERCENT).div_ceil(100));
                next.min(limit.max(replicas).min(bounds.max))
            }
            // A hundred percent within a period: all of them.
            Ordering::Less => next.max(bounds.min),
            Ordering::Equal => next,
        }
    }
}
