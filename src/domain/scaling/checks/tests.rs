//! The words and verdicts of every check over small surroundings. That the arithmetic is the cluster's is shown against
//! a cluster: `tests/kubernetes/agreement.rs`.

use std::collections::BTreeMap;

use super::super::{
    Amounts, ContainerDemand, DisruptionBudget, FieldOwner, Known, Node, Placed, Quota, Range, RangeOf,
    Scaler, ScalerKind, Scope, Taint, Tracker, Tracking, Unmodelled, Unseen,
};
use super::*;

const MI: i64 = 1024 * 1024;

fn node(name: &str, cpu: i64, free: i64) -> Node {
    let amounts = |cpu| Amounts::new([("cpu", cpu), ("memory", 4096 * MI), ("pods", 110)]);
    Node {
        name: name.into(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        is_ready: true,
        is_unschedulable: false,
        allocatable: amounts(cpu),
        free: amounts(free),
    }
}

fn pod(cpu: i64) -> PodDemand {
    let amounts = Amounts::new([("cpu", cpu), ("memory", 512 * MI)]);
    let container = ContainerDemand { name: "app".into(), requests: amounts.clone(), limits: amounts };
    PodDemand { containers: vec![container], ..PodDemand::default() }
}

fn placed(pod_name: &str, node: &str, cpu: i64) -> Placed {
    let demand = pod(cpu);
    let counted = demand.requests();
    Placed { pod: pod_name.into(), node: Some(node.into()), demand: Arc::new(demand), counted }
}

/// Two pods of one core on two nodes of four, half of them free.
fn around() -> Surroundings {
    Surroundings {
        nodes: Known::Seen([node("a", 4000, 2000), node("b", 4000, 1500)].map(Arc::new).into()),
        pod: Known::Seen(Arc::new(pod(1000))),
        placed: Known::Seen([placed("web-1", "a", 1000), placed("web-2", "b", 1000)].into()),
        surge: 1,
        ..Surroundings::open()
    }
}

fn snapshot(surroundings: Surroundings) -> WorkloadSnapshot {
    WorkloadSnapshot {
        target: crate::domain::name::TargetId {
            namespace: "shop".into(),
            kind: "Deployment".into(),
            name: "web".into(),
        },
        uid: "u".into(),
        resource_version: "1".into(),
        replicas: 2,
        ready_replicas: 2,
        rollout_in_progress: false,
        containers: Vec::new(),
        pods: Vec::new(),
        in_place_resize: true,
        surroundings,
    }
}

fn size(cores: f64, mib: f64) -> Size {
    let memory = Some(mib * 1024.0 * 1024.0);
    Size::Resources(vec![ContainerSize {
        name: "app".into(),
        cpu_request: Some(cores),
        cpu_limit: Some(cores),
        memory_request: memory,
        memory_limit: memory,
    }])
}

fn replicas(around: Surroundings, to: u32, limits: Limits) -> Checks {
    before(&snapshot(around), Axis::Horizontal, &Size::Replicas(2), &Size::Replicas(to), &limits)
}

fn larger(around: Surroundings, cores: f64, limits: Limits) -> Checks {
    before(&snapshot(around), Axis::Vertical, &size(1.0, 512.0), &size(cores, 512.0), &limits)
}

fn said(checks: &Checks) -> Vec<String> {
    let part = |word: &str, list: &[Refusal]| {
        list.iter().map(|refusal| format!("{word} {refusal}")).collect::<Vec<_>>()
    };
    [part("no:", &checks.refused), part("?:", &checks.unknown), part("but:", &checks.warned)].concat()
}

fn nothing() -> [String; 0] {
    []
}

#[test]
fn room_is_counted_node_by_node() {
    let limits = Limits::default();
    assert_eq!(said(&replicas(around(), 5, limits)), nothing(), "two on a, one on b");
    assert_eq!(
        said(&replicas(around(), 6, limits)),
        ["no: room: 4 pods need a node (1 core, 537 MB each), 3 fit"],
        "not as many as the sum of what is free"
    );
    let mut tight = around();
    let mut tainted = node("t", 9000, 9000);
    tainted.taints.push(Taint { key: "gpu".into(), value: "".into(), effect: "NoSchedule".into() });
    let mut cordoned = node("c", 9000, 9000);
    cordoned.is_unschedulable = true;
    let mut small = node("s", 4000, 4000);
    small.free = Amounts::new([("cpu", 4000), ("memory", 100 * MI), ("pods", 110)]);
    let mut lost = node("l", 9000, 9000);
    lost.is_ready = false;
    let full = [node("a", 4000, 500), node("b", 4000, 200)];
    tight.nodes =
        Known::Seen(full.into_iter().chain([tainted, cordoned, lost, small]).map(Arc::new).collect());
    assert_eq!(
        said(&replicas(tight.clone(), 3, limits)),
        ["no: room: 1 pod needs a node (1 core, 537 MB each), none fits: 2 nodes have too little cpu \
          (a: 0.5 cores free), 1 node has too little memory (s: 105 MB free), 1 node is not ready, 1 node is cordoned off, 1 node is tainted gpu:NoSchedule"]
    );
    let pending = Limits { headroom: Headroom::AllowPending, ..limits };
    let checks = replicas(tight.clone(), 3, pending);
    assert_eq!((checks.refused.len(), checks.warned.len()), (0, 1));
    tight.pod = Known::Seen(Arc::new(pod(5000)));
    assert!(said(&replicas(tight, 3, pending))[0].ends_with("no node is large enough for one"));
}

#[test]
fn pods_that_wait_for_a_node_take_the_room_first() {
    let mut waiting = around();
    let mut second = placed("web-2", "b", 1000);
    second.node = None;
    waiting.placed = Known::Seen([placed("web-1", "a", 1000), second].into());
    assert_eq!(said(&replicas(waiting.clone(), 4, Limits::default())), nothing());
    assert_eq!(
        said(&replicas(waiting, 5, Limits::default())),
        ["no: room: 4 pods need a node, 1 of them wanted already (1 core, 537 MB each), 3 fit"]
    );
}

#[test]
fn what_cannot_be_counted_is_unknown_and_no_room_stays_no_room() {
    let mut spread = pod(1000);
    spread.placement.unmodelled = vec![Unmodelled::TopologySpread];
    spread.has_volumes();
    let mut around = around();
    around.pod = Known::Seen(Arc::new(spread));
    let checks = replicas(around.clone(), 3, Limits::default());
    assert_eq!(
        said(&checks),
        [
            "?: room: there is room, but also to be met: topology spread constraints, volumes that may be bound to \
             a zone or node"
        ]
    );
    let allow = Limits { on_unknown: OnUnknown::Allow, ..Limits::default() };
    assert_eq!(checks.against(&Limits::default()).map(|it| it.check), Some(Check::Room));
    assert_eq!(checks.against(&allow), None);
    assert!(!checks.passed.contains(&Check::Room));
    assert_eq!(replicas(around.clone(), 9, Limits::default()).refused.len(), 1);
    around.nodes = Known::Unseen(Unseen::Stale);
    around.quotas = Known::Unseen(Unseen::NotYet);
    around.ranges = Known::Unseen(Unseen::Forbidden);
    assert_eq!(
        said(&replicas(around, 3, Limits::default())),
        [
            "?: limit_range: limit ranges: the daemon has no right to read them",
            "?: quota: quotas: not read yet",
            "?: room: nodes: what was read last is too old"
        ]
    );
}

#[test]
fn a_larger_pod_needs_room_on_its_own_node() {
    let limits = Limits::default();
    assert_eq!(said(&larger(around(), 2.5, limits)), nothing());
    assert_eq!(
        said(&larger(around(), 2.75, limits)),
        ["no: room: node b has 1.5 cores of cpu free, pod web-2 would take 1.75 cores more"]
    );
    assert!(said(&larger(around(), 4.5, limits))[0].ends_with("the node is not large enough"));
    let mut together = around();
    together.placed = Known::Seen([placed("web-1", "b", 1000), placed("web-2", "b", 1000)].into());
    assert_eq!(
        said(&larger(together, 2.0, limits)),
        ["no: room: node b has 1.5 cores of cpu free, 2 pods would take 2 cores more"]
    );
}

#[test]
fn a_template_step_needs_room_for_its_surge_and_for_all_in_the_end() {
    let limits = Limits { vertical: VerticalMode::Template, ..Limits::default() };
    assert_eq!(said(&larger(around(), 2.0, limits)), nothing());
    assert_eq!(
        said(&larger(around(), 2.5, limits)),
        [
            "no: room: a rollout needs a node for 1 more pod (2.5 cores, 537 MB each), none fits: 2 nodes have too \
          little cpu (a: 2 cores free)"
        ]
    );
    let mut recreated = around();
    recreated.surge = 0;
    assert_eq!(said(&larger(recreated.clone(), 2.5, limits)), nothing(), "the old ones make room");
    assert_eq!(
        said(&larger(recreated, 3.0, limits)),
        [
            "no: room: 2 pods would need 3 cores, 537 MB each, 1 fits: 1 node has too little cpu (b: 2.5 cores free)"
        ]
    );
}

fn quota(hard: &[(&str, i64)], used: &[(&str, i64)], scopes: Vec<Scope>) -> Quota {
    let amounts = |list: &[(&str, i64)]| Amounts::new(list.iter().copied());
    Quota { name: "compute".into(), scopes, hard: amounts(hard), used: Some(amounts(used)) }
}

#[test]
fn every_quota_that_counts_the_pods_must_leave_enough() {
    let with = |quota: Quota| Surroundings { quotas: Known::Seen([quota].into()), ..around() };
    let cpu = |scopes| quota(&[("requests.cpu", 4000)], &[("requests.cpu", 2500)], scopes);
    assert_eq!(said(&replicas(with(cpu(vec![])), 3, Limits::default())), nothing());
    assert_eq!(
        said(&replicas(with(cpu(vec![])), 4, Limits::default())),
        [
            "no: quota: ResourceQuota compute leaves 1.5 cores of 4 cores for requests.cpu, 2 more pods would take \
          2 cores"
        ]
    );
    for (scope, counts) in [
        (Scope::Terminating, false),
        (Scope::NotTerminating, true),
        (Scope::BestEffort, false),
        (Scope::NotBestEffort, true),
        (Scope::HasPriority, false),
        (Scope::HasNoPriority, true),
        (Scope::PriorityIn(vec!["high".into()]), false),
        (Scope::PriorityNotIn(vec!["high".into()]), true),
    ] {
        let checks = replicas(with(cpu(vec![scope.clone()])), 4, Limits::default());
        assert_eq!(checks.refused.len() == 1, counts, "{scope:?}");
    }
    let odd = replicas(with(cpu(vec![Scope::Other("Later".into())])), 4, Limits::default());
    assert_eq!(said(&odd), ["?: quota: ResourceQuota compute has a scope that is not known"]);
    let mut fresh = cpu(vec![]);
    fresh.used = None;
    let fresh = replicas(with(fresh), 3, Limits::default());
    assert_eq!(said(&fresh), ["?: quota: ResourceQuota compute was not counted by the cluster yet"]);
    let mut silent = with(quota(&[("limits.cpu", 9000)], &[], vec![]));
    let mut unlimited = pod(1000);
    unlimited.containers[0].limits = Amounts::default();
    silent.pod = Known::Seen(Arc::new(unlimited));
    assert_eq!(
        said(&replicas(silent, 3, Limits::default())),
        ["no: quota: ResourceQuota compute counts limits.cpu, which container app does not say"]
    );
}

#[test]
fn a_vertical_step_takes_of_a_quota_what_it_adds_and_a_rollout_its_surge_on_top() {
    let with = |hard| Surroundings {
        quotas: Known::Seen([quota(&[("cpu", hard)], &[("cpu", 2000)], vec![])].into()),
        ..around()
    };
    assert_eq!(said(&larger(with(3000), 1.5, Limits::default())), nothing());
    assert_eq!(
        said(&larger(with(2900), 1.5, Limits::default())),
        [
            "no: quota: ResourceQuota compute leaves 0.9 cores of 2.9 cores for cpu, 2 larger pods would take 1 core"
        ]
    );
    let template = Limits { vertical: VerticalMode::Template, ..Limits::default() };
    assert_eq!(said(&larger(with(4000), 1.5, template)), nothing());
    assert_eq!(larger(with(3900), 1.5, template).refused.len(), 1, "two of 1.5 and one old one of 1");
}

#[test]
fn limit_ranges_refuse_what_the_server_would() {
    let range = |of, max: i64, min: i64, ratio: Option<i64>| Range {
        name: "bounds".into(),
        of,
        max: Amounts::new([("cpu", max)]),
        min: Amounts::new([("cpu", min)]),
        default: Amounts::default(),
        default_request: Amounts::default(),
        max_ratio: Amounts::new(ratio.map(|ratio| ("cpu", ratio))),
    };
    let with = |range| Surroundings { ranges: Known::Seen([range].into()), ..around() };
    let fine = with(range(RangeOf::Container, 1500, 100, Some(1000)));
    assert_eq!(said(&larger(fine.clone(), 1.5, Limits::default())), nothing());
    assert_eq!(
        said(&larger(fine, 2.0, Limits::default())),
        [
            "no: limit_range: LimitRange bounds: container app would have 2 cores of cpu, the most is 1.5 cores"
        ]
    );
    let pods = with(range(RangeOf::Pod, 900, 0, None));
    assert_eq!(
        said(&replicas(pods, 3, Limits::default())),
        ["no: limit_range: LimitRange bounds: the pod would have 1 core of cpu, the most is 0.9 cores"],
        "the template's pods are no longer admitted"
    );
    // A default fills what the template leaves open, and counts for the quota, too.
    let mut open = with(Range {
        default: Amounts::new([("cpu", 700)]),
        default_request: Amounts::new([("cpu", 700)]),
        ..range(RangeOf::Container, 800, 0, None)
    });
    open.pod = Known::Seen(Arc::new(PodDemand {
        containers: vec![ContainerDemand { name: "app".into(), ..ContainerDemand::default() }],
        ..PodDemand::default()
    }));
    open.quotas = Known::Seen([quota(&[("limits.cpu", 1000)], &[], vec![])].into());
    assert_eq!(said(&replicas(open.clone(), 3, Limits::default())), nothing());
    assert_eq!(
        said(&replicas(open, 4, Limits::default())),
        [
            "no: quota: ResourceQuota compute leaves 1 core of 1 core for limits.cpu, 2 more pods would take 1.4 cores"
        ]
    );
}

#[test]
fn fewer_pods_leave_the_disruption_budgets_whole() {
    let budget =
        |allowed| DisruptionBudget { name: "web".into(), allowed, healthy: 2, desired_healthy: 2 - allowed };
    let with = |allowed| Surroundings { budgets: Known::Seen([budget(allowed)].into()), ..around() };
    let fine = replicas(with(1), 1, Limits::default());
    assert_eq!((said(&fine).len(), fine.passed), (0, vec![Check::Owner, Check::DisruptionBudget]));
    assert_eq!(
        said(&replicas(with(0), 1, Limits::default())),
        [
            "no: disruption_budget: PodDisruptionBudget web lets 0 of its pods go now, 1 would (2 are healthy, 2 must be)"
        ]
    );
    assert_eq!(replicas(with(0), 2, Limits::default()), Checks::default(), "nothing changes");
}

fn owner(manager: &str, applied: bool, subresource: Option<&str>) -> FieldOwner {
    FieldOwner { manager: manager.into(), applied, subresource: subresource.map(Arc::from), at: None }
}

#[test]
fn who_states_the_number_elsewhere_is_met_as_the_policy_says() {
    let argo = || {
        Some(Tracking {
            by: Tracker::ArgoCd,
            mark: "argocd.argoproj.io/tracking-id".into(),
            value: "shop".into(),
        })
    };
    let cases = [
        (None, None, vec![]),
        (Some(owner("kubectl", false, Some("scale"))), None, vec![]),
        (Some(owner("runbookd", false, Some("scale"))), None, vec![]),
        (Some(owner("flux", true, None)), None, vec!["no: owner: field manager flux applies spec.replicas"]),
        (
            Some(owner("argocd-controller", false, None)),
            argo(),
            vec![
                "no: owner: Argo CD keeps it (argocd.argoproj.io/tracking-id: shop), and spec.replicas was written \
                  by argocd-controller",
            ],
        ),
        (
            Some(owner("runbookd", false, Some("scale"))),
            argo(),
            vec![
                "but: owner: Argo CD keeps it (argocd.argoproj.io/tracking-id: shop) and may put the number back",
            ],
        ),
    ];
    for (replicas_by, tracking, expected) in cases {
        let around = Surroundings { replicas_by: replicas_by.clone(), tracking, ..around() };
        assert_eq!(said(&replicas(around, 3, Limits::default())), expected, "{replicas_by:?}");
    }
    let made = Surroundings { made_by: Some("Database orders".into()), ..around() };
    assert_eq!(
        said(&replicas(made, 3, Limits::default())),
        ["no: owner: Database orders made it and may put the number back"]
    );
    let around = Surroundings { replicas_in_applied: true, ..around() };
    assert!(said(&replicas(around, 3, Limits::default()))[0].starts_with("but: owner: the file"));
}

#[test]
fn autoscalers_decide_on_their_axis_only() {
    let scaler = |kind, name: &str, made_by: Option<&str>| Scaler {
        kind,
        name: name.into(),
        replicas: Some((1, 4)),
        follows: Vec::new(),
        made_by: made_by.map(Arc::from),
    };
    let keda = vec![
        scaler(ScalerKind::HorizontalPodAutoscaler, "keda-hpa-web", Some("web")),
        scaler(ScalerKind::ScaledObject, "web", None),
    ];
    let around = |scalers| Surroundings { scalers, ..around() };
    let raise = Limits { other_owner: OtherOwner::RaiseHpaMin, ..Limits::default() };
    assert_eq!(
        said(&replicas(around(keda.clone()), 3, raise)),
        ["no: owner: ScaledObject web (1 to 4 replicas) decides on the number of replicas"],
        "KEDA would put its autoscaler back"
    );
    assert_eq!(said(&larger(around(keda), 1.5, Limits::default())), nothing());
    let mut vertical = scaler(ScalerKind::VerticalPodAutoscaler, "web", None);
    vertical.replicas = None;
    assert_eq!(said(&replicas(around(vec![vertical.clone()]), 3, Limits::default())), nothing());
    assert_eq!(
        said(&larger(around(vec![vertical]), 1.5, Limits::default())),
        ["no: owner: VerticalPodAutoscaler web decides on the resources"]
    );
    let mut hpa = scaler(ScalerKind::HorizontalPodAutoscaler, "web", None);
    hpa.follows = vec!["cpu".into()];
    assert_eq!(
        said(&larger(around(vec![hpa.clone()]), 1.5, Limits::default())),
        [
            "no: owner: HorizontalPodAutoscaler web follows cpu in percent of the request, which a vertical step moves"
        ]
    );
    let raised = replicas(around(vec![hpa.clone()]), 4, raise);
    assert_eq!((said(&raised).len(), raised.raise.as_deref()), (0, Some("web")));
    let fewer = replicas(around(vec![hpa.clone()]), 1, raise);
    assert_eq!((fewer.raise, fewer.refused.len()), (None, 1), "it is never lowered");
    let two = replicas(around(vec![hpa.clone(), hpa]), 4, raise);
    assert_eq!((two.raise, two.refused.len()), (None, 2), "two of them is one too many");
}

#[test]
fn each_check_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<_> = Check::ALL.iter().map(|check| check.as_str()).collect();
    assert_eq!(codes.len(), Check::ALL.len());
}
