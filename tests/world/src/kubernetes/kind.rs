//! The kinds this API server serves: names, groups and scopes.
//!
//! Owns the table only; what a kind means is said where it is acted upon (`admission`, `scale`, `controller`).

use super::store::Key;

/// One served kind, as discovery announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version within the group.
    pub version: &'static str,
    /// The kind's own name, such as `Deployment`.
    pub kind: &'static str,
    /// The name in paths, such as `deployments`.
    pub plural: &'static str,
    /// Short names that clients accept, such as `deploy`.
    pub short_names: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether the kind has the `scale` subresource.
    pub scalable: bool,
}

impl Kind {
    /// `group/version`, or the version alone for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The plural with its group, as error messages name a resource.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The kind with its group, as validation messages name it.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.to_owned() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Where an object of this kind is stored. Both event groups share one storage.
    pub(crate) fn key(&self, namespace: &str, name: &str) -> Key {
        let group = if self.plural == "events" { "" } else { self.group };
        let namespace = if self.namespaced { namespace } else { "" };
        Key { group, plural: self.plural, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Whether this is one of the workload kinds with a pod template.
    pub(crate) fn has_template(&self) -> bool {
        self.group == "apps"
    }
}

const fn namespaced(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
) -> Kind {
    Kind { group, version, kind, plural, short_names, namespaced: true, scalable: false }
}

const fn cluster_wide(
    kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
) -> Kind {
    Kind { group: "", version: "v1", kind, plural, short_names, namespaced: false, scalable: false }
}

const fn workload(kind: &'static str, plural: &'static str, short_names: &'static [&'static str]) -> Kind {
    Kind { group: "apps", version: "v1", kind, plural, short_names, namespaced: true, scalable: true }
}

/// Namespaces.
pub(crate) const NAMESPACE: Kind = cluster_wide("Namespace", "namespaces", &["ns"]);
/// Nodes.
pub(crate) const NODE: Kind = cluster_wide("Node", "nodes", &["no"]);
/// Pods.
pub(crate) const POD: Kind = namespaced("", "v1", "Pod", "pods", &["po"]);
/// Resource quotas.
pub(crate) const QUOTA: Kind = namespaced("", "v1", "ResourceQuota", "resourcequotas", &["quota"]);
/// Limit ranges.
pub(crate) const LIMIT_RANGE: Kind = namespaced("", "v1", "LimitRange", "limitranges", &["limits"]);
/// Deployments.
pub(crate) const DEPLOYMENT: Kind = workload("Deployment", "deployments", &["deploy"]);
/// Replica sets.
pub(crate) const REPLICA_SET: Kind = workload("ReplicaSet", "replicasets", &["rs"]);
/// Stateful sets.
pub(crate) const STATEFUL_SET: Kind = workload("StatefulSet", "statefulsets", &["sts"]);

/// The kinds that every such server serves from its start.
pub(crate) const BUILT_IN: &[Kind] = &[
    NAMESPACE,
    NODE,
    POD,
    namespaced("", "v1", "Event", "events", &["ev"]),
    QUOTA,
    LIMIT_RANGE,
    namespaced("", "v1", "Service", "services", &["svc"]),
    namespaced("", "v1", "ConfigMap", "configmaps", &["cm"]),
    DEPLOYMENT,
    STATEFUL_SET,
    REPLICA_SET,
    namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"]),
    namespaced("coordination.k8s.io", "v1", "Lease", "leases", &[]),
    namespaced("events.k8s.io", "v1", "Event", "events", &["ev"]),
    namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", &["pdb"]),
];
