//! What was asked and what was answered.

use jiff::Timestamp;
use serde_json::Value;

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When the request had arrived whole.
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query as sent, empty if there was none.
    pub query: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The `Content-Type` header.
    pub content_type: String,
    /// The body, if it was JSON.
    pub body: Option<Value>,
    /// Verb as rights name it (get, list, watch, create, update, patch, delete, deletecollection).
    pub verb: String,
    /// Resource with its subresource, such as `deployments/scale`; empty outside resources.
    pub resource: String,
    /// Namespace; empty where there is none.
    pub namespace: String,
    /// Name of the object; empty for collections.
    pub name: String,
    /// The answer's code; `None` while there is none, and for ever if the request hung or was cut.
    pub code: Option<u16>,
    /// For requests that write and whose target is served: what became of it.
    pub write: Option<Write>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Whether it was accepted.
    pub accepted: bool,
    /// Whether it was a dry run, which changes nothing.
    pub dry_run: bool,
    /// The object's resourceVersion before; `None` if it did not exist.
    pub before: Option<u64>,
    /// The object's resourceVersion afterwards; equal to `before` if nothing changed, `None` if it does not exist.
    pub after: Option<u64>,
}

/// All exchanges since the start, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Journal(Vec<Exchange>);

impl Journal {
    /// Notes a request; the answer is noted under the number returned.
    pub(crate) fn open(&mut self, exchange: Exchange) -> usize {
        self.0.push(exchange);
        self.0.len() - 1
    }

    /// Notes what became of a write.
    pub(crate) fn wrote(&mut self, number: usize, write: Write) {
        if let Some(exchange) = self.0.get_mut(number) {
            exchange.write = Some(write);
        }
    }

    /// Notes the answer.
    pub(crate) fn close(&mut self, number: usize, code: u16) {
        if let Some(exchange) = self.0.get_mut(number) {
            exchange.code = Some(code);
        }
    }

    /// The exchanges.
    pub(crate) fn exchanges(&self) -> &[Exchange] {
        &self.0
    }
}
