//! The blocks of `config/`: one file for each noun. Owns the order in which they refer to each other.

mod channels;
mod communication;
mod contacts;
mod daemon;
mod email;
mod heartbeat;
mod incident_types;
mod prometheus;
mod secret;
mod slack;
mod tools;
mod webhook;

use std::path::PathBuf;

use super::merge::Blocks;
use super::settings::Settings;
use super::tree::Span;
use super::walk::Walk;

/// A file that the configuration names, to be looked for when loading is done.
pub(crate) struct NamedFile {
    /// Its path.
    pub(crate) path: PathBuf,
    /// Where it is named.
    pub(crate) span: Span,
}

/// What every block of settings is read with.
struct Reader<'a> {
    walk: &'a Walk<'a>,
    blocks: &'a Blocks,
    files: std::cell::RefCell<Vec<NamedFile>>,
}

/// Reads everything that `config/` says, and which files it names.
pub(crate) fn read(walk: &Walk<'_>, blocks: &Blocks) -> (Settings, Vec<NamedFile>) {
    let reader = Reader { walk, blocks, files: std::cell::RefCell::default() };
    let contacts = contacts::read(&reader);
    let channels = channels::read(&reader, &contacts);
    let (api_tokens_file, resolve_timeout) = daemon::api(&reader);
    let settings = Settings {
        prometheus: prometheus::read(&reader),
        evaluation: daemon::evaluation(&reader),
        reload_poll: daemon::reload_poll(&reader),
        store: daemon::store(&reader),
        listen: daemon::listen(&reader),
        api_tokens_file,
        resolve_timeout,
        public_url: daemon::public_url(&reader),
        allowed_hosts: daemon::allowed_hosts(&reader),
        kubernetes_mode: daemon::kubernetes_mode(&reader),
        heartbeat: heartbeat::read(&reader),
        communication: communication::read(&reader, &channels),
        channels: channels.read,
        incident_types: incident_types::read(&reader, &contacts),
        contacts,
        diagnostic_tools: tools::read(&reader),
    };
    (settings, reader.files.into_inner())
}
