//! The tenant in a cookie.

use http::HeaderName;
use http::header::COOKIE;

use super::{NamedBy, RequestHead, Signal, SignalError, SignalKind, Strategy, Trust, parse_key_bytes};

/// Reads the tenant from a cookie.
///
/// A cookie is often shared by all subdomains of a platform and is sent whether or not the user meant it, so it never
/// names a tenant alone: it counts only beside a strong signal that agrees.
#[derive(Clone, Debug)]
pub struct CookieStrategy {
    name: Box<str>,
    named_by: NamedBy,
}

impl CookieStrategy {
    /// Returns a strategy that reads the cookie `name` as a tenant id.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), named_by: NamedBy::Id }
    }

    /// Sets whether the cookie holds the tenant's id (default) or its slug.
    #[must_use]
    pub fn with_named_by(mut self, named_by: NamedBy) -> Self {
        self.named_by = named_by;
        self
    }
}

impl Strategy for CookieStrategy {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        // HTTP/2 may split the cookies over several lines (RFC 9113, section 8.2.3).
        let lines =
            head.headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let mut values = lines.filter_map(|pair| {
            // Blanks around the name, and a name without a value, are a cookie to some readers: never "absent".
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(equals) => (&pair[..equals], &pair[equals + 1..]),
                None => (pair, &b""[..]),
            };
            (name.trim_ascii() == self.name.as_bytes()).then_some(value.trim_ascii())
        });
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(SignalError::Repeated(SignalKind::Cookie));
        }
        let key = parse_key_bytes(SignalKind::Cookie, self.named_by, value)?;
        Ok(Some(Signal { kind: SignalKind::Cookie, key, trust: Trust::Weak }))
    }

    fn vary(&self) -> Option<&HeaderName> {
        Some(&COOKIE)
    }
}
