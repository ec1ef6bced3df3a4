//! The arithmetic of a step: rounding and bounds.

use proptest::prelude::*;
use runbookd::domain::name::TargetId;
use runbookd::domain::scaling::{
    Bounds, ContainerSize, HeldReason, Limits, Target, fewer_replicas, more_replicas, more_resources,
};

const MI: f64 = 1024.0 * 1024.0;

fn target(replicas: (u32, u32), max_cpu: Option<f64>, max_memory: Option<f64>) -> Target {
    Target {
        id: TargetId { namespace: "shop".into(), kind: "Deployment".into(), name: "checkout".into() },
        service: "checkout".into(),
        min_replicas: replicas.0,
        max_replicas: replicas.1,
        max_cpu,
        max_memory,
        ready_within: std::time::Duration::from_secs(300),
        health: None,
        limits: Limits::default(),
        connections: None,
        schedule: Vec::new(),
    }
}

fn container(cpu: (Option<f64>, Option<f64>), memory: (Option<f64>, Option<f64>)) -> ContainerSize {
    ContainerSize {
        name: "app".into(),
        cpu_request: cpu.0,
        cpu_limit: cpu.1,
        memory_request: memory.0,
        memory_limit: memory.1,
    }
}

#[test]
fn replicas_grow_by_the_step_within_the_bounds() {
    let rows = [
        ((2, 20), 4, 2, Ok(6)),
        ((2, 20), 19, 2, Ok(20)),
        ((2, 20), 20, 2, Err(HeldReason::AtMaximum)),
        // Somebody scaled beyond the bound by hand: that is not taken back.
        ((2, 20), 30, 2, Err(HeldReason::AtMaximum)),
        ((5, 20), 0, 2, Ok(5)),
        ((1, u32::MAX), u32::MAX - 1, 5, Ok(u32::MAX)),
    ];
    for (bounds, current, step, expected) in rows {
        let bounds = Bounds { least: bounds.0, most: bounds.1, scheduled: false };
        assert_eq!(more_replicas(current, step, bounds), expected, "{current} + {step}");
    }
}

#[test]
fn replicas_shrink_by_the_step_and_never_below_the_least() {
    let rows = [
        ((2, 20), 6, 1, Ok(5)),
        ((2, 20), 3, 2, Ok(2)),
        ((2, 20), 2, 1, Err(HeldReason::AtMinimum)),
        ((2, 20), 1, 1, Err(HeldReason::AtMinimum)),
        // Somebody scaled beyond the bound by hand: one step at a time all the same.
        ((2, 20), 30, 1, Ok(29)),
        ((0, 20), 1, 5, Ok(0)),
    ];
    for (bounds, current, step, expected) in rows {
        let bounds = Bounds { least: bounds.0, most: bounds.1, scheduled: false };
        assert_eq!(fewer_replicas(current, step, bounds), expected, "{current} - {step}");
    }
}

#[test]
fn resources_grow_in_whole_millicores_and_mebibytes() {
    let grown = |cpu: f64, memory: f64| {
        let before = [container((Some(cpu), None), (Some(memory), None))];
        let after = more_resources(&before, 0.25, &target((1, 2), None, None)).expect("a size").remove(0);
        (after.cpu_request.map(|cpu| (cpu * 1e6).round() / 1e6), after.memory_request.map(|bytes| bytes / MI))
    };
    assert_eq!(grown(0.5, 512.0 * MI), (Some(0.625), Some(640.0)));
    // 0.333 × 1.25 = 0.41625; 101 MiB × 1.25 = 126.25 MiB: up, never down.
    assert_eq!(grown(0.333, 101.0 * MI), (Some(0.417), Some(127.0)));
    assert_eq!(grown(0.001, MI), (Some(0.002), Some(2.0)));
}

#[test]
fn a_bound_keeps_the_relation_of_request_and_limit() {
    let before = [container((Some(1.0), Some(2.0)), (Some(512.0 * MI), Some(1024.0 * MI)))];
    let bounded = target((1, 2), Some(2.2), Some(1024.0 * MI));
    let after = more_resources(&before, 0.25, &bounded).expect("a size").remove(0);
    assert_eq!((after.cpu_request, after.cpu_limit), (Some(1.1), Some(2.2)));
    assert_eq!((after.memory_request, after.memory_limit), (Some(512.0 * MI), Some(1024.0 * MI)));
    let full = target((1, 2), Some(2.0), Some(1024.0 * MI));
    assert_eq!(more_resources(&before, 0.25, &full), Err(HeldReason::AtMaximum));
    let unsized_ = [container((None, None), (None, None))];
    assert_eq!(more_resources(&unsized_, 0.25, &full), Err(HeldReason::NothingToGrow));
}

proptest! {
    #[test]
    fn a_step_never_shrinks_anything_and_never_leaves_the_bounds(
        cpu in (1_u32..8_000, 1_u32..8_000),
        memory in (1_u32..8_192, 1_u32..8_192),
        share in 1_u32..300,
        bounds in (proptest::option::of(1_u32..16_000), proptest::option::of(1_u32..16_384)),
    ) {
        let cores = |milli: u32| f64::from(milli) / 1000.0;
        let bytes = |mebi: u32| f64::from(mebi) * MI;
        let (request, limit) = (cores(cpu.0.min(cpu.1)), cores(cpu.0.max(cpu.1)));
        let (small, large) = (bytes(memory.0.min(memory.1)), bytes(memory.0.max(memory.1)));
        let before = [container((Some(request), Some(limit)), (Some(small), Some(large)))];
        let target = target((1, 2), bounds.0.map(cores), bounds.1.map(bytes));
        if let Ok(after) = more_resources(&before, f64::from(share) / 100.0, &target) {
            let after = &after[0];
            for (was, is, bound) in [
                (Some(request), after.cpu_request, target.max_cpu),
                (Some(limit), after.cpu_limit, target.max_cpu),
                (Some(small), after.memory_request, target.max_memory),
                (Some(large), after.memory_limit, target.max_memory),
            ] {
                prop_assert!(is >= was);
                prop_assert!(is == was || bound.is_none() || is <= bound);
            }
            prop_assert!(after.cpu_request <= after.cpu_limit && after.memory_request <= after.memory_limit);
        }
    }
}
