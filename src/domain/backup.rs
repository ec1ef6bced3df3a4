//! Backups as the runbook states them (3.1): what is backed up when, how it is verified and where copies lie. Owns the
//! time within which each must be there; that they are is judged by ordinary rules, see `config::rules::backup`.

use std::sync::Arc;
use std::time::Duration;

/// The shortest time a backup may be late before anybody is told.
const LEAST_GRACE: Duration = Duration::from_secs(5 * 60);

/// The longest, where nothing else is configured.
const MOST_GRACE: Duration = Duration::from_secs(24 * 3_600);

/// One schedule of the runbook's `backup_configuration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSchedule {
    /// Its name, such as `full_backup`: the label `kind` of its metrics.
    pub name: Arc<str>,
    /// How often a backup must be made.
    pub frequency: Duration,
    /// How long each is kept.
    pub retention: Duration,
    /// The time of day it runs, as written: `02:00 UTC`.
    pub time: Option<Arc<str>>,
    /// How late it may be.
    pub grace: Duration,
}

impl BackupSchedule {
    /// How late a backup may be where nobody says: a quarter of its rhythm, from five minutes to a day.
    pub fn default_grace(frequency: Duration) -> Duration {
        (frequency / 4).clamp(LEAST_GRACE, MOST_GRACE)
    }

    /// The age of the newest backup beyond which one was missed.
    pub fn late_after(&self) -> Duration {
        self.frequency + self.grace
    }

    /// The age of the newest backup beyond which two were missed.
    pub fn missed_after(&self) -> Duration {
        self.frequency * 2 + self.grace
    }

    /// The least age of the oldest copy kept, once backups have been made for as long as they are kept.
    pub fn kept_at_least(&self) -> Duration {
        self.retention.saturating_sub(self.late_after())
    }

    /// The age of the oldest copy beyond which one should have been removed.
    pub fn gone_after(&self) -> Duration {
        self.retention + self.late_after()
    }
}

/// The runbook's `backup_configuration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupConfiguration {
    /// What is backed up when.
    pub schedules: Vec<BackupSchedule>,
    /// The checks each backup must pass: the label `verification` of their metrics.
    pub verification: Vec<Arc<str>>,
    /// Where copies lie, by name: the label `storage` of their metrics.
    pub storage: Vec<(Arc<str>, Arc<str>)>,
}

impl BackupConfiguration {
    /// The schedule with the longest rhythm: what is verified is at least each of its backups.
    pub fn slowest(&self) -> Option<&BackupSchedule> {
        self.schedules.iter().max_by_key(|schedule| schedule.frequency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_limits_of_the_runbooks_schedules() {
        let schedule = |frequency, retention| BackupSchedule {
            name: "backup".into(),
            frequency,
            retention,
            time: None,
            grace: BackupSchedule::default_grace(frequency),
        };
        let full = schedule(24 * HOUR, 30 * 24 * HOUR);
        assert_eq!(full.late_after(), 30 * HOUR);
        assert_eq!(full.missed_after(), 54 * HOUR);
        assert_eq!(full.kept_at_least(), 690 * HOUR);
        assert_eq!(full.gone_after(), 750 * HOUR);
        let incremental = schedule(HOUR, 7 * 24 * HOUR);
        assert_eq!(incremental.late_after(), HOUR + HOUR / 4);
        assert_eq!(schedule(HOUR / 60, HOUR).grace, LEAST_GRACE);
        assert_eq!(schedule(31 * 24 * HOUR, 365 * 24 * HOUR).grace, MOST_GRACE);
    }
}
