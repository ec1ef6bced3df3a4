//! Sight: everything that is followed of a cluster, and what of it surrounds one workload. Owns which kinds are
//! watched; a look reads what the watches hold and asks the API server for nothing.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{LimitRange, Node, Pod, PodSpec, PodTemplateSpec, ResourceQuota};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::api::Api;
use kube::core::{ApiResource, DynamicObject, Selector, SelectorExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Cluster;
use super::mirror::Mirror;
use super::occupancy::Occupancy;
use super::owner::{self, Aim};
use super::workloads::Workloads;
use super::{bounds, demand};
use crate::domain::name::TargetId;
use crate::domain::scaling::{
    DisruptionBudget, Known, Placed, PodDemand, Quota, Range, Scaler, ScalerKind, Surroundings, Unseen,
};

/// How long a look waits for the first answers of watches that have just begun.
pub(super) const FIRST: Duration = Duration::from_secs(5);

/// What is followed.
#[derive(Debug, Default)]
pub(super) struct Sight {
    is_watching: AtomicBool,
    pub(super) occupancy: Occupancy,
    pub(super) workloads: Workloads,
    quotas: Mirror<Quota>,
    ranges: Mirror<Range>,
    budgets: Mirror<(Selector, DisruptionBudget)>,
    hpas: Mirror<(Aim, Scaler)>,
    scaled_objects: Mirror<(Aim, Scaler)>,
    vertical: Mirror<(Aim, Scaler)>,
}

impl Cluster {
    /// Follows nodes, pods, quotas, limit ranges, disruption budgets, other autoscalers and the workloads that
    /// looks ask for, for as long as it is polled.
    /// Never ends by itself: what cannot be read is unknown until it can, and stops nothing else.
    pub fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        // Known before it is polled, so that a look right after waits for it.
        self.sight.is_watching.store(true, Ordering::Release);
        let cluster = self.clone();
        // Boxed: it holds the state of every watch.
        async move { Box::pin(cluster.watch_all()).await }
    }

    async fn watch_all(&self) {
        let sight = &*self.sight;
        let client = || self.client.clone();
        let dynamic = |kind: &ApiResource| Api::<DynamicObject>::all_with(client(), kind);
        let (keda, vertical) = (owner::scaled_objects(), owner::vertical_autoscalers());
        // A pod that ended takes no room, and there can be many.
        let live = Some("status.phase!=Succeeded,status.phase!=Failed");
        let occupancy = &sight.occupancy;
        tokio::join!(
            self.follow(Api::<Node>::all(client()), None, &occupancy.nodes.0, occupancy),
            self.follow(Api::<Pod>::all(client()), live, &occupancy.pods.0, occupancy),
            self.mirror(Api::<ResourceQuota>::all(client()), &sight.quotas, bounds::quota),
            self.mirror(Api::<LimitRange>::all(client()), &sight.ranges, bounds::ranges),
            self.mirror(Api::<PodDisruptionBudget>::all(client()), &sight.budgets, bounds::budget),
            self.mirror(Api::<HorizontalPodAutoscaler>::all(client()), &sight.hpas, owner::hpa),
            self.mirror(dynamic(&keda), &sight.scaled_objects, owner::scaled_object),
            self.mirror(dynamic(&vertical), &sight.vertical, owner::vertical_autoscaler),
            self.follow_workloads(),
        );
    }

    async fn mirror<K, T: Clone>(&self, api: Api<K>, mirror: &Mirror<T>, read: fn(&K) -> Vec<T>)
    where
        K: Clone + Debug + DeserializeOwned + Resource,
    {
        self.follow(api, None, &mirror.pulse, &mirror.reading(read)).await;
    }
}

impl Sight {
    /// Whether anything is followed.
    pub(super) fn is_watching(&self) -> bool {
        self.is_watching.load(Ordering::Acquire)
    }

    /// Waits, for a while, until every watch that runs has had a first answer.
    pub(super) async fn begun(&self) {
        if !self.is_watching() {
            return;
        }
        let pulses = [
            &self.occupancy.nodes.0,
            &self.occupancy.pods.0,
            &self.quotas.pulse,
            &self.ranges.pulse,
            &self.budgets.pulse,
            &self.hpas.pulse,
            &self.scaled_objects.pulse,
            &self.vertical.pulse,
        ];
        let all = async {
            for pulse in pulses {
                pulse.begun().await;
            }
        };
        // What has not answered by then is unknown.
        let _ = tokio::time::timeout(FIRST, all).await;
    }

    /// What surrounds a workload.
    pub(super) fn around(
        &self,
        target: &TargetId,
        kind: &ApiResource,
        workload: &DynamicObject,
        placed: Known<Arc<[Placed]>>,
        replicas: u32,
    ) -> Surroundings {
        let namespace = &*target.namespace;
        let aim = Aim::at(kind, &target.name);
        let meta = &workload.metadata;
        let mut around = Surroundings {
            nodes: self.occupancy.nodes(),
            pod: template(workload),
            placed,
            quotas: known(self.quotas.of(namespace)),
            ranges: known(self.ranges.of(namespace)),
            budgets: known(self.budgets.of(namespace).map(|all| covering(&all, workload))),
            surge: surge(kind, workload, replicas),
            replicas_by: owner::of_replicas(meta),
            resources_by: owner::of_resources(meta),
            tracking: owner::tracking(meta),
            replicas_in_applied: owner::states_replicas(meta),
            pause: owner::pause(meta),
            made_by: owner::maker(meta),
            ..Surroundings::default()
        };
        for (kind, mirror) in [
            (ScalerKind::HorizontalPodAutoscaler, &self.hpas),
            (ScalerKind::ScaledObject, &self.scaled_objects),
            (ScalerKind::VerticalPodAutoscaler, &self.vertical),
        ] {
            match mirror.of(namespace) {
                Ok(all) => {
                    let ours = all.iter().filter(|(at, _)| *at == aim).map(|(_, scaler)| scaler.clone());
                    around.scalers.extend(ours);
                }
                Err(why) => drop(around.unseen_scalers.insert(kind, why)),
            }
        }
        around
    }
}

fn known<T>(seen: Result<T, Unseen>) -> Known<T> {
    seen.map_or_else(Known::Unseen, Known::Seen)
}

/// What the template's next pod will ask for.
fn template(workload: &DynamicObject) -> Known<Arc<PodDemand>> {
    let Some(template) = workload.data.pointer("/spec/template") else {
        return Known::Unseen(Unseen::Unreadable);
    };
    // Read by themselves: a template's metadata may be anything a controller likes.
    let spec = template.get("spec").cloned().map(serde_json::from_value::<PodSpec>);
    let Some(Ok(spec)) = spec else { return Known::Unseen(Unseen::Unreadable) };
    let mut demand = demand::of_spec(&spec);
    let claims = workload.data.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array);
    if claims.is_some_and(|claims| !claims.is_empty()) {
        demand.has_volumes();
    }
    Known::Seen(Arc::new(demand))
}

/// The budgets that cover the template's pods.
fn covering(all: &[(Selector, DisruptionBudget)], workload: &DynamicObject) -> Arc<[DisruptionBudget]> {
    let template = workload.data.pointer("/spec/template").cloned().unwrap_or_default();
    let template: PodTemplateSpec = serde_json::from_value(template).unwrap_or_default();
    let labels = template.metadata.and_then(|meta| meta.labels).unwrap_or_default();
    all.iter().filter(|(selector, _)| selector.matches(&labels)).map(|(_, budget)| budget.clone()).collect()
}

/// How many pods more than wanted a rollout of this workload may run at once.
/// Source: the Kubernetes documentation, "Deployments", max surge: rounded up, a quarter where nothing is said.
fn surge(kind: &ApiResource, workload: &DynamicObject, replicas: u32) -> u32 {
    let strategy = workload.data.pointer("/spec/strategy");
    if kind.kind != "Deployment" || strategy.is_some_and(|it| it["type"] == "Recreate") {
        return 0;
    }
    let stated = strategy.map(|it| &it["rollingUpdate"]["maxSurge"]);
    let count = stated.and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok());
    let percent = |text: &str| text.strip_suffix('%').and_then(|text| text.parse::<u32>().ok());
    let share = stated.and_then(Value::as_str).and_then(percent).unwrap_or(25);
    count.unwrap_or_else(|| replicas.saturating_mul(share).div_ceil(100))
}
