//! The command line: one file per subcommand. Owns parsing, help and exit codes.
//!
//! Exit codes: 0 fine, 1 the answer is bad, 2 usage, 3 could not ask.

pub mod alerts;
pub mod answer;
pub mod ask;
pub mod capacity;
pub mod check;
pub mod explain;
pub mod health;
pub mod incidents;
mod plot;
mod reach;
pub mod replay;
mod replay_report;
mod run;
pub mod scaling;
pub mod silence;
mod table;
pub mod tenant;
pub mod test;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// An operational runbook that runs itself.
///
/// Evaluates threshold rules against Prometheus, turns breaches into incidents, tells people through Slack, email and
/// PagerDuty, and adds capacity with checks before, verification after and cooldowns between.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  runbookd check                      are the files fine? prints every mistake with its place
  runbookd test                       play the rule tests beside the rules
  runbookd replay --from -7d          what would these rules have paged last week?
  runbookd run                        run with ./config and ./rules
  runbookd incidents                  what is open; `runbookd ack 0007` takes one
  runbookd capacity                   how many tenants still fit, and until when
  runbookd tenant acme                is acme monitored, backed up, watched?
  runbookd run --listen 0.0.0.0:9095  run, reachable from other machines

Exit codes: 0 fine, 1 the answer is bad, 2 usage, 3 could not ask";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Run(run::RunArgs),
    /// Check the files: print every mistake, or what is loaded.
    Check(check::CheckArgs),
    /// Play rule tests: values in, alerts, notices and scaling out.
    Test(test::TestArgs),
    /// What would these rules have paged and scaled? Plays history through the engine.
    Replay(replay::ReplayArgs),
    /// How many tenants still fit, and until when? Asks the daemon.
    Capacity(capacity::CapacityArgs),
    /// List the tenants, or check the onboarding list of one. Asks the daemon.
    Tenant(tenant::TenantArgs),
    /// What is pending, fires, or is over for a while? Asks the daemon.
    Alerts(alerts::AlertsArgs),
    /// List the incidents, or show one. Asks the daemon.
    Incidents(incidents::IncidentsArgs),
    /// Why was somebody told, or not? Asks the daemon.
    Explain(explain::ExplainArgs),
    /// Take an incident: nobody else is woken. Asks the daemon.
    Ack(incidents::AckArgs),
    /// Say that an incident is over. Asks the daemon.
    Resolve(incidents::ResolveArgs),
    /// Add, list and expire silences. Asks the daemon.
    Silence(silence::SilenceArgs),
    /// List the targets, or pause and resume one. Asks the daemon.
    Scaling(scaling::ScalingArgs),
    /// Is the daemon alive, ready and able to see? Asks the daemon.
    CheckHealth(health::HealthArgs),
    /// The daemon's own metrics. Asks the daemon.
    GetMetrics(health::MetricsArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where the configuration lies.
#[derive(Debug, Clone, Args)]
pub struct FolderArgs {
    /// The folder of the platform operators' files, or one file.
    #[arg(long, value_name = "DIR", default_value = "config", env = "RUNBOOKD_CONFIG")]
    pub config: PathBuf,
    /// The folder of the service owners' files, or one file.
    #[arg(long, value_name = "DIR", default_value = "rules", env = "RUNBOOKD_RULES")]
    pub rules: PathBuf,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(mut args) => {
            args.colour = is_coloured();
            let mut out = std::io::stdout().lock();
            let code = check::run(&args, &mut out);
            // What a cluster says makes no file wrong.
            if code == 0
                && args.output == check::Output::Human
                && reach::report(&args.folders, &mut out).is_err()
            {
                return ExitCode::from(3);
            }
            ExitCode::from(code)
        }
        Command::Test(mut args) => {
            args.colour = is_coloured();
            ExitCode::from(test::run(&args, &mut std::io::stdout().lock(), &mut std::io::stderr()))
        }
        Command::Replay(args) => {
            ExitCode::from(replay::run(&args, &mut std::io::stdout().lock(), &mut std::io::stderr()))
        }
        Command::Capacity(args) => {
            ExitCode::from(capacity::run(&args, &mut std::io::stdout().lock(), &mut std::io::stderr()))
        }
        Command::Tenant(args) => {
            ExitCode::from(tenant::run(&args, &mut std::io::stdout().lock(), &mut std::io::stderr()))
        }
        Command::Alerts(args) => asked(|out, err| alerts::run(&args, out, err)),
        Command::Incidents(args) => asked(|out, err| incidents::run(&args, out, err)),
        Command::Explain(args) => asked(|out, err| explain::run(&args, out, err)),
        Command::Ack(args) => asked(|out, err| incidents::acknowledge(&args, out, err)),
        Command::Resolve(args) => asked(|out, err| incidents::resolve(&args, out, err)),
        Command::Silence(args) => asked(|out, err| silence::run(&args, out, err)),
        Command::Scaling(args) => asked(|out, err| scaling::run(&args, out, err)),
        Command::CheckHealth(args) => asked(|out, err| health::check(&args, out, err)),
        Command::GetMetrics(args) => asked(|out, err| health::metrics(&args, out, err)),
        Command::Completions { shell } => {
            use clap::CommandFactory;
            clap_complete::generate(shell, &mut Cli::command(), "runbookd", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// Runs a command on the process' own streams.
fn asked(run: impl FnOnce(&mut dyn std::io::Write, &mut dyn std::io::Write) -> u8) -> ExitCode {
    ExitCode::from(run(&mut std::io::stdout().lock(), &mut std::io::stderr()))
}

/// Colours are for terminals, and for those who want them: <https://no-color.org>, any value that is not empty.
fn is_coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
}
