//! `metrics`: the catalogue, what a metric name means. Owns the catalogue built into the program, which stands in where
//! the files have none, so that the runbook's thresholds load alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Reader;
use crate::config::diagnostic::{Code, Level};
use crate::config::merge::{Blocks, merge};
use crate::config::promql;
use crate::config::source::{Folder, SourceFile, Sources};
use crate::config::suggest::suggestion;
use crate::config::tree::{Node, Span};
use crate::config::walk::Walk;
use crate::domain::quantity::Unit;

/// The shipped catalogue.
const BUILT_IN: &str = include_str!("../../../rules/catalogue.yaml");

/// A named query with a unit.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) query: Arc<str>,
    pub(super) unit: Unit,
}

/// The catalogue; a metric whose definition is wrong is known and has no definition, so that its users are not blamed.
#[derive(Default)]
pub(super) struct Catalogue {
    metrics: BTreeMap<Arc<str>, Option<Metric>>,
}

impl Catalogue {
    /// What a name means; notes an unknown one.
    pub(super) fn get(&self, walk: &Walk<'_>, name: &str, span: Span) -> Option<&Metric> {
        if let Some(known) = self.metrics.get(name) {
            return known.as_ref();
        }
        walk.error(Code::UnknownMetric, span, format!("there is no metric `{name}`"))
            .expected("expected a name of `metrics`")
            .maybe_help(suggestion(name, self.metrics.keys().map(AsRef::as_ref)));
        None
    }

    /// A metric of the catalogue, if its definition could be read.
    pub(super) fn find(&self, name: &str) -> Option<&Metric> {
        self.metrics.get(name)?.as_ref()
    }
}

/// Reads the catalogue of the files, or the one built in.
pub(super) fn read(reader: &Reader<'_>, blocks: &Blocks) -> Catalogue {
    if let Some(node) = blocks.get("metrics") {
        return entries(reader, node);
    }
    let user = ["monitoring", "scale_out_strategy"].iter().find(|key| blocks.get(key).is_some());
    if let Some(span) = user.and_then(|key| blocks.key_span(key)) {
        reader
            .walk
            .warning(Code::DefaultUsed, span, "no file defines `metrics`: the built-in catalogue is used")
            .expected("its metric names are read from the built-in catalogue")
            .help("put a `metrics` block beside it, as the shipped rules/catalogue.yaml does");
        return built_in(reader);
    }
    Catalogue::default()
}

fn built_in(reader: &Reader<'_>) -> Catalogue {
    let file = SourceFile::new(Folder::Rules, "built in", "built in", BUILT_IN.to_owned());
    let sources = Sources { files: vec![file], unread: Vec::new() };
    let walk = Walk::new(&sources);
    let blocks = merge(&sources, &walk);
    let own =
        Reader { walk: &walk, settings: reader.settings, incident_types: reader.incident_types.clone() };
    let catalogue = blocks.get("metrics").map(|node| entries(&own, node)).unwrap_or_default();
    for one in walk.finish() {
        let message = format!("the built-in catalogue: {}", one.message);
        reader.walk.about_all(Level::Error, one.code, message);
    }
    catalogue
}

fn entries(reader: &Reader<'_>, node: &Node) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for entry in reader.walk.entries(node) {
        if !is_metric_name(&entry.key) {
            reader
                .walk
                .error(Code::BadValue, entry.key_span, format!("`{}` cannot name a metric", entry.key))
                .expected("expected letters, digits and `_`");
        }
        catalogue.metrics.insert(entry.key.clone(), metric(reader, &entry.value));
    }
    catalogue
}

fn metric(reader: &Reader<'_>, node: &Node) -> Option<Metric> {
    let walk = reader.walk;
    let fields = walk.fields(node, &["query", "unit", "help"]);
    let query = walk.required(&fields, "query", fields.span, "query: up");
    let query = query.and_then(|node| promql::read(walk, node));
    let unit = walk.required(&fields, "unit", fields.span, "unit: ratio");
    let unit = unit.and_then(|node| walk.word(node, &Unit::ALL.map(|unit| (unit.as_str(), unit))));
    if let Some(node) = fields.get("help") {
        walk.text(node);
    }
    Some(Metric { query: query?, unit: unit? })
}

fn is_metric_name(word: &str) -> bool {
    super::is_label_name(word)
}
