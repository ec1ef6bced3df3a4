//! The oracle: what the receivers heard, held against the script. Each invariant has a name; none of them looks into
//! the daemon.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use runbookd::domain::labels::Fnv;

use super::hook::OWN;
use super::script::{Level, Problem};
use super::sinks::Channel;
use super::words::{Kind, Word};

/// A kill.
#[derive(Debug, Clone)]
pub(crate) struct Kill {
    /// Right before the signal.
    pub(crate) from: Timestamp,
    /// When the process was gone.
    pub(crate) to: Timestamp,
    /// At which point it was meant to be.
    pub(crate) point: &'static str,
    /// How many messages were in flight or waiting.
    pub(crate) waiting: usize,
}

/// A time in which a channel was ill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Illness {
    /// Which channel.
    pub(crate) channel: Channel,
    /// From when.
    pub(crate) from: Timestamp,
    /// Until when; the end of the run at the latest.
    pub(crate) to: Timestamp,
}

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Invariant {
    /// Every incident is told on every routed channel: as many pages as the script has reasons for.
    Told,
    /// Every channel that was told is told exactly once that it is over, and that is its last word.
    Over,
    /// Nothing is said that no script has a reason for.
    Known,
    /// One problem is one incident, and one number is one problem.
    OneIncident,
    /// Revisions grow along a channel and incident.
    Order,
    /// Nothing is said twice, unless a kill or a lost answer fell into it; and of one lane at most one a kill.
    Once,
    /// `PagerDuty` is paged once a key, and never after its end.
    PagerDuty,
}

/// A breach of an invariant, in words.
#[derive(Debug, Clone)]
pub(crate) struct Breach {
    /// Which.
    pub(crate) invariant: Invariant,
    /// What happened.
    pub(crate) what: String,
}

/// What repeats there were, and why they are excused.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Repeats {
    /// After a kill.
    pub(crate) killed: usize,
    /// After an answer that the receiver withheld.
    pub(crate) unanswered: usize,
}

/// How many pages and ends a problem's levels are worth on a channel.
fn due(levels: &[Level], channel: Channel) -> (usize, usize) {
    let (mut pages, mut ends) = (0, 0);
    let mut before = Level::Clear;
    // The webhook hears of warnings, the others from the first critical level on.
    let mut told = channel == Channel::Hook;
    for level in levels {
        let newly = !told && *level == Level::Critical;
        told |= newly;
        if told {
            pages += usize::from(newly || *level > before);
            ends += usize::from(*level == Level::Clear && before != Level::Clear);
        }
        before = *level;
    }
    (pages, ends)
}

/// What has been said about a service on a channel, each thing once.
fn said(words: &[&Word]) -> (usize, usize) {
    let distinct = |kind| -> BTreeSet<&str> {
        let of_kind = words.iter().filter(|word| word.heard && word.kind == kind);
        of_kind.map(|word| word.same.as_str()).collect()
    };
    (distinct(Kind::Page).len(), distinct(Kind::Over).len())
}

type ByProblem<'w> = BTreeMap<(&'w str, Channel), Vec<&'w Word>>;

fn by_problem(words: &[Word]) -> ByProblem<'_> {
    let mut sorted: ByProblem<'_> = BTreeMap::new();
    for word in words {
        sorted.entry((word.service.as_str(), word.channel)).or_default().push(word);
    }
    sorted
}

/// What is not told of the levels that `known` says of each problem: in flight or waiting.
pub(crate) fn missing(problems: &[Problem], words: &[Word], known: fn(&Problem) -> &[Level]) -> Vec<String> {
    let heard = by_problem(words);
    let mut owed = Vec::new();
    for problem in problems {
        let levels = known(problem);
        for channel in Channel::ALL {
            let (mut pages, mut ends) = due(levels, channel);
            let spoken = heard.get(&(problem.service.as_str(), channel)).map_or(&[][..], Vec::as_slice);
            let (opened, closed) = said(spoken);
            if channel == Channel::PagerDuty {
                // Told by keys: each page has one, and all of them end.
                ends = if levels.last() == Some(&Level::Clear) { pages } else { closed };
            }
            if was_lied_to(spoken) {
                // What it took for refused is not told there, but on the next rung; and its end neither.
                pages = pages.min(opened);
                let last = spoken.iter().rev().find(|word| word.heard).map(|word| word.kind);
                let open = last == Some(Kind::Page) && levels.last() == Some(&Level::Clear);
                ends = closed + usize::from(open);
            }
            for _ in opened..pages {
                owed.push(format!("{} has not been paged about on {channel:?}", problem.service));
            }
            for _ in closed..ends {
                owed.push(format!("{} is not over on {channel:?}", problem.service));
            }
        }
    }
    owed
}

/// Whether a channel said yes and took nothing.
fn was_lied_to(words: &[&Word]) -> bool {
    words.iter().any(|word| word.channel == Channel::Slack && !word.heard && word.lied)
}

/// Holds everything that was said against the script, once the script is over.
pub(crate) fn judge(
    problems: &[Problem],
    words: &[Word],
    kills: &[Kill],
    illnesses: &[Illness],
) -> (Vec<Breach>, Repeats) {
    let mut breaches = Vec::new();
    let mut breach = |invariant, what: String| breaches.push(Breach { invariant, what });
    for what in missing(problems, words, Problem::certain) {
        let invariant = if what.contains("not over") { Invariant::Over } else { Invariant::Told };
        breach(invariant, what);
    }
    let known: BTreeMap<&str, &Problem> =
        problems.iter().map(|problem| (problem.service.as_str(), problem)).collect();
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut uids: BTreeMap<&str, &str> = BTreeMap::new();
    // What the daemon has to say about itself (its store is slow or full) is true or not, but it is nobody's problem.
    // That a kill made it forget something never is.
    let own: BTreeSet<&str> = words
        .iter()
        .filter(|word| word.channel == Channel::Hook && word.service.starts_with(OWN))
        .map(|word| word.incident.as_str())
        .collect();
    for word in words {
        if own.contains(word.incident.as_str()) {
            if word.service.contains("forgot") {
                breach(Invariant::Known, format!("the store lost what was committed: {word:?}"));
            }
            continue;
        }
        let Some(problem) = known.get(word.service.as_str()) else {
            breach(Invariant::Known, format!("{:?} heard of something unknown: {word:?}", word.channel));
            continue;
        };
        if due(problem.possible(), word.channel).0 == 0 {
            breach(
                Invariant::Known,
                format!("{} was told on {:?} for no reason", word.service, word.channel),
            );
        }
        if word.kind == Kind::Update {
            breach(Invariant::Known, format!("an update nobody has a reason for: {word:?}"));
        }
        if !word.incident.is_empty() {
            let number = numbers.entry(&word.service).or_insert(&word.incident);
            if *number != word.incident {
                let what = format!("{} is {number} and {}", word.service, word.incident);
                breach(Invariant::OneIncident, what);
            }
        }
        if !word.uid.is_empty() {
            let uid = uids.entry(&word.service).or_insert(&word.uid);
            if *uid != word.uid {
                breach(Invariant::OneIncident, format!("{} is {uid} and {}", word.service, word.uid));
            }
        }
    }
    let distinct: BTreeSet<&&str> = numbers.values().collect();
    if distinct.len() < numbers.len() {
        breach(Invariant::OneIncident, "a number was given twice".to_owned());
    }
    for ((service, channel), spoken) in by_problem(words) {
        if !known.contains_key(service) {
            continue;
        }
        let heard: Vec<&&Word> = spoken.iter().filter(|word| word.heard).collect();
        if channel == Channel::PagerDuty {
            for what in keys(&heard) {
                breach(Invariant::PagerDuty, format!("{service}: {what}"));
            }
            continue;
        }
        if let Some((pages, ends)) = known.get(service).map(|problem| due(problem.possible(), channel)) {
            let (paged, ended) = said(&spoken);
            if paged > pages {
                breach(
                    Invariant::Known,
                    format!("{service}: {paged} pages for {pages} reasons on {channel:?}"),
                );
            }
            if ended > ends {
                breach(
                    Invariant::Over,
                    format!("{service}: over {ended} times for {ends} ends on {channel:?}"),
                );
            }
        }
        for pair in heard.windows(2) {
            if pair[1].revision < pair[0].revision {
                let what = format!("{service}: {} after {} on {channel:?}", pair[1].same, pair[0].same);
                breach(Invariant::Order, what);
            }
            if pair[1].kind == Kind::Over && pair[0].kind == Kind::Over && pair[0].same != pair[1].same {
                breach(Invariant::Over, format!("{service}: over twice in a row on {channel:?}"));
            }
        }
    }
    let mut repeats = Repeats::default();
    for channel in Channel::ALL {
        once(channel, words, &uids, kills, illnesses, &mut repeats, &mut breach);
    }
    (breaches, repeats)
}

/// What is wrong with the keys of one incident in `PagerDuty`.
fn keys(heard: &[&&Word]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open: BTreeMap<&str, bool> = BTreeMap::new();
    for word in heard {
        let key = word.same.split(' ').nth(1).unwrap_or_default();
        match (word.kind, open.get(key)) {
            (Kind::Page, Some(false)) => wrong.push(format!("{key} was paged after its end")),
            (Kind::Page, _) => drop(open.insert(key, true)),
            // Nobody was paged under it: taken by PagerDuty without effect, and by us for a mistake.
            (Kind::Over, None) => wrong.push(format!("{key} ended and had not begun")),
            (Kind::Over, _) => drop(open.insert(key, false)),
            (Kind::Update, _) => {}
        }
    }
    wrong
}

/// Every repeat must be excused, and each excuse serves one repeat of a lane.
fn once(
    channel: Channel,
    words: &[Word],
    uids: &BTreeMap<&str, &str>,
    kills: &[Kill],
    illnesses: &[Illness],
    repeats: &mut Repeats,
    breach: &mut impl FnMut(Invariant, String),
) {
    let lane = |word: &Word| uids.get(word.service.as_str()).map_or(0, |uid| slot(uid, channel.lanes()));
    let spoken: Vec<&Word> = words.iter().filter(|word| word.channel == channel).collect();
    let mut last: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut excused: BTreeMap<(Timestamp, u64), &str> = BTreeMap::new();
    for (at, word) in spoken.iter().enumerate().filter(|(_, word)| word.heard) {
        let Some(before) = last.insert((word.service.as_str(), word.same.as_str()), at) else { continue };
        let first = spoken[before];
        let what =
            format!("{} {} twice on {channel:?}, at {} and {}", word.service, word.same, first.at, word.at);
        // An end in PagerDuty names every key, so a second end of an incident repeats the first one's keys.
        if channel == Channel::PagerDuty && word.kind == Kind::Over && ends_between(&spoken, before, at) {
            continue;
        }
        let ill =
            illnesses.iter().any(|ill| ill.channel == channel && ill.from <= first.at && first.at <= ill.to);
        if first.withheld && ill {
            repeats.unanswered += 1;
            continue;
        }
        let kill = kills.iter().find(|kill| first.at <= kill.to && kill.from <= word.at);
        let Some(kill) = kill else {
            breach(Invariant::Once, format!("{what}, and no kill between"));
            continue;
        };
        // The lane's next message leaves only once the first one's answer is on record.
        let next = spoken[before + 1..at]
            .iter()
            .find(|next| next.at < kill.from && next.service != word.service && lane(next) == lane(word));
        if let Some(next) = next {
            breach(
                Invariant::Once,
                format!("{what}, though its lane went on with {} before the kill", next.service),
            );
            continue;
        }
        let of_lane = excused.entry((kill.from, lane(word))).or_insert(&word.service);
        if *of_lane != word.service {
            breach(
                Invariant::Once,
                format!("{what}: the second of its lane after one kill, beside {of_lane}"),
            );
            continue;
        }
        repeats.killed += 1;
    }
}

/// Whether an incident was paged again between two ends.
fn ends_between(spoken: &[&Word], first: usize, second: usize) -> bool {
    let (one, other) = (spoken[first], spoken[second]);
    let between = spoken[first..second].iter();
    between
        .filter(|word| word.service == one.service && other.service == word.service)
        .any(|word| word.kind == Kind::Page)
}

/// The lane of an incident, as `src/engine/lanes.rs` chooses it.
fn slot(uid: &str, lanes: u64) -> u64 {
    let mut hash = Fnv::default();
    hash.write(uid.as_bytes());
    (hash.0 >> 32) % lanes
}
