//! What a power loss leaves: the disk is rebuilt from the daemon's own system calls, with nothing on it but what was
//! synced. A kill cannot test that, because what was written and not synced outlives the process.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use runbookd::config::settings::StoreSettings;
use runbookd::store::Store;
use serde_json::json;
use tokio::process::Command;
use world::daemon::Daemon;
use world::journal::Entry;
use world::prometheus::Prometheus;
use world::webhook::{Hook, Webhook};

use super::disk::{Call, Disk};

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

/// Each sync takes 10 s, as on a disk that hangs: people are paged without it, and it is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_holds_up_no_page() {
    let _alone = super::alone().await;
    let home = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(&[], Duration::from_secs(1)).await.unwrap();
    let sink = Webhook::start().await.unwrap();
    lay_out(home.path(), &prometheus.url(), &sink.url());
    drop(Store::open(&StoreSettings::Sqlite(home.path().join("store.db"))).unwrap());
    let hanging =
        traced(home.path(), super::BINARY, "-e inject=fsync,fdatasync:delay_enter=10000000:when=1+").await;
    let trace = home.path().join("trace");
    let reader = std::thread::spawn(move || std::fs::read_to_string(trace).unwrap());
    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let daemon = Daemon::start(&hanging, home.path(), &[], &listen).await.unwrap();
    let told = sink.journal.wait_count(SERVICES + 1, PATIENCE).await.unwrap();
    let is_about_the_store = |entry: &Entry<Hook>| entry.body.body["incident"]["type"] == "store_failing";
    assert_eq!(
        told.iter().filter(|entry| is_about_the_store(entry)).count(),
        1,
        "people hear that it is not on record"
    );
    assert_eq!(daemon.metric("runbookd_store_failing").await.unwrap(), Some(1.0));
    assert_eq!(daemon.metric("runbookd_store_commits_total{outcome=\"committed\"}").await.unwrap(), None);
    daemon.kill().await.unwrap();
    reader.join().unwrap();
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
