//! The oracle under test: stories with one thing wrong each, and the invariant that has to notice.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::oracle::{Illness, Invariant, Kill, judge};
use super::script::{Level, Load, Problem, Script};
use super::sinks::Channel;
use super::words::{Kind, Word};

/// Two services that were bad and are well again, both certainly seen.
fn problems(levels: &[Level]) -> Vec<Problem> {
    let mut script = Script::new(1, Load { at_once: 0, critical: 0 });
    script.burst(2, levels);
    script.end_burst();
    let mut now = Instant::now();
    while !script.is_over() {
        script.answer(1, "0", now);
        now += Duration::from_secs(1);
        script.answer(1, "0", now);
        script.recorded(1, now, now);
        script.advance(now);
    }
    script.problems
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
}

fn word(channel: Channel, service: u32, revision: u64, kind: Kind, second: i64) -> Word {
    let uid = "same-lane".to_owned();
    let same = match (channel, kind) {
        (Channel::PagerDuty, Kind::Page) => format!("trigger runbookd/{uid}{service}"),
        (Channel::PagerDuty, _) => format!("resolve runbookd/{uid}{service}"),
        _ => revision.to_string(),
    };
    Word {
        channel,
        service: format!("svc-{service:06}"),
        incident: format!("INC-20261123-{service:04}"),
        uid,
        same,
        revision: Some(revision),
        kind,
        at: at(second),
        heard: true,
        withheld: false,
        lied: false,
    }
}

fn kill(second: i64) -> Kill {
    Kill { from: at(second), to: at(second), point: "anywhere", waiting: 1 }
}

/// Both services paged and over on the webhook.
fn well() -> Vec<Word> {
    use Channel::Hook;
    vec![
        word(Hook, 1, 1, Kind::Page, 10),
        word(Hook, 2, 1, Kind::Page, 20),
        word(Hook, 1, 2, Kind::Over, 30),
        word(Hook, 2, 2, Kind::Over, 40),
    ]
}

fn noticed(levels: &[Level], words: &[Word], kills: &[Kill]) -> Vec<Invariant> {
    let (breaches, _) = judge(&problems(levels), words, kills, &[]);
    let mut noticed: Vec<Invariant> = breaches.into_iter().map(|breach| breach.invariant).collect();
    noticed.sort();
    noticed.dedup();
    noticed
}

/// What is wrong, in which words and kills, and who has to notice.
type Case = (&'static str, Vec<Word>, Vec<Kill>, &'static [Invariant]);

fn changed(change: impl FnOnce(&mut Vec<Word>)) -> Vec<Word> {
    let mut words = well();
    change(&mut words);
    words.sort_by_key(|word| word.at);
    words
}

#[test]
fn the_oracle_notices_each_thing_that_can_go_wrong() {
    use Channel::{Hook, Slack};
    use Invariant::{Known, Once, OneIncident, Order, Over, Told};
    const WARNED: &[Level] = &[Level::Warning, Level::Clear];
    let cases: [Case; 15] = [
        ("all is well", well(), vec![], &[]),
        ("a lost page", changed(|all| drop(all.remove(0))), vec![], &[Told]),
        ("a refused page", changed(|all| all[0].heard = false), vec![], &[Told]),
        ("a lost all-clear", changed(|all| drop(all.pop())), vec![], &[Over]),
        ("over twice", changed(|all| all.push(word(Hook, 1, 3, Kind::Over, 50))), vec![], &[Over]),
        (
            "two pages for one",
            changed(|all| all.push(word(Hook, 1, 2, Kind::Page, 25))),
            vec![],
            &[Known, Once],
        ),
        ("a stranger", changed(|all| all.push(word(Hook, 3, 1, Kind::Page, 50))), vec![], &[Known]),
        (
            "an update for no reason",
            changed(|all| all.push(word(Hook, 1, 3, Kind::Update, 50))),
            vec![],
            &[Known],
        ),
        (
            "on a channel not routed",
            changed(|all| all.push(word(Slack, 1, 1, Kind::Page, 15))),
            vec![],
            &[Known],
        ),
        (
            "another number",
            changed(|all| all[2].incident = "INC-20261123-0009".into()),
            vec![],
            &[OneIncident],
        ),
        ("another identity", changed(|all| all[2].uid = "other".into()), vec![], &[OneIncident]),
        ("the end before the page", changed(|all| all[0].at = at(35)), vec![], &[Order]),
        ("a repeat", changed(|all| all.push(word(Hook, 1, 1, Kind::Page, 15))), vec![], &[Once]),
        (
            "a repeat after a kill",
            changed(|all| all.push(word(Hook, 1, 1, Kind::Page, 15))),
            vec![kill(12)],
            &[],
        ),
        (
            "a repeat although its lane had gone on",
            changed(|all| all.push(word(Hook, 1, 1, Kind::Page, 25))),
            vec![kill(22)],
            &[Once],
        ),
    ];
    for (what, words, kills, expected) in cases {
        assert_eq!(noticed(WARNED, &words, &kills), expected, "{what}");
    }
}

#[test]
fn the_oracle_knows_pagerdutys_keys_and_withheld_answers() {
    use Channel::PagerDuty;
    const BAD: &[Level] = &[Level::Critical, Level::Clear];
    let story = |second: Kind, third: Kind| {
        let words = [(Kind::Page, 1), (second, 2), (third, 3)];
        words.map(|(kind, second)| word(PagerDuty, 1, 0, kind, second)).to_vec()
    };
    let wrong = noticed(BAD, &story(Kind::Over, Kind::Page), &[kill(2)]);
    assert!(wrong.contains(&Invariant::PagerDuty), "paged after its end: {wrong:?}");
    let wrong = noticed(BAD, &story(Kind::Page, Kind::Over), &[kill(1)]);
    assert!(!wrong.contains(&Invariant::PagerDuty) && !wrong.contains(&Invariant::Once), "{wrong:?}");

    let mut words = changed(|all| all.push(word(Channel::Hook, 1, 1, Kind::Page, 15)));
    words[0].withheld = true;
    let ill = Illness { channel: Channel::Hook, from: at(5), to: at(12) };
    let (breaches, repeats) = judge(&problems(&[Level::Warning, Level::Clear]), &words, &[], &[ill]);
    assert!(breaches.is_empty() && repeats.unanswered == 1, "{breaches:?}");
}
