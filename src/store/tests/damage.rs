//! Damage: what is done to the files between two starts, what must be noticed, and what must still be read.

use std::ops::RangeInclusive;
use std::path::Path;

use rusqlite::Connection;

use super::*;

/// What is done to the database file.
type Break = fn(&Path);

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
    let cases: [(&str, u32, Harm, Option<Finding>, usize); 12] = [
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
    let cases: [(&str, Break, RangeInclusive<usize>); 4] = [
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
