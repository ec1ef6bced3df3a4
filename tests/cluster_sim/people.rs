//! Everybody else: who writes to the workloads, makes them anew, rolls them out, edits files, sets the clock and pulls
//! cables. Owns what they do; the daemon owns what comes of it.

use runbookd::domain::name::TargetId;
use runbookd::domain::scaling::{Axis, Direction, PauseOrder};
use runbookd::engine::event::Event;

use crate::bugs::Bug;
use crate::chance::Chance;
use crate::cluster::Starts;
use crate::faults::Class;
use crate::plans::{self, Edition};
use crate::world::{Happens, World};

impl World {
    fn any_target(&mut self, class: Class) -> Option<TargetId> {
        let all: Vec<TargetId> = self.cluster.workloads.keys().cloned().collect();
        self.faults.chance(class).of(&all).cloned()
    }

    fn has_running(&self, target: &TargetId) -> bool {
        self.engine().is_some_and(|engine| {
            engine.actions().any(|action| action.target == *target && action.state.is_running())
        })
    }

    /// A person, another autoscaler or a pipeline sets the replicas.
    pub(crate) fn somebody_writes(&mut self) {
        if !self.faults.happens(Class::Writers) {
            return;
        }
        let Some(target) = self.any_target(Class::Writers) else { return };
        let replicas = u32::try_from(self.faults.chance(Class::Writers).between(0, 18)).unwrap_or(0);
        if self.has_running(&target) {
            self.marks.reached("written_by_somebody_during_a_step");
        }
        self.log(|| format!("somebody sets {target} to {replicas}"));
        let now = self.agenda.now();
        if let Some(workload) = self.cluster.workloads.get_mut(&target) {
            workload.touch(now);
            workload.replicas = replicas;
            workload.writer = "kubectl";
            workload.settle(now);
        }
    }

    pub(crate) fn made_anew(&mut self) {
        if !self.faults.happens(Class::Owners) {
            return;
        }
        let Some(target) = self.any_target(Class::Owners) else { return };
        let replicas = u32::try_from(self.faults.chance(Class::Owners).between(1, 6)).unwrap_or(1);
        if self.has_running(&target) {
            self.marks.reached("made_anew_during_a_step");
        }
        self.log(|| format!("{target} is made anew with {replicas}"));
        let now = self.agenda.now();
        if let Some(workload) = self.cluster.workloads.get_mut(&target) {
            workload.make_anew(replicas, now);
        }
    }

    pub(crate) fn roll_out(&mut self) {
        if !self.faults.happens(Class::Owners) {
            return;
        }
        let Some(target) = self.any_target(Class::Owners) else { return };
        let takes = self.faults.chance(Class::Owners).millis(20.0, 400.0);
        self.log(|| format!("a new template of {target}"));
        let now = self.agenda.now();
        if let Some(workload) = self.cluster.workloads.get_mut(&target) {
            workload.touch(now);
            workload.rollout_until = now + takes;
        }
    }

    /// How pods start from now on, and how many may be made.
    pub(crate) fn pods_turn(&mut self) {
        if !self.faults.happens(Class::Pods) {
            return;
        }
        let Some(target) = self.any_target(Class::Pods) else { return };
        let draws: &mut Chance = self.faults.chance(Class::Pods);
        let starts = match draws.between(0, 3) {
            0 => Starts::Never,
            1 => Starts::After(draws.millis(60.0, 400.0)),
            _ => Starts::After(draws.millis(2.0, 60.0)),
        };
        let quota = draws.strikes(0.3).then(|| u32::try_from(draws.between(2, 8)).unwrap_or(8));
        self.log(|| format!("pods of {target} start {starts:?}, quota {quota:?}"));
        let now = self.agenda.now();
        if let Some(workload) = self.cluster.workloads.get_mut(&target) {
            if draws_heal(starts) {
                workload.heal(now);
            }
            workload.starts = starts;
            workload.quota = quota;
        }
    }

    /// Somebody asks that a target is left alone for a while, or lets it go on.
    pub(crate) fn pause_or_resume(&mut self) {
        if !self.faults.happens(Class::Pauses) {
            return;
        }
        let Some(target) = self.any_target(Class::Pauses) else { return };
        let since = self.agenda.wall();
        let draws = self.faults.chance(Class::Pauses);
        if draws.strikes(0.3) {
            return self.resume(target);
        }
        let lasts = std::time::Duration::from_millis(draws.millis(30.0, 900.0));
        let until = if draws.strikes(0.2) { None } else { since.checked_add(lasts).ok() };
        self.log(|| format!("{target} is paused until {until:?}"));
        let order = PauseOrder { by: "anna".into(), reason: "a migration".into(), since, until };
        self.hand_in(Event::PauseScaling { target, order });
    }

    pub(crate) fn resume(&mut self, target: TargetId) {
        self.log(|| format!("{target} is resumed"));
        self.judge.resumed(&target, self.agenda.now());
        self.hand_in(Event::ResumeScaling { target, by: "anna".into() });
    }

    pub(crate) fn api_fails(&mut self) {
        if self.faults.happens(Class::ApiOutage) {
            self.log(|| "the API server is away".into());
            self.cluster.away = true;
            let lasts = self.faults.chance(Class::ApiOutage).millis(5.0, 500.0);
            self.agenda.after(lasts, Happens::ApiWorks);
        }
    }

    pub(crate) fn source_fails(&mut self) {
        if self.faults.happens(Class::SourceOutage) {
            self.log(|| "Prometheus is away".into());
            self.source.away = true;
            let lasts = self.faults.chance(Class::SourceOutage).millis(20.0, 500.0);
            self.agenda.after(lasts, Happens::SourceWorks);
        }
    }

    pub(crate) fn set_clock(&mut self) {
        if !self.faults.happens(Class::Time) {
            return;
        }
        let draws = self.faults.chance(Class::Time);
        let by = i64::try_from(draws.millis(1.0, 3_600.0)).unwrap_or(0);
        let by = if draws.strikes(0.5) { by } else { -by };
        let wall = self.agenda.wall();
        let rests = self.engine().is_some_and(|engine| {
            let targets = self.cluster.workloads.keys();
            targets
                .flat_map(|target| Axis::ALL.map(|axis| engine.cooldown(target, axis, Direction::Out)))
                .flatten()
                .any(|until| until > wall)
        });
        if rests {
            let ahead = by > 0;
            let mark = if ahead { "clock_set_ahead_during_a_rest" } else { "clock_set_back_during_a_rest" };
            self.marks.reached(mark);
        }
        self.log(|| format!("the clock is set by {by} ms"));
        self.agenda.step_wall(by);
        self.judge.clock_set(self.agenda.now(), by);
    }

    pub(crate) fn reload_somehow(&mut self) {
        if self.faults.happens(Class::Files) {
            let edition = plans::draw(&mut self.files);
            self.reload(edition);
        }
    }

    pub(crate) fn reload(&mut self, mut edition: Edition) {
        let number = edition.number;
        self.log(|| format!("plan {number} is loaded: {:?}", edition.policy().targets));
        self.trace(("reload", number));
        for (id, workload) in &self.cluster.workloads {
            if edition.target(id).is_some_and(|target| target.max_replicas < workload.replicas) {
                self.marks.reached("bounds_below_what_there_is");
            }
        }
        if self.engine().is_some_and(|engine| engine.actions().any(|action| action.state.is_running())) {
            self.marks.reached("reload_during_a_step");
        }
        self.judge.reloaded(&edition, self.agenda.now());
        self.edition = edition.clone();
        if self.order.bug == Some(Bug::ReloadKeepsTheOldBounds) && self.node.is_some() {
            edition.plan = plans::widened(&edition.plan);
        }
        self.hand_in(Event::Reloaded(edition.plan));
    }
}

fn draws_heal(starts: Starts) -> bool {
    starts != Starts::Never
}
