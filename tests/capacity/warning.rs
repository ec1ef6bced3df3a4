//! The warning before capacity runs out: an ordinary alert of an ordinary rule, which the engine's forecasts feed.

use std::sync::Arc;

use runbookd::domain::alert::AlertReason;
use runbookd::domain::capacity::Forecasted;
use runbookd::domain::capacity::outlook::NoForecast;
use runbookd::domain::headline::headline;
use runbookd::domain::labels::Labels;
use runbookd::domain::name::QueryId;
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;

use crate::made::{Shape, after, plan};

const RULES: &str = "
metrics: {tenant_requests: {query: requests_by_tenant, unit: count}}
resource_requirements:
  compute:
    cpu: {base: 2 cores, per_tenant: 0.1 cores, available: AVAILABLE}
";

/// Two tenants a day more, a hundred now.
const GROWTH: Shape = Shape { level: 100.0, slope: 2.0, day: 0.0, weekend: 0.0, noise: 0.0, days: 0.0 };

struct Stage {
    engine: Engine,
    told: Vec<String>,
    minute: i64,
}

impl Stage {
    /// An engine that has looked at the past and sees a hundred tenants.
    fn new(available: &str) -> Self {
        let engine = Engine::new(plan(&RULES.replace("AVAILABLE", available)), after(0));
        let mut stage = Self { engine, told: Vec::new(), minute: 0 };
        stage.on(history(Ok(GROWTH)));
        stage.pass(1);
        stage
    }

    fn on(&mut self, event: Event) {
        for effect in self.engine.on(event, after(self.minute * 60)) {
            if let Effect::Deliver(notice) = effect {
                // The same words go to several channels.
                let line = headline(&notice.event, &notice.facts);
                if self.told.last() != Some(&line) {
                    self.told.push(line);
                }
                let attempt = runbookd::domain::delivery::Attempt::ACCEPTED;
                self.engine.on(Event::Attempted { notice: notice.id, attempt }, after(self.minute * 60));
            }
        }
    }

    /// Minutes pass, each with a round of the tenants.
    fn pass(&mut self, minutes: i64) {
        for _ in 0..minutes {
            let samples = (0..100).map(|number| Sample {
                labels: Labels::new([("tenant", format!("tenant-{number}"))]),
                seen: Observation::Value(1.0),
            });
            let answer = Answer::Series(samples.collect());
            self.on(Event::Observed(Round { query: self.tenants(), at: after(self.minute * 60), answer }));
            self.on(Event::Tick);
            self.minute += 1;
        }
    }

    fn tenants(&self) -> QueryId {
        let queries = &self.engine.plan().rules.queries;
        let found = queries.values().find(|query| &*query.expr == "requests_by_tenant");
        found.expect("the query of tenants").id.clone()
    }

    fn alert(&self) -> Option<(&'static str, AlertReason)> {
        let alert = self.engine.alerts().find(|(rule, _, _)| rule.as_str() == "capacity/platform")?.2;
        Some((alert.state.as_str(), alert.reason))
    }
}

fn history(shape: Result<Shape, QueryFailure>) -> Event {
    Event::History { of: Forecasted::Tenants("platform".into()), seen: shape.map(|it| it.history(30, 7)) }
}

#[test]
fn a_date_within_thirty_days_is_a_warning_and_a_far_one_is_none() {
    // 0.1 cores each, two tenants a day: 16 cores are 140 tenants, which is 20 days away.
    let mut stage = Stage::new("16 cores");
    assert_eq!(stage.alert().map(|it| it.0), Some("pending"));
    stage.pass(12);
    assert_eq!(stage.alert(), Some(("firing", AlertReason::BeyondThreshold)));
    assert_eq!(stage.told, ["WARNING platform: capacity left 20 days (limit 30 days)"]);
    let incident = stage.engine.incidents().next().expect("an incident");
    let summary = incident.alerts.values().next().and_then(|member| member.summary.clone());
    assert_eq!(summary.as_deref(), Some("cpu of platform runs out in 20 days as tenants grow"));

    let mut far = Stage::new("64 cores");
    far.pass(30);
    assert_eq!(far.alert(), Some(("inactive", AlertReason::WithinThresholds)));
    assert!(far.told.is_empty(), "{:?}", far.told);
}

#[test]
fn more_room_ends_it_and_what_has_run_out_is_critical() {
    let mut stage = Stage::new("11 cores");
    stage.pass(12);
    assert_eq!(stage.told, ["CRITICAL platform: capacity left 0 ms (limit 7 days)"]);
    stage.on(Event::Reloaded(plan(&RULES.replace("AVAILABLE", "64 cores"))));
    stage.on(history(Ok(GROWTH)));
    stage.pass(3);
    assert_eq!(stage.alert(), Some(("resolved", AlertReason::WithinThresholds)));
    assert!(stage.told.last().is_some_and(|last| last.starts_with("RESOLVED platform")), "{:?}", stage.told);
}

#[test]
fn what_is_unknown_is_neither_an_alert_nor_its_end() {
    let mut stage = Stage::new("16 cores");
    stage.pass(12);
    // A failed question leaves the forecast in its place; one that is refused takes it away.
    stage.on(history(Err(QueryFailure::Unreachable)));
    stage.pass(2);
    assert_eq!(stage.alert(), Some(("firing", AlertReason::BeyondThreshold)));
    let short = Event::History { of: Forecasted::Tenants("platform".into()), seen: Ok(GROWTH.history(5, 7)) };
    stage.on(short);
    stage.pass(30);
    assert_eq!(stage.alert(), Some(("firing", AlertReason::NoDataHeld)));
    let now = after(stage.minute * 60);
    let why = stage.engine.forecast(&Forecasted::Tenants("platform".into()), now).expect_err("refused");
    assert_eq!(why.to_string(), "5.0 days of history, 14 are needed");
    let none = stage.engine.forecast(&Forecasted::Tenants("other".into()), now);
    assert_eq!(none.err(), Some(NoForecast::NotAsked));
}

#[test]
fn a_restart_keeps_the_alert_and_tells_nobody_again() {
    let mut stage = Stage::new("16 cores");
    stage.pass(12);
    let plan = stage.engine.plan().clone();
    let mut committed = runbookd::engine::state::State::default();
    for change in stage.engine.everything() {
        committed.apply(change);
    }
    let now = after(stage.minute * 60);
    let (engine, _) = Engine::restore(Arc::new(plan), committed, now);
    stage.engine = engine;
    stage.told.clear();
    stage.pass(3);
    assert_eq!(stage.alert().map(|it| it.0), Some("firing"));
    stage.on(history(Ok(GROWTH)));
    stage.pass(15);
    assert_eq!(stage.alert(), Some(("firing", AlertReason::BeyondThreshold)));
    assert!(stage.told.is_empty(), "{:?}", stage.told);
}

#[test]
fn tenants_that_are_not_seen_set_no_floor_and_those_that_are_do() {
    let stage = Stage::new("16 cores");
    let floor = stage.engine.capacity_floor("checkout", after(60)).expect("the one service there is");
    assert_eq!(floor.cores, Some(12.0));
    assert_eq!(floor.replicas(Some(0.5), None), Some(24));
    // Ten minutes later nobody has been seen lately: that is unknown, not zero.
    assert_eq!(stage.engine.capacity_floor("checkout", after(3_600)), None);
}

#[test]
fn the_notice_is_one_page_for_all_resources_of_a_model() {
    let rules = RULES.replace("AVAILABLE", "16 cores") + "    sessions: {per_tenant: 10, available: 1300}\n";
    let mut stage = Stage::new("16 cores");
    stage.engine = Engine::new(plan(&rules), after(0));
    stage.on(history(Ok(GROWTH)));
    stage.pass(14);
    assert_eq!(stage.engine.incidents().count(), 1);
    let members: Vec<_> = stage.engine.incidents().flat_map(|it| it.alerts.values()).collect();
    let resources: Vec<_> = members.iter().filter_map(|member| member.labels.get("resource")).collect();
    assert_eq!((resources.len(), resources.contains(&"sessions")), (2, true));
    let pages = stage.told.iter().filter(|line| line.starts_with("WARNING platform: capacity left 15"));
    assert_eq!(pages.count(), 1, "{:?}", stage.told);
}
