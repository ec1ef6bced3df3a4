//! Diagnosis in the engine: which steps are run when an incident opens, what their answers do to it, and the links
//! beside it. Owns the runs; a step is asked only after the page is queued, and nothing waits for its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::{AlertKey, has_passed};
use crate::domain::diagnosis::{
    Ask, Attachment, Diagnose, DiagnosisStep, Failed, Finding, Keep, Link, MOST_STEPS, Pods, StepKind,
};
use crate::domain::headline::shortened;
use crate::domain::incident::{Happening, Incident, IncidentState};
use crate::domain::labels::Labels;
use crate::domain::name::IncidentId;
use crate::domain::notice::NoticeEvent;
use crate::domain::placeholder::{self, FillError};
use crate::domain::quantity::Unit;
use crate::domain::response::{PlanStep, StepRun};
use crate::domain::scaling::Target;

use super::Engine;
use super::effect::Effect;
use super::evidence::speaks_of;
use super::incidents::DAEMON;
use super::report::Report;

/// A finding younger than this is not looked for again when its incident comes back.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// The most lines of a diagnosis that a notice carries.
const MOST_LINES: usize = 8;

/// The longest summary of one step in a headline, in characters.
const LONGEST_SUMMARY: usize = 32;

/// What the diagnosis found so far, a line a step.
pub(super) fn found(incident: &Incident) -> Vec<Arc<str>> {
    incident.diagnosis.iter().filter_map(DiagnosisStep::line).take(MOST_LINES).map(Arc::from).collect()
}

impl Engine {
    /// Decides which steps of the alert's response are run for its incident: those that were not yet, and those whose
    /// finding is old.
    pub(super) fn plan_diagnosis(&mut self, id: &IncidentId, key: &AlertKey, now: Timestamp) {
        let plan = self.plan.clone();
        let response = plan.rules.rules.get(&key.rule).and_then(|rule| rule.response.as_ref());
        let Some(response) = response.and_then(|name| plan.rules.responses.get(name)) else { return };
        let Some(incident) = self.state.incidents.get(id) else { return };
        let Some(member) = incident.alerts.get(key) else { return };
        let labels = member.labels.with(incident.subject.iter());
        let links = response.actions.iter().filter(|step| matches!(step.run, Some(StepRun::Link(_))));
        for step in response.diagnosis.iter().chain(links) {
            let Some(decided) = self.decide(step, &labels, now) else { continue };
            self.begin(id, decided, now);
        }
    }

    /// A step of the plan with its labels filled in; nothing where the daemon cannot run it.
    fn decide(&self, step: &PlanStep, labels: &Labels, now: Timestamp) -> Option<DiagnosisStep> {
        let (kind, ask) = match step.run.as_ref()? {
            StepRun::Query(expr) => {
                let unit = self.unit_of(expr);
                let filled = placeholder::in_query(expr, labels);
                (StepKind::Query, filled.map(|expr| Ask::Query { expr: expr.into(), unit }))
            }
            StepRun::Logs(selector) => (StepKind::Logs, self.pods(selector, labels).map(Ask::Logs)),
            StepRun::Events(name) => (StepKind::Events, self.object(name, labels)),
            StepRun::Http(url) => {
                (StepKind::Http, placeholder::in_url(url, labels).map(|url| Ask::Http(url.into())))
            }
            StepRun::Link(url) => {
                (StepKind::Link, placeholder::in_url(url, labels).map(|url| Ask::Link(url.into())))
            }
            StepRun::Scale(_) => return None,
        };
        let at_once = |outcome| Some(Finding { at: now, took: Duration::ZERO, outcome });
        let (ask, finding) = match ask {
            Ok(Ask::Link(url)) => {
                let attached = Attachment::new(&url, &url, Keep::Beginning);
                (Some(Ask::Link(url)), at_once(Ok(attached)))
            }
            Ok(ask) => (Some(ask), None),
            Err(error) => (None, at_once(Err(Failed::from(error)))),
        };
        Some(DiagnosisStep { step: step.text.clone(), kind, ask, asked_at: now, finding })
    }

    /// Takes a decided step into the incident, unless it was run already and what it found is fresh.
    fn begin(&mut self, id: &IncidentId, decided: DiagnosisStep, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let same = |known: &DiagnosisStep| known.step == decided.step && known.kind == decided.kind;
        let known = incident.diagnosis.iter().position(same);
        let is_fresh = |known: &DiagnosisStep| {
            known.finding.as_ref().is_none_or(|finding| !has_passed(finding.at, FRESH, now))
        };
        let at = match known {
            Some(at) if is_fresh(&incident.diagnosis[at]) => return,
            None if incident.diagnosis.len() >= MOST_STEPS => return,
            Some(at) => at,
            None => incident.diagnosis.len(),
        };
        if decided.finding.is_none() {
            self.diagnoses.insert((id.clone(), at));
        }
        let ended = decided.finding.clone();
        if at < incident.diagnosis.len() {
            incident.diagnosis[at] = decided;
        } else {
            incident.diagnosis.push(decided);
        }
        self.dirty.incidents.insert(id.clone());
        if let Some(finding) = ended {
            self.ended(id, at, finding, now);
        }
    }

    /// A step ended.
    pub(super) fn diagnosed(
        &mut self,
        id: &IncidentId,
        step: usize,
        asked_at: Timestamp,
        finding: Finding,
        now: Timestamp,
    ) {
        let incident = self.state.incidents.get_mut(id);
        let Some(known) = incident.and_then(|incident| incident.diagnosis.get_mut(step)) else { return };
        // An answer may come twice, or after the step was asked anew.
        if known.asked_at != asked_at || known.finding.is_some() {
            return;
        }
        known.finding = Some(finding.clone());
        self.ended(id, step, finding, now);
        self.sum_up(id, asked_at);
    }

    /// Writes down how a step ended, and ticks it where it found something. A link is nothing to be told of, and it is
    /// people who follow it.
    fn ended(&mut self, id: &IncidentId, at: usize, finding: Finding, now: Timestamp) {
        let Some(incident) = self.state.incidents.get_mut(id) else { return };
        let Some(known) = incident.diagnosis.get(at) else { return };
        let (step, kind) = (known.step.clone(), known.kind);
        self.dirty.incidents.insert(id.clone());
        let failure = finding.outcome.as_ref().err().map(|failed| failed.why);
        self.reports.push(Report::Diagnosed { incident: id.clone(), step: step.clone(), kind, failure });
        let text: Arc<str> = match finding.outcome {
            Ok(_) if kind == StepKind::Link => return,
            Ok(found) => found.head,
            Err(failed) => failed.to_string().into(),
        };
        if failure.is_none() {
            for item in incident.checklist.iter_mut().filter(|item| item.text == step) {
                item.done.get_or_insert((DAEMON.into(), now));
            }
        }
        incident.note(now, DAEMON, Happening::Diagnosed { step, found: failure.is_none(), text });
    }

    /// One update a run, once its last step ended, if any found something.
    fn sum_up(&mut self, id: &IncidentId, asked_at: Timestamp) {
        let Some(incident) = self.state.incidents.get(id).filter(|incident| incident.state.is_active())
        else {
            return;
        };
        let run = incident.diagnosis.iter().filter(|it| it.asked_at == asked_at && it.kind != StepKind::Link);
        let run: Vec<&DiagnosisStep> = run.collect();
        if run.iter().any(|it| it.finding.is_none()) {
            return;
        }
        let found: Vec<&Attachment> = run.iter().filter_map(|it| it.found()).collect();
        let Some(first) = found.first() else { return };
        let head = shortened(&first.head, LONGEST_SUMMARY);
        let did = format!("diagnosis {}/{}: {head}", found.len(), run.len());
        self.news.add(id, NoticeEvent::StatusUpdate, Some(did.into()));
    }

    /// Asks for the steps decided in this event: after its notices, so that nobody is paged later for them.
    pub(super) fn ask_diagnoses(&mut self) {
        let mut runs: BTreeMap<(IncidentId, Timestamp), Vec<(usize, Ask)>> = BTreeMap::new();
        for (id, at) in std::mem::take(&mut self.diagnoses) {
            let known = self.state.incidents.get(&id).and_then(|incident| incident.diagnosis.get(at));
            let Some(step) = known.filter(|step| step.finding.is_none()) else { continue };
            if let Some(ask) = step.ask.clone() {
                runs.entry((id, step.asked_at)).or_default().push((at, ask));
            }
        }
        self.effects.extend(runs.into_iter().map(|((incident, asked_at), steps)| {
            Effect::Diagnose(Box::new(Diagnose { incident, asked_at, steps }))
        }));
    }

    /// Steps that ran when the daemon went down are run again.
    pub(super) fn resume_diagnoses(&mut self) {
        let remembered = self.state.incidents.values().filter(|it| it.state != IncidentState::Closed);
        self.diagnoses = remembered
            .flat_map(|incident| {
                let open = incident.diagnosis.iter().enumerate().filter(|(_, step)| step.finding.is_none());
                open.map(|(at, _)| (incident.id.clone(), at))
            })
            .collect();
    }

    /// The links beside an incident: those of its steps, then the tools whose labels it has.
    pub(crate) fn links_of(&self, incident: &Incident) -> Vec<Link> {
        let steps = incident.diagnosis.iter().filter_map(|step| match &step.ask {
            Some(Ask::Link(url)) => Some(Link { name: step.step.clone(), url: url.clone() }),
            _ => None,
        });
        let labels = incident
            .lead()
            .map_or_else(|| incident.subject.clone(), |(_, lead)| lead.labels.with(incident.subject.iter()));
        let tools = self.plan.tools.iter().filter_map(|tool| {
            let url = placeholder::in_url(&tool.url, &labels).ok()?;
            Some(Link { name: tool.name.clone(), url: url.into() })
        });
        steps.chain(tools).collect()
    }

    /// The unit of a query that is a metric's own.
    fn unit_of(&self, expr: &str) -> Option<Unit> {
        let rules = &self.plan.rules;
        let reads = |id| rules.queries.get(id).is_some_and(|query| *query.expr == *expr);
        rules.rules.values().find(|rule| reads(&rule.query)).map(|rule| rule.unit)
    }

    /// The pods that a selector names; without one the target's, else the one that the labels name.
    fn pods(&self, selector: &str, labels: &Labels) -> Result<Pods, FillError> {
        if !selector.is_empty() {
            let selector = placeholder::in_selector(selector, labels)?.into();
            return Ok(Pods::Selected { namespace: self.namespace(labels)?, selector });
        }
        if let Some(target) = self.target_of(labels) {
            return Ok(Pods::Of(target.id.clone()));
        }
        let name = placeholder::in_selector("$pod", labels)?.into();
        Ok(Pods::Named { namespace: self.namespace(labels)?, name })
    }

    /// The object whose events are asked for; without a name the target's workload, else the pod or service that the
    /// labels name.
    fn object(&self, name: &str, labels: &Labels) -> Result<Ask, FillError> {
        let namespace = self.namespace(labels)?;
        let target = self.target_of(labels).filter(|_| name.is_empty());
        let name = match target {
            Some(target) => target.id.name.clone(),
            None if name.is_empty() => {
                let named = if labels.get("pod").is_some() { "$pod" } else { "$service" };
                placeholder::in_selector(named, labels)?.into()
            }
            None => placeholder::in_selector(name, labels)?.into(),
        };
        Ok(Ask::Events { namespace, name })
    }

    /// Where the subject lives in the cluster: its own label, else its target's place.
    fn namespace(&self, labels: &Labels) -> Result<Arc<str>, FillError> {
        match self.target_of(labels).filter(|_| labels.get("namespace").is_none()) {
            Some(target) => Ok(target.id.namespace.clone()),
            None => Ok(placeholder::in_selector("$namespace", labels)?.into()),
        }
    }

    fn target_of(&self, labels: &Labels) -> Option<&Target> {
        let targets = self.plan.rules.policy.iter().flat_map(|policy| &policy.targets);
        targets.into_iter().find(|target| speaks_of(labels, target))
    }
}
