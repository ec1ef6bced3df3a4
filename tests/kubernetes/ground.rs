//! The ground that portable cases stand on: a namespace of their own in whatever cluster a kubeconfig names, this
//! process' API server or a real one. Everything is made and looked at through the API, and the namespace is removed at
//! the end, also of a case that failed.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use runbookd::domain::name::TargetId;
use runbookd::domain::scaling::WorkloadSnapshot;
use runbookd::kubernetes::Cluster;
use serde_json::{Value, json};
use world::kubernetes::Kubernetes;

/// Images have to be fetched and nodes are shared.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often something is looked at that has to come.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A namespace in a cluster.
#[derive(Clone)]
pub(crate) struct Ground {
    /// The adapter under test.
    pub(crate) cluster: Cluster,
    /// A client of the test's own.
    pub(crate) client: kube::Client,
    /// The namespace.
    pub(crate) namespace: String,
}

impl Ground {
    /// Runs a case on the cluster that `make test-cluster` names, or else on this process' API server.
    pub(crate) async fn with<F: Future<Output = ()> + Send + 'static>(case: impl FnOnce(Self) -> F) {
        world::install_crypto();
        if let Some(named) = std::env::var_os("RUNBOOKD_TEST_CLUSTER") {
            return Self::in_namespace(&PathBuf::from(named), case).await;
        }
        let kubernetes = Kubernetes::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        kubernetes.write_kubeconfig(&path).unwrap();
        Self::in_namespace(&path, case).await;
    }

    async fn in_namespace<F: Future<Output = ()> + Send + 'static>(
        kubeconfig: &Path,
        case: impl FnOnce(Self) -> F,
    ) {
        let options = KubeConfigOptions::default();
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let client = kube::Client::try_from(config.clone()).unwrap();
        let cluster = Cluster::from_config(config).unwrap().with_timeout(super::SOON);
        let namespace = format!("runbookd-test-{:08x}", fastrand::u32(..));
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let made = read_as(&json!({"metadata": {"name": namespace, "labels": {"app": "runbookd-test"}}}));
        namespaces.create(&PostParams::default(), &made).await.unwrap();
        let ground = Self { cluster, client, namespace: namespace.clone() };
        let watch = tokio::spawn(ground.cluster.watch());
        let outcome = tokio::spawn(case(ground)).await;
        watch.abort();
        let removed = namespaces.delete(&namespace, &DeleteParams::default()).await;
        if let Err(failed) = outcome {
            resume_unwind(failed.into_panic());
        }
        removed.unwrap();
    }

    /// Makes the Deployment `checkout` of so many pods that do nothing, and waits until they are ready.
    pub(crate) async fn checkout(&self, replicas: u32) -> TargetId {
        let labels = json!({"app": "checkout"});
        let amounts = json!({"cpu": "10m", "memory": "16Mi"});
        let container = json!({"name": "checkout", "image": "registry.k8s.io/pause:3.10",
                               "resources": {"requests": amounts, "limits": amounts}});
        let deployment = json!({
            "metadata": {"name": "checkout", "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
        });
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        deployments.create(&PostParams::default(), &read_as(&deployment)).await.unwrap();
        let target = self.target("Deployment", "checkout");
        self.until(&target, |seen| seen.ready_replicas == replicas && !seen.rollout_in_progress).await;
        target
    }

    /// A target in the namespace.
    pub(crate) fn target(&self, kind: &str, name: &str) -> TargetId {
        TargetId { namespace: self.namespace.as_str().into(), kind: kind.into(), name: name.into() }
    }

    /// Looks at a target until it is so.
    pub(crate) async fn until(
        &self,
        target: &TargetId,
        is_so: impl Fn(&WorkloadSnapshot) -> bool,
    ) -> WorkloadSnapshot {
        let mut last = None;
        let looking = async {
            loop {
                let seen = self.cluster.look(target).await;
                match seen {
                    Ok(seen) if is_so(&seen) => return seen,
                    other => last = Some(other),
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await.ok();
        found.unwrap_or_else(|| panic!("not so within {PATIENCE:?}; the last look: {last:?}"))
    }

    /// Makes a quota.
    pub(crate) async fn quota(&self, hard: Value) {
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &self.namespace);
        let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": hard}});
        quotas.create(&PostParams::default(), &read_as(&quota)).await.unwrap();
    }

    /// Makes an autoscaler of `checkout`.
    pub(crate) async fn autoscaler(&self, least: u32, most: u32) {
        let aim = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
        let cpu = json!({"type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}});
        let spec =
            json!({"minReplicas": least, "maxReplicas": most, "scaleTargetRef": aim, "metrics": [cpu]});
        let made = json!({"metadata": {"name": "checkout"}, "spec": spec});
        self.autoscalers().create(&PostParams::default(), &read_as(&made)).await.unwrap();
    }

    /// The least replicas of the autoscaler.
    pub(crate) async fn least(&self) -> Option<i32> {
        self.autoscalers().get("checkout").await.unwrap().spec.and_then(|spec| spec.min_replicas)
    }

    fn autoscalers(&self) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Somebody of this name changes the Deployment.
    pub(crate) async fn change(&self, manager: &str, change: Value) {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        deployments.patch("checkout", &params, &Patch::Merge(change)).await.unwrap();
    }
}

fn read_as<T: serde::de::DeserializeOwned>(object: &Value) -> T {
    serde_json::from_value(object.clone()).unwrap()
}
