//! Tables for the autoscaler's algorithm: cases worked out by hand from its rules. Owns the cases only.

use crate::behavior::{Bounds, Memory};
use crate::hpa::{Seen, by_cpu, by_value, vote};
use crate::pipeline::Usage;

const NOW: i64 = 10_000;
const BOUNDS: Bounds = Bounds { min: 2, max: 20 };

/// An old, ready pod at so many millicores.
fn old(milli: i64) -> Seen {
    Seen {
        started: Some(0),
        ready: true,
        changed: 100,
        usage: Some(Usage { milli, at: NOW - 5, window: 15 }),
    }
}

fn pending() -> Seen {
    Seen { started: None, ready: false, changed: NOW - 3, usage: None }
}

/// An old pod of which the metrics server has nothing.
fn missing() -> Seen {
    Seen { usage: None, ..old(0) }
}

/// Started 60 s ago and ready for `ready` seconds, at full CPU.
fn young(ready: i64) -> Seen {
    Seen { started: Some(NOW - 60), changed: NOW - ready, ..old(1_000) }
}

#[test]
fn cpu_asks_for_what_the_rules_say() {
    let not_ready = Seen { ready: false, ..old(1_000) };
    let never_ready = Seen { changed: 20, ..not_ready };
    let cases: &[(&str, Vec<Seen>, u32, Option<u32>)] = &[
        ("twice the target, twice the pods", vec![old(1_400); 3], 3, Some(6)),
        ("rounded up", vec![old(780); 3], 3, Some(4)),
        ("within the tolerance above: 77 of 70", vec![old(779); 10], 10, Some(10)),
        ("just beyond it: 78 of 70", vec![old(780); 10], 10, Some(12)),
        ("within the tolerance below: 63 of 70", vec![old(630); 10], 10, Some(10)),
        ("just beyond it: 62 of 70", vec![old(629); 10], 10, Some(9)),
        ("half of it", vec![old(350); 4], 4, Some(2)),
        ("nothing is used", vec![old(0); 4], 4, Some(0)),
        ("nothing is known", vec![missing(); 3], 3, None),
        ("nothing but pending pods", vec![pending(); 3], 3, None),
        // 100 of 70 with 4 pods; with 2 pending at zero: 66 of 70, which turned, so nothing happens.
        ("pods that start hold it back", [vec![old(1_000); 4], vec![pending(); 2]].concat(), 6, Some(6)),
        // 140 of 70 with 4; with one more at zero 112 of 70: 1.6 × 5.
        ("and let the rest through", [vec![old(1_400); 4], vec![pending()]].concat(), 5, Some(8)),
        ("but do not count when it goes down", [vec![old(350); 4], vec![pending()]].concat(), 5, Some(2)),
        // Missing at 100 % of its request: (4 × 350 + 1,000) / 5 = 48 of 70.
        ("a missing pod is full going down", [vec![old(350); 4], vec![missing()]].concat(), 5, Some(4)),
        // Missing at zero: 4 × 1,400 / 5 = 112 of 70.
        ("a missing pod is idle going up", [vec![old(1_400); 4], vec![missing()]].concat(), 5, Some(8)),
        // 62 of 70; full it is (4 × 620 + 1,000) / 5 = 69 of 70.
        ("and may keep all as it is", [vec![old(620); 4], vec![missing()]].concat(), 5, Some(5)),
        // Its sample began before it was ready: one at zero, 3 × 900 / 4 = 67 of 70.
        (
            "a young pod's first sample does not count",
            vec![old(900), old(900), old(900), young(10)],
            4,
            Some(4),
        ),
        ("its next one does", vec![old(900), old(900), old(900), young(25)], 4, Some(6)),
        ("a pod that was ready once counts", vec![old(700), not_ready], 2, Some(3)),
        ("one that never was does not", vec![old(1_400), never_ready], 2, Some(2)),
    ];
    for (what, pods, replicas, wanted) in cases {
        assert_eq!(by_cpu(pods, *replicas, NOW), *wanted, "{what}");
    }
}

#[test]
fn a_value_asks_by_its_ratio_and_the_largest_vote_wins() {
    assert_eq!(by_value(0.6, 0.3, 4, 4), 8);
    assert_eq!(by_value(0.32, 0.3, 4, 4), 4, "tolerated");
    assert_eq!(by_value(0.6, 0.3, 6, 4), 8, "only ready pods are multiplied");
    assert_eq!(vote(&[Some(3), Some(7)], 5), Some(7));
    assert_eq!(vote(&[Some(3), None], 5), None, "not down while one says nothing");
    assert_eq!(vote(&[Some(6), None], 5), Some(6));
    assert_eq!(vote(&[None, None], 5), None);
}

/// What is wanted at which second, from how many; and what is written.
type Turn = (i64, Option<u32>, Option<u32>);

fn play(start: u32, turns: &[Turn]) {
    let mut memory = Memory::default();
    let mut replicas = start;
    for (at, wanted, written) in turns {
        let next = memory.decide(*wanted, replicas, BOUNDS, *at);
        assert_eq!(next, *written, "at {at} s with {replicas} replicas and {wanted:?} wanted");
        if let Some(next) = next {
            memory.wrote(replicas, next, *at);
            replicas = next;
        }
    }
}

#[test]
fn up_is_at_once_by_four_or_by_twice() {
    play(
        2,
        &[(0, Some(20), Some(6)), (15, Some(20), Some(12)), (30, Some(20), Some(20)), (45, Some(40), None)],
    );
    // Within one period the start counts: four are used up.
    play(2, &[(0, Some(6), Some(6)), (10, Some(9), None), (15, Some(9), Some(9))]);
}

#[test]
fn down_waits_for_the_largest_of_five_minutes() {
    play(
        10,
        &[
            (0, Some(10), None),
            (15, Some(8), None),
            (30, Some(4), None),
            (299, Some(4), None),
            // The ten of the beginning are older than the window; the eight are not.
            (300, Some(4), Some(8)),
            (314, Some(4), None),
            (315, Some(4), Some(4)),
            (330, Some(0), None),
            (700, Some(0), Some(2)),
        ],
    );
}

#[test]
fn what_lies_outside_the_bounds_is_brought_back_without_a_metric() {
    play(30, &[(0, None, Some(20)), (15, None, None)]);
    play(1, &[(0, None, Some(2))]);
}
