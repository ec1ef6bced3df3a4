//! The manifests and the image as they would reach a cluster: rendered by `kubectl kustomize`, then read back.
//!
//! Asserts what must hold of the result: least rights, a locked-down pod, the files of `config/` and `rules/`, and
//! that the pieces name each other correctly. Needs no cluster; whether an API server accepts it is not asked here.

#![expect(clippy::expect_used, clippy::panic, reason = "a test ends by panicking, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const BASE: &str = "deploy/base";
const APPLY: &str = "deploy/overlays/apply";
const VERTICAL_TEMPLATE: &str = "deploy/overlays/vertical-template";
const RAISE_HPA_MIN: &str = "deploy/overlays/raise-hpa-min";
const EVERY: [&str; 4] = [BASE, APPLY, VERTICAL_TEMPLATE, RAISE_HPA_MIN];

// === rendering ===

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("not YAML: {error}\n{text}"))
}

/// The documents that `kubectl apply -k FOLDER` would send.
fn rendered(folder: &str) -> Vec<Value> {
    let output =
        Command::new("kubectl").args(["kustomize", folder]).current_dir(root()).output().unwrap_or_else(
            |error| panic!("kubectl does not start ({error}): run `make setup`, which installs it"),
        );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl kustomize {folder}: {stderr}");
    let text = String::from_utf8(output.stdout).expect("kubectl writes UTF-8");
    serde_yaml::from_multiple(&text).expect("kubectl writes YAML")
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

fn only<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(documents, kind);
    assert_eq!(found.len(), 1, "one {kind} is expected");
    found[0]
}

fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().expect("every document has a name")
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().expect("a list of strings")).collect()
}

fn pod(documents: &[Value]) -> &Value {
    &only(documents, "Deployment")["spec"]["template"]["spec"]
}

fn container(documents: &[Value]) -> &Value {
    let containers = pod(documents)["containers"].as_array().expect("a pod has containers");
    assert_eq!(containers.len(), 1, "one container is expected");
    &containers[0]
}

fn mount_path<'a>(documents: &'a [Value], volume: &str) -> &'a str {
    let mounts = container(documents)["volumeMounts"].as_array().expect("the container has mounts");
    let mount = mounts.iter().find(|mount| mount["name"] == volume);
    let mount = mount.unwrap_or_else(|| panic!("volume {volume} is not mounted"));
    assert!(mount["subPath"].is_null(), "a subPath mount never follows an edit: {mount}");
    mount["mountPath"].as_str().expect("a mount has a path")
}

fn volume<'a>(documents: &'a [Value], volume: &str) -> &'a Value {
    let volumes = pod(documents)["volumes"].as_array().expect("the pod has volumes");
    volumes
        .iter()
        .find(|found| found["name"] == volume)
        .unwrap_or_else(|| panic!("there is no volume {volume}"))
}

// === rights ===

/// Every right of every role, as "verb group/resource".
fn rights(documents: &[Value]) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for role in of_kind(documents, "Role").into_iter().chain(of_kind(documents, "ClusterRole")) {
        for rule in role["rules"].as_array().expect("a role has rules") {
            assert!(rule["nonResourceURLs"].is_null(), "{} names paths of the API server", name(role));
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    for verb in strings(&rule["verbs"]) {
                        rights.insert(format!("{verb} {group}/{resource}"));
                    }
                }
            }
        }
    }
    rights
}

fn writes(rights: &BTreeSet<String>) -> BTreeSet<&str> {
    let reads = ["get ", "list ", "watch "];
    rights
        .iter()
        .map(String::as_str)
        .filter(|right| !reads.iter().any(|read| right.starts_with(read)))
        .collect()
}

#[test]
fn no_role_has_a_wildcard_or_reaches_secrets_or_more_than_its_own_account() {
    for folder in EVERY {
        let documents = rendered(folder);
        let rights = rights(&documents);
        assert!(rights.contains("list /pods"), "{folder}: the roles were not read");
        for right in &rights {
            assert!(!right.contains('*'), "{folder}: wildcard in {right}");
            let resource = right.rsplit('/').next().expect("a right names a resource");
            assert!(
                !["secrets", "configmaps", "exec", "attach", "token"].contains(&resource),
                "{folder}: {right}"
            );
        }
        let bindings = of_kind(&documents, "RoleBinding");
        for binding in bindings.into_iter().chain(of_kind(&documents, "ClusterRoleBinding")) {
            let ours = json!([{ "kind": "ServiceAccount", "name": "runbookd", "namespace": "runbookd" }]);
            assert_eq!(binding["subjects"], ours, "{folder}: {}", name(binding));
        }
    }
}

#[test]
fn the_base_may_write_leases_and_nothing_else() {
    let documents = rendered(BASE);
    let rights = rights(&documents);
    let leases = ["create coordination.k8s.io/leases", "update coordination.k8s.io/leases"];
    assert_eq!(writes(&rights), BTreeSet::from(leases));
    let role = only(&documents, "Role");
    assert_eq!((name(role), &role["metadata"]["namespace"]), ("runbookd-leases", &json!("runbookd")));
}

#[test]
fn the_apply_overlay_adds_sizes_and_events_and_only_in_the_namespaces_of_the_targets() {
    let (before, documents) = (rendered(BASE), rendered(APPLY));
    let (base, apply) = (rights(&before), rights(&documents));
    let added: BTreeSet<_> = writes(&apply).difference(&writes(&base)).copied().collect();
    let scale = ["deployments", "statefulsets", "replicasets"].map(|kind| format!("apps/{kind}/scale"));
    let mut expected: BTreeSet<String> =
        scale.iter().flat_map(|kind| [format!("patch {kind}"), format!("update {kind}")]).collect();
    expected.insert("patch /pods/resize".to_owned());
    for group in ["", "events.k8s.io"] {
        expected.extend(["create", "patch"].map(|verb| format!("{verb} {group}/events")));
    }
    assert_eq!(added, expected.iter().map(String::as_str).collect());

    let everywhere = of_kind(&documents, "ClusterRoleBinding");
    assert!(everywhere.iter().all(|binding| binding["roleRef"]["name"] != "runbookd-scale"));
    let bound: BTreeSet<_> = of_kind(&documents, "RoleBinding")
        .into_iter()
        .filter(|binding| binding["roleRef"]["name"] == "runbookd-scale")
        .map(|binding| binding["metadata"]["namespace"].as_str().expect("a RoleBinding has a namespace"))
        .collect();
    let rules = yaml(&read("rules/scaling.yaml"));
    let targets = rules["scale_out_strategy"]["targets"].as_array().expect("the shipped rules have targets");
    let wanted: BTreeSet<_> =
        targets.iter().map(|target| target["namespace"].as_str().expect("namespace")).collect();
    assert_eq!(bound, wanted, "namespaces of the shipped targets");
}

#[test]
fn only_the_template_overlay_may_patch_workloads_and_a_policy_stands_beside_it() {
    let templates = ["patch apps/deployments", "patch apps/statefulsets"];
    for folder in [BASE, APPLY] {
        let rights = rights(&rendered(folder));
        let whole = ["apps/deployments", "apps/statefulsets", "apps/replicasets", "/pods"];
        for right in writes(&rights) {
            assert!(!whole.iter().any(|kind| right.ends_with(&format!(" {kind}"))), "{folder}: {right}");
        }
    }
    let documents = rendered(VERTICAL_TEMPLATE);
    let (apply, template) = (rights(&rendered(APPLY)), rights(&documents));
    let added: BTreeSet<_> = template.difference(&apply).map(String::as_str).collect();
    assert_eq!(added, BTreeSet::from(templates));

    let policy = only(&documents, "ValidatingAdmissionPolicy");
    assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    let account = "request.userInfo.username == 'system:serviceaccount:runbookd:runbookd'";
    assert_eq!(policy["spec"]["matchConditions"][0]["expression"], account);
    let guarded = &policy["spec"]["matchConstraints"]["resourceRules"][0];
    assert_eq!(strings(&guarded["resources"]), ["deployments", "statefulsets"]);
    let binding = only(&documents, "ValidatingAdmissionPolicyBinding");
    assert_eq!(binding["spec"]["policyName"], name(policy));
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
}

#[test]
fn only_its_own_overlay_may_patch_autoscalers_and_only_in_the_namespaces_of_the_targets() {
    let documents = rendered(RAISE_HPA_MIN);
    let (apply, raise) = (rights(&rendered(APPLY)), rights(&documents));
    let added: BTreeSet<_> = raise.difference(&apply).map(String::as_str).collect();
    assert_eq!(added, BTreeSet::from(["patch autoscaling/horizontalpodautoscalers"]));
    let everywhere = of_kind(&documents, "ClusterRoleBinding");
    assert!(everywhere.iter().all(|binding| binding["roleRef"]["name"] != "runbookd-raise-hpa-min"));
}

/// What the checks before a step read, and nothing that is not read.
#[test]
fn the_base_reads_what_the_checks_look_at() {
    let rights = rights(&rendered(BASE));
    for resource in [
        "/nodes",
        "/pods",
        "/resourcequotas",
        "/limitranges",
        "policy/poddisruptionbudgets",
        "autoscaling/horizontalpodautoscalers",
        "keda.sh/scaledobjects",
        "autoscaling.k8s.io/verticalpodautoscalers",
        "apps/deployments",
        "apps/statefulsets",
        "apps/replicasets",
    ] {
        for verb in ["list", "watch"] {
            assert!(rights.contains(&format!("{verb} {resource}")), "{verb} {resource}");
        }
    }
}

// === the pod ===

#[test]
fn the_pod_runs_this_version_without_root_writable_root_or_capability_and_with_seccomp() {
    for folder in EVERY {
        let documents = rendered(folder);
        assert_eq!(
            container(&documents)["image"],
            concat!("runbookd:", env!("CARGO_PKG_VERSION")),
            "{folder}"
        );
        assert_eq!(only(&documents, "ServiceAccount")["automountServiceAccountToken"], false, "{folder}");
        assert_eq!(
            pod(&documents)["automountServiceAccountToken"],
            true,
            "{folder}: this pod alone has the token"
        );
        let pod_context = &pod(&documents)["securityContext"];
        assert_eq!(pod_context["runAsNonRoot"], true, "{folder}");
        assert_eq!(pod_context["runAsUser"], 65532, "{folder}");
        assert_eq!(pod_context["fsGroup"], 65532, "{folder}");
        assert_eq!(pod_context["seccompProfile"]["type"], "RuntimeDefault", "{folder}");
        let context = &container(&documents)["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{folder}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{folder}");
        assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }), "{folder}");
        let enforced =
            &only(&documents, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
        assert_eq!(enforced, "restricted", "{folder}");
    }
}

#[test]
fn the_probes_and_the_service_reach_the_port_that_is_listened_on() {
    let documents = rendered(BASE);
    let container = container(&documents);
    assert!(strings(&container["args"]).contains(&"--listen=0.0.0.0:9095"));
    assert_eq!(container["ports"], json!([{ "containerPort": 9095, "name": "http" }]));
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "http" }), "{probe}");
    }
    let service = only(&documents, "Service");
    assert_eq!(service["spec"]["ports"], json!([{ "name": "http", "port": 9095, "targetPort": "http" }]));
    let labels = &only(&documents, "Deployment")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&service["spec"]["selector"], labels);
}

#[test]
fn the_pod_is_bounded_in_memory_and_time_and_knows_its_namespace() {
    let documents = rendered(BASE);
    let container = container(&documents);
    for bound in ["requests", "limits"] {
        for resource in ["cpu", "memory"] {
            assert!(container["resources"][bound][resource].is_string(), "{bound}.{resource}");
        }
    }
    assert_eq!(pod(&documents)["terminationGracePeriodSeconds"], 15);
    let namespace = json!([{ "name": "POD_NAMESPACE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } }]);
    assert_eq!(container["env"], namespace);
}

#[test]
fn the_store_lands_on_the_volume_and_no_two_pods_hold_it() {
    let documents = rendered(BASE);
    let store = mount_path(&documents, "store");
    assert_eq!(container(&documents)["workingDir"], store);
    let url =
        yaml(&read("config/runbookd.yaml"))["store"]["url"].as_str().expect("the shipped store").to_owned();
    let path = url.strip_prefix("sqlite:").expect("the shipped store is SQLite");
    assert!(Path::new(store).join(path).starts_with(store), "{url} leads away from {store}");
    let claim = only(&documents, "PersistentVolumeClaim");
    assert_eq!(volume(&documents, "store")["persistentVolumeClaim"]["claimName"], name(claim));
    let deployment = &only(&documents, "Deployment")["spec"];
    assert_eq!((&deployment["replicas"], &deployment["strategy"]["type"]), (&json!(1), &json!("Recreate")));
}

// === files ===

/// The files of a folder that the daemon would read, by name.
fn files(folder: &str) -> BTreeMap<String, String> {
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let entries = fs::read_dir(root().join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path()).filter(is_yaml);
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).expect("UTF-8 name").to_owned();
    paths.map(|path| (name(&path), read(&path))).collect()
}

fn config_map(documents: &[Value], wanted: &str) -> BTreeMap<String, String> {
    let maps = of_kind(documents, "ConfigMap");
    let map = maps
        .iter()
        .find(|map| name(map) == wanted)
        .unwrap_or_else(|| panic!("there is no ConfigMap {wanted}"));
    assert_eq!(map["metadata"]["namespace"], "runbookd", "{wanted}");
    let data = map["data"].as_object().expect("the ConfigMap has data");
    data.iter().map(|(key, value)| (key.clone(), value.as_str().expect("text").to_owned())).collect()
}

#[test]
fn every_rule_file_is_in_its_config_map() {
    let rules = files("rules");
    for folder in EVERY {
        assert_eq!(config_map(&rendered(folder), "runbookd-rules"), rules, "{folder}");
    }
}

#[test]
fn every_config_file_is_in_its_config_map_and_only_the_two_of_the_cluster_differ() {
    let mut expected = files("config");
    expected.insert("prometheus.yaml".to_owned(), read("deploy/base/config/prometheus.yaml"));
    assert_eq!(config_map(&rendered(BASE), "runbookd-config"), expected);
    assert_eq!(yaml(&expected["kubernetes.yaml"])["kubernetes"]["mode"], "dry_run");

    expected.insert("kubernetes.yaml".to_owned(), read("deploy/overlays/apply/config/kubernetes.yaml"));
    assert_eq!(yaml(&expected["kubernetes.yaml"])["kubernetes"]["mode"], "apply");
    for folder in [APPLY, VERTICAL_TEMPLATE, RAISE_HPA_MIN] {
        assert_eq!(config_map(&rendered(folder), "runbookd-config"), expected, "{folder}");
    }
}

#[test]
fn what_a_cluster_replaces_sets_the_same_keys_as_the_shipped_file() {
    for (shipped, replacement) in [
        ("config/prometheus.yaml", "deploy/base/config/prometheus.yaml"),
        ("config/kubernetes.yaml", "deploy/overlays/apply/config/kubernetes.yaml"),
    ] {
        let keys = |path: &str| -> Vec<String> {
            yaml(&read(path)).as_object().expect("a map").keys().cloned().collect()
        };
        assert_eq!(keys(shipped).len(), 1, "{shipped} is replaced whole, so it holds one key");
        assert_eq!(keys(replacement), keys(shipped), "{replacement}");
    }
}

#[test]
fn the_pod_reads_the_folders_that_hold_the_config_maps() {
    let documents = rendered(BASE);
    let args = strings(&container(&documents)["args"]);
    for (folder, map) in [("config", "runbookd-config"), ("rules", "runbookd-rules")] {
        assert_eq!(volume(&documents, folder)["configMap"]["name"], map);
        let argument = format!("--{folder}={}", mount_path(&documents, folder));
        assert!(args.contains(&argument.as_str()), "{argument} is not in {args:?}");
    }
}

#[test]
fn the_example_secret_has_every_key_that_config_names_and_is_never_applied() {
    let documents = rendered(VERTICAL_TEMPLATE);
    assert!(of_kind(&documents, "Secret").is_empty(), "no secret is part of a kustomization");
    let mount = mount_path(&documents, "secrets");
    let secret = &volume(&documents, "secrets")["secret"];
    let example = yaml(&read("deploy/secret.example.yaml"));
    assert_eq!((&secret["secretName"], &secret["optional"]), (&example["metadata"]["name"], &json!(true)));

    let keys: BTreeSet<_> = example["stringData"].as_object().expect("keys").keys().cloned().collect();
    let prefix = format!("{mount}/");
    let config = files("config");
    let named: BTreeSet<_> = config
        .values()
        .flat_map(|text| text.split_whitespace())
        .filter_map(|word| word.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect();
    assert!(!named.is_empty(), "config/ names no file in {mount}");
    assert_eq!(keys, named);
}

// === the image ===

#[test]
fn the_image_is_shell_free_runs_without_root_and_carries_a_ca_bundle() {
    let text = read("deploy/Dockerfile").replace("\\\n", " ");
    let (build, last) = text.rsplit_once("\nFROM ").expect("a build stage and a final one");
    let mut lines = last.lines().map(str::trim);
    assert_eq!(lines.next(), Some("gcr.io/distroless/cc-debian12:nonroot"));
    let lines: Vec<_> = lines.collect();
    assert!(!lines.iter().any(|line| line.starts_with("RUN ")), "the final stage has no shell to run with");
    assert_eq!(lines.iter().rfind(|line| line.starts_with("USER ")), Some(&"USER 65532:65532"));
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let copies_bundle =
        |line: &&str| line.starts_with("COPY --from=build ") && line.ends_with(&format!(" {bundle}"));
    assert!(lines.iter().any(copies_bundle), "no CA bundle");
    let entry = lines.iter().find_map(|line| line.strip_prefix("ENTRYPOINT ")).expect("an ENTRYPOINT");
    assert_eq!(
        serde_json::from_str::<Vec<String>>(entry).expect("the exec form"),
        ["/usr/local/bin/runbookd"]
    );
    let command = lines.iter().find_map(|line| line.strip_prefix("CMD ")).expect("a CMD");
    let command: Vec<String> = serde_json::from_str(command).expect("the exec form");
    assert_eq!(command.first().map(String::as_str), Some("run"));
    assert!(
        build.contains("cargo build --locked --profile dist"),
        "the build is not the locked dist profile"
    );
}
