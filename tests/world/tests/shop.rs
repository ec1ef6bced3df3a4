//! The shipped metric catalogue against a real Prometheus that scrapes the shop: every query answers in its unit, and
//! the shop reacts to load and to scaling as rules expect it to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the functions between the tests are tests too"
)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use world::shop::{Blueprint, Database, Pod, Profile, Shop, StaticFleet};

/// How long a metric may take to follow: a window of ten seconds, scrapes, and a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const GIB: u64 = 1 << 30;

#[derive(Deserialize)]
struct Catalogue {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Deserialize)]
struct Metric {
    query: String,
    unit: String,
    help: String,
}

/// One answer: labels, value.
type Sample = (BTreeMap<String, String>, f64);

fn shipped(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn catalogue() -> BTreeMap<String, Metric> {
    let mut metrics = serde_yaml::from_str::<Catalogue>(&shipped("rules/catalogue.yaml")).unwrap().metrics;
    // The loader puts the tenants that fit here, by resource_requirements.yaml; this is its CPU.
    let fits = format!("(floor((sum({}) - 2) / 0.1) > 0)", metrics["capacity_cpu"].query.trim());
    let active = metrics.get_mut("active_tenants").unwrap();
    assert!(active.query.contains("$tenants_that_fit"));
    active.query = active.query.replace("$tenants_that_fit", &fits);
    metrics
}

/// The query with every range, such as `[5m]`, cut to ten seconds.
fn hasten(query: &str) -> String {
    let mut parts = query.split('[');
    let mut hastened = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        hastened.push('[');
        let range = part.find(']').filter(|&end| {
            let (digits, unit) = part[..end].split_at(end.saturating_sub(1));
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && "smhd".contains(unit)
        });
        match range {
            Some(end) => hastened.extend(["10s", &part[end..]]),
            None => hastened.push_str(part),
        }
    }
    hastened
}

struct Prometheus {
    url: String,
    http: reqwest::Client,
    _process: Child,
    _data: tempfile::TempDir,
}

impl Prometheus {
    async fn scraping(shop: &Shop) -> Self {
        // A second installation in the same process is refused, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("prometheus.yml");
        std::fs::write(&config, shop.prometheus_config(Duration::from_secs(1))).unwrap();
        // The port is free when asked for and may be taken a moment later: then the process ends and another is tried.
        for _ in 0..5 {
            let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
            let mut process = Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=error")
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("prometheus is installed");
            let url = format!("http://{address}");
            let deadline = Instant::now() + PATIENCE;
            while process.try_wait().unwrap().is_none() && Instant::now() < deadline {
                let ready = http.get(format!("{url}/-/ready")).send().await;
                if ready.is_ok_and(|answer| answer.status().is_success()) {
                    return Self { url, http, _process: process, _data: data };
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        panic!("prometheus does not start");
    }

    async fn query(&self, query: &str) -> Vec<Sample> {
        self.ask(&[("query", query)]).await
    }

    async fn query_at(&self, query: &str, unix_seconds: &str) -> Vec<Sample> {
        self.ask(&[("query", query), ("time", unix_seconds)]).await
    }

    async fn ask(&self, form: &[(&str, &str)]) -> Vec<Sample> {
        let query = form[0].1;
        let request = self.http.post(format!("{}/api/v1/query", self.url)).form(form);
        let answer: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        assert_eq!(answer["warnings"], serde_json::Value::Null, "{query}");
        let sample = |entry: &serde_json::Value| {
            let labels = serde_json::from_value(entry["metric"].clone()).unwrap();
            (labels, entry["value"][1].as_str().unwrap().parse().unwrap())
        };
        answer["data"]["result"].as_array().unwrap().iter().map(sample).collect()
    }

    /// Asks until the answer is as wanted. Prometheus tells nobody when a scrape has come in, so it is asked again.
    async fn until(&self, query: &str, wanted: impl Fn(&[Sample]) -> bool) -> Vec<Sample> {
        let mut last = Vec::new();
        let asking = async {
            loop {
                last = self.query(query).await;
                if wanted(&last) {
                    return;
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        let outcome = timeout(PATIENCE, asking).await;
        assert!(outcome.is_ok(), "{query}\nstill answers {last:?}");
        last
    }
}

fn of<'a>(samples: &'a [Sample], label: &str, value: &str) -> Option<&'a Sample> {
    samples.iter().find(|(labels, _)| labels.get(label).is_some_and(|found| found == value))
}

fn value(samples: &[Sample], service: &str) -> Option<f64> {
    of(samples, "service", service).map(|(_, value)| *value)
}

fn pod(name: &str, ready: bool) -> Pod {
    Pod { name: name.into(), cpu_limit_cores: 1.0, memory_limit_bytes: GIB, ready }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_catalogue_query_answers_in_its_unit() {
    let catalogue = catalogue();
    let hastened = |name: &str| hasten(&catalogue[name].query);

    // Pods as each kind of workload names them; two services of which one name begins the other.
    let fleet = Arc::new(StaticFleet::new());
    fleet.deploy("shop", "checkout", 2, 1.0, GIB);
    fleet.set("shop", "search", vec![pod("search-x2k9p", true), pod("search-b4fzq", true)]);
    fleet.set("shop", "payments", vec![pod("payments-0", true), pod("payments-11", true)]);
    fleet.set("shop", "checkout-cache", vec![pod("checkout-cache-0", true)]);
    fleet.set("shop", "lonely", vec![pod("lonely", true)]);
    let mut blueprint = Blueprint::default();
    blueprint.services.extend([
        ("checkout-cache".to_owned(), Profile::default()),
        ("lonely".to_owned(), Profile::default()),
    ]);
    let services = ["checkout", "checkout-cache", "lonely", "payments", "search"];
    let shop = Shop::open(blueprint, fleet.clone()).await.unwrap();
    let prometheus = Prometheus::scraping(&shop).await;
    for (service, load) in [("checkout", 100.0), ("payments", 20.0), ("search", 40.0), ("lonely", 5.0)] {
        shop.set_load(service, load).unwrap();
    }

    let answered = |samples: &[Sample]| {
        let mut found: Vec<_> = samples.iter().filter_map(|(labels, _)| labels.get("service")).collect();
        found.sort();
        found.iter().map(|name| name.as_str()).eq(services)
    };
    for (name, least) in [("cpu_usage", 0.008), ("memory_usage", 0.15)] {
        let plausible = |samples: &[Sample]| {
            answered(samples) && samples.iter().all(|(_, value)| (least..=1.1).contains(value))
        };
        for (labels, _) in prometheus.until(&hastened(name), plausible).await {
            assert_eq!(labels.keys().collect::<Vec<_>>(), ["namespace", "service"], "{name}");
        }
    }
    // Half of what the two pods may use and a little idling: neither the pod's own cgroup nor a neighbour is counted in.
    let about_half =
        |samples: &[Sample]| value(samples, "checkout").is_some_and(|v| (0.46..0.56).contains(&v));
    prometheus.until(&hastened("cpu_usage"), about_half).await;

    let requested = |samples: &[Sample]| samples.len() == 4 && value(samples, "payments").is_some();
    let samples = prometheus.until(&hastened("response_time"), requested).await;
    assert!(samples.iter().all(|(_, value)| (0.05..1.0).contains(value)), "{samples:?}");
    assert_eq!(value(&samples, "checkout-cache"), None, "nobody asks it, so it has no response time");
    let samples = prometheus.until(&hastened("error_rate"), requested).await;
    assert!(samples.iter().all(|(_, value)| *value == 0.0), "{samples:?}");
    shop.set_fault("search", 0.2).unwrap();
    let failing = |samples: &[Sample]| value(samples, "search").is_some_and(|v| (0.15..=0.25).contains(&v));
    let samples = prometheus.until(&hastened("error_rate"), failing).await;
    assert_eq!(value(&samples, "payments"), Some(0.0));

    let samples = prometheus.until(&hastened("disk_usage"), |samples| !samples.is_empty()).await;
    assert_eq!(samples.len(), 2, "one disk a node, no read-only image: {samples:?}");
    let (labels, used) = of(&samples, "instance", "node-2:9100").unwrap();
    assert!((used - 0.5).abs() < 1e-6 && labels["mountpoint"] == "/", "{labels:?} {used}");

    // (2 × 4 cores − 2) / 0.1 is 60 tenants, of which there are three.
    let samples = prometheus.until(&hastened("active_tenants"), |samples| !samples.is_empty()).await;
    assert!(samples.len() == 1 && (samples[0].1 - 3.0 / 60.0).abs() < 1e-9, "{samples:?}");
    shop.set_tenant_capacity(Some(4));
    let overruled = |samples: &[Sample]| samples.len() == 1 && samples[0].1 == 0.75;
    prometheus.until(&hastened("active_tenants"), overruled).await;

    // What capacity and backups are read from.
    let series = [("tenant_requests", 3), ("tenant_data", 3), ("capacity_cpu", 1), ("capacity_memory", 1)];
    let backups = [("used_database", 1), ("backup_age", 4), ("backup_oldest_age", 4), ("backup_history", 4)];
    let verified = [("backup_verified", 3), ("backup_verified_age", 3)];
    for (name, count) in series.into_iter().chain(backups).chain(verified) {
        prometheus.until(&hastened(name), |samples| samples.len() == count).await;
    }
    let cores = prometheus.query(&hastened("capacity_cpu")).await;
    assert!((cores[0].1 - 8.0).abs() < 1e-9, "{cores:?}");

    let connected = |samples: &[Sample]| samples.first().is_some_and(|(_, value)| (0.1..0.4).contains(value));
    let samples = prometheus.until(&hastened("connection_usage"), connected).await;
    assert_eq!((samples.len(), samples[0].0["server"].as_str()), (1, "postgres-0:5432"));
    let samples = prometheus.until(&hastened("query_time"), |samples| !samples.is_empty()).await;
    assert_eq!((samples.len(), samples[0].0["datname"].as_str()), (1, "shop"));
    assert!((0.005..0.05).contains(&samples[0].1), "{samples:?}");
    shop.set_database(Database { queries_per_second: 300.0, ..Database::default() });
    prometheus.until(&hastened("query_time"), |samples| samples.iter().any(|(_, value)| *value > 0.2)).await;

    // What scaling.yaml asks after a step.
    let health = r#"sum(kube_pod_status_ready{condition="true", namespace="shop", pod=~"checkout-.+"}) >= 2"#;
    assert!(shipped("rules/scaling.yaml").contains(health));
    assert_eq!(prometheus.query(health).await.len(), 1);
    fleet.set_ready("shop", "checkout", false);
    prometheus.until(health, <[_]>::is_empty).await;

    // Long before the shop opened there was no exporter at all: every query answers nothing, and none fails.
    for (name, metric) in &catalogue {
        assert_eq!(prometheus.query_at(&metric.query, "1").await, [], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn load_raises_cpu_over_both_thresholds_and_more_pods_lower_it() {
    let catalogue = catalogue();
    let cpu = hasten(&catalogue["cpu_usage"].query);
    let response_time = hasten(&catalogue["response_time"].query);
    let memory = hasten(&catalogue["memory_usage"].query);
    let fleet = Arc::new(StaticFleet::new());
    fleet.deploy("shop", "checkout", 2, 1.0, GIB);
    let shop = Shop::open(Blueprint::default(), fleet.clone()).await.unwrap();
    let prometheus = Prometheus::scraping(&shop).await;
    let checkout =
        |wanted: fn(f64) -> bool| move |samples: &[Sample]| value(samples, "checkout").is_some_and(wanted);

    shop.set_load("checkout", 40.0).unwrap();
    prometheus.until(&cpu, checkout(|v| v > 0.1 && v < 0.3)).await;
    shop.set_load("checkout", 160.0).unwrap();
    prometheus.until(&cpu, checkout(|v| v > 0.7 && v < 0.9)).await;
    shop.set_load("checkout", 192.0).unwrap();
    prometheus.until(&cpu, checkout(|v| v > 0.9 && v <= 1.1)).await;
    prometheus.until(&response_time, checkout(|v| v > 0.5)).await;

    fleet.scale("shop", "checkout", 4);
    prometheus.until(&cpu, checkout(|v| v < 0.6)).await;
    prometheus.until(&response_time, checkout(|v| v < 0.3)).await;

    let gib = 1024.0 * 1024.0 * 1024.0;
    shop.set_memory("checkout", 3.0 * gib).unwrap();
    prometheus.until(&memory, checkout(|v| v > 0.9)).await;
    fleet.resize("shop", "checkout", 1.0, 2 * GIB);
    prometheus.until(&memory, checkout(|v| v < 0.6)).await;
}

#[tokio::test]
async fn a_shop_that_is_down_answers_503_and_one_that_is_dropped_not_at_all() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let shop = Shop::open(Blueprint::default(), Arc::new(StaticFleet::new())).await.unwrap();
    let url = format!("http://{}/metrics", shop.address());
    let up = http.get(&url).send().await.unwrap();
    assert_eq!(
        (up.status().as_u16(), &up.headers()["content-type"]),
        (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap())
    );
    shop.set_down(true);
    assert_eq!(http.get(&url).send().await.unwrap().status().as_u16(), 503);
    let address = shop.address();
    drop(shop);
    let closed = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the port is closed");
}

#[tokio::test(start_paused = true)]
async fn counters_keep_to_real_time_and_curves_to_virtual_time() {
    let fleet = Arc::new(StaticFleet::new());
    fleet.deploy("shop", "checkout", 1, 1.0, GIB);
    let blueprint = Blueprint { speed: 60.0, tenants: ["acme".to_owned()].into(), ..Blueprint::default() };
    let shop = Shop::open(blueprint, fleet.clone()).await.unwrap();
    let ramp = world::shop::Curve::Step { before: 10.0, after: 50.0, at: 600.0 };
    shop.set_curve("checkout", ramp).unwrap();
    let requests = |page: &str| -> f64 {
        let mut counts = page.lines().filter(|line| line.starts_with("http_request_duration_seconds_count"));
        counts.next().map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    // Ten real seconds are ten virtual minutes: 10 × 10 requests, then 10 × 50.
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!((requests(&shop.scrape()) - 100.0).abs() <= 1.0);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!((requests(&shop.scrape()) - 600.0).abs() <= 1.0);
    fleet.set("shop", "checkout", Vec::new());
    assert_eq!(requests(&shop.scrape()), 0.0, "a pod that is gone takes its series along");
    assert!(shop.set_load("chekout", 1.0).is_err());
}

#[test]
fn every_metric_of_the_thresholds_is_bound_to_a_query() {
    let catalogue = catalogue();
    let monitoring: serde_json::Value = serde_yaml::from_str(&shipped("rules/monitoring.yaml")).unwrap();
    let groups = monitoring["monitoring"]["metrics"].as_object().unwrap();
    let listed = groups.values().flat_map(|group| group.as_array().unwrap());
    let names: Vec<_> = listed.flat_map(|entry| entry.as_object().unwrap().keys()).collect();
    assert_eq!(names.len(), 8);
    for name in names {
        let metric = catalogue.get(name).unwrap_or_else(|| panic!("{name} has no query"));
        assert!(["ratio", "seconds", "bytes", "cores", "count"].contains(&metric.unit.as_str()), "{name}");
        assert!(!metric.help.is_empty() && !metric.query.is_empty(), "{name}");
    }
}

#[test]
fn every_shipped_file_is_yaml_with_one_subject_a_file() {
    for folder in ["config", "rules"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
        let mut keys = std::collections::BTreeSet::new();
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let document: BTreeMap<String, serde_json::Value> =
                serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for key in document.into_keys() {
                assert!(keys.insert(key.clone()), "{key} stands in two files of {}", folder.display());
            }
            assert!(text.starts_with("# "), "{} says what it is for", path.display());
        }
        assert!(!keys.is_empty());
    }
}

#[test]
fn only_ranges_are_hastened() {
    assert_eq!(
        hasten(r#"rate(x{a=~"[0-9]+[5]"}[5m]) + y[1h] [2d:1m]"#),
        r#"rate(x{a=~"[0-9]+[5]"}[10s]) + y[10s] [2d:1m]"#
    );
}
