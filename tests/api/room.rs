//! A room: the routes over a core over a store in a folder, and a client.

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
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;

pub const RULES: &str = "
metrics:
  cpu_usage: {query: cpu, unit: ratio}
monitoring: {metrics: {system: [cpu_usage: {warning: 70%, critical: 90%, labels: {team: shop}, summary: 'CPU of {service} at {value}'}]}}
groups:
  - name: shop
    rules:
      - {alert: ShopDown, expr: up == 0, for: 5m, labels: {severity: page}, annotations: {summary: 'down: {{ $labels.service }}'}}
inhibit_rules:
  - {source_matchers: [alertname = NodeDown], target_matchers: [alertname = PodDown], equal: [node]}
time_intervals:
  - {name: always, time_intervals: [{times: [{start_time: '00:00', end_time: '24:00'}]}]}
";

pub const CONFIG: &str = "
channels:
  chat: {slack: {webhook_url: 'http://127.0.0.1:1/fixture'}}
  mail: {webhook: {url: 'http://127.0.0.1:1/fixture'}}
communication:
  channels: {primary: chat, secondary: mail, emergency: mail}
  notify: {warning: [primary], critical: [primary, secondary]}
";

/// The routes over a core over a store in a folder.
pub struct Room {
    pub core: Core,
    pub effects: UnboundedReceiver<Effect>,
    /// The root, without a slash at the end.
    pub url: String,
    pub client: reqwest::Client,
    server: tokio::task::JoinHandle<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Room {
    pub async fn open(folder: &Path) -> Self {
        Self::furnished(folder, CONFIG, RULES, None).await
    }

    /// With these files, and, where it is given, a file of tokens with this text.
    pub async fn furnished(folder: &Path, config: &str, rules: &str, tokens: Option<&str>) -> Self {
        world::install_crypto();
        let sources = Sources::from_texts(&[("config.yaml", config)], &[("rules.yaml", rules)]);
        let loaded = parse(&sources).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let plan = Arc::new(plan_of(&loaded.settings, loaded.rules));
        let (store, committed) = Store::open(&StoreSettings::Sqlite(folder.join("store.db"))).unwrap();
        let mut state = State::default();
        for change in committed {
            state.apply(change);
        }
        let (engine, resumed) = Engine::restore(plan, state, clock::now());
        let metrics = Arc::new(Metrics::default());
        let Started { core, effects, thread, .. } =
            Core::start(engine, resumed, store, metrics.clone()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let tokens_file = tokens.map(|text| {
            let file = folder.join("tokens");
            std::fs::write(&file, text).unwrap();
            file
        });
        let status = ReloadStatus { taken: true, at: clock::now(), diagnostics: "".into() };
        let api = Api {
            core: core.clone(),
            metrics,
            reload: Arc::new(std::sync::Mutex::new(status)),
            reload_now: mpsc::channel(1).0,
            stopping: Arc::default(),
            listen,
            tokens_file,
            draw_chart: runbookd::api::chart::nothing_to_draw(),
            callbacks: Callbacks::new(Doors::default, mpsc::channel(1).0),
        };
        let server = tokio::spawn(async move { axum::serve(listener, api.router()).await.unwrap() });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { core, effects, url: format!("http://{listen}"), client, server, thread }
    }

    /// The status and the JSON of an answer.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(format!("{}{path}", self.url))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        answer(self.client.delete(format!("{}{path}", self.url))).await
    }

    /// `cpu_usage` of these services is so much.
    pub async fn cpu_is(&self, values: &[(&str, f64)]) {
        let sample = |(service, value): &(&str, f64)| Sample {
            labels: Labels::new([("service", *service)]),
            seen: Observation::Value(*value),
        };
        let answer = Answer::Series(values.iter().map(sample).collect());
        let ask = |engine: &Engine| {
            let rules = engine.plan().rules.rules.values();
            rules.filter(|rule| rule.name.as_ref() == "cpu_usage").map(|rule| rule.query.clone()).next()
        };
        let query = self.core.ask(ask).await.unwrap().unwrap();
        self.core.send(Event::Observed(Round { query, at: clock::now(), answer })).await.unwrap();
        self.core.ask(|_| ()).await.unwrap();
    }

    /// The events of the notices that left since this was last asked, with their headline's subject.
    pub async fn left(&mut self) -> Vec<String> {
        self.core.ask(|_| ()).await.unwrap();
        let effects = std::iter::from_fn(|| self.effects.try_recv().ok());
        effects
            .filter_map(|effect| match effect {
                Effect::Deliver(notice) => Some(format!(
                    "{} {} {}",
                    notice.channel,
                    notice.event.as_str(),
                    notice.facts.subject_name
                )),
                _ => None,
            })
            .collect()
    }

    /// Ends what was started and waits until the store is let go.
    pub async fn close(self) {
        let Self { core, client, server, thread, .. } = self;
        server.abort();
        assert!(server.await.unwrap_err().is_cancelled());
        drop((core, client));
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
    }
}

/// The status of an answer and its JSON; text that is none is a JSON text.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let code = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let value =
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::from(text)) };
    (code, value)
}
