//! The tally: what came of a replay, by rule, by day and by target. Owns the counting; decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::alert::AlertChange;
use crate::domain::labels::Labels;
use crate::domain::name::{IncidentId, QueryId, RuleId};
use crate::domain::observation::{Answer, Observation};
use crate::domain::quantity::Unit;
use crate::domain::rule::{Condition, Direction, Rule, RuleSet};
use crate::domain::severity::Severity;
use crate::rehearsal::{Entry, Happened, Step};

/// The points of a rule's curve.
const POINTS: usize = 240;

/// The longest list of pages that is kept.
const MOST_PAGES: usize = 10_000;

/// The worst value of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Worst {
    /// How much, in the base of the rule's unit.
    pub value: f64,
    /// Of which series.
    pub series: Labels,
    /// When.
    pub at: Timestamp,
}

/// What came of one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleTally {
    /// The rule.
    pub rule: Arc<Rule>,
    /// How often an alert of it began to fire.
    pub fired: u64,
    /// How often somebody was woken for it.
    pub pages: u64,
    /// The pages among those that were critical.
    pub criticals: u64,
    /// How often the next one in the list was woken, because nobody acknowledges in a replay.
    pub escalations: u64,
    /// The pages by day, from the first.
    pub by_day: Vec<u64>,
    /// The worst value.
    pub worst: Option<Worst>,
    /// The worst value of each of some equal stretches; NaN where there was none.
    pub curve: Vec<f64>,
}

/// One page: an event of an incident, to however many channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Paged {
    /// When.
    pub at: Timestamp,
    /// Of which incident.
    pub incident: IncidentId,
    /// `opened`, `worsened`, `reopened` or `escalated`.
    pub event: &'static str,
    /// How severe.
    pub severity: Severity,
    /// The rule that stands for it.
    pub rule: Option<RuleId>,
    /// The headline.
    pub headline: String,
    /// The channels.
    pub channels: Vec<String>,
}

/// What came of a whole replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// The first instant.
    pub from: Timestamp,
    /// The last instant.
    pub to: Timestamp,
    /// By rule, those without an event too.
    pub rules: BTreeMap<RuleId, RuleTally>,
    /// The pages in the order of time, the first so many.
    pub pages: Vec<Paged>,
    /// The pages that were not kept.
    pub pages_left_off: u64,
    /// The notices that wake nobody.
    pub notices: u64,
    /// The incidents.
    pub incidents: BTreeSet<IncidentId>,
    /// The steps that would have been taken.
    pub steps: Vec<(Timestamp, Step)>,
    /// How often a wanted step came to be held, by reason.
    pub held: BTreeMap<String, u64>,
    /// How many alerts moved, whatever way.
    pub moves: u64,
    readers: BTreeMap<QueryId, Vec<RuleId>>,
}

impl Tally {
    pub(super) fn new(rules: &RuleSet, from: Timestamp, to: Timestamp) -> Self {
        let mut readers: BTreeMap<QueryId, Vec<RuleId>> = BTreeMap::new();
        for rule in rules.rules.values() {
            readers.entry(rule.query.clone()).or_default().push(rule.id.clone());
        }
        let days = usize::try_from(day(to, from)).unwrap_or(0) + 1;
        let tally = |rule: &Arc<Rule>| RuleTally {
            rule: rule.clone(),
            fired: 0,
            pages: 0,
            criticals: 0,
            escalations: 0,
            by_day: vec![0; days],
            worst: None,
            curve: vec![f64::NAN; POINTS],
        };
        Self {
            from,
            to,
            rules: rules.rules.values().map(|rule| (rule.id.clone(), tally(rule))).collect(),
            pages: Vec::new(),
            pages_left_off: 0,
            notices: 0,
            incidents: BTreeSet::new(),
            steps: Vec::new(),
            held: BTreeMap::new(),
            moves: 0,
            readers,
        }
    }

    /// Takes a round for the curves and the worst values.
    pub(super) fn saw(&mut self, query: &QueryId, at: Timestamp, answer: &Answer) {
        let Answer::Series(samples) = answer else { return };
        let whole = (self.to.as_second() - self.from.as_second()).max(1);
        let points = i64::try_from(POINTS).unwrap_or(1);
        let slot = (at.as_second() - self.from.as_second()) * points / whole;
        let slot = usize::try_from(slot).unwrap_or(0).min(POINTS - 1);
        for id in self.readers.get(query).into_iter().flatten() {
            let Some(tally) = self.rules.get_mut(id) else { continue };
            let below = matches!(&tally.rule.condition,
                Condition::Threshold(own) if own.direction == Direction::Below);
            let is_worse = |value: f64, than: f64| if below { value < than } else { value > than };
            for sample in samples {
                let Observation::Value(value) = sample.seen else { continue };
                if tally.curve[slot].is_nan() || is_worse(value, tally.curve[slot]) {
                    tally.curve[slot] = value;
                }
                if tally.worst.as_ref().is_none_or(|worst| is_worse(value, worst.value)) {
                    tally.worst = Some(Worst { value, series: sample.labels.clone(), at });
                }
            }
        }
    }

    /// Counts one line of the journal.
    pub(super) fn count(&mut self, entry: Entry) {
        let at = entry.at;
        match entry.what {
            Happened::Alert { rule, change, .. } => {
                self.moves += 1;
                if let (AlertChange::Fired(_), Some(tally)) = (change, self.rules.get_mut(&rule)) {
                    tally.fired += 1;
                }
            }
            Happened::Notice { channel, event, page, severity, incident, rule, headline } => {
                self.incidents.insert(incident.clone());
                if !page {
                    self.notices += 1;
                    return;
                }
                // One event told on several channels is one page.
                let same = |it: &&mut Paged| it.at == at && it.incident == incident && it.event == event;
                if let Some(known) = self.pages.last_mut().filter(same) {
                    known.channels.push(channel.to_string());
                    return;
                }
                if let Some(tally) = rule.as_ref().and_then(|rule| self.rules.get_mut(rule)) {
                    if event == "escalated" {
                        tally.escalations += 1;
                    } else {
                        tally.pages += 1;
                        tally.criticals += u64::from(severity == Severity::Critical);
                        let day = usize::try_from(day(at, self.from)).unwrap_or(0);
                        if let Some(count) = tally.by_day.get_mut(day) {
                            *count += 1;
                        }
                    }
                }
                if self.pages.len() < MOST_PAGES {
                    let channels = vec![channel.to_string()];
                    self.pages.push(Paged { at, incident, event, severity, rule, headline, channels });
                } else {
                    self.pages_left_off += 1;
                }
            }
            Happened::Scaled(step) => self.steps.push((at, step)),
            Happened::Held { reason, .. } => *self.held.entry(reason.as_str().to_owned()).or_insert(0) += 1,
        }
    }

    /// The pages that are no escalation.
    pub fn page_count(&self) -> u64 {
        self.rules.values().map(|tally| tally.pages).sum()
    }

    /// The escalations.
    pub fn escalation_count(&self) -> u64 {
        self.rules.values().map(|tally| tally.escalations).sum()
    }
}

impl RuleTally {
    /// The unit of its values.
    pub fn unit(&self) -> Unit {
        self.rule.unit
    }
}

/// The day of an instant, counted from that of another; days are UTC's.
fn day(at: Timestamp, from: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400) - from.as_second().div_euclid(86_400)
}
