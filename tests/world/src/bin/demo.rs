//! The demo: starts the world and the daemon, plays the story and tells it; stays up until Ctrl-C unless `--once`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use world::story::Story;

/// Plays runbookd's story against a real Prometheus and servers that speak the real protocols.
#[derive(Debug, Parser)]
struct Arguments {
    /// The daemon's binary.
    #[arg(long, value_name = "PATH")]
    runbookd: PathBuf,
    /// The folder that holds config/ and rules/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    shipped: PathBuf,
    /// End after the story instead of staying up.
    #[arg(long)]
    once: bool,
}

#[tokio::main]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "telling the story is what this program is for"
)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let binary = match arguments.runbookd.canonicalize() {
        Ok(binary) => binary,
        Err(error) => {
            eprintln!("cannot find {}: {error}", arguments.runbookd.display());
            return ExitCode::FAILURE;
        }
    };
    let story = Story::begin(&binary, &arguments.shipped, |line| println!("{line}")).await;
    let mut story = match story {
        Ok(story) => story,
        Err(error) => {
            eprintln!("the demo could not start: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let played = tokio::select! {
        played = story.play() => played,
        _ = tokio::signal::ctrl_c() => return ExitCode::SUCCESS,
    };
    if let Err(error) = played {
        eprintln!("the story broke off: {error:#}");
        let log = story.daemon.log();
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        eprintln!("the daemon's last words:");
        tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        return ExitCode::FAILURE;
    }
    story.say("the story is told");
    if !arguments.once {
        let url = story.daemon.url().to_owned();
        story.say(&format!("everything stays up until Ctrl-C: {url}  {url}/metrics"));
        story.say(&format!(
            "Prometheus: {}  kubectl: KUBECONFIG={}",
            story.stage.prometheus.url(),
            story.stage.file("kubeconfig").display()
        ));
        // Without a signal handler there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
    }
    ExitCode::SUCCESS
}
