//! Silences over HTTP, against the real routes and the real core on a loopback port: what people can make, change and
//! end, what is refused, and that it survives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use runbookd::api::Api;
use runbookd::api::callbacks::{Callbacks, Doors};
use runbookd::config::settings::StoreSettings;
use runbookd::config::status::ReloadStatus;
use runbookd::config::{Sources, parse};
use runbookd::core::{Core, Started, clock};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::labels::Labels;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::state::State;
use runbookd::store::Store;
use runbookd::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;

const RULES: &str = "
metrics:
  cpu_usage: {query: cpu, unit: ratio}
monitoring: {metrics: {system: [cpu_usage: {warning: 70%}]}}
";

/// The routes over a core over a store in a folder.
struct World {
    core: Core,
    effects: UnboundedReceiver<Effect>,
    url: String,
    client: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
    thread: std::thread::JoinHandle<()>,
}

impl World {
    async fn start(folder: &Path) -> Self {
        let loaded = parse(&Sources::from_texts(&[], &[("rules.yaml", RULES)])).unwrap();
        let plan = Arc::new(plan_of(&loaded.settings, loaded.rules));
        let (store, committed) = Store::open(&StoreSettings::Sqlite(folder.join("store.db"))).unwrap();
        let mut state = State::default();
        committed.into_iter().for_each(|change| state.apply(change));
        let (engine, resumed) = Engine::restore(plan, state, clock::now());
        let metrics = Arc::new(Metrics::default());
        let Started { core, effects, thread, .. } =
            Core::start(engine, resumed, store, metrics.clone()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let api = Api {
            core: core.clone(),
            metrics,
            reload: Arc::new(std::sync::Mutex::new(ReloadStatus {
                taken: true,
                at: clock::now(),
                diagnostics: "".into(),
            })),
            reload_now: mpsc::channel(1).0,
            stopping: Arc::default(),
            listen,
            tokens_file: None,
            callbacks: Callbacks::new(Doors::default, mpsc::channel(1).0),
            draw_chart: runbookd::api::chart::nothing_to_draw(),
        };
        let server = tokio::spawn(async move { axum::serve(listener, api.router()).await.unwrap() });
        world::install_crypto();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { core, effects, url: format!("http://{listen}/api/runbookd/v1"), client, server, thread }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(format!("{}{path}", self.url))).await
    }

    async fn post(&self, body: &Value) -> (u16, Value) {
        answer(self.client.post(format!("{}/silences", self.url)).json(body)).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        let request = self.client.delete(format!("{}/silences/{path}", self.url));
        answer(request.header("Content-Type", "application/json")).await
    }

    async fn cpu_is(&self, value: f64) {
        let labels = Labels::new([("service", "checkout")]);
        let answer = Answer::Series(vec![Sample { labels, seen: Observation::Value(value) }]);
        let query = self.core.ask(|engine| engine.plan().rules.queries.keys().next().cloned()).await.unwrap();
        let round = Round { query: query.unwrap(), at: clock::now(), answer };
        self.core.send(Event::Observed(round)).await.unwrap();
    }

    /// The events of the notices that left since this was last asked.
    async fn left(&mut self) -> Vec<&'static str> {
        self.core.ask(|_| ()).await.unwrap();
        let effects = std::iter::from_fn(|| self.effects.try_recv().ok());
        effects
            .filter_map(
                |effect| {
                    if let Effect::Deliver(notice) = effect { Some(notice.event.as_str()) } else { None }
                },
            )
            .collect()
    }

    /// Ends what was started and waits until the store is let go.
    async fn stop(self) {
        let Self { core, client, server, thread, .. } = self;
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        drop((core, client));
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let code = answer.status().as_u16();
    (code, answer.json().await.unwrap())
}

fn silence(matchers: &Value) -> Value {
    json!({"matchers": matchers, "for": "1h", "by": "Ana", "comment": "deploy"})
}

#[tokio::test]
async fn a_silence_holds_pages_back_until_somebody_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(folder.path()).await;
    let (code, made) = world.post(&silence(&json!("{service=\"checkout\", alertname=~cpu_.*}"))).await;
    assert_eq!((code, &made["state"], &made["created_by"]), (201, &json!("active"), &json!("Ana")));
    assert_eq!(made["matchers"], json!(["service=\"checkout\"", "alertname=~\"cpu_.*\""]));
    let id = made["id"].as_str().unwrap().to_owned();

    world.cpu_is(0.8).await;
    assert_eq!(world.left().await, [""; 0], "nobody is told");
    let (_, incidents) = world.get("/incidents").await;
    let incident = &incidents["items"][0];
    assert_eq!((&incident["state"], &incident["held"]["reason"]), (&json!("open"), &json!("silenced")));
    let (_, list) = world.get("/silences").await;
    assert_eq!(list["items"][0]["incidents"], json!([incident["id"]]));

    let (code, changed) = world.post(&json!({"id": id, "matchers": ["service=checkout"], "for": "2h", "by": "Ben", "comment": "longer"})).await;
    assert_eq!((code, &changed["id"], &changed["created_by"]), (200, &json!(id), &json!("Ben")));

    let (code, ended) = world.delete(&format!("{id}?by=Ben")).await;
    assert_eq!((code, &ended["state"]), (200, &json!("expired")));
    assert_eq!(world.left().await, ["opened"], "what was held back is told");
    assert_eq!(world.get("/silences").await.1["items"], json!([]));
    assert_eq!(world.get("/silences?state=all").await.1["items"][0]["id"], json!(id));

    let (code, again) = world.post(&json!({"id": id, "matchers": "service=checkout", "for": "1h", "by": "Ana", "comment": "once more"})).await;
    assert_eq!(code, 201, "what is over is left alone");
    assert_ne!(again["id"], json!(id));
    world.stop().await;
}

#[tokio::test]
async fn wrong_silences_are_problems_that_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let good = silence(&json!("a=b"));
    let with = |changes: Value| {
        let mut body = good.clone();
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let cases = [
        (with(json!({"matchers": null})), "a silence needs at least one matcher"),
        (with(json!({"matchers": []})), "a silence needs at least one matcher"),
        (with(json!({"matchers": "{}"})), "a silence needs at least one matcher"),
        (
            with(json!({"matchers": "a=~\".*\""})),
            "at least one matcher must not match the empty text, else the silence would fit everything",
        ),
        (with(json!({"matchers": "a=b,c"})), "`a=b,c` is no matcher: expected =, !=, =~ or !~, at byte 5"),
        (
            with(json!({"matchers": ["a=b", "c=~\"(\""]})),
            "`c=~\"(\"` is no matcher: not a regular expression: unclosed group, at byte 3",
        ),
        (
            with(
                json!({"for": null, "ends_at": "2020-01-01T00:00:00Z", "starts_at": "2019-01-01T00:00:00Z"}),
            ),
            "the silence is already over: its end lies in the past",
        ),
        (with(json!({"for": null, "ends_at": "2020-01-01T00:00:00Z"})), "the silence ends before it starts"),
        (with(json!({"for": "soon"})), "`soon` is no duration"),
        (with(json!({"for": null})), "the silence needs an end: `for`, such as 1h, or `ends_at`"),
        (
            with(json!({"ends_at": "2999-01-01T00:00:00Z"})),
            "`ends_at` and `for` say the same: one of them is enough",
        ),
        (with(json!({"comment": " "})), "a silence needs a comment that says why"),
        (with(json!({"by": ""})), "`by` must be a name of 1 to 100 characters"),
    ];
    for (body, why) in cases {
        let (code, problem) = world.post(&body).await;
        assert_eq!((code, &problem["detail"]), (400, &json!(why)), "{body}");
    }
    for body in [json!({"matcher": "a=b"}), json!("a=b"), with(json!({"starts_at": "today"}))] {
        assert_eq!(world.post(&body).await.0, 400, "{body}");
    }
    assert_eq!(world.post(&with(json!({"id": "nobody"}))).await.0, 404);
    assert_eq!(world.delete("nobody").await.0, 404);
    assert_eq!(world.get("/silences/nobody").await.0, 404);
    assert_eq!(world.get("/silences?state=sleepy").await.0, 400);
    let foreign = world
        .client
        .post(format!("{}/silences", world.url))
        .json(&good)
        .header("Origin", "https://evil.example");
    assert_eq!(answer(foreign).await.0, 403);
    assert_eq!(world.get("/silences?state=all").await.1["items"], json!([]), "nothing of it was taken");
    world.stop().await;
}

#[tokio::test]
async fn a_silence_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    let (_, made) = world.post(&silence(&json!(["\"service.name\"=\"a b\"", "c!~\"d|e\""]))).await;
    world.stop().await;
    let world = World::start(folder.path()).await;
    let (code, found) = world.get(&format!("/silences/{}", made["id"].as_str().unwrap())).await;
    assert_eq!((code, found), (200, made));
    world.stop().await;
}
