//! Evidence for a diagnosis: the tail of a pod's log and the last events of an object. Owns which pod and container
//! speak for a workload and how an event reads; only reads, and bounds what it reads.

use std::cmp::Reverse;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};

use super::client::Cluster;
use super::failure::Call;
use super::find::Found;
use super::observe::{Selecting, belongs, is_live, is_ready};
use crate::domain::Timestamp;
use crate::domain::diagnosis::Pods;
use crate::domain::name::TargetId;
use crate::domain::scaling::ClusterFailure;

/// How many lines of a log are asked for.
const LINES: i64 = 40;

/// The most bytes of a log that are asked for: lines can be long.
const LOG_BYTES: i64 = 64 * 1024;

/// How many events are read in one answer, and in how many answers at the most.
const PAGE: u32 = 500;
const PAGES: usize = 10;

/// How many events are told.
const EVENTS: usize = 10;

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTail {
    /// The pod that speaks for the others: the newest that is not ready, else the first.
    pub pod: String,
    /// Its container.
    pub container: Option<String>,
    /// How many pods there are, and how many of them are ready.
    pub pods: (usize, usize),
    /// Whether it is the log of a container that ended, because the one that runs has said nothing.
    pub previous: bool,
    /// The last lines, the newest last.
    pub text: String,
}

/// The last events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEvents {
    /// A line an event, the newest last.
    pub lines: Vec<String>,
    /// How many there were.
    pub total: usize,
    /// How many of them were warnings.
    pub warnings: usize,
}

impl Cluster {
    /// The end of the log of the pod that tells most.
    pub async fn log_tail(&self, of: &Pods) -> Result<LogTail, ClusterFailure> {
        let (namespace, mut pods) = self.pods_of(of).await?;
        pods.sort_by_key(|pod| {
            let created = pod.metadata.creation_timestamp.as_ref().map(|created| created.0);
            let newest_first = if is_ready(pod) { None } else { Some(Reverse(created)) };
            (is_ready(pod), newest_first, pod.metadata.name.clone())
        });
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        let pod = pods.first().ok_or(ClusterFailure::NotFound)?;
        let name = pod.metadata.name.clone().unwrap_or_default();
        let container = container_of(pod);
        let logs: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let mut params = LogParams {
            container: container.clone(),
            tail_lines: Some(LINES),
            limit_bytes: Some(LOG_BYTES),
            ..LogParams::default()
        };
        let mut previous = false;
        let mut text = self.call(Call::Read, logs.logs(&name, &params)).await;
        let silent = text.as_ref().map_or(true, |text| text.trim().is_empty());
        if silent && has_restarted(pod) {
            params.previous = true;
            let ended = self.call(Call::Read, logs.logs(&name, &params)).await;
            previous = ended.is_ok();
            text = ended.or(text);
        }
        let text = text?;
        Ok(LogTail { pod: name, container, pods: (pods.len(), ready), previous, text })
    }

    /// The last events of an object and of what carries its name, such as its pods.
    pub async fn last_events(&self, namespace: &str, name: &str) -> Result<LastEvents, ClusterFailure> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let mut found: Vec<Event> = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        for _ in 0..PAGES {
            let page = self.call(Call::Read, events.list(&params)).await?;
            found.extend(page.items.into_iter().filter(|event| is_about(event, name)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        found.sort_by_key(seen_at);
        let warnings = found.iter().filter(|event| event.type_.as_deref() == Some("Warning")).count();
        let last = found.len().saturating_sub(EVENTS);
        Ok(LastEvents { lines: found[last..].iter().map(line).collect(), total: found.len(), warnings })
    }

    async fn pods_of(&self, of: &Pods) -> Result<(String, Vec<Pod>), ClusterFailure> {
        match of {
            Pods::Named { namespace, name } => {
                let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
                let pod = self.call(Call::Read, pods.get(name)).await?;
                Ok((namespace.to_string(), vec![pod]))
            }
            Pods::Selected { namespace, selector } => {
                let pods = self.live(namespace, selector).await?;
                Ok((namespace.to_string(), pods))
            }
            Pods::Of(target) => Ok((target.namespace.to_string(), self.workload_pods(target).await?)),
        }
    }

    async fn workload_pods(&self, target: &TargetId) -> Result<Vec<Pod>, ClusterFailure> {
        let Found { at, kind, workload } = self.find(target).await?;
        let selector = match self.scale_of(&at, &kind, &workload).await?.selector {
            Some(Selecting::Parsed(selector)) => selector.to_string(),
            Some(Selecting::Spelled(selector)) => selector,
            None => String::new(),
        };
        // An empty selector would match every pod of the namespace.
        if selector.is_empty() {
            return Err(ClusterFailure::NotFound);
        }
        let mut pods = self.live(&at.namespace, &selector).await?;
        pods.retain(|pod| belongs(pod, &kind.kind, workload.metadata.uid.as_deref()));
        Ok(pods)
    }

    async fn live(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>, ClusterFailure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(selector).limit(PAGE);
        let list = self.call(Call::Read, pods.list(&params)).await?;
        Ok(list.items.into_iter().filter(is_live).collect())
    }
}

/// The container that speaks for a pod: the first that is not ready, else the one that kubectl would take.
fn container_of(pod: &Pod) -> Option<String> {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let unready = statuses.into_iter().find(|status| !status.ready).map(|status| status.name.clone());
    let named = || {
        let annotations = pod.metadata.annotations.as_ref()?;
        annotations.get("kubectl.kubernetes.io/default-container").cloned()
    };
    let first = || Some(pod.spec.as_ref()?.containers.first()?.name.clone());
    unready.or_else(named).or_else(first)
}

fn has_restarted(pod: &Pod) -> bool {
    let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.any(|status| status.restart_count > 0)
}

/// Whether an event is about an object of this name, or about one that it made: `checkout-7f9c-x2`.
fn is_about(event: &Event, name: &str) -> bool {
    let about = event.involved_object.name.as_deref().unwrap_or_default();
    about.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn seen_at(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let precise = series.or(event.event_time.as_ref()).map(|time| time.0);
    let coarse = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref()).map(|time| time.0);
    precise.max(coarse)
}

/// `03:12:05 Warning BackOff pod/checkout-7f9c-x2 (12 times): Back-off restarting failed container`.
fn line(event: &Event) -> String {
    let when = seen_at(event).map_or_else(String::new, |at| at.strftime("%H:%M:%S ").to_string());
    let kind = event.involved_object.kind.as_deref().unwrap_or("object").to_lowercase();
    let name = event.involved_object.name.as_deref().unwrap_or_default();
    let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    let times = if count > 1 { format!(" ({count} times)") } else { String::new() };
    let (severity, reason) =
        (event.type_.as_deref().unwrap_or("Normal"), event.reason.as_deref().unwrap_or(""));
    let message = event.message.as_deref().unwrap_or("").replace('\n', " ");
    format!("{when}{severity} {reason} {kind}/{name}{times}: {}", message.trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_reads_in_either_form_of_its_times() {
        let event = |value: serde_json::Value| serde_json::from_value::<Event>(value).unwrap();
        let old = event(json!({"metadata": {}, "type": "Warning", "reason": "BackOff", "count": 12,
            "involvedObject": {"kind": "Pod", "name": "checkout-7f-x2"}, "message": "Back-off\nrestarting ",
            "firstTimestamp": "2026-11-23T02:00:00Z", "lastTimestamp": "2026-11-23T03:12:05Z"}));
        assert_eq!(line(&old), "03:12:05 Warning BackOff pod/checkout-7f-x2 (12 times): Back-off restarting");
        let new = event(json!({"metadata": {}, "type": "Normal", "reason": "Killing",
            "involvedObject": {"kind": "Pod", "name": "checkout-7f-x2"}, "message": "Stopping",
            "eventTime": "2026-11-23T03:00:00.000000Z",
            "series": {"count": 3, "lastObservedTime": "2026-11-23T03:13:00.000000Z"}}));
        assert_eq!(line(&new), "03:13:00 Normal Killing pod/checkout-7f-x2 (3 times): Stopping");
        assert_eq!(line(&event(json!({"metadata": {}, "involvedObject": {}}))), "Normal  object/: ");
        for (name, about) in
            [("checkout", true), ("checkout-7f", true), ("check", false), ("checkout-7f-x2", true)]
        {
            assert_eq!(is_about(&old, name), about, "{name}");
        }
    }

    #[test]
    fn the_container_that_is_not_ready_speaks() {
        let pod = |statuses: serde_json::Value| {
            serde_json::from_value::<Pod>(json!({
                "metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "app"}},
                "spec": {"containers": [{"name": "proxy"}, {"name": "app"}]},
                "status": {"containerStatuses": statuses},
            }))
            .unwrap()
        };
        let status = |name: &str, ready: bool, restarts: i32| {
            json!({"name": name, "ready": ready,
            "restartCount": restarts, "image": "", "imageID": ""})
        };
        let failing = pod(json!([status("app", true, 0), status("proxy", false, 3)]));
        assert_eq!(container_of(&failing).as_deref(), Some("proxy"));
        assert!(has_restarted(&failing));
        let well = pod(json!([status("proxy", true, 0), status("app", true, 0)]));
        assert_eq!(container_of(&well).as_deref(), Some("app"));
        assert!(!has_restarted(&well));
    }
}
