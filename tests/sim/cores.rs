//! Cores: many seeds at once. Owns how seeds are shared out; knows nothing of what is run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that somebody asks for in the environment.
pub(crate) fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs what `work` says for each seed, on all cores; the first answer in the order of seeds.
pub(crate) fn first<T: Send>(
    seeds: std::ops::Range<u64>,
    work: impl Fn(u64) -> Option<T> + Sync,
) -> Option<(u64, T)> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<(u64, T)>> = Mutex::new(None);
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = found.lock().unwrap().as_ref().is_some_and(|(best, _)| seed > *best);
                    if over || seed >= seeds.end {
                        return;
                    }
                    if let Some(answer) = work(seed) {
                        let mut found = found.lock().unwrap();
                        if found.as_ref().is_none_or(|(best, _)| seed < *best) {
                            *found = Some((seed, answer));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}
