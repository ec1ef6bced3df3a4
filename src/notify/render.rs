//! From a notice to words: the values of the runbook's placeholders and the message every channel starts from. Owns
//! what a status, an action list or an ETA reads like; what a message looks like is each channel's business.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::domain::Timestamp;
use crate::domain::communication::Communication;
use crate::domain::diagnosis::Link;
use crate::domain::digest::Digest;
use crate::domain::headline::{between, clock_seen, headline, one_line, shortened};
use crate::domain::incident::IncidentState;
use crate::domain::notice::{Notice, NoticeEvent};
use crate::domain::template::{Escape, Insert, LABELS, Template, TemplateError};

use super::NotifyError;

/// How many actions `{actions}` shows.
const MOST_ACTIONS: usize = 3;
/// How many steps `{next_steps}` shows.
const MOST_STEPS: usize = 3;
/// The most characters one value brings along; longer ones lose their middle.
const LONGEST_VALUE: usize = 500;
/// How many links of steps and tools a message carries.
const MOST_LINKS: usize = 5;
/// The longest name of such a link, in characters.
const LONGEST_LINK_NAME: usize = 40;
/// What stands for an empty value: a line that vanishes looks like a mistake.
const NOTHING: &str = "none yet";

/// The runbook's templates, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    initial_alert: Template,
    status_update: Template,
}

/// What there is to say, for one kind of place.
#[derive(Debug, Clone)]
pub struct Message<'n> {
    /// What it says.
    pub notice: &'n Notice,
    /// The headline, not escaped.
    pub headline: String,
    /// The runbook's template, filled and escaped for its place.
    pub text: String,
    /// Why the template could not be filled, where plain words stand in for it.
    pub template_error: Option<TemplateError>,
    /// The incident's page, where the daemon has a public address.
    pub incident_url: Option<String>,
}

impl Wording {
    /// Reads the templates of a communication plan.
    pub fn new(communication: &Communication) -> Result<Self, NotifyError> {
        let parse =
            |name, text: &str| Template::parse(text).map_err(|source| NotifyError::Template { name, source });
        Ok(Self {
            initial_alert: parse("initial_alert", &communication.initial_alert)?,
            status_update: parse("status_update", &communication.status_update)?,
        })
    }

    /// The message of a notice. It never fails: a template that cannot be filled is replaced by plain words, because
    /// a page must not be lost over a template.
    pub fn message<'n>(&self, notice: &'n Notice, escape: Escape, public_url: Option<&str>) -> Message<'n> {
        if let Some(digest) = &notice.digest {
            return digest_message(notice, digest, escape, public_url);
        }
        let template = if notice.event.is_initial() { &self.initial_alert } else { &self.status_update };
        let (text, template_error) = filled(template, notice, escape);
        Message {
            notice,
            headline: headline(&notice.event, &notice.facts),
            text,
            template_error,
            incident_url: public_url
                .map(|base| format!("{}/incidents/{}", base.trim_end_matches('/'), notice.facts.incident_id)),
        }
    }
}

impl Wording {
    /// The opening's words with what is true now, for a place that always shows the whole incident.
    pub fn opening(&self, notice: &Notice, escape: Escape) -> String {
        filled(&self.initial_alert, notice, escape).0
    }

    /// The status' words, also where the notice is the opening.
    pub fn status(&self, notice: &Notice, escape: Escape) -> String {
        filled(&self.status_update, notice, escape).0
    }
}

/// A digest has words of its own: the runbook's templates are about one incident.
fn digest_message<'n>(
    notice: &'n Notice,
    digest: &Digest,
    escape: Escape,
    public_url: Option<&str>,
) -> Message<'n> {
    let lines: Vec<String> = digest.lines().iter().map(|line| escape.escape(line)).collect();
    Message {
        notice,
        headline: digest.headline(),
        text: format!("{}: told together because they came together\n{}\n", digest.name, lines.join("\n")),
        template_error: None,
        incident_url: public_url.map(|base| format!("{}/", base.trim_end_matches('/'))),
    }
}

impl Message<'_> {
    /// Whether the filled template names the incident; where it does not, the channel must.
    pub fn names_incident(&self) -> bool {
        self.text.contains(self.notice.facts.incident_id.as_str())
    }

    /// Where the incident stands and who has it.
    pub fn status(&self) -> String {
        status(self.notice)
    }

    /// What was done, newest first, at most `most` lines and one that counts the rest. Not escaped.
    pub fn did(&self, most: usize) -> Vec<String> {
        did(self.notice, most)
    }

    /// What is to be done, at most `most` lines and one that counts the rest. Not escaped.
    pub fn next_steps(&self, most: usize) -> Vec<String> {
        next_steps(self.notice, most)
    }

    /// What the diagnosis found, at most `most` lines and one that counts the rest. Not escaped.
    pub fn found(&self, most: usize) -> Vec<String> {
        let found = &self.notice.facts.diagnosis;
        let mut lines: Vec<String> = found.iter().take(most).map(|line| tamed(line)).collect();
        if found.len() > most {
            lines.push(format!("and {} more", found.len() - most));
        }
        lines
    }

    /// When something happens next, in words.
    pub fn eta(&self) -> String {
        eta(self.notice)
    }

    /// The page people should read, if it is one that a browser opens without harm.
    pub fn runbook_url(&self) -> Option<&str> {
        self.notice.facts.runbook_url.as_deref().filter(|url| is_web(url))
    }

    /// The links of steps and tools that a browser opens without harm.
    pub fn tools(&self) -> impl Iterator<Item = &Link> {
        self.notice.facts.links.iter().filter(|link| is_web(&link.url))
    }

    /// The picture of the leading alert's values, where there is a query to draw.
    pub fn chart_url(&self) -> Option<String> {
        let page = self.incident_url.as_deref()?;
        let is_drawn = self.notice.facts.lead.is_some() && self.notice.digest.is_none();
        is_drawn.then(|| format!("{page}/chart.png"))
    }

    /// The links with their names, the most useful first.
    pub fn links(&self) -> Vec<(String, &str)> {
        let incident = self.incident_url.as_deref().map(|url| ("Incident".to_owned(), url));
        let runbook = self.runbook_url().map(|url| ("Runbook".to_owned(), url));
        let tools = self
            .tools()
            .take(MOST_LINKS)
            .map(|link| (shortened(one_line(&link.name).trim(), LONGEST_LINK_NAME), &*link.url));
        incident.into_iter().chain(runbook).chain(tools).collect()
    }
}

/// Whether the incident is over as far as this notice knows.
pub fn is_over(notice: &Notice) -> bool {
    matches!(notice.event, NoticeEvent::Resolved)
        || matches!(notice.facts.state, IncidentState::Resolved | IncidentState::Closed)
}

/// A value of the world on one line and not longer than a message can take.
pub fn tamed(text: &str) -> String {
    shortened(one_line(text).trim(), LONGEST_VALUE)
}

fn filled(template: &Template, notice: &Notice, escape: Escape) -> (String, Option<TemplateError>) {
    let values = values(notice, escape);
    match template.render_for(escape, &values) {
        Ok(text) => (text, None),
        Err(error) => (plain_words(&values, escape), Some(error)),
    }
}

fn values(notice: &Notice, escape: Escape) -> BTreeMap<String, Insert> {
    let facts = &notice.facts;
    let mut values = BTreeMap::new();
    for (name, value) in facts.labels.iter().chain(facts.subject.iter()) {
        let insert = Insert::Plain(tamed(value));
        if LABELS.contains(&name) {
            values.insert(name.to_owned(), insert.clone());
        }
        values.insert(format!("labels.{name}"), insert);
    }
    let mut put = |name: &str, value: &str| {
        let value = if value.trim().is_empty() { NOTHING.to_owned() } else { tamed(value) };
        values.insert(name.to_owned(), Insert::Plain(value));
    };
    put("incident_id", facts.incident_id.as_str());
    put("type", facts.incident_type.as_str());
    put("severity", facts.severity.as_str());
    put("impact", &facts.impact);
    put("team", &facts.team);
    put("status", &status(notice));
    put("actions", &did(notice, MOST_ACTIONS).join("; "));
    put("next_steps", &next_steps(notice, MOST_STEPS).join("; "));
    put("eta", &eta(notice));
    if escape == Escape::Mrkdwn
        && let Some(at) = facts.eta.filter(|_| !is_over(notice))
    {
        values.insert("eta".to_owned(), Insert::Ready(slack_time(at, notice.created_at)));
    }
    values
}

fn status(notice: &Notice) -> String {
    let facts = &notice.facts;
    let now = notice.created_at;
    let owner = facts.acknowledged_by.as_deref();
    if let NoticeEvent::Acknowledged { by } = &notice.event {
        return format!("acknowledged by {by} at {}", clock_seen(now, now));
    }
    if is_over(notice) {
        let at = facts.resolved_at.unwrap_or(now);
        let lasted = between(facts.opened_at, at);
        return format!("resolved at {} after {lasted}", clock_seen(at, now));
    }
    let state = match (&notice.event, facts.state) {
        (NoticeEvent::Reopened, _) => format!("open again since {}", clock_seen(now, now)),
        (_, IncidentState::Acknowledged) => {
            return owner
                .map_or_else(|| "acknowledged".to_owned(), |owner| format!("acknowledged by {owner}"));
        }
        (_, state) => state.to_string(),
    };
    owner.map_or_else(|| state.clone(), |owner| format!("{state}, acknowledged by {owner}"))
}

fn did(notice: &Notice, most: usize) -> Vec<String> {
    let actions = &notice.facts.actions;
    let shown = actions.iter().take(most);
    let mut lines: Vec<String> = shown
        .map(|action| format!("{} {}", clock_seen(action.at, notice.created_at), one_line(&action.text)))
        .collect();
    if actions.len() > most {
        lines.push(format!("and {} earlier", actions.len() - most));
    }
    lines
}

fn next_steps(notice: &Notice, most: usize) -> Vec<String> {
    let steps = &notice.facts.next_steps;
    let mut lines: Vec<String> = steps.iter().take(most).map(|step| tamed(step)).collect();
    if steps.len() > most {
        lines.push(format!("and {} more", steps.len() - most));
    }
    lines
}

fn eta(notice: &Notice) -> String {
    if is_over(notice) {
        return "none, this is over".to_owned();
    }
    notice.facts.eta.map_or_else(|| NOTHING.to_owned(), |at| clock_seen(at, notice.created_at))
}

/// Slack shows this in the reader's zone; the part after the bar stands in where it cannot.
fn slack_time(at: Timestamp, now: Timestamp) -> String {
    let shown = clock_seen(at, now);
    let form = if shown.contains('-') { "{date_short_pretty} {time}" } else { "{time}" };
    format!("<!date^{}^{form}|{shown}>", at.as_second())
}

/// The same facts without a template.
fn plain_words(values: &BTreeMap<String, Insert>, escape: Escape) -> String {
    let mut text = String::new();
    for (title, name) in [
        ("Incident", "incident_id"),
        ("Type", "type"),
        ("Severity", "severity"),
        ("Impact", "impact"),
        ("Response team", "team"),
        ("Status", "status"),
        ("Actions taken", "actions"),
        ("Next steps", "next_steps"),
        ("ETA", "eta"),
    ] {
        let value = match values.get(name) {
            Some(Insert::Plain(value)) => escape.escape(value),
            Some(Insert::Ready(value)) => value.clone(),
            None => continue,
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{title}: {value}");
    }
    text
}

fn is_web(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= 2_000
        && !url.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\'))
}
