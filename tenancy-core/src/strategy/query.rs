//! The tenant in a query parameter.

use super::{NamedBy, RequestHead, Signal, SignalError, SignalKind, Strategy, Trust, parse_key};

/// Reads the tenant from a query parameter: `?tenant_id=…`.
///
/// A link can carry such a parameter into anybody's browser, so it never names a tenant alone: it counts only beside a
/// strong signal that agrees, and a disagreement refuses the request.
#[derive(Clone, Debug)]
pub struct QueryStrategy {
    name: Box<str>,
    named_by: NamedBy,
}

impl QueryStrategy {
    /// Returns a strategy that reads the parameter `name` as a tenant id.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), named_by: NamedBy::Id }
    }

    /// Sets whether the parameter holds the tenant's id (default) or its slug.
    #[must_use]
    pub fn with_named_by(mut self, named_by: NamedBy) -> Self {
        self.named_by = named_by;
        self
    }
}

impl Strategy for QueryStrategy {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let Some(query) = head.uri.query() else { return Ok(None) };
        // Names are decoded before they are compared: `tenant%5Fid` is the same parameter to the handler.
        let mut values = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = name.replace('+', " ");
            percent_encoding::percent_decode_str(&name).eq(self.name.bytes()).then_some(value)
        });
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(SignalError::Repeated(SignalKind::Query));
        }
        let key = parse_key(SignalKind::Query, self.named_by, value)?;
        Ok(Some(Signal { kind: SignalKind::Query, key, trust: Trust::Weak }))
    }
}
