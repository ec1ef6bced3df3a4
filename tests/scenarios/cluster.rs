//! The cluster of a scenario: workloads that are looked at and written to. Owns what a write does and how it is
//! answered; decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use runbookd::domain::name::TargetId;
use runbookd::domain::quantity::{Unit, parse};
use runbookd::domain::scaling::{
    Amounts, ClusterFailure, ContainerSize, DisruptionBudget, FieldOwner, Known, Node, Pause, PodSnapshot,
    ResizeState, Scaler, ScalerKind, ScalingAction, Size, Surroundings, Unseen, VerticalMode,
    WorkloadSnapshot,
};

/// How a write is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    Accepted,
    Refused(ClusterFailure),
    /// It is not carried out, and no answer comes.
    Lost,
    /// It is carried out, and no answer comes.
    DoneUnheard,
    /// The daemon goes down before any answer.
    Unanswered,
}

/// The cluster.
pub(crate) struct Cluster {
    workloads: BTreeMap<String, WorkloadSnapshot>,
    writes: Writes,
    looks: Option<ClusterFailure>,
    version: u32,
}

impl Default for Cluster {
    fn default() -> Self {
        Self { workloads: BTreeMap::new(), writes: Writes::Accepted, looks: None, version: 0 }
    }
}

impl Cluster {
    /// `replicas 4 ready 4 cpu 500m/1 memory 512Mi/1Gi rollout running uid 2`: what is not said stays.
    pub(crate) fn set(&mut self, target: TargetId, properties: &[(String, String)]) -> Result<(), String> {
        let name = target.to_string();
        let version = self.next_version();
        let workload = self.workloads.entry(name).or_insert_with(|| WorkloadSnapshot {
            target,
            uid: "1".into(),
            resource_version: version.clone(),
            replicas: 1,
            ready_replicas: 1,
            rollout_in_progress: false,
            containers: vec![ContainerSize {
                name: "app".into(),
                cpu_request: None,
                cpu_limit: None,
                memory_request: None,
                memory_limit: None,
            }],
            pods: Vec::new(),
            in_place_resize: true,
            surroundings: Surroundings::open(),
        });
        workload.resource_version = version;
        let mut crashing = 0;
        for (key, value) in properties {
            let count = || value.parse::<u32>().map_err(|_| format!("`{value}` is no number"));
            let container = workload.containers.first_mut().ok_or("no container")?;
            match key.as_str() {
                "replicas" => workload.replicas = count()?,
                "ready" => workload.ready_replicas = count()?,
                "cpu" => (container.cpu_request, container.cpu_limit) = pair(value, Unit::Cores)?,
                "memory" => (container.memory_request, container.memory_limit) = pair(value, Unit::Bytes)?,
                "rollout" => workload.rollout_in_progress = value == "running",
                "uid" => workload.uid = value.as_str().into(),
                "by" => {
                    let (manager, applied) = (value.as_str().into(), false);
                    let owner = FieldOwner { manager, applied, subresource: None, at: None };
                    workload.surroundings.replicas_by = Some(owner.clone());
                    workload.surroundings.resources_by = Some(owner);
                }
                // The last so many pods crash.
                "crashing" => crashing = count()?,
                // A rollout is over: its pods are as the template says.
                "pods" => workload.pods.clear(),
                "paused" => workload.surroundings.pause = Pause::read(value, Some("moving")),
                "hpa" => workload.surroundings.scalers = vec![hpa(value)],
                "nodes" => set_nodes(&mut workload.surroundings, value)?,
                "disruptions" => {
                    let (allowed, healthy) = (count()?, workload.replicas);
                    let name = "checkout".into();
                    let budget =
                        DisruptionBudget { name, allowed, healthy, desired_healthy: healthy - allowed };
                    workload.surroundings.budgets = Known::Seen([budget].into());
                }
                other => return Err(format!("a workload has no `{other}`")),
            }
        }
        run_pods(workload);
        for number in 0..crashing {
            if let Some(mut pod) = workload.pods.first().cloned() {
                (pod.name, pod.ready, pod.crashing) = (format!("new-{number}").into(), false, true);
                workload.pods.push(pod);
            }
        }
        Ok(())
    }

    /// How the resizes of every pod go that has not what it should have.
    pub(crate) fn set_resizes(&mut self, name: &str, how: &str) -> Result<(), String> {
        let workload = self.workloads.get_mut(name).ok_or_else(|| format!("there is no workload {name}"))?;
        let state = if how == "deferred" { ResizeState::Deferred } else { ResizeState::Infeasible };
        workload.pods.iter_mut().for_each(|pod| pod.resize = state);
        Ok(())
    }

    /// Every pod runs with what it should have, and takes traffic.
    pub(crate) fn make_ready(&mut self, name: &str) -> Result<(), String> {
        let workload = self.workloads.get_mut(name).ok_or_else(|| format!("there is no workload {name}"))?;
        workload.ready_replicas = workload.replicas;
        run_pods(workload);
        Ok(())
    }

    pub(crate) fn set_writes(&mut self, how: &str) -> Result<(), String> {
        self.writes = match how {
            "accepted" => Writes::Accepted,
            "lost" => Writes::Lost,
            "done but unheard" => Writes::DoneUnheard,
            "unanswered" => Writes::Unanswered,
            other => Writes::Refused(failure(other)?),
        };
        Ok(())
    }

    pub(crate) fn set_looks(&mut self, how: Option<&str>) -> Result<(), String> {
        self.looks = how.map(failure).transpose()?;
        Ok(())
    }

    pub(crate) fn look(&self, target: &TargetId) -> Result<Box<WorkloadSnapshot>, ClusterFailure> {
        if let Some(failure) = self.looks {
            return Err(failure);
        }
        self.workloads.get(&target.to_string()).cloned().map(Box::new).ok_or(ClusterFailure::NotFound)
    }

    /// Carries a write out, if it is; `None` where no answer ever comes.
    pub(crate) fn write(&mut self, action: &ScalingAction) -> Option<Result<(), ClusterFailure>> {
        match self.writes {
            Writes::Accepted => Some(self.carry_out(action)),
            Writes::Refused(failure) => Some(Err(failure)),
            Writes::Lost => Some(Err(ClusterFailure::Unreachable)),
            Writes::DoneUnheard => Some(self.carry_out(action).and(Err(ClusterFailure::Unreachable))),
            Writes::Unanswered => None,
        }
    }

    fn carry_out(&mut self, action: &ScalingAction) -> Result<(), ClusterFailure> {
        let version = self.next_version();
        let workload = self.workloads.get_mut(&action.target.to_string()).ok_or(ClusterFailure::NotFound)?;
        if workload.uid != action.uid || workload.resource_version != action.resource_version {
            return Err(ClusterFailure::Conflict);
        }
        workload.resource_version = version;
        if let (Some(name), Size::Replicas(least)) = (&action.course.raise, &action.to) {
            let scalers = &mut workload.surroundings.scalers;
            let scaler = scalers.iter_mut().find(|it| it.name == *name).ok_or(ClusterFailure::NotFound)?;
            scaler.replicas = scaler.replicas.map(|(_, most)| (*least, most));
            return Ok(());
        }
        match &action.to {
            Size::Replicas(count) => workload.replicas = *count,
            Size::Resources(containers) if action.vertical == VerticalMode::Template => {
                workload.containers.clone_from(containers);
            }
            Size::Resources(containers) => {
                for pod in &mut workload.pods {
                    pod.containers.clone_from(containers);
                    pod.resize = ResizeState::InProgress;
                }
            }
        }
        Ok(())
    }

    fn next_version(&mut self) -> std::sync::Arc<str> {
        self.version += 1;
        self.version.to_string().into()
    }
}

/// As many ready pods as there should be, with the resources they have or, if there were none, the template's.
fn run_pods(workload: &mut WorkloadSnapshot) {
    let containers =
        workload.pods.first().map_or_else(|| workload.containers.clone(), |pod| pod.containers.clone());
    workload.pods = (0..workload.ready_replicas)
        .map(|number| PodSnapshot {
            name: format!("{}-{number}", workload.target.name).into(),
            uid: number.to_string().into(),
            resource_version: "1".into(),
            ready: true,
            crashing: false,
            containers: containers.clone(),
            resize: ResizeState::Settled,
        })
        .collect();
}

/// An autoscaler of that name.
fn hpa(name: &str) -> Scaler {
    let kind = ScalerKind::HorizontalPodAutoscaler;
    Scaler { kind, name: name.into(), replicas: Some((2, 20)), follows: Vec::new(), made_by: None }
}

/// `full`: no room for any pod; `unseen`; `open`.
fn set_nodes(around: &mut Surroundings, how: &str) -> Result<(), String> {
    let open = Surroundings::open();
    around.nodes = match how {
        "open" => open.nodes,
        "unseen" => Known::Unseen(Unseen::Forbidden),
        "full" => {
            let nodes = open.nodes.get().map_err(|why| why.to_string())?;
            let full = |node: &Arc<Node>| Arc::new(Node { free: Amounts::default(), ..(**node).clone() });
            Known::Seen(nodes.iter().map(full).collect())
        }
        other => return Err(format!("nodes are open, full or unseen, not `{other}`")),
    };
    Ok(())
}

/// `500m/1`: request and limit.
fn pair(text: &str, unit: Unit) -> Result<(Option<f64>, Option<f64>), String> {
    let (request, limit) = text.split_once('/').ok_or("expected request/limit")?;
    let read = |text: &str| parse(text, unit).map(Some).map_err(|why| why.to_string());
    Ok((read(request)?, read(limit)?))
}

fn failure(word: &str) -> Result<ClusterFailure, String> {
    use ClusterFailure as F;
    [F::NotFound, F::Forbidden, F::Conflict, F::Invalid, F::Unreachable, F::Unavailable, F::NotScalable]
        .into_iter()
        .find(|failure| failure.as_str() == word)
        .ok_or_else(|| format!("`{word}` is no failure of a cluster"))
}
