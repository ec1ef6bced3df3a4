//! Inhibition: alerts that need no words of their own while a greater one says it all. Owns what one rule means for two
//! label sets; which alerts fire is the engine's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::alert::AlertKey;
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

/// The firing alerts, filed so that the one that holds another back is found without looking at all of them.
#[derive(Debug, Clone, Default)]
pub struct Inhibitors {
    rules: Vec<InhibitRule>,
    /// For each rule its sources by the values that they share with their targets.
    sources: Vec<BTreeMap<Labels, Sources>>,
    known: BTreeMap<AlertKey, Labels>,
}

#[derive(Debug, Clone, Default)]
struct Sources {
    /// Sources and not targets.
    mere: BTreeSet<AlertKey>,
    /// Both.
    both: BTreeSet<AlertKey>,
}

impl Inhibitors {
    /// Those rules, and no alert yet.
    pub fn new(rules: Vec<InhibitRule>) -> Self {
        Self { sources: rules.iter().map(|_| BTreeMap::new()).collect(), rules, known: BTreeMap::new() }
    }

    /// Whether there is any rule.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// An alert fires with these labels, or no longer fires.
    pub fn set(&mut self, key: &AlertKey, labels: Option<Labels>) {
        if self.known.get(key) == labels.as_ref() {
            return;
        }
        if let Some(before) = self.known.remove(key) {
            for (rule, sources) in self.rules.iter().zip(&mut self.sources) {
                let shared = rule.shared(&before);
                if let Some(found) = sources.get_mut(&shared) {
                    found.mere.remove(key);
                    found.both.remove(key);
                    if found.mere.is_empty() && found.both.is_empty() {
                        sources.remove(&shared);
                    }
                }
            }
        }
        let Some(labels) = labels else { return };
        for (rule, sources) in self.rules.iter().zip(&mut self.sources) {
            let Some(side) = rule.side(&labels).filter(|side| *side != Side::Target) else { continue };
            let filed = sources.entry(rule.shared(&labels)).or_default();
            let set = if side == Side::Both { &mut filed.both } else { &mut filed.mere };
            set.insert(key.clone());
        }
        self.known.insert(key.clone(), labels);
    }

    /// The first firing alert that holds back one with the labels `target`, by the first rule that says so.
    pub fn inhibitor(&self, target: &Labels) -> Option<&AlertKey> {
        self.rules.iter().zip(&self.sources).find_map(|(rule, sources)| {
            let side = rule.side(target).filter(|side| *side != Side::Source)?;
            let sources = sources.get(&rule.shared(target))?;
            let both = sources.both.first().filter(|_| side == Side::Target);
            sources.mere.first().or(both)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    fn any_labels() -> impl Strategy<Value = Labels> {
        prop::collection::btree_map("[ste]", "[12]", 0..3).prop_map(Labels::new)
    }

    proptest! {
        /// What is filed finds exactly what the rules say, whatever fired, changed and ended before.
        #[test]
        fn filed_alerts_inhibit_as_the_rules_say(
            moves in prop::collection::vec((0_u8..5, prop::option::weighted(0.7, any_labels())), 0..20),
            target in any_labels(),
        ) {
            let rules = vec![rule("s=1 > t=1 equal e"), rule("s=2 > t=2 equal "), rule("e=1 > t=~\".*\" equal s")];
            let mut filed = Inhibitors::new(rules.clone());
            let mut firing = BTreeMap::new();
            for (number, labels) in moves {
                let key = AlertKey { rule: number.to_string().into(), series: Labels::empty() };
                filed.set(&key, labels.clone());
                match labels {
                    Some(labels) => drop(firing.insert(key, labels)),
                    None => drop(firing.remove(&key)),
                }
            }
            let by = filed.inhibitor(&target);
            let said = rules.iter().any(|rule| firing.values().any(|source| rule.inhibits(source, &target)));
            prop_assert_eq!(by.is_some(), said);
            if let Some(source) = by.and_then(|key| firing.get(key)) {
                prop_assert!(rules.iter().any(|rule| rule.inhibits(source, &target)));
            }
        }
    }
}
