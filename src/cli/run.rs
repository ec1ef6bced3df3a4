//! `runbookd run`: the daemon in the foreground, until SIGTERM or SIGINT. SIGHUP reloads; a second stop signal quits
//! at once.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::daemon::app::{Daemon, Options};
use crate::daemon::reload::Folders;
use crate::telemetry::log::{self, LogFormat};

use super::FolderArgs;

/// What `run` takes.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    folders: FolderArgs,
    /// Listen here instead of where the configuration says.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// How log lines look. `RUNBOOKD_LOG` filters them, as in `runbookd=debug`.
    #[arg(long, value_enum, default_value = "text", env = "RUNBOOKD_LOG_FORMAT")]
    log: LogFormat,
}

/// Runs the daemon; 0 after an orderly stop, 1 where it could not start.
pub(super) fn run(args: &RunArgs) -> ExitCode {
    log::start(args.log);
    let options = Options {
        folders: Folders { config: args.folders.config.clone(), rules: args.folders.rules.clone() },
        listen: args.listen,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(serve(options));
    // A call that hangs must not hold up the exit.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("cannot run: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let daemon = Daemon::start(options).await?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => daemon.reload(),
            // Nothing is evaluated and nobody is paged any more: whoever watches the process must see it end.
            () = daemon.failed() => anyhow::bail!("the core ended by itself"),
        }
    }
    info!("stopping");
    tokio::select! {
        () = daemon.stop() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
