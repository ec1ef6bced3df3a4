//! Plans: the policies that a simulated daemon runs under and is reloaded with, made from the files' own language. Owns
//! the drawing of their numbers; each is read once a process, so that a seed costs no parsing.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::name::TargetId;
use runbookd::domain::scaling::{Policy, Target};
use runbookd::engine::plan::Plan;

use crate::chance::Chance;

/// How many different plans there are.
const POOL: usize = 96;

/// The services of the simulated cluster.
pub(crate) const SERVICES: [&str; 2] = ["cart", "shop"];

/// Queries are asked this often, in milliseconds.
pub(crate) const INTERVAL: u64 = 15_000;

/// How long without any answer the daemon calls itself blind, in milliseconds.
pub(crate) const BLIND_AFTER: u64 = 120_000;

/// One plan of the pool.
#[derive(Debug, Clone)]
pub(crate) struct Edition {
    /// Its place in the pool.
    pub(crate) number: usize,
    pub(crate) plan: Arc<Plan>,
}

impl Edition {
    /// The policy in it.
    pub(crate) fn policy(&self) -> &Policy {
        self.plan.rules.policy.as_ref().expect("every plan has a policy")
    }

    /// A target of it.
    pub(crate) fn target(&self, id: &TargetId) -> Option<&Target> {
        self.policy().targets.iter().find(|target| target.id == *id)
    }
}

/// A plan that the seed draws.
pub(crate) fn draw(chance: &mut Chance) -> Edition {
    pick(usize::try_from(chance.between(0, last())).unwrap_or(0))
}

/// A plan in which everything is on and every service is a target.
pub(crate) fn draw_whole(chance: &mut Chance) -> Edition {
    let from = usize::try_from(chance.between(0, last())).unwrap_or(0);
    let turned = (0..POOL).map(|step| pick((from + step) % POOL));
    turned
        .into_iter()
        .find(|edition| {
            edition.policy().targets.len() == SERVICES.len()
                && edition.plan.scaling == runbookd::domain::scaling::ScalingMode::Apply
        })
        .expect("one in the pool is whole")
}

/// A plan with bounds that nobody wrote.
pub(crate) fn widened(plan: &Plan) -> Arc<Plan> {
    let mut plan = plan.clone();
    for target in plan.rules.policy.iter_mut().flat_map(|policy| &mut policy.targets) {
        target.max_replicas = 16;
    }
    Arc::new(plan)
}

fn last() -> u64 {
    u64::try_from(POOL).unwrap_or(1) - 1
}

fn pick(number: usize) -> Edition {
    static PLANS: OnceLock<Vec<Arc<Plan>>> = OnceLock::new();
    let plans = PLANS.get_or_init(|| (0..POOL).map(make).collect());
    Edition { number, plan: plans[number].clone() }
}

/// The plan of a number, always the same one.
fn make(number: usize) -> Arc<Plan> {
    let mut draws = Chance::fork(u64::try_from(number).unwrap_or(0), "plan");
    let mut pick = |all: &[&'static str]| *draws.of(all).expect("something to draw from");
    let mode = pick(&["apply", "apply", "apply", "apply", "apply", "dry_run", "off"]);
    let mut rules = format!(
        "metrics:
  cpu_usage: {{query: cpu, unit: ratio}}
  memory_usage: {{query: memory, unit: ratio}}
  response_time: {{query: response, unit: seconds}}
monitoring: {{metrics: {{system: [cpu_usage: {{critical: 90%, for: 1m}}]}}}}
scale_out_strategy:
  triggers:
    cpu_sustained: {{threshold: {}, clear: 50%{}}}
    memory_sustained: 80%
    response_time: 300ms
  actions:
    horizontal: {{step: {}, cool_down: {}}}
    vertical: {{step: +25% resources, cool_down: {}}}
  sustained: {}
  settle: {}
  give_up_after: {}
{}{}  targets:
",
        pick(&["70%", "70%", "70%", "60%"]),
        pick(&["", "", ", axis: auto"]),
        pick(&["+2 replicas", "+1 replicas", "+3 replicas"]),
        pick(&["2m", "3m", "5m", "10m"]),
        pick(&["3m", "5m", "10m"]),
        pick(&["30s", "1m", "2m", "5m"]),
        pick(&["1m", "2m"]),
        pick(&["2", "3", "3", "0"]),
        pick(&[
            "",
            "  scale_in: {step: 1, stabilize: 2m, cool_down: 2m}\n",
            "  scale_in: {step: 2, stabilize: 5m, cool_down: 5m}\n",
        ]),
        pick(&["", "", "  budget: {steps: 2, per: 10m}\n", "  budget: {steps: 4, per: 20m}\n"]),
    );
    let only = pick(&["", "", "", "", "cart", "shop"]);
    for service in SERVICES.iter().filter(|service| only.is_empty() || only == **service) {
        writeln!(
            rules,
            "    - {{service: {service}, namespace: prod, kind: Deployment, name: {service}, {}, \
             max_memory: {}, ready_within: {}}}",
            pick(&[
                "min_replicas: 1, max_replicas: 4",
                "min_replicas: 2, max_replicas: 6",
                "min_replicas: 1, max_replicas: 9",
                "min_replicas: 3, max_replicas: 12",
                "min_replicas: 2, max_replicas: 16",
            ]),
            pick(&["2Gi", "3Gi", "8Gi"]),
            pick(&["1m", "2m", "5m"]),
        )
        .expect("a string takes all");
    }
    let config = format!("kubernetes: {{mode: {mode}}}\nevaluation: {{interval: 15s, blind_after: 2m}}\n");
    let loaded = parse(&Sources::from_texts(&[("config.yaml", &config)], &[("rules.yaml", &rules)]));
    let loaded = loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    Arc::new(plan_of(&loaded.settings, loaded.rules))
}
