//! The service: resolve, then call.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body::Body;
use tenancy_core::{Glimpse, PathStrategy, Peer, Resolution, ResolveInput, TenantContext, TenantResolver};
use tower_service::Service;

use super::body::ResponseBody;
use super::future::ResponseFuture;
use super::layer::{Config, OriginalUri};
use super::rejection::Protocol;

/// Resolves the tenant of each request, or refuses the request; made by
/// [`ResolveTenantLayer`](super::ResolveTenantLayer).
#[derive(Clone)]
pub struct ResolveTenant<S, R> {
    inner: S,
    resolver: R,
    config: Arc<Config>,
}

impl<S, R> ResolveTenant<S, R> {
    pub(super) fn new(inner: S, resolver: R, config: Arc<Config>) -> Self {
        Self { inner, resolver, config }
    }

    /// Returns the wrapped service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the wrapped service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, ReqB, ResB> Service<Request<ReqB>> for ResolveTenant<S, R>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    R: TenantResolver,
    ResB: Body<Data: From<Bytes>>,
{
    type Response = Response<ResponseBody<ResB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<ReqB>) -> Self::Future {
        let config = &*self.config;
        let uri = config.target_of(&request);
        if config.is_public(request.method(), uri) {
            return self.call_publicly(request);
        }
        match self.resolver.resolve_at_a_glance(glimpse(&request, uri, config)) {
            Some(context) => {
                #[cfg(feature = "broken-on-purpose-for-tests-only")]
                config.open.note(&context);
                // Not in a function that both ways share: a request is large, and handing it on moves it.
                prepare(&mut request, config, &context);
                let after = config.cache.then(|| Arc::clone(&self.config));
                ResponseFuture::running(&mut self.inner, request, context, after)
            }
            None => self.call_strictly(request),
        }
    }
}

impl<S, R> ResolveTenant<S, R> {
    /// Apart from the others, so that most requests make no room for it; and so with what a glance does not tell.
    #[inline(never)]
    fn call_publicly<B>(&mut self, request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        ResponseFuture::public(self.inner.call(request))
    }

    #[inline(never)]
    fn call_strictly<B>(&mut self, mut request: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>> + Clone,
        R: TenantResolver,
    {
        let config = &*self.config;
        let mut input = ResolveInput::new(&request, (config.peer)(request.extensions()));
        input.uri = config.target_of(&request);
        let resolution = self.resolver.resolve_strictly(input);
        #[cfg(feature = "broken-on-purpose-for-tests-only")]
        let resolution = config.open.at_once(resolution);
        match resolution {
            Resolution::Ready(Ok(context)) => {
                prepare(&mut request, config, &context);
                let after = config.cache.then(|| Arc::clone(&self.config));
                ResponseFuture::running(&mut self.inner, request, context, after)
            }
            Resolution::Ready(Err(rejection)) => {
                ResponseFuture::refused(rejection, Protocol::of(request.version(), request.headers()))
            }
            Resolution::Later(answer) => {
                // `poll_ready` readied `self.inner`, not its clone: the one that is ready goes into the future.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::resolving(answer, ready, Arc::clone(&self.config), request)
            }
        }
    }
}

#[inline(always)]
fn glimpse<'r, B>(request: &'r Request<B>, uri: &'r Uri, config: &Config) -> Glimpse<'r> {
    let (method, version, headers) = (request.method(), request.version(), request.headers());
    Glimpse { method, uri, version, headers, peer: Peer::In(request.extensions(), config.peer) }
}

/// Makes `request` one of the tenant.
#[inline(always)]
pub(super) fn prepare<B>(request: &mut Request<B>, config: &Config, context: &TenantContext) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("tenant.id", tracing::field::display(context.id()));
    if let Some(strategy) = &config.strip {
        strip(strategy, request);
    }
    if config.extension {
        request.extensions_mut().insert(context.clone());
    } else if !request.extensions().is_empty() {
        // One that an outer layer left must not contradict the scope.
        request.extensions_mut().remove::<TenantContext>();
    }
}

/// Replaces the path by what follows the tenant's segment. A path that the strategy does not read stays as it is: the
/// request was resolved by another signal.
fn strip<B>(strategy: &PathStrategy, request: &mut Request<B>) {
    let Ok(Some(found)) = strategy.locate(request.uri().path()) else { return };
    let whole = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let rest = &whole[found.rest_at..];
    let bytes = if rest.starts_with('/') {
        Bytes::copy_from_slice(rest.as_bytes())
    } else {
        ["/", rest].concat().into()
    };
    let stripped = PathAndQuery::from_maybe_shared(bytes).expect("the end of a path is a path");
    let original = replace_path(request.uri_mut(), stripped);
    if request.extensions().get::<OriginalUri>().is_none() {
        request.extensions_mut().insert(OriginalUri(original));
    }
}

/// Returns the URI as it was.
fn replace_path(uri: &mut Uri, path: PathAndQuery) -> Uri {
    // Most targets of HTTP/1 are a path and nothing else.
    if uri.scheme().is_none() && uri.authority().is_none() {
        return mem::replace(uri, path.into());
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    mem::replace(uri, Uri::from_parts(parts).expect("a URI stays whole with another path"))
}

impl<S: fmt::Debug, R> fmt::Debug for ResolveTenant<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolveTenant").field("inner", &self.inner).finish_non_exhaustive()
    }
}
