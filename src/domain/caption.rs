//! The caption of a chart: what the picture shows, in one sentence, for those who do not see it.

use super::Timestamp;
use super::headline::{clock_seen, one_line, shortened, spoken};
use super::notice::Facts;

/// The most characters a name brings along.
const LONGEST_NAME: usize = 80;

/// The sentence for who reads at `now`: `CPU usage of checkout: 95 %, above the limit of 90 %; first breach 03:09 UTC; scaled
/// 4 → 6 replicas at 03:12 UTC`.
pub fn caption(facts: &Facts, now: Timestamp) -> String {
    let name = |text: &str| shortened(one_line(text).trim(), LONGEST_NAME);
    let mut sentence = format!("{} of {}", name(&spoken(&facts.metric)), name(&facts.subject_name));
    match facts.value {
        Some(value) => sentence.push_str(&format!(": {}", facts.unit.show(value))),
        None => sentence.push_str(": no value"),
    }
    let since = clock_seen(facts.since, now);
    if let Some(at) = facts.resolved_at {
        sentence.push_str(&format!(", resolved at {}", clock_seen(at, now)));
    } else if let (Some(value), Some(limit)) = (facts.value, facts.threshold) {
        let limit_shown = facts.unit.show(limit);
        let side = match value.partial_cmp(&limit) {
            Some(std::cmp::Ordering::Greater) => Some("above"),
            Some(std::cmp::Ordering::Less) => Some("below"),
            Some(std::cmp::Ordering::Equal) | None => None,
        };
        match side {
            Some(side) => sentence.push_str(&format!(", {side} the limit of {limit_shown}")),
            None => sentence.push_str(&format!(", the limit is {limit_shown}")),
        }
        sentence.push_str(&format!("; first breach {since}"));
    }
    if let Some(step) = facts.actions.iter().find(|action| action.text.starts_with("scaled ")) {
        sentence.push_str(&format!("; {} at {}", name(&step.text), clock_seen(step.at, now)));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::headline;
    use crate::domain::incident::ActionTaken;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T{text}:00Z").parse().unwrap()
    }

    fn facts(value: Option<f64>) -> Facts {
        Facts { value, resolved_at: None, ..headline::tests::facts() }
    }

    #[test]
    fn a_sentence_says_what_the_picture_shows() {
        let now = at("03:21");
        let action = |time, text: &str| ActionTaken { at: at(time), text: text.into() };
        let actions = vec![action("03:14", "acknowledged by Ana"), action("03:12", "scaled 4 → 6 replicas")];
        let scaled = Facts { actions, ..facts(Some(0.95)) };
        assert_eq!(
            caption(&scaled, now),
            "CPU usage of checkout: 95 %, above the limit of 90 %; first breach 03:09 UTC; scaled 4 → 6 replicas at \
             03:12 UTC"
        );
        let over = Facts { resolved_at: Some(at("03:20")), ..facts(Some(0.58)) };
        assert_eq!(caption(&over, now), "CPU usage of checkout: 58 %, resolved at 03:20 UTC");
        assert_eq!(
            caption(&facts(Some(0.5)), now),
            "CPU usage of checkout: 50 %, below the limit of 90 %; first breach 03:09 UTC"
        );
        assert_eq!(caption(&facts(None), now), "CPU usage of checkout: no value");
    }
}
