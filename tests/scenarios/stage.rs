//! The stage: an engine with a store, channels and a cluster around it, as the daemon puts them. Owns carrying out a
//! scenario's commands and saying in lines what came of each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use runbookd::config::settings::StoreSettings;
use runbookd::config::{Sources, parse};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::Timestamp;
use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::diagnosis::{Attachment, Failed, Finding, Keep, StepFailure};
use runbookd::domain::external_alert::PostedAlert;
use runbookd::domain::headline::headline;
use runbookd::domain::incident::Happening;
use runbookd::domain::labels::Labels;
use runbookd::domain::matcher::Matchers;
use runbookd::domain::name::{ChannelName, IncidentId, NoticeId, QueryId, TargetId};
use runbookd::domain::notice::Notice;
use runbookd::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use runbookd::domain::quantity::{self, Unit};
use runbookd::domain::scaling::{Direction, PauseOrder};
use runbookd::domain::silence::{Silence, SilenceRequest};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::engine::report::Report;
use runbookd::engine::state::State;
use runbookd::store::Store;

use super::cluster::Cluster;
use super::picture::Picture;
use super::script::Command;

const START: &str = "2026-11-23T03:00:00Z";

/// How a channel answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    Refuses,
    Fails,
    /// Asks for so much time with each refusal, as `Retry-After` does.
    AsksFor(Duration),
    Silent,
}

/// Everything a scenario is played with.
pub(crate) struct Stage {
    rules: String,
    config: String,
    plan: Arc<Plan>,
    engine: Engine,
    folder: tempfile::TempDir,
    store: Option<Store>,
    channels: BTreeMap<ChannelName, Mood>,
    cluster: Cluster,
    picture: Picture,
    waiting: BTreeMap<String, usize>,
    /// The notices of the outbox that were told already.
    queued: BTreeSet<NoticeId>,
    /// Those in flight whose channel has not answered.
    flying: Vec<Notice>,
    now: Timestamp,
}

impl Stage {
    pub(crate) fn new(rules: &str, config: &str) -> Result<Self, String> {
        let plan = plan(config, rules)?;
        let now: Timestamp = START.parse().map_err(|error| format!("{error}"))?;
        Ok(Self {
            rules: rules.to_owned(),
            config: config.to_owned(),
            engine: Engine::new(plan.clone(), now),
            plan,
            folder: tempfile::tempdir().map_err(|error| error.to_string())?,
            store: None,
            channels: BTreeMap::new(),
            cluster: Cluster::default(),
            picture: Picture::default(),
            waiting: BTreeMap::new(),
            queued: BTreeSet::new(),
            flying: Vec::new(),
            now,
        })
    }

    /// Lets time pass until `at` after the start.
    pub(crate) fn go_to(&mut self, at: Duration) {
        let start: Timestamp = START.parse().unwrap_or(self.now);
        self.now = start.checked_add(at).unwrap_or(Timestamp::MAX);
    }

    /// Carries out a command and what follows from it; then the timers that are due act.
    pub(crate) fn perform(&mut self, command: &Command) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let events = match command {
            Command::TimePasses => Vec::new(),
            Command::Restart => {
                self.restart(&mut lines)?;
                Vec::new()
            }
            Command::Acknowledge { incident, by, lasts } => {
                let until = lasts.and_then(|lasts| self.now.checked_add(lasts).ok());
                let (incident, by) = (incident.as_str().into(), by.as_str().into());
                vec![Event::Acknowledge { incident, by, until, origin: None }]
            }
            Command::Unacknowledge { incident, by } => {
                vec![Event::Unacknowledge { incident: incident.as_str().into(), by: by.as_str().into() }]
            }
            Command::Resolve { incident, by } => {
                vec![Event::Resolve { incident: incident.as_str().into(), by: by.as_str().into() }]
            }
            Command::Diagnosed { incident, step, outcome } => vec![self.diagnosed(incident, step, outcome)?],
            Command::Silence { number, matchers, length, by } => {
                let asked = SilenceRequest {
                    matchers: matchers.parse().map_err(|error| format!("{error}"))?,
                    starts_at: self.now,
                    ends_at: self.now.checked_add(*length).map_err(|error| error.to_string())?,
                    author: by.as_str().into(),
                    comment: "as the scenario says".into(),
                };
                let silence = Silence::new(asked, Some(number.as_str().into()), self.now);
                vec![Event::Silence(Box::new(silence.map_err(|fault| fault.to_string())?))]
            }
            Command::Posted { labels, lasts } => {
                let labels: Matchers = labels.parse().map_err(|error| format!("{error}"))?;
                let ends_at = match lasts {
                    None => None,
                    // Over is over at this instant.
                    Some(lasts) => Some(self.now.checked_add(*lasts).map_err(|error| error.to_string())?),
                };
                vec![Event::Posted(vec![PostedAlert {
                    labels: Labels::new(labels.iter().map(|one| (one.name(), one.value()))),
                    annotations: BTreeMap::new(),
                    starts_at: ends_at.map(|_| self.now),
                    ends_at,
                    generator_url: None,
                }])]
            }
            Command::EndSilence { number, by } => {
                vec![Event::ExpireSilence { id: number.as_str().into(), by: by.as_str().into() }]
            }
            Command::ReloadRules(text) => {
                self.rules.clone_from(text);
                vec![self.reload()?]
            }
            Command::ReloadConfig(text) => {
                self.config.clone_from(text);
                vec![self.reload()?]
            }
            Command::Channel { name, mood } => self.set_channel(name, mood)?,
            Command::Workload { name, properties } => {
                let target = self.target(name)?;
                self.cluster.set(target, properties)?;
                Vec::new()
            }
            Command::Pause { name, lasts, by, why } => {
                let until = lasts.and_then(|lasts| self.now.checked_add(lasts).ok());
                let (by, reason) = (by.as_str().into(), why.as_str().into());
                let order = PauseOrder { by, reason, since: self.now, until };
                vec![Event::PauseScaling { target: self.target(name)?, order }]
            }
            Command::Resume { name, by } => {
                vec![Event::ResumeScaling { target: self.target(name)?, by: by.as_str().into() }]
            }
            Command::Resizes { name, how } => {
                self.cluster.set_resizes(name, how)?;
                Vec::new()
            }
            Command::PodsReady(name) => {
                self.cluster.make_ready(name)?;
                Vec::new()
            }
            Command::Writes(how) => {
                self.cluster.set_writes(how)?;
                Vec::new()
            }
            Command::Looks(how) => {
                self.cluster.set_looks(how.as_deref())?;
                Vec::new()
            }
            Command::Fails { metric, failure } => {
                let failure = query_failure(failure)?;
                self.rounds(metric.as_deref(), |_| Ok(Answer::Failed(failure)))?
            }
            Command::Answers { metric, series } => self.rounds(Some(metric), |unit| {
                let samples = series.iter().map(|(labels, value)| {
                    Ok(Sample { labels: Labels::new(labels.clone()), seen: seen(value, unit)? })
                });
                Ok(Answer::Series(samples.collect::<Result<_, String>>()?))
            })?,
        };
        for event in events {
            self.happens(event, &mut lines)?;
        }
        self.happens(Event::Tick, &mut lines)?;
        let waiting = self.waiting();
        for channel in self.waiting.keys().chain(waiting.keys()).collect::<BTreeSet<_>>() {
            let (was, is) = (self.waiting.get(channel), waiting.get(channel));
            if was != is {
                lines.push(format!("waiting for {channel}: {}", is.unwrap_or(&0)));
            }
        }
        self.waiting = waiting;
        Ok(lines)
    }

    /// How many notices of the outbox wait for each channel.
    fn waiting(&self) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for (_, notice) in self.engine.outbox() {
            *counted.entry(notice.channel.to_string()).or_insert(0) += 1;
        }
        counted
    }

    /// One event, and the answers to the effects it has.
    fn happens(&mut self, event: Event, lines: &mut Vec<String>) -> Result<(), String> {
        let mut waiting = VecDeque::from([event]);
        while let Some(event) = waiting.pop_front() {
            let effects = self.engine.on(event, self.now);
            self.commit()?;
            self.tell(&effects, "", lines);
            self.answer(effects, &mut waiting);
        }
        Ok(())
    }

    /// The daemon goes down and comes up again from what it committed.
    fn restart(&mut self, lines: &mut Vec<String>) -> Result<(), String> {
        self.store = None;
        let (store, committed) = Store::open(&self.settings()).map_err(|error| error.to_string())?;
        self.store = Some(store);
        let mut state = State::default();
        for change in committed {
            state.apply(change);
        }
        let (engine, effects) = Engine::restore(self.plan.clone(), state, self.now);
        self.engine = engine;
        self.queued.clear();
        self.flying.clear();
        self.commit()?;
        self.tell(&effects, "again ", lines);
        let mut waiting = VecDeque::new();
        self.answer(effects, &mut waiting);
        while let Some(event) = waiting.pop_front() {
            self.happens(event, lines)?;
        }
        Ok(())
    }

    fn settings(&self) -> StoreSettings {
        StoreSettings::Sqlite(self.folder.path().join("store.db"))
    }

    fn commit(&mut self) -> Result<(), String> {
        let changes = self.engine.take_changes();
        if self.store.is_none() {
            self.store = Some(Store::open(&self.settings()).map_err(|error| error.to_string())?.0);
        }
        match &mut self.store {
            Some(store) => store.commit(&changes).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// What came of an event, in lines.
    fn tell(&mut self, effects: &[Effect], again: &str, lines: &mut Vec<String>) {
        let reports = self.engine.take_reports();
        let picture = Picture::of(&self.engine);
        lines.extend(picture.alerts_since(&self.picture, &reports));
        for report in &reports {
            match report {
                Report::Sight { blind } => {
                    lines.push(if *blind { "blind" } else { "sees again" }.into());
                }
                Report::Held { target, axis, direction, reason } => {
                    let back = if *direction == Direction::In { " back" } else { "" };
                    lines.push(format!("{target} {axis}{back} held: {reason}"));
                }
                Report::Scaling { target, axis, state, reason, change, evidence, .. } => {
                    let state = state.as_str();
                    lines.push(format!("{target} {axis} {state} ({reason}): {change}, {evidence}"));
                }
                Report::Paused { target, by, paused } => {
                    let word = if *paused { "paused" } else { "resumed" };
                    lines.push(format!("{target} {word} by {by}"));
                }
                Report::Alert { .. }
                | Report::Incident { .. }
                | Report::Trouble { .. }
                | Report::Diagnosed { .. } => {}
                Report::External { labels, began, reason } => {
                    let word = if *began { "fires" } else { "is over" };
                    lines.push(format!("{labels} {word}: {reason}"));
                }
                Report::Suppressed { id, why: Some(why) } => {
                    lines.push(format!("{id} {why}"));
                }
                Report::Suppressed { id, why: None } => lines.push(format!("{id} no longer held back")),
                Report::Silence { id, moved, by, .. } => {
                    lines.push(format!("silence {id} {} by {by}", moved.as_str()));
                }
            }
        }
        // Each move of an action is written on its workload, under a name of its own.
        let moves = reports.iter().filter(|report| matches!(report, Report::Scaling { .. })).count();
        let said = effects.iter().filter_map(|effect| match effect {
            Effect::Announce(line) => Some(&line.name),
            _ => None,
        });
        assert_eq!(said.collect::<BTreeSet<_>>().len(), moves, "{reports:?}");
        lines.extend(picture.rests_since(&self.picture));
        lines.extend(picture.incidents_since(&self.picture));
        self.picture = picture;
        for report in &reports {
            if let Report::Incident { event, headline, channels: 0, .. } = report {
                lines.push(format!("tells nobody: {event} \"{headline}\""));
            }
        }
        lines.extend(told(&self.news()).into_iter().map(|line| format!("{again}{line}")));
        lines.extend(asked(&self.engine, effects).into_iter().map(|line| format!("{again}{line}")));
        for effect in effects {
            if let Effect::Write(action) = effect {
                let if_still = &action.resource_version;
                lines.push(format!(
                    "{again}write {} {}, if still version {if_still}",
                    action.target, action.to
                ));
            }
        }
    }

    /// The notices that came into the outbox since this was last asked, in the order they were queued.
    fn news(&mut self) -> Vec<Notice> {
        let outbox: Vec<&Notice> = self.engine.outbox().map(|(_, notice)| notice).collect();
        let fresh = outbox.iter().filter(|notice| !self.queued.contains(&notice.id));
        let mut fresh: Vec<Notice> = fresh.map(|notice| (*notice).clone()).collect();
        let place = |notice: &Notice| {
            let incident = self.engine.incident(&notice.facts.incident_id);
            let timeline = incident.map_or(&[][..], |incident| &incident.timeline);
            let line = timeline.iter().position(|entry| {
                matches!(&entry.what, Happening::Queued { channel, revision, .. }
                    if *channel == notice.channel && *revision == notice.revision)
            });
            (notice.created_at, notice.facts.incident_id.clone(), line)
        };
        fresh.sort_by_key(place);
        self.queued = outbox.into_iter().map(|notice| notice.id.clone()).collect();
        fresh
    }

    fn answer(&mut self, effects: Vec<Effect>, waiting: &mut VecDeque<Event>) {
        for effect in effects {
            match effect {
                Effect::Deliver(notice) => match self.attempt(&notice) {
                    Some(event) => waiting.push_back(event),
                    None => self.flying.push(*notice),
                },
                // The script says when a step ends. What is written on a workload is in the report of the same move.
                Effect::Diagnose(_) | Effect::Announce(_) => {}
                Effect::Look(target) => {
                    let seen = self.cluster.look(&target);
                    waiting.push_back(Event::TargetSeen { target, seen });
                }
                Effect::Write(action) => {
                    if let Some(outcome) = self.cluster.write(&action) {
                        waiting.push_back(Event::Written { action: action.id, outcome });
                    }
                }
            }
        }
    }

    fn attempt(&self, notice: &Notice) -> Option<Event> {
        let attempt = match self.channels.get(&notice.channel).unwrap_or(&Mood::Works) {
            Mood::Works => Attempt::ACCEPTED,
            Mood::Refuses => Attempt::Refused { reason: DeliveryReason::Rejected, detail: "no".into() },
            Mood::Fails => Attempt::Failed {
                reason: DeliveryReason::Unreachable,
                detail: "no route".into(),
                retry_after: None,
            },
            Mood::AsksFor(wait) => Attempt::Failed {
                reason: DeliveryReason::RateLimited,
                detail: "slow down".into(),
                retry_after: Some(*wait),
            },
            Mood::Silent => return None,
        };
        Some(Event::Attempted { notice: notice.id.clone(), attempt })
    }

    /// A channel's mood; one that works again is given what waits for it, oldest first.
    fn set_channel(&mut self, name: &str, mood: &str) -> Result<Vec<Event>, String> {
        let mood = match mood {
            "works" => Mood::Works,
            "refuses" => Mood::Refuses,
            "fails" => Mood::Fails,
            "is silent" => Mood::Silent,
            other => match other.strip_prefix("asks for ").map(|wait| quantity::parse(wait, Unit::Seconds)) {
                Some(Ok(wait)) => Mood::AsksFor(Duration::from_secs_f64(wait)),
                _ => {
                    return Err(format!(
                        "a channel works, refuses, fails, asks for 5m or is silent, not `{other}`"
                    ));
                }
            },
        };
        let name = ChannelName::from(name);
        self.channels.insert(name.clone(), mood);
        let answered = self.flying.extract_if(.., |notice| notice.channel == name);
        let answered: Vec<Notice> = answered.collect();
        Ok(answered.iter().filter_map(|notice| self.attempt(notice)).collect())
    }

    fn reload(&mut self) -> Result<Event, String> {
        self.plan = plan(&self.config, &self.rules)?;
        Ok(Event::Reloaded(self.plan.clone()))
    }

    /// A step that was asked for ends.
    fn diagnosed(&self, id: &str, text: &str, outcome: &Result<String, String>) -> Result<Event, String> {
        let id = IncidentId::from(id);
        let incident = self.engine.incident(&id).ok_or_else(|| format!("there is no incident {id}"))?;
        let at = incident.diagnosis.iter().position(|step| *step.step == *text);
        let at = at.ok_or_else(|| format!("{id} has no step `{text}`"))?;
        let outcome = match outcome {
            Ok(found) => Ok(Attachment::new(found, found, Keep::Beginning)),
            Err(why) => Err(Failed::new(step_failure(why)?, "")),
        };
        let finding = Finding { at: self.now, took: Duration::from_millis(20), outcome };
        let asked_at = incident.diagnosis[at].asked_at;
        Ok(Event::Diagnosed { incident: id, step: at, asked_at, finding: Box::new(finding) })
    }

    fn target(&self, name: &str) -> Result<TargetId, String> {
        let targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        let found = targets.map(|target| &target.id).find(|id| id.to_string() == name);
        found.cloned().ok_or_else(|| format!("there is no target {name}"))
    }

    /// One round of every query behind a metric, or of all.
    fn rounds(
        &self,
        metric: Option<&str>,
        answer: impl Fn(Unit) -> Result<Answer, String>,
    ) -> Result<Vec<Event>, String> {
        let rules = &self.plan.rules;
        let mut queries: BTreeMap<QueryId, Unit> = BTreeMap::new();
        let is = |name: &str| metric.is_none_or(|metric| metric == name);
        for rule in rules.rules.values().filter(|rule| is(&rule.name)) {
            queries.insert(rule.query.clone(), rule.unit);
        }
        if let Some(policy) = &rules.policy {
            for trigger in policy.triggers.iter().filter(|trigger| is(&trigger.metric)) {
                queries.insert(trigger.query.clone(), trigger.unit);
            }
            for target in policy.targets.iter().filter(|target| is(&format!("health/{}", target.service))) {
                queries.extend(target.health.clone().map(|query| (query, Unit::Count)));
            }
        }
        if is("tenants") {
            let models = rules.resource_requirements.iter().flat_map(|it| &it.models);
            queries.extend(models.filter_map(|model| Some((model.tenants.clone()?, Unit::Count))));
        }
        if queries.is_empty() {
            return Err(format!("nothing reads `{}`", metric.unwrap_or("anything")));
        }
        let event = |(query, unit)| Ok(Event::Observed(Round { query, at: self.now, answer: answer(unit)? }));
        queries.into_iter().map(event).collect()
    }
}

/// The plan of a configuration, made as the daemon makes it.
fn plan(config: &str, rules: &str) -> Result<Arc<Plan>, String> {
    // Minutes of silence between two steps mean nothing, unless the scenario is about them.
    let sees = if config.contains("evaluation:") { "" } else { "evaluation: {blind_after: 100 days}" };
    let config = [("config.yaml", config), ("sight.yaml", sees)];
    let sources = Sources::from_texts(&config, &[("rules.yaml", rules)]);
    let loaded = parse(&sources).map_err(|diagnostics| diagnostics.to_string())?;
    let settings = loaded.settings;
    Ok(Arc::new(plan_of(&settings, loaded.rules)))
}

/// Notices: one line for all channels that are told the same.
fn told(notices: &[Notice]) -> Vec<String> {
    let mut groups: Vec<(String, String, Vec<&str>)> = Vec::new();
    for notice in notices {
        let verb = if notice.is_page() { "pages" } else { "tells" };
        let headline = match &notice.digest {
            Some(digest) => digest.headline(),
            None => headline(&notice.event, &notice.facts),
        };
        let what = format!("{} \"{headline}\"", notice.event);
        match groups.iter_mut().find(|group| group.1 == what) {
            Some(group) => group.2.push(notice.channel.as_str()),
            None => groups.push((verb.into(), what, vec![notice.channel.as_str()])),
        }
    }
    groups
        .into_iter()
        .map(|(verb, what, channels)| format!("{verb} {}: {what}", channels.join(", ")))
        .collect()
}

/// The steps among effects, a line each.
fn asked(engine: &Engine, effects: &[Effect]) -> Vec<String> {
    let mut lines = Vec::new();
    for effect in effects {
        let Effect::Diagnose(run) = effect else { continue };
        for (at, ask) in &run.steps {
            let steps = engine.incident(&run.incident).map(|incident| &incident.diagnosis);
            let step = steps.and_then(|steps| steps.get(*at));
            let (words, kind) = step.map_or(("", ""), |step| (&*step.step, step.kind.as_str()));
            lines.push(format!("diagnose {} \"{words}\" {kind} {}", run.incident, ask.words()));
        }
    }
    lines
}

fn step_failure(word: &str) -> Result<StepFailure, String> {
    use StepFailure as F;
    [F::TimedOut, F::Unreachable, F::NotFound, F::Forbidden, F::RefusedHost, F::NotAvailable]
        .into_iter()
        .find(|failure| failure.as_str() == word)
        .ok_or_else(|| format!("`{word}` is no failure of a step that a story needs"))
}

fn seen(value: &str, unit: Unit) -> Result<Observation, String> {
    Ok(match value {
        "NaN" => Observation::NotANumber,
        "stale" => Observation::Stale,
        "+Inf" => Observation::Value(f64::INFINITY),
        "-Inf" => Observation::Value(f64::NEG_INFINITY),
        other => Observation::Value(quantity::parse(other, unit).map_err(|why| why.to_string())?),
    })
}

fn query_failure(word: &str) -> Result<QueryFailure, String> {
    use QueryFailure as F;
    [F::Unreachable, F::TimedOut, F::TooLarge, F::Rejected, F::Unavailable, F::Malformed, F::Partial]
        .into_iter()
        .find(|failure| failure.as_str() == word)
        .ok_or_else(|| format!("`{word}` is no failure of a query"))
}
