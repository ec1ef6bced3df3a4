//! The Prometheus text format 0.0.4: families, samples, escaping. Knows no metric by name.

use std::fmt::Write;

/// The content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics in the making.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    page: String,
}

impl Exposition {
    /// Opens a metric family; all its samples must follow before the next family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// Adds one sample; label values are escaped here, names must be valid as they are.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.page.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.page.push(if position == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.page, "{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.page, "{close} {value}");
    }

    /// The page as it goes over the wire.
    pub(super) fn finish(self) -> String {
        self.page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_as_the_format_wants_it() {
        let mut page = Exposition::default();
        page.family("up", "gauge", "Whether it is up.");
        page.sample("up", &[], 1.0);
        page.sample("up", &[("path", "C:\\\"x\"\n"), ("job", "shop")], 0.25);
        let expected = "# HELP up Whether it is up.\n# TYPE up gauge\nup 1\nup{path=\"C:\\\\\\\"x\\\"\\n\",job=\"shop\"} 0.25\n";
        assert_eq!(page.finish(), expected);
    }
}
