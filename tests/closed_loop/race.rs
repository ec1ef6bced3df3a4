//! The race: one shape of load, one controller, second by second. Owns the loop and what is counted.

use std::sync::OnceLock;

use crate::behavior::{Bounds, Memory};
use crate::hpa;
use crate::load::{Shape, seconds};
use crate::pipeline::Pipeline;
use crate::runbook::Runbook;
use crate::shop::{PER_POD, Service};

/// The replicas at the beginning; enough for the load that every shape begins with.
pub(crate) const START: u32 = 5;
/// The bounds, for all controllers.
pub(crate) const BOUNDS: Bounds = Bounds { min: 2, max: 20 };
/// What counts as too much: of the pods' CPU, and seconds of response time.
const CPU: f64 = 0.7;
const RESPONSE: f64 = 0.3;
/// The autoscaler looks this often, in seconds, and this long after a scrape.
const SYNC: i64 = 15;
const AFTER: i64 = 10;

/// Who scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The runbook's policy as it stands.
    Runbook,
    /// The same, taking back what is not needed.
    RunbookAndBack,
    /// The autoscaler on CPU.
    Hpa,
    /// The autoscaler on CPU and response time, the two signals of the runbook's policy.
    HpaBoth,
}

impl Who {
    pub(crate) const ALL: [Self; 4] = [Self::Runbook, Self::RunbookAndBack, Self::Hpa, Self::HpaBoth];

    /// The name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Runbook => "runbookd",
            Self::RunbookAndBack => "runbookd, scale_in",
            Self::Hpa => "HPA, CPU",
            Self::HpaBoth => "HPA, CPU and response time",
        }
    }
}

/// One minute for the picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Minute {
    /// Pods that the load needs at the target.
    pub(crate) needed: f64,
    /// Pods wanted.
    pub(crate) replicas: u32,
    /// Whether any second of it was too slow.
    pub(crate) slow: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub(crate) struct Score {
    pub(crate) who: Who,
    /// Minutes with a response time above 300 ms.
    pub(crate) slow_minutes: f64,
    /// Minutes with the pods' CPU above 70 %.
    pub(crate) hot_minutes: f64,
    /// Pods there were, over time.
    pub(crate) replica_hours: f64,
    /// Accepted writes that changed something.
    pub(crate) changes: u32,
    /// The most pods wanted.
    pub(crate) most: u32,
    /// Pods wanted at the end.
    pub(crate) last: u32,
    pub(crate) minutes: Vec<Minute>,
}

/// Every shape with the scores of everybody; played once.
pub(crate) fn all() -> &'static [(Shape, Vec<Score>)] {
    static ALL: OnceLock<Vec<(Shape, Vec<Score>)>> = OnceLock::new();
    ALL.get_or_init(|| {
        std::thread::scope(|scope| {
            let played = Shape::all().into_iter().map(|shape| {
                scope.spawn(move || {
                    let scores = Who::ALL.map(|who| run(&shape, who)).to_vec();
                    (shape, scores)
                })
            });
            let played: Vec<_> = played.collect();
            played.into_iter().map(|shape| shape.join().expect("a race that ends")).collect()
        })
    })
}

enum Controller {
    Runbook(Box<Runbook>),
    Hpa { memory: Memory, both: bool },
}

/// Plays a shape with one controller.
pub(crate) fn run(shape: &Shape, who: Who) -> Score {
    let mut service = Service::new(START);
    let mut pipeline = Pipeline::default();
    let mut controller = match who {
        Who::Runbook => Controller::Runbook(Box::new(Runbook::new())),
        Who::RunbookAndBack => Controller::Runbook(Box::new(Runbook::and_back())),
        Who::Hpa => Controller::Hpa { memory: Memory::default(), both: false },
        Who::HpaBoth => Controller::Hpa { memory: Memory::default(), both: true },
    };
    let (mut slow, mut hot, mut pods, mut changes, mut most) = (0, 0, 0, 0, START);
    let mut minutes: Vec<Minute> = Vec::new();
    for now in 0..shape.seconds() {
        let load = shape.at(now);
        let second = service.pass(now, load, shape.downstream);
        pipeline.scrape(now, &service);
        changes += match &mut controller {
            Controller::Runbook(runbook) => runbook.act(now, &mut service, &pipeline),
            Controller::Hpa { memory, both } if now % SYNC == AFTER => {
                u32::from(sync(now, &mut service, &pipeline, memory, *both))
            }
            Controller::Hpa { .. } => 0,
        };
        most = most.max(service.wanted);
        let is_slow = second.response > RESPONSE;
        slow += i64::from(is_slow);
        hot += i64::from(second.cpu > CPU);
        pods += i64::try_from(service.pods.len()).unwrap_or(0);
        if now % 60 == 0 {
            minutes.push(Minute { needed: load / PER_POD / CPU, replicas: 0, slow: false });
        }
        if let Some(minute) = minutes.last_mut() {
            minute.replicas = service.wanted;
            minute.slow |= is_slow;
        }
    }
    Score {
        who,
        slow_minutes: seconds(slow) / 60.0,
        hot_minutes: seconds(hot) / 60.0,
        replica_hours: seconds(pods) / 3_600.0,
        changes,
        most,
        last: service.wanted,
        minutes,
    }
}

/// One look of the autoscaler; whether it wrote.
fn sync(now: i64, service: &mut Service, pipeline: &Pipeline, memory: &mut Memory, both: bool) -> bool {
    let seen = service.pods.iter().map(|pod| {
        let ready = pod.ready_from() <= now;
        hpa::Seen {
            started: (pod.runs_from() <= now).then_some(pod.created),
            ready,
            changed: if ready { pod.ready_from() } else { pod.created },
            usage: pipeline.usage(pod.number),
        }
    });
    let seen: Vec<hpa::Seen> = seen.collect();
    let from = service.wanted;
    let by_cpu = hpa::by_cpu(&seen, from, now);
    let ready = service.ready(now);
    let by_response = || pipeline.response_time(now).map(|value| hpa::by_value(value, RESPONSE, from, ready));
    let wanted = if both { hpa::vote(&[by_cpu, by_response()], from) } else { by_cpu };
    let Some(to) = memory.decide(wanted, from, BOUNDS, now) else { return false };
    memory.wrote(from, to, now);
    service.scale(to)
}
