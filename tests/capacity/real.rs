//! The whole way: a real Prometheus with a month of past, the daemon, its API and the commands that ask it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use runbookd::cli::check::Output;
use world::daemon::Daemon;
use world::prometheus::Prometheus;

use crate::commands::{capacity_of, tenant_of};
use crate::made::DAY;

const PATIENCE: Duration = Duration::from_secs(60);

const RULES: &str = "
metrics:
  tenant_requests: {query: 'sum by (tenant) (requests) > 0', unit: count}
  tenant_data: {query: 'sum by (tenant) (data_bytes)', unit: bytes}
  used_database: {query: 'sum(data_bytes)', unit: bytes}
  error_rate: {query: 'max by (tenant) (errors)', unit: ratio}
monitoring:
  metrics:
    application:
      - error_rate:
          warning: 1%
          overrides: [{match: {tenant: tenant-000}, warning: 5%}]
resource_requirements:
  compute:
    cpu: {base: 2 cores, per_tenant: 0.1 cores, available: 16 cores}
    memory: {base: 4GB, per_tenant: 256MB, available: 400GB}
  storage:
    database: {base: 20GB, per_tenant: 1GB, available: 500GB}
backup_configuration:
  schedules: {full_backup: {frequency: daily, retention: 30 days}}
";

/// A tenant more every twelve hours, 61 of them since 30 days before: 120 at the end. Each stores a gigabyte a day.
fn past(now: i64) -> String {
    let start = now - 31 * DAY;
    let mut text = String::new();
    for (name, value) in [("requests", "2"), ("errors", "0.02")] {
        writeln!(text, "# TYPE {name} gauge").unwrap();
        for tenant in 0..120 {
            let since = start + (tenant - 58).max(0) * DAY / 2;
            for at in (since..=now + 600).step_by(300) {
                writeln!(text, "{name}{{tenant=\"tenant-{tenant:03}\"}} {value} {at}").unwrap();
            }
        }
    }
    writeln!(text, "# TYPE data_bytes gauge").unwrap();
    for at in (start..=now + 600).step_by(300) {
        let data = 1_000_000_000 + (at - start) * 11_574;
        writeln!(text, "data_bytes{{tenant=\"tenant-000\"}} {data} {at}").unwrap();
    }
    text.push_str("# TYPE backup_last_success_timestamp_seconds gauge\n");
    for at in (now - 600..=now + 600).step_by(60) {
        let copy = now - 7_200;
        writeln!(
            text,
            "backup_last_success_timestamp_seconds{{kind=\"full_backup\",tenant=\"tenant-000\"}} {copy} {at}"
        )
        .unwrap();
    }
    text.push_str("# EOF\n");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_of_a_real_prometheus_becomes_a_date_a_table_and_a_checked_list() {
    let now = jiff::Timestamp::now().as_second();
    let prometheus = Prometheus::with_past(&past(now)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["config", "rules"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let text = format!("prometheus: {{url: '{}'}}\nevaluation: {{interval: 1s}}\n", prometheus.url());
    std::fs::write(folder.path().join("config/config.yaml"), text).unwrap();
    std::fs::write(folder.path().join("rules/rules.yaml"), RULES).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let binary = Path::new(env!("CARGO_BIN_EXE_runbookd"));
    let daemon = Daemon::start(binary, folder.path(), &[], &listen).await.unwrap();
    let url = daemon.url().to_owned();

    let answer = until(&daemon, "capacity?series=true", |answer| {
        let model = &answer["items"][0];
        !model["forecast"].is_null()
            && model["tenants"].is_number()
            && answer["growth"].as_array().is_some_and(|it| it.len() == 2)
    })
    .await;
    let model = &answer["items"][0];
    assert_eq!((model["tenants"].as_f64(), model["fits"].as_f64()), (Some(120.0), Some(140.0)), "{model:#}");
    assert_eq!((model["binding"].as_str(), model["headroom"].as_f64()), (Some("cpu"), Some(20.0)));
    let a_day = model["forecast"]["growth_a_day"]["value"].as_f64().unwrap();
    assert!((1.9..2.1).contains(&a_day), "two tenants a day, not {a_day}");
    let held_out = &model["forecast"]["held_out"];
    assert!(held_out["mape"].as_f64().is_some_and(|mape| mape < 0.02), "{held_out}");
    assert_eq!(model["forecast"]["season"], "week");
    let past = model["forecast"]["past"].as_array().unwrap();
    assert!(past.len() == 241 && past.iter().filter(|point| point[1].is_number()).count() > 230);
    let resource = |name: &str| {
        let list = model["resources"].as_array().unwrap();
        list.iter().find(|it| it["resource"] == name).cloned().unwrap()
    };
    let left = resource("cpu")["runs_out"]["left_seconds"].as_f64().unwrap() / 86_400.0;
    assert!((9.0..12.0).contains(&left), "20 more at 2 a day are 10 days, not {left}");
    // The data grow by a gigabyte a day: 469 days, beyond the horizon; by the model 360 tenants more take 180 days.
    let database = resource("database");
    assert_eq!(database["runs_out"]["basis"], "tenants", "{database:#}");
    assert!(database["used"].as_f64().is_some_and(|used| (31e9..33e9).contains(&used)), "{database:#}");
    let grown = &answer["growth"][0];
    assert_eq!(grown["metric"], "tenant_data");
    let a_day = grown["tenants"][0]["a_day"].as_f64().unwrap();
    assert!((0.99e9..1.01e9).contains(&a_day), "{grown:#}");

    let (code, table, err) = capacity_of(&url, Output::Human).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(table.starts_with("platform: 120 tenants, 140 fit, 20 more (cpu binds)\n"), "{table}");
    assert!(table.contains("tenants grow by 14 a week") && table.contains("TENANT_DATA"), "{table}");
    let (code, json, _) = capacity_of(&url, Output::Json).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["items"][0]["headroom"]), (0, &model["headroom"]));

    until(&daemon, "tenants/tenant-000", |answer| {
        answer["checks"].as_array().is_some_and(|it| it.iter().all(|check| check["verdict"] == "yes"))
    })
    .await;
    let (code, list, _) = tenant_of(&url, Some("tenant-000"), Output::Human).await;
    assert_eq!(code, 0, "{list}");
    for words in [
        "[x]  Set up monitoring",
        "seen, 2 requests/s",
        "takes 0.1 cores cpu, 256 MB memory, 1 GB database",
        "5 %",
    ] {
        assert!(list.contains(words), "`{words}` is missing:\n{list}");
    }
    let (code, list, _) = tenant_of(&url, Some("Nobody"), Output::Human).await;
    assert!(code == 1 && list.contains("[ ]  Tenant ID validation"), "{list}");
    let (code, list, _) = tenant_of(&url, None, Output::Human).await;
    assert!(code == 0 && list.lines().count() == 121, "{list}");

    let name = "runbookd_capacity_headroom_tenants{model=\"platform\",resource=\"cpu\"}";
    assert_eq!(daemon.metric(name).await.unwrap(), Some(20.0));

    let picture = folder.path().join("capacity.png");
    let arguments = ["capacity", "--url", &url, "--plot", picture.to_str().unwrap()];
    let ended = tokio::process::Command::new(binary).args(arguments).output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    let png = std::fs::read(&picture).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000, "{} bytes", png.len());
    if let Some(folder) = std::env::var_os("PICTURES") {
        std::fs::write(Path::new(&folder).join("capacity.png"), png).unwrap();
        std::fs::write(Path::new(&folder).join("capacity.txt"), table).unwrap();
    }
}

/// Asks the API until the answer is what is waited for.
async fn until(daemon: &Daemon, path: &str, is_so: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let path = format!("/api/runbookd/v1/{path}");
    daemon.until(PATIENCE, async |daemon: &Daemon| daemon.json(&path).await, is_so).await.unwrap()
}
