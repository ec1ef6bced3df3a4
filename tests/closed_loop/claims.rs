//! The claims: what the page says in words about the races, as code. Owns the comparison; a sentence there that no longer
//! holds fails here.

use crate::race::{self, BOUNDS, Score, Who};

fn score(shape: &str, who: Who) -> &'static Score {
    let (_, scores) = race::all().iter().find(|(it, _)| it.name == shape).expect("a shape of that name");
    scores.iter().find(|score| score.who == who).expect("everybody runs")
}

#[test]
fn bounds_hold_for_everybody() {
    for (shape, scores) in race::all() {
        for score in scores {
            let mut replicas = score.minutes.iter().map(|minute| minute.replicas);
            assert!(replicas.all(|it| (BOUNDS.min..=BOUNDS.max).contains(&it)), "{}", shape.name);
        }
    }
}

#[test]
fn a_step_is_followed_faster_by_the_autoscaler() {
    let (runbook, hpa) = (score("step", Who::Runbook), score("step", Who::Hpa));
    assert!(runbook.slow_minutes > 8.0 * hpa.slow_minutes, "+2 every ten minutes is slow on purpose");
    assert_eq!((runbook.last, hpa.last), (13, 13), "and arrives");
}

#[test]
fn a_spike_is_over_before_the_runbook_moves() {
    let (runbook, hpa) = (score("spike", Who::Runbook), score("spike", Who::Hpa));
    assert!(runbook.slow_minutes > hpa.slow_minutes);
    let step = runbook.minutes.iter().position(|minute| minute.replicas > 5).expect("one step");
    assert!(step > 64 && runbook.changes == 1, "the load is back at minute 64, the step came at {step}");
}

#[test]
fn a_day_costs_more_with_the_runbook() {
    let of = |who| score("daily wave", who).replica_hours;
    let (runbook, back, hpa) = (of(Who::Runbook), of(Who::RunbookAndBack), of(Who::Hpa));
    assert!(runbook > back && back > hpa, "{runbook}, {back}, {hpa}");
    assert!((1.15..1.25).contains(&(back / hpa)), "a fifth more, not {}", back / hpa);
    assert!(score("daily wave", Who::RunbookAndBack).changes < score("daily wave", Who::Hpa).changes);
}

#[test]
fn flapping_load_moves_the_autoscaler_and_not_the_runbook() {
    let (runbook, hpa) = (score("flapping", Who::Runbook), score("flapping", Who::Hpa));
    assert!(hpa.changes > 24 * runbook.changes, "{} and {}", runbook.changes, hpa.changes);
    assert!(runbook.slow_minutes < hpa.slow_minutes);
}

#[test]
fn the_runbook_notices_a_bottleneck_and_the_autoscaler_runs_to_the_end() {
    for who in [Who::Runbook, Who::RunbookAndBack] {
        let runbook = score("bottleneck", who);
        assert!(runbook.most < BOUNDS.max && runbook.last == runbook.most, "{}", runbook.most);
        for other in [Who::Hpa, Who::HpaBoth] {
            let hpa = score("bottleneck", other);
            assert_eq!((hpa.most, hpa.last), (BOUNDS.max, BOUNDS.max));
            assert!((runbook.slow_minutes - hpa.slow_minutes).abs() < 1.0, "nobody can help");
            assert!(runbook.replica_hours < hpa.replica_hours);
        }
    }
}

#[test]
fn slow_growth_is_borne_by_both() {
    for shape in ["ramp", "daily wave"] {
        let (runbook, hpa) = (score(shape, Who::Runbook), score(shape, Who::Hpa));
        assert_eq!((runbook.slow_minutes, hpa.slow_minutes), (0.0, 0.0), "{shape}");
        assert!(hpa.hot_minutes > 2.5 * runbook.hot_minutes, "{shape}");
    }
}
