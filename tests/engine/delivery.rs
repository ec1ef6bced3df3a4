//! What becomes of notices when channels fail, refuse and are told in digests.

use std::collections::BTreeMap;

use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::labels::Labels;
use runbookd::domain::name::IncidentId;
use runbookd::domain::notice::{Notice, NoticeEvent, Recipients};
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;

use crate::made::{at, plan};

const CONFIG: &str = r#"
channels:
  chat: {slack: {webhook_url: "http://127.0.0.1:1/fixture"}}
  mail: {email: {smtp_url: "smtp://127.0.0.1:25", tls: none, from: a@example.org, to: [team@example.org]}}
  pager: {pagerduty: {routing_key: fixture-key}}
emergency_contacts:
  lead: {role: lead, contact: lead@example.org}
incident_types:
  service_outage: {severity: critical, response_team: ops, escalation: [lead], escalate_after: 10m}
communication:
  channels: {primary: chat, secondary: mail, emergency: pager}
  notify: {warning: [chat], critical: [chat, pager]}
  storm: {above: 2, per: 1m}
"#;

const RULES: &str = "
metrics: {cpu_usage: {query: cpu, unit: ratio}}
monitoring: {metrics: {system: [cpu_usage: {warning: 70%, critical: 90%}]}}
";

/// An engine and what it wants delivered.
struct Desk {
    engine: Engine,
    flying: Vec<Notice>,
    values: BTreeMap<String, f64>,
}

impl Desk {
    fn new(config: &str) -> Self {
        let engine = Engine::new(plan(config, RULES), at(0));
        Self { engine, flying: Vec::new(), values: BTreeMap::new() }
    }

    fn on(&mut self, event: Event, seconds: i64) {
        for effect in self.engine.on(event, at(seconds)) {
            if let Effect::Deliver(notice) = effect {
                self.flying.push(*notice);
            }
        }
    }

    /// A round in which these services have these values and all others what they had.
    fn see(&mut self, values: &[(&str, f64)], seconds: i64) {
        self.values.extend(values.iter().map(|(service, value)| ((*service).to_owned(), *value)));
        let query = self.engine.plan().rules.queries.keys().next().expect("a query").clone();
        let samples = self.values.iter().map(|(service, value)| Sample {
            labels: Labels::new([("service", service.clone())]),
            seen: Observation::Value(*value),
        });
        let answer = Answer::Series(samples.collect());
        self.on(Event::Observed(Round { query, at: at(seconds), answer }), seconds);
    }

    /// Answers all that is in flight to a channel now; says what it was.
    fn answer(&mut self, channel: &str, attempt: &Attempt, seconds: i64) -> Vec<String> {
        let (to, others) = std::mem::take(&mut self.flying)
            .into_iter()
            .partition::<Vec<_>, _>(|notice| notice.channel.as_str() == channel);
        self.flying = others;
        let mut told = Vec::new();
        for notice in to {
            told.push(match &notice.digest {
                Some(digest) => format!("digest of {}", digest.rows.len()),
                None => format!("{} {}", notice.event, notice.facts.subject_name),
            });
            self.on(Event::Attempted { notice: notice.id, attempt: attempt.clone() }, seconds);
        }
        told
    }

    /// Lets a channel accept whatever comes until nothing waits for it.
    fn drain(&mut self, channel: &str, from: i64) -> Vec<String> {
        (from..from + 200)
            .flat_map(|second| {
                self.on(Event::Wake, second);
                self.answer(channel, &Attempt::ACCEPTED, second)
            })
            .collect()
    }

    fn flying_to(&self, channel: &str) -> &Notice {
        self.flying.iter().find(|notice| notice.channel.as_str() == channel).expect("in flight")
    }
}

fn failed() -> Attempt {
    Attempt::Failed { reason: DeliveryReason::ServerError, detail: "HTTP 503".into(), retry_after: None }
}

fn refused() -> Attempt {
    Attempt::Refused { reason: DeliveryReason::Rejected, detail: "HTTP 400".into() }
}

fn one() -> IncidentId {
    "INC-20261123-0001".into()
}

#[test]
fn the_parts_of_a_digest_that_fails_are_told_before_what_came_later() {
    let mut desk = Desk::new(&CONFIG.replace("above: 2", "above: 1"));
    desk.see(&[("a", 0.75), ("b", 0.75)], 0);
    let mut second = 0;
    // It is over while the digest does not get through.
    while desk.flying_to("chat").digest.is_some() {
        assert_eq!(desk.answer("chat", &failed(), second), ["digest of 2"]);
        if second == 0 {
            desk.see(&[("a", 0.2)], second);
        }
        while !desk.flying.iter().any(|notice| notice.channel.as_str() == "chat") {
            second += 1;
            desk.on(Event::Wake, second);
        }
    }
    // Once the first part is through, what waits is told in one message again.
    assert_eq!(desk.drain("chat", second), ["opened a", "digest of 2"]);
}

#[test]
fn what_is_restored_leaves_in_the_order_of_revisions_whatever_the_clock_said() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.75)], 100);
    assert_eq!(desk.answer("chat", &failed(), 100), ["opened a"]);
    // The clock is set back between the two.
    desk.see(&[("a", 0.2)], 40);
    let mut state = runbookd::engine::state::State::default();
    for change in desk.engine.everything() {
        state.apply(change);
    }
    let (engine, effects) = Engine::restore(plan(CONFIG, RULES), state, at(41));
    desk = Desk { engine, flying: Vec::new(), values: BTreeMap::new() };
    desk.flying.extend(effects.into_iter().filter_map(|effect| match effect {
        Effect::Deliver(notice) => Some(*notice),
        _ => None,
    }));
    assert_eq!(desk.drain("chat", 41), ["opened a", "resolved a"]);
}

#[test]
fn a_digest_does_not_take_the_place_of_its_worst_incidents_message() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.75)], 0);
    let place = runbookd::domain::notice::Receipt("C0123456789:1.1".into());
    desk.answer("chat", &Attempt::Accepted { receipt: Some(place.clone()) }, 0);
    desk.see(&[("b", 0.75)], 10);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 10), ["opened b"]);
    desk.see(&[("a", 0.95), ("b", 0.95), ("c", 0.95)], 20);
    let digest = desk.flying_to("chat");
    assert!(digest.digest.is_some() && digest.facts.subject_name.as_ref() == "a", "{digest:?}");
    assert_eq!(digest.receipt, None);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 20), ["digest of 3"]);
    desk.see(&[("a", 0.2)], 30);
    desk.on(Event::Wake, 90);
    assert_eq!(desk.flying_to("chat").receipt, Some(place));
}

#[test]
fn whoever_hears_a_page_behind_a_refused_opening_hears_that_it_is_over() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.75)], 0);
    assert_eq!(desk.answer("chat", &failed(), 0), ["opened a"]);
    desk.see(&[("a", 0.95)], 1);
    desk.on(Event::Wake, 5);
    assert_eq!(desk.answer("chat", &refused(), 5), ["opened a"]);
    desk.on(Event::Wake, 10);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 10), ["worsened a"]);
    desk.see(&[("a", 0.2)], 20);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 20), ["resolved a"]);
}

#[test]
fn a_page_told_in_a_digest_is_still_a_page_when_the_digest_is_told_in_parts() {
    let mut desk = Desk::new(&CONFIG.replace("above: 2", "above: 1"));
    // The first leaves alone; behind it there are pages and what people did meanwhile.
    desk.see(&[("z", 0.75)], 0);
    desk.see(&[("a", 0.75), ("b", 0.75)], 0);
    for incident in ["INC-20261123-0002", "INC-20261123-0003"] {
        let (incident, by) = (incident.into(), "Ana".into());
        desk.on(Event::Acknowledge { incident, by, until: None, origin: None }, 0);
    }
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 0), ["opened z"]);
    desk.on(Event::Wake, 2);
    let mut second = 2;
    while desk.flying_to("chat").digest.is_some() {
        assert_eq!(desk.answer("chat", &failed(), second), ["digest of 2"]);
        while !desk.flying.iter().any(|notice| notice.channel.as_str() == "chat") {
            second += 1;
            desk.on(Event::Wake, second);
        }
    }
    assert_eq!(desk.answer("chat", &failed(), second), ["opened a"]);
}

#[test]
fn a_pager_hears_that_an_incident_is_taken_whatever_follows() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.95)], 0);
    assert_eq!(desk.answer("pager", &failed(), 0), ["opened a"]);
    desk.on(Event::Acknowledge { incident: one(), by: "Ana".into(), until: None, origin: None }, 1);
    // An update that a pager has nothing to say about.
    desk.see(&[("a", 0.75)], 2);
    assert_eq!(desk.drain("pager", 3), ["opened a", "acknowledged a", "eased a"]);
}

#[test]
fn an_update_that_a_channel_has_nothing_to_say_about_does_not_mean_that_it_works() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.95), ("b", 0.95)], 0);
    for second in [0, 3, 8, 13] {
        desk.on(Event::Wake, second);
        desk.answer("pager", &failed(), second);
    }
    let rests = |desk: &Desk| {
        let waiting = desk.engine.outbox().filter(|(_, notice)| notice.channel.as_str() == "pager");
        waiting.filter(|(_, notice)| notice.rest.is_some()).count()
    };
    assert_eq!(rests(&desk), 2);
    desk.see(&[("c", 0.95)], 13);
    desk.on(Event::Wake, 30);
    desk.answer("pager", &Attempt::NothingToSend, 30);
    assert!(rests(&desk) > 0);
}

#[test]
fn an_escalation_that_is_refused_wakes_the_emergency_channel() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.95)], 0);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 0), ["opened a"]);
    assert_eq!(desk.answer("pager", &Attempt::ACCEPTED, 0), ["opened a"]);
    desk.on(Event::Tick, 0);
    desk.see(&[], 590);
    desk.on(Event::Tick, 600);
    assert_eq!(desk.flying_to("mail").recipients, Recipients::Only(vec!["lead@example.org".into()]));
    assert_eq!(desk.answer("mail", &refused(), 601), ["escalated a"]);
    assert_eq!(desk.flying_to("pager").event, NoticeEvent::Escalated { role: "lead".into() });
    assert_eq!(desk.answer("pager", &Attempt::ACCEPTED, 601), ["escalated a"]);
    // Nobody heard of it by mail.
    desk.see(&[("a", 0.2)], 610);
    assert_eq!(desk.answer("mail", &Attempt::ACCEPTED, 610), [""; 0]);
}

#[test]
fn a_channel_that_only_woke_somebody_goes_on_telling_them_alone() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.95)], 0);
    desk.see(&[], 590);
    desk.on(Event::Tick, 600);
    assert_eq!(desk.answer("mail", &Attempt::ACCEPTED, 600), ["escalated a"]);
    desk.see(&[("a", 0.2)], 610);
    let lead = Recipients::Only(vec!["lead@example.org".into()]);
    assert_eq!(desk.flying_to("mail").recipients, lead);
    assert_eq!(desk.answer("mail", &Attempt::ACCEPTED, 610), ["resolved a"]);
    desk.see(&[("a", 0.95)], 620);
    assert_eq!(desk.flying_to("mail").recipients, lead);
    assert_eq!(desk.answer("mail", &Attempt::ACCEPTED, 620), ["reopened a"]);
}

#[test]
fn an_escalation_does_not_wait_for_the_next_digest() {
    let config = CONFIG.replace("critical: [chat, pager]", "critical: [chat, mail, pager]");
    let mut desk = Desk::new(&config);
    desk.see(&[("a", 0.95)], 0);
    assert_eq!(desk.drain("mail", 0), ["opened a"]);
    desk.see(&[("b", 0.95), ("c", 0.95), ("d", 0.95)], 590);
    assert_eq!(desk.drain("mail", 590), ["digest of 3"]);
    desk.see(&[("e", 0.95), ("f", 0.95), ("g", 0.95)], 598);
    assert!(desk.flying.iter().all(|notice| notice.channel.as_str() != "mail"), "kept for the next digest");
    desk.on(Event::Tick, 600);
    assert_eq!(desk.answer("mail", &Attempt::ACCEPTED, 600), ["digest of 4"]);
}

#[test]
fn the_heart_stops_while_nobody_takes_a_page() {
    let config = format!("{CONFIG}\nheartbeat: {{url: \"http://127.0.0.1:1/beat\", every: 60s}}\n");
    let mut desk = Desk::new(&config);
    let beats = |desk: &Desk| desk.flying.iter().any(|notice| notice.event == NoticeEvent::Heartbeat);
    desk.on(Event::Tick, 0);
    assert!(beats(&desk));
    desk.answer("runbookd/heartbeat", &Attempt::ACCEPTED, 0);
    desk.see(&[("a", 0.75)], 1);
    for channel in ["chat", "mail", "pager"] {
        assert_eq!(desk.answer(channel, &refused(), 1), ["opened a"]);
    }
    desk.see(&[], 130);
    desk.on(Event::Tick, 130);
    assert!(!beats(&desk), "a page that every channel refuses is one that does not leave");
}

#[test]
fn what_a_channel_refused_is_tried_again_once_it_accepts_something() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.75)], 0);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 0), ["opened a"]);
    desk.see(&[("a", 0.2)], 10);
    // Each refusal doubles the wait; nothing else is said to the channel.
    for second in [10, 70, 190, 430] {
        desk.on(Event::Wake, second);
        assert_eq!(desk.answer("chat", &refused(), second), ["resolved a"], "at {second}");
    }
    desk.see(&[("b", 0.75)], 500);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 500), ["opened b"]);
    desk.on(Event::Wake, 502);
    assert_eq!(desk.answer("chat", &refused(), 502), ["resolved a"]);
    // It was tried a moment ago: a channel that takes the one and refuses the other is not asked for it each time.
    desk.see(&[("b", 0.2)], 510);
    assert_eq!(desk.drain("chat", 510), ["resolved b"]);
}

#[test]
fn an_incident_that_is_over_before_anybody_heard_of_it_is_told_to_somebody() {
    let mut desk = Desk::new(CONFIG);
    desk.see(&[("a", 0.75)], 0);
    desk.see(&[("a", 0.2)], 1);
    // There is nobody to wake for it any more, and nobody else knows.
    assert_eq!(desk.answer("chat", &refused(), 1), ["opened a"]);
    desk.on(Event::Wake, 61);
    assert_eq!(desk.drain("chat", 61), ["opened a", "resolved a"]);
}

#[test]
fn whoever_may_have_heard_in_vain_hears_the_end_after_a_refused_digest() {
    let mut desk = Desk::new(&CONFIG.replace("above: 2", "above: 1"));
    desk.see(&[("a", 0.75)], 0);
    let lost =
        Attempt::Failed { reason: DeliveryReason::TimedOut, detail: "no answer".into(), retry_after: None };
    assert_eq!(desk.answer("chat", &lost, 0), ["opened a"]);
    desk.see(&[("a", 0.2), ("b", 0.75), ("c", 0.75)], 1);
    desk.on(Event::Wake, 3);
    assert_eq!(desk.answer("chat", &Attempt::ACCEPTED, 3), ["opened b"]);
    desk.on(Event::Wake, 5);
    // How the first page of `a` went nobody knows; its end and the page of `c` are refused, and both are owed.
    assert_eq!(desk.answer("chat", &refused(), 5), ["digest of 2"]);
    assert_eq!(desk.drain("chat", 70), ["digest of 2"]);
}
