//! Chaos: the real binary under a storm, killed with SIGKILL again and again over one store, with receivers that fail,
//! hang and lie. What counts is what the receivers wrote down, held against the script of the storm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test fails by panicking and tells its story"
)]

mod age;
mod daemon;
mod dice;
mod disk;
mod hook;
mod oracle;
mod patience;
mod planted;
mod run;
mod script;
mod secrets;
mod sinks;
mod source;
mod storm;
mod words;

use run::{Outcome, Plan, run};
use script::Load;
use sinks::{Channel, Ill};

/// A storm that fits two cores and Slack's one message a second.
const STORM: Load = Load { at_once: 120, critical: 5 };

/// Fewer problems, so that what waited in an illness is soon told.
const DRIZZLE: Load = Load { at_once: 60, critical: 3 };

/// How many kills one world goes through before it is judged; a longer run is several worlds.
const A_WORLD: usize = 50;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs live one after the other, whatever runs the tests: their seconds are real seconds.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static WORLD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    WORLD.lock().await
}

async fn judged(plan: &Plan, again: &str) -> Outcome {
    match run(plan).await {
        Ok(outcome) => outcome,
        Err(error) => panic!("seed {}: {error:#}\nrun it again: {again}", plan.seed),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_no_page_and_no_all_clear_and_repeat_at_most_one_a_lane() {
    let _alone = alone().await;
    let kills = usize::try_from(number("KILLS", 25)).unwrap();
    let seed = number("SEED", 1);
    println!("seed {seed}, {kills} kills");
    let mut all = Outcome::default();
    let mut world = 0;
    while all.kills.len() < kills {
        let plan = Plan {
            seed: seed + world,
            kills: A_WORLD.min(kills - all.kills.len()),
            ills: Vec::new(),
            load: STORM,
        };
        let again = format!("SEED={} KILLS={} make chaos", plan.seed, plan.kills);
        all.add(judged(&plan, &again).await);
        world += 1;
        println!("{} of {kills} kills", all.kills.len());
    }
    println!("{}", all.summary());
    assert!(all.busy_percent() >= 80, "a kill of an idle daemon shows nothing: {} %", all.busy_percent());
}

/// Every channel with one illness, one after the other.
async fn ill(ill: Ill) {
    let _alone = alone().await;
    let seed = number("SEED", 1);
    let mut ills: Vec<_> = Channel::ALL.map(|channel| (channel, ill)).into();
    let rounds = usize::try_from(number("ROUNDS", 1)).unwrap();
    ills = ills.repeat(rounds);
    let plan = Plan { seed, kills: 0, ills, load: DRIZZLE };
    let outcome = judged(&plan, &format!("SEED={seed} make chaos")).await;
    println!("{ill:?}: {}", outcome.summary());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_refuse_connections_lose_nothing() {
    ill(Ill::Down).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_fail_lose_nothing() {
    ill(Ill::Failing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_hang_lose_nothing() {
    ill(Ill::Hanging).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_limit_lose_nothing() {
    ill(Ill::Limiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_lie_lose_nothing() {
    ill(Ill::Lying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_told_in_full_while_the_api_answers() {
    let _alone = alone().await;
    let alerts = usize::try_from(number("ALERTS", 500)).unwrap();
    let measured = storm::at_once(alerts).await.unwrap();
    println!("storm: {}", measured.summary());
    assert_eq!((measured.lost, measured.repeated), (0, 0), "{}", measured.summary());
    assert!(measured.asked > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_an_outage_repeats_nothing_but_what_was_in_flight() {
    let _alone = alone().await;
    let alerts = usize::try_from(number("ALERTS", 500)).unwrap();
    let outage = std::time::Duration::from_secs(number("OUTAGE", 6));
    let measured = storm::in_an_outage(alerts, outage).await.unwrap();
    println!("storm in an outage: {}", measured.summary());
    assert_eq!(measured.lost, 0, "{}", measured.summary());
    // The receiver was down at the kill, so nothing was in flight that could have arrived.
    assert_eq!(measured.repeated, 0, "{}", measured.summary());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_anything_the_daemon_writes_or_says() {
    let _alone = alone().await;
    let (said, secrets) = secrets::everything_said().await.unwrap();
    let log = said.iter().find(|(name, _)| name.ends_with("runbookd.log")).unwrap().1;
    let log = String::from_utf8_lossy(log);
    for talk in ["DEBUG", "notice delivered", "notice not delivered yet", "notice refused"] {
        assert!(log.contains(talk), "the log has no `{talk}`");
    }
    assert!(said.keys().any(|name| name.ends_with("runbookd.db")), "the store is there");
    let mut found = Vec::new();
    for (name, text) in &said {
        let text = String::from_utf8_lossy(text);
        for secret in secrets.iter().filter(|secret| text.contains(secret.as_str())) {
            let at = text.lines().find(|line| line.contains(secret.as_str())).unwrap_or_default();
            let at: String = at.chars().take(400).collect();
            found.push(format!("{secret} is in {name}: {at}"));
        }
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
    // A stream that only ever says `changed` and `beat`, and what is empty without parameters or behind an incident's
    // explanation.
    let says_no_more = ["/live", "/alerts/explain", "/notices/{id}/explain", "/capacity/outlook.png"];
    let source: String = ["mod.rs", "pages/mod.rs", "alertmanager/mod.rs", "prometheus/mod.rs"]
        .map(|file| {
            std::fs::read_to_string(format!("{}/src/api/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        })
        .concat();
    for route in source.lines().filter(|line| line.contains(".route(") && line.contains("get(")) {
        let path = route.split('"').nth(1).unwrap();
        if says_no_more.contains(&path) {
            continue;
        }
        let asked =
            secrets::READABLE.contains(&path) || path.ends_with("/{id}") || path.contains("/incidents/{id}");
        // It never ends, and tells ids and words of closed lists only.
        let asked = asked || path.ends_with("/events");
        assert!(asked, "{path} can be read and was not searched");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_a_while_keeps_nobody_from_being_told() {
    let _alone = alone().await;
    match disk::full_for_a_while(number("SEED", 1), DRIZZLE).await {
        Ok(Some(outcome)) => println!("full disk: {}", outcome.summary()),
        Ok(None) => println!("full disk: not run, because this user may not mount a file system"),
        Err(error) => panic!("{error:#}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pending_keeps_its_age_over_a_kill() {
    let _alone = alone().await;
    let took = age::from_breach_to_page().await.unwrap();
    println!("from the first breach to the page: {took:?}");
    assert!(age::is_in_time(took), "{took:?} after the first breach");
}
