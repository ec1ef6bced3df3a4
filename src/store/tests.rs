//! The store's promises: what was committed is read back, whatever was done to the file in between is noticed, and a
//! commit is there whole or not at all.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rusqlite::Connection;

use super::commit::fault;
use super::connection::limit;
use super::*;
use crate::config::settings::StoreSettings;
use crate::domain::Timestamp;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::labels::Labels;
use crate::domain::name::TargetId;
use crate::domain::scaling::Axis;

fn instant() -> Timestamp {
    "2026-11-23T03:22:00Z".parse().unwrap()
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
        Change::Cooldown(target, Axis::Vertical, Some(instant())),
        Change::Numbered(20_261_123, 7),
    ]
}

/// Day `n` was numbered `n` times: as many different rows as are wanted.
fn days(range: std::ops::Range<u32>) -> Vec<Change> {
    range.map(|day| Change::Numbered(day, day)).collect()
}

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
            let axis = if wide { Axis::Horizontal } else { Axis::Vertical };
            Change::Cooldown(target, axis, there.then(|| Timestamp::from_second(until).unwrap()))
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

// === damage ===

/// A store of three checkpointed rows and a log with `tail` commits more, as a kill leaves it.
fn killed(tail: u32) -> Home {
    let home = Home::new();
    let mut store = home.open().0;
    store.commit(&changes()).unwrap();
    drop(store);
    let mut store = home.open().0;
    for day in 1..=tail {
        store.commit(&[Change::Numbered(day, day)]).unwrap();
    }
    kill(store, &home);
    home
}

#[test]
fn damage_is_noticed_and_what_is_sound_is_read() {
    let lost = |commits| Some(Finding::LostTail { commits, forgot: true });
    let damaged = Some(Finding::Damaged { rows: 1 });
    let cases: [(&str, u32, fn(&Home), Option<Finding>, usize); 12] = [
        ("nothing", 3, |_| (), None, 6),
        (
            "a flipped bit in a body",
            0,
            |home| flip(&home.file(""), place_of(&home.file(""), "\"2026-11-23T03") + 3),
            damaged.clone(),
            2,
        ),
        (
            "a flipped bit in a key",
            0,
            |home| flip(&home.file(""), place_of(&home.file(""), "Deployment") + 2),
            damaged.clone(),
            2,
        ),
        (
            "a body that is sound and cannot be read",
            3,
            |home| {
                let crc = checksum::checksum(&[b"numbered", b"20261123", b"\"many\""]);
                home.sql(&format!("UPDATE record SET body = '\"many\"', crc = {crc} WHERE key = '20261123'"));
            },
            damaged.clone(),
            5,
        ),
        ("a wrong commit number", 3, |home| home.sql("UPDATE meta SET value = 77"), damaged, 6),
        ("the log is gone", 3, |home| std::fs::remove_file(home.file("-wal")).unwrap(), lost(3), 3),
        (
            "the log is cut within its last commit",
            3,
            |home| {
                let log = std::fs::File::options().write(true).open(home.file("-wal")).unwrap();
                log.set_len(log.metadata().unwrap().len() - 100).unwrap();
            },
            lost(1),
            5,
        ),
        (
            "a flipped bit in the log takes all behind it along",
            3,
            |home| {
                let mid = std::fs::metadata(home.file("-wal")).unwrap().len() / 2;
                flip(&home.file("-wal"), usize::try_from(mid).unwrap());
            },
            lost(2),
            4,
        ),
        (
            "the file is gone",
            3,
            |home| {
                for tail in ["", "-wal", "-shm"] {
                    std::fs::remove_file(home.file(tail)).unwrap();
                }
            },
            lost(4),
            0,
        ),
        (
            "the file is empty",
            3,
            |home| {
                std::fs::remove_file(home.file("-wal")).unwrap();
                std::fs::write(home.file(""), "").unwrap();
            },
            lost(4),
            0,
        ),
        ("the head is gone", 3, |home| std::fs::remove_file(home.file(".head")).unwrap(), None, 6),
        (
            "the head is torn",
            3,
            |home| std::fs::write(home.file(".head"), "runbookd head 1 000").unwrap(),
            None,
            6,
        ),
    ];
    for (name, tail, harm, noticed, sound) in cases {
        let home = killed(tail);
        harm(&home);
        let (findings, read) = home.start();
        assert_eq!(findings, Vec::from_iter(noticed), "{name}");
        assert_eq!(read.len(), sound, "{name}: {read:?}");
        // It goes on from there, and says it once.
        let mut store = home.open().0;
        store.take_findings();
        store.commit(&[Change::Numbered(9, 9)]).unwrap();
        drop(store);
        let (findings, read) = home.start();
        assert_eq!((findings, read.len()), (Vec::new(), sound + 1), "{name}, afterwards");
    }
}

#[test]
fn damaged_rows_are_kept_for_whoever_looks() {
    let home = killed(0);
    flip(&home.file(""), place_of(&home.file(""), "\"2026-11-23T03") + 3);
    drop(home.open());
    let file = Connection::open(home.file("")).unwrap();
    let sql = "SELECT CAST(kind AS TEXT), length(body), found_at LIKE '20%Z' FROM damaged";
    let kept: (String, i64, bool) =
        file.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert!(kept.1 > 10 && kept.2, "{kept:?}");
}

#[test]
fn yesterdays_copy_is_noticed() {
    let home = killed(1);
    drop(home.open());
    let yesterday = std::fs::read(home.file("")).unwrap();
    let mut store = home.open().0;
    for day in 10..15 {
        store.commit(&days(day..day + 1)).unwrap();
    }
    drop(store);
    std::fs::write(home.file(""), yesterday).unwrap();
    let (findings, read) = home.start();
    assert_eq!(findings, [Finding::LostTail { commits: 5, forgot: true }]);
    assert!(findings[0].forgot());
    assert_eq!(read.len(), 4);
}

#[test]
fn a_broken_file_is_put_aside_with_its_date_and_what_can_be_read_is_saved() {
    /// How many rows it has: enough for many pages.
    const ROWS: u32 = 3000;
    let cases: [(&str, fn(&Path), std::ops::RangeInclusive<usize>); 4] = [
        (
            "the header is overwritten",
            |path| {
                let mut bytes = std::fs::read(path).unwrap();
                bytes[..100].fill(b'?');
                std::fs::write(path, bytes).unwrap();
            },
            0..=0,
        ),
        ("all of it is overwritten", |path| std::fs::write(path, "?".repeat(1 << 20)).unwrap(), 0..=0),
        (
            "its second half is gone",
            |path| {
                let file = std::fs::File::options().write(true).open(path).unwrap();
                file.set_len(file.metadata().unwrap().len() / 2 / 4096 * 4096).unwrap();
            },
            900..=2999,
        ),
        (
            "a page in the middle is overwritten",
            |path| {
                let mut bytes = std::fs::read(path).unwrap();
                let middle = bytes.len() / 2 / 4096 * 4096;
                bytes[middle..middle + 4096].fill(0xff);
                std::fs::write(path, bytes).unwrap();
            },
            2800..=2999,
        ),
    ];
    for (name, harm, sound) in cases {
        let home = Home::new();
        let mut store = home.open().0;
        store.commit(&days(0..ROWS)).unwrap();
        drop(store);
        harm(&home.file(""));
        let broken = std::fs::read(home.file("")).unwrap();
        let (findings, read) = home.start();
        let [Finding::MovedAside { to, saved, forgot: true }] = &findings[..] else {
            panic!("{name}: {findings:?}")
        };
        assert!(std::fs::read(to).unwrap() == broken, "{name}: nothing of it is lost");
        assert!(to.display().to_string().contains("store.db.damaged-20"), "{name}: {to:?}");
        assert_eq!(*saved, read.len(), "{name}");
        assert!(sound.contains(saved), "{name}: {saved} saved");
        let is_true = |change: &Change| matches!(change, Change::Numbered(day, count) if day == count);
        assert!(read.iter().all(is_true), "{name}: no row that was never written");
        let (findings, again) = home.start();
        assert_eq!((findings, again.len()), (Vec::new(), read.len()), "{name}: said once");
    }
}

#[test]
fn two_broken_files_of_one_second_have_two_names() {
    let home = Home::new();
    for nth in 1..=2 {
        home.open().0.commit(&days(0..1)).unwrap();
        std::fs::write(home.file(""), format!("no database {nth}")).unwrap();
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let file = std::fs::File::options().write(true).open(home.file("")).unwrap();
        file.set_modified(date).unwrap();
        assert_eq!(home.start().0.len(), 1);
    }
    let kept: Vec<String> =
        home.named("damaged").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(kept, ["no database 1", "no database 2"]);
}

// === failures ===

#[test]
fn whatever_statement_fails_the_commit_is_there_whole_or_not_at_all() {
    let mut outcomes = Vec::new();
    for after in 0.. {
        let home = Home::new();
        let mut store = home.open().0;
        store.commit(&changes()).unwrap();
        let (_, before) = (store.commits(), home.file(""));
        let next = [Change::Alert(alert("a\"b").0, None), Change::Numbered(1, 1), Change::Numbered(2, 2)];
        fault::AFTER.set(Some(after));
        let outcome = store.commit(&next);
        let failed = fault::AFTER.take().is_none();
        let commits = store.commits();
        let on_record = Connection::open(before)
            .unwrap()
            .query_row("SELECT value FROM meta", [], |row| row.get::<_, i64>(0))
            .unwrap();
        assert_eq!(
            u64::try_from(on_record).unwrap(),
            commits,
            "{after}: what the store says is what is on record"
        );
        assert_eq!(outcome.is_ok(), commits == 2, "{after}");
        outcomes.push(outcome.is_ok());
        // Whatever came of it, it works the next time, and the same changes again do no harm.
        store.commit(&next).unwrap();
        assert_eq!(store.take_findings(), []);
        drop(store);
        let (findings, read) = home.start();
        assert_eq!((findings, read.len()), (Vec::new(), 4), "{after}");
        if !failed {
            break;
        }
    }
    // The count, three rows, the number, the end; then one that had happened, and one that did not fail.
    assert_eq!(outcomes, [false, false, false, false, false, false, true, true]);
}

#[test]
fn a_failed_commit_leaves_nothing_of_itself() {
    for after in 0..6 {
        let home = Home::new();
        let mut store = home.open().0;
        store.commit(&changes()).unwrap();
        fault::AFTER.set(Some(after));
        store.commit(&[Change::Numbered(1, 1), Change::Numbered(2, 2), Change::Numbered(3, 3)]).unwrap_err();
        drop(store);
        assert_eq!(home.start(), (Vec::new(), changes()), "{after}");
    }
}

#[test]
fn a_full_disk_gives_up_its_ballast_and_takes_what_was_decided_once_there_is_room() {
    let home = Home::new();
    let mut store = home.open().0;
    store.commit(&changes()).unwrap();
    drop(store);
    assert!(home.file(".ballast").exists());
    limit::PAGES.set(Some(20));
    let mut store = home.open().0;
    let error = store.commit(&days(0..5000)).unwrap_err();
    assert_eq!(error.cause(), Cause::Full, "{error}");
    assert!(!home.file(".ballast").exists() && store.is_tight(), "the room is given up");
    store.commit(&[Change::Alert(alert("a\"b").0, None)]).unwrap();
    limit::PAGES.set(None);
    drop(store);
    let (mut store, read) = home.open();
    assert_eq!(
        (store.take_findings(), read.len()),
        (Vec::new(), 2),
        "the deletion is on record, the rest is not"
    );
    store.commit(&days(0..5000)).unwrap();
    assert!(home.file(".ballast").exists(), "the room is held again");
    drop(store);
    assert_eq!(home.start().1.len(), 5002);
}

#[test]
fn a_file_replaced_under_a_running_daemon_gets_everything_again() {
    let cases: [(&str, fn(&Home), Finding); 2] = [
        (
            "deleted",
            |home| {
                for tail in ["", "-wal", "-shm"] {
                    std::fs::remove_file(home.file(tail)).unwrap();
                }
            },
            Finding::LostTail { commits: 3, forgot: false },
        ),
        (
            "an older copy",
            |home| {
                let older = Home::new();
                older.open().0.commit(&days(0..1)).unwrap();
                for tail in ["-wal", "-shm"] {
                    std::fs::remove_file(home.file(tail)).unwrap();
                }
                std::fs::rename(older.file(""), home.file("")).unwrap();
            },
            Finding::LostTail { commits: 2, forgot: false },
        ),
    ];
    for (name, harm, finding) in cases {
        let home = Home::new();
        let mut store = home.open().0;
        for day in 5..8 {
            store.commit(&days(day..day + 1)).unwrap();
        }
        harm(&home);
        assert!(matches!(store.commit(&days(8..9)), Err(StoreError::Behind)), "{name}");
        assert!(matches!(store.commit(&[]), Err(StoreError::Behind)), "{name}: until everything is written");
        store.replace(&days(5..9)).unwrap();
        assert_eq!(store.take_findings(), [finding], "{name}");
        store.commit(&days(9..10)).unwrap();
        drop(store);
        assert_eq!(home.start(), (Vec::new(), days(5..10)), "{name}");
    }
}

#[test]
fn a_file_that_breaks_under_a_running_daemon_is_put_aside_and_everything_is_written_again() {
    let home = Home::new();
    let mut store = home.open().0;
    store.commit(&days(0..3)).unwrap();
    // Another connection cannot be used to break it; the next statement fails, and the file is found broken.
    fault::AFTER.set(Some(0));
    std::fs::write(home.file("-wal"), "").unwrap();
    std::fs::write(home.file(""), "?".repeat(8192)).unwrap();
    assert!(matches!(store.commit(&days(3..4)), Err(StoreError::Behind)));
    store.replace(&days(0..4)).unwrap();
    let findings = store.take_findings();
    assert!(matches!(&findings[..], [Finding::MovedAside { forgot: false, .. }]), "{findings:?}");
    drop(store);
    assert_eq!(home.start(), (Vec::new(), days(0..4)));
}

#[test]
fn a_store_that_cannot_be_opened_runs_from_memory_and_takes_everything_later() {
    let home = Home::new();
    // A folder stands where the file should be: nobody, not even root, can open it.
    std::fs::create_dir(home.file("")).unwrap();
    let (mut store, read) = home.open();
    let findings = store.take_findings();
    assert!(
        matches!(&findings[..], [Finding::InMemory { cause: Cause::CannotOpen, forgot: true, .. }]),
        "{findings:?}"
    );
    assert_eq!(read, []);
    store.commit(&days(0..2)).unwrap_err();
    std::fs::remove_dir(home.file("")).unwrap();
    assert!(matches!(store.commit(&days(0..2)), Err(StoreError::Behind)));
    store.replace(&days(0..2)).unwrap();
    drop(store);
    assert_eq!(home.start(), (Vec::new(), days(0..2)));
}

#[test]
fn what_was_never_read_is_put_aside_and_not_overwritten() {
    let home = Home::new();
    home.open().0.commit(&changes()).unwrap();
    let hidden = home.folder.path().join("elsewhere");
    std::fs::rename(home.file(""), &hidden).unwrap();
    std::fs::create_dir(home.file("")).unwrap();
    let mut store = home.open().0;
    store.take_findings();
    std::fs::remove_dir(home.file("")).unwrap();
    std::fs::rename(&hidden, home.file("")).unwrap();
    assert!(matches!(store.commit(&days(0..2)), Err(StoreError::Behind)));
    store.replace(&days(0..2)).unwrap();
    let findings = store.take_findings();
    let [Finding::MovedAside { to, forgot: true, .. }] = &findings[..] else { panic!("{findings:?}") };
    let aside = Store::open(&StoreSettings::Sqlite(to.clone())).unwrap();
    assert_eq!(aside.1, changes(), "it can be opened where it is now");
    drop(store);
    assert_eq!(home.start(), (Vec::new(), days(0..2)));
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
