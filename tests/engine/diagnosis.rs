//! Diagnosis: what a run asks for, how it is bounded, and that records written before there was one are read.

use std::time::Duration;

use runbookd::domain::diagnosis::{
    Ask, Attachment, Diagnose, Failed, Finding, Keep, MOST_STEPS, Pods, StepFailure,
};
use runbookd::domain::incident::Incident;
use runbookd::domain::labels::Labels;
use runbookd::domain::notice::Notice;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;

use crate::made::{at, plan};

const CONFIG: &str = "
allowed_hosts: ['*.shop.svc']
diagnostic_tools:
  more:
    - {name: traces, link: 'https://jaeger.example.org/$service'}
    - {name: of a tenant, link: 'https://jaeger.example.org/$tenant'}
    - grafana
";

fn rules(steps: &str, more: &str) -> String {
    format!(
        "monitoring: {{metrics: {{system: [cpu_usage: {{warning: 70%, for: 0s}}]}}}}\n\
         alert_responses:\n  high_cpu:\n    diagnosis:\n{steps}    actions: [Wait]\n{more}"
    )
}

/// An engine in which CPU of a subject is high, and what it asks for.
fn breached(rules: &str, labels: &[(&'static str, &'static str)]) -> (Engine, Vec<Effect>) {
    let plan = plan(CONFIG, rules);
    let query = plan.rules.rules.values().next().expect("a rule").query.clone();
    let mut engine = Engine::new(plan, at(0));
    let labels = Labels::new(labels.iter().copied());
    let answer = Answer::Series(vec![Sample { labels, seen: Observation::Value(0.95) }]);
    let effects = engine.on(Event::Observed(Round { query, at: at(1), answer }), at(1));
    (engine, effects)
}

fn run(effects: &[Effect]) -> Option<&Diagnose> {
    effects.iter().find_map(|effect| if let Effect::Diagnose(run) = effect { Some(&**run) } else { None })
}

fn asks(rules: &str, labels: &[(&'static str, &'static str)]) -> Vec<Ask> {
    let (_, effects) = breached(rules, labels);
    run(&effects).map(|run| run.steps.iter().map(|(_, ask)| ask.clone()).collect()).unwrap_or_default()
}

fn failures(engine: &Engine) -> Vec<StepFailure> {
    let steps = engine.incidents().flat_map(|incident| &incident.diagnosis);
    steps.filter_map(|step| step.finding.as_ref()?.outcome.as_ref().err().map(|failed| failed.why)).collect()
}

#[test]
fn the_page_goes_out_before_anything_is_looked_at() {
    let rules = rules("      - {step: Ask, http: 'http://$service.shop.svc/'}\n", "");
    let (_, effects) = breached(&rules, &[("service", "checkout")]);
    let place = |is: fn(&Effect) -> bool| effects.iter().position(is).expect("both are there");
    let page = place(|effect| matches!(effect, Effect::Deliver(_)));
    assert!(page < place(|effect| matches!(effect, Effect::Diagnose(_))));
}

#[test]
fn pods_and_events_are_those_of_the_target_or_of_the_labels() {
    let steps = "      - {step: Logs, logs: ''}\n      - {step: Events, events: ''}\n";
    let target = "scale_out_strategy:\n  triggers: {cpu_usage: 70%}\n  actions: {horizontal: {step: +1 replicas, cool_down: 10m}}\n  \
                  targets: [{service: checkout, namespace: shop, kind: StatefulSet, name: checkout-web, min_replicas: 1, max_replicas: 3}]\n";
    let of_target = asks(&rules(steps, target), &[("service", "checkout")]);
    let [Ask::Logs(Pods::Of(pods)), Ask::Events { namespace, name }] = of_target.as_slice() else {
        panic!("{of_target:?}")
    };
    assert_eq!((&*pods.kind, &*pods.name), ("StatefulSet", "checkout-web"));
    assert_eq!((&**namespace, &**name), ("shop", "checkout-web"));

    let labels = [("service", "cart"), ("namespace", "shop"), ("pod", "cart-1")];
    let of_pod = asks(&rules(steps, ""), &labels);
    let named = Ask::Logs(Pods::Named { namespace: "shop".into(), name: "cart-1".into() });
    assert_eq!(of_pod, [named, Ask::Events { namespace: "shop".into(), name: "cart-1".into() }]);
    assert_eq!(
        asks(&rules(steps, ""), &[("service", "cart"), ("namespace", "shop")]),
        [Ask::Events { namespace: "shop".into(), name: "cart".into() }],
        "no pod is guessed"
    );
}

#[test]
fn what_cannot_be_filled_fails_at_once_and_is_never_asked() {
    let steps = "      - {step: One, query: 'up{a=\"$tenant\"}'}\n      - {step: Two, logs: 'app=$service'}\n      \
                 - {step: Three, http: 'http://$service.shop.svc/'}\n";
    let (engine, effects) = breached(&rules(steps, ""), &[("service", "a b,c"), ("namespace", "shop")]);
    assert_eq!(run(&effects), None);
    let unfit = StepFailure::UnfitLabel;
    assert_eq!(failures(&engine), [StepFailure::NoLabel, unfit, unfit]);
}

#[test]
fn an_incident_has_at_most_so_many_steps() {
    let steps: Vec<String> = (0..30).map(|n| format!("      - {{step: Step {n}, query: up}}\n")).collect();
    assert_eq!(asks(&rules(&steps.concat(), ""), &[("service", "checkout")]).len(), MOST_STEPS);
}

#[test]
fn tools_whose_labels_are_there_are_links() {
    let (engine, _) = breached(&rules("      - Look\n", ""), &[("service", "a/b")]);
    let id = engine.incidents().next().expect("an incident").id.clone();
    let links = engine.facts_of(&id, at(2)).expect("facts").links;
    let links: Vec<_> = links.iter().map(|link| (&*link.name, &*link.url)).collect();
    assert_eq!(links, [("traces", "https://jaeger.example.org/a%2Fb")]);
}

#[test]
fn an_answer_that_is_late_doubled_or_about_nothing_changes_nothing() {
    let rules = rules("      - {step: Ask, query: up}\n", "");
    let (mut engine, effects) = breached(&rules, &[("service", "checkout")]);
    let asked = run(&effects).expect("a run").clone();
    let ended = |asked_at, step, outcome| Event::Diagnosed {
        incident: asked.incident.clone(),
        step,
        asked_at,
        finding: Box::new(Finding { at: at(2), took: Duration::ZERO, outcome }),
    };
    let found = || Ok(Attachment::new("one", "one", Keep::Beginning));
    let untouched = engine.incident(&asked.incident).cloned();
    engine.on(ended(at(0), 0, found()), at(2));
    engine.on(ended(asked.asked_at, 7, found()), at(2));
    assert_eq!(engine.incident(&asked.incident).cloned(), untouched);
    engine.on(ended(asked.asked_at, 0, found()), at(2));
    let known = engine.incident(&asked.incident).cloned();
    assert_ne!(known, untouched);
    engine.on(ended(asked.asked_at, 0, Err(Failed::new(StepFailure::TimedOut, ""))), at(3));
    assert_eq!(engine.incident(&asked.incident).cloned(), known);
}

#[test]
fn records_from_before_there_was_a_diagnosis_are_read() {
    let (engine, _) = breached(&rules("      - Look\n", ""), &[("service", "checkout")]);
    let incident = engine.incidents().next().expect("an incident");
    let mut record = serde_json::to_value(incident).expect("a record");
    assert!(record.as_object_mut().expect("a map").remove("diagnosis").is_some());
    assert_eq!(serde_json::from_value::<Incident>(record).expect("read"), *incident);

    let (_, notice) = engine.outbox().next().expect("a notice");
    let mut record = serde_json::to_value(notice).expect("a record");
    let facts = record["facts"].as_object_mut().expect("facts");
    assert!(facts.remove("diagnosis").is_some() && facts.remove("links").is_some());
    let read: Notice = serde_json::from_value(record).expect("read");
    assert_eq!((read.id, read.facts.links.len()), (notice.id.clone(), 0));
}
