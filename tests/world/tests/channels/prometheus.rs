//! The real Prometheus: scraped values come back, over a kill and a new start too.

use std::time::Duration;

use axum::{Router, routing::get};
use world::{
    loopback::{ANY_PORT, Loopback},
    prometheus::Prometheus,
};

use crate::SOON;

/// Asks until there is an answer: what was scraped shows by nothing else.
async fn until_it_answers(prometheus: &Prometheus, expression: &str) -> f64 {
    let asked = async {
        loop {
            if let Some((_, value)) = prometheus.query(expression).await.unwrap().into_iter().next() {
                return value;
            }
        }
    };
    tokio::time::timeout(SOON, asked).await.unwrap()
}

#[tokio::test]
async fn scrapes_answers_and_keeps_its_data_over_a_kill() {
    let page =
        "# TYPE shop_cpu gauge\nshop_cpu{service=\"checkout\"} 0.95\nshop_cpu{service=\"search\"} 0.2\n";
    let shop = Router::new().route("/metrics", get(move || async move { page }));
    let shop = Loopback::start(ANY_PORT, shop).await.unwrap();
    let targets = [shop.address().to_string()];
    let mut prometheus = Prometheus::start(&targets, Duration::from_millis(200)).await.unwrap();
    let address = prometheus.address();
    assert_eq!(until_it_answers(&prometheus, "shop_cpu > 0.9").await, 0.95);
    let found = prometheus.query("shop_cpu > 0.9").await.unwrap();
    assert_eq!(found[0].0["service"], "checkout");
    assert_eq!(prometheus.query("vector(2) > 3").await.unwrap(), []);
    assert_eq!(prometheus.query("1 + 1").await.unwrap()[0].1, 2.0);
    assert!(prometheus.query("shop_cpu >").await.unwrap_err().to_string().contains("parse error"));

    prometheus.kill().await.unwrap();
    drop(shop);
    assert!(prometheus.query("1").await.is_err());
    prometheus.start_again().await.unwrap();
    assert_eq!(prometheus.address(), address);
    // The target is gone, so this can only be what was written before the kill.
    assert_eq!(
        until_it_answers(&prometheus, "last_over_time(shop_cpu{service=\"checkout\"}[5m])").await,
        0.95
    );
}

#[tokio::test]
async fn the_process_ends_with_the_value() {
    let prometheus = Prometheus::start(&[], Duration::from_secs(1)).await.unwrap();
    let id = prometheus.process_id().unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{id}/stat"));
    let state = || {
        let stat = std::fs::read_to_string(&process).ok()?;
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    assert!(state().is_some());
    drop(prometheus);
    let gone = async {
        while !matches!(state(), None | Some('Z')) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
}
