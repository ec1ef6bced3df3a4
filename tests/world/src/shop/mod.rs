//! A synthetic shop: services with tenants, disks and a database, whose metrics follow a load that can be set while it
//! runs, and that feels better when it is scaled.
//!
//! ```text
//! Curve ── requests per second ─┐
//! Fleet ── pods and limits ─────┴▶ model ── strain ──▶ ledger ── counters ──▶ exporters ──▶ GET /metrics
//! ```
//!
//! Counters advance when somebody looks (a scrape) or changes something, by the time that has passed since. There is no
//! driver and no randomness: the same calls at the same times give the same page. The shop owns no pods; it asks a
//! [`Fleet`] for them.

mod curve;
mod exporters;
mod exposition;
mod fleet;
mod ledger;
pub mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use curve::Curve;
pub use exporters::Node;
pub use fleet::{Fleet, Pod, StaticFleet};
use ledger::{DatabaseLedger, Offer, ServiceLedger};
pub use model::{Database, Profile};

/// Curves are followed in steps no longer than this, however far apart the scrapes are.
const STEP_SECONDS: f64 = 1.0;

/// What a shop consists of when it opens.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// Namespace of all services.
    pub namespace: String,
    /// Services by name, with what their requests cost.
    pub services: BTreeMap<String, Profile>,
    /// Tenants, who send equal parts of every load.
    pub tenants: BTreeSet<String>,
    /// Machines and their disks.
    pub nodes: Vec<Node>,
    /// The database all services use.
    pub database: Database,
    /// Virtual seconds per real second: how fast curves run. Counters keep to real time.
    pub speed: f64,
}

impl Default for Blueprint {
    /// `checkout`, `search` and `payments` in namespace `shop`, three tenants, two nodes of 4 cores and 16 GB.
    fn default() -> Self {
        let ordinary = Profile::default();
        let search = Profile { cpu_seconds_per_request: 0.005, queries_per_request: 1.0, ..ordinary };
        let payments = Profile { cpu_seconds_per_request: 0.02, response_seconds: 0.04, ..ordinary };
        let services = [("checkout", ordinary), ("search", search), ("payments", payments)];
        let node = |name: &str, disk_used| Node {
            name: name.into(),
            cores: 4.0,
            memory_bytes: 16_000_000_000,
            disk_bytes: 100_000_000_000,
            disk_used,
        };
        Self {
            namespace: "shop".into(),
            services: services.map(|(name, profile)| (name.into(), profile)).into(),
            tenants: ["acme", "globex", "initech"].map(Into::into).into(),
            nodes: vec![node("node-1", 0.4), node("node-2", 0.5)],
            database: Database::default(),
            speed: 1.0,
        }
    }
}

/// A running shop. Closes when dropped.
#[derive(Debug)]
pub struct Shop {
    floor: Arc<Floor>,
    address: SocketAddr,
    _open: DropGuard,
}

/// The shop has no service or node of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the shop has nothing called {:?}", self.0)
    }
}

impl std::error::Error for Unknown {}

struct Floor {
    fleet: Arc<dyn Fleet>,
    state: Mutex<State>,
}

struct State {
    blueprint: Blueprint,
    services: BTreeMap<String, Service>,
    database: DatabaseLedger,
    tenant_capacity: Option<u32>,
    down: bool,
    seen: Instant,
}

struct Service {
    profile: Profile,
    curve: Curve,
    /// Virtual seconds since the curve was set.
    age: f64,
    leaked_bytes: f64,
    fault_share: f64,
    ledger: ServiceLedger,
}

impl Shop {
    /// Opens a shop on a free loopback port; its services run on the pods of `fleet` and have no load yet. Fails if
    /// the port cannot be bound.
    pub async fn open(blueprint: Blueprint, fleet: Arc<dyn Fleet>) -> std::io::Result<Self> {
        let floor = Arc::new(Floor { fleet, state: Mutex::new(State::new(blueprint)) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let page = Arc::clone(&floor);
        let router = Router::new().route("/metrics", get(move || async move { page.answer() }));
        let closed = closing.clone().cancelled_owned();
        // The task ends with the guard in `Shop`; what it cannot serve, the scraper sees as `up` of zero.
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(closed).await });
        Ok(Self { floor, address, _open: closing.drop_guard() })
    }

    /// Where the metrics are, as `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A Prometheus configuration that scrapes this shop under job `shop`. The one page stands for several exporters,
    /// so their own `instance` labels are kept.
    pub fn prometheus_config(&self, interval: Duration) -> String {
        let (address, milliseconds) = (self.address, interval.as_millis());
        format!(
            "global: {{scrape_interval: {milliseconds}ms}}\nscrape_configs:\n  - job_name: shop\n    \
             honor_labels: true\n    static_configs: [{{targets: ['{address}']}}]\n"
        )
    }

    /// The page that a scrape would get now, unless the shop is down.
    pub fn scrape(&self) -> String {
        self.floor.now().page()
    }

    /// Sends a service so many requests per second from now on.
    pub fn set_load(&self, service: &str, requests_per_second: f64) -> Result<(), Unknown> {
        self.set_curve(service, Curve::Constant(requests_per_second))
    }

    /// Lets the load of a service follow a curve that begins now.
    pub fn set_curve(&self, service: &str, curve: Curve) -> Result<(), Unknown> {
        self.change(service, |service| (service.curve, service.age) = (curve, 0.0))
    }

    /// Lets a service hold so many bytes beyond what its requests explain, spread over its ready pods.
    pub fn set_memory(&self, service: &str, leaked_bytes: f64) -> Result<(), Unknown> {
        self.change(service, |service| service.leaked_bytes = leaked_bytes.max(0.0))
    }

    /// Lets a share of a service's requests fail whatever the load, 0 to 1: a bad release.
    pub fn set_fault(&self, service: &str, share: f64) -> Result<(), Unknown> {
        self.change(service, |service| service.fault_share = share.clamp(0.0, 1.0))
    }

    /// Fills or frees the disk of a node; the share in use, 0 to 1.
    pub fn set_disk(&self, node: &str, used: f64) -> Result<(), Unknown> {
        let mut state = self.floor.now();
        let found = state.blueprint.nodes.iter_mut().find(|candidate| candidate.name == node);
        found.ok_or_else(|| Unknown(node.into()))?.disk_used = used.clamp(0.0, 1.0);
        Ok(())
    }

    /// Changes who the tenants are; the series of those who leave vanish.
    pub fn set_tenants<'a>(&self, tenants: impl IntoIterator<Item = &'a str>) {
        self.floor.now().blueprint.tenants = tenants.into_iter().map(Into::into).collect();
    }

    /// Exports the gauge `tenant_capacity`, or exports it no longer.
    pub fn set_tenant_capacity(&self, tenants: Option<u32>) {
        self.floor.now().tenant_capacity = tenants;
    }

    /// Changes what the database can take.
    pub fn set_database(&self, database: Database) {
        self.floor.now().blueprint.database = database;
    }

    /// Answers scrapes with 503, or with metrics again; the shop itself goes on meanwhile.
    pub fn set_down(&self, down: bool) {
        self.floor.now().down = down;
    }

    fn change(&self, service: &str, change: impl FnOnce(&mut Service)) -> Result<(), Unknown> {
        let mut state = self.floor.now();
        change(state.services.get_mut(service).ok_or_else(|| Unknown(service.into()))?);
        Ok(())
    }
}

// === impl Floor ===

impl Floor {
    /// The state with everything counted up to now.
    fn now(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let namespace = state.blueprint.namespace.clone();
        // Under the lock, so that pods are never counted in another order than they were seen in.
        let pods =
            state.services.keys().map(|name| (name.clone(), self.fleet.pods(&namespace, name))).collect();
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(state.seen).as_secs_f64();
        state.seen = now;
        state.advance(&pods, elapsed);
        state
    }

    fn answer(&self) -> Response {
        let state = self.now();
        if state.down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], state.page()).into_response()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floor").finish_non_exhaustive()
    }
}

// === impl State ===

impl State {
    fn new(blueprint: Blueprint) -> Self {
        let service = |profile: &Profile| Service {
            profile: *profile,
            curve: Curve::Constant(0.0),
            age: 0.0,
            leaked_bytes: 0.0,
            fault_share: 0.0,
            ledger: ServiceLedger::default(),
        };
        Self {
            services: blueprint
                .services
                .iter()
                .map(|(name, profile)| (name.clone(), service(profile)))
                .collect(),
            database: DatabaseLedger::new(&blueprint.database),
            tenant_capacity: None,
            down: false,
            seen: Instant::now(),
            blueprint,
        }
    }

    /// Counts `elapsed` real seconds on these pods, in steps short enough for the curves.
    fn advance(&mut self, pods: &BTreeMap<String, Vec<Pod>>, elapsed: f64) {
        let mut left = elapsed;
        loop {
            let step = left.min(STEP_SECONDS);
            self.step(pods, step);
            left -= step;
            if left <= 0.0 {
                return;
            }
        }
    }

    fn step(&mut self, pods: &BTreeMap<String, Vec<Pod>>, elapsed: f64) {
        let virtual_elapsed = elapsed * self.blueprint.speed;
        let (mut queries_per_second, mut ready) = (0.0, 0.0);
        for (name, service) in &mut self.services {
            let requests_per_second = service.curve.at(service.age + virtual_elapsed / 2.0);
            service.age += virtual_elapsed;
            let offer = Offer {
                requests_per_second,
                leaked_bytes: service.leaked_bytes,
                fault_share: service.fault_share,
                tenants: &self.blueprint.tenants,
            };
            let pods = pods.get(name).map_or(&[][..], Vec::as_slice);
            service.ledger.advance(&service.profile, pods, &offer, elapsed);
            if service.ledger.ready() > 0.0 {
                queries_per_second += requests_per_second * service.profile.queries_per_request;
                ready += service.ledger.ready();
            }
        }
        self.database.advance(&self.blueprint.database, queries_per_second, ready, elapsed);
    }

    fn page(&self) -> String {
        let Blueprint { namespace, nodes, database, tenants, .. } = &self.blueprint;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
        let services: BTreeMap<_, _> =
            self.services.iter().map(|(name, service)| (name.as_str(), &service.ledger)).collect();
        let mut page = exposition::Exposition::default();
        exporters::cadvisor(&mut page, namespace, &services);
        exporters::kube_state(&mut page, namespace, &services, nodes);
        exporters::disks(&mut page, nodes);
        exporters::http(&mut page, namespace, &services);
        exporters::postgres(&mut page, database, &self.database);
        exporters::storage(&mut page, tenants, now);
        exporters::tenant_capacity(&mut page, self.tenant_capacity);
        page.finish()
    }
}
