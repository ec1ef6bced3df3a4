//! Explanations: one question, one chain of reasons, whatever was or was not told.

use runbookd::domain::alert::AlertKey;
use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;

use crate::made::{at, plan};

const CONFIG: &str = r#"
channels:
  chat: {slack: {webhook_url: "http://127.0.0.1:1/fixture"}}
  pager: {pagerduty: {routing_key: fixture-key}}
communication:
  channels: {primary: chat, secondary: chat, emergency: pager}
  notify: {warning: [chat], critical: [chat, pager]}
"#;

const RULES: &str = "
metrics: {cpu_usage: {query: cpu, unit: ratio}}
monitoring: {metrics: {system: [cpu_usage: {warning: 70%, critical: 90%, for: {warning: 1m, critical: 0s}}]}}
";

struct Told {
    engine: Engine,
    flying: Vec<runbookd::domain::name::NoticeId>,
    key: AlertKey,
}

impl Told {
    fn new() -> Self {
        let plan = plan(CONFIG, RULES);
        let rule = plan.rules.rules.keys().next().expect("one").clone();
        let series = Labels::new([("service", "checkout")]);
        Self { engine: Engine::new(plan, at(0)), flying: Vec::new(), key: AlertKey { rule, series } }
    }

    fn on(&mut self, event: Event, seconds: i64) {
        for effect in self.engine.on(event, at(seconds)) {
            if let Effect::Deliver(notice) = effect {
                self.flying.push(notice.id.clone());
            }
        }
    }

    fn see(&mut self, value: f64, seconds: i64) {
        let query = self.engine.plan().rules.queries.keys().next().expect("one").clone();
        let sample = Sample { labels: self.key.series.clone(), seen: Observation::Value(value) };
        self.on(
            Event::Observed(Round { query, at: at(seconds), answer: Answer::Series(vec![sample]) }),
            seconds,
        );
    }

    fn answer(&mut self, attempt: &Attempt, seconds: i64) {
        for notice in std::mem::take(&mut self.flying) {
            self.on(Event::Attempted { notice, attempt: attempt.clone() }, seconds);
        }
    }

    fn chain(&self, seconds: i64) -> Vec<String> {
        let chain = self.engine.explain_alert(&self.key, at(seconds));
        chain.iter().map(|link| format!("{}: {}", link.reason.as_str(), link.reason)).collect()
    }
}

#[test]
fn an_alert_that_waits_for_its_time_says_so() {
    let mut told = Told::new();
    told.see(0.75, 0);
    assert_eq!(
        told.chain(30),
        [
            "hold_not_over: CPU usage 75 %, warning beyond 70 % for 1m, critical beyond 90 %, breaching since \
             03:00 UTC: pending",
            "not_firing: part of no incident: it does not fire",
        ]
    );
}

#[test]
fn each_channel_says_why_it_was_told_or_not_and_what_came_of_it() {
    let mut told = Told::new();
    told.see(0.75, 0);
    told.see(0.75, 60);
    let failed = Attempt::Failed {
        reason: DeliveryReason::ServerError,
        detail: "HTTP 503".into(),
        retry_after: Some(std::time::Duration::from_secs(30)),
    };
    told.answer(&failed, 60);
    let chain = told.chain(61);
    assert_eq!(
        chain[1..],
        [
            "grouped: part of INC-20261123-0001: incidents of type service_outage about {service=\"checkout\"}",
            "already_told: chat was paged 1 times and knows; nothing worse has happened since",
            "queued: opened was decided for chat as revision 1",
            "attempted: chat: revision 1 failed with server_error: HTTP 503; it is tried again",
            "resting: waits for chat until 03:01:30 UTC",
            "not_routed: pager does not hear of warning incidents",
        ]
    );
    told.on(Event::Wake, 90);
    assert!(told.chain(90).contains(&"in_flight: on its way to chat".to_owned()));
    told.answer(&Attempt::ACCEPTED, 91);
    assert!(told.chain(91).contains(&"attempted: chat: accepted revision 1".to_owned()));
    told.see(0.95, 100);
    let chain = told.chain(100);
    assert!(chain.contains(&"queued: worsened was decided for chat as revision 2".to_owned()), "{chain:#?}");
    assert!(chain.contains(&"queued: opened was decided for pager as revision 2".to_owned()), "{chain:#?}");
    let notice = told.flying[0].clone();
    let one = told.engine.explain_notice(&notice, at(100));
    assert_eq!(one.len(), 2, "{one:?}");
}
