//! Backups: what the rules that `backup_configuration` becomes say in a real Prometheus, for every way in which backups
//! go wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use runbookd::domain::rule::{Condition, RuleSet};
use runbookd::domain::severity::Severity;
use world::prometheus::Prometheus;

use crate::made::{DAY, plan};

const HOUR: i64 = 3_600;

const RULES: &str = "
backup_configuration:
  schedules:
    full_backup: {frequency: daily, retention: 30 days, time: '02:00 UTC'}
    incremental_backup: {frequency: hourly, retention: 7 days}
  verification: [checksum validation, sample restore test, data integrity check]
  storage: {primary: 's3://backup-primary', secondary: 's3://backup-dr'}
";

/// What the exporter says, as ages in seconds.
struct Exported {
    /// By kind and storage: newest, oldest, first ever.
    copies: BTreeMap<(&'static str, &'static str), [i64; 3]>,
    /// By verification: whether it passed, and its age.
    verified: BTreeMap<&'static str, (u8, i64)>,
}

impl Exported {
    /// All is well.
    fn well() -> Self {
        let full = [5 * HOUR, 29 * DAY + 23 * HOUR, 400 * DAY];
        let incremental = [HOUR / 2, 7 * DAY - HOUR / 2, 400 * DAY];
        let kinds = [("full_backup", full), ("incremental_backup", incremental)];
        let storages = ["primary", "secondary"];
        Self {
            copies: kinds
                .into_iter()
                .flat_map(|(kind, ages)| storages.map(|storage| ((kind, storage), ages)))
                .collect(),
            verified: ["checksum validation", "sample restore test", "data integrity check"]
                .map(|name| (name, (1, 4 * HOUR)))
                .into(),
        }
    }

    fn text(&self, now: i64) -> String {
        let mut out = String::new();
        let mut family = |name: &str, lines: Vec<(String, i64)>| {
            writeln!(out, "# TYPE {name} gauge").unwrap();
            for (labels, value) in lines {
                // A minute of it, so that every instant asked about sees it.
                for at in [now - 60, now - 30, now, now + 30, now + 120] {
                    writeln!(out, "{name}{{{labels}}} {value} {at}").unwrap();
                }
            }
        };
        for (index, name) in ["last_success", "oldest", "first_success"].into_iter().enumerate() {
            let lines = self.copies.iter().map(|((kind, storage), ages)| {
                (format!("kind=\"{kind}\",storage=\"{storage}\""), now - ages[index])
            });
            family(&format!("backup_{name}_timestamp_seconds"), lines.collect());
        }
        let label = |name: &str| format!("verification=\"{name}\"");
        let passed = self.verified.iter().map(|(name, (passed, _))| (label(name), i64::from(*passed)));
        family("backup_verification_success", passed.collect());
        let times = self.verified.iter().map(|(name, (_, age))| (label(name), now - age));
        family("backup_verification_timestamp_seconds", times.collect());
        out.push_str("# EOF\n");
        out
    }
}

/// What makes backups go wrong.
type Spoil = Box<dyn Fn(&mut Exported)>;

/// What breaches, as `rule severity labels`.
async fn breaches(set: &RuleSet, exported: &Exported) -> Vec<String> {
    let now = jiff::Timestamp::now().as_second();
    let prometheus = Prometheus::with_past(&exported.text(now)).await.unwrap();
    let mut found = Vec::new();
    for rule in set.rules.values() {
        for (labels, value) in prometheus.query(&set.queries[&rule.query].expr).await.unwrap() {
            let severity = match &rule.condition {
                Condition::Presence { severity, .. } => Some(*severity),
                Condition::Threshold(them) => {
                    let is_beyond = |limit: &runbookd::domain::rule::Threshold| {
                        them.direction.is_beyond(value, limit.value)
                    };
                    let critical = them.critical.filter(is_beyond).map(|_| Severity::Critical);
                    critical.or(them.warning.filter(is_beyond).map(|_| Severity::Warning))
                }
            };
            if let Some(severity) = severity {
                let values: Vec<_> = labels.into_values().collect();
                found.push(format!("{} {severity} {}", rule.id, values.join(" ")).trim_end().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_in_which_backups_go_wrong_is_noticed_and_nothing_else_is() {
    let plan = plan(RULES);
    let full = |storage| ("full_backup", storage);
    let copies = |key, ages: [i64; 3]| -> Spoil {
        Box::new(move |it| {
            it.copies.insert(key, ages);
        })
    };
    let verified = |name, seen: (u8, i64)| -> Spoil {
        Box::new(move |it| {
            it.verified.insert(name, seen);
        })
    };
    let old = 400 * DAY;
    let cases: [(&str, Spoil, &[&str]); 11] = [
        ("all is well", Box::new(|_| {}), &[]),
        (
            "a full backup is late in one storage",
            copies(full("secondary"), [31 * HOUR, 29 * DAY + 23 * HOUR, old]),
            &["backup/full_backup/age warning full_backup secondary"],
        ),
        (
            "two incremental ones are missed",
            copies(("incremental_backup", "primary"), [3 * HOUR, 7 * DAY, old]),
            &["backup/incremental_backup/age critical incremental_backup primary"],
        ),
        (
            "a storage has no copy",
            Box::new(|it| it.copies.retain(|key, _| *key != ("full_backup", "secondary"))),
            &["backup/full_backup/copies critical full_backup secondary"],
        ),
        (
            "older copies are gone too early",
            copies(full("primary"), [5 * HOUR, 20 * DAY, old]),
            &["backup/full_backup/retention warning full_backup primary"],
        ),
        (
            "most copies are gone",
            copies(full("primary"), [5 * HOUR, 10 * DAY, old]),
            &["backup/full_backup/retention critical full_backup primary"],
        ),
        ("backups have only begun", copies(full("primary"), [5 * HOUR, 10 * DAY, 10 * DAY]), &[]),
        (
            "expired copies are kept",
            copies(full("primary"), [5 * HOUR, 40 * DAY, old]),
            &["backup/full_backup/expired warning full_backup primary"],
        ),
        (
            "a verification failed",
            verified("sample restore test", (0, HOUR)),
            &["backup/verification/sample restore test critical sample restore test"],
        ),
        (
            "a verification is old",
            verified("checksum validation", (1, 31 * HOUR)),
            &["backup/verification/checksum validation/age warning checksum validation"],
        ),
        (
            "a verification is not reported",
            Box::new(|it| it.verified.retain(|name, _| *name != "data integrity check")),
            &["backup/verification/missing critical data integrity check"],
        ),
    ];
    for (what, spoil, wanted) in cases {
        let mut exported = Exported::well();
        spoil(&mut exported);
        assert_eq!(breaches(&plan.rules, &exported).await, wanted, "{what}");
    }
    let silent = Exported { copies: BTreeMap::new(), verified: BTreeMap::new() };
    assert_eq!(breaches(&plan.rules, &silent).await, ["backup/unseen warning"]);
}

#[test]
fn the_alerts_carry_labels_and_words_that_say_what_is_wrong() {
    let plan = plan(RULES);
    let rule = &plan.rules.rules[&"backup/full_backup/age".into()];
    let labels = runbookd::domain::labels::Labels::new([("kind", "full_backup"), ("storage", "secondary")]);
    let summary = rule.summary.as_ref().unwrap().fill(&labels, rule.unit, 111_600.0, None);
    assert_eq!(summary, "the newest full_backup in secondary is 31 h old");
    assert_eq!(rule.group_by.subject(&labels).get("kind"), Some("full_backup"));
    // A name is a text in the query, whatever is in it.
    let odd = RULES.replace("full_backup", "'full \"x\\y'");
    let odd = crate::made::plan(&odd);
    let id = "backup/full \"x\\y/age".into();
    let expr = &odd.rules.queries[&odd.rules.rules[&id].query].expr;
    assert!(expr.contains(r#""full \"x\\y""#), "{expr}");
}
