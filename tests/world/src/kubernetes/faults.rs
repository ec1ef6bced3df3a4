//! Faults that tests inject, and the rights that they take away.
//!
//! Decides which fault a request meets; `router` makes it happen.

use std::collections::BTreeSet;
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: takes precedence over faults injected earlier.
    None,
    /// Answered with this code and a matching `Status`; nothing is performed.
    Status {
        /// HTTP status code.
        code: u16,
        /// Seconds in the `Retry-After` header.
        retry_after: Option<u64>,
    },
    /// Answered with this code and a body that is no `Status`, as proxies do; nothing is performed.
    NotAStatus {
        /// HTTP status code.
        code: u16,
    },
    /// Performed at once, answered this much later.
    Delay(Duration),
    /// Not performed and never answered; the connection stays open.
    Hang,
    /// Not performed; the connection is closed without an answer.
    Cut,
    /// Performed, then the connection is closed without an answer: the outcome is unknown to the client.
    CutAfter,
}

/// Which requests meet a fault, and how often.
#[derive(Debug, Clone)]
pub struct FaultRule {
    fault: Fault,
    verb: Option<String>,
    resource: Option<String>,
    name: Option<String>,
    left: Option<u32>,
}

impl FaultRule {
    /// The fault for every request until faults are cleared.
    pub fn new(fault: Fault) -> Self {
        Self { fault, verb: None, resource: None, name: None, left: None }
    }

    /// Only requests with this verb: get, list, watch, create, update, patch, delete.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(verb.to_owned());
        self
    }

    /// Only requests for this resource, such as `pods` or `deployments/scale`.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Only requests for objects of this name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Only the next `n` requests that match.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.left = Some(n);
        self
    }

    fn matches(&self, verb: &str, resource: &str, name: &str) -> bool {
        let fits =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        self.left != Some(0)
            && fits(&self.verb, verb)
            && fits(&self.resource, resource)
            && fits(&self.name, name)
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

/// The injected faults, newest last.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<FaultRule>);

impl Faults {
    /// Adds a rule; it goes before the earlier ones.
    pub(crate) fn add(&mut self, rule: FaultRule) {
        self.0.push(rule);
    }

    /// Removes all rules.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that this request meets; counts it.
    pub(crate) fn meet(&mut self, verb: &str, resource: &str, name: &str) -> Fault {
        let Some(rule) = self.0.iter_mut().rev().find(|rule| rule.matches(verb, resource, name)) else {
            return Fault::None;
        };
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        rule.fault
    }
}

/// The (verb, resource) pairs that the caller has no right to; `*` stands for all.
#[derive(Debug, Default)]
pub(crate) struct Rights(BTreeSet<(String, String)>);

impl Rights {
    /// Takes a right away.
    pub(crate) fn forbid(&mut self, verb: &str, resource: &str) {
        self.0.insert((verb.to_owned(), resource.to_owned()));
    }

    /// Gives a right back.
    pub(crate) fn allow(&mut self, verb: &str, resource: &str) {
        self.0.remove(&(verb.to_owned(), resource.to_owned()));
    }

    /// Whether the caller may do this.
    pub(crate) fn has(&self, verb: &str, resource: &str) -> bool {
        let fits = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        !self.0.iter().any(|(v, r)| fits(v, verb) && fits(r, resource))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_matching_fault_counts_down_and_then_older_ones_show() {
        let mut faults = Faults::default();
        faults.add(FaultRule::new(Fault::Hang).verb("patch"));
        faults.add(FaultRule::new(Fault::Cut).resource("pods").times(1));
        assert_eq!(faults.meet("get", "pods", "a"), Fault::Cut);
        assert_eq!(faults.meet("get", "pods", "a"), Fault::None);
        assert_eq!(faults.meet("patch", "pods", "a"), Fault::Hang);
        faults.clear();
        assert_eq!(faults.meet("patch", "pods", "a"), Fault::None);
    }
}
