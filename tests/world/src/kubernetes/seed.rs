//! Seeding: objects that a test puts into the cluster past the API's checks.

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::cluster::State;
use super::store::text;
use super::{Kubernetes, admission, event, kind};

impl Kubernetes {
    /// Creates or replaces an object, or every object of a `List`; missing namespaces come with it.
    /// Fails on what is no object of a served kind.
    pub fn apply(&self, object: Value) -> anyhow::Result<()> {
        if let Some(items) = object.get("items").and_then(Value::as_array) {
            return items.iter().try_for_each(|item| self.apply(item.clone()));
        }
        self.cluster.with(|state| put(state, object))
    }

    /// Creates a namespace if it does not exist.
    pub fn namespace(&self, name: &str) {
        self.cluster.with(|state| ensure_namespace(state, name));
    }

    /// Creates or replaces a ready node with this much to allocate (cores, bytes) and room for 110 pods.
    pub fn node(&self, name: &str, cores: f64, memory_bytes: u64) {
        let amounts = json!({"cpu": millicores(cores), "memory": memory_bytes.to_string(), "pods": "110"});
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
            "spec": {},
            "status": {"capacity": amounts, "allocatable": amounts,
                       "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
        });
        self.put_known(node);
    }

    /// Creates or replaces a `Deployment` with the label `app` and one container, whose requests are its limits.
    pub fn deployment(
        &self,
        namespace: &str,
        name: &str,
        replicas: u32,
        cpu_limit_cores: f64,
        memory_limit_bytes: u64,
    ) {
        self.put_known(workload(
            "Deployment",
            (namespace, name),
            replicas,
            cpu_limit_cores,
            memory_limit_bytes,
        ));
    }

    /// Creates or replaces a `StatefulSet` of the same make.
    pub fn stateful_set(
        &self,
        namespace: &str,
        name: &str,
        replicas: u32,
        cpu_limit_cores: f64,
        memory_limit_bytes: u64,
    ) {
        let mut set =
            workload("StatefulSet", (namespace, name), replicas, cpu_limit_cores, memory_limit_bytes);
        set["spec"]["serviceName"] = json!(name);
        self.put_known(set);
    }

    fn put_known(&self, object: Value) {
        let seeded = self.cluster.with(|state| put(state, object));
        debug_assert!(seeded.is_ok(), "the built-in objects are of built-in kinds: {seeded:?}");
    }
}

fn workload(kind: &str, (namespace, name): (&str, &str), replicas: u32, cores: f64, memory: u64) -> Value {
    let amounts = json!({"cpu": millicores(cores), "memory": memory.to_string()});
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": name, "image": format!("registry.example/{name}:1.0"),
                                     "resources": {"requests": amounts, "limits": amounts}}]},
        }},
    })
}

fn millicores(cores: f64) -> String {
    format!("{:.0}m", cores * 1000.0)
}

fn ensure_namespace(state: &mut State, name: &str) {
    let key = kind::NAMESPACE.key("", name);
    if !name.is_empty() && state.store.get(&key).is_none() {
        let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata":
            {"labels": {"kubernetes.io/metadata.name": name}}, "spec": {}, "status": {"phase": "Active"}});
        state.store.stamp(&key, &mut namespace);
        state.store.put(&key, namespace);
    }
}

fn put(state: &mut State, mut object: Value) -> anyhow::Result<()> {
    let (version, name) = (text(&object, "/apiVersion"), text(&object, "/kind"));
    let known = state.kinds.iter().find(|kind| kind.kind == name && kind.api_version() == version).copied();
    let kind = known.with_context(|| format!("no such kind is served: {version} {name}"))?;
    if let Err(refusal) = admission::shape(&kind, &mut object) {
        bail!("{}", refusal.message());
    }
    let name = text(&object, "/metadata/name").to_owned();
    if name.is_empty() {
        bail!("an object needs metadata.name");
    }
    let namespace = match text(&object, "/metadata/namespace") {
        _ if !kind.namespaced => String::new(),
        "" => "default".to_owned(),
        namespace => namespace.to_owned(),
    };
    ensure_namespace(state, &namespace);
    let key = kind.key(&namespace, &name);
    let mut object = event::stored(&kind, object);
    admission::default(&kind, &mut object);
    if let Some(old) = state.store.get(&key).cloned() {
        if let (None, Some(status)) = (object.get("status"), old.get("status")) {
            object["status"] = status.clone();
        }
        state.store.replace(&key, object);
    } else {
        if kind.has_template() && object.get("status").is_none() {
            object["status"] = json!({});
        }
        state.store.stamp(&key, &mut object);
        state.store.put(&key, object);
    }
    Ok(())
}
