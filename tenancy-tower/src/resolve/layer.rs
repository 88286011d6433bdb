//! The layer, and how it is set up.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::HeaderValue;
use http::{Extensions, Method, Request, Uri};
use tenancy_core::{PathStrategy, TenantResolver};
use tower_layer::Layer;

use super::service::ResolveTenant;

/// The address at the other end of the connection, as the server's accept loop attaches it to each request.
///
/// Servers that have a type of their own for it, such as axum's `ConnectInfo`, are read through
/// [`ResolveTenantLayer::with_peer`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The request target as it arrived, in the extensions of a request whose path was stripped.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct OriginalUri(pub Uri);

/// Reads the address of the peer from a request's extensions.
pub(super) type PeerFn = fn(&Extensions) -> Option<IpAddr>;

/// Reads the target as it arrived from a request's extensions.
pub(super) type TargetFn = fn(&Extensions) -> Option<&Uri>;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) public: Vec<(Option<Method>, Box<str>)>,
    pub(super) peer: PeerFn,
    /// From [`OriginalUri`] if none is set, which need not be called.
    pub(super) target: Option<TargetFn>,
    pub(super) extension: bool,
    pub(super) strip: Option<PathStrategy>,
    pub(super) cache: bool,
    pub(super) vary: Option<HeaderValue>,
    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    pub(super) open: super::open::Open,
}

impl Config {
    /// Returns the target as it arrived, which an outer router may have changed since.
    #[inline]
    pub(super) fn target_of<'r, B>(&self, request: &'r Request<B>) -> &'r Uri {
        let extensions = request.extensions();
        let found = match self.target {
            None if extensions.is_empty() => return request.uri(),
            None => extensions.get::<OriginalUri>().map(|original| &original.0),
            Some(target) => target(extensions),
        };
        found.unwrap_or(request.uri())
    }

    /// Returns whether requests with this method and path have no tenant. The loop is no part of whoever calls it: where
    /// no such route is declared, as by most services, nothing is kept for it.
    #[inline]
    pub(super) fn is_public(&self, method: &Method, uri: &Uri) -> bool {
        !self.public.is_empty() && self.is_declared(method, uri.path())
    }

    #[inline(never)]
    fn is_declared(&self, method: &Method, path: &str) -> bool {
        let is = |route: &(Option<Method>, Box<str>)| {
            *route.1 == *path && route.0.as_ref().is_none_or(|m| m == method)
        };
        self.public.iter().any(is)
    }
}

/// Resolves the tenant of each request, or refuses the request.
///
/// See [the module](self::super) for when a request passes, when it is refused, and what to mind in deployment.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use tenancy_core::{Domain, MemoryCatalog, Resolver, SubdomainStrategy};
/// use http::Method;
/// use tenancy_tower::ResolveTenantLayer;
///
/// # let resolver = Resolver::builder(Arc::new(MemoryCatalog::new()))
/// #     .with_strategy(SubdomainStrategy::new([Domain::new("app.example")?])).build()?;
/// let layer = ResolveTenantLayer::new(resolver).with_public_route(Method::GET, "/health");
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ResolveTenantLayer<R> {
    resolver: R,
    config: Arc<Config>,
}

impl<R: TenantResolver> ResolveTenantLayer<R> {
    /// Returns a layer that asks `resolver`.
    #[must_use]
    pub fn new(resolver: R) -> Self {
        let names = resolver.vary().iter().map(http::HeaderName::as_str).collect::<Vec<_>>().join(", ");
        let vary = (!names.is_empty())
            .then(|| HeaderValue::from_str(&names).expect("header names are a header value"));
        let peer = |extensions: &Extensions| extensions.get::<PeerAddr>().map(|peer| peer.0.ip());
        let (extension, strip, cache) = (true, None, true);
        let config = Config {
            public: Vec::new(),
            peer,
            target: None,
            extension,
            strip,
            cache,
            vary,
            #[cfg(feature = "broken-on-purpose-for-tests-only")]
            open: super::open::Open::default(),
        };
        Self { resolver, config: Arc::new(config) }
    }

    /// Declares a route that has no tenant: requests with this method and exactly this path pass unresolved, whatever
    /// they say about a tenant.
    ///
    /// Neither prefixes nor patterns can be declared, so that a route that is added later is never public by accident.
    #[must_use]
    pub fn with_public_route(self, method: Method, path: &str) -> Self {
        self.with(|config| config.public.push((Some(method), path.into())))
    }

    /// Sets how the address of the peer is read from a request's extensions (default: from [`PeerAddr`]).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{net::SocketAddr, sync::Arc};
    /// # use tenancy_core::{HeaderStrategy, MemoryCatalog, Resolver};
    /// # use tenancy_tower::ResolveTenantLayer;
    /// use axum::extract::ConnectInfo;
    ///
    /// # let resolver = Resolver::builder(Arc::new(MemoryCatalog::new())).with_strategy(HeaderStrategy::new()).build()?;
    /// let layer = ResolveTenantLayer::new(resolver)
    ///     .with_peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()));
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_peer(self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        self.with(|config| config.peer = peer)
    }

    /// Sets how the request target as it arrived is read from a request's extensions, where an outer router has stripped
    /// a prefix since (default: from [`OriginalUri`]). Without one, the target is taken as it is (TWR-36).
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tenancy_core::{MemoryCatalog, PathStrategy, Resolver};
    /// # use tenancy_tower::ResolveTenantLayer;
    /// use axum::extract::OriginalUri;
    ///
    /// # let resolver = Resolver::builder(Arc::new(MemoryCatalog::new())).with_strategy(PathStrategy::new("/t")?).build()?;
    /// let layer = ResolveTenantLayer::new(resolver)
    ///     .with_target(|extensions| extensions.get::<OriginalUri>().map(|original| &original.0));
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_target(self, target: fn(&Extensions) -> Option<&Uri>) -> Self {
        self.with(|config| config.target = Some(target))
    }

    /// Sets whether the context is put into the request's extensions (default: yes). The scope alone costs no
    /// allocation; extractors need the extension.
    #[must_use]
    pub fn with_extension(self, extension: bool) -> Self {
        self.with(|config| config.extension = extension)
    }

    /// Strips what `strategy` reads from the path: the inner service sees `/orders` for `/t/acme/orders`, and finds
    /// the target as it arrived in [`OriginalUri`].
    ///
    /// Give the resolver the same strategy; this one does not resolve.
    #[must_use]
    pub fn with_stripped_path(self, strategy: PathStrategy) -> Self {
        self.with(|config| config.strip = Some(strategy))
    }

    /// Sets whether answers are kept out of shared caches (default: yes): `Cache-Control: private` where the handler set
    /// none, and the headers that strategies read in `Vary` (TWR-56).
    #[must_use]
    pub fn with_cache_headers(self, cache: bool) -> Self {
        self.with(|config| config.cache = cache)
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S, R: Clone> Layer<S> for ResolveTenantLayer<R> {
    type Service = ResolveTenant<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        ResolveTenant::new(inner, self.resolver.clone(), Arc::clone(&self.config))
    }
}

impl<R> fmt::Debug for ResolveTenantLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolveTenantLayer").field("public", &self.config.public).finish_non_exhaustive()
    }
}
