//! The outcome of a replay as a table, as JSON and as a picture. Owns the words; counts nothing.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::chart::{Chart, Mark, MarkKind, Point};
use crate::domain::Timestamp;
use crate::domain::headline::clock;
use crate::domain::name::RuleId;
use crate::domain::rule::{Condition, Direction};
use crate::replay::{RuleTally, Tally};

use super::table::table;

/// The heights of a line of days.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One or two outcomes, rule by rule, the noisiest first; the most important line last.
pub(super) fn human(tallies: &[Tally], out: &mut dyn Write) -> io::Result<()> {
    let (now, new) = (&tallies[0], tallies.get(1));
    let mut names: Vec<&RuleId> = now.rules.keys().chain(new.iter().flat_map(|it| it.rules.keys())).collect();
    names.sort();
    names.dedup();
    let of = |tally: &Tally, id: &RuleId| tally.rules.get(id).map_or(0, |it| it.pages + it.fired);
    names.retain(|id| of(now, id) > 0 || new.is_some_and(|new| of(new, id) > 0));
    let weight = |id: &RuleId| now.rules.get(id).map_or(0, |it| it.pages);
    names.sort_by_key(|id| (std::cmp::Reverse(weight(id)), *id));
    match new {
        None => one(now, &names, out)?,
        Some(new) => two(now, new, &names, out)?,
    }
    steps(now, new, out)?;
    writeln!(out, "{}", last_line(now, new))
}

fn one(now: &Tally, names: &[&RuleId], out: &mut dyn Write) -> io::Result<()> {
    if names.is_empty() {
        return writeln!(out, "no alert would have fired");
    }
    let row = |id: &&RuleId| {
        let tally = now.rules.get(*id)?;
        let cells = [
            tally.pages.to_string(),
            tally.criticals.to_string(),
            tally.fired.to_string(),
            tally.escalations.to_string(),
            line(&tally.by_day),
            worst(tally),
        ];
        let [pages, criticals, fired, escalated, days, worst] = cells;
        Some([id.to_string(), pages, criticals, fired, escalated, days, worst])
    };
    let rows: Vec<[String; 7]> = names.iter().filter_map(row).collect();
    let head = ["RULE", "PAGES", "CRITICAL", "FIRED", "ESCALATED", "PAGES A DAY", "WORST"].map(str::to_owned);
    table(&head, &rows, out)
}

fn two(now: &Tally, new: &Tally, names: &[&RuleId], out: &mut dyn Write) -> io::Result<()> {
    if names.is_empty() {
        return writeln!(out, "no alert would have fired under either");
    }
    let row = |id: &&RuleId| {
        let (a, b) = (now.rules.get(*id), new.rules.get(*id));
        let pages = |it: Option<&RuleTally>| it.map_or_else(|| "-".to_owned(), |it| it.pages.to_string());
        let days = match (a, b) {
            (Some(a), Some(b)) if a.by_day == b.by_day => format!("{} → same", line(&a.by_day)),
            (Some(a), Some(b)) => format!("{} → {}", line(&a.by_day), line(&b.by_day)),
            (Some(a), None) => format!("{} → no such rule", line(&a.by_day)),
            (None, Some(b)) => format!("no such rule → {}", line(&b.by_day)),
            (None, None) => String::new(),
        };
        [id.to_string(), pages(a), pages(b), days, a.or(b).map_or_else(String::new, worst)]
    };
    let rows: Vec<[String; 5]> = names.iter().map(row).collect();
    table(&["RULE", "NOW", "NEW", "PAGES A DAY", "WORST"].map(str::to_owned), &rows, out)
}

fn steps(now: &Tally, new: Option<&Tally>, out: &mut dyn Write) -> io::Result<()> {
    for (tally, label) in [(Some(now), if new.is_some() { "now: " } else { "" }), (new, "new: ")] {
        let Some(tally) = tally.filter(|tally| !tally.steps.is_empty()) else { continue };
        writeln!(out)?;
        writeln!(out, "{label}steps that would have been decided, were the size as it was at the start")?;
        for (at, step) in tally.steps.iter().take(20) {
            writeln!(
                out,
                "  {at}  {} {} {} → {}  {}",
                step.target, step.axis, step.from, step.to, step.evidence
            )?;
        }
        if let Some(more) = tally.steps.len().checked_sub(20).filter(|more| *more > 0) {
            writeln!(out, "  and {more} more")?;
        }
    }
    Ok(())
}

fn last_line(now: &Tally, new: Option<&Tally>) -> String {
    let silent = |tally: &Tally| tally.rules.values().filter(|it| it.worst.is_none()).count();
    let span = format!("{} to {}", now.from, now.to);
    let Some(new) = new else {
        return format!(
            "{} pages in {} incidents, {} escalations, {} steps · {} of {} rules had no data · {span}",
            now.page_count(),
            now.incidents.len(),
            now.escalation_count(),
            now.steps.len(),
            silent(now),
            now.rules.len(),
        );
    };
    let (a, b) = (now.page_count(), new.page_count());
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let change =
        if a == 0 { String::new() } else { format!(" ({:+.0} %)", (b as f64 - a as f64) / a as f64 * 100.0) };
    let lost: u64 = now
        .rules
        .iter()
        .map(|(id, it)| it.criticals.saturating_sub(new.rules.get(id).map_or(0, |other| other.criticals)))
        .sum();
    format!(
        "{a} pages → {b}{change}, {lost} criticals lost · {} steps → {} · {span}",
        now.steps.len(),
        new.steps.len()
    )
}

/// A bar a day.
fn line(days: &[u64]) -> String {
    let most = days.iter().copied().max().unwrap_or(0);
    let bar = |count: &u64| {
        let height = if most == 0 { 0 } else { (count * 7).div_ceil(most) };
        BARS[usize::try_from(height).unwrap_or(7).min(7)]
    };
    days.iter().map(bar).collect()
}

/// `checkout 97 % 2026-11-17 03:11 UTC`.
fn worst(tally: &RuleTally) -> String {
    let Some(worst) = &tally.worst else { return "no data".into() };
    let subject = worst.series.iter().next().map_or_else(String::new, |_| {
        let subject = tally.rule.group_by.subject(&worst.series);
        subject.iter().next().map_or_else(String::new, |_| {
            let named = subject.get("service").or_else(|| subject.iter().map(|(_, value)| value).next());
            format!("{} ", named.unwrap_or_default())
        })
    });
    let day = worst.at.strftime("%Y-%m-%d");
    format!("{subject}{} {day} {}", tally.unit().show(worst.value), clock(worst.at))
}

/// Everything, for programs.
pub(super) fn machine(tallies: &[Tally]) -> Value {
    let now = &tallies[0];
    let mut answer = json!({
        "from": now.from.to_string(),
        "to": now.to.to_string(),
        "rules_now": outcome(now),
    });
    if let Some(new) = tallies.get(1) {
        answer["rules_new"] = outcome(new);
    }
    answer
}

fn outcome(tally: &Tally) -> Value {
    let rule = |(id, it): (&RuleId, &RuleTally)| {
        let worst = it.worst.as_ref().map(|worst| {
            let labels: serde_json::Map<String, Value> =
                worst.series.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            json!({ "value": worst.value, "labels": labels, "at": worst.at.to_string() })
        });
        json!({
            "rule": id.as_str(), "source": it.rule.source, "unit": it.unit().as_str(), "fired": it.fired,
            "pages": it.pages, "critical_pages": it.criticals, "escalations": it.escalations,
            "pages_by_day": it.by_day, "worst": worst,
        })
    };
    let pages: Vec<Value> = tally
        .pages
        .iter()
        .map(|it| {
            json!({
                "at": it.at.to_string(), "incident": it.incident.as_str(), "event": it.event,
                "severity": it.severity.as_str(), "rule": it.rule.as_ref().map(RuleId::as_str),
                "headline": it.headline, "channels": it.channels,
            })
        })
        .collect();
    let steps: Vec<Value> = tally
        .steps
        .iter()
        .map(|(at, step)| {
            json!({
                "at": at.to_string(), "target": step.target.to_string(), "axis": step.axis.as_str(),
                "from": step.from, "to": step.to, "evidence": step.evidence,
            })
        })
        .collect();
    json!({
        "pages": tally.page_count(), "escalations": tally.escalation_count(), "notices": tally.notices,
        "incidents": tally.incidents.len(), "rules": tally.rules.iter().map(rule).collect::<Vec<_>>(),
        "page_list": pages, "pages_left_off": tally.pages_left_off, "steps": steps, "held": tally.held,
    })
}

/// Draws one rule: its worst values over time, its thresholds and its pages.
pub(super) fn plot(tally: &Tally, wanted: Option<&str>, file: &Path) -> Result<(), String> {
    let is =
        |it: &&RuleTally| wanted.is_none_or(|name| *it.rule.name == *name || it.rule.id.as_str() == name);
    let found = tally.rules.values().filter(is).max_by_key(|it| it.pages);
    let found = found.ok_or_else(|| format!("there is no rule `{}`", wanted.unwrap_or_default()))?;
    let chart = chart(tally, found);
    if !chart.has_data() {
        return Err(format!("there is nothing to plot: {} had no data", found.rule.id));
    }
    let png = chart.draw().map_err(|error| error.to_string())?;
    std::fs::write(file, png).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn chart(tally: &Tally, found: &RuleTally) -> Chart {
    let (from, to) = (tally.from.as_second(), tally.to.as_second());
    let slots = i64::try_from(found.curve.len()).unwrap_or(1).max(1);
    let points = found.curve.iter().zip(0..).filter_map(|(value, slot): (&f64, i64)| {
        Some(Point { at: Timestamp::from_second(from + (to - from) * slot / slots).ok()?, value: *value })
    });
    let (direction, warning, critical) = match &found.rule.condition {
        Condition::Threshold(own) => {
            (own.direction, own.warning.map(|it| it.value), own.critical.map(|it| it.value))
        }
        Condition::Presence { .. } => (Direction::Above, None, None),
    };
    let pages = tally.pages.iter().filter(|page| page.rule.as_ref() == Some(&found.rule.id));
    let marks = pages.filter(|page| page.event != "escalated").take(12).map(|page| Mark {
        at: page.at,
        kind: MarkKind::Breach,
        label: Arc::from(clock(page.at)),
    });
    Chart {
        title: format!("{}: {} pages", found.rule.name, found.pages).into(),
        unit: found.unit(),
        points: points.collect(),
        direction,
        warning,
        critical,
        marks: marks.collect(),
        from: tally.from,
        to: tally.to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_with_a_page_never_looks_like_one_without() {
        assert_eq!(line(&[0, 0]), "▁▁");
        assert_eq!(line(&[0, 1, 100]), "▁▂█");
    }
}
