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
            let replicas = score.minutes.iter().map(|minute| minute.replicas);
            assert!(replicas.clone().all(|it| (BOUNDS.min..=BOUNDS.max).contains(&it)), "{}", shape.name);
        }
    }
}

#[test]
fn a_step_is_followed_faster_by_the_autoscaler() {
    let (runbook, hpa) = (score("step", Who::Runbook), score("step", Who::Hpa));
    assert!(runbook.slow_minutes > 5.0 * hpa.slow_minutes, "+2 every ten minutes is slow on purpose");
    assert_eq!(runbook.last, 13, "and arrives");
}

#[test]
fn flapping_load_moves_the_autoscaler_and_not_the_runbook() {
    let (runbook, hpa) = (score("flapping", Who::Runbook), score("flapping", Who::Hpa));
    assert!(runbook.changes < 5 && hpa.changes > 50, "{} and {}", runbook.changes, hpa.changes);
    assert!(runbook.slow_minutes < hpa.slow_minutes);
}
