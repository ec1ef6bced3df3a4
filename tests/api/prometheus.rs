//! Prometheus' API of rules and alerts.

use serde_json::{Value, json};

use super::room::Room;

#[tokio::test]
async fn rules_are_shown_by_group_with_their_thresholds_and_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let (_, before) = room.get("/api/v1/rules").await;
    assert_eq!(before["data"]["groups"][0]["rules"][0]["health"], "unknown");
    room.cpu_is(&[("cart", 0.95), ("checkout", 0.8)]).await;
    let (code, said) = room.get("/api/v1/rules").await;
    assert_eq!((code, &said["status"]), (200, &json!("success")));
    let groups = said["data"]["groups"].as_array().unwrap();
    let names: Vec<(&str, &str)> = groups
        .iter()
        .map(|group| (group["name"].as_str().unwrap(), group["file"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("monitoring/system", "rules.yaml"), ("shop", "rules.yaml")]);
    let rule = |at: usize, severity: &str| {
        let rules = groups[at]["rules"].as_array().unwrap();
        rules.iter().find(|rule| rule["labels"]["severity"] == severity).unwrap()
    };
    let (warning, critical) = (rule(0, "warning"), rule(0, "critical"));
    assert_eq!((&warning["query"], &critical["query"]), (&json!("(cpu) > 0.7"), &json!("(cpu) > 0.9")));
    for (rule, service) in [(warning, "checkout"), (critical, "cart")] {
        assert_eq!(
            (&rule["state"], &rule["health"], &rule["type"]),
            (&json!("firing"), &json!("ok"), &json!("alerting"))
        );
        let alerts = rule["alerts"].as_array().unwrap();
        assert_eq!((alerts.len(), &alerts[0]["labels"]["service"]), (1, &json!(service)));
    }
    assert_eq!(critical["alerts"][0]["value"], "9.5e-01");
    assert_eq!(critical["alerts"][0]["annotations"], json!({"summary": "CPU of cart at 95 %"}));
    assert_eq!(critical["annotations"], json!({"summary": "CPU of {{ $labels.service }} at {{ $value }}"}));
    let down = rule(1, "page");
    assert_eq!(
        (&down["query"], &down["duration"], &down["state"]),
        (&json!("up == 0"), &json!(300.0), &json!("inactive"))
    );
    assert_eq!(down["annotations"], json!({"summary": "down: {{ $labels.service }}"}));

    // What is asked, and how many groups, rules and alerts answer.
    let cases = [
        ("", (2, 3, 2)),
        ("type=alert", (2, 3, 2)),
        ("type=record", (0, 0, 0)),
        ("exclude_alerts=true", (2, 3, 0)),
        ("rule_name[]=cpu_usage", (1, 2, 2)),
        ("rule_name[]=cpu_usage&rule_name[]=ShopDown", (2, 3, 2)),
        ("rule_group[]=shop", (1, 1, 0)),
        ("file[]=other.yaml", (0, 0, 0)),
        ("match[]=%7Bseverity%3D%22page%22%7D", (1, 1, 0)),
        ("colour=red", (2, 3, 2)),
    ];
    for (query, wanted) in cases {
        let (code, said) = room.get(&format!("/api/v1/rules?{query}")).await;
        let groups = said["data"]["groups"].as_array().unwrap_or_else(|| panic!("{code} {said}"));
        let rules: Vec<&Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        let alerts: usize = rules.iter().filter_map(|rule| rule["alerts"].as_array()).map(Vec::len).sum();
        assert_eq!((groups.len(), rules.len(), alerts), wanted, "{query}: {said}");
    }
    for query in ["type=both", "exclude_alerts=perhaps", "match[]=%3D"] {
        let (code, said) = room.get(&format!("/api/v1/rules?{query}")).await;
        assert_eq!(
            (code, &said["status"], &said["errorType"]),
            (400, &json!("error"), &json!("bad_data")),
            "{query}"
        );
    }
    room.close().await;
}

#[tokio::test]
async fn alerts_and_the_build_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    assert_eq!(room.get("/api/v1/alerts").await.1, json!({"status": "success", "data": {"alerts": []}}));
    room.cpu_is(&[("cart", 0.95), ("search", 0.1)]).await;
    let (_, said) = room.get("/api/v1/alerts").await;
    let alerts = said["data"]["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1);
    let labels = json!({"alertname": "cpu_usage", "service": "cart", "severity": "critical", "team": "shop"});
    assert_eq!((&alerts[0]["labels"], &alerts[0]["state"]), (&labels, &json!("firing")));
    let (_, build) = room.get("/api/v1/status/buildinfo").await;
    assert_eq!(build["data"]["version"], env!("CARGO_PKG_VERSION"));
    room.close().await;
}
