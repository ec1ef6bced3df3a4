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
use crate::config::tree::{Node, Span, Value};
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
    /// Those that speak of the tenants that fit, until that is known.
    unfitted: Vec<Unfitted>,
    /// The built-in ones, where the files have their own.
    built_in: BTreeMap<Arc<str>, Metric>,
}

/// A definition with [`FIT`] in its query.
struct Unfitted {
    name: Arc<str>,
    query: Node,
    unit: Unit,
}

/// What stands in a query for the tenants that fit, by `resource_requirements`.
const FIT: &str = "$tenants_that_fit";

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

    /// A metric that no file names but the program itself: of the catalogue, or of the one built in where the
    /// catalogue does not speak of it.
    pub(super) fn find_or_built_in(&self, name: &str) -> Option<&Metric> {
        match self.metrics.get(name) {
            Some(known) => known.as_ref(),
            None => self.built_in.get(name),
        }
    }

    /// What a name means that capacity is asked by, see [`Self::find_or_built_in`]; notes an unknown one.
    pub(super) fn get_or_built_in(&self, walk: &Walk<'_>, name: &str, span: Span) -> Option<&Metric> {
        match self.built_in.get(name) {
            Some(known) if !self.metrics.contains_key(name) => Some(known),
            _ => self.get(walk, name, span),
        }
    }

    /// Puts the tenants that fit where queries speak of them.
    pub(super) fn fit(&mut self, reader: &Reader<'_>, tenants: &str) {
        for Unfitted { name, query, unit } in std::mem::take(&mut self.unfitted) {
            let text = query.text().unwrap_or_default().replace(FIT, tenants);
            let node = Node { span: query.span, value: Value::Scalar(text.into()) };
            let read = promql::read(reader.walk, &node).map(|query| Metric { query, unit });
            self.metrics.insert(name, read);
        }
    }
}

/// Reads the catalogue of the files, or the one built in.
pub(super) fn read(reader: &Reader<'_>, blocks: &Blocks) -> Catalogue {
    if let Some(node) = blocks.get("metrics") {
        let mut catalogue = entries(reader, node);
        if ["resource_requirements", "backup_configuration"].iter().any(|key| blocks.get(key).is_some()) {
            catalogue.built_in = known(built_in(reader));
        }
        return catalogue;
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
    let built_in = known(built_in(reader));
    Catalogue { built_in, ..Catalogue::default() }
}

/// The metrics whose definition could be read.
fn known(catalogue: Catalogue) -> BTreeMap<Arc<str>, Metric> {
    catalogue.metrics.into_iter().filter_map(|(name, metric)| Some((name, metric?))).collect()
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
        let read = metric(reader, &entry.key, &entry.value, &mut catalogue.unfitted);
        catalogue.metrics.insert(entry.key.clone(), read);
    }
    catalogue
}

fn metric(reader: &Reader<'_>, name: &Arc<str>, node: &Node, unfitted: &mut Vec<Unfitted>) -> Option<Metric> {
    let walk = reader.walk;
    let fields = walk.fields(node, &["query", "unit", "help"]);
    let query = walk.required(&fields, "query", fields.span, "query: up");
    let speaks_of_fit = query.filter(|node| node.text().is_some_and(|text| text.contains(FIT)));
    let query = query.filter(|_| speaks_of_fit.is_none()).and_then(|node| promql::read(walk, node));
    let unit = walk.required(&fields, "unit", fields.span, "unit: ratio");
    let unit = unit.and_then(|node| walk.word(node, &Unit::ALL.map(|unit| (unit.as_str(), unit))));
    if let Some(node) = fields.get("help") {
        walk.text(node);
    }
    if let (Some(query), Some(unit)) = (speaks_of_fit, unit) {
        unfitted.push(Unfitted { name: name.clone(), query: query.clone(), unit });
    }
    Some(Metric { query: query?, unit: unit? })
}

fn is_metric_name(word: &str) -> bool {
    super::is_label_name(word)
}
