//! What Alertmanager's `inhibit_rules` and `time_intervals` mean when they are read here.

use runbookd::config::{Loaded, Sources, parse};
use runbookd::domain::labels::Labels;
use runbookd::domain::name::RuleId;

/// Blocks in every spelling that Alertmanager reads.
const RULES: &str = r#"
time_intervals:
  - name: office
    time_intervals:
      - times: [{start_time: 09:00, end_time: 17:00}]
        weekdays: ['monday:friday']
        location: Europe/Berlin
  - name: nights
    time_intervals:
      - times: [{start_time: "22:00", end_time: "24:00"}, {start_time: "00:00", end_time: "06:00"}]
mute_time_intervals:
  - name: freeze
    time_intervals:
      - days_of_month: ['24:26', '-1']
        months: [december, 1]
        years: ['2026:2027']
inhibit_rules:
  - name: page over ticket
    source_matchers: [severity = critical, 'service =~ "shop-.*"']
    target_matchers: ['{severity="warning",}']
    equal: [service, tenant]
  - source_match: {alertname: NodeDown}
    target_match_re: {alertname: Pod.*, node: .+}
    target_match: {severity: ""}
    equal: [node]
metrics:
  cpu_usage: {query: cpu, unit: ratio}
  memory_usage: {query: memory, unit: ratio}
monitoring:
  mute_time_intervals: [freeze]
  active_time_intervals: [office]
  metrics:
    system:
      - cpu_usage: {warning: 70%}
      - memory_usage: {warning: 70%, mute_time_intervals: [nights, freeze], active_time_intervals: []}
groups:
  - name: shop
    rules: [{alert: Down, expr: up == 0, labels: {severity: page}}]
"#;

fn loaded() -> Loaded {
    let sources = Sources::from_texts(&[], &[("all.yaml", RULES)]);
    parse(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

#[test]
fn inhibit_rules_are_read_in_both_spellings() {
    let rules = loaded().rules.inhibit_rules;
    let shown: Vec<_> = rules
        .iter()
        .map(|rule| format!("{} > {} equal {}", rule.source, rule.target, rule.equal.join(",")))
        .collect();
    assert_eq!(
        shown,
        [
            r#"{severity="critical", service=~"shop-.*"} > {severity="warning"} equal service,tenant"#,
            r#"{alertname="NodeDown"} > {severity="", alertname=~"Pod.*", node=~".+"} equal node"#,
        ]
    );
    let (source, target) = ([("severity", "critical")], [("severity", "warning")]);
    let of =
        |severity: [(&'static str, &'static str); 1]| Labels::new(severity).with([("service", "shop-a")]);
    assert!(rules[0].inhibits(&of(source), &of(target)));
    assert!(!rules[0].inhibits(&of(source), &of(target).with([("tenant", "acme")])));
    assert_eq!(rules[1].place.as_ref(), "all.yaml:22");
}

#[test]
fn intervals_of_both_keys_are_known_by_name_and_a_rule_overrules_the_default() {
    let set = loaded().rules;
    assert_eq!(
        set.time_intervals.keys().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["freeze", "nights", "office"]
    );
    let lies_in = |name: &str, at: &str| set.time_intervals[name].contains(at.parse().expect("an instant"));
    assert!(lies_in("office", "2026-11-24T08:00:00Z") && !lies_in("office", "2026-11-24T16:00:00Z"));
    assert!(lies_in("nights", "2026-11-24T23:59:59Z") && !lies_in("nights", "2026-11-24T06:00:00Z"));
    assert!(lies_in("freeze", "2027-01-31T12:00:00Z") && !lies_in("freeze", "2028-01-31T12:00:00Z"));
    let windows = |id: &str| {
        let rule = &set.rules[&RuleId::from(id)];
        (rule.mute_time_intervals.join(","), rule.active_time_intervals.join(","))
    };
    assert_eq!(windows("monitoring/system/cpu_usage"), ("freeze".into(), "office".into()));
    assert_eq!(windows("monitoring/system/memory_usage"), ("nights,freeze".into(), String::new()));
    assert_eq!(windows("shop/Down"), (String::new(), String::new()));
}
