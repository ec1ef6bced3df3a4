//! Reload the way a cluster does it: a ConfigMap's files are links into a folder that is swapped whole.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use world::slack::Call;
use world::stage::{Stage, TimeScale};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_that_is_swapped_is_taken() {
    let _alone = super::alone().await;
    let stage = Stage::set(Path::new(super::SHIPPED), TimeScale::default()).await.unwrap();
    // Only file events can be what is noticed within the time of this test.
    stage.edit("config/runbookd.yaml", &[("poll: 2s", "poll: 1h")]).unwrap();
    mount_as_config_map(&stage.file("rules"));
    let daemon = super::start(&stage).await;
    let versions = [("second", "45%", "WARNING"), ("third", "75%", "RESOLVED")];
    for (version, threshold, expected) in versions {
        let text = std::fs::read_to_string(stage.file("rules/monitoring.yaml")).unwrap();
        let start = text.find("disk_usage").unwrap();
        let from = start + text[start..].find("warning: ").unwrap() + "warning: ".len();
        let to = from + text[from..].find('%').unwrap() + 1;
        swap(&stage.file("rules"), version, &format!("{}{threshold}{}", &text[..from], &text[to..]));
        let told = |call: &Call| call.text().starts_with(expected) && call.text().contains("node-2");
        let heard = stage.slack.journal.wait_for(told, PATIENCE).await;
        heard.unwrap_or_else(|error| panic!("the {version} version is not taken: {error}\n{}", daemon.log()));
    }
    assert_eq!(daemon.metric(r#"runbookd_config_reloads_total{outcome="taken"}"#).await.unwrap(), Some(2.0));
}

/// Lays the files out as the kubelet does: `file → ..data/file`, `..data → ..first`.
fn mount_as_config_map(folder: &Path) {
    let first = folder.join("..first");
    std::fs::create_dir(&first).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::rename(entry.path(), first.join(entry.file_name())).unwrap();
            symlink(Path::new("..data").join(entry.file_name()), entry.path()).unwrap();
        }
    }
    symlink("..first", folder.join("..data")).unwrap();
}

/// Swaps in a version whose `monitoring.yaml` says `text`, by renaming a link as the kubelet does.
fn swap(folder: &Path, version: &str, text: &str) {
    let new = folder.join(format!("..{version}"));
    std::fs::create_dir(&new).unwrap();
    for entry in std::fs::read_dir(folder.join("..data")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), new.join(entry.file_name())).unwrap();
    }
    std::fs::write(new.join("monitoring.yaml"), text).unwrap();
    symlink(format!("..{version}"), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}
