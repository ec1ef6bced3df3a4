//! The shop seen through the exporters a cluster has: cAdvisor, kube-state-metrics, node exporter, the services' own
//! HTTP histograms and `postgres_exporter`. Exports exactly what rules/catalogue.yaml and rules/scaling.yaml query.

use std::collections::{BTreeMap, BTreeSet};

use super::exposition::Exposition;
use super::ledger::{BOUNDS, DatabaseLedger, Histogram, PodLedger, ServiceLedger, bytes};
use super::model::Database;

/// A machine of the shop.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name of the node.
    pub name: String,
    /// Cores that pods may use.
    pub cores: f64,
    /// Memory that pods may use, in bytes.
    pub memory_bytes: u64,
    /// Size of the disk in bytes.
    pub disk_bytes: u64,
    /// Share of the disk in use, 0 to 1.
    pub disk_used: f64,
}

/// What cAdvisor tells of the pods: each container, and the pod as a whole with an empty container name.
pub(super) fn cadvisor(page: &mut Exposition, namespace: &str, services: &BTreeMap<&str, &ServiceLedger>) {
    let mut family = |name: &str, kind: &str, help: &str, value: fn(&PodLedger) -> f64| {
        page.family(name, kind, help);
        for (service, ledger) in pods(services) {
            for container in [service, ""] {
                let labels = [("namespace", namespace), ("pod", &ledger.pod.name), ("container", container)];
                page.sample(name, &labels, value(ledger));
            }
        }
    };
    let help = "CPU seconds used.";
    family("container_cpu_usage_seconds_total", "counter", help, |ledger| ledger.cpu_seconds);
    let help = "Memory that cannot be reclaimed.";
    family("container_memory_working_set_bytes", "gauge", help, |ledger| ledger.strain.memory_bytes.round());
}

/// What kube-state-metrics tells of pods and nodes.
pub(super) fn kube_state(
    page: &mut Exposition,
    namespace: &str,
    services: &BTreeMap<&str, &ServiceLedger>,
    nodes: &[Node],
) {
    let limits = "kube_pod_container_resource_limits";
    page.family(limits, "gauge", "Limit of a container.");
    for (service, ledger) in pods(services) {
        let cpu = ("cpu", "core", ledger.pod.cpu_limit_cores);
        let memory = ("memory", "byte", bytes(ledger.pod.memory_limit_bytes));
        for (resource, unit, value) in [cpu, memory] {
            let pod = [("namespace", namespace), ("pod", &ledger.pod.name), ("container", service)];
            let labels = [pod[0], pod[1], pod[2], ("resource", resource), ("unit", unit)];
            page.sample(limits, &labels, value);
        }
    }

    page.family("kube_pod_status_ready", "gauge", "Whether a pod is ready.");
    for (_, ledger) in pods(services) {
        for (condition, holds) in
            [("true", ledger.pod.ready), ("false", !ledger.pod.ready), ("unknown", false)]
        {
            let labels = [("namespace", namespace), ("pod", &ledger.pod.name), ("condition", condition)];
            page.sample("kube_pod_status_ready", &labels, f64::from(u8::from(holds)));
        }
    }

    let allocatable = "kube_node_status_allocatable";
    page.family(allocatable, "gauge", "What pods may use of a node.");
    for node in nodes {
        for (resource, unit, value) in
            [("cpu", "core", node.cores), ("memory", "byte", bytes(node.memory_bytes))]
        {
            page.sample(allocatable, &[("node", &node.name), ("resource", resource), ("unit", unit)], value);
        }
    }

    page.family("kube_node_spec_unschedulable", "gauge", "Whether a node takes no pods.");
    for node in nodes {
        page.sample("kube_node_spec_unschedulable", &[("node", &node.name)], 0.0);
    }
}

/// What node exporter tells of the disks; with a full read-only image and an empty tmpfs, which nobody should mind.
pub(super) fn disks(page: &mut Exposition, nodes: &[Node]) {
    type Value = fn(&Node, &str) -> f64;
    let size: Value = |node, fstype| match fstype {
        "ext4" => bytes(node.disk_bytes),
        "squashfs" => 64e6,
        _ => 0.0,
    };
    let available: Value = |node, fstype| match fstype {
        "ext4" => (bytes(node.disk_bytes) * (1.0 - node.disk_used)).round(),
        _ => 0.0,
    };
    for (name, help, value) in [
        ("node_filesystem_avail_bytes", "Space available to users.", available),
        ("node_filesystem_size_bytes", "Size of the file system.", size),
    ] {
        page.family(name, "gauge", help);
        for node in nodes {
            let instance = format!("{}:9100", node.name);
            for (device, fstype, mountpoint) in
                [("/dev/vda1", "ext4", "/"), ("/dev/loop0", "squashfs", "/snap"), ("none", "tmpfs", "/run")]
            {
                let place = [("device", device), ("fstype", fstype), ("mountpoint", mountpoint)];
                page.sample(
                    name,
                    &[("instance", &instance), place[0], place[1], place[2]],
                    value(node, fstype),
                );
            }
        }
    }
}

/// What the services tell of their requests.
pub(super) fn http(page: &mut Exposition, namespace: &str, services: &BTreeMap<&str, &ServiceLedger>) {
    page.family("http_request_duration_seconds", "histogram", "Response times.");
    for (service, ledger) in pods(services) {
        for ((tenant, code), histogram) in &ledger.responses {
            let labels = [
                ("namespace", namespace),
                ("service", service),
                ("pod", ledger.pod.name.as_str()),
                ("tenant", tenant.as_str()),
                ("code", code),
            ];
            responses(page, &labels, histogram);
        }
    }
}

fn responses(page: &mut Exposition, labels: &[(&str, &str)], histogram: &Histogram) {
    let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    for (bound, within) in bounds.zip(histogram.within.into_iter().chain([histogram.count])) {
        let labels = [labels, &[("le", bound.as_str())]].concat();
        page.sample("http_request_duration_seconds_bucket", &labels, within.floor());
    }
    page.sample("http_request_duration_seconds_sum", labels, histogram.sum);
    page.sample("http_request_duration_seconds_count", labels, histogram.count.floor());
}

/// What `postgres_exporter` tells of the one database, with its collector `stat_statements`.
pub(super) fn postgres(page: &mut Exposition, database: &Database, ledger: &DatabaseLedger) {
    let server = [("instance", "postgres-0:9187"), ("server", "postgres-0:5432")];
    page.family("pg_settings_max_connections", "gauge", "Connections the server accepts.");
    page.sample("pg_settings_max_connections", &server, database.max_connections);

    page.family("pg_stat_activity_count", "gauge", "Connections by state.");
    for (state, connections) in [("active", ledger.strain.active), ("idle", ledger.strain.idle)] {
        let labels = [server[0], server[1], ("datname", "shop"), ("state", state)];
        page.sample("pg_stat_activity_count", &labels, connections.round());
    }

    let statement = [server[0], ("datname", "shop"), ("user", "shop"), ("queryid", "7302871")];
    page.family("pg_stat_statements_calls_total", "counter", "Executions of a statement.");
    page.sample("pg_stat_statements_calls_total", &statement, ledger.calls.floor());
    page.family("pg_stat_statements_seconds_total", "counter", "Seconds spent in a statement.");
    page.sample("pg_stat_statements_seconds_total", &statement, ledger.seconds);
}

const HOUR: f64 = 3_600.0;
const DAY: f64 = 24.0 * HOUR;

/// A time told of backups: its name, what it means, and its age by those of the newest and the oldest copy.
type Told = (&'static str, &'static str, fn(f64, f64) -> f64);

/// What lies in the database by tenant, and what a backup job tells: all of it is made, kept and verified.
pub(super) fn storage(page: &mut Exposition, tenants: &BTreeSet<String>, now: f64) {
    page.family("tenant_data_bytes", "gauge", "Data of a tenant.");
    for tenant in tenants {
        page.sample("tenant_data_bytes", &[("tenant", tenant)], 1e9);
    }
    page.family("pg_database_size_bytes", "gauge", "Size of a database.");
    let data: f64 = tenants.iter().map(|_| 1e9).sum();
    page.sample("pg_database_size_bytes", &[("instance", "postgres-0:9187"), ("datname", "shop")], data);

    let kinds = [("full_backup", 5.0 * HOUR, 29.9 * DAY), ("incremental_backup", 0.5 * HOUR, 6.99 * DAY)];
    let ages: [Told; 3] = [
        ("last_success", "When the newest copy was complete.", |newest, _| newest),
        ("oldest", "When the oldest copy that is kept was made.", |_, oldest| oldest),
        ("first_success", "When the first backup ever was made.", |_, _| 400.0 * DAY),
    ];
    for (name, help, age) in ages {
        let name = format!("backup_{name}_timestamp_seconds");
        page.family(&name, "gauge", help);
        for (kind, newest, oldest) in kinds {
            for storage in ["primary", "secondary"] {
                let labels = [("kind", kind), ("storage", storage)];
                page.sample(&name, &labels, (now - age(newest, oldest)).floor());
            }
        }
    }
    let checks = ["checksum validation", "sample restore test", "data integrity check"];
    page.family("backup_verification_success", "gauge", "Whether a verification passed.");
    for check in checks {
        page.sample("backup_verification_success", &[("verification", check)], 1.0);
    }
    page.family("backup_verification_timestamp_seconds", "gauge", "When a verification ended.");
    for check in checks {
        let labels = [("verification", check)];
        page.sample("backup_verification_timestamp_seconds", &labels, (now - 4.0 * HOUR).floor());
    }
}

/// The gauge that overrules the capacity derived from the nodes.
pub(super) fn tenant_capacity(page: &mut Exposition, tenants: Option<u32>) {
    if let Some(tenants) = tenants {
        page.family("tenant_capacity", "gauge", "Tenants that fit.");
        page.sample("tenant_capacity", &[], f64::from(tenants));
    }
}

fn pods<'a>(
    services: &'a BTreeMap<&'a str, &'a ServiceLedger>,
) -> impl Iterator<Item = (&'a str, &'a PodLedger)> {
    services.iter().flat_map(|(service, ledger)| ledger.pods.values().map(|pod| (*service, pod)))
}
