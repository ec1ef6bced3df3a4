//! Arguments, signals, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    // reqwest and kube are built without a TLS provider of their own: one for the whole process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    runbookd::cli::main()
}
