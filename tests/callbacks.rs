//! Callbacks over HTTP, against a core with a real store: who is believed, what it does, and what is answered when it
//! cannot be committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use runbookd::api::Api;
use runbookd::api::callbacks::{Callbacks, Doors, PagerDutyDoor, PrivateAnswer, Secrets, SlackDoor};
use runbookd::config::secret::SecretSource;
use runbookd::config::settings::{ChannelSettings, SlackAllow, SlackBotSettings, StoreSettings};
use runbookd::config::status::ReloadStatus;
use runbookd::config::{Sources, parse};
use runbookd::core::{Core, clock};
use runbookd::daemon::running::plan;
use runbookd::domain::incident::{Happening, Incident};
use runbookd::domain::labels::Labels;
use runbookd::domain::notice::Origin;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::notify::channels::Channels;
use runbookd::store::Store;
use runbookd::telemetry::metrics::{CallbackLabels, Metrics};
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use world::pagerduty::webhook::{self, webhook};
use world::signature::Signed;
use world::slack::click::{self, ANA, BEN, User};
use world::slack::workspace::Message;
use world::slack::{BOT_TOKEN, CHANNEL, Slack};

const NAME: &str = "slack-#incidents";
const SLACK_SECRET: &str = "fixture-slack-secret";
const OLD_SLACK_SECRET: &str = "fixture-slack-secret-before";
const PAGER_SECRET: &str = "fixture-pager-secret";
const RULES: &str = "
metrics:
  cpu_usage: {query: cpu, unit: ratio}
monitoring:
  metrics:
    system:
      - cpu_usage: {warning: 70%, critical: 90%}
";
const CONFIG: &str = r##"
channels:
  "slack-#incidents": {slack: {bot_token: fixture, channel: "#incidents"}}
"##;

/// How the doors stand.
#[derive(Clone, Copy, Default)]
struct Setting {
    mapped_only: bool,
    unread: bool,
}

/// A daemon's core and routes with one incident that a workspace was told of.
struct World {
    core: Core,
    slack: Slack,
    message: Message,
    url: String,
    metrics: Arc<Metrics>,
    store: Connection,
    answers: mpsc::Receiver<PrivateAnswer>,
    served: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl World {
    async fn start(setting: Setting) -> Self {
        world::install_crypto();
        let loaded = parse(&Sources::from_texts(&[("c.yaml", CONFIG)], &[("r.yaml", RULES)])).unwrap();
        let query = loaded.rules.queries.keys().next().unwrap().clone();
        let communication = loaded.settings.communication.clone();
        let plan = Arc::new(plan(&loaded.settings, loaded.rules));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let (store, _) = Store::open(&StoreSettings::Sqlite(path.clone())).unwrap();
        let metrics = Arc::new(Metrics::default());
        let engine = Engine::new(plan, clock::now());
        let started = Core::start(engine, Vec::new(), store, metrics.clone()).unwrap();
        let (core, mut effects) = (started.core, started.effects);

        let labels = Labels::new([("service", "checkout")]);
        let answer = Answer::Series(vec![Sample { labels, seen: Observation::Value(0.95) }]);
        core.send(Event::Observed(Round { query, at: clock::now(), answer })).await.unwrap();
        let Effect::Deliver(notice) = effects.recv().await.unwrap() else { panic!("a page comes first") };
        let slack = Slack::start().await.unwrap();
        let settings = SlackBotSettings {
            bot_token: SecretSource::Inline(BOT_TOKEN.into()),
            channel: CHANNEL.into(),
            api_url: slack.door.url().into(),
            signing_secrets: vec![SecretSource::Inline(SLACK_SECRET.into())],
            allow: SlackAllow::Channel,
            users: BTreeMap::new(),
        };
        let settings = BTreeMap::from([(NAME.into(), ChannelSettings::SlackBot(settings))]);
        let channels =
            Channels::new(&settings, &communication, Some("https://runbookd.example.org")).unwrap();
        channels.deliver(&notice).await;
        let message = slack.messages(CHANNEL).remove(0);

        let (sender, answers) = mpsc::channel(8);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let reload = ReloadStatus { taken: true, at: clock::now(), diagnostics: "".into() };
        let api = Api {
            core: core.clone(),
            metrics: metrics.clone(),
            reload: Arc::new(Mutex::new(reload)),
            reload_now: mpsc::channel(1).0,
            stopping: Arc::default(),
            listen,
            tokens_file: None,
            callbacks: Callbacks::new(move || doors(setting), sender),
            draw_chart: runbookd::api::chart::nothing_to_draw(),
        };
        let served = tokio::spawn(async move { axum::serve(listener, api.router()).await.unwrap() });
        let url = format!("http://{listen}/api/runbookd/v1/callbacks");
        Self { core, slack, message, url, metrics, store: open(&path), answers, served, _folder: folder }
    }

    async fn incident(&self) -> Incident {
        self.core.ask(|engine| engine.incidents().next().cloned()).await.unwrap().unwrap()
    }

    async fn key(&self) -> String {
        format!("runbookd/{}", self.incident().await.uid)
    }

    fn click(&self, button: &str, user: &User) -> Signed {
        self.slack.click(CHANNEL, &self.message, button, user, SLACK_SECRET).unwrap()
    }

    async fn slack(&self, signed: &Signed) -> (u16, String) {
        signed.send(&format!("{}/slack", self.url)).await.unwrap()
    }

    async fn pagerduty(&self, signed: &Signed) -> (u16, String) {
        signed.send(&format!("{}/pagerduty", self.url)).await.unwrap()
    }

    fn counted(&self, source: &'static str, outcome: &'static str) -> u64 {
        self.metrics.callbacks.get_or_create(&CallbackLabels { source, outcome }).get()
    }

    fn break_store(&self) {
        self.store.execute_batch("ALTER TABLE record RENAME TO lost").unwrap();
    }

    fn mend_store(&self) {
        self.store.execute_batch("ALTER TABLE lost RENAME TO record").unwrap();
    }
}

fn doors(setting: Setting) -> Doors {
    let unread = setting.unread.then(|| "cannot read the secret file".to_owned());
    let secrets = |texts: &[&str]| Secrets {
        read: texts.iter().map(|text| (*text).into()).collect(),
        unread: unread.clone(),
    };
    Doors {
        slack: vec![SlackDoor {
            channel: NAME.into(),
            secrets: secrets(&[SLACK_SECRET, OLD_SLACK_SECRET]),
            mapped_only: setting.mapped_only,
            users: [("U0000000002".into(), "Ana".into())].into(),
        }],
        pagerduty: vec![PagerDutyDoor { channel: "pagerduty".into(), secrets: secrets(&[PAGER_SECRET]) }],
    }
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection
}

fn owner(incident: &Incident) -> Option<&str> {
    incident.acknowledged.as_ref().map(|it| &*it.by)
}

#[tokio::test]
async fn a_click_acts_under_the_name_of_whoever_clicked() {
    let world = World::start(Setting::default()).await;
    assert_eq!(world.slack(&world.click("open_incident", &ANA)).await.0, 200);
    assert_eq!(owner(&world.incident().await), None);
    assert_eq!(world.slack(&world.click("acknowledge", &ANA)).await.0, 200);
    let incident = world.incident().await;
    assert_eq!(owner(&incident), Some("Ana"), "the name that the configuration gives the user");
    let channel = world.slack.channel(CHANNEL);
    let place = format!("{channel}:{}", world.message.ts).into();
    let origin = Some(Origin { channel: NAME.into(), place });
    assert_eq!(incident.acknowledged.unwrap().origin, origin);
    // Nobody knows Ben: the name that Slack gives him serves.
    assert_eq!(world.slack(&world.click("resolve", &BEN)).await.0, 200);
    let incident = world.incident().await;
    let end = incident.timeline.iter().find(|entry| entry.what == Happening::Resolved).unwrap();
    assert_eq!(&*end.by, "ben.slack");
    assert_eq!(world.counted("slack", "taken"), 2);
}

#[tokio::test]
async fn forged_old_and_replayed_clicks_are_401_and_change_nothing() {
    let world = World::start(Setting::default()).await;
    let at = |seconds: i64| {
        let at = Timestamp::now() + SignedDuration::from_secs(seconds);
        world.slack.click_at(CHANNEL, &world.message, "acknowledge", &ANA, SLACK_SECRET, at).unwrap()
    };
    let right = at(0);
    let with = |change: &dyn Fn(&mut Signed)| {
        let mut signed = right.clone();
        change(&mut signed);
        signed
    };
    let wrong = [
        world.slack.click(CHANNEL, &world.message, "acknowledge", &ANA, "another-secret").unwrap(),
        with(&|it| it.body.push('x')),
        with(&|it| it.body = it.body.replacen('a', "b", 1)),
        with(&|it| it.headers[0].1 = (Timestamp::now().as_second() - 1).to_string()),
        with(&|it| it.headers[1].1 = it.headers[1].1.replacen("v0=", "v1=", 1)),
        with(&|it| it.headers.truncate(1)),
        with(&|it| it.headers.clear()),
    ];
    for (n, signed) in wrong.iter().enumerate() {
        assert_eq!(world.slack(signed).await.0, 401, "forgery {n}");
    }
    assert_eq!(world.counted("slack", "forged"), wrong.len() as u64);
    for seconds in [-301, 400] {
        assert_eq!(world.slack(&at(seconds)).await.0, 401, "{seconds}");
    }
    assert_eq!(world.counted("slack", "too_old"), 2);
    assert_eq!(owner(&world.incident().await), None);

    assert_eq!(world.slack(&right).await.0, 200);
    assert_eq!(world.slack(&right).await.0, 401, "the same once more");
    assert_eq!(world.counted("slack", "replayed"), 1);
    let before = OLD_SLACK_SECRET;
    let signed = world.slack.click(CHANNEL, &world.message, "unacknowledge", &ANA, before);
    assert_eq!(signed, None, "the message of the opening has no such button");
    let signed = world.slack.click(CHANNEL, &world.message, "resolve", &ANA, before).unwrap();
    assert_eq!(world.slack(&signed).await.0, 200, "the secret before is good while it is rotated");
}

#[tokio::test]
async fn a_click_on_what_is_over_says_so_privately_and_changes_nothing() {
    let mut world = World::start(Setting::default()).await;
    world.slack(&world.click("acknowledge", &ANA)).await;
    let (code, text) = world.slack(&world.click("acknowledge", &BEN)).await;
    assert_eq!(code, 200);
    assert!(text.contains("was already acknowledged by Ana"), "{text}");
    world.slack(&world.click("resolve", &BEN)).await;
    let before = world.incident().await;
    for button in ["acknowledge", "resolve", "silence_1h"] {
        let (code, text) = world.slack(&world.click(button, &ANA)).await;
        assert_eq!(code, 200);
        assert!(text.contains("was already resolved by ben.slack ") && text.contains(" UTC"), "{text}");
        assert!(text.contains("ephemeral"), "{text}");
    }
    assert_eq!(world.incident().await, before);
    assert_eq!(world.counted("slack", "stale"), 4);
    let answer = world.answers.recv().await.unwrap();
    assert!(answer.text.contains("Ana") && answer.response_url.unwrap().starts_with(&world.slack.door.url()));
}

#[tokio::test]
async fn a_click_silences_what_fires_in_the_incident_for_an_hour() {
    let world = World::start(Setting::default()).await;
    assert_eq!(world.slack(&world.click("silence_1h", &ANA)).await.0, 200);
    let incident = world.incident().await;
    let silence = world.core.ask(|engine| engine.silences().next().cloned()).await.unwrap().unwrap();
    assert_eq!(silence.author.as_ref(), "Ana");
    assert_eq!(silence.ends_at.duration_since(silence.starts_at).as_secs(), 3_600);
    assert!(incident.held.is_some(), "nobody is told any more: {:?}", silence.matchers);
}

#[tokio::test]
async fn who_is_not_mapped_may_be_refused_and_is_told_how_to_be() {
    let world = World::start(Setting { mapped_only: true, ..Setting::default() }).await;
    let (code, text) = world.slack(&world.click("acknowledge", &BEN)).await;
    assert_eq!(code, 200);
    assert!(text.contains("U0000000003: your name"), "{text}");
    assert_eq!((owner(&world.incident().await), world.counted("slack", "not_allowed")), (None, 1));
    assert_eq!(world.slack(&world.click("acknowledge", &ANA)).await.0, 200);
    assert_eq!(owner(&world.incident().await), Some("Ana"));
}

#[tokio::test]
async fn what_is_signed_and_makes_no_sense_is_counted_and_changes_nothing() {
    let world = World::start(Setting::default()).await;
    let slack = ["", "payload=7", "payload=%7B%7D", "other=1", "payload=%zz"];
    for body in slack {
        let signed = click::signed(SLACK_SECRET, Timestamp::now(), body.to_owned());
        assert_eq!(world.slack(&signed).await.0, 200, "{body}");
    }
    assert_eq!(world.counted("slack", "malformed"), slack.len() as u64);
    for (n, body) in ["", "[]", "{}", r#"{"event":{"id":1}}"#].iter().enumerate() {
        let signed = webhook::signed("w", &[PAGER_SECRET], (*body).to_owned());
        assert_eq!(world.pagerduty(&signed).await.0, 202, "{body}: a refusal would count against us");
        assert_eq!(world.counted("pagerduty", "malformed"), n as u64 + 1);
    }
}

#[tokio::test]
async fn what_people_do_in_pagerduty_happens_here_once() {
    let world = World::start(Setting::default()).await;
    let key = world.key().await;
    let acknowledged = webhook("e1", "incident.acknowledged", &key, Some("Ana"), &["other", PAGER_SECRET]);
    assert_eq!(world.pagerduty(&acknowledged).await.0, 202);
    let incident = world.incident().await;
    assert_eq!(owner(&incident), Some("Ana"));
    let origin = Origin { channel: "pagerduty".into(), place: key.as_str().into() };
    assert_eq!(incident.acknowledged.unwrap().origin, Some(origin));

    let back = webhook("e2", "incident.unacknowledged", &format!("{key}/2"), None, &[PAGER_SECRET]);
    assert_eq!(world.pagerduty(&back).await.0, 202);
    assert_eq!(owner(&world.incident().await), None);
    // The first one comes once more: PagerDuty did not see our answer.
    assert_eq!(world.pagerduty(&acknowledged).await.0, 202);
    assert_eq!((owner(&world.incident().await), world.counted("pagerduty", "duplicate")), (None, 1));

    // What our own events do comes back without a person.
    let own = webhook("e3", "incident.resolved", &key, None, &[PAGER_SECRET]);
    assert_eq!(world.pagerduty(&own).await.0, 202);
    assert!(world.incident().await.state.is_active());
    let resolved = webhook("e4", "incident.resolved", &key, Some("Ana"), &[PAGER_SECRET]);
    assert_eq!(world.pagerduty(&resolved).await.0, 202);
    assert!(!world.incident().await.state.is_active());
    let late = webhook("e5", "incident.acknowledged", &key, Some("Ben"), &[PAGER_SECRET]);
    assert_eq!(world.pagerduty(&late).await.0, 202);
    assert_eq!(world.counted("pagerduty", "stale"), 1);
}

#[tokio::test]
async fn a_webhook_about_another_incident_is_taken_and_counted_and_a_forged_one_is_401() {
    let world = World::start(Setting::default()).await;
    let (key, kind) = (world.key().await, "incident.acknowledged");
    for (n, foreign) in ["", "d3640fbd41094207a1c11e58e46b1662", "runbookd/0000"].iter().enumerate() {
        let signed = webhook(&format!("f{n}"), kind, foreign, Some("Ana"), &[PAGER_SECRET]);
        assert_eq!(world.pagerduty(&signed).await.0, 202, "{foreign}");
    }
    assert_eq!(world.counted("pagerduty", "not_ours"), 3);
    let ping = webhook("p", "pagey.ping", "", Some("Ana"), &[PAGER_SECRET]);
    assert_eq!((world.pagerduty(&ping).await.0, world.counted("pagerduty", "ignored")), (202, 1));

    let mut forged = vec![webhook("x", kind, &key, Some("Eve"), &["guess"])];
    let mut changed = webhook("y", kind, &key, Some("Eve"), &[PAGER_SECRET]);
    changed.body = changed.body.replace("Eve", "Ana");
    let mut unsigned = webhook("z", kind, &key, Some("Eve"), &[]);
    forged.push(changed);
    forged.push(unsigned.clone());
    unsigned.headers.clear();
    forged.push(unsigned);
    for signed in &forged {
        assert_eq!(world.pagerduty(signed).await.0, 401, "{signed:?}");
    }
    assert_eq!(world.counted("pagerduty", "forged"), forged.len() as u64);
    assert_eq!(owner(&world.incident().await), None);
}

#[tokio::test]
async fn what_cannot_be_committed_is_503_and_taken_when_it_comes_again() {
    let world = World::start(Setting::default()).await;
    let key = world.key().await;
    world.break_store();
    let acknowledged = webhook("e1", "incident.acknowledged", &key, Some("Ana"), &[PAGER_SECRET]);
    assert_eq!(world.pagerduty(&acknowledged).await.0, 503);
    let click = world.click("resolve", &BEN);
    assert_eq!(world.slack(&click).await.0, 503);
    assert_eq!((world.counted("pagerduty", "unavailable"), world.counted("slack", "unavailable")), (1, 1));
    world.mend_store();
    assert_eq!(world.slack(&click).await.0, 200, "it was not taken, so it may come again");
    assert_eq!(world.pagerduty(&acknowledged).await.0, 202);
    let incident = world.incident().await;
    assert!(!incident.state.is_active());
    let stored = "SELECT count(*) FROM record WHERE kind = 'incident' AND key = ?1";
    let count: i64 = world.store.query_row(stored, [incident.id.as_str()], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_store_that_hangs_is_answered_before_slack_gives_up() {
    let world = World::start(Setting::default()).await;
    let key = world.key().await;
    world.store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let asked = std::time::Instant::now();
    assert_eq!(world.slack(&world.click("acknowledge", &ANA)).await.0, 503);
    assert!(asked.elapsed() < std::time::Duration::from_secs(3), "{:?}", asked.elapsed());
    world.store.execute_batch("ROLLBACK").unwrap();
    let signed = webhook("e1", "incident.acknowledged", &key, Some("Ana"), &[PAGER_SECRET]);
    assert_eq!(world.pagerduty(&signed).await.0, 202);
    assert_eq!(owner(&world.incident().await), Some("Ana"));
}

#[tokio::test]
async fn as_long_as_a_secret_cannot_be_read_a_signature_is_not_called_forged() {
    let world = World::start(Setting { unread: true, ..Setting::default() }).await;
    let key = world.key().await;
    let other = webhook("e1", "incident.acknowledged", &key, Some("Ana"), &["the-one-that-is-not-there"]);
    assert_eq!(world.pagerduty(&other).await.0, 503, "PagerDuty tries again, and gives up on a 4xx");
    let signed = webhook("e2", "incident.acknowledged", &key, Some("Ana"), &[PAGER_SECRET]);
    assert_eq!(world.pagerduty(&signed).await.0, 202, "what another secret proves is taken");
}

#[tokio::test]
async fn a_callback_that_is_too_large_is_not_read() {
    let world = World::start(Setting::default()).await;
    let large = click::signed(SLACK_SECRET, Timestamp::now(), "x".repeat(600 * 1024));
    assert_eq!(world.slack(&large).await.0, 413);
    let fits = click::signed(SLACK_SECRET, Timestamp::now(), "x".repeat(200 * 1024));
    assert_eq!(world.slack(&fits).await.0, 200);
}
