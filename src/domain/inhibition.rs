//! Inhibition: alerts that need no words of their own while a greater one says it all. Owns what one rule means for two
//! label sets; which alerts fire is the engine's business.

use std::sync::Arc;

use super::labels::Labels;
use super::matcher::Matchers;

/// A rule of Alertmanager's `inhibit_rules`: while a source fires, targets with the same `equal` labels are held back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InhibitRule {
    /// Which alerts hold others back.
    pub source: Matchers,
    /// Which alerts are held back.
    pub target: Matchers,
    /// The labels whose values both must share; absent on both sides is shared.
    pub equal: Vec<Arc<str>>,
    /// Where the rule stands, for people: `inhibit.yaml:2`.
    pub place: Arc<str>,
}

/// What a label set is to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// It holds others back.
    Source,
    /// It is held back.
    Target,
    /// Both: it is held back by those only that are not both as well, so that none holds itself back.
    Both,
}

impl InhibitRule {
    /// What a label set is to this rule, if anything.
    pub fn side(&self, labels: &Labels) -> Option<Side> {
        match (self.source.match_all(labels), self.target.match_all(labels)) {
            (true, true) => Some(Side::Both),
            (true, false) => Some(Side::Source),
            (false, true) => Some(Side::Target),
            (false, false) => None,
        }
    }

    /// The values that source and target must share.
    pub fn shared(&self, labels: &Labels) -> Labels {
        labels.project(&self.equal)
    }

    /// Whether a firing alert with the labels `source` holds back one with the labels `target`.
    pub fn inhibits(&self, source: &Labels, target: &Labels) -> bool {
        let sides = (self.side(source), self.side(target));
        let fits = match sides {
            (Some(Side::Source), Some(Side::Target | Side::Both))
            | (Some(Side::Both), Some(Side::Target)) => true,
            (Some(_) | None, _) => false,
        };
        fits && self.shared(source) == self.shared(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> InhibitRule {
        let (source, rest) = text.split_once(" > ").unwrap();
        let (target, equal) = rest.split_once(" equal ").unwrap();
        let read = |text| Matchers::parse(text).unwrap();
        let equal = equal.split(',').filter(|name| !name.is_empty()).map(Arc::from).collect();
        InhibitRule { source: read(source), target: read(target), equal, place: "here".into() }
    }

    fn labels(text: &str) -> Labels {
        Labels::new(text.split(',').filter_map(|pair| pair.split_once('=')))
    }

    #[test]
    fn a_source_holds_back_a_target_that_shares_the_equal_labels() {
        // The cases of Alertmanager's own tests: rule, alert that fires, alert that may be held back.
        let cases = [
            ("s=1 > t=1 equal e", "s=1,e=1", "t=1,e=1", true),
            ("s=1 > t=1 equal e", "s=1,e=1", "t=1,e=2", false),
            ("s=1 > t=1 equal e", "s=1", "t=1", true),
            ("s=1 > t=1 equal e", "s=1,e=1", "t=1", false),
            ("s=1 > t=1 equal e", "s=0,e=1", "t=1,e=1", false),
            ("s=1 > t=1 equal e", "s=1,e=1", "t=0,e=1", false),
            ("s=1 > t=1 equal ", "s=1,e=1", "t=1,e=2", true),
            ("sev=crit > sev=warn equal service,zone", "sev=crit,service=a", "sev=warn,service=a", true),
            ("sev=crit > sev=warn equal service,zone", "sev=crit,service=a", "sev=warn,service=b", false),
            // Both sides: not by its like, so not by itself; by a mere source it is.
            ("s=1 > t=1 equal ", "s=1,t=1", "s=1,t=1", false),
            ("s=1 > t=1 equal ", "s=1", "s=1,t=1", true),
            ("s=1 > t=1 equal ", "s=1,t=1", "t=1", true),
        ];
        for (text, source, target, wanted) in cases {
            let found = rule(text).inhibits(&labels(source), &labels(target));
            assert_eq!(found, wanted, "{text}: {source} on {target}");
        }
    }
}
