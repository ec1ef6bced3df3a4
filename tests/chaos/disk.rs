//! A disk that is full for a while: a small file system of its own under the store. Owns mounting it, filling it and
//! taking it away.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use super::patience::{lasting, until};
use super::run::{Outcome, World};
use super::script::Load;

/// Large enough for a run's store and its write-ahead log, in bytes.
const SIZE: usize = 32 << 20;

/// How long the disk is full.
const FULL_FOR: Duration = Duration::from_secs(4);

const PATIENCE: Duration = Duration::from_secs(30);

/// A mounted file system; unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    /// Nothing where this user may not mount.
    fn mount(at: &Path) -> anyhow::Result<Option<Self>> {
        std::fs::create_dir_all(at)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs"])
            .arg(at)
            .output()?;
        Ok(mounted.status.success().then(|| Self(at.to_owned())))
    }

    /// Fills it to the last byte.
    fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = std::fs::File::create(self.0.join("ballast"))?;
        // Twice its size at the most: should it not be what is written to, nothing else fills up.
        for (size, most) in [(65_536, 2 * SIZE / 65_536), (4_096, 2 * 65_536 / 4_096)] {
            let piece = vec![0_u8; size];
            for _ in 0..most {
                if ballast.write_all(&piece).is_err() {
                    break;
                }
            }
        }
        let more = std::fs::write(self.0.join("more"), [0; 4_096]);
        ensure!(more.is_err(), "the disk is not full");
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        let _ = std::fs::remove_file(self.0.join("more"));
        Ok(std::fs::remove_file(self.0.join("ballast"))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a daemon that is being killed may still have its files open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A storm in which the disk is full for a while, with a kill before and one after. While it is full nothing can be on
/// record, so a kill then may forget what was told: that is the one promise a full disk takes back, and not tested.
///
/// Nothing where no file system can be mounted.
pub(crate) async fn full_for_a_while(seed: u64, load: Load) -> anyhow::Result<Option<Outcome>> {
    let mut world = World::new(seed, load, "disk/runbookd.db", Duration::from_millis(20)).await?;
    let Some(disk) = Disk::mount(&world.home.file("disk"))? else { return Ok(None) };
    let life = world.warm_up().await?;
    world.kill(life, "anywhere").await?;
    let life = world.begin()?;
    world.source.asked(PATIENCE).await;

    let told = world.sinks.hook.journal.count();
    disk.fill()?;
    let full = Instant::now();
    until(PATIENCE, async || Ok(commits(&world, "failed").await? > 0.0)).await.context("no commit failed")?;
    lasting(FULL_FOR.saturating_sub(full.elapsed())).await;
    let more = world.sinks.hook.journal.count();
    ensure!(more > told, "nobody is told anything while the disk is full");

    disk.free()?;
    let before = commits(&world, "committed").await?;
    until(PATIENCE, async || Ok(commits(&world, "committed").await? > before))
        .await
        .context("no commit afterwards")?;
    lasting(Duration::from_secs(1)).await;
    world.kill(life, "anywhere").await?;
    let outcome = world.judge().await?;
    drop(disk);
    Ok(Some(outcome))
}

async fn commits(world: &World, outcome: &str) -> anyhow::Result<f64> {
    let name = format!("runbookd_store_commits_total{{outcome=\"{outcome}\"}}");
    Ok(world.home.metric(&name).await.unwrap_or(0.0))
}
