//! The Horizontal Pod Autoscaler's arithmetic: from pods and their usage to a wanted number of replicas. Owns one
//! reading of the metrics; stabilization and rates are `behavior`. Follows Kubernetes' own calculator, its whole
//! percents and its two passes included.

use crate::pipeline::Usage;

/// The utilisation aimed at, in percent of the request.
pub(crate) const TARGET: i64 = 70;
/// How far a ratio may be from one before anything happens.
const TOLERANCE: f64 = 0.1;
/// Seconds after its start in which a pod's CPU counts only once it has been ready for a whole sample.
const INITIALIZATION: i64 = 300;
/// Seconds after its start in which a pod that is not ready counts as one that never was.
const READINESS_DELAY: i64 = 30;
/// The CPU request of a pod, in millicores.
pub(crate) const REQUEST: i64 = 1_000;

/// One pod as the controller sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// When its container started; none while it is pending.
    pub(crate) started: Option<i64>,
    /// Whether it is ready.
    pub(crate) ready: bool,
    /// When that last changed.
    pub(crate) changed: i64,
    /// What the metrics server has of it.
    pub(crate) usage: Option<Usage>,
}

/// In which group the calculator counts a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Ready,
    Unready,
    Missing,
}

impl Seen {
    fn group(&self, now: i64) -> Group {
        let Some(started) = self.started else { return Group::Unready };
        let Some(usage) = self.usage else { return Group::Missing };
        let unready = if now < started + INITIALIZATION {
            !self.ready || usage.at < self.changed + usage.window
        } else {
            !self.ready && self.changed < started + READINESS_DELAY
        };
        if unready { Group::Unready } else { Group::Ready }
    }
}

/// The replicas that the CPU of the pods asks for; `None` where nothing is known.
pub(crate) fn by_cpu(pods: &[Seen], replicas: u32, now: i64) -> Option<u32> {
    let of = |group: Group| pods.iter().filter(move |pod| pod.group(now) == group);
    let ready: Vec<i64> = of(Group::Ready).filter_map(|pod| Some(pod.usage?.milli)).collect();
    let (unready, missing) = (of(Group::Unready).count(), of(Group::Missing).count());
    let ratio = ratio(&ready)?;
    let rescale = unready > 0 && ratio > 1.0;
    if !rescale && missing == 0 {
        return Some(if is_tolerated(ratio) { replicas } else { times(ratio, ready.len()) });
    }
    let mut counted = ready;
    if missing > 0 && ratio < 1.0 {
        // Where less is wanted, what is not known uses all it asked for.
        counted.extend(std::iter::repeat_n(REQUEST * TARGET.max(100) / 100, missing));
    } else if missing > 0 && ratio > 1.0 {
        counted.extend(std::iter::repeat_n(0, missing));
    }
    if rescale {
        counted.extend(std::iter::repeat_n(0, unready));
    }
    let again = self::ratio(&counted)?;
    let turned = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
    if is_tolerated(again) || turned {
        return Some(replicas);
    }
    let wanted = times(again, counted.len());
    let against = (again < 1.0 && wanted > replicas) || (again > 1.0 && wanted < replicas);
    Some(if against { replicas } else { wanted })
}

/// The replicas that a value over its target asks for, as an external metric of type `Value`.
pub(crate) fn by_value(value: f64, target: f64, replicas: u32, ready: u32) -> u32 {
    let ratio = value / target;
    if is_tolerated(ratio) { replicas } else { times(ratio, usize::try_from(ready).unwrap_or(0)) }
}

/// Several metrics: the largest wins. One that says nothing keeps the rest from going down.
pub(crate) fn vote(votes: &[Option<u32>], replicas: u32) -> Option<u32> {
    let most = votes.iter().flatten().copied().max()?;
    let all = votes.iter().all(Option::is_some);
    (all || most >= replicas).then_some(most)
}

/// Used of requested, in whole percents, over the target.
fn ratio(usages: &[i64]) -> Option<f64> {
    let pods = i64::try_from(usages.len()).ok().filter(|pods| *pods > 0)?;
    let percent = usages.iter().sum::<i64>() * 100 / (pods * REQUEST);
    Some(crate::load::seconds(percent) / crate::load::seconds(TARGET))
}

fn is_tolerated(ratio: f64) -> bool {
    (1.0 - TOLERANCE..=1.0 + TOLERANCE).contains(&ratio)
}

fn times(ratio: f64, pods: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of pods")]
    let wanted = (ratio * f64::from(crate::shop::count(pods))).ceil() as u32;
    wanted
}
