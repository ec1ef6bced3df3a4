//! The store's promises: what was committed is read back, whatever was done to the file in between is noticed, and a
//! commit is there whole or not at all.

mod damage;
mod failure;

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::config::settings::StoreSettings;
use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::labels::Labels;
use crate::domain::name::TargetId;
use crate::domain::rest::Rest;
use crate::domain::scaling::{Axis, Direction, PauseOrder, TargetRecord};

fn instant() -> Timestamp {
    "2026-11-23T03:22:00Z".parse().unwrap()
}

fn rest() -> Rest {
    Rest::of(Duration::from_secs(600), instant())
}

fn alert(series: &str) -> (AlertKey, Alert) {
    let series = Labels::new([("service", series)]);
    (AlertKey { rule: "monitoring/system/cpu_usage".into(), series }, Alert::new(instant()))
}

fn changes() -> Vec<Change> {
    let (key, alert) = alert("a\"b");
    let target = TargetId { namespace: "shop".into(), kind: "Deployment".into(), name: "checkout".into() };
    vec![
        Change::Alert(key, Some(alert)),
        Change::Cooldown(target, Axis::Vertical, Direction::Out, Some(rest())),
        Change::Numbered(20_261_123, 7),
    ]
}

fn record() -> TargetRecord {
    let (by, reason) = ("Ana".into(), "moving".into());
    let pause = PauseOrder { by, reason, since: instant(), until: None };
    TargetRecord { pause: Some(pause), ..TargetRecord::default() }
}

/// What is remembered of a target.
fn of_target() -> Vec<Change> {
    let target = TargetId { namespace: "shop".into(), kind: "Deployment".into(), name: "checkout".into() };
    vec![
        Change::Cooldown(target.clone(), Axis::Horizontal, Direction::In, Some(rest())),
        Change::Target(target, Some(Box::new(record()))),
    ]
}

/// Day `n` was numbered `n` times: as many different rows as are wanted.
fn days(range: std::ops::Range<u32>) -> Vec<Change> {
    range.map(|day| Change::Numbered(day, day)).collect()
}

/// What is done to the files.
type Harm = fn(&Home);

/// Whether an error is the one that is wanted.
type IsRight = fn(&StoreError) -> bool;

/// A folder with a store in it.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, tail: &str) -> PathBuf {
        self.folder.path().join(format!("store.db{tail}"))
    }

    fn open(&self) -> (Store, Committed) {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<(Store, Committed), StoreError> {
        Store::open(&StoreSettings::Sqlite(self.file("")))
    }

    /// What a start finds and reads.
    fn start(&self) -> (Vec<Finding>, Committed) {
        let (mut store, committed) = self.open();
        (store.take_findings(), committed)
    }

    fn sql(&self, sql: &str) {
        Connection::open(self.file("")).unwrap().execute_batch(sql).unwrap();
    }

    /// The files of the store whose names contain this.
    fn named(&self, part: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> = entries.filter(|path| path.display().to_string().contains(part)).collect();
        found.sort();
        found
    }
}

/// The files as they are on the disk now, without the store being closed: as after a kill.
fn kill(store: Store, home: &Home) {
    let copies: Vec<_> = ["", "-wal", "-shm"]
        .map(|tail| home.file(tail))
        .into_iter()
        .filter_map(|path| std::fs::read(&path).ok().map(|bytes| (path, bytes)))
        .collect();
    drop(store);
    for (path, bytes) in copies {
        std::fs::write(path, bytes).unwrap();
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn place_of(path: &Path, text: &str) -> usize {
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

// === what is kept ===

#[test]
fn what_was_committed_is_read_back_and_a_deletion_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings::Sqlite(folder.path().join("deep/down/store.db"));
    let (mut store, found) = Store::open(&settings).unwrap();
    assert_eq!(found, []);
    store.commit(&changes()).unwrap();
    assert_eq!(store.take_findings(), []);
    drop(store);
    let (mut store, found) = Store::open(&settings).unwrap();
    assert_eq!(found, changes());
    store.commit(&[Change::Alert(alert("a\"b").0, None)]).unwrap();
    drop(store);
    let (mut store, found) = Store::open(&settings).unwrap();
    assert_eq!((found.len(), store.take_findings()), (2, Vec::new()));
}

#[test]
fn a_rest_of_which_only_the_end_was_written_is_read() {
    let key = r#"[{"namespace":"shop","kind":"Deployment","name":"checkout"},"Vertical"]"#;
    let change = record::Row::into_change("cooldown", key, "\"2026-11-23T03:22:00Z\"").unwrap();
    let Some(Change::Cooldown(_, Axis::Vertical, Direction::Out, Some(rest))) = change else {
        panic!("{change:?}");
    };
    assert_eq!(rest, Rest { since: Timestamp::MIN, until: instant() });
}

#[test]
fn what_is_remembered_of_a_target_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StoreSettings::Sqlite(folder.path().join("store.db"));
    let (mut store, _) = Store::open(&settings).unwrap();
    store.commit(&of_target()).unwrap();
    drop(store);
    let (_, mut found) = Store::open(&settings).unwrap();
    found.sort_by_key(|change| matches!(change, Change::Target(..)));
    assert_eq!(found, of_target());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_changes_in_any_commits_are_read_back_as_the_last_of_each(
        commits in proptest::collection::vec(proptest::collection::vec(change(), 0..6), 0..8),
        restarts in any::<u8>(),
    ) {
        let home = Home::new();
        let mut expected = std::collections::BTreeMap::new();
        let mut store = home.open().0;
        for (nth, commit) in commits.iter().enumerate() {
            store.commit(commit).unwrap();
            for change in commit {
                let row = record::Row::from_change(change).unwrap();
                expected.insert((row.kind, row.key.clone()), row.body.is_some().then(|| change.clone()));
            }
            if restarts >> (nth % 8) & 1 == 1 {
                kill(store, &home);
                store = home.open().0;
                prop_assert_eq!(store.take_findings(), []);
            }
        }
        drop(store);
        let (findings, read) = home.start();
        prop_assert_eq!(findings, []);
        prop_assert_eq!(read, expected.into_values().flatten().collect::<Vec<_>>());
    }
}

fn change() -> impl Strategy<Value = Change> {
    let service = prop_oneof![Just("a".to_owned()), Just("b\"c".to_owned()), "\\PC{0,8}"];
    let put_alert = (service, any::<bool>()).prop_map(|(service, there)| {
        let (key, alert) = alert(&service);
        Change::Alert(key, there.then_some(alert))
    });
    let cooldown = ("[a-c]", any::<bool>(), any::<bool>(), 0_i64..4_000_000_000).prop_map(
        |(name, wide, there, until)| {
            let target = TargetId { namespace: "shop".into(), kind: "Deployment".into(), name: name.into() };
            let direction = if wide { Direction::Out } else { Direction::In };
            Change::Cooldown(
                target,
                Axis::Horizontal,
                direction,
                there.then(|| Rest::of(Duration::from_secs(600), Timestamp::from_second(until).unwrap())),
            )
        },
    );
    prop_oneof![
        put_alert,
        cooldown,
        (1_u32..4, any::<u32>()).prop_map(|(day, count)| Change::Numbered(day, count))
    ]
}

// === whose file it is ===

#[test]
fn a_second_daemon_is_kept_out() {
    let home = Home::new();
    let held = home.open();
    assert!(matches!(home.try_open(), Err(StoreError::InUse { .. })));
    drop(held);
    assert!(home.try_open().is_ok());
}

#[test]
fn a_newer_or_foreign_file_is_refused_untouched() {
    let newer = "PRAGMA user_version = 99";
    let cases: [(&str, bool, &str, IsRight); 4] = [
        ("newer", true, newer, |error| matches!(error, StoreError::Newer { found: 99, known: 2, .. })),
        // Killed by the newer version before its log was in the file: opening and closing would bring it in.
        ("newer in its log only", true, newer, |error| matches!(error, StoreError::Newer { found: 99, .. })),
        ("foreign", false, "CREATE TABLE theirs (a)", |error| matches!(error, StoreError::Foreign { .. })),
        ("no database", false, "", |error| matches!(error, StoreError::Foreign { .. })),
    ];
    for (name, is_ours, sql, is_right) in cases {
        let home = Home::new();
        if is_ours {
            home.open().0.commit(&changes()).unwrap();
        }
        if sql.is_empty() {
            std::fs::write(home.file(""), "root:x:0:0:root:/root:/bin/sh\n".repeat(40)).unwrap();
        } else {
            let theirs = Connection::open(home.file("")).unwrap();
            theirs.execute_batch(sql).unwrap();
            if name.contains("log") {
                assert!(std::fs::metadata(home.file("-wal")).unwrap().len() > 0);
                let keep = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
                theirs.set_db_config(keep, true).unwrap();
            }
        }
        let read = |tail| std::fs::read(home.file(tail)).ok();
        let before = ["", "-wal", ".head"].map(read);
        let error = home.try_open().unwrap_err();
        assert!(is_right(&error), "{name}: {error}");
        assert!(error.to_string().contains("left untouched"), "{name}: {error}");
        let after = ["", "-wal", ".head"].map(read);
        assert!(after == before, "{name}: not a byte is changed");
        assert_eq!(home.named("damaged"), Vec::<PathBuf>::new(), "{name}");
    }
}

#[test]
fn a_file_of_version_1_is_taken_over_whole() {
    let home = Home::new();
    home.sql(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE record (
             kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
         INSERT INTO meta VALUES ('commit_seq', 41);
         INSERT INTO record VALUES ('numbered', '20261123', '7'), ('numbered', '20261124', '9');
         PRAGMA application_id = 0x72626b64;
         PRAGMA user_version = 1;",
    );
    let (mut store, found) = home.open();
    assert_eq!(found, [Change::Numbered(20_261_123, 7), Change::Numbered(20_261_124, 9)]);
    assert_eq!((store.commits(), store.take_findings()), (41, Vec::new()));
    store.commit(&changes()).unwrap();
    drop(store);
    let file = Connection::open(home.file("")).unwrap();
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("PRAGMA user_version"), 2);
    assert_eq!(number("PRAGMA auto_vacuum"), 2, "the file can shrink from now on");
    assert_eq!(home.start().0, [], "every row has its checksum");
}

// === size ===

#[test]
fn the_log_stays_bounded_and_the_file_shrinks_when_much_is_deleted() {
    let home = Home::new();
    let mut store = home.open().0;
    let many = |nth: u32, put: bool| -> Vec<Change> {
        let long = |n: u32| alert(&format!("{}{n}{}", nth, "x".repeat(2000)));
        let change = |(key, alert): (AlertKey, Alert)| Change::Alert(key, put.then_some(alert));
        (0..100).map(long).map(change).collect()
    };
    let size = |tail| std::fs::metadata(home.file(tail)).unwrap().len();
    for nth in 0..20 {
        store.commit(&many(nth, true)).unwrap();
        assert!(size("-wal") <= 6 << 20, "the log is {} bytes", size("-wal"));
    }
    connection::settle(&Connection::open(home.file("")).unwrap()).unwrap();
    let full = size("");
    for nth in 0..20 {
        store.commit(&many(nth, false)).unwrap();
    }
    while !store.commits().is_multiple_of(256) {
        store.commit(&days(0..1)).unwrap();
    }
    drop(store);
    assert!(size("") < full / 10, "{} of {full} bytes are left", size(""));
}
