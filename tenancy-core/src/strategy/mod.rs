//! Strategies: what a request says about its tenant. They read, and never wait.

mod cookie;
mod header;
mod host;
#[cfg(feature = "jwt")]
pub mod jwt;
mod path;
mod query;

use std::fmt;
use std::net::IpAddr;

use http::{Extensions, HeaderMap, Method, Uri, Version};
use serde::{Deserialize, Serialize};

pub use cookie::CookieStrategy;
pub use header::HeaderStrategy;
pub use host::{DomainStrategy, SubdomainStrategy};
pub use path::{PathStrategy, TenantPath};
pub use query::QueryStrategy;

use crate::{Error, RequestHost, TenantId, TenantKey, TenantSlug};

/// The kinds of signal by which a request names a tenant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[repr(u8)]
pub enum SignalKind {
    /// A claim of a verified token.
    Token,
    /// One of the tenant's own domains.
    Domain,
    /// A label below a base domain of the platform.
    Subdomain,
    /// A segment of the path.
    Path,
    /// A request header.
    Header,
    /// A query parameter.
    Query,
    /// A cookie.
    Cookie,
    /// A strategy of the user's own.
    Custom,
    /// No signal: the service serves unknown hosts as one configured tenant.
    UnknownHost,
}

impl SignalKind {
    /// Every kind, in the order of how much it says about the caller.
    pub const ALL: [Self; 9] = [
        Self::Token,
        Self::Domain,
        Self::Subdomain,
        Self::Path,
        Self::Header,
        Self::Query,
        Self::Cookie,
        Self::Custom,
        Self::UnknownHost,
    ];

    /// Returns the name used in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Domain => "domain",
            Self::Subdomain => "subdomain",
            Self::Path => "path",
            Self::Header => "header",
            Self::Query => "query",
            Self::Cookie => "cookie",
            Self::Custom => "custom",
            Self::UnknownHost => "unknown_host",
        }
    }
}

/// How much a signal is worth by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Trust {
    /// It may name the tenant alone.
    Strong,
    /// Anybody can send it: it counts only beside a strong signal that agrees.
    Weak,
}

/// One thing that a request says about its tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signal<'r> {
    /// What kind of signal it is.
    pub kind: SignalKind,
    /// Whom it names.
    pub key: TenantKey<'r>,
    /// How much it is worth.
    pub trust: Trust,
}

/// Why a strategy cannot say whom a request names, although the request tries to.
///
/// Malformed is never absent: such a request is refused, and no other strategy is asked (TWR-59).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum SignalError {
    /// The signal is there and unreadable.
    Malformed(SignalKind),
    /// The signal is there more than once.
    Repeated(SignalKind),
    /// The token is not valid, for whatever reason: which one is for the log alone.
    InvalidToken,
    /// The keys that verify tokens could not be had.
    KeysUnavailable,
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(kind) => write!(f, "the request's tenant {} is malformed", kind.as_str()),
            Self::Repeated(kind) => write!(f, "the request has more than one tenant {}", kind.as_str()),
            Self::InvalidToken => f.write_str("the token is not valid"),
            Self::KeysUnavailable => f.write_str("the token cannot be verified now"),
        }
    }
}

impl std::error::Error for SignalError {}

/// What a strategy sees of a request: everything but the body.
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestHead<'r> {
    /// The method.
    pub method: &'r Method,
    /// The request target, as it arrived: before any router stripped a prefix.
    pub uri: &'r Uri,
    /// The protocol version.
    pub version: Version,
    /// The headers.
    pub headers: &'r HeaderMap,
    /// What the server and outer layers attached.
    pub extensions: &'r Extensions,
    /// The address at the other end of the connection, where the server says so.
    pub peer: Option<IpAddr>,
    /// The host, read strictly.
    pub host: RequestHost<'r>,
}

/// Reads from a request whom it says it is for.
///
/// # Examples
///
/// A strategy of one's own, for a gateway that puts the tenant into the request's extensions:
///
/// ```
/// use tenancy_core::{RequestHead, Signal, SignalError, SignalKind, Strategy, TenantKey, TenantSlug, Trust};
///
/// #[derive(Clone)]
/// struct GatewayTenant(String);
///
/// #[derive(Debug)]
/// struct FromGateway;
///
/// impl Strategy for FromGateway {
///     fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError> {
///         let Some(GatewayTenant(slug)) = head.extensions.get() else { return Ok(None) };
///         let slug = TenantSlug::new(slug).map_err(|_| SignalError::Malformed(SignalKind::Custom))?;
///         Ok(Some(Signal { kind: SignalKind::Custom, key: TenantKey::Slug(slug), trust: Trust::Strong }))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not read a tenant from requests",
    note = "implement `Strategy`: one method, from the request's head to a signal"
)]
pub trait Strategy: fmt::Debug + Send + Sync + 'static {
    /// Returns what `head` says about its tenant, or `None` if it says nothing of the kind that this strategy reads.
    ///
    /// # Errors
    ///
    /// Returns [`SignalError`] if the request says something that cannot be read; it is then refused.
    fn read<'h>(&self, head: &'h RequestHead<'_>) -> Result<Option<Signal<'h>>, SignalError>;

    /// Returns whether the strategy reads the host, so that a request without one is refused.
    fn reads_host(&self) -> bool {
        false
    }

    /// Returns the base domain whose subdomains this strategy hands out, so that no tenant can claim one as its own
    /// domain.
    fn base_domains(&self) -> &[crate::Domain] {
        &[]
    }

    /// Returns the request header on which the answer depends, for the response's `Vary`.
    fn vary(&self) -> Option<&http::HeaderName> {
        None
    }
}

/// By which of its names a header, path or claim names a tenant: never "whichever fits".
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Hash)]
#[non_exhaustive]
pub enum NamedBy {
    /// By permanent id.
    #[default]
    Id,
    /// By slug.
    Slug,
}

impl NamedBy {
    /// Reads `text` as the name it is configured to be.
    ///
    /// # Errors
    ///
    /// Returns the error of [`TenantId`] or [`TenantSlug`].
    pub fn parse(self, text: &str) -> Result<TenantKey<'static>, Error> {
        match self {
            Self::Id => text.parse::<TenantId>().map(TenantKey::Id),
            Self::Slug => TenantSlug::new(text).map(TenantKey::Slug),
        }
    }
}

/// Reads the text of a signal, which must be exactly one name.
fn parse_key(kind: SignalKind, named_by: NamedBy, text: &str) -> Result<TenantKey<'static>, SignalError> {
    named_by.parse(text).map_err(|_| SignalError::Malformed(kind))
}

/// Reads the bytes of a signal, which must be exactly one name.
#[inline]
fn parse_key_bytes(
    kind: SignalKind,
    named_by: NamedBy,
    bytes: &[u8],
) -> Result<TenantKey<'static>, SignalError> {
    match named_by {
        NamedBy::Id => TenantId::from_bytes(bytes).map(TenantKey::Id).ok_or(SignalError::Malformed(kind)),
        NamedBy::Slug => {
            let text = std::str::from_utf8(bytes).map_err(|_| SignalError::Malformed(kind))?;
            parse_key(kind, named_by, text)
        }
    }
}
