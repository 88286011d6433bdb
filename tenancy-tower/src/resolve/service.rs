//! The service: resolve, then call.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body::Body;
use tenancy_core::{PathStrategy, Resolution, ResolveInput, ScopeSlot, TenantContext, TenantResolver};
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
    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let mut input = ResolveInput::new(&request, (self.config.peer)(request.extensions()));
        input.uri = (self.config.target)(request.extensions()).unwrap_or(input.uri);
        if self.config.is_public(input.method, input.uri.path()) {
            return ResponseFuture::public(self.inner.call(request));
        }
        match self.resolver.resolve(input) {
            Resolution::Ready(Ok(context)) => {
                let (call, slot) = call_in_scope(&mut self.inner, &self.config, request, context);
                ResponseFuture::running(call, slot, self.after())
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

impl<S, R> ResolveTenant<S, R> {
    #[inline]
    fn after(&self) -> Option<Arc<Config>> {
        self.config.cache.then(|| Arc::clone(&self.config))
    }
}

/// Calls the inner service for the tenant: its synchronous part runs in the scope too.
#[inline]
pub(super) fn call_in_scope<S, ReqB>(
    inner: &mut S,
    config: &Config,
    mut request: Request<ReqB>,
    context: TenantContext,
) -> (S::Future, ScopeSlot)
where
    S: Service<Request<ReqB>>,
{
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("tenant.id", tracing::field::display(context.id()));
    if let Some(strategy) = &config.strip {
        strip(strategy, &mut request);
    }
    if config.extension {
        request.extensions_mut().insert(context.clone());
    } else {
        // One that an outer layer left must not contradict the scope.
        request.extensions_mut().remove::<TenantContext>();
    }
    let mut slot = ScopeSlot::new(context);
    let future = slot.run(|| inner.call(request));
    (future, slot)
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
    let original = request.uri().clone();
    let mut parts = mem::take(request.uri_mut()).into_parts();
    parts.path_and_query = Some(stripped);
    *request.uri_mut() = Uri::from_parts(parts).expect("a URI stays whole with another path");
    if request.extensions().get::<OriginalUri>().is_none() {
        request.extensions_mut().insert(OriginalUri(original));
    }
}

impl<S: fmt::Debug, R> fmt::Debug for ResolveTenant<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolveTenant").field("inner", &self.inner).finish_non_exhaustive()
    }
}
