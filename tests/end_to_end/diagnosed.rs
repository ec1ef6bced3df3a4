//! Diagnosis in a whole world: a real query, a log and events of the cluster and an HTTP check are attached to the
//! incident; the check that hangs holds up nobody.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use world::fault::Fault;
use world::slack::Call;
use world::webhook::Webhook;

const PATIENCE: Duration = Duration::from_secs(60);
const API: &str = "/api/runbookd/v1";

/// Steps of every kind. `HOST` and `HUNG` are servers of the world.
const STEPS: &str = r#"
alert_responses:
  high_memory:
    diagnosis:
      - {step: Who uses memory, query: 'container_memory_working_set_bytes{pod=~"$service-.+"}'}
      - {step: Read the log, logs: ""}
      - {step: Read the events, events: ""}
      - {step: Ask the service, http: "http://HOST/health?service=$service"}
      - {step: Ask the one that hangs, http: "http://HUNG/health"}
      - {step: Ask the tenant, query: 'up{tenant="$tenant"}'}
      - {step: Look at the dashboard, link: "http://HOST/d?service=$service"}
    actions: [Restart the service]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_diagnosis_finds_is_attached_and_a_step_that_hangs_delays_no_page() {
    let _alone = super::alone().await;
    let stage = super::stage().await;
    let (answers, hangs) = (Webhook::start().await.unwrap(), Webhook::start().await.unwrap());
    hangs.faults.set(Fault::Hang);
    let host = |server: &Webhook| server.door.url().trim_start_matches("http://").to_owned();
    let (host, hung) = (host(&answers), host(&hangs));
    let steps = STEPS.replace("HOST", &host).replace("HUNG", &hung);
    std::fs::write(stage.file("rules/diagnosis.yaml"), steps).unwrap();
    let tools = format!(
        "allowed_hosts: ['{host}', '{hung}']\n\
         diagnostic_tools:\n  more:\n    - {{name: traces, link: 'https://jaeger.example.org/$service'}}\n"
    );
    std::fs::write(stage.file("config/diagnosis.yaml"), tools).unwrap();
    stage.kubernetes.set_log("shop", "checkout", "started\nout of memory soon\n");
    stage
        .kubernetes
        .apply(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "checkout.1", "namespace": "shop"},
            "involvedObject": {"kind": "Deployment", "namespace": "shop", "name": "checkout"},
            "type": "Warning", "reason": "Unhealthy", "message": "probe failed",
            "lastTimestamp": "2026-11-23T03:00:00Z",
        }))
        .unwrap();
    let daemon = super::start(&stage).await;

    stage.shop.set_memory("checkout", 1.9e9).unwrap();
    let page = |call: &Call| call.text().starts_with("CRITICAL") && call.text().contains("memory");
    stage.slack.journal.wait_for(page, PATIENCE).await.unwrap();
    hangs.journal.wait_count(1, PATIENCE).await.unwrap();
    let paged = Instant::now();
    let incident = memory_incident(&daemon).await;
    let path = format!("{API}/incidents/{incident}");
    let step = |incident: &Value, name: &str| {
        let steps = incident["diagnosis"].as_array().unwrap();
        steps.iter().find(|step| step["step"] == name).cloned().unwrap_or(Value::Null)
    };
    let now = daemon.json(&path).await.unwrap();
    assert_eq!(step(&now, "Ask the one that hangs")["outcome"], "running", "people are paged before it ends");

    let ask = async |daemon: &world::daemon::Daemon| daemon.json(&path).await;
    let ended = |incident: &Value| {
        incident["diagnosis"].as_array().is_some_and(|it| it.iter().all(|step| step["outcome"] != "running"))
    };
    let incident = daemon.until(PATIENCE, ask, ended).await.unwrap();
    assert!(paged.elapsed() < Duration::from_secs(20), "a step that hangs is given up");
    let outcome = |name: &str| {
        let step = step(&incident, name);
        (
            step["outcome"].as_str().unwrap_or_default().to_owned(),
            step["text"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (found, table) = outcome("Who uses memory");
    assert_eq!(found, "found", "{incident:#}");
    assert!(table.contains("checkout-"), "{table}");
    assert_eq!(outcome("Read the log"), ("found".into(), "started\nout of memory soon".into()));
    let (found, events) = outcome("Read the events");
    assert_eq!(found, "found");
    assert!(events.contains("Warning Unhealthy deployment/checkout: probe failed"), "{events}");
    let (found, answer) = outcome("Ask the service");
    assert_eq!(found, "found");
    assert!(answer.starts_with("HTTP 400"), "{answer}");
    assert_eq!(outcome("Ask the one that hangs").0, "timed_out");
    assert_eq!(outcome("Ask the tenant").0, "no_label");

    let asked = &answers.journal.bodies()[0];
    assert_eq!(asked.path, "/health?service=checkout");
    assert_eq!((asked.header("authorization"), asked.header("cookie")), (None, None));
    let links = incident["links"].as_array().unwrap();
    assert!(
        links.contains(&json!({"name": "traces", "url": "https://jaeger.example.org/checkout"})),
        "{links:?}"
    );
    assert!(links.iter().any(|link| link["url"] == format!("http://{host}/d?service=checkout")), "{links:?}");
    let ticked = |name: &str| {
        let list = incident["checklist"].as_array().unwrap();
        list.iter().find(|item| item["text"] == name).map(|item| item["done_by"].clone())
    };
    assert_eq!(ticked("Read the log"), Some(json!("runbookd")));
    assert_eq!(ticked("Ask the one that hangs"), Some(Value::Null));
    assert_eq!(ticked("Look at the dashboard"), Some(Value::Null));

    let page = daemon.text(&format!("/incidents/{}", incident["id"].as_str().unwrap())).await.unwrap();
    for words in ["What runbookd found", "out of memory soon", "nothing found: timed out", "traces"] {
        assert!(page.contains(words), "the page lacks `{words}`:\n{page}");
    }
    let summary = |call: &Call| {
        call.text().contains("diagnosis 4/6") && call.body.to_string().contains("out of memory soon")
    };
    stage.slack.journal.wait_for(summary, PATIENCE).await.unwrap();
}

/// The number of the incident about memory.
async fn memory_incident(daemon: &world::daemon::Daemon) -> String {
    let list = daemon.json(&format!("{API}/incidents?state=open")).await.unwrap();
    let about = |incident: &&Value| incident["headline"].as_str().is_some_and(|it| it.contains("memory"));
    let items = list["items"].as_array().unwrap();
    items.iter().find(about).and_then(|it| it["id"].as_str()).expect("an open incident").to_owned()
}
