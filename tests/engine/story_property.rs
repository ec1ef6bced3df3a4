//! Random stories: whatever is seen, said, refused, reloaded and restarted, incidents move legally, channels hear of
//! them in order, everybody who was told of one is told of its end, and a restart changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use runbookd::config::settings::StoreSettings;
use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::incident::IncidentState;
use runbookd::domain::labels::Labels;
use runbookd::domain::name::{ChannelName, IncidentId, NoticeId};
use runbookd::domain::notice::{Notice, NoticeEvent};
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use runbookd::domain::silence::{Silence, SilenceRequest};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::engine::report::Report;
use runbookd::engine::state::State;
use runbookd::store::Store;

use crate::made::{at, plan};

const SERVICES: [&str; 3] = ["checkout", "cart", "search"];
const METRICS: [&str; 2] = ["cpu_usage", "memory_usage"];

/// Blindness counts from a start, which a restart is: it would make the two lives of an engine differ by design.
const SEES: &str = "evaluation: {blind_after: 100 days}\n";

/// Three configurations between which a story reloads: other thresholds, another routing, a rule less. Wherever there
/// is the memory rule, its silence pages: what is well is remembered over a restart only where that matters.
static PLANS: LazyLock<[Arc<Plan>; 3]> = LazyLock::new(|| {
    let rules = |cpu: &str, memory: &str| format!("monitoring: {{metrics: {{system: [{cpu}{memory}]}}}}");
    let cpu = "cpu_usage: {warning: 70%, critical: 90%, for: 60s, keep_firing_for: 30s}";
    let memory = ", memory_usage: {warning: 70%, on_no_data: fire, no_data_after: 120s, on_error: fire}";
    let quick = "cpu_usage: {warning: 60%, critical: 80%, on_no_data: resolve, no_data_after: 60s}";
    // A greater problem says it all, and one rule keeps to hours of its own: a story lasts from minutes to days.
    let quiet = "inhibit_rules: [{source_matchers: [severity=critical], target_matchers: [alertname=memory_usage], \
                 equal: [service]}]\n\
                 time_intervals: [{name: early, time_intervals: [{times: [{start_time: \"03:05\", end_time: \"03:40\"}]}]}]\n";
    let page_all = format!("{SEES}communication: {{notify: {{warning: [primary, emergency]}}}}");
    [
        plan(SEES, &format!("{quiet}{}", rules(cpu, memory))),
        plan(&page_all, &rules(quick, ", memory_usage: {critical: 90%, on_error: fire}")),
        plan(
            SEES,
            &format!("{quiet}{}", rules(&cpu.replace("for: 60s", "mute_time_intervals: [early]"), "")),
        ),
    ]
});

#[derive(Debug, Clone)]
enum Turn {
    See { metric: usize, values: [Option<f64>; 3] },
    Fail { metric: usize },
    Wait,
    Acknowledge(Index),
    Resolve(Index),
    Silence { service: usize, of_both: bool, seconds: i64 },
    EndSilence(usize),
    Attempt(Index, Attempt),
    Reload(usize),
    Restart,
}

fn turn() -> impl Strategy<Value = Turn> {
    let value = || {
        prop_oneof![
            1 => Just(None),
            1 => Just(Some(f64::NAN)),
            8 => proptest::sample::select(vec![0.5, 0.65, 0.75, 0.85, 0.95]).prop_map(Some),
        ]
    };
    let attempt = prop_oneof![
        4 => Just(Attempt::ACCEPTED),
        1 => Just(Attempt::NothingToSend),
        1 => Just(Attempt::Failed {
            reason: DeliveryReason::TimedOut, detail: "slow".into(), retry_after: None
        }),
        1 => Just(Attempt::Refused { reason: DeliveryReason::Rejected, detail: "no".into() }),
    ];
    prop_oneof![
        12 => (0..2_usize, [value(), value(), value()])
            .prop_map(|(metric, values)| Turn::See { metric, values }),
        2 => (0..2_usize).prop_map(|metric| Turn::Fail { metric }),
        3 => Just(Turn::Wait),
        1 => any::<Index>().prop_map(Turn::Acknowledge),
        1 => any::<Index>().prop_map(Turn::Resolve),
        2 => (0..3_usize, any::<bool>(), 1_i64..3_000)
            .prop_map(|(service, of_both, seconds)| Turn::Silence { service, of_both, seconds }),
        1 => (0..3_usize).prop_map(Turn::EndSilence),
        6 => (any::<Index>(), attempt).prop_map(|(which, attempt)| Turn::Attempt(which, attempt)),
        1 => (0..3_usize).prop_map(Turn::Reload),
        2 => Just(Turn::Restart),
    ]
}

fn story() -> impl Strategy<Value = Vec<(i64, Turn)>> {
    // Mostly rounds, now and then a long night.
    let pause = prop_oneof![9 => 1_i64..60, 1 => 60_i64..4_000];
    proptest::collection::vec((pause, turn()), 1..80)
}

/// What a channel was told about an incident.
#[derive(Default)]
struct Heard {
    revision: u32,
    /// Whether the last word decided for it is that the incident is open.
    open: bool,
    /// Whether the last word that it took is.
    arrived: bool,
}

/// An engine whose every step is checked.
struct Watched {
    engine: Engine,
    states: BTreeMap<IncidentId, (IncidentState, u32)>,
    heard: BTreeMap<(IncidentId, ChannelName), Heard>,
    notices: BTreeSet<NoticeId>,
    queued: BTreeSet<NoticeId>,
}

/// The notices that came into the outbox since the last call, in the order of revisions.
fn fresh(engine: &Engine, queued: &mut BTreeSet<NoticeId>) -> Vec<Notice> {
    let outbox = engine.outbox().map(|(_, notice)| notice);
    let mut fresh: Vec<Notice> = outbox.filter(|notice| !queued.contains(&notice.id)).cloned().collect();
    fresh.sort_by(|one, two| (one.revision, &one.id).cmp(&(two.revision, &two.id)));
    *queued = engine.outbox().map(|(id, _)| id.clone()).collect();
    fresh
}

/// The notices that may be in flight: what follows an earlier one of its incident has not left.
fn heads(engine: &Engine) -> Vec<NoticeId> {
    let overtakes = |one: &Notice, two: &Notice| {
        one.channel == two.channel && one.facts.uid == two.facts.uid && one.revision < two.revision
    };
    let outbox: Vec<&Notice> = engine.outbox().map(|(_, notice)| notice).collect();
    let heads = outbox.iter().filter(|it| !outbox.iter().any(|other| overtakes(other, it)));
    heads.map(|notice| notice.id.clone()).collect()
}

/// Answers whatever leaves until nothing is left; what left, in that order.
fn drain(engine: &mut Engine, first: Vec<Effect>, mut seconds: i64) -> Vec<NoticeId> {
    let mut left = Vec::new();
    let mut effects = first;
    for _ in 0..10_000 {
        for effect in std::mem::take(&mut effects) {
            let Effect::Deliver(notice) = effect else { continue };
            left.push(notice.id.clone());
            let accepted = Event::Attempted { notice: notice.id.clone(), attempt: Attempt::ACCEPTED };
            effects.extend(engine.on(accepted, at(seconds)));
        }
        if engine.outbox().next().is_none() {
            break;
        }
        seconds += 10;
        effects.extend(engine.on(Event::Wake, at(seconds)));
    }
    left
}

impl Watched {
    fn new(engine: Engine) -> Self {
        Self {
            engine,
            states: BTreeMap::new(),
            heard: BTreeMap::new(),
            notices: BTreeSet::new(),
            queued: BTreeSet::new(),
        }
    }

    fn on(&mut self, event: Event, seconds: i64) -> Result<Vec<Notice>, TestCaseError> {
        let attempted = match &event {
            Event::Attempted { notice, attempt } => {
                let known = self.engine.outbox().find(|(it, _)| *it == notice);
                known.map(|(_, notice)| (notice.clone(), attempt.clone()))
            }
            _ => None,
        };
        let is_tick = matches!(event, Event::Tick);
        let _ = self.engine.on(event, at(seconds));
        self.check_states()?;
        self.check_holds(is_tick, seconds)?;
        if let Some((notice, attempt)) = attempted {
            self.check_attempt(notice, &attempt);
        }
        let fresh = fresh(&self.engine, &mut self.queued);
        for notice in &fresh {
            self.check_notice(notice)?;
        }
        Ok(fresh)
    }

    /// What is accepted is heard. A page that is refused and given up was not, unless it may have arrived before: then
    /// the end is owed to whoever heard an earlier beginning only.
    fn check_attempt(&mut self, notice: Notice, attempt: &Attempt) {
        let is_given_up = self.engine.outbox().all(|(id, _)| *id != notice.id);
        // A page that waits behind it is still heard, and so must be the end.
        let is_told = self.engine.outbox().any(|(_, other)| {
            other.event.is_page() && other.facts.uid == notice.facts.uid && other.channel == notice.channel
        });
        let Some(heard) = self.heard.get_mut(&(notice.facts.incident_id, notice.channel)) else { return };
        match attempt {
            Attempt::Accepted { .. } => heard.arrived = notice.event != NoticeEvent::Resolved,
            Attempt::Refused { .. } if is_given_up && notice.event.is_page() => {
                heard.open &= heard.arrived || notice.possibly_sent || is_told;
            }
            Attempt::Refused { .. } | Attempt::Failed { .. } | Attempt::NothingToSend => {}
        }
    }

    fn check_states(&mut self) -> Result<(), TestCaseError> {
        let mut places = BTreeSet::new();
        for incident in self.engine.incidents() {
            let (is, revision) = (incident.state, incident.revision);
            if is != IncidentState::Closed {
                prop_assert!(places.insert(incident.place()), "two incidents of {:?}", incident.place());
            }
            if let Some((was, before)) = self.states.insert(incident.id.clone(), (is, revision)) {
                // One event may make two moves, such as acknowledged → resolved → closed.
                let legal = was == is
                    || was.may_become(is)
                    || IncidentState::ALL.into_iter().any(|by| was.may_become(by) && by.may_become(is));
                prop_assert!(legal, "{} went from {was} to {is}", incident.id);
                prop_assert!(revision >= before);
            }
            let active = incident.state.is_active();
            prop_assert_eq!(incident.resolved_at.is_none(), active, "{} is {}", &incident.id, is);
            for (key, member) in incident.alerts.iter().filter(|_| active) {
                let alert = self
                    .engine
                    .alerts()
                    .find(|(rule, series, _)| **rule == key.rule && **series == key.series);
                let fires = alert.is_some_and(|(_, _, alert)| alert.state.is_firing());
                prop_assert!(fires || !member.firing, "{} shows {:?} as firing", incident.id, key);
            }
        }
        Ok(())
    }

    /// Nobody hears of an incident only while it is held back, and it is held back only while there is a reason.
    fn check_holds(&self, is_tick: bool, seconds: i64) -> Result<(), TestCaseError> {
        for incident in self.engine.incidents().filter(|incident| incident.state.is_active()) {
            let is_held = incident.held.is_some();
            prop_assert!(is_held || !incident.told.is_empty(), "nobody was told of {}", incident.id);
            if is_tick {
                let why = self.engine.suppressed(&incident.id, at(seconds));
                prop_assert_eq!(incident.held.as_ref().map(|hold| &hold.why), why.as_ref());
            }
        }
        Ok(())
    }

    fn check_notice(&mut self, notice: &Notice) -> Result<(), TestCaseError> {
        prop_assert!(self.notices.insert(notice.id.clone()), "the same notice twice: {:?}", notice.event);
        let key = (notice.facts.incident_id.clone(), notice.channel.clone());
        let heard = self.heard.entry(key).or_default();
        prop_assert!(notice.revision > heard.revision, "revisions must grow along a channel");
        if heard.revision == 0 {
            prop_assert_eq!(&notice.event, &NoticeEvent::Opened, "the first word is the opening");
        }
        if notice.event == NoticeEvent::Resolved {
            prop_assert!(heard.open, "told the end twice, or of nothing");
        } else if !heard.open {
            prop_assert!(notice.event.is_page(), "{} after the end", notice.event);
        }
        heard.open = notice.event != NoticeEvent::Resolved;
        heard.revision = notice.revision;
        Ok(())
    }

    fn event(&self, turn: &Turn, seconds: i64) -> Option<Event> {
        let round = |metric: usize, answer| {
            let rules = &self.engine.plan().rules.rules;
            let rule = rules.values().find(|rule| *rule.name == *METRICS[metric])?;
            Some(Event::Observed(Round { query: rule.query.clone(), at: at(seconds), answer }))
        };
        Some(match turn {
            Turn::See { metric, values } => {
                let samples = SERVICES.iter().zip(values).filter_map(|(service, value)| {
                    let seen = (*value)?;
                    let seen = if seen.is_nan() { Observation::NotANumber } else { Observation::Value(seen) };
                    Some(Sample { labels: Labels::new([("service", *service)]), seen })
                });
                round(*metric, Answer::Series(samples.collect()))?
            }
            Turn::Fail { metric } => round(*metric, Answer::Failed(QueryFailure::TimedOut))?,
            Turn::Wait => Event::Tick,
            Turn::Acknowledge(which) => Event::Acknowledge {
                incident: self.pick(*which)?,
                by: "Ana".into(),
                until: None,
                origin: None,
            },
            Turn::Resolve(which) => Event::Resolve { incident: self.pick(*which)?, by: "Ana".into() },
            Turn::Silence { service, of_both, seconds: length } => {
                let which = if *of_both { "cpu_.*|memory_.*" } else { "cpu_.*" };
                let asked = SilenceRequest {
                    matchers: format!("service={}, alertname=~{which:?}", SERVICES[*service]).parse().ok()?,
                    starts_at: at(seconds),
                    ends_at: at(seconds + length),
                    author: "Ana".into(),
                    comment: "a story".into(),
                };
                let id = Some(SERVICES[*service].into());
                Event::Silence(Box::new(Silence::new(asked, id, at(seconds)).ok()?))
            }
            Turn::EndSilence(service) => {
                Event::ExpireSilence { id: SERVICES[*service].into(), by: "Ben".into() }
            }
            Turn::Attempt(which, attempt) => {
                let waiting = heads(&self.engine);
                if waiting.is_empty() {
                    return None;
                }
                Event::Attempted { notice: which.get(&waiting).clone(), attempt: attempt.clone() }
            }
            Turn::Reload(which) => Event::Reloaded(PLANS[*which].clone()),
            Turn::Restart => return None,
        })
    }

    fn pick(&self, which: Index) -> Option<IncidentId> {
        let incidents: Vec<IncidentId> = self.engine.incidents().map(|it| it.id.clone()).collect();
        (!incidents.is_empty()).then(|| which.get(&incidents).clone())
    }

    /// Everything gets well and time passes: nobody may be left with an open end.
    fn end_well(&mut self, mut seconds: i64) -> Result<(), TestCaseError> {
        for _ in 0..3 {
            seconds += 1_000;
            for metric in 0..METRICS.len() {
                let well = Turn::See { metric, values: [Some(0.1); 3] };
                if let Some(event) = self.event(&well, seconds) {
                    self.on(event, seconds)?;
                }
            }
            self.on(Event::Tick, seconds)?;
        }
        for ((incident, channel), heard) in &self.heard {
            prop_assert!(!heard.open, "{channel} was never told that {incident} is over");
        }
        prop_assert!(self.engine.incidents().all(|incident| incident.state == IncidentState::Closed));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_incidents_are_sound_and_everybody_hears_the_end(story in story()) {
        let mut watched = Watched::new(Engine::new(PLANS[0].clone(), at(0)));
        let mut seconds = 0;
        for (pause, turn) in &story {
            seconds += pause;
            if let Some(event) = watched.event(turn, seconds) {
                watched.on(event, seconds)?;
            }
        }
        watched.end_well(seconds)?;
    }

    #[test]
    fn a_restart_at_any_point_changes_nothing(story in story()) {
        let folder = tempfile::tempdir()?;
        let settings = StoreSettings::Sqlite(folder.path().join("store.db"));
        let open = || Store::open(&settings).map_err(|error| TestCaseError::fail(error.to_string()));
        let mut store = Some(open()?.0);
        let mut committed = State::default();
        let mut steady = Watched::new(Engine::new(PLANS[0].clone(), at(0)));
        let mut restarted = Engine::new(PLANS[0].clone(), at(0));
        let mut plan = PLANS[0].clone();
        let mut queued = BTreeSet::new();
        let mut seconds = 0;
        for (pause, turn) in &story {
            seconds += pause;
            let mut lost_reports = Vec::new();
            let notices = if let Turn::Restart = turn {
                drop(store.take());
                let (again, changes) = open()?;
                store = Some(again);
                let mut state = State::default();
                for change in changes {
                    state.apply(change);
                }
                prop_assert_eq!(&state, &committed, "what was committed is what is read");
                let waiting: BTreeSet<NoticeId> = restarted.outbox().map(|(id, _)| id.clone()).collect();
                let (mut twin, resumed) = Engine::restore(plan.clone(), state.clone(), at(seconds));
                let left = drain(&mut twin, resumed, seconds);
                let once: BTreeSet<NoticeId> = left.iter().cloned().collect();
                prop_assert_eq!(left.len(), once.len(), "nothing is sent twice");
                prop_assert!(waiting.is_subset(&once), "what had not left is sent again");
                let (engine, _) = Engine::restore(plan.clone(), state, at(seconds));
                restarted = engine;
                lost_reports = restarted.take_reports();
                // What was in flight is answered for, so that the same is in flight on both sides from here on.
                let mut told = (steady.on(Event::Wake, seconds)?, fresh(&restarted, &mut queued));
                while let Some(notice) = heads(&restarted).first().cloned() {
                    let accepted = Event::Attempted { notice, attempt: Attempt::ACCEPTED };
                    told.0.extend(steady.on(accepted.clone(), seconds)?);
                    let _ = restarted.on(accepted, at(seconds));
                    told.1.extend(fresh(&restarted, &mut queued));
                }
                told
            } else {
                let Some(event) = steady.event(turn, seconds) else { continue };
                if let Turn::Reload(which) = turn {
                    plan = PLANS[*which].clone();
                }
                // What may have left before a restart counts as heard there, and is refused as something else.
                let event = match event {
                    Event::Attempted { notice, attempt: Attempt::Refused { .. } }
                        if restarted.outbox().any(|(id, it)| *id == notice && it.possibly_sent) =>
                    {
                        Event::Attempted { notice, attempt: Attempt::ACCEPTED }
                    }
                    other => other,
                };
                let told = steady.on(event.clone(), seconds)?;
                let _ = restarted.on(event, at(seconds));
                (told, fresh(&restarted, &mut queued))
            };
            prop_assert_eq!(told(&notices.0), told(&notices.1), "at {} of {:?}", seconds, turn);
            let reports = moves(&steady.engine.take_reports());
            lost_reports.extend(restarted.take_reports());
            prop_assert_eq!(reports, moves(&lost_reports), "at {} of {:?}", seconds, turn);
            steady.engine.take_changes();
            let changes = restarted.take_changes();
            if let Some(store) = &mut store {
                store.commit(&changes).map_err(|error| TestCaseError::fail(error.to_string()))?;
            }
            for change in changes {
                committed.apply(change);
            }
        }
    }
}

/// What is told to whom; a value in the words may be as old as the last commit.
fn told(notices: &[Notice]) -> Vec<(NoticeId, ChannelName, NoticeEvent, u32)> {
    notices
        .iter()
        .map(|notice| (notice.id.clone(), notice.channel.clone(), notice.event.clone(), notice.facts.pages))
        .collect()
}

/// The alerts that moved, and how.
fn moves(reports: &[Report]) -> Vec<String> {
    let moved = reports.iter().filter_map(|report| match report {
        Report::Alert { rule, series, change, reason, .. } => {
            Some(format!("{rule} {series} {change:?} {reason}"))
        }
        Report::External { .. }
        | Report::Incident { .. }
        | Report::Scaling { .. }
        | Report::Held { .. }
        | Report::Sight { .. }
        | Report::Diagnosed { .. }
        | Report::Suppressed { .. }
        | Report::Silence { .. }
        | Report::Paused { .. }
        | Report::Trouble { .. } => None,
    });
    moved.collect()
}
