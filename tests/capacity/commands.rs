//! `runbookd capacity` and `runbookd tenant`: what they print of an answer, and their exit codes where there is none.

use clap::Parser;
use runbookd::cli::ask::AskArgs;
use runbookd::cli::capacity::{self, CapacityArgs};
use runbookd::cli::check::Output;
use runbookd::cli::tenant::{self, TenantArgs};

#[derive(Parser)]
struct Asking {
    #[command(flatten)]
    ask: AskArgs,
}

/// Arguments for a daemon at `url`.
pub(crate) fn ask(url: &str) -> AskArgs {
    Asking::parse_from(["test", "--url", url]).ask
}

/// Runs a command on a thread of its own: exit code, what it printed, what it complained of.
pub(crate) async fn capacity_of(url: &str, output: Output) -> (u8, String, String) {
    let args = CapacityArgs { ask: ask(url), output, plot: None };
    run(move |out, err| capacity::run(&args, out, err)).await
}

/// The same for `runbookd tenant`.
pub(crate) async fn tenant_of(url: &str, id: Option<&str>, output: Output) -> (u8, String, String) {
    let args = TenantArgs { ask: ask(url), id: id.map(str::to_owned), output };
    run(move |out, err| tenant::run(&args, out, err)).await
}

async fn run(
    command: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> u8 + Send + 'static,
) -> (u8, String, String) {
    world::install_crypto();
    let ended = tokio::task::spawn_blocking(move || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        (command(&mut out, &mut err), out, err)
    });
    let (code, out, err) = ended.await.unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_exit_code_3_and_says_what_was_tried() {
    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://user:fixture-password@127.0.0.1:{port}");
    let (code, out, err) = capacity_of(&url, Output::Human).await;
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains(&format!("127.0.0.1:{port}/api/runbookd/v1/capacity")), "{err}");
    assert!(!err.contains("fixture-password"), "{err}");
    let (code, _, err) = tenant_of("nonsense", Some("acme"), Output::Json).await;
    assert!(code == 3 && err.contains("nonsense"), "{err}");
    let (code, _, err) = tenant_of(&url, Some("a/../b"), Output::Json).await;
    assert!(code == 3 && err.contains("/tenants/a%2F..%2Fb"), "an id is one segment: {err}");
}
