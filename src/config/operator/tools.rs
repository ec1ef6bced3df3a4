//! `diagnostic_tools`: the runbook's 5.2. Owns reading an entry, a name or a map with a link.

use super::Reader;
use crate::config::diagnostic::Code;
use crate::config::settings::DiagnosticTool;
use crate::config::tree::{Node, Value};

/// Reads the tools by group, in the order written.
pub(super) fn read(reader: &Reader<'_>) -> Vec<DiagnosticTool> {
    let walk = reader.walk;
    let groups = reader.blocks.get("diagnostic_tools").map_or(&[][..], |node| walk.entries(node));
    let tool = |group: &std::sync::Arc<str>, node: &Node| {
        if !matches!(node.value, Value::Map(_)) {
            let name = walk.text(node)?.clone();
            return Some(DiagnosticTool { group: group.clone(), name, link: None });
        }
        let fields = walk.fields(node, &["name", "link"]);
        let name = walk.required(&fields, "name", node.span, "name: grafana");
        let link = fields.get("link").and_then(|node| {
            let text = walk.text(node)?;
            if text.starts_with("https://") || text.starts_with("http://") {
                return Some(text.clone());
            }
            walk.error(Code::BadUrl, node.span, "this is no link")
                .expected("expected a URL such as https://grafana.example.org/d/shop?var-service=$service");
            None
        });
        Some(DiagnosticTool { group: group.clone(), name: walk.text(name?)?.clone(), link })
    };
    let all =
        groups.iter().flat_map(|entry| walk.list(&entry.value).iter().map(move |item| (&entry.key, item)));
    all.filter_map(|(group, item)| tool(group, item)).collect()
}
