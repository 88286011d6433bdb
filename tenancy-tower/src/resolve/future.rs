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
use super::rejection::{self, Protocol};
use super::service::prepare;

pin_project! {
    /// The answer to one request; made by [`ResolveTenant`](super::ResolveTenant).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqB>
    where
        S: Service<Request<ReqB>>,
    {
        #[pin]
        state: State<S, S::Future, ReqB>,
        // The tenant in whose scope the call runs, once it runs.
        slot: Option<ScopeSlot>,
        after: Option<Arc<Config>>,
    }

    /// A call that is cancelled is dropped in its scope too: what its guards log or undo is the tenant's.
    impl<S, ReqB> PinnedDrop for ResponseFuture<S, ReqB>
    where
        S: Service<Request<ReqB>>,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(slot) = this.slot {
                slot.run(|| this.state.set(State::Done));
            }
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, ReqB> {
        Running { #[pin] call: F },
        // What few requests come to, behind one pointer, so that all others are moved in less.
        NotYet { before: Box<Before<S, ReqB>> },
        Done,
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
        Self { state: State::Running { call }, slot: None, after: None }
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
        Self { state: State::Running { call }, slot: Some(slot), after }
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
        Self { state: State::NotYet { before: Box::new(before) }, slot: None, after: None }
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
        if !matches!(*this.state, State::Running { .. }) {
            match this.state.as_mut().advance(this.slot, this.after, cx) {
                Poll::Ready(None) => {}
                Poll::Ready(Some(refusal)) => return Poll::Ready(Ok(refusal.map(ResponseBody::refusal))),
                Poll::Pending => return Poll::Pending,
            }
        }
        // Written by the closure rather than returned: answers are large, and moved as seldom as can be.
        let mut answer = Poll::Pending;
        match this.slot {
            Some(slot) => slot.run(|| poll_call(this.state, cx, &mut answer)),
            None => poll_call(this.state, cx, &mut answer),
        }
        let answer = ready!(answer);
        let slot = this.slot.take();
        Poll::Ready(answer.map(|response| finish(response, slot, this.after.as_deref())))
    }
}

impl<S, ReqB> State<S, S::Future, ReqB>
where
    S: Service<Request<ReqB>>,
{
    /// Goes on to the call, where the tenant was still to be found; or to the answer to a request that is refused.
    #[cold]
    fn advance(
        mut self: Pin<&mut Self>,
        slot: &mut Option<ScopeSlot>,
        after: &mut Option<Arc<Config>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Response<Bytes>>> {
        let StateProj::NotYet { before } = self.as_mut().project() else { panic!("{DONE}") };
        let response = match &mut **before {
            Before::Refused { rejection, protocol } => rejection::respond(rejection, *protocol),
            Before::Resolving { answer, call } => {
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
                        self.set(Self::Running { call });
                        return Poll::Ready(None);
                    }
                    Err(rejection) => {
                        rejection::respond(&rejection, Protocol::of(request.version(), request.headers()))
                    }
                }
            }
        };
        self.set(Self::Done);
        Poll::Ready(Some(response))
    }
}

/// Polls the call, and drops it where it is done: in the scope, as it was polled.
#[inline]
fn poll_call<S, F: Future, ReqB>(
    mut state: Pin<&mut State<S, F, ReqB>>,
    cx: &mut Context<'_>,
    answer: &mut Poll<F::Output>,
) {
    let StateProj::Running { call } = state.as_mut().project() else {
        unreachable!("only a running call is polled")
    };
    *answer = call.poll(cx);
    if answer.is_ready() {
        state.set(State::Done);
    }
}

const DONE: &str = "a future is not polled after it is done";

#[inline]
fn finish<B: Body>(
    mut response: Response<B>,
    slot: Option<ScopeSlot>,
    config: Option<&Config>,
) -> Response<ResponseBody<B>> {
    if let (Some(_), Some(config)) = (&slot, config) {
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
        if let Some(vary) = &config.vary {
            headers.append(VARY, vary.clone());
        }
    }
    // Bodies of a known size are at hand already; gRPC's never say theirs.
    let grpc = response.body().size_hint().exact().is_none() && rejection::is_grpc(response.headers());
    response.map(|body| ResponseBody::scoped(body, slot, grpc))
}

impl<S, ReqB> fmt::Debug for ResponseFuture<S, ReqB>
where
    S: Service<Request<ReqB>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
