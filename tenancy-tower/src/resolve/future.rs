//! The future of one request: named, and nothing boxed unless the catalog has to wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tenancy_core::{BoxFuture, Rejection, ScopeSlot, TenantContext};
use tower_service::Service;

use super::body::ResponseBody;
use super::layer::Config;
use super::rare::Rare;
use super::rejection::{self, Protocol};
use super::service::prepare;

pin_project! {
    /// The answer to one request; made by [`ResolveTenant`](super::ResolveTenant).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqB>
    where
        S: Service<Request<ReqB>>,
    {
        // Nothing before it runs, and once it is done.
        #[pin]
        call: Option<S::Future>,
        before: Option<Box<Rare<Before<S, ReqB>>>>,
        // The tenant in whose scope the call runs, once it runs.
        slot: Option<ScopeSlot>,
        after: Option<Arc<Config>>,
    }

    /// A call that is cancelled is dropped in its scope too: what its guards log or undo is the tenant's.
    impl<S, ReqB> PinnedDrop for ResponseFuture<S, ReqB>
    where
        S: Service<Request<ReqB>>,
    {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(slot) = this.slot {
                slot.run(|| this.call.set(None));
            }
        }
    }
}

/// What stands before a call, or in its place.
#[allow(clippy::large_enum_variant, reason = "it is never moved: it stands behind a pointer")]
enum Before<S, ReqB> {
    Resolving { answer: BoxFuture<Result<TenantContext, Rejection>>, call: Option<Call<S, ReqB>> },
    Refused { rejection: Rejection, protocol: Protocol },
}

/// A call that waits for its tenant.
struct Call<S, ReqB> {
    inner: S,
    config: Arc<Config>,
    request: Request<ReqB>,
}

impl<S, ReqB> ResponseFuture<S, ReqB>
where
    S: Service<Request<ReqB>>,
{
    pub(super) fn public(call: S::Future) -> Self {
        Self { call: Some(call), before: None, slot: None, after: None }
    }

    #[inline]
    pub(super) fn running(
        inner: &mut S,
        request: Request<ReqB>,
        context: TenantContext,
        after: Option<Arc<Config>>,
    ) -> Self {
        let mut slot = ScopeSlot::new(context);
        // The synchronous part of the call runs in the scope too.
        let call = slot.run_with(request, |request| inner.call(request));
        Self { call: Some(call), before: None, slot: Some(slot), after }
    }

    #[cold]
    pub(super) fn refused(rejection: Rejection, protocol: Protocol) -> Self {
        Self::not_yet(Before::Refused { rejection, protocol })
    }

    #[cold]
    pub(super) fn resolving(
        answer: BoxFuture<Result<TenantContext, Rejection>>,
        inner: S,
        config: Arc<Config>,
        request: Request<ReqB>,
    ) -> Self {
        Self::not_yet(Before::Resolving { answer, call: Some(Call { inner, config, request }) })
    }

    fn not_yet(before: Before<S, ReqB>) -> Self {
        Self { call: None, before: Some(Box::new(Rare(before))), slot: None, after: None }
    }
}

impl<S, ReqB, ResB> Future for ResponseFuture<S, ReqB>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ResB: Body<Data: From<Bytes>>,
{
    type Output = Result<Response<ResponseBody<ResB>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(before) = this.before {
            let refusal = ready!(before.0.advance(this.call.as_mut(), this.slot, this.after, cx));
            *this.before = None;
            if let Some(refusal) = refusal {
                return Poll::Ready(Ok(refusal.map(ResponseBody::refusal)));
            }
        }
        let mut answer = match this.slot {
            Some(slot) => slot.run(|| poll_call(this.call, cx)),
            None => poll_call(this.call, cx),
        };
        // Changed where it stands: answers are large, and moved as seldom as can be.
        let grpc = match &mut answer {
            Poll::Ready(Ok(response)) => finish(response, this.after.as_deref()),
            _ => false,
        };
        answer.map_ok(|response| response.map(|body| ResponseBody::scoped(body, this.slot.take(), grpc)))
    }
}

impl<S, ReqB> Before<S, ReqB>
where
    S: Service<Request<ReqB>>,
{
    /// Goes on to the call, where the tenant was still to be found; or to the answer to a request that is refused.
    #[cold]
    fn advance(
        &mut self,
        mut running: Pin<&mut Option<S::Future>>,
        slot: &mut Option<ScopeSlot>,
        after: &mut Option<Arc<Config>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Response<Bytes>>> {
        let response = match self {
            Self::Refused { rejection, protocol } => rejection::respond(rejection, *protocol),
            Self::Resolving { answer, call } => {
                let answer = ready!(answer.as_mut().poll(cx));
                let Call { mut inner, config, mut request } = call.take().expect(DONE);
                #[cfg(feature = "broken-on-purpose-for-tests-only")]
                let answer = config.open.admit(answer);
                match answer {
                    Ok(context) => {
                        prepare(&mut request, &config, &context);
                        let scope = slot.insert(ScopeSlot::new(context));
                        let call = scope.run(|| inner.call(request));
                        *after = config.cache.then_some(config);
                        running.set(Some(call));
                        return Poll::Ready(None);
                    }
                    Err(rejection) => {
                        rejection::respond(&rejection, Protocol::of(request.version(), request.headers()))
                    }
                }
            }
        };
        Poll::Ready(Some(response))
    }
}

/// Polls the call, and drops it where it is done: in the scope, as it was polled.
#[inline]
fn poll_call<F: Future>(mut call: Pin<&mut Option<F>>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let answer = call.as_mut().as_pin_mut().expect(DONE).poll(cx);
    if answer.is_ready() {
        call.set(None);
    }
    answer
}

const DONE: &str = "a future is not polled after it is done";

/// Adds the headers that caches need, if any, and returns whether the answer is gRPC's.
#[inline]
fn finish<B: Body>(response: &mut Response<B>, config: Option<&Config>) -> bool {
    if let Some(config) = config {
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
        if let Some(vary) = &config.vary {
            headers.append(VARY, vary.clone());
        }
    }
    // Bodies of a known size are at hand already; gRPC's never say theirs.
    response.body().size_hint().exact().is_none() && rejection::is_grpc(response.headers())
}

impl<S, ReqB> fmt::Debug for ResponseFuture<S, ReqB>
where
    S: Service<Request<ReqB>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
