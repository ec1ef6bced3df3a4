//! runbookd's side: the live engine on the runbook's policy. Owns the policy's text and carrying out what the engine
//! asks, as the daemon does; decides nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::Timestamp;
use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::domain::scaling::{Policy, Size, Surroundings, WorkloadSnapshot};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;

use crate::pipeline::Pipeline;
use crate::shop::{Service, count};

/// The runbook's 6.3 for one service.
const RUNBOOK: &str = "scale_out_strategy:
  triggers: {cpu_sustained: 70%, response_time: 300ms}
  actions: {horizontal: {step: +2 replicas, cool_down: 10m}}
  sustained: 5m
  targets: [{service: checkout, min_replicas: 2, max_replicas: 20, ready_within: 5m}]
";

/// The same, taking back what is not needed. What is clear is said for both triggers: at half of 300 ms, the default, a
/// service at 60 % of its CPU would never be clear.
const AND_BACK: &str = "scale_out_strategy:
  triggers:
    cpu_sustained: {threshold: 70%, clear: 55%}
    response_time: {threshold: 300ms, clear: 250ms}
  actions: {horizontal: {step: +2 replicas, cool_down: 10m}}
  sustained: 5m
  scale_in: {step: 1, stabilize: 30m, cool_down: 10m}
  targets: [{service: checkout, min_replicas: 2, max_replicas: 20, ready_within: 5m}]
";

/// Queries are asked this often, in seconds, and this long after a scrape.
const EVERY: i64 = 15;
const AFTER: i64 = 7;

/// The engine with its policy.
pub(crate) struct Runbook {
    plan: Arc<Plan>,
    engine: Engine,
}

impl Runbook {
    /// The runbook's policy as it stands.
    pub(crate) fn new() -> Self {
        Self::of(RUNBOOK)
    }

    /// The runbook's policy, and scaling in.
    pub(crate) fn and_back() -> Self {
        Self::of(AND_BACK)
    }

    fn of(rules: &str) -> Self {
        let config = [("config.yaml", "kubernetes: {mode: apply}")];
        let loaded = parse(&Sources::from_texts(&config, &[("rules.yaml", rules)]));
        let loaded = loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let plan = Arc::new(plan_of(&loaded.settings, loaded.rules));
        Self { engine: Engine::new(plan.clone(), at(0)), plan }
    }

    fn policy(&self) -> &Policy {
        self.plan.rules.policy.as_ref().expect("the policy above")
    }

    /// One second of the daemon: the rounds that are due, and the timers. Returns how often it wrote.
    pub(crate) fn act(&mut self, now: i64, service: &mut Service, pipeline: &Pipeline) -> u32 {
        let mut events = VecDeque::new();
        if now % EVERY == AFTER {
            for trigger in &self.policy().triggers {
                let value = match &*trigger.metric {
                    "cpu_usage" => pipeline.cpu_usage(now),
                    _ => pipeline.response_time(now),
                };
                let labels = Labels::new([("service", "checkout")]);
                let sample = value.map(|value| Sample { labels, seen: Observation::Value(value) });
                let answer = Answer::Series(sample.into_iter().collect());
                events.push_back(Event::Observed(Round {
                    query: trigger.query.clone(),
                    at: at(now),
                    answer,
                }));
            }
        }
        events.push_back(Event::Tick);
        let mut writes = 0;
        while let Some(event) = events.pop_front() {
            let effects = self.engine.on(event, at(now));
            // What a store and logs would take.
            drop((self.engine.take_changes(), self.engine.take_reports()));
            for effect in effects {
                match effect {
                    Effect::Look(target) => {
                        let seen = Ok(Box::new(self.look(now, service)));
                        events.push_back(Event::TargetSeen { target, seen });
                    }
                    Effect::Write(action) => {
                        let Size::Replicas(wanted) = action.to else { panic!("a horizontal step") };
                        writes += u32::from(service.scale(wanted));
                        events.push_back(Event::Written { action: action.id, outcome: Ok(()) });
                    }
                    Effect::Deliver(_) | Effect::Diagnose(_) | Effect::Announce(_) => {}
                }
            }
        }
        writes
    }

    fn look(&self, now: i64, service: &Service) -> WorkloadSnapshot {
        WorkloadSnapshot {
            target: self.policy().targets[0].id.clone(),
            uid: "1".into(),
            resource_version: service.version.to_string().into(),
            replicas: service.wanted,
            ready_replicas: service.ready(now).min(count(service.pods.len())),
            rollout_in_progress: false,
            containers: Vec::new(),
            pods: Vec::new(),
            in_place_resize: true,
            surroundings: Surroundings::open(),
        }
    }
}

/// So many seconds after the beginning.
fn at(seconds: i64) -> Timestamp {
    const START: i64 = 1_795_392_000;
    Timestamp::from_second(START + seconds).expect("a time")
}
