//! `Alert::observe` row by row: a rule, what is seen of one series, and every change with its reason.

use runbookd::domain::alert::{Alert, AlertChange, AlertState};
use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Observation, QueryFailure};
use runbookd::domain::rule::Rule;

use crate::made::{at, prometheus_rule, rule};

/// Plays `0:75 60:nan 120:- 180:! 240:old` (seconds and percent, NaN, missing, failed, stale) and says what changed.
fn play(rule: &Rule, labels: &Labels, seen: &str) -> String {
    let mut alert = Alert::new(at(0));
    let mut out = Vec::new();
    for step in seen.split_whitespace() {
        let (seconds, value) = step.split_once(':').expect("seconds:value");
        let seen = match value {
            "-" => Observation::Missing,
            "!" => Observation::Failed(QueryFailure::TimedOut),
            "nan" => Observation::NotANumber,
            "old" => Observation::Stale,
            value => Observation::Value(value.parse::<f64>().expect("a number") / 100.0),
        };
        let change = alert.observe(seen, rule, labels, at(seconds.parse().expect("seconds")));
        let word = match change {
            AlertChange::Same => continue,
            AlertChange::Pending => "pending".to_owned(),
            AlertChange::Withdrawn => "withdrawn".to_owned(),
            AlertChange::Fired(severity) => format!("fired {severity}"),
            AlertChange::Worsened(severity) => format!("worsened {severity}"),
            AlertChange::Eased(severity) => format!("eased {severity}"),
            AlertChange::Resolved => "resolved".to_owned(),
        };
        out.push(format!("{seconds} {word}"));
    }
    let severity = alert.state.severity().map_or("", |severity| severity.as_str());
    out.push(format!("{} {severity} {}", alert.state.as_str(), alert.reason));
    out.join(", ")
}

#[test]
fn every_kind_of_observation_moves_an_alert_as_its_rule_says() {
    let held = "warning: 70%, critical: 90%, for: 60s";
    let none = "warning: 70%, critical: 90%";
    let rows = [
        (held, "0:70 60:70", "inactive  within_thresholds"),
        (held, "0:71 59:71", "0 pending, pending warning hold_not_over"),
        (held, "0:71 60:71", "0 pending, 60 fired warning, firing warning beyond_threshold"),
        (held, "0:71 30:95 60:95", "0 pending, 60 fired warning, firing warning beyond_threshold"),
        (
            held,
            "0:71 30:95 60:95 90:95",
            "0 pending, 60 fired warning, 90 worsened critical, firing critical beyond_threshold",
        ),
        (held, "0:71 30:60 60:71", "0 pending, 30 withdrawn, 60 pending, pending warning hold_not_over"),
        // A clock that steps back lets nothing mature early, and nobody wait longer than the hold once more.
        (
            held,
            "100:95 50:95 109:95 110:95",
            "100 pending, 110 fired critical, firing critical beyond_threshold",
        ),
        (none, "0:91 1:90 2:70", "0 fired critical, 1 eased warning, 2 resolved, resolved warning cleared"),
        (none, "0:91 1:- 2:nan 3:old 4:!", "0 fired critical, firing critical query_failed_held"),
        (none, "0:- 1:! 2:nan 3:old", "inactive  stale_held"),
        (
            "warning: 70%",
            "0:95 1:50 2:95",
            "0 fired warning, 1 resolved, 2 fired warning, firing warning beyond_threshold",
        ),
        ("critical: 90%", "0:91 1:89", "0 fired critical, 1 resolved, resolved critical cleared"),
        ("critical: 90%, clear: 80%", "0:91 1:85", "0 fired critical, firing critical not_yet_clear"),
        (
            "warning: 70%, keep_firing_for: 60s",
            "0:95 1:5 60:5 61:5",
            "0 fired warning, 61 resolved, resolved warning cleared",
        ),
        (
            "warning: 70%, keep_firing_for: 60s",
            "0:95 1:5 30:- 61:5",
            "0 fired warning, 61 resolved, resolved warning cleared",
        ),
        (
            "warning: 70%, keep_firing_for: 60s",
            "500:95 501:5 100:5 159:5 160:5",
            "500 fired warning, 160 resolved, resolved warning cleared",
        ),
        (
            "warning: 70%, critical: 90%, keep_firing_for: 60s",
            "0:95 1:75 30:95 61:75 121:75",
            "0 fired critical, 121 eased warning, firing warning beyond_threshold",
        ),
        (
            "warning: 30%, critical: 10%",
            "0:30 1:29 2:9",
            "1 fired warning, 2 worsened critical, firing critical beyond_threshold",
        ),
        (
            "warning: 30%, direction: below, clear: 40%",
            "0:29 1:35 2:40",
            "0 fired warning, 2 resolved, resolved warning cleared",
        ),
        (
            "warning: 70%, on_no_data: resolve, no_data_after: 60s",
            "0:95 10:- 69:- 70:-",
            "0 fired warning, 70 resolved, resolved warning no_data_resolved",
        ),
        (
            "warning: 70%, for: 5m, on_no_data: resolve, no_data_after: 60s",
            "0:95 10:- 70:-",
            "0 pending, 70 withdrawn, inactive  no_data_resolved",
        ),
        // Silence that is interrupted begins anew.
        (
            "warning: 70%, on_no_data: fire, no_data_after: 60s",
            "0:5 10:- 60:5 70:- 129:-",
            "inactive  no_data_held",
        ),
        (
            "warning: 70%, on_no_data: fire, no_data_after: 60s",
            "0:5 10:- 70:- 80:-",
            "70 fired warning, firing warning no_data_fired",
        ),
        (
            "warning: 70%, on_no_data: fire, no_data_after: 60s",
            "0:5 10:nan 70:nan",
            "70 fired warning, firing warning no_data_fired",
        ),
        (
            "warning: 70%, on_error: fire, no_data_after: 60s",
            "0:5 10:! 70:!",
            "70 fired warning, firing warning query_failed_fired",
        ),
        (
            "warning: 70%, on_error: fire, no_data_after: 60s",
            "0:5 10:! 60:- 70:!",
            "inactive  query_failed_held",
        ),
    ];
    for (fields, seen, expected) in rows {
        assert_eq!(play(&rule(fields), &Labels::empty(), seen), expected, "{fields} sees {seen}");
    }
}

#[test]
fn a_prometheus_rule_breaches_by_presence() {
    let rows = [
        ("for: 0s", "0:0 1:-", "0 fired critical, 1 resolved, resolved critical cleared"),
        ("for: 1m", "0:0 59:0 60:0", "0 pending, 60 fired critical, firing critical beyond_threshold"),
        ("for: 1m", "0:0 30:- 60:0", "0 pending, 30 withdrawn, 60 pending, pending critical hold_not_over"),
        // A value that is no number is returned all the same; a failed query and an old sample say nothing.
        ("for: 0s", "0:nan 1:! 2:old", "0 fired critical, firing critical stale_held"),
        (
            "keep_firing_for: 1m",
            "0:0 10:- 69:- 70:-",
            "0 fired critical, 70 resolved, resolved critical cleared",
        ),
        ("keep_firing_for: 1m", "0:0 10:- 60:0 70:-", "0 fired critical, firing critical kept_firing"),
    ];
    for (fields, seen, expected) in rows {
        assert_eq!(play(&prometheus_rule(fields), &Labels::empty(), seen), expected, "{fields} sees {seen}");
    }
}

#[test]
fn the_first_override_that_matches_applies() {
    let rule = rule(
        "warning: 70%, overrides: [{match: {tenant: acme, zone: a}, warning: 90%}, {match: {tenant: acme}, warning: 80%}]",
    );
    let seen = |pairs: &[(&str, &str)]| {
        let labels = Labels::new(pairs.iter().copied());
        ["75", "85", "95"].map(|value| play(&rule, &labels, &format!("0:{value}")).starts_with("0 fired"))
    };
    assert_eq!(seen(&[("tenant", "bolt")]), [true, true, true]);
    assert_eq!(seen(&[("tenant", "acme")]), [false, true, true]);
    assert_eq!(seen(&[("tenant", "acme"), ("zone", "a")]), [false, false, true]);
}

#[test]
fn what_is_gone_is_forgotten_only_when_nothing_is_lost() {
    let quiet = rule("warning: 70%");
    let mut alert = Alert::new(at(0));
    let see = |alert: &mut Alert, value: Option<f64>, seconds| {
        let seen = value.map_or(Observation::Missing, Observation::Value);
        alert.observe(seen, &quiet, &Labels::empty(), at(seconds));
    };
    see(&mut alert, Some(0.5), 0);
    assert!(!alert.is_forgettable(&quiet, at(100_000)), "it was not missed yet");
    see(&mut alert, None, 60);
    assert!(!alert.is_forgettable(&quiet, at(959)));
    assert!(alert.is_forgettable(&quiet, at(960)));
    // A silence that would page is waited for, however long that takes.
    assert!(!alert.is_forgettable(&rule("warning: 70%, on_no_data: fire, no_data_after: 1h"), at(3_000)));
    see(&mut alert, Some(0.9), 1_000);
    see(&mut alert, None, 1_060);
    assert!(!alert.is_forgettable(&quiet, at(100_000)), "it fires");
    see(&mut alert, Some(0.5), 2_000);
    assert!(matches!(alert.state, AlertState::Resolved { .. }));
    see(&mut alert, None, 2_060);
    assert!(!alert.is_forgettable(&quiet, at(2_959)));
    assert!(alert.is_forgettable(&quiet, at(2_960)));
}
