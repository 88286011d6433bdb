//! The tenant in a request header.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use super::{NamedBy, RequestHead, Signal, SignalError, SignalKind, Strategy, Trust, parse_key_bytes};
use crate::TrustedProxies;
use crate::host::{Repeated, single};

/// Reads the tenant from a header, `x-tenant-id` unless another is named.
///
/// Anybody can send a header. It names the tenant alone only if it comes from one of the service's own proxies, which
/// must set or remove it on every request; from everybody else it counts only beside a strong signal that agrees.
///
/// # Examples
///
/// ```
/// use tenancy_core::{HeaderStrategy, NamedBy, TrustedProxies};
///
/// let strategy = HeaderStrategy::new()
///     .with_name(http::HeaderName::from_static("x-organization"))
///     .with_named_by(NamedBy::Slug)
///     .with_trusted_proxies(TrustedProxies::loopback());
/// ```
#[derive(Clone, Debug)]
pub struct HeaderStrategy {
    name: HeaderName,
    /// The name under which gRPC would send the value in binary.
    binary: Option<HeaderName>,
    named_by: NamedBy,
    trusted: TrustedProxies,
}

impl HeaderStrategy {
    /// Returns a strategy that reads `x-tenant-id` as a tenant id and trusts nobody's header alone.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: HeaderName::from_static("x-tenant-id"),
            binary: Some(HeaderName::from_static("x-tenant-id-bin")),
            named_by: NamedBy::Id,
            trusted: TrustedProxies::default(),
        }
    }

    /// Sets the header's name.
    #[must_use]
    pub fn with_name(mut self, name: HeaderName) -> Self {
        self.binary = HeaderName::try_from(format!("{name}-bin")).ok();
        self.name = name;
        self
    }

    /// Sets whether the header holds the tenant's id (default) or its slug.
    #[must_use]
    pub fn with_named_by(mut self, named_by: NamedBy) -> Self {
        self.named_by = named_by;
        self
    }

    /// Sets the proxies whose header names the tenant alone.
    #[must_use]
    pub fn with_trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted = proxies;
        self
    }
}

impl HeaderStrategy {
    /// Returns what the header says, and by which of its names it names a tenant, if it comes from a trusted proxy and
    /// stands there once.
    #[inline]
    pub(crate) fn said_by_proxy<'r>(
        &self,
        headers: &'r HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<(NamedBy, &'r [u8])> {
        let line = single(headers, &self.name).ok()??;
        self.trusted.contains(peer?).then(|| (self.named_by, line.as_bytes()))
    }
}

impl Default for HeaderStrategy {
    fn default() -> Self {
        Self::new()
    }
}

impl Strategy for HeaderStrategy {
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
        let line =
            single(head.headers, &self.name).map_err(|Repeated| SignalError::Repeated(SignalKind::Header))?;
        let Some(line) = line else {
            // A tenant in binary metadata is not understood, which is not the same as absent (TWR-39).
            return match &self.binary {
                Some(name) if head.headers.contains_key(name) => {
                    Err(SignalError::Malformed(SignalKind::Header))
                }
                _ => Ok(None),
            };
        };
        let key = parse_key_bytes(SignalKind::Header, self.named_by, line.as_bytes())?;
        let trusted = head.peer.is_some_and(|peer| self.trusted.contains(peer));
        let trust = if trusted { Trust::Strong } else { Trust::Weak };
        Ok(Some(Signal { kind: SignalKind::Header, key, trust }))
    }

    fn vary(&self) -> Option<&HeaderName> {
        Some(&self.name)
    }
}
