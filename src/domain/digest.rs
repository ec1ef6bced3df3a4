//! Digests: many incidents told in one message, because a storm of single ones is read by nobody. Owns what a digest
//! holds and how it reads; when one is made is the engine's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::headline::{between, one_line, shortened};
use super::labels::Labels;
use super::name::{IncidentId, IncidentTypeName};
use super::notice::NoticeEvent;
use super::severity::Severity;

/// How many rows a digest shows; the rest is counted.
pub const MOST_ROWS: usize = 10;

/// One incident of a digest: the newest there is to say about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestRow {
    /// Its number.
    pub incident: IncidentId,
    /// What happened last.
    pub event: NoticeEvent,
    /// The revision told.
    pub revision: u32,
    /// Whether a page is among what is told: then it must arrive.
    pub page: bool,
    /// Its severity.
    pub severity: Severity,
    /// Its type.
    pub incident_type: IncidentTypeName,
    /// What it is about and how much: `checkout CPU 95 %`.
    pub what: Arc<str>,
    /// The labels of its leading alert.
    pub labels: Labels,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// Many incidents in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// Its name on the timelines: `D-0003`.
    pub name: Arc<str>,
    /// The incidents, the worst and oldest first.
    pub rows: Vec<DigestRow>,
    /// When the first and the last of what it tells was decided.
    pub span: (Timestamp, Timestamp),
}

impl Digest {
    /// A digest of rows in any order.
    pub fn new(name: Arc<str>, mut rows: Vec<DigestRow>, span: (Timestamp, Timestamp)) -> Self {
        rows.sort_by(|one, two| {
            let key = |row: &DigestRow| (row.is_over(), std::cmp::Reverse(row.severity), row.opened_at);
            key(one).cmp(&key(two)).then_with(|| one.incident.cmp(&two.incident))
        });
        Self { name, rows, span }
    }

    /// The worst severity in it of what is not over.
    pub fn severity(&self) -> Severity {
        let open = self.rows.iter().filter(|row| !row.is_over());
        open.map(|row| row.severity).max().unwrap_or(Severity::Warning)
    }

    /// `200 INCIDENTS in 40s: 143 share node=worker-7 · 12 critical`.
    pub fn headline(&self) -> String {
        let over = self.rows.iter().filter(|row| row.is_over()).count();
        let total = self.rows.len();
        let span = match between(self.span.0, self.span.1) {
            nothing if nothing == "0s" => "at once".to_owned(),
            span => format!("in {span}"),
        };
        let mut line = if over == total {
            format!("RESOLVED {total} INCIDENTS {span}")
        } else {
            format!("{total} INCIDENTS {span}")
        };
        if let Some((name, value, count)) = self.shared() {
            let pair = format!("{}={}", shortened(&one_line(name), 20), shortened(&one_line(value), 30));
            line.push_str(&format!(": {count} share {pair}"));
        }
        let critical =
            self.rows.iter().filter(|row| !row.is_over() && row.severity == Severity::Critical).count();
        if critical > 0 {
            line.push_str(&format!(" · {critical} critical"));
        }
        if over > 0 && over < total {
            line.push_str(&format!(" · {over} over"));
        }
        line
    }

    /// The rows in words, at most [`MOST_ROWS`] and a line that counts the rest.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.rows.iter().take(MOST_ROWS).map(DigestRow::line).collect();
        let more = self.rows.len().saturating_sub(MOST_ROWS);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }

    /// The label pair that most rows have in common, where that is more than half of them and more than one.
    pub fn shared(&self) -> Option<(&str, &str, usize)> {
        let mut counted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for row in &self.rows {
            for pair in row.labels.iter() {
                *counted.entry(pair).or_insert(0) += 1;
            }
        }
        counted.retain(|_, count| *count > 1 && *count * 2 > self.rows.len());
        // The alert's own name says least, because most storms are of one alert. Of equal counts the first in the
        // alphabet, so that equal digests read equal.
        let best = counted.into_iter().max_by_key(|((name, value), count)| {
            (*name != "alertname", *count, std::cmp::Reverse((*name, *value)))
        });
        best.map(|((name, value), count)| (name, value, count))
    }
}

impl DigestRow {
    /// Whether the incident is over as far as this row knows.
    pub fn is_over(&self) -> bool {
        self.event == NoticeEvent::Resolved
    }

    fn line(&self) -> String {
        let state = if self.is_over() { "RESOLVED" } else { self.severity.shout() };
        let what = shortened(&one_line(&self.what), 80);
        format!("{state} {} {what} ({})", self.incident, self.incident_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u32, severity: Severity, event: NoticeEvent, node: &str) -> DigestRow {
        DigestRow {
            incident: format!("INC-20261123-{n:04}").into(),
            event,
            revision: 1,
            page: true,
            severity,
            incident_type: "service_outage".into(),
            what: format!("pod-{n} CPU 95 %").into(),
            labels: Labels::new([("node", node.to_owned()), ("pod", format!("pod-{n}"))]),
            opened_at: Timestamp::from_second(i64::from(n)).unwrap(),
        }
    }

    fn digest(rows: Vec<DigestRow>) -> Digest {
        let at = |second| Timestamp::from_second(second).unwrap();
        Digest::new("D-0001".into(), rows, (at(100), at(140)))
    }

    #[test]
    fn it_says_how_many_what_they_share_and_how_bad_they_are() {
        let mut rows: Vec<_> =
            (1..=9).map(|n| row(n, Severity::Warning, NoticeEvent::Opened, "worker-7")).collect();
        rows.push(row(10, Severity::Critical, NoticeEvent::Opened, "worker-1"));
        rows.push(row(11, Severity::Critical, NoticeEvent::Resolved, "worker-7"));
        let digest = digest(rows);
        assert_eq!(digest.headline(), "11 INCIDENTS in 40s: 10 share node=worker-7 · 1 critical · 1 over");
        let lines = digest.lines();
        assert_eq!(lines[0], "CRITICAL INC-20261123-0010 pod-10 CPU 95 % (service_outage)");
        assert_eq!((lines.len(), lines[10].as_str()), (11, "and 1 more"));
        assert_eq!(digest.severity(), Severity::Critical);
    }

    #[test]
    fn what_is_over_says_so_and_what_is_rare_is_not_shared() {
        let over = |n| row(n, Severity::Critical, NoticeEvent::Resolved, &format!("worker-{n}"));
        let digest = digest(vec![over(1), over(2)]);
        assert_eq!(digest.headline(), "RESOLVED 2 INCIDENTS in 40s");
        assert_eq!(digest.severity(), Severity::Warning);
    }
}
