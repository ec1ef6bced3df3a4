//! Tenants: the part of the runbook's onboarding list (1.2) that a machine can check. Owns the checks and what each
//! answer means; nothing seen is unknown where nothing could be seen, and a no where it should have been.

use std::sync::Arc;
use std::time::Duration;

use super::quantity::Unit;

/// The longest name that fits a label, a realm and a schema.
const LONGEST: usize = 63;

/// What is known about one tenant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TenantFacts {
    /// Its id.
    pub id: Arc<str>,
    /// Requests a second; `None` where it was not seen among those who ask.
    pub requests: Option<f64>,
    /// Whether any tenant is seen at all: without one, a missing one says nothing.
    pub others: bool,
    /// How many series of how many rules watch it.
    pub watched_by: Vec<Arc<str>>,
    /// The age of its newest backup, in seconds.
    pub backup_age: Option<f64>,
    /// Whether backups of any tenant are reported.
    pub backups_by_tenant: bool,
    /// How old the newest backup may be, where backups are configured.
    pub backup_within: Option<Duration>,
    /// Alerts about backups that fire and concern all tenants.
    pub backup_alerts: usize,
    /// How many tenants more fit; negative where there are too many.
    pub headroom: Option<f64>,
}

/// A line of the onboarding list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckKind {
    /// Pre-setup: tenant ID validation.
    Id,
    /// Pre-setup: resource quota check.
    Room,
    /// Integration: set up monitoring.
    Monitored,
    /// Integration: enable backup jobs.
    BackedUp,
    /// Integration: configure alerts.
    Alerts,
}

impl CheckKind {
    /// Every check, in the order of the list.
    pub const ALL: [Self; 5] = [Self::Id, Self::Room, Self::Monitored, Self::BackedUp, Self::Alerts];

    /// The code in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Room => "room",
            Self::Monitored => "monitored",
            Self::BackedUp => "backed_up",
            Self::Alerts => "alerts",
        }
    }

    /// The words of the runbook.
    pub fn words(self) -> &'static str {
        match self {
            Self::Id => "Tenant ID validation",
            Self::Room => "Resource quota check",
            Self::Monitored => "Set up monitoring",
            Self::BackedUp => "Enable backup jobs",
            Self::Alerts => "Configure alerts",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// It cannot be told.
    Unknown,
}

impl Verdict {
    /// The word shown everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// One line, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Which.
    pub kind: CheckKind,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, for people.
    pub detail: String,
}

/// Checks every line.
pub fn onboarding(facts: &TenantFacts) -> Vec<Check> {
    CheckKind::ALL
        .into_iter()
        .map(|kind| {
            let (verdict, detail) = match kind {
                CheckKind::Id => id(&facts.id),
                CheckKind::Room => room(facts),
                CheckKind::Monitored => monitored(facts),
                CheckKind::BackedUp => backed_up(facts),
                CheckKind::Alerts => alerts(facts),
            };
            Check { kind, verdict, detail }
        })
        .collect()
}

fn id(id: &str) -> (Verdict, String) {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fine = id.starts_with(edge) && id.ends_with(edge) && id.chars().all(inside) && id.len() <= LONGEST;
    if fine {
        (Verdict::Yes, "small letters, digits and `-`".into())
    } else {
        let words = "names of realms, schemas and namespaces have at most 63 small letters, digits and `-`";
        (Verdict::No, words.into())
    }
}

fn room(facts: &TenantFacts) -> (Verdict, String) {
    let Some(headroom) = facts.headroom else {
        return (Verdict::Unknown, "it is not known how many tenants fit: see `runbookd capacity`".into());
    };
    // One that is not there yet takes one of the places that are left.
    let left = if facts.requests.is_some() { headroom } else { headroom - 1.0 };
    if left < 0.0 {
        (Verdict::No, format!("{} tenants too many with it", Unit::Count.show(-left)))
    } else {
        (Verdict::Yes, format!("{} more fit beside it", Unit::Count.show(left)))
    }
}

fn monitored(facts: &TenantFacts) -> (Verdict, String) {
    match facts.requests {
        Some(rate) => (Verdict::Yes, format!("seen, {} requests/s", Unit::Count.show(rate))),
        None if !facts.watched_by.is_empty() => (Verdict::Yes, "seen by rules, without requests".into()),
        None if facts.others => (Verdict::No, "no series carries its name".into()),
        None => (Verdict::Unknown, "no series carries any tenant's name".into()),
    }
}

fn backed_up(facts: &TenantFacts) -> (Verdict, String) {
    let Some(within) = facts.backup_within else {
        return (Verdict::Unknown, "no `backup_configuration` is loaded".into());
    };
    let within_seconds = within.as_secs_f64();
    match facts.backup_age {
        Some(age) if age <= within_seconds => (Verdict::Yes, format!("{} ago", Unit::Seconds.show(age))),
        Some(age) => {
            let (age, within) = (Unit::Seconds.show(age), Unit::Seconds.show(within_seconds));
            (Verdict::No, format!("{age} ago, {within} are allowed"))
        }
        None if facts.backups_by_tenant => (Verdict::No, "other tenants' backups are reported".into()),
        None if facts.backup_alerts > 0 => {
            (Verdict::No, format!("{} alerts about the backups of all tenants fire", facts.backup_alerts))
        }
        None => (Verdict::Unknown, "backups are not reported by tenant".into()),
    }
}

fn alerts(facts: &TenantFacts) -> (Verdict, String) {
    match facts.watched_by.as_slice() {
        [] if facts.others => (Verdict::No, "no rule sees a series of it".into()),
        [] => (Verdict::Unknown, "no series carries any tenant's name".into()),
        rules => (Verdict::Yes, format!("watched by {}", rules.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(facts: &TenantFacts) -> [&'static str; 5] {
        let checks = onboarding(facts);
        std::array::from_fn(|at| checks[at].verdict.as_str())
    }

    #[test]
    fn what_cannot_be_seen_is_unknown_and_what_should_be_seen_is_a_no() {
        let nothing = TenantFacts { id: "acme".into(), ..TenantFacts::default() };
        assert_eq!(verdicts(&nothing), ["yes", "unknown", "unknown", "unknown", "unknown"]);
        let missing = TenantFacts {
            others: true,
            backups_by_tenant: true,
            backup_within: Some(Duration::from_secs(108_000)),
            headroom: Some(0.0),
            ..nothing.clone()
        };
        assert_eq!(verdicts(&missing), ["yes", "no", "no", "no", "no"]);
        let there = TenantFacts {
            requests: Some(2.0),
            watched_by: vec!["error_rate".into()],
            backup_age: Some(3_600.0),
            ..missing.clone()
        };
        assert_eq!(verdicts(&there), ["yes", "yes", "yes", "yes", "yes"]);
        let late = TenantFacts { backup_age: Some(1e6), ..there };
        assert_eq!(verdicts(&late)[3], "no");
    }

    #[test]
    fn an_id_must_be_able_to_name_a_realm_and_a_schema() {
        for (name, verdict) in [("acme-2", "yes"), ("Acme", "no"), ("-a", "no"), ("a b", "no"), ("", "no")] {
            let facts = TenantFacts { id: name.into(), ..TenantFacts::default() };
            assert_eq!(verdicts(&facts)[0], verdict, "{name}");
        }
    }
}
