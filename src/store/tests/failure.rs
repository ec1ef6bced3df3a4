//! Failures while the store runs: at any statement, of the disk, of the file itself.

use rusqlite::Connection;

use super::*;
use crate::store::commit::fault;
use crate::store::connection::limit;

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
fn a_lock_of_somebody_else_is_not_waited_for_long() {
    let home = Home::new();
    let mut store = home.open().0;
    let other = Connection::open(home.file("")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = std::time::Instant::now();
    assert_eq!(store.commit(&days(0..1)).unwrap_err().cause(), Cause::Busy);
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(&days(0..1)).unwrap();
    assert_eq!(store.take_findings(), []);
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
    let cases: [(&str, Harm, Finding); 2] = [
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
