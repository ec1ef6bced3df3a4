//! Playing a case: rounds and ticks in the order of time, and the comparison with what was expected. Owns what counts
//! as a difference; the engine decides the rest.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::alert::AlertState;
use crate::domain::labels::Labels;
use crate::domain::name::RuleId;
use crate::domain::observation::{Answer, Observation, QueryFailure, Round, Sample};
use crate::rehearsal::{Entry, Happened, Player, Workloads};

use super::case::{Case, Difference, Expect, Feed, Series, WantedAlert, WantedNotice, WantedStep};
use super::notation::Slot;

/// Plays a case; what differs, in the order of time.
pub fn play(case: &Case) -> Vec<Difference> {
    let mut playing = Playing {
        case,
        player: Player::new(case.plan.clone(), Workloads::new(case.workloads.iter().cloned()), case.start),
        notices: Vec::new(),
        steps: Vec::new(),
        found: Vec::new(),
    };
    let mut asked = vec![Duration::ZERO; case.feeds.len()];
    for expect in &case.expects {
        playing.run_to(expect.at, &mut asked);
        playing.compare(expect);
    }
    playing.found
}

struct Playing<'c> {
    case: &'c Case,
    player: Player,
    /// Those that left since an expectation spoke of notices.
    notices: Vec<Entry>,
    /// Those that were decided since an expectation spoke of scaling.
    steps: Vec<Entry>,
    found: Vec<Difference>,
}

impl Playing<'_> {
    /// Everything that happens up to `to`, the rounds of that instant included.
    fn run_to(&mut self, to: Duration, asked: &mut [Duration]) {
        loop {
            let due = asked.iter().enumerate().min_by_key(|(_, at)| **at).filter(|(_, at)| **at <= to);
            let Some((index, at)) = due.map(|(index, at)| (index, *at)) else { break };
            self.player.pass_to(self.instant(at));
            let feed = &self.case.feeds[index];
            let round = Round { query: feed.query.clone(), at: self.player.now(), answer: answer(feed, at) };
            self.player.observe(round);
            asked[index] = at.saturating_add(feed.every.max(Duration::from_secs(1)));
        }
        self.player.pass_to(self.instant(to));
        // What follows from the rounds of this instant, such as a step, is decided at its tick.
        self.player.happens(crate::engine::event::Event::Tick);
        for entry in self.player.take_journal() {
            match &entry.what {
                Happened::Notice { .. } => self.notices.push(entry),
                Happened::Scaled(_) => self.steps.push(entry),
                Happened::Alert { .. } | Happened::Held { .. } => {}
            }
        }
    }

    fn instant(&self, at: Duration) -> Timestamp {
        self.case.start.checked_add(at).unwrap_or(Timestamp::MAX)
    }

    fn compare(&mut self, expect: &Expect) {
        if let Some(wanted) = &expect.alerts {
            self.alerts(expect, wanted);
        }
        if let Some(wanted) = &expect.notices {
            self.notices(expect, wanted);
        }
        if let Some(wanted) = &expect.scaling {
            self.steps(expect, wanted);
        }
    }

    fn differs(
        &mut self,
        expect: &Expect,
        kind: &'static str,
        expected: Option<String>,
        got: Option<String>,
        reason: Option<String>,
    ) {
        let (at, place) = (expect.at, expect.place.clone());
        self.found.push(Difference { at, place, kind, expected, got, reason });
    }

    fn alerts(&mut self, expect: &Expect, wanted: &[WantedAlert]) {
        let mut there = self.active(expect);
        let mut missing = Vec::new();
        for one in wanted {
            match there.iter().position(|alert| alert.is(one)) {
                Some(at) => drop(there.remove(at)),
                None => missing.push(one),
            }
        }
        for one in missing {
            // The same series in another state says more than its absence.
            let other = there.iter().position(|alert| alert.is_series_of(one));
            let other =
                other.or_else(|| there.iter().position(|alert| one.exact && *alert.rule == *one.rule));
            let other = other.map(|at| there.remove(at));
            let (got, reason) = match other {
                Some(alert) => (Some(alert.words()), Some(alert.reason.to_owned())),
                None => (None, self.why_not(one)),
            };
            self.differs(expect, "alert", Some(one.words()), got, reason);
        }
        for alert in there {
            self.differs(expect, "alert", None, Some(alert.words()), Some(alert.reason.to_owned()));
        }
    }

    /// The alerts that are compared.
    fn active(&self, expect: &Expect) -> Vec<Active> {
        let engine = self.player.engine();
        let mut found = Vec::new();
        for (id, series, alert) in engine.alerts() {
            let Some(rule) = engine.rule(id) else { continue };
            let counts = match (&expect.only, alert.state) {
                (Some(only), AlertState::Firing { .. }) => rule.name == *only,
                (None, AlertState::Firing { .. } | AlertState::Pending { .. }) => true,
                _ => false,
            };
            if counts {
                found.push(Active {
                    rule: rule.name.clone(),
                    id: id.clone(),
                    labels: series.with(rule.labels.iter()),
                    state: alert.state,
                    reason: alert.reason.as_str(),
                });
            }
        }
        found
    }

    /// Why an expected alert is not there: the reason of the series, or that there is none.
    fn why_not(&self, wanted: &WantedAlert) -> Option<String> {
        let engine = self.player.engine();
        for (id, series, alert) in engine.alerts() {
            let rule = engine.rule(id)?;
            let is_it = names(&rule.name, id, &wanted.rule)
                && series.with(rule.labels.iter()).contains_all(&wanted.labels);
            if is_it {
                return Some(alert.reason.as_str().to_owned());
            }
        }
        Some("there is no such series".into())
    }

    fn notices(&mut self, expect: &Expect, wanted: &[WantedNotice]) {
        let mut there = std::mem::take(&mut self.notices);
        for one in wanted {
            if let Some(at) = there.iter().position(|entry| one.is(entry)) {
                drop(there.remove(at));
                continue;
            }
            let near = there.iter().position(|entry| one.is_near(entry));
            let got = near.map(|at| notice_words(&there.remove(at)));
            self.differs(expect, "notice", Some(one.words()), got, None);
        }
        for entry in there {
            self.differs(expect, "notice", None, Some(notice_words(&entry)), None);
        }
    }

    fn steps(&mut self, expect: &Expect, wanted: &[WantedStep]) {
        let mut there = std::mem::take(&mut self.steps);
        for one in wanted {
            if let Some(at) = there.iter().position(|entry| one.is(entry)) {
                drop(there.remove(at));
                continue;
            }
            let got = (!there.is_empty()).then(|| step_words(&there.remove(0)));
            let reason = if got.is_none() { self.held(&one.target) } else { None };
            self.differs(expect, "scaling", Some(one.words()), got, reason);
        }
        for entry in there {
            self.differs(expect, "scaling", None, Some(step_words(&entry)), None);
        }
    }

    /// Why a target rests now.
    fn held(&self, target: &str) -> Option<String> {
        use crate::domain::scaling::{Axis, Direction};
        let engine = self.player.engine();
        let policy = engine.plan().rules.policy.as_ref()?;
        let found = policy.targets.iter().find(|it| it.id.to_string() == target)?;
        let held = Axis::ALL.iter().find_map(|axis| engine.held(&found.id, *axis, Direction::Out));
        Some(held.map_or_else(|| "no step is wanted".to_owned(), ToString::to_string))
    }
}

/// An alert that is there.
struct Active {
    rule: std::sync::Arc<str>,
    id: RuleId,
    labels: Labels,
    state: AlertState,
    reason: &'static str,
}

impl Active {
    fn is_series_of(&self, wanted: &WantedAlert) -> bool {
        names(&self.rule, &self.id, &wanted.rule)
            && self.labels.contains_all(&wanted.labels)
            && (!wanted.exact || self.labels.len() == wanted.labels.len())
    }

    fn is(&self, wanted: &WantedAlert) -> bool {
        self.is_series_of(wanted)
            && self.state.as_str() == wanted.state
            && wanted.severity.is_none_or(|severity| self.state.severity() == Some(severity))
    }

    fn words(&self) -> String {
        let severity = self.state.severity().map_or("", crate::domain::severity::Severity::as_str);
        format!("{} {severity} {}{}", self.state.as_str(), self.rule, self.labels)
    }
}

/// A rule is named by its name or by its id.
fn names(name: &str, id: &RuleId, wanted: &str) -> bool {
    name == wanted || id.as_str() == wanted
}

impl WantedAlert {
    fn words(&self) -> String {
        let severity = self.severity.map_or_else(String::new, |severity| format!("{} ", severity.as_str()));
        format!("{} {severity}{}{}", self.state, self.rule, self.labels)
    }
}

impl WantedNotice {
    fn is(&self, entry: &Entry) -> bool {
        let Happened::Notice { channel, event, headline, .. } = &entry.what else { return false };
        *channel == self.channel
            && *event == &*self.event
            && self.says.as_ref().is_none_or(|says| headline.contains(&**says))
    }

    /// The same channel, or the same event.
    fn is_near(&self, entry: &Entry) -> bool {
        let Happened::Notice { channel, event, .. } = &entry.what else { return false };
        *channel == self.channel && *event == &*self.event
    }

    fn words(&self) -> String {
        let says = self.says.as_ref().map_or_else(String::new, |says| format!(" saying \"{says}\""));
        format!("{} {}{says}", self.channel, self.event)
    }
}

impl WantedStep {
    fn is(&self, entry: &Entry) -> bool {
        let Happened::Scaled(step) = &entry.what else { return false };
        step.target.to_string() == *self.target && step.to == *self.to
    }

    fn words(&self) -> String {
        format!("{} to {}", self.target, self.to)
    }
}

fn notice_words(entry: &Entry) -> String {
    match &entry.what {
        Happened::Notice { channel, event, headline, .. } => format!("{channel} {event} \"{headline}\""),
        Happened::Alert { .. } | Happened::Scaled(_) | Happened::Held { .. } => String::new(),
    }
}

fn step_words(entry: &Entry) -> String {
    match &entry.what {
        Happened::Scaled(step) => format!("{} {} to {}", step.target, step.from, step.to),
        Happened::Alert { .. } | Happened::Notice { .. } | Happened::Held { .. } => String::new(),
    }
}

/// What a query answers `at` after the start.
fn answer(feed: &Feed, at: Duration) -> Answer {
    let mut samples = Vec::new();
    for series in &feed.series {
        match seen(series, feed.look_back, at) {
            Some(Slot::Failed) => return Answer::Failed(QueryFailure::Unavailable),
            Some(Slot::Value(value)) if value.is_nan() => {
                samples.push(Sample { labels: series.labels.clone(), seen: Observation::NotANumber });
            }
            Some(Slot::Value(value)) => {
                samples.push(Sample { labels: series.labels.clone(), seen: Observation::Value(value) });
            }
            Some(Slot::Absent | Slot::Stale) | None => {}
        }
    }
    Answer::Series(samples)
}

/// The slot that speaks at an instant: its own, or with a look-back the newest that says something.
fn seen(series: &Series, look_back: Duration, at: Duration) -> Option<Slot> {
    let every = series.interval.as_millis().max(1);
    let own = usize::try_from(at.as_millis() / every).ok()?;
    if look_back.is_zero() {
        return series.slots.get(own).copied();
    }
    let last = own.min(series.slots.len().checked_sub(1)?);
    let newest = (0..=last).rev().find(|index| series.slots[*index] != Slot::Absent)?;
    let age = at.as_millis().saturating_sub(every * newest as u128);
    (age < look_back.as_millis()).then_some(series.slots[newest])
}
