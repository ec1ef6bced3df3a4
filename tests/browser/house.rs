//! A house to look at: the real routes over a real core and store in which twenty minutes have passed: a service that
//! was too hot and was scaled, one with errors, a label that is hostile, tenants that grow.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use runbookd::api::Api;
use runbookd::api::callbacks::{Callbacks, Doors};
use runbookd::api::chart::DrawChart;
use runbookd::chart::{Chart, Mark, MarkKind, Point};
use runbookd::config::settings::StoreSettings;
use runbookd::config::status::ReloadStatus;
use runbookd::config::{Sources, parse};
use runbookd::core::{Core, Started, clock};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::capacity::trend::History;
use runbookd::domain::capacity::{Available, Forecasted};
use runbookd::domain::delivery::{Attempt, DeliveryReason};
use runbookd::domain::labels::Labels;
use runbookd::domain::name::QueryId;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::domain::rule::Direction;
use runbookd::domain::scaling::{ScalingMode, Size, Surroundings, WorkloadSnapshot};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::engine::plan::Plan;
use runbookd::store::Store;
use runbookd::telemetry::metrics::Metrics;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A label that is not what it seems.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";

/// A token of the file.
pub(crate) const TOKEN: &str = "fixture-token-of-ana-4711";

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a refused reload says.
pub(crate) const REFUSED: &str = "error[unit-mismatch]: `disk_usage` is a ratio, `45 minutes` is a duration
  --> rules/monitoring.yaml:24:20
   |
24 |           warning: 45 minutes
   |                    ^^^^^^^^^^ expected a percentage such as 70%

1 error, 3 warnings in 13 files";

/// How the house stands.
#[derive(Clone, Copy, Default)]
pub(crate) struct Setting {
    /// Nothing has happened yet.
    pub(crate) calm: bool,
    /// The last reload was refused.
    pub(crate) refused: bool,
    /// Tokens are configured.
    pub(crate) tokens: bool,
    /// So many more alerts fire, and a fifth as many incidents are open.
    pub(crate) crowd: usize,
}

pub(crate) struct House {
    pub(crate) core: Core,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    served: JoinHandle<()>,
    answered: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for House {
    fn drop(&mut self) {
        self.served.abort();
        self.answered.abort();
    }
}

impl House {
    pub(crate) async fn open(setting: Setting) -> Self {
        world::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let (store, _) = Store::open(&StoreSettings::Sqlite(path)).unwrap();
        let metrics = Arc::new(Metrics::default());
        let mut past = Past::new(plan());
        if !setting.calm {
            past.pass(setting.crowd);
        }
        let Past { engine, workload, .. } = past;
        let Started { core, mut effects, .. } =
            Core::start(engine, Vec::new(), store, metrics.clone()).unwrap();
        let answering = core.clone();
        let answered = tokio::spawn(async move {
            while let Some(effect) = effects.recv().await {
                if let Some(event) = answer(&effect, &workload) {
                    answering.send(event).await.unwrap();
                }
            }
        });
        let tokens_file: Option<PathBuf> = setting.tokens.then(|| {
            let file = folder.path().join("tokens");
            std::fs::write(&file, format!("Ana {TOKEN}\n")).unwrap();
            file
        });
        let diagnostics = if setting.refused { REFUSED } else { "" };
        let reload =
            ReloadStatus { taken: !setting.refused, at: clock::now(), diagnostics: diagnostics.into() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let api = Api {
            core: core.clone(),
            metrics,
            reload: Arc::new(Mutex::new(reload)),
            reload_now: mpsc::channel(1).0,
            stopping: Arc::default(),
            listen,
            tokens_file,
            draw_chart: picture(),
            callbacks: Callbacks::new(Doors::default, mpsc::channel(1).0),
        };
        let served = tokio::spawn(async move { axum::serve(listener, api.router()).await.unwrap() });
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { core, url: format!("http://{listen}"), client, served, answered, _folder: folder }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends a form as a browser does from a page of this house; the code and where it leads.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)], cookie: &str) -> (u16, String) {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .header("Origin", &self.url)
            .header("Cookie", cookie)
            .form(fields);
        let answer = request.send().await.unwrap();
        let to = answer.headers().get("location").map(|it| it.to_str().unwrap().to_owned());
        (answer.status().as_u16(), to.unwrap_or_default())
    }

    /// The incident about a service, by its number.
    pub(crate) async fn incident_of(&self, service: &'static str) -> String {
        let found = move |engine: &Engine| {
            let mut all = engine.incidents();
            all.find(|it| it.subject_name() == service).map(|it| it.id.to_string())
        };
        self.core.ask(found).await.unwrap().expect("the incident is there")
    }

    /// A service's CPU is now so hot.
    pub(crate) async fn cpu_is(&self, service: &str, value: f64) {
        let query = self.core.ask(|engine| query_of(engine.plan(), "cpu_usage")).await.unwrap();
        let round = round(query, clock::now(), &[(service, value)]);
        self.core.send(Event::Observed(round)).await.unwrap();
    }
}

fn plan() -> Arc<Plan> {
    let root = std::path::Path::new(ROOT);
    let loaded = parse(&Sources::read(&root.join("config"), &root.join("rules"))).unwrap();
    let mut plan = plan_of(&loaded.settings, loaded.rules);
    plan.scaling = ScalingMode::Apply;
    Arc::new(plan)
}

fn query_of(plan: &Plan, name: &str) -> QueryId {
    plan.rules.rules.values().find(|rule| *rule.name == *name).unwrap().query.clone()
}

fn round(query: QueryId, at: Timestamp, values: &[(&str, f64)]) -> Round {
    let samples = values.iter().map(|(service, value)| Sample {
        labels: Labels::new([("service", *service), ("namespace", "shop")]),
        seen: Observation::Value(*value),
    });
    Round { query, at, answer: Answer::Series(samples.collect()) }
}

/// What the world answers to what the daemon does.
fn answer(effect: &Effect, workload: &Arc<Mutex<WorkloadSnapshot>>) -> Option<Event> {
    match effect {
        Effect::Deliver(notice) => {
            let attempt = if notice.channel.as_str() == "email" && notice.attempts == 0 {
                Attempt::Failed {
                    reason: DeliveryReason::ServerError,
                    detail: "421 try again later".into(),
                    retry_after: None,
                }
            } else {
                Attempt::ACCEPTED
            };
            Some(Event::Attempted { notice: notice.id.clone(), attempt })
        }
        Effect::Look(target) => {
            let seen = workload.lock().unwrap().clone();
            (seen.target == *target)
                .then(|| Event::TargetSeen { target: target.clone(), seen: Ok(Box::new(seen)) })
        }
        Effect::Write(action) => {
            let mut workload = workload.lock().unwrap();
            if let Size::Replicas(to) = action.to {
                workload.replicas = to;
                workload.ready_replicas = to;
                workload.resource_version = format!("{}'", workload.resource_version).into();
            }
            Some(Event::Written { action: action.id.clone(), outcome: Ok(()) })
        }
        Effect::Diagnose(_) | Effect::Announce(_) => None,
    }
}

/// The engine while it passes through what was.
struct Past {
    engine: Engine,
    workload: Arc<Mutex<WorkloadSnapshot>>,
    now: Timestamp,
}

/// How long the past is, in seconds.
const PAST: i64 = 1_500;

impl Past {
    fn new(plan: Arc<Plan>) -> Self {
        let target = plan.rules.policy.as_ref().unwrap().targets[0].id.clone();
        let workload = WorkloadSnapshot {
            target,
            uid: "1".into(),
            resource_version: "1".into(),
            replicas: 4,
            ready_replicas: 4,
            rollout_in_progress: false,
            containers: Vec::new(),
            pods: Vec::new(),
            in_place_resize: true,
            surroundings: Surroundings::open(),
        };
        let now = clock::now() - SignedDuration::from_secs(PAST);
        Self { engine: Engine::new(plan, now), workload: Arc::new(Mutex::new(workload)), now }
    }

    fn happens(&mut self, event: Event) {
        let mut waiting = VecDeque::from([event]);
        while let Some(event) = waiting.pop_front() {
            let effects = self.engine.on(event, self.now);
            waiting.extend(effects.iter().filter_map(|effect| answer(effect, &self.workload)));
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "a few numbers")]
    fn pass(&mut self, crowd: usize) {
        let plan = self.engine.plan();
        let [cpu, errors, memory] = ["cpu_usage", "error_rate", "memory_usage"].map(|it| query_of(plan, it));
        self.grow();
        let others: Vec<String> = (0..crowd / 5).map(|at| format!("service-{at:04}")).collect();
        for step in (0..=PAST).step_by(15) {
            let heat = if step < 300 {
                0.55
            } else if step < 480 {
                0.79
            } else {
                0.93
            };
            let mut hot = vec![("checkout", heat), ("search", 0.31), (HOSTILE, 0.74)];
            if step == PAST {
                hot.extend(others.iter().map(|it| (it.as_str(), 0.8)));
            }
            self.happens(Event::Observed(round(cpu.clone(), self.now, &hot)));
            let wrong = [("search", if step > 900 { 0.014 } else { 0.002 }), ("checkout", 0.003)];
            self.happens(Event::Observed(round(errors.clone(), self.now, &wrong)));
            self.happens(Event::Observed(round(memory.clone(), self.now, &[("checkout", 0.61)])));
            self.happens(Event::Tick);
            self.now += SignedDuration::from_secs(15);
        }
        self.now = clock::now();
        if crowd > 0 {
            let four = (0..crowd * 4 / 5).map(|at| Sample {
                labels: Labels::new([
                    ("service", others[at % others.len()].as_str()),
                    ("namespace", "shop"),
                    ("pod", &format!("pod-{at:05}")),
                ]),
                seen: Observation::Value(0.85),
            });
            let answer = Answer::Series(four.collect());
            self.happens(Event::Observed(Round { query: memory, at: self.now, answer }));
        }
    }

    /// Eight weeks of tenants, and what there is for them.
    #[allow(clippy::cast_precision_loss, reason = "a few numbers")]
    fn grow(&mut self) {
        let plan = self.engine.plan();
        let required = plan.rules.resource_requirements.as_ref().unwrap();
        let model = required.models[0].clone();
        let step = 3 * 3_600;
        let end = clock::now();
        let values = (0..8 * 56).rev().map(|back: i64| {
            let at = end - SignedDuration::from_secs(back * step);
            let wave = (back as f64 / 8.0 * std::f64::consts::TAU).sin() * 2.0;
            (at, 140.0 - back as f64 * 0.08 + wave)
        });
        let history = History { step, values: values.collect() };
        self.happens(Event::History { of: Forecasted::Tenants(model.name.clone()), seen: Ok(history) });
        let now = clock::now();
        let tenants: Vec<Sample> = (0..140)
            .map(|at| Sample {
                labels: Labels::new([("tenant", format!("tenant-{at:03}"))]),
                seen: Observation::Value(1.0 + f64::from(at) / 10.0),
            })
            .collect();
        let asked = model.tenants.clone().unwrap();
        self.happens(Event::Observed(Round { query: asked, at: now, answer: Answer::Series(tenants) }));
        for resource in &model.resources {
            if let Available::Measured(query) = &resource.available {
                let need = resource.need.base + resource.need.per_tenant * 171.0;
                let sample = Sample { labels: Labels::empty(), seen: Observation::Value(need) };
                let answer = Answer::Series(vec![sample]);
                self.happens(Event::Observed(Round { query: query.clone(), at: now, answer }));
            }
        }
    }
}

/// Draws what the house has been through.
fn picture() -> DrawChart {
    Arc::new(|facts| {
        Box::pin(async move {
            let now = clock::now();
            let at = |step: i64| now - SignedDuration::from_secs(PAST - step);
            let points = (0..=PAST).step_by(15).map(|step| {
                let heat = if step < 300 {
                    0.55
                } else if step < 480 {
                    0.79
                } else {
                    0.93
                };
                let wave = f64::from(i32::try_from(step % 105).unwrap()) / 105.0 * 0.03;
                Point { at: at(step), value: heat - wave }
            });
            let chart = Chart {
                title: format!("{} {}", facts.subject_name, facts.metric.replace('_', " ")).into(),
                unit: facts.unit,
                points: points.collect(),
                direction: Direction::Above,
                warning: Some(0.7),
                critical: Some(0.9),
                marks: vec![Mark { at: at(480), kind: MarkKind::Breach, label: "critical".into() }],
                from: at(0),
                to: now,
            };
            chart.draw().ok().map(Arc::from)
        })
    })
}
