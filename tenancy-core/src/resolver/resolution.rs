//! What a resolver is asked, and what it answers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, Method, Request, Uri, Version};

use super::Rejection;
use crate::catalog::BoxFuture;
use crate::{RequestHead, TenantContext};

/// A resolver's answer: at once where it is at hand, else later.
#[must_use]
pub enum Resolution {
    /// The answer.
    Ready(Result<TenantContext, Rejection>),
    /// The catalog or the membership check has to ask somebody.
    Later(BoxFuture<Result<TenantContext, Rejection>>),
}

impl Resolution {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// Returns why the request is refused.
    pub async fn wait(self) -> Result<TenantContext, Rejection> {
        match self {
            Self::Ready(answer) => answer,
            Self::Later(future) => future.await,
        }
    }
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(answer) => f.debug_tuple("Ready").field(answer).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// What a resolver is given of a request: its head, and the address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResolveInput<'r> {
    /// The method.
    pub method: &'r Method,
    /// The request target.
    pub uri: &'r Uri,
    /// The protocol version.
    pub version: Version,
    /// The headers.
    pub headers: &'r http::HeaderMap,
    /// What the server and outer layers attached.
    pub extensions: &'r http::Extensions,
    /// The address at the other end of the connection, where the server says so.
    pub peer: Option<IpAddr>,
}

impl<'r> ResolveInput<'r> {
    /// Returns the head of `request`, which came from `peer`.
    #[must_use]
    pub fn new<B>(request: &'r Request<B>, peer: Option<IpAddr>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
            peer,
        }
    }

    pub(super) fn of(head: &'r RequestHead<'_>) -> Self {
        let RequestHead { method, uri, version, headers, extensions, peer, host: _ } = *head;
        Self { method, uri, version, headers, extensions, peer }
    }

    /// Returns a copy of the head that borrows nothing.
    pub(super) fn to_request(self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}

/// What a glance is given of a request: as [`ResolveInput`], with the peer looked for only where it counts.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Glimpse<'r> {
    pub method: &'r Method,
    pub uri: &'r Uri,
    pub version: Version,
    pub headers: &'r http::HeaderMap,
    pub peer: Peer<'r>,
}

/// The address at the other end of the connection, or where it can be found.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Peer<'r> {
    Known(Option<IpAddr>),
    In(&'r http::Extensions, fn(&http::Extensions) -> Option<IpAddr>),
}

impl Peer<'_> {
    #[inline(always)]
    pub(super) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Known(peer) => peer,
            Self::In(extensions, read) => read(extensions),
        }
    }
}

/// Decides which tenant a request belongs to, or that it is refused.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not resolve tenants",
    note = "use `Resolver`, or implement `TenantResolver`"
)]
pub trait TenantResolver: Send + Sync + 'static {
    /// Returns the tenant that the request belongs to.
    fn resolve(&self, input: ResolveInput<'_>) -> Resolution;

    /// Returns the tenant that [`TenantResolver::resolve`] would return, where one look at the request tells. `None` says
    /// nothing: what the look does not tell is resolved.
    #[doc(hidden)]
    #[inline]
    fn resolve_at_a_glance(&self, glimpse: Glimpse<'_>) -> Option<TenantContext> {
        let _ = glimpse;
        None
    }

    /// As [`TenantResolver::resolve`], after a glance that told nothing.
    #[doc(hidden)]
    fn resolve_strictly(&self, input: ResolveInput<'_>) -> Resolution {
        self.resolve(input)
    }

    /// Returns the request headers on which answers depend, for `Vary`.
    fn vary(&self) -> &[HeaderName] {
        &[]
    }
}

impl<R: TenantResolver + ?Sized> TenantResolver for Arc<R> {
    fn resolve(&self, input: ResolveInput<'_>) -> Resolution {
        (**self).resolve(input)
    }

    #[inline]
    fn resolve_at_a_glance(&self, glimpse: Glimpse<'_>) -> Option<TenantContext> {
        (**self).resolve_at_a_glance(glimpse)
    }

    fn resolve_strictly(&self, input: ResolveInput<'_>) -> Resolution {
        (**self).resolve_strictly(input)
    }

    fn vary(&self) -> &[HeaderName] {
        (**self).vary()
    }
}
