//! Checks before a step: what was seen of the cluster, held against one step. Owns the verdicts and the policies for
//! what is unknown; each check has a file of its own. Pure: looks at nothing itself.

mod budget;
mod owner;
mod quota;
mod range;
mod room;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Axis, ContainerSize, PodDemand, Size, Surroundings, VerticalMode, WorkloadSnapshot};

/// A check before a step. A closed set: it becomes a reason and a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Check {
    /// What the namespace's quotas leave.
    Quota,
    /// What the namespace's limit ranges allow.
    LimitRange,
    /// Room on the nodes.
    Room,
    /// Another one who decides on the size.
    Owner,
    /// How many pods may go at once.
    DisruptionBudget,
}

impl Check {
    /// All of them, in the order they are made.
    pub const ALL: [Self; 5] =
        [Self::Owner, Self::LimitRange, Self::Quota, Self::Room, Self::DisruptionBudget];

    /// The code shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::LimitRange => "limit_range",
            Self::Room => "room",
            Self::Owner => "owner",
            Self::DisruptionBudget => "disruption_budget",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a check says against a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The check.
    pub check: Check,
    /// In words: which quota, how much is left, how much is needed.
    pub detail: Arc<str>,
}

impl Refusal {
    /// What `check` says, in words.
    pub fn new(check: Check, detail: impl Into<Arc<str>>) -> Self {
        Self { check, detail: detail.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.detail)
    }
}

/// What a step does that has no room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Headroom {
    /// It is refused.
    #[default]
    Required,
    /// It is taken with a warning: the cluster may add nodes.
    AllowPending,
}

/// What becomes of a step when a check could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// It is refused.
    #[default]
    Refuse,
    /// It is taken; what is unknown is told.
    Allow,
}

/// What becomes of a step when somebody else decides on the size, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherOwner {
    /// It is refused.
    #[default]
    Refuse,
    /// It is taken with a warning.
    Warn,
    /// Instead of the workload's replicas, the least replicas of its autoscaler are raised; other owners refuse.
    RaiseHpaMin,
}

/// The policies for checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a step without room.
    pub headroom: Headroom,
    /// For a check that could not be made.
    pub on_unknown: OnUnknown,
    /// For another owner.
    pub other_owner: OtherOwner,
    /// How a vertical step reaches the pods: what it needs depends on it.
    pub vertical: VerticalMode,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headroom: Headroom::default(),
            on_unknown: OnUnknown::default(),
            other_owner: OtherOwner::default(),
            vertical: VerticalMode::InPlaceThenTemplate,
        }
    }
}

/// What the checks say of one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checks {
    /// Checks that say nothing against it.
    pub passed: Vec<Check>,
    /// What is against it.
    pub refused: Vec<Refusal>,
    /// What could not be made out, and why.
    pub unknown: Vec<Refusal>,
    /// What does not hold it and should be known.
    pub warned: Vec<Refusal>,
    /// The `HorizontalPodAutoscaler` whose least replicas are to be raised in place of the workload's own number.
    pub raise: Option<Arc<str>>,
}

impl Checks {
    /// The first reason not to take the step.
    pub fn against(&self, limits: &Limits) -> Option<&Refusal> {
        let unknown = match limits.on_unknown {
            OnUnknown::Refuse => self.unknown.first(),
            OnUnknown::Allow => None,
        };
        self.refused.first().or(unknown)
    }
}

impl Checks {
    fn take(&mut self, check: Check, findings: Vec<Finding>) {
        let holds = |finding: &Finding| matches!(finding, Finding::Refused(_) | Finding::Unknown(_));
        if !findings.iter().any(holds) {
            self.passed.push(check);
        }
        for finding in findings {
            match finding {
                Finding::Refused(words) => self.refused.push(Refusal::new(check, words)),
                Finding::Unknown(words) => self.unknown.push(Refusal::new(check, words)),
                Finding::Warned(words) => self.warned.push(Refusal::new(check, words)),
                Finding::Raise(hpa) => self.raise = Some(hpa),
            }
        }
    }
}

/// What one check found; nothing found is nothing against the step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Refused(String),
    Unknown(String),
    Warned(String),
    /// This autoscaler's least replicas are to be raised instead.
    Raise(Arc<str>),
}

/// What a step changes.
#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    /// So many pods more.
    More { from: u32, to: u32 },
    /// So many pods fewer.
    Fewer { from: u32, to: u32 },
    /// The running pods get these sizes.
    InPlace(&'a [ContainerSize]),
    /// All pods are replaced by ones of these sizes.
    Template(&'a [ContainerSize]),
}

impl<'a> Change<'a> {
    fn of(snapshot: &WorkloadSnapshot, from: &Size, to: &'a Size, limits: Limits) -> Option<Self> {
        match (from, to) {
            (Size::Replicas(from), Size::Replicas(to)) if to > from => {
                Some(Self::More { from: *from, to: *to })
            }
            (Size::Replicas(from), Size::Replicas(to)) if to < from => {
                Some(Self::Fewer { from: *from, to: *to })
            }
            (_, Size::Resources(sizes)) => match limits.vertical {
                VerticalMode::InPlaceThenTemplate if !snapshot.in_place_resize => Some(Self::Template(sizes)),
                VerticalMode::InPlace | VerticalMode::InPlaceThenTemplate => Some(Self::InPlace(sizes)),
                VerticalMode::Template => Some(Self::Template(sizes)),
            },
            (Size::Replicas(_) | Size::Resources(_), Size::Replicas(_)) => None,
        }
    }
}

/// Holds one step against what was seen. `from` and `to` are sizes on `axis`.
///
/// A step that changes nothing has nothing to check. Fewer replicas need no room and no quota; they must leave the
/// disruption budgets whole, because a scale-in deletes pods without asking them.
pub fn before(snapshot: &WorkloadSnapshot, axis: Axis, from: &Size, to: &Size, limits: &Limits) -> Checks {
    let mut checks = Checks::default();
    let Some(change) = Change::of(snapshot, from, to, *limits) else { return checks };
    let around = &snapshot.surroundings;
    for check in Check::ALL {
        let findings = match (check, change) {
            (Check::Owner, _) => owner::check(around, axis, change, *limits),
            (Check::DisruptionBudget, Change::Fewer { from, to }) => budget::check(around, from - to),
            (Check::DisruptionBudget, _) | (_, Change::Fewer { .. }) => continue,
            (Check::LimitRange, _) => range::check(around, change),
            (Check::Quota, _) => quota::check(around, snapshot.replicas, change),
            (Check::Room, _) => room::check(around, snapshot.replicas, change, *limits),
        };
        checks.take(check, findings);
    }
    checks
}

/// The next pod of the template with what the namespace fills in; why it is not known otherwise.
fn next_pod(around: &Surroundings, sizes: Option<&[ContainerSize]>) -> Result<PodDemand, String> {
    let pod = around.pod.get().map_err(|why| format!("the pod template: {}", why.words()))?;
    let mut filled = sizes.map_or_else(|| (**pod).clone(), |sizes| pod.with(sizes));
    // Where limit ranges are unseen, the check of limit ranges says so.
    if let Ok(ranges) = around.ranges.get() {
        filled = range::filled(&filled, ranges);
    }
    if filled.priority_class.is_none() {
        // The cluster's default class is filled in when a pod is made, so pods have it and templates do not.
        let placed = around.placed.get().ok().and_then(|placed| placed.first());
        filled.priority_class = placed.and_then(|placed| placed.demand.priority_class.clone());
    }
    Ok(filled)
}
