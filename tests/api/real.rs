//! A real Prometheus hands its alerts in here as to an Alertmanager.

use std::net::SocketAddr;
use std::time::Duration;

use runbookd::core::clock;
use serde_json::json;
use world::prometheus::Prometheus;

use super::room::Room;

/// How long anything may take: its discovery alone takes five seconds.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prometheus_opens_an_incident_here_and_its_all_clear_resolves_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room::open(folder.path()).await;
    let mut news = room.core.watch().unwrap();
    let address: SocketAddr = room.url.trim_start_matches("http://").parse().unwrap();
    let over = clock::now().as_second() + 14;
    let rules = format!(
        "groups: [{{name: shop, rules: [{{alert: ShopDown, expr: 'vector(1) unless vector(time()) > {over}', \
         labels: {{severity: page, service: shop}}, annotations: {{summary: 'the shop is down'}}}}]}}]"
    );
    let prometheus = Prometheus::alerting(address, &rules).await.unwrap();
    let mut states = Vec::new();
    let watching = async {
        while states.last() != Some(&"resolved") {
            if let runbookd::core::feed::News::Incident { state, .. } = news.recv().await.unwrap() {
                states.push(state);
            }
            if states.len() == 1 {
                let (_, alerts) = room.get("/api/v2/alerts").await;
                let labels = json!({"alertname": "ShopDown", "severity": "page", "service": "shop"});
                assert_eq!(
                    (&alerts[0]["labels"], &alerts[0]["annotations"]),
                    (&labels, &json!({"summary": "the shop is down"}))
                );
                assert!(
                    alerts[0]["generatorURL"].as_str().is_some_and(|url| url.contains("/graph")),
                    "{alerts}"
                );
            }
        }
    };
    tokio::time::timeout(PATIENCE, watching).await.unwrap();
    assert_eq!(states[0], "open");
    assert_eq!(room.left().await, ["chat opened shop", "mail opened shop"]);
    drop(prometheus);
    room.close().await;
}
