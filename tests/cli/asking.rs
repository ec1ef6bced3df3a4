//! Commands that ask the daemon: what they print and the code they end with, against the real binary.

use std::time::Duration;

use serde_json::Value;
use world::daemon::Daemon;
use world::prometheus::Prometheus;

use crate::binary::{Ran, run};

const RULES: &str = "
metrics:
  cpu_usage: {query: 'label_replace(vector(0.95), \"service\", \"checkout\", \"\", \"\")', unit: ratio}
monitoring:
  metrics:
    shop:
      - cpu_usage: {warning: 70%, critical: 90%}
scale_out_strategy:
  triggers: {cpu_sustained: 99%}
  actions: {horizontal: {step: +2 replicas, cool_down: 5m}}
  targets:
    - {service: checkout, namespace: shop, kind: Deployment, name: checkout, min_replicas: 2, max_replicas: 9}
";

struct World {
    _prometheus: Prometheus,
    _folder: tempfile::TempDir,
    daemon: Daemon,
}

impl World {
    async fn start() -> Self {
        let prometheus = Prometheus::start(&[], Duration::from_secs(60)).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let config = format!(
            "prometheus: {{url: \"{}\"}}\nevaluation: {{interval: 1s}}\nkubernetes: {{mode: off}}\n",
            prometheus.url()
        );
        file("config/runbookd.yaml", &config);
        file("rules/rules.yaml", RULES);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_runbookd"));
        let daemon = Daemon::start(binary, folder.path(), &[], &port.to_string()).await.unwrap();
        Self { _prometheus: prometheus, _folder: folder, daemon }
    }

    /// Asks this daemon.
    fn ask(&self, args: &[&str]) -> Ran {
        run(&[args, &["--url", self.daemon.url()][..]].concat())
    }

    /// Asks for JSON.
    fn json(&self, args: &[&str]) -> Value {
        let ran = self.ask(&[args, &["--output", "json"][..]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    fn says(&self, args: &[&str], code: i32, words: &str) {
        let ran = self.ask(args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains(words), "{args:?}: wanted {words}, got {said}");
        assert!(!said.contains('\u{1b}'), "a pipe sees no colour");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_seen_taken_and_ended_from_the_command_line() {
    let world = World::start().await;
    let list = "/api/runbookd/v1/incidents";
    let ask = async |daemon: &Daemon| daemon.json(list).await;
    let is_there = |found: &Value| found["items"][0]["id"].is_string();
    world.daemon.until(Duration::from_secs(60), ask, is_there).await.unwrap();
    let id = world.json(&["incidents"])["items"][0]["id"].as_str().unwrap().to_owned();
    let end = id.rsplit('-').next().unwrap().to_owned();
    world.says(&["incidents"], 0, "1 not acknowledged → runbookd ack INC-");
    world.says(&["incidents", &end], 0, &id);
    world.says(&["ack", &end, "--by", "Ana", "--for", "2h"], 0, "is acknowledged by Ana");
    world.says(&["incidents", "--state", "acknowledged"], 0, "none waits for an acknowledgement");
    world.says(&["ack", &id, "--for", "soon"], 1, "is no duration");
    world.says(&["ack", "INC-20200101-0001"], 1, "there is no incident");
    world.says(&["incidents", "--state", "sleepy"], 2, "invalid value");

    world.says(&["silence", "list"], 0, "there is no silence");
    let comment = ["--comment", "load test", "--by", "Ana"];
    world.says(&[&["silence", "add", "service=checkout"][..], &comment].concat(), 0, "is active until");
    world.says(&[&["silence", "add", "=x"][..], &comment].concat(), 1, "is no matcher");
    let silences = world.json(&["silence", "list"]);
    for silence in silences["items"].as_array().unwrap() {
        world.says(&["silence", "expire", silence["id"].as_str().unwrap()], 0, "is expired");
    }
    world.says(&["silence", "list"], 0, "there is no silence");

    world.says(&["scaling"], 0, "shop/checkout  2..9");
    world.says(
        &["scaling", "pause", "shop/checkout", "--reason", "load test", "--by", "Ana"],
        0,
        "is paused by Ana",
    );
    world.says(&["scaling"], 0, "PAUSED by Ana: load test");
    world.says(&["scaling", "resume", "shop/checkout"], 0, "is not paused");
    world.says(&["scaling", "resume", "shop/nobody"], 1, "there is no target shop/nobody");

    world.says(&["check-health"], 0, "alive  yes");
    world.says(&["get-metrics", "runbookd_incidents{"], 0, "state=\"acknowledged\"} 1");
    assert!(world.json(&["get-metrics"])["items"].as_array().unwrap().len() > 20);
    world.says(&["resolve", &id, "--by", "Ana"], 0, "is resolved");
}

#[test]
fn a_daemon_that_cannot_be_reached_is_3_with_what_was_tried() {
    let nobody = "http://127.0.0.1:1";
    for args in [
        &["alerts"][..],
        &["incidents"],
        &["incidents", "0007"],
        &["ack", "0007"],
        &["resolve", "INC-20261123-0007"],
        &["silence", "list"],
        &["silence", "add", "service=checkout", "--comment", "why"],
        &["silence", "expire", "1"],
        &["scaling"],
        &["scaling", "resume", "shop/checkout"],
        &["explain", "INC-20261123-0007"],
        &["check-health"],
        &["get-metrics"],
        &["capacity"],
        &["tenant"],
    ] {
        let ran = run(&[args, &["--url", nobody][..]].concat());
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.err);
        assert!(
            ran.err.starts_with("could not ask the daemon: tried http://127.0.0.1:1/"),
            "{args:?}: {}",
            ran.err
        );
        assert_eq!(ran.out, "", "{args:?}");
    }
    let ran = run(&["alerts", "--url", nobody, "--token-file", "no-such-file"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("cannot read the token in no-such-file"), "{}", ran.err);
}

#[test]
fn every_command_has_help_with_what_it_is_for() {
    let help = run(&["--help"]).out;
    for line in
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty())
    {
        let Some(name) =
            line.split_whitespace().next().filter(|_| line.starts_with("  ") && !line.starts_with("   "))
        else {
            continue;
        };
        if name == "help" {
            continue;
        }
        let ran = run(&[name, "--help"]);
        assert_eq!(ran.code, 0, "{name}");
        assert!(ran.out.contains("Usage: runbookd"), "{name}");
        assert_eq!(run(&[name, "--no-such-flag"]).code, 2, "{name}");
    }
}
