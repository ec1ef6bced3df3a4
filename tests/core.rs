//! The core loop: what is decided is on record before it is done; without a record people are paged all the same and
//! the cluster is left alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use runbookd::config::settings::StoreSettings;
use runbookd::config::{Sources, parse};
use runbookd::core::{Core, Started, clock};
use runbookd::daemon::running::plan as plan_of;
use runbookd::domain::incident::IncidentState;
use runbookd::domain::labels::Labels;
use runbookd::domain::name::{QueryId, TargetId};
use runbookd::domain::notice::Notice;
use runbookd::domain::observation::{Answer, Observation, Round, Sample};
use runbookd::domain::scaling::{ContainerSize, ScalingAction, Surroundings, WorkloadSnapshot};
use runbookd::engine::Engine;
use runbookd::engine::effect::Effect;
use runbookd::engine::event::Event;
use runbookd::store::Store;
use runbookd::telemetry::metrics::Metrics;
use rusqlite::Connection;
use tokio::sync::mpsc::UnboundedReceiver;

const RULES: &str = "
metrics:
  cpu_usage: {query: cpu, unit: ratio}
monitoring:
  metrics:
    system:
      - cpu_usage: {warning: 70%}
scale_out_strategy:
  triggers: {cpu_sustained: 70%}
  actions:
    horizontal: {step: +2 replicas, cool_down: 10m}
  sustained: 0s
  targets:
    - {service: checkout, namespace: shop, min_replicas: 2, max_replicas: 20}
";

/// A core over a store in a folder, and what it wants done.
struct World {
    core: Core,
    effects: UnboundedReceiver<Effect>,
    store: Connection,
    query: QueryId,
    target: TargetId,
    folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let loaded = parse(&Sources::from_texts(
            &[("kubernetes.yaml", "kubernetes: {mode: apply}")],
            &[("rules.yaml", RULES)],
        ))
        .map_err(|diagnostics| diagnostics.render(runbookd::config::render::Colour::Never))
        .unwrap();
        let query = loaded.rules.queries.keys().next().unwrap().clone();
        let target = loaded.rules.policy.as_ref().unwrap().targets[0].id.clone();
        let plan = Arc::new(plan_of(&loaded.settings, loaded.rules));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let (store, _) = Store::open(&StoreSettings::Sqlite(path.clone())).unwrap();
        let engine = Engine::new(plan, clock::now());
        let Started { core, effects, .. } =
            Core::start(engine, Vec::new(), store, Arc::new(Metrics::default())).unwrap();
        Self { core, effects, store: open(&path), query, target, folder }
    }

    /// CPU is high now: the alert fires and the trigger asks.
    async fn breach(&self) {
        let labels = Labels::new([("service", "checkout"), ("namespace", "shop")]);
        let answer = Answer::Series(vec![Sample { labels, seen: Observation::Value(0.95) }]);
        self.core
            .send(Event::Observed(Round { query: self.query.clone(), at: clock::now(), answer }))
            .await
            .unwrap();
        self.core.send(Event::Tick).await.unwrap();
    }

    /// The target is seen with two replicas.
    async fn seen(&self) {
        let snapshot = WorkloadSnapshot {
            target: self.target.clone(),
            uid: "u".into(),
            resource_version: "1".into(),
            replicas: 2,
            ready_replicas: 2,
            rollout_in_progress: false,
            containers: Vec::<ContainerSize>::new(),
            pods: Vec::new(),
            in_place_resize: true,
            surroundings: Surroundings::open(),
        };
        let seen = Event::TargetSeen { target: self.target.clone(), seen: Ok(Box::new(snapshot)) };
        self.core.send(seen).await.unwrap();
    }

    async fn next(&mut self) -> Effect {
        self.effects.recv().await.unwrap()
    }

    /// What was handed out once everything sent so far is done.
    async fn drain(&mut self) -> Vec<Effect> {
        self.core.ask(|_| ()).await.unwrap();
        std::iter::from_fn(|| self.effects.try_recv().ok()).collect()
    }

    fn has_record(&self, kind: &str, key: &str) -> bool {
        let count = "SELECT count(*) FROM record WHERE kind = ?1 AND key = ?2";
        self.store.query_row(count, [kind, key], |row| row.get::<_, i64>(0)).unwrap() == 1
    }
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection
}

fn delivered(effects: &[Effect]) -> Vec<&Notice> {
    effects
        .iter()
        .filter_map(|it| if let Effect::Deliver(notice) = it { Some(&**notice) } else { None })
        .collect()
}

fn written(effects: &[Effect]) -> Vec<&ScalingAction> {
    effects
        .iter()
        .filter_map(|it| if let Effect::Write(action) = it { Some(&**action) } else { None })
        .collect()
}

#[tokio::test]
async fn what_is_to_be_done_is_on_record_before() {
    let mut world = World::start();
    world.breach().await;
    let Effect::Deliver(notice) = world.next().await else { panic!("the page comes first") };
    assert!(world.has_record("notice", notice.id.as_str()), "the page is on record when it may leave");
    assert!(world.has_record("incident", notice.facts.incident_id.as_str()));
    let effects = world.drain().await;
    assert_eq!(effects, [Effect::Look(world.target.clone())], "the target is looked at before it is written");
    world.seen().await;
    let effects = world.drain().await;
    let action = written(&effects)[0];
    assert!(world.has_record("action", action.id.as_str()), "the step is on record when it may be written");
}

#[tokio::test]
async fn without_a_store_people_are_paged_and_the_cluster_is_left_alone() {
    let mut world = World::start();
    world.store.execute_batch("ALTER TABLE record RENAME TO lost").unwrap();
    world.breach().await;
    let told = world.drain().await;
    let (daemons, pages): (Vec<&Notice>, Vec<&Notice>) = delivered(&told)
        .into_iter()
        .partition(|notice| notice.facts.incident_type.as_str() == "store_failing");
    assert_eq!(pages.len(), 1, "the page leaves from memory");
    assert!(!daemons.is_empty(), "people hear that the store fails");
    world.seen().await;
    assert_eq!(
        written(&world.drain().await),
        Vec::<&ScalingAction>::new(),
        "a step that is nowhere on record"
    );

    world.store.execute_batch("ALTER TABLE lost RENAME TO record").unwrap();
    world.seen().await;
    world.seen().await;
    let effects = world.drain().await;
    let action = written(&effects)[0];
    assert!(world.has_record("action", action.id.as_str()), "once it is on record it is written");
    let incidents = world
        .core
        .ask(|engine| {
            engine
                .incidents()
                .map(|it| (it.id.clone(), it.incident_type.clone(), it.state))
                .collect::<Vec<_>>()
        })
        .await
        .unwrap();
    assert_eq!(incidents.len(), 2);
    for (id, incident_type, state) in incidents {
        assert!(world.has_record("incident", id.as_str()), "what was decided meanwhile is on record too");
        let is_over = incident_type.as_str() == "store_failing";
        assert_eq!(state == IncidentState::Resolved, is_over, "{id} {state:?}: the store works again");
    }
}

#[tokio::test]
async fn a_store_that_lost_its_tail_is_told_and_one_that_is_replaced_gets_everything_again() {
    let mut world = World::start();
    world.breach().await;
    let told = delivered(&world.drain().await).len();
    assert_eq!(told, 1);
    // Somebody deletes the file under the running daemon.
    for tail in ["", "-wal", "-shm"] {
        std::fs::remove_file(world.folder.path().join(format!("store.db{tail}"))).unwrap();
    }
    world.seen().await;
    let is_told = |engine: &Engine| {
        engine.outbox().any(|(_, notice)| notice.facts.incident_type.as_str() == "store_forgot")
    };
    assert!(world.core.ask(is_told).await.unwrap(), "people hear of it");
    world.store = open(&world.folder.path().join("store.db"));
    let kept: Vec<String> = world
        .core
        .ask(|engine| engine.incidents().map(|it| it.id.as_str().to_owned()).collect())
        .await
        .unwrap();
    assert_eq!(kept.len(), 2);
    for id in kept {
        assert!(world.has_record("incident", &id), "{id} is in the new file too");
    }
}
