//! What a cluster says of the targets of the rules: whether each is there, can be scaled and may be scaled. Asks the
//! cluster of the kubeconfig or the pod, writes nothing there, and decides nothing.

use std::io::{self, Write};
use std::time::Duration;

use futures::StreamExt as _;

use crate::config::load;
use crate::domain::name::TargetId;
use crate::domain::scaling::ClusterFailure;
use crate::kubernetes::Cluster;

use super::FolderArgs;

/// How long one call may take: somebody waits for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many targets are asked about at once.
const AT_ONCE: usize = 16;

/// Prints what the cluster says of each target that cannot be scaled, or that all can be. Nothing where the files have
/// mistakes or name no target.
pub(super) fn report(folders: &FolderArgs, out: &mut dyn Write) -> io::Result<()> {
    let Ok(loaded) = load(&folders.config, &folders.rules) else { return Ok(()) };
    let targets = loaded.rules.policy.iter().flat_map(|policy| &policy.targets);
    let targets: Vec<TargetId> = targets.map(|target| target.id.clone()).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(ask(targets)) {
        Some(answers) => write(&answers, out),
        None => writeln!(out, "no cluster is configured here: the targets were not looked for"),
    }
}

type Answers = Vec<(TargetId, Result<(), ClusterFailure>)>;

async fn ask(targets: Vec<TargetId>) -> Option<Answers> {
    let cluster = Cluster::connect().await.ok()?.with_timeout(TIMEOUT);
    let asking = futures::stream::iter(targets).map(|target| {
        let cluster = &cluster;
        async move {
            let answer = cluster.can_scale(&target).await;
            (target, answer)
        }
    });
    Some(asking.buffered(AT_ONCE).collect().await)
}

fn write(answers: &Answers, out: &mut dyn Write) -> io::Result<()> {
    if let Some(all) = unreachable(answers) {
        return writeln!(out, "the cluster does not answer ({all}): the targets were not looked for");
    }
    let mut cannot = answers.iter().filter_map(|(target, answer)| Some((target, answer.err()?))).peekable();
    if cannot.peek().is_none() {
        return writeln!(out, "cluster: all {} targets are there and may be scaled", answers.len());
    }
    for (target, failure) in cannot {
        writeln!(
            out,
            "cluster: {} {target} cannot be scaled: {}, {}",
            target.kind,
            failure.as_str(),
            why(failure)
        )?;
    }
    Ok(())
}

/// Why nothing at all was learnt, where that is so.
fn unreachable(answers: &Answers) -> Option<ClusterFailure> {
    let silent = |failure: &ClusterFailure| {
        matches!(failure, ClusterFailure::Unreachable | ClusterFailure::Unavailable)
    };
    let mut failures = answers.iter().map(|(_, answer)| answer.err().filter(silent));
    let first = failures.next()??;
    failures.all(|failure| failure.is_some()).then_some(first)
}

fn why(failure: ClusterFailure) -> &'static str {
    match failure {
        ClusterFailure::NotFound => "there is no such workload, or its kind is not served",
        ClusterFailure::NotScalable => "its kind has no scale",
        ClusterFailure::Forbidden => "the right to read it or to patch its scale is missing",
        _ => "the cluster could not say",
    }
}
