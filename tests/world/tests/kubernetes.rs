//! The Kubernetes double, asked over HTTP as a client asks, and by the real `kubectl`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may end so")]

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use world::kubernetes::{Fault, FaultRule, Kubernetes, Resize};

const SOON: Duration = Duration::from_secs(10);
const CHECKOUT: &str = "/apis/apps/v1/namespaces/shop/deployments/checkout";

fn client() -> reqwest::Client {
    // Only the first test of a process installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn cluster() -> Kubernetes {
    let kubernetes = Kubernetes::start().await.unwrap();
    kubernetes.deployment("shop", "checkout", 2, 0.5, 256 << 20);
    ready(&kubernetes, 2).await;
    kubernetes
}

async fn ready(kubernetes: &Kubernetes, pods: usize) {
    let is_so = |k: &Kubernetes| {
        k.workload("shop", "checkout")
            .is_some_and(|w| w.pods.len() == pods && w.pods.iter().all(|pod| pod.ready))
    };
    if let Err(error) = kubernetes.until(SOON, is_so).await {
        panic!("{pods} ready pods: {error}; {:?}", kubernetes.workload("shop", "checkout"));
    }
}

async fn send(k: &Kubernetes, method: Method, path: &str, kind: &str, body: &Value) -> (StatusCode, Value) {
    let request = client()
        .request(method, format!("{}{path}", k.url()))
        .header("content-type", kind)
        .header("user-agent", "tester/1.0")
        .body(body.to_string());
    let response = request.send().await.unwrap();
    let code = response.status();
    let text = response.text().await.unwrap();
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get(k: &Kubernetes, path: &str) -> Value {
    let (code, body) = send(k, Method::GET, path, "", &Value::Null).await;
    assert_eq!(code, StatusCode::OK, "{path}: {body}");
    body
}

async fn put(k: &Kubernetes, path: &str, body: &Value) -> (StatusCode, Value) {
    send(k, Method::PUT, path, "application/json", body).await
}

async fn merge(k: &Kubernetes, path: &str, body: &Value) -> (StatusCode, Value) {
    send(k, Method::PATCH, path, "application/merge-patch+json", body).await
}

async fn strategic(k: &Kubernetes, path: &str, body: &Value) -> (StatusCode, Value) {
    send(k, Method::PATCH, path, "application/strategic-merge-patch+json", body).await
}

fn pod(k: &Kubernetes) -> String {
    k.workload("shop", "checkout").unwrap().pods[0].name.clone()
}

#[tokio::test]
async fn pods_of_a_deployment_become_ready_and_its_status_says_so() {
    let k = Kubernetes::start().await.unwrap();
    k.set_never_ready(true);
    k.deployment("shop", "checkout", 3, 0.5, 256 << 20);
    k.until(SOON, |k| k.workload("shop", "checkout").unwrap().pods.len() == 3).await.unwrap();
    assert_eq!(k.workload("shop", "checkout").unwrap().ready_pods, 0);
    k.set_never_ready(false);
    ready(&k, 3).await;
    k.until(SOON, |k| {
        k.object("Deployment", "shop", "checkout").unwrap()["status"]["availableReplicas"] == 3
    })
    .await
    .unwrap();
    let deployment = get(&k, CHECKOUT).await;
    let status = &deployment["status"];
    assert_eq!(status["readyReplicas"], 3);
    assert_eq!(status["updatedReplicas"], 3);
    assert_eq!(status["observedGeneration"], deployment["metadata"]["generation"]);
    let pods = get(&k, "/api/v1/namespaces/shop/pods?labelSelector=app%20in%20(checkout)").await;
    let pods = pods["items"].as_array().unwrap().clone();
    assert_eq!(pods.len(), 3);
    let nodes: std::collections::BTreeSet<_> =
        pods.iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap()).collect();
    assert_eq!(nodes.len(), 2, "pods go round the nodes");
    let name = pods[0]["metadata"]["name"].as_str().unwrap();
    assert_eq!(name.split('-').map(str::len).collect::<Vec<_>>(), [8, 9, 5], "{name}");
    assert_eq!(pods[0]["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet");
}

#[tokio::test]
async fn readiness_takes_the_time_it_was_given() {
    let k = Kubernetes::start().await.unwrap();
    k.set_ready_after(Duration::from_millis(150));
    let started = std::time::Instant::now();
    k.deployment("shop", "checkout", 1, 0.5, 256 << 20);
    ready(&k, 1).await;
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_stale_write_conflicts_and_one_that_changes_nothing_moves_nothing() {
    let k = cluster().await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "shard-0"},
                       "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}});
    let leases = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
    let (code, first) = send(&k, Method::POST, leases, "application/json", &lease).await;
    assert_eq!(code, StatusCode::CREATED);
    let (code, again) = send(&k, Method::POST, leases, "application/json", &lease).await;
    assert_eq!((code, &again["reason"]), (StatusCode::CONFLICT, &json!("AlreadyExists")));
    let path = format!("{leases}/shard-0");
    let (code, same) = put(&k, &path, &first).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(same["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let mut taken = first.clone();
    taken["spec"]["holderIdentity"] = json!("b");
    assert_eq!(put(&k, &path, &taken).await.0, StatusCode::OK);
    let (code, refused) = put(&k, &path, &taken).await;
    assert_eq!((code, &refused["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));
    let writes: Vec<_> = k.journal().into_iter().filter_map(|exchange| exchange.write).collect();
    assert_eq!(
        writes.iter().map(|write| write.accepted).collect::<Vec<_>>(),
        [true, false, true, true, false]
    );
    assert_eq!(writes[2].before, writes[2].after);
    assert!(writes[3].before < writes[3].after);
}

#[tokio::test]
async fn a_workload_is_scaled_by_patch_and_put_and_the_field_owner_is_recorded() {
    let k = cluster().await;
    let scale = format!("{CHECKOUT}/scale");
    let read = get(&k, &scale).await;
    assert_eq!((&read["spec"]["replicas"], &read["status"]["selector"]), (&json!(2), &json!("app=checkout")));
    let path = format!("{scale}?fieldManager=runbookd");
    let guarded = json!({"metadata": {"resourceVersion": read["metadata"]["resourceVersion"]}, "spec": {"replicas": 4}});
    assert_eq!(merge(&k, &path, &guarded).await.0, StatusCode::OK);
    ready(&k, 4).await;
    let (code, refused) = merge(&k, &path, &guarded).await;
    assert_eq!((code, &refused["code"]), (StatusCode::CONFLICT, &json!(409)));
    let deployment = get(&k, CHECKOUT).await;
    let entries = deployment["metadata"]["managedFields"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["manager"] == "runbookd").unwrap();
    assert_eq!((&entry["subresource"], &entry["operation"]), (&json!("scale"), &json!("Update")));
    assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(deployment["metadata"]["generation"], 2);

    let mut whole = get(&k, &scale).await;
    whole["spec"]["replicas"] = json!(1);
    let (code, tried) = put(&k, &format!("{scale}?dryRun=All"), &whole).await;
    assert_eq!((code, &tried["spec"]["replicas"]), (StatusCode::OK, &json!(1)));
    assert_eq!(k.workload("shop", "checkout").unwrap().replicas, 4);
    assert_eq!(put(&k, &scale, &whole).await.0, StatusCode::OK);
    ready(&k, 1).await;
    let (code, refused) = merge(&k, &scale, &json!({"spec": {"replicas": -1}})).await;
    assert_eq!((code, &refused["reason"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("Invalid")));

    let applied = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 5}});
    let apply = "application/apply-patch+yaml";
    let path = format!("{scale}?fieldManager=gitops");
    let (code, refused) = send(&k, Method::PATCH, &path, apply, &applied).await;
    assert_eq!(
        (code, &refused["details"]["causes"][0]["reason"]),
        (StatusCode::CONFLICT, &json!("FieldManagerConflict"))
    );
    assert_eq!(
        send(&k, Method::PATCH, &format!("{path}&force=true"), apply, &applied).await.0,
        StatusCode::OK
    );
    ready(&k, 5).await;
}

#[tokio::test]
async fn a_stateful_set_grows_and_shrinks_at_its_end() {
    let k = Kubernetes::start().await.unwrap();
    k.stateful_set("shop", "db", 3, 0.5, 256 << 20);
    let names = |k: &Kubernetes| {
        k.workload("shop", "db").unwrap().pods.into_iter().map(|p| p.name).collect::<Vec<_>>()
    };
    k.until(SOON, |k| k.workload("shop", "db").unwrap().ready_pods == 3).await.unwrap();
    assert_eq!(names(&k), ["db-0", "db-1", "db-2"]);
    let path = "/apis/apps/v1/namespaces/shop/statefulsets/db/scale";
    assert_eq!(merge(&k, path, &json!({"spec": {"replicas": 1}})).await.0, StatusCode::OK);
    k.until(SOON, |k| names(k) == ["db-0"]).await.unwrap();
}

#[tokio::test]
async fn a_strategic_patch_of_the_template_rolls_the_pods() {
    let k = cluster().await;
    let before = k.workload("shop", "checkout").unwrap();
    let resources = json!({"requests": {"cpu": "750m"}, "limits": {"cpu": "750m"}});
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "checkout", "resources": resources}]}}}});
    let (code, patched) = strategic(&k, CHECKOUT, &patch).await;
    assert_eq!(code, StatusCode::OK, "{patched}");
    let container = &patched["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example/checkout:1.0");
    assert_eq!(container["resources"]["limits"], json!({"cpu": "750m", "memory": (256 << 20).to_string()}));
    let rolled = |k: &Kubernetes| {
        let now = k.workload("shop", "checkout").unwrap();
        now.pods.len() == 2 && now.pods.iter().all(|pod| pod.ready && pod.cpu_limit_cores == 0.75)
    };
    k.until(SOON, rolled).await.unwrap();
    let now = k.workload("shop", "checkout").unwrap();
    assert!(now.pods.iter().all(|pod| before.pods.iter().all(|old| old.name != pod.name)));
    k.until(SOON, |k| {
        let status = k.object("Deployment", "shop", "checkout").unwrap()["status"].clone();
        status["updatedReplicas"] == 2 && status["replicas"] == 2 && status["availableReplicas"] == 2
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_roll_to_pods_that_never_become_ready_keeps_the_old_ones() {
    let k = cluster().await;
    k.set_never_ready(true);
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}});
    assert_eq!(strategic(&k, CHECKOUT, &patch).await.0, StatusCode::OK);
    k.until(SOON, |k| k.workload("shop", "checkout").unwrap().pods.len() == 3).await.unwrap();
    assert_eq!(k.workload("shop", "checkout").unwrap().ready_pods, 2);
}

#[tokio::test]
async fn a_pod_is_resized_in_place_and_keeps_its_class() {
    let k = cluster().await;
    let name = pod(&k);
    let path = format!("/api/v1/namespaces/shop/pods/{name}/resize");
    let of = |part: Value| json!({"spec": {"containers": [{"name": "checkout", "resources": part}]}});
    let (code, refused) = strategic(&k, &path, &of(json!({"limits": {"cpu": "1"}}))).await;
    assert_eq!((code, &refused["reason"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("Invalid")));
    assert!(refused["message"].as_str().unwrap().contains("QOS Class"), "{refused}");
    let bigger = of(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}));
    let plain = format!("/api/v1/namespaces/shop/pods/{name}");
    assert_eq!(strategic(&k, &plain, &bigger).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    k.set_resize(Resize::InPlace { after: Duration::from_millis(50) });
    assert_eq!(strategic(&k, &path, &bigger).await.0, StatusCode::OK);
    let cpu = |k: &Kubernetes| {
        k.workload("shop", "checkout").unwrap().pods.iter().find(|p| p.name == name).unwrap().cpu_limit_cores
    };
    k.until(SOON, |k| cpu(k) == 1.0).await.unwrap();
    let resized = get(&k, &plain).await;
    assert_eq!(resized["status"]["containerStatuses"][0]["allocatedResources"]["cpu"], "1");
    assert_eq!(resized["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_eq!(k.workload("shop", "checkout").unwrap().ready_pods, 2);

    k.set_resize(Resize::Unsupported);
    assert_eq!(strategic(&k, &path, &bigger).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_resize_beyond_the_node_stays_pending_with_its_reason() {
    let k = cluster().await;
    let name = pod(&k);
    let path = format!("/api/v1/namespaces/shop/pods/{name}/resize");
    let of = |cpu: &str| {
        json!({"spec": {"containers": [{"name": "checkout", "resources":
        {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}}]}})
    };
    let reason = |k: &Kubernetes| {
        let pod = k.object("Pod", "shop", &name).unwrap();
        let conditions = pod["status"]["conditions"].as_array().unwrap();
        conditions
            .iter()
            .find(|c| c["type"] == "PodResizePending")
            .map(|c| c["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(strategic(&k, &path, &of("100")).await.0, StatusCode::OK);
    k.until(SOON, |k| reason(k).as_deref() == Some("Infeasible")).await.unwrap();
    assert_eq!(
        k.workload("shop", "checkout").unwrap().pods.iter().map(|p| p.cpu_limit_cores).sum::<f64>(),
        1.0
    );

    k.set_resize(Resize::Deferred);
    assert_eq!(strategic(&k, &path, &of("2")).await.0, StatusCode::OK);
    k.until(SOON, |k| reason(k).as_deref() == Some("Deferred")).await.unwrap();
    k.set_resize(Resize::InPlace { after: Duration::ZERO });
    k.until(SOON, |k| reason(k).is_none()).await.unwrap();
    k.until(SOON, |k| k.workload("shop", "checkout").unwrap().pods.iter().any(|p| p.cpu_limit_cores == 2.0))
        .await
        .unwrap();
}

#[tokio::test]
async fn pods_that_fit_on_no_node_wait_until_there_is_room() {
    let k = Kubernetes::start().await.unwrap();
    k.deployment("shop", "checkout", 5, 4.0, 1 << 30);
    k.until(SOON, |k| k.workload("shop", "checkout").unwrap().ready_pods == 4).await.unwrap();
    let pods = get(&k, "/api/v1/pods?fieldSelector=status.phase%3DPending").await;
    assert_eq!(pods["items"][0]["status"]["conditions"][0]["reason"], "Unschedulable");
    k.node("node-3", 4.0, 8 << 30);
    ready(&k, 5).await;
}

#[tokio::test]
async fn a_quota_holds_pods_back_and_counts_them() {
    let k = Kubernetes::start().await.unwrap();
    k.apply(
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "shop"},
                   "spec": {"hard": {"requests.cpu": "1", "pods": "10"}}}),
    )
    .unwrap();
    k.deployment("shop", "checkout", 4, 0.5, 256 << 20);
    k.until(SOON, |k| k.workload("shop", "checkout").unwrap().ready_pods == 2).await.unwrap();
    k.until(SOON, |k| {
        k.object("ResourceQuota", "shop", "q").unwrap()["status"]["used"]
            == json!({"requests.cpu": "1", "pods": "2"})
    })
    .await
    .unwrap();
    let failed = |k: &Kubernetes| {
        let deployment = k.object("Deployment", "shop", "checkout").unwrap();
        deployment["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "ReplicaFailure")
    };
    k.until(SOON, failed).await.unwrap();
    k.apply(
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "shop"},
                   "spec": {"hard": {"requests.cpu": "2", "pods": "10"}}}),
    )
    .unwrap();
    ready(&k, 4).await;
}

#[tokio::test]
async fn a_watch_tells_changes_bookmarks_and_that_it_is_too_old() {
    let k = cluster().await;
    k.set_bookmark_every(Duration::from_millis(50));
    let version =
        get(&k, "/apis/apps/v1/namespaces/shop/deployments").await["metadata"]["resourceVersion"].clone();
    let query = format!("watch=true&allowWatchBookmarks=true&resourceVersion={}", version.as_str().unwrap());
    let path = format!("/apis/apps/v1/namespaces/shop/deployments?{query}");
    let mut events = watch(&k, &path).await;
    assert_eq!(
        merge(&k, &format!("{CHECKOUT}/scale"), &json!({"spec": {"replicas": 3}})).await.0,
        StatusCode::OK
    );
    let event = events.next(|event| event["type"] != "BOOKMARK").await;
    assert_eq!((&event["type"], &event["object"]["spec"]["replicas"]), (&json!("MODIFIED"), &json!(3)));
    let bookmark = events.next(|event| event["type"] == "BOOKMARK").await;
    assert_eq!(bookmark["object"]["kind"], "Deployment");

    let mut labelled =
        watch(&k, "/apis/apps/v1/deployments?watch=true&labelSelector=app%3Dcheckout,!gone").await;
    assert_eq!(labelled.next(|_| true).await["type"], "ADDED");
    merge(&k, CHECKOUT, &json!({"metadata": {"labels": {"gone": "yes"}}})).await;
    labelled.next(|event| event["type"] == "DELETED").await;

    k.compact();
    let mut old = watch(&k, &path).await;
    let event = old.next(|_| true).await;
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    k.end_watches();
    events.end().await;
}

#[tokio::test]
async fn faults_strike_whom_they_are_meant_for_and_as_often() {
    let k = cluster().await;
    let scale = format!("{CHECKOUT}/scale");
    let on_scale = |fault| FaultRule::new(fault).verb("patch").resource("deployments/scale").times(1);
    k.fault(on_scale(Fault::Status { code: 503, retry_after: Some(2) }));
    let body = |n: u32| json!({"spec": {"replicas": n}});
    let (code, refused) = merge(&k, &scale, &body(3)).await;
    assert_eq!(
        (code, &refused["details"]["retryAfterSeconds"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(2))
    );
    assert_eq!(k.workload("shop", "checkout").unwrap().replicas, 2);

    let patch = |n: u32| {
        let request = client().patch(format!("{}{scale}", k.url()));
        request.header("content-type", "application/merge-patch+json").body(body(n).to_string())
    };
    k.fault(on_scale(Fault::Cut));
    assert!(patch(3).send().await.is_err());
    assert_eq!(k.workload("shop", "checkout").unwrap().replicas, 2);
    k.fault(on_scale(Fault::CutAfter));
    assert!(patch(4).send().await.is_err());
    assert_eq!(k.workload("shop", "checkout").unwrap().replicas, 4);
    k.fault(on_scale(Fault::Hang));
    assert!(patch(5).timeout(Duration::from_millis(500)).send().await.unwrap_err().is_timeout());
    assert_eq!(k.workload("shop", "checkout").unwrap().replicas, 4);
    k.fault(on_scale(Fault::Delay(Duration::from_secs(5))));
    assert!(patch(5).timeout(Duration::from_millis(500)).send().await.unwrap_err().is_timeout());
    assert_eq!(k.workload("shop", "checkout").unwrap().replicas, 5);

    k.forbid("patch", "deployments/scale");
    let (code, refused) = merge(&k, &scale, &body(6)).await;
    assert_eq!((code, &refused["reason"]), (StatusCode::FORBIDDEN, &json!("Forbidden")));
    let review = json!({"spec": {"resourceAttributes": {"verb": "patch", "group": "apps", "resource": "deployments",
                                                        "subresource": "scale", "namespace": "shop"}}});
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(
        send(&k, Method::POST, reviews, "application/json", &review).await.1["status"]["allowed"],
        false
    );
    k.allow("patch", "deployments/scale");
    assert_eq!(merge(&k, &scale, &body(6)).await.0, StatusCode::OK);
    let codes: Vec<_> =
        k.journal().into_iter().filter(|e| e.resource == "deployments/scale").map(|e| e.code).collect();
    assert_eq!(codes, [Some(503), None, None, None, None, Some(403), Some(200)]);
}

#[tokio::test]
async fn kubectl_works_unchanged() {
    if std::process::Command::new("kubectl")
        .arg("version")
        .arg("--client")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        println!("skipped: there is no kubectl");
        return;
    }
    let k = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    k.write_kubeconfig(&config).unwrap();
    let kubectl = async |arguments: &[&str]| -> anyhow::Result<String> {
        let run = tokio::process::Command::new("kubectl")
            .args(["--namespace", "shop", "--cache-dir"])
            .arg(folder.path())
            .args(arguments)
            .env("KUBECONFIG", &config)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(30), run).await.context("kubectl hangs")??;
        let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(output.status.success(), "kubectl {arguments:?}: {out}{err}");
        ensure!(!out.is_empty(), "kubectl {arguments:?} says nothing: {err}");
        Ok(out)
    };
    let listed = kubectl(&["get", "deploy"]).await.unwrap();
    assert!(listed.lines().nth(1).unwrap().starts_with("checkout   2/2"), "{listed}");
    kubectl(&["scale", "deploy", "checkout", "--replicas=5", "--current-replicas=2"]).await.unwrap();
    kubectl(&["rollout", "status", "deploy/checkout", "--timeout=10s"]).await.unwrap();
    let pods = kubectl(&["get", "pods", "-l", "app=checkout", "--no-headers"]).await.unwrap();
    assert_eq!(
        pods.lines().filter(|line| line.contains("1/1") && line.contains("Running")).count(),
        5,
        "{pods}"
    );
    // Debian 12's kubectl is 1.20: it knows no `--subresource resize` (1.32) and applies by the OpenAPI v2 document,
    // which later ones do without.
    if kubectl(&["patch", "--help"]).await.unwrap().contains("resize") {
        let patch = r#"{"spec":{"containers":[{"name":"checkout","resources":{"requests":{"cpu":"1"},"limits":{"cpu":"1"}}}]}}"#;
        let name = pod(&k);
        kubectl(&["patch", "pod", &name, "--subresource", "resize", "--patch", patch]).await.unwrap();
        k.until(SOON, |k| {
            k.workload("shop", "checkout").unwrap().pods.iter().any(|pod| pod.cpu_limit_cores == 1.0)
        })
        .await
        .unwrap();
        let manifest = folder.path().join("cart.json");
        let cart = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": "cart"}}, "template": {"metadata": {"labels": {"app": "cart"}},
        "spec": {"containers": [{"name": "cart", "image": "registry.example/cart:1.0"}]}}}});
        std::fs::write(&manifest, cart.to_string()).unwrap();
        kubectl(&["apply", "-f", manifest.to_str().unwrap()]).await.unwrap();
        kubectl(&["wait", "--for=condition=Available", "deploy/cart", "--timeout=10s"]).await.unwrap();
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", manifest.to_str().unwrap()])
            .await
            .unwrap();
        let described = kubectl(&["describe", "deploy", "cart"]).await.unwrap();
        assert!(described.contains("1 available"), "{described}");
        kubectl(&["delete", "deploy", "cart"]).await.unwrap();
        assert!(k.object("Deployment", "shop", "cart").is_none());
    }
    let by =
        k.journal().into_iter().find(|e| e.resource == "deployments/scale" && e.write.is_some()).unwrap();
    assert!(by.user_agent.starts_with("kubectl/"), "{}", by.user_agent);
}

struct Events {
    body: futures::stream::BoxStream<'static, reqwest::Result<axum::body::Bytes>>,
    text: String,
}

async fn watch(k: &Kubernetes, path: &str) -> Events {
    let response = client().get(format!("{}{path}", k.url())).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    Events { body: response.bytes_stream().boxed(), text: String::new() }
}

impl Events {
    async fn next(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        tokio::time::timeout(SOON, async {
            loop {
                while let Some((line, rest)) = self.text.split_once('\n') {
                    let event: Value = serde_json::from_str(line).unwrap();
                    let rest = rest.to_owned();
                    self.text = rest;
                    if wanted(&event) {
                        return event;
                    }
                }
                let chunk = self.body.next().await.expect("the watch goes on").unwrap();
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        })
        .await
        .expect("the event comes")
    }

    async fn end(mut self) {
        let drained = async { while self.body.next().await.is_some() {} };
        tokio::time::timeout(SOON, drained).await.expect("the watch ends");
    }
}

/// Applies a Deployment of one pod with this spec and answers what became of it: its node, or why there is no pod.
async fn tried(k: &Kubernetes, spec: Value) -> Result<Option<String>, String> {
    k.delete("Deployment", "shop", "one");
    k.apply(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one", "namespace": "shop"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "one"}},
                 "template": {"metadata": {"labels": {"app": "one"}}, "spec": spec}}}))
        .unwrap();
    let failure = |k: &Kubernetes| {
        let deployment = k.object("Deployment", "shop", "one")?;
        let told = deployment["status"]["conditions"].as_array()?.clone();
        let failed = told.into_iter().find(|it| it["type"] == "ReplicaFailure" && it["status"] == "True")?;
        Some(failed["message"].as_str()?.to_owned())
    };
    let pod = |k: &Kubernetes| {
        let name = k.workload("shop", "one")?.pods.first()?.name.clone();
        let pod = k.object("Pod", "shop", &name)?;
        let told = pod["status"]["conditions"].as_array()?.clone();
        told.iter().any(|it| it["type"] == "PodScheduled").then_some(pod)
    };
    k.until(Duration::from_secs(10), |k| failure(k).is_some() || pod(k).is_some()).await.unwrap();
    match failure(k) {
        Some(why) => Err(why),
        None => Ok(pod(k).unwrap()["spec"]["nodeName"].as_str().map(str::to_owned)),
    }
}

fn container(name: &str, cpu: &str) -> Value {
    json!({"name": name, "image": "a:1", "resources": {"requests": {"cpu": cpu}}})
}

#[tokio::test]
async fn a_pod_takes_the_most_that_any_moment_of_its_life_takes() {
    let k = Kubernetes::start().await.unwrap();
    k.delete("Node", "", "node-2");
    k.node("node-1", 2.0, 4 << 30);
    let sidecar = |cpu: &str| {
        let mut sidecar = container("side", cpu);
        sidecar["restartPolicy"] = json!("Always");
        sidecar
    };
    let app = || json!([container("app", "1")]);
    let cases = [
        (json!({"containers": app()}), true),
        (json!({"containers": app(), "initContainers": [container("init", "2")]}), true),
        (json!({"containers": app(), "initContainers": [sidecar("1"), container("init", "1")]}), true),
        (json!({"containers": app(), "initContainers": [sidecar("1100m")]}), false),
        (
            json!({"containers": app(), "initContainers": [sidecar("500m"), container("init", "1600m")]}),
            false,
        ),
        (json!({"containers": app(), "initContainers": [container("init", "1600m"), sidecar("500m")]}), true),
        (json!({"containers": app(), "overhead": {"cpu": "1001m"}}), false),
        (json!({"containers": app(), "resources": {"requests": {"cpu": "2100m"}}}), false),
        (json!({"containers": [container("app", "3")], "resources": {"requests": {"cpu": "2"}}}), true),
        (json!({"containers": app(), "nodeSelector": {"kubernetes.io/hostname": "node-9"}}), false),
    ];
    for (spec, fits) in cases {
        let words = spec.to_string();
        assert_eq!(tried(&k, spec).await.unwrap().is_some(), fits, "{words}");
    }
}

#[tokio::test]
async fn limit_ranges_and_scoped_quotas_refuse_as_their_kind_does() {
    let k = Kubernetes::start().await.unwrap();
    k.namespace("shop");
    let put = |kind: &str, spec: Value| {
        k.apply(json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "it", "namespace": "shop"}, "spec": spec}))
            .unwrap();
    };
    let limited = |request: &str, limit: &str| {
        let mut container = container("app", request);
        container["resources"]["limits"] = json!({"cpu": limit});
        json!({"containers": [container]})
    };
    put(
        "LimitRange",
        json!({"limits": [{"type": "Container", "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}}]}),
    );
    let why = tried(&k, limited("900m", "1100m")).await.unwrap_err();
    assert!(why.contains("maximum cpu usage per Container is 1, but limit is 1100m"), "{why}");
    let why = tried(&k, limited("400m", "1")).await.unwrap_err();
    assert!(why.contains("cpu max limit to request ratio per Container is 2"), "{why}");
    tried(&k, limited("500m", "1")).await.unwrap();
    tried(&k, json!({"containers": [{"name": "app", "image": "a:1"}]})).await.unwrap();
    k.delete("LimitRange", "shop", "it");

    put("ResourceQuota", json!({"hard": {"pods": "0"}, "scopes": ["BestEffort"]}));
    tried(&k, limited("1", "1")).await.unwrap();
    let bare = json!({"containers": [{"name": "app", "image": "a:1"}]});
    assert!(tried(&k, bare.clone()).await.unwrap_err().contains("exceeded quota: it"));
    put("ResourceQuota", json!({"hard": {"limits.memory": "1Gi"}}));
    assert!(tried(&k, bare).await.unwrap_err().contains("must specify limits.memory"));
}
