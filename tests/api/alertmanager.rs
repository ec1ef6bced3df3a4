//! Alertmanager's API: alerts in and out, groups, silences, receivers, status.

use serde_json::{Value, json};

use super::room::{Room, answer};

fn alert(labels: &Value) -> Value {
    json!([{"labels": labels, "annotations": {"summary": "it is down"}, "generatorURL": "http://prometheus.example/graph"}])
}

fn ends(alert: &Value, at: &str) -> Value {
    let mut alert = alert.clone();
    alert[0]["endsAt"] = at.into();
    alert
}

#[tokio::test]
async fn an_alert_that_is_handed_in_opens_an_incident_and_its_end_resolves_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room::open(folder.path()).await;
    let posted = alert(&json!({"alertname": "Down", "service": "checkout", "severity": "page"}));
    assert_eq!(room.post("/api/v2/alerts", &posted).await, (200, Value::Null));
    assert_eq!(room.left().await, ["chat opened checkout", "mail opened checkout"]);
    assert_eq!(room.post("/api/v2/alerts", &posted).await.0, 200);
    assert_eq!(room.left().await, [""; 0], "a repetition is no news");

    let (code, alerts) = room.get("/api/v2/alerts").await;
    let shown = &alerts[0];
    assert_eq!((code, alerts.as_array().unwrap().len()), (200, 1));
    assert_eq!(shown["labels"], posted[0]["labels"]);
    assert_eq!(shown["annotations"], posted[0]["annotations"]);
    assert_eq!(shown["generatorURL"], posted[0]["generatorURL"]);
    assert_eq!(shown["receivers"], json!([{"name": "chat"}, {"name": "mail"}]));
    let quiet = json!({"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []});
    assert_eq!(shown["status"], quiet);
    let (_, incidents) = room.get("/api/runbookd/v1/incidents").await;
    let incident = &incidents["items"][0];
    assert_eq!((&incident["severity"], &incident["state"]), (&json!("critical"), &json!("open")));
    let (_, groups) = room.get("/api/v2/alerts/groups").await;
    let group =
        |at: usize| (&groups[at]["receiver"]["name"], &groups[at]["labels"], &groups[at]["alerts"][0]);
    assert_eq!(group(0), (&json!("chat"), &json!({"service": "checkout"}), shown));
    assert_eq!(group(1), (&json!("mail"), &json!({"service": "checkout"}), shown));

    let over = ends(&posted, "2026-01-01T00:00:00Z");
    assert_eq!(room.post("/api/v2/alerts", &over).await.0, 200);
    assert_eq!(room.left().await.len(), 0, "the opening is still in flight; the all-clear waits behind it");
    let (_, incidents) = room.get("/api/runbookd/v1/incidents").await;
    assert_eq!(incidents["items"][0]["state"], "resolved");
    assert_eq!(room.get("/api/v2/alerts").await.1, json!([]));
    room.close().await;
}

#[tokio::test]
async fn what_is_handed_in_survives_a_restart_and_runs_on() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let posted = alert(&json!({"alertname": "Down", "service": "checkout", "severity": "page"}));
    room.post("/api/v2/alerts", &posted).await;
    let before = room.get("/api/v2/alerts").await.1;
    room.close().await;

    let room = Room::open(folder.path()).await;
    assert_eq!(room.get("/api/v2/alerts").await.1, before);
    room.post("/api/v2/alerts", &posted).await;
    let (_, incidents) = room.get("/api/runbookd/v1/incidents").await;
    assert_eq!(incidents["items"].as_array().unwrap().len(), 1, "no second incident: {incidents}");
    room.close().await;
}

#[tokio::test]
async fn own_and_foreign_alerts_are_listed_and_narrowed_as_alertmanager_does() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    room.cpu_is(&[("cart", 0.95), ("checkout", 0.8), ("search", 0.1)]).await;
    let mut posted = Vec::new();
    for labels in [
        json!({"alertname": "NodeDown", "node": "a", "severity": "page"}),
        json!({"alertname": "PodDown", "node": "a", "severity": "warning"}),
        json!({"alertname": "PodDown", "node": "b", "severity": "warning"}),
        json!({"alertname": "Watchdog", "severity": "none"}),
    ] {
        posted.push(json!({"labels": labels}));
    }
    posted[2]["annotations"] = json!({"mute_time_intervals": "never, always"});
    assert_eq!(room.post("/api/v2/alerts", &posted.into()).await.0, 200);
    let silence = json!({"matchers": [{"name": "service", "value": "check.*", "isRegex": true}],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "Ana", "comment": "deploy"});
    let (code, made) = room.post("/api/v2/silences", &silence).await;
    let id = made["silenceID"].as_str().unwrap();
    assert_eq!(code, 200);

    let (_, alerts) = room.get("/api/v2/alerts").await;
    let of = |name: &str, label: &str, value: &str| {
        let fits = |it: &&Value| it["labels"]["alertname"] == name && it["labels"][label] == value;
        alerts.as_array().unwrap().iter().find(fits).unwrap_or_else(|| panic!("{name} {value}: {alerts}"))
    };
    let cart = of("cpu_usage", "service", "cart");
    let labels = json!({"alertname": "cpu_usage", "service": "cart", "severity": "critical", "team": "shop"});
    assert_eq!(cart["labels"], labels);
    assert_eq!(cart["annotations"], json!({"summary": "CPU of cart at 95 %"}));
    let checkout = of("cpu_usage", "service", "checkout");
    assert_eq!(
        (&checkout["status"]["state"], &checkout["status"]["silencedBy"]),
        (&json!("suppressed"), &json!([id]))
    );
    let (node, pod) = (of("NodeDown", "node", "a"), of("PodDown", "node", "a"));
    assert_eq!(pod["status"]["inhibitedBy"], json!([node["fingerprint"]]));
    assert_eq!(of("PodDown", "node", "b")["status"]["mutedBy"], json!(["always"]));
    assert_eq!(of("Watchdog", "severity", "none")["receivers"], json!([]), "nobody hears of it");
    let prints: Vec<&str> =
        alerts.as_array().unwrap().iter().map(|it| it["fingerprint"].as_str().unwrap()).collect();
    assert!(prints.is_sorted() && prints.len() == 6, "{prints:?}");

    // What is asked, and how many alerts answer; the groups hold the same ones.
    let cases = [
        ("", 6),
        ("filter=alertname%3DPodDown", 2),
        ("filter=alertname%3DPodDown&filter=node!%3Da", 1),
        ("filter=service%3D~%22c.*%22", 2),
        ("filter=%7Bseverity%3Dpage%2Cnode%3Da%7D", 1),
        ("filter=nothing%3D%22%22&filter=severity%3Dnone", 1),
        ("silenced=false", 5),
        ("inhibited=false", 5),
        ("active=false", 2),
        ("active=false&silenced=false", 1),
        ("active=false&silenced=false&inhibited=false", 0),
        ("receiver=mail", 2),
        ("receiver=mai", 0),
        ("receiver=chat%7Cmail", 5),
        ("unprocessed=false&muted=true&colour=red", 6),
    ];
    for (query, wanted) in cases {
        let (code, found) = room.get(&format!("/api/v2/alerts?{query}")).await;
        assert_eq!((code, found.as_array().map(Vec::len)), (200, Some(wanted)), "{query}: {found}");
        let (code, groups) = room.get(&format!("/api/v2/alerts/groups?{query}")).await;
        let all = groups.as_array().unwrap().iter().flat_map(|group| group["alerts"].as_array().unwrap());
        let prints: std::collections::BTreeSet<&str> =
            all.map(|it| it["fingerprint"].as_str().unwrap()).collect();
        assert_eq!((code, prints.len()), (200, wanted), "{query}: {groups}");
    }
    for query in ["filter=%3D", "filter=a%3D~(", "receiver=("] {
        for path in ["alerts", "alerts/groups"] {
            let (code, said) = room.get(&format!("/api/v2/{path}?{query}")).await;
            assert!(code == 400 && said.is_string(), "{path} {query}: {code} {said}");
        }
    }
    room.close().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_the_rest_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let fine = json!({"labels": {"alertname": "Fine", "service": "a"}});
    let cases = [
        (json!([fine, {"labels": {}}]), 400, 1),
        (json!([{"labels": {"alertname": ""}}]), 400, 1),
        (json!([{"labels": {"": "x"}}]), 400, 1),
        (json!([{"labels": {"a": "x".repeat(5_000)}}]), 400, 1),
        (
            json!([{"labels": {"a": "b"}, "startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"}]),
            400,
            1,
        ),
        (json!([{"labels": {"a": "b"}, "startsAt": "soon"}]), 400, 1),
        (json!({"labels": {"a": "b"}}), 400, 1),
        (json!([]), 200, 1),
        // Over before it began: nothing to tell.
        (json!([{"labels": {"a": "b"}, "endsAt": "2026-01-01T00:00:00Z"}]), 200, 1),
        (
            json!([{"labels": {"alertname": "Zero", "empty": ""}, "startsAt": "0001-01-01T00:00:00.000Z", "endsAt": "0001-01-01T00:00:00.000Z"}]),
            200,
            2,
        ),
    ];
    for (body, wanted, firing) in cases {
        let (code, said) = room.post("/api/v2/alerts", &body).await;
        assert_eq!(code, wanted, "{body}: {said}");
        assert!(code == 200 || said.is_string(), "{said}");
        let (_, alerts) = room.get("/api/v2/alerts").await;
        assert_eq!(alerts.as_array().map(Vec::len), Some(firing), "{body}: {alerts}");
    }
    let post = || room.client.post(format!("{}/api/v2/alerts", room.url)).body("[]");
    let (code, said) = answer(post()).await;
    assert!(code == 415 && said.is_string(), "{code} {said}");
    let post = || post().header("Content-Type", "application/json");
    assert_eq!(answer(post().header("Origin", "https://evil.example")).await.0, 403);
    assert_eq!(answer(post().header("Host", "evil.example")).await.0, 403);
    let huge = format!("[{}]", " ".repeat(9 * 1024 * 1024));
    assert_eq!(answer(post().body(huge)).await.0, 413);
    // A batch as Prometheus sends it is larger than other bodies may be.
    let batch = |number: usize| json!({"labels": {"alertname": "Batch", "service": number.to_string()}, "annotations": {"description": "x".repeat(2_000)}});
    let batch: Vec<Value> = (0..256).map(batch).collect();
    assert_eq!(room.post("/api/v2/alerts", &batch.into()).await.0, 200);
    room.close().await;
}

#[tokio::test]
async fn silences_are_made_changed_found_and_ended_in_alertmanagers_form() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    let asked = |from: &str, to: &str| {
        json!({"matchers": [{"name": "service", "value": "cart", "isRegex": false},
                {"name": "team", "value": "a|b", "isRegex": true, "isEqual": false}],
            "startsAt": from, "endsAt": to, "createdBy": "Ana", "comment": "deploy"})
    };
    let post = async |body: &Value| room.post("/api/v2/silences", body).await;
    let (_, made) = post(&asked("2026-01-01T00:00:00Z", "2099-01-01T00:00:00.000Z")).await;
    let id = made["silenceID"].as_str().unwrap().to_owned();
    let (code, shown) = room.get(&format!("/api/v2/silence/{id}")).await;
    let matchers = json!([{"name": "service", "value": "cart", "isRegex": false, "isEqual": true},
        {"name": "team", "value": "a|b", "isRegex": true, "isEqual": false}]);
    assert_eq!((code, &shown["matchers"], &shown["status"]), (200, &matchers, &json!({"state": "active"})));
    assert_eq!(
        (&shown["createdBy"], &shown["comment"], &shown["endsAt"]),
        (&json!("Ana"), &json!("deploy"), &json!("2099-01-01T00:00:00.000Z"))
    );

    // Its end is changed in place; other matchers end it and make another.
    let mut change = shown.clone();
    change["endsAt"] = "2098-01-01T00:00:00.000Z".into();
    assert_eq!(post(&change).await, (200, json!({"silenceID": id})));
    change["matchers"][0]["value"] = "checkout".into();
    let (_, other) = post(&change).await;
    let other = other["silenceID"].as_str().unwrap().to_owned();
    assert_ne!(other, id);
    let state =
        async |id: &str| room.get(&format!("/api/v2/silence/{id}")).await.1["status"]["state"].clone();
    assert_eq!((state(&id).await, state(&other).await), (json!("expired"), json!("active")));
    let (_, pending) = post(&asked("2090-01-01T00:00:00Z", "2091-01-01T00:00:00Z")).await;
    let (_, list) = room.get("/api/v2/silences").await;
    let ids: Vec<&str> = list.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [other.as_str(), pending["silenceID"].as_str().unwrap(), id.as_str()]);
    for (query, wanted) in [
        ("filter=service%3Dcart", 2),
        ("filter=service%3D~cart", 0),
        ("filter=service%3Dcheckout&filter=team!~%22a%7Cb%22", 1),
        ("creator=Ana", 3),
        ("creator=Bob", 0),
    ] {
        let (_, found) = room.get(&format!("/api/v2/silences?{query}")).await;
        assert_eq!(found.as_array().map(Vec::len), Some(wanted), "{query}: {found}");
    }
    assert_eq!(room.delete(&format!("/api/v2/silence/{other}")).await, (200, Value::Null));
    assert_eq!(state(&other).await, "expired");
    assert_eq!(room.delete(&format!("/api/v2/silence/{other}")).await.0, 200, "twice is harmless");

    let fine = asked("2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z");
    let with = |key: &str, value: Value| {
        let mut body = fine.clone();
        body[key] = value;
        body
    };
    for (body, wanted) in [
        (with("id", "00000000-0000-0000-0000-000000000000".into()), 404),
        (with("matchers", json!([])), 400),
        (with("matchers", json!([{"name": "a", "value": ".*", "isRegex": true}])), 400),
        (with("matchers", json!([{"name": "a", "value": "(", "isRegex": true}])), 400),
        (with("endsAt", "2026-01-02T00:00:00Z".into()), 400),
        (with("endsAt", "0001-01-01T00:00:00Z".into()), 400),
        (with("comment", "".into()), 400),
        (with("createdBy", "".into()), 400),
        (json!({}), 400),
        (json!("nothing"), 400),
    ] {
        let (code, said) = post(&body).await;
        assert!(code == wanted && said.is_string(), "{body}: {code} {said}");
    }
    for path in ["/api/v2/silence/00000000-0000-0000-0000-000000000000", "/api/v2/silence/x"] {
        assert_eq!((room.get(path).await.0, room.delete(path).await.0), (404, 404));
    }
    room.close().await;
}

#[tokio::test]
async fn status_and_receivers_name_what_there_is_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room::open(folder.path()).await;
    assert_eq!(room.get("/api/v2/receivers").await, (200, json!([{"name": "chat"}, {"name": "mail"}])));
    let (code, status) = room.get("/api/v2/status").await;
    assert_eq!((code, &status["cluster"]), (200, &json!({"status": "disabled", "peers": []})));
    let original = status["config"]["original"].as_str().unwrap();
    assert!(original.contains("resolve_timeout: 300s") && !original.contains("fixture"), "{original}");
    assert!(status["uptime"].as_str().unwrap().ends_with('Z'));
    for key in ["branch", "buildDate", "buildUser", "goVersion", "revision", "version"] {
        assert!(status["versionInfo"][key].is_string(), "{key}");
    }
    room.close().await;
}
