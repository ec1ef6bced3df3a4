//! What a power loss leaves: the disk is rebuilt from the daemon's own system calls, with nothing on it but what was
//! synced. A kill cannot test that, because what was written and not synced outlives the process.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use runbookd::config::settings::StoreSettings;
use runbookd::domain::change::Change;
use runbookd::store::Store;
use serde_json::json;
use tokio::process::Command;
use world::daemon::Daemon;
use world::prometheus::Prometheus;
use world::webhook::{Hook, Webhook};

const PATIENCE: Duration = Duration::from_secs(60);
const CALLS: &str = "trace=pwrite64,pwritev,write,writev,sendto,sendmsg,fdatasync,fsync,ftruncate";

/// How many services are in trouble: as many incidents, each told when it opens, is taken and is over.
const SERVICES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_notice_is_synced_to_disk_before_its_first_byte_leaves() {
    let _alone = super::alone().await;
    let home = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&[], Duration::from_secs(1)).await.unwrap();
    let sink = Webhook::start().await.unwrap();
    lay_out(home.path(), &prometheus.url(), &sink.url());
    let traced = traced(home.path(), super::BINARY, "").await;
    let trace = home.path().join("trace");
    let reader = std::thread::spawn(move || std::fs::read_to_string(trace).unwrap());

    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let daemon = Daemon::start(&traced, home.path(), &[], &listen).await.unwrap();
    sink.journal.wait_count(SERVICES, PATIENCE).await.unwrap();
    let incidents = daemon.json("/api/runbookd/v1/incidents").await.unwrap();
    for incident in incidents["items"].as_array().unwrap() {
        let one = format!("/api/runbookd/v1/incidents/{}", incident["id"].as_str().unwrap());
        for (nth, verb) in ["acknowledge", "resolve"].iter().enumerate() {
            let told = sink.journal.count();
            let (code, _) = daemon.post(&format!("{one}/{verb}"), &json!({"by": "Ana"})).await.unwrap();
            assert_eq!(code, 200, "{nth}");
            sink.journal.wait_count(told + 1, PATIENCE).await.unwrap();
        }
    }
    assert_eq!(daemon.terminate().await.unwrap(), Some(0));
    let trace = reader.join().unwrap();
    let received: Vec<String> = sink
        .journal
        .bodies()
        .iter()
        .map(|hook| hook.header("idempotency-key").expect("each notice has its id").to_owned())
        .collect();

    let mut disk = Disk::default();
    let mut left = Vec::new();
    let mut waiting: BTreeMap<&str, Call> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, line)) = line.split_once(' ') else { continue };
        let line = line.trim_start();
        if line.starts_with("<... ") {
            let done = !line.contains(" = -1 ");
            if let Some(call) = waiting.remove(thread).filter(|_| done) {
                disk.ended(&call);
            }
            continue;
        }
        let Some(call) = Call::read(line) else { continue };
        if let Some(id) = received.iter().find(|id| call.carries(id)) {
            assert!(disk.holds(id), "{id} left before it was on disk");
            left.push(id.clone());
        }
        disk.began(&call);
        if line.ends_with("<unfinished ...>") {
            waiting.insert(thread, call);
        } else if !line.contains(" = -1 ") {
            disk.ended(&call);
        }
    }
    assert!(left.len() >= SERVICES * 3, "only {} notices were seen leaving: {left:?}", left.len());
    assert_eq!(left.len(), received.len(), "every notice that came was seen leaving");
    assert!(disk.syncs > SERVICES, "only {} syncs were seen", disk.syncs);
    let last = left.last().unwrap();
    assert!(
        !disk.without_log().holds(last),
        "without the log the last notice is not there: the oracle sees a loss"
    );
}

/// The log's sync fails a few times, as on a disk that gives way: whether those commits happened is not known then. The
/// page leaves, nothing is told twice, and everything is on record once the disk works again, a kill notwithstanding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_fails_loses_no_page_and_repeats_none() {
    let _alone = super::alone().await;
    let home = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&[], Duration::from_secs(1)).await.unwrap();
    let sink = Webhook::start().await.unwrap();
    lay_out(home.path(), &prometheus.url(), &sink.url());
    // The file is made before, so that what fails are commits.
    drop(Store::open(&StoreSettings::Sqlite(home.path().join("store.db"))).unwrap());
    let failing = traced(home.path(), super::BINARY, "-e inject=fsync,fdatasync:error=EIO:when=1..8").await;
    let trace = home.path().join("trace");
    let reader = std::thread::spawn(move || std::fs::read_to_string(trace).unwrap());
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let daemon = Daemon::start(&failing, home.path(), &[], &listen).await.unwrap();
    let opened =
        |hook: &Hook| hook.body["event"] == "opened" && hook.body["incident"]["type"] != "store_failing";
    for nth in 0..SERVICES {
        let of_service = |hook: &Hook| opened(hook) && hook.body.to_string().contains(&format!("\"s{nth}\""));
        sink.journal.wait_for(of_service, PATIENCE).await.unwrap();
    }
    let works = async |daemon: &Daemon| {
        let failed = daemon.metric("runbookd_store_commits_total{outcome=\"failed\"}").await?.unwrap_or(0.0);
        Ok((
            daemon.metric("runbookd_store_failing").await?,
            daemon.metric("runbookd_outbox_messages").await?,
            failed,
        ))
    };
    let settled = |(failing, outbox, failed): &(Option<f64>, Option<f64>, f64)| {
        *failing == Some(0.0) && *outbox == Some(0.0) && *failed > 0.0
    };
    daemon.until(PATIENCE, works, settled).await.unwrap();
    let before = daemon.json("/api/runbookd/v1/incidents").await.unwrap();
    daemon.kill().await.unwrap();
    let injected = reader.join().unwrap().lines().filter(|line| line.contains("(INJECTED)")).count();
    assert!(injected > 0, "no sync failed");

    let told = sink.journal.count();
    let daemon = Daemon::start(Path::new(super::BINARY), home.path(), &[], &listen).await.unwrap();
    let answered = async |daemon: &Daemon| {
        Ok(daemon.metric(r#"runbookd_queries_total{outcome="answered"}"#).await?.unwrap_or(0.0))
    };
    daemon.until(PATIENCE, answered, |count| *count >= 2.0).await.unwrap();
    let after = daemon.json("/api/runbookd/v1/incidents").await.unwrap();
    let ids = |list: &serde_json::Value| -> Vec<(serde_json::Value, serde_json::Value)> {
        list["items"].as_array().unwrap().iter().map(|it| (it["id"].clone(), it["state"].clone())).collect()
    };
    assert_eq!(ids(&after), ids(&before), "everything was on record when it was killed");
    assert_eq!(sink.journal.count(), told, "nothing is told again");
    let pages: Vec<String> = sink
        .journal
        .bodies()
        .iter()
        .map(|hook| hook.header("idempotency-key").expect("each notice has its id").to_owned())
        .collect();
    let different: std::collections::BTreeSet<_> = pages.iter().collect();
    assert_eq!(different.len(), pages.len(), "no notice came twice: {pages:?}");
}

/// The daemon's folder.
fn lay_out(home: &Path, prometheus: &str, sink: &str) {
    for folder in ["config", "rules"] {
        std::fs::create_dir(home.join(folder)).unwrap();
    }
    let config = format!(
        "prometheus: {{url: '{prometheus}'}}\n\
         evaluation: {{interval: 1s}}\n\
         store: {{url: 'sqlite:store.db'}}\n\
         channels:\n  audit: {{webhook: {{url: '{sink}'}}}}\n\
         communication:\n  channels: {{primary: audit}}\n  notify: {{warning: [primary], critical: [primary]}}\n"
    );
    std::fs::write(home.join("config/config.yaml"), config).unwrap();
    let series = (0..SERVICES)
        .map(|nth| format!("label_replace(vector(0.9), \"service\", \"s{nth}\", \"\", \"\")"))
        .collect::<Vec<_>>()
        .join(" or ");
    let rules = format!(
        "metrics:\n  load: {{query: '{series}', unit: ratio}}\n\
         monitoring:\n  metrics:\n    system:\n      - load: {{warning: 70%, group_by: [service]}}\n"
    );
    std::fs::write(home.join("rules/rules.yaml"), rules).unwrap();
}

/// A program that runs the daemon under `strace`, which writes to the pipe `trace` and makes calls fail.
async fn traced(home: &Path, binary: &str, faults: &str) -> std::path::PathBuf {
    let strace = Command::new("strace").arg("--version").output().await;
    assert!(strace.is_ok_and(|it| it.status.success()), "strace is missing: run `make setup`");
    let pipe = Command::new("mkfifo").arg(home.join("trace")).status().await.unwrap();
    assert!(pipe.success());
    let script = home.join("traced");
    // -D: the daemon is the child, so that signals reach it.
    let text = format!(
        "#!/bin/sh\nexec strace -D -f -y -xx -s 1048576 -e {CALLS} {faults} -o trace {binary} \"$@\"\n"
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// One system call of the trace, as far as it matters.
struct Call {
    name: String,
    /// What the descriptor leads to.
    path: String,
    data: Vec<u8>,
    /// Where a write begins, or how long a file becomes.
    at: usize,
}

impl Call {
    /// Reads `pwrite64(7</home/store.db-wal>, "\x37\x7f", 2, 0) = 2`; the end may be missing.
    fn read(line: &str) -> Option<Self> {
        let (name, rest) = line.split_once('(')?;
        let (descriptor, rest) = rest.split_once('>')?;
        let (_, path) = descriptor.split_once('<')?;
        let path = unescaped(path);
        let data = rest.split('"').skip(1).step_by(2).map(unescaped).collect::<Vec<_>>().concat();
        let numbers = rest.rsplit_once('"').map_or(rest, |(_, after)| after);
        let mut numbers = numbers
            .split(|c: char| !c.is_ascii_digit())
            .filter(|text| !text.is_empty())
            .map(|text| text.parse().unwrap());
        let at = if name == "ftruncate" { numbers.next() } else { numbers.nth(1) };
        let path = String::from_utf8_lossy(&path).into_owned();
        Some(Self { name: name.into(), path, data, at: at.unwrap_or(0) })
    }

    fn is_file(&self) -> bool {
        self.path.ends_with("/store.db") || self.path.ends_with("/store.db-wal")
    }

    fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync")
    }

    /// Whether this is the sending of the notice.
    fn carries(&self, id: &str) -> bool {
        !self.path.starts_with('/') && self.data.windows(id.len()).any(|window| window == id.as_bytes())
    }
}

/// The bytes of `\x41\x42`, and of what is not escaped.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// The files of the store, as a disk that loses its power has them.
#[derive(Default)]
struct Disk {
    files: BTreeMap<String, File>,
    syncs: usize,
}

#[derive(Default, Clone)]
struct File {
    /// What is on the disk for good.
    synced: Vec<u8>,
    /// What was written since: where, and what; `None` cuts the file there.
    written: Vec<(usize, Option<Vec<u8>>)>,
    /// How much of it had been written when the running sync began.
    covered: usize,
}

impl Disk {
    fn began(&mut self, call: &Call) {
        if !call.is_file() {
            return;
        }
        let file = self.files.entry(call.path.clone()).or_default();
        match call.name.as_str() {
            "pwrite64" => file.written.push((call.at, Some(call.data.clone()))),
            "ftruncate" => file.written.push((call.at, None)),
            "fdatasync" | "fsync" => file.covered = file.written.len(),
            other => panic!("the store writes by {other}, which this test does not know"),
        }
    }

    fn ended(&mut self, call: &Call) {
        if !call.is_file() || !call.is_sync() {
            return;
        }
        self.syncs += 1;
        let file = self.files.entry(call.path.clone()).or_default();
        let covered = std::mem::take(&mut file.covered);
        let writes: Vec<_> = file.written.drain(..covered).collect();
        for write in writes {
            apply(&mut file.synced, &write);
        }
    }

    /// Whether the notice is read from what a power loss leaves now, whichever of the unsynced writes made it.
    fn holds(&self, id: &str) -> bool {
        let survivors: [fn(usize) -> bool; 4] = [|_| false, |_| true, |nth| nth % 2 == 0, |nth| nth % 2 == 1];
        survivors.iter().all(|survives| {
            let home = tempfile::tempdir().unwrap();
            for (path, file) in &self.files {
                let mut bytes = file.synced.clone();
                for (_, write) in file.written.iter().enumerate().filter(|(nth, _)| survives(*nth)) {
                    apply(&mut bytes, write);
                }
                let name = Path::new(path).file_name().unwrap();
                std::fs::write(home.path().join(name), bytes).unwrap();
            }
            let settings = StoreSettings::Sqlite(home.path().join("store.db"));
            let (_store, committed) = Store::open(&settings).unwrap();
            committed.iter().any(|change| matches!(change, Change::Notice(it, Some(_)) if it.as_str() == id))
        })
    }

    /// The same disk, had the log never been synced.
    fn without_log(&self) -> Self {
        let kept = self.files.iter().filter(|(path, _)| !path.ends_with("-wal"));
        Self { files: kept.map(|(path, file)| (path.clone(), file.clone())).collect(), syncs: 0 }
    }
}

fn apply(bytes: &mut Vec<u8>, (at, data): &(usize, Option<Vec<u8>>)) {
    match data {
        Some(data) => {
            if bytes.len() < at + data.len() {
                bytes.resize(at + data.len(), 0);
            }
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
        None => bytes.resize(*at, 0),
    }
}
