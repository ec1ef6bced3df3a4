//! A run: a storm of problems, a daemon that is killed again and again over one store, and the judgement at the end.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use tokio::time::Instant;

use super::daemon::{Home, Life};
use super::dice::Dice;
use super::hook::OWN;
use super::oracle::{self, Illness, Kill, Repeats};
use super::patience::lasting;
use super::script::{Load, Problem, Script};
use super::sinks::{Channel, Ill, Sinks};
use super::source::Source;
use super::words;

/// How long a life lasts at the most before it is killed.
const LONGEST_LIFE: Duration = Duration::from_millis(2_400);

/// How long a kill at the last byte waits for a message.
const FOR_A_MESSAGE: Duration = Duration::from_millis(1_500);

/// How long the webhook takes for an answer at the most: long enough that all its lanes are busy.
const SLOWEST_HOOK: Duration = Duration::from_millis(60);

/// How long it may take until an illness meets a message.
const TO_FEEL: Duration = Duration::from_secs(15);

/// "Right after the start".
const RECOVERY: Duration = Duration::from_millis(50);

/// Where kills fall: of ten, six anywhere in a life, two in recovery, two between the last byte of a message and its
/// answer.
const DECK: [Point; 10] = {
    use Point::{Anywhere, LastByte, Recovery};
    [Anywhere, LastByte, Anywhere, Recovery, Anywhere, Anywhere, LastByte, Anywhere, Recovery, Anywhere]
};

/// Where a kill is meant to fall.
#[derive(Debug, Clone, Copy)]
enum Point {
    Anywhere,
    Recovery,
    LastByte,
}

/// How long everything that is owed may take once nothing fails any more: the largest backoff, a channel's own bound
/// on one attempt, and Slack's second a message for what waits.
const TO_DRAIN: Duration = Duration::from_secs(90);

/// What a run is.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What chance is made of.
    pub(crate) seed: u64,
    /// How many kills.
    pub(crate) kills: usize,
    /// What is ill, one after the other, over the run.
    pub(crate) ills: Vec<(Channel, Ill)>,
    /// What goes on.
    pub(crate) load: Load,
}

/// How a run went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The kills.
    pub(crate) kills: Vec<Kill>,
    /// The repeats that are excused.
    pub(crate) repeats: Repeats,
    /// How many problems there were, and how many words about them.
    pub(crate) problems: usize,
    /// How many words arrived.
    pub(crate) words: usize,
    /// From each start to the first question asked.
    pub(crate) recoveries: Vec<Duration>,
}

impl Outcome {
    /// How many percent of the kills had a message in flight or waiting.
    pub(crate) fn busy_percent(&self) -> usize {
        let busy = self.kills.iter().filter(|kill| kill.waiting > 0).count();
        100 * busy / self.kills.len().max(1)
    }

    /// Adds another run.
    pub(crate) fn add(&mut self, other: Self) {
        self.kills.extend(other.kills);
        self.repeats.killed += other.repeats.killed;
        self.repeats.unanswered += other.repeats.unanswered;
        self.problems += other.problems;
        self.words += other.words;
        self.recoveries.extend(other.recoveries);
    }

    /// What there is to say about it.
    pub(crate) fn summary(&self) -> String {
        let at = |point| self.kills.iter().filter(|kill| kill.point == point).count();
        let mut recoveries = self.recoveries.clone();
        recoveries.sort();
        let part = |percent: usize| {
            recoveries.get((recoveries.len() * percent / 100).min(recoveries.len().saturating_sub(1)))
        };
        format!(
            "{} kills ({} anywhere, {} in recovery, {} at the last byte), {} % with a message in flight or waiting; \
             {} problems, {} messages; repeats: {} excused by a kill, {} by a withheld answer; \
             start to first question: p50 {:?}, p99 {:?}",
            self.kills.len(),
            at("anywhere"),
            at("recovery"),
            at("last byte"),
            self.busy_percent(),
            self.problems,
            self.words,
            self.repeats.killed,
            self.repeats.unanswered,
            part(50).copied().unwrap_or_default(),
            part(99).copied().unwrap_or_default(),
        )
    }
}

/// Everything around the daemon.
pub(crate) struct World {
    /// Where metrics come from.
    pub(crate) source: Source,
    /// Who is told.
    pub(crate) sinks: Sinks,
    /// Where the daemon lives.
    pub(crate) home: Home,
    /// The kills so far.
    pub(crate) kills: Vec<Kill>,
    /// Who was ill when.
    pub(crate) illnesses: Vec<Illness>,
    /// From each start to the first question.
    pub(crate) recoveries: Vec<Duration>,
}

impl World {
    /// A world without a daemon yet.
    pub(crate) async fn new(
        seed: u64,
        load: Load,
        store: &str,
        slowest_hook: Duration,
    ) -> anyhow::Result<Self> {
        world::install_crypto();
        let mut source = Source::start(Script::new(seed, load)).await?;
        let sinks = Sinks::start(slowest_hook, Sinks::plain_mail()).await?;
        let home = Home::new(&source.url(), &sinks, store)?;
        source.listen_to(home.asker());
        Ok(Self { source, sinks, home, kills: Vec::new(), illnesses: Vec::new(), recoveries: Vec::new() })
    }

    /// Begins a life.
    pub(crate) fn begin(&self) -> anyhow::Result<Life> {
        self.source.next_life();
        self.home.begin()
    }

    /// How many messages are in flight or waiting, as far as the world can tell.
    fn waiting(&self) -> usize {
        let words = words::read(&self.sinks);
        let missing = oracle::missing(&self.source.script().problems, &words, Problem::seen).len();
        missing + self.sinks.hook.in_flight()
    }

    /// Kills a life.
    pub(crate) async fn kill(&mut self, life: Life, point: &'static str) -> anyhow::Result<()> {
        // Before the signal: what waits does not change by it, and reading takes time.
        let waiting = self.waiting();
        let from = Timestamp::now();
        life.kill().await?;
        self.kills.push(Kill { from, to: Timestamp::now(), point, waiting });
        Ok(())
    }

    /// Lives until the storm has come: from then on there is always something to lose.
    pub(crate) async fn warm_up(&self) -> anyhow::Result<Life> {
        let life = self.begin()?;
        self.sinks.hook.journal.wait_count(20, Duration::from_secs(20)).await?;
        Ok(life)
    }

    /// Lives one life up to an instant that chance chooses.
    async fn live_and_die(&mut self, dice: &mut Dice) -> anyhow::Result<()> {
        let begun = Instant::now();
        let life = self.begin()?;
        let point = match DECK[self.kills.len() % DECK.len()] {
            Point::Anywhere => {
                let lasts = dice.up_to(LONGEST_LIFE);
                self.source.asked(lasts).await;
                if begun.elapsed() < lasts {
                    self.recoveries.push(begun.elapsed());
                }
                lasting(lasts.saturating_sub(begun.elapsed())).await;
                "anywhere"
            }
            Point::Recovery => {
                if dice.percent(50) {
                    self.source.asked(LONGEST_LIFE).await;
                }
                lasting(dice.up_to(RECOVERY)).await;
                "recovery"
            }
            Point::LastByte => {
                let channel = Channel::ALL[usize::try_from(dice.below(4))?];
                self.source.asked(LONGEST_LIFE).await;
                lasting(dice.up_to(LONGEST_LIFE / 4)).await;
                let came = self.sinks.withhold_next(channel, FOR_A_MESSAGE).await
                    || self.sinks.withhold_next(Channel::Hook, FOR_A_MESSAGE).await;
                if came { "last byte" } else { "anywhere" }
            }
        };
        if point == "last byte" {
            // The message has arrived and its answer will not: counting first would take too long.
            let from = Timestamp::now();
            life.kill().await?;
            let waiting = self.waiting().max(1);
            self.kills.push(Kill { from, to: Timestamp::now(), point, waiting });
            return Ok(());
        }
        self.kill(life, point).await
    }

    /// Lives two lives while a channel is ill, killed in the first and after the second began to work again.
    async fn live_ill(&mut self, channel: Channel, ill: Ill, dice: &mut Dice) -> anyhow::Result<()> {
        let from = Timestamp::now();
        self.sinks.infect(channel, ill).await;
        let since = Timestamp::now();
        let life = self.begin()?;
        self.source.asked(LONGEST_LIFE).await;
        lasting(Duration::from_millis(200) + dice.up_to(Duration::from_secs(1))).await;
        self.kill(life, "anywhere").await?;
        let life = self.begin()?;
        self.source.asked(LONGEST_LIFE).await;
        self.sinks.felt(channel, ill, since, TO_FEEL).await?;
        lasting(dice.up_to(Duration::from_secs(1))).await;
        self.sinks.heal().await?;
        self.illnesses.push(Illness { channel, from, to: Timestamp::now() });
        lasting(dice.up_to(Duration::from_millis(500))).await;
        self.kill(life, "anywhere").await
    }

    /// Lets everything come to its end under one daemon, and judges it.
    pub(crate) async fn judge(self) -> anyhow::Result<Outcome> {
        self.sinks.heal().await?;
        self.source.script().stop();
        let mut life = self.begin()?;
        self.home.ready(&mut life).await?;
        // Where a last word was refused somebody has to say that the cause is mended.
        self.home.append("config/runbookd.yaml", "# mended\n")?;
        self.home.reload(None).await?;
        let deadline = Instant::now() + TO_DRAIN;
        loop {
            let over = self.source.script().is_over();
            let left = self.home.metric("runbookd_outbox_messages").await.unwrap_or(f64::NAN);
            if over && left == 0.0 {
                break;
            }
            if Instant::now() > deadline {
                let words = words::read(&self.sinks);
                let missing = oracle::missing(&self.source.script().problems, &words, Problem::certain);
                anyhow::bail!(
                    "{left} messages still wait after {TO_DRAIN:?} (script over: {over}); missing: {:#?}\n{}",
                    missing.iter().take(10).collect::<Vec<_>>(),
                    self.home.end_of_log()
                );
            }
            lasting(Duration::from_millis(100)).await;
        }
        let words = words::read(&self.sinks);
        let problems = std::mem::take(&mut self.source.script().problems);
        let (breaches, repeats) = oracle::judge(&problems, &words, &self.kills, &self.illnesses);
        if !breaches.is_empty() {
            let shown: Vec<String> =
                breaches.iter().take(20).map(|it| format!("{:?}: {}", it.invariant, it.what)).collect();
            anyhow::bail!(
                "{} breaches:\n{}\nkills: {:#?}\nlog: {}",
                breaches.len(),
                shown.join("\n"),
                self.kills,
                keep(&self.home)?
            );
        }
        self.agree(&problems, &words).await?;
        Ok(Outcome {
            kills: self.kills,
            repeats,
            problems: problems.len(),
            words: words.len(),
            recoveries: self.recoveries,
        })
    }

    /// The third witness: what the daemon says of itself agrees with script and receivers.
    async fn agree(&self, problems: &[Problem], words: &[words::Word]) -> anyhow::Result<()> {
        let mut incidents = self.home.incidents().await?;
        incidents.retain(|(service, ..)| service != OWN);
        ensure!(
            incidents.len() == problems.len(),
            "{} incidents in the API and {} problems in the script",
            incidents.len(),
            problems.len()
        );
        let told: std::collections::BTreeMap<&str, &str> = words
            .iter()
            .filter(|word| word.channel == Channel::Hook)
            .map(|word| (word.service.as_str(), word.incident.as_str()))
            .collect();
        for (service, number, state) in &incidents {
            ensure!(state == "resolved" || state == "closed", "{number} of {service} is {state} at the end");
            let heard = told.get(service.as_str());
            ensure!(
                heard == Some(&number.as_str()),
                "{service} is {number} in the API and {heard:?} outside"
            );
        }
        Ok(())
    }
}

/// Copies a log to where it outlives the run; says where.
fn keep(home: &Home) -> anyhow::Result<String> {
    let path = std::env::temp_dir().join(format!("runbookd-chaos-{}.log", std::process::id()));
    std::fs::write(&path, home.log()).context("cannot keep the log")?;
    Ok(path.display().to_string())
}

/// One run from its plan.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut world = World::new(plan.seed, plan.load, "data/runbookd.db", SLOWEST_HOOK).await?;
    let mut dice = Dice::new(plan.seed, "kills");
    let life = world.warm_up().await?;
    world.kill(life, "anywhere").await?;
    for (channel, ill) in &plan.ills {
        world.live_ill(*channel, *ill, &mut dice).await?;
    }
    while world.kills.len() < plan.kills {
        world.live_and_die(&mut dice).await?;
    }
    world.judge().await
}
