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
use super::service::call_in_scope;

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
        Resolving { answer: BoxFuture<Result<TenantContext, Rejection>>, call: Option<Box<Call<S, ReqB>>> },
        Running { #[pin] call: F },
        Refused { rejection: Box<Rejection>, protocol: Protocol },
        Done,
    }
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
    pub(super) fn running(call: S::Future, slot: ScopeSlot, after: Option<Arc<Config>>) -> Self {
        Self { state: State::Running { call }, slot: Some(slot), after }
    }

    pub(super) fn refused(rejection: Rejection, protocol: Protocol) -> Self {
        Self { state: State::refused(rejection, protocol), slot: None, after: None }
    }

    pub(super) fn resolving(
        answer: BoxFuture<Result<TenantContext, Rejection>>,
        inner: S,
        config: Arc<Config>,
        request: Request<ReqB>,
    ) -> Self {
        let call = Some(Box::new(Call { inner, config, request }));
        Self { state: State::Resolving { answer, call }, slot: None, after: None }
    }
}

impl<S, F, ReqB> State<S, F, ReqB> {
    fn refused(rejection: Rejection, protocol: Protocol) -> Self {
        Self::Refused { rejection: Box::new(rejection), protocol }
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
        let answer = match this.slot {
            Some(slot) => ready!(slot.run(|| poll_call(this.state, cx))),
            None => ready!(poll_call(this.state, cx)),
        };
        let context = this.slot.take().map(ScopeSlot::into_context);
        Poll::Ready(answer.map(|response| finish(response, context, this.after.as_deref())))
    }
}

impl<S, ReqB> State<S, S::Future, ReqB>
where
    S: Service<Request<ReqB>>,
{
    /// Goes on to the call, where the tenant was still to be found; or to the answer to a request that is refused.
    fn advance(
        mut self: Pin<&mut Self>,
        slot: &mut Option<ScopeSlot>,
        after: &mut Option<Arc<Config>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Response<Bytes>>> {
        if let StateProj::Resolving { answer, call } = self.as_mut().project() {
            let answer = ready!(answer.as_mut().poll(cx));
            let Call { mut inner, config, request } = *call.take().expect(DONE);
            match answer {
                Ok(context) => {
                    let (call, scope) = call_in_scope(&mut inner, &config, request, context);
                    *slot = Some(scope);
                    *after = config.cache.then_some(config);
                    self.set(Self::Running { call });
                    return Poll::Ready(None);
                }
                Err(rejection) => {
                    let protocol = Protocol::of(request.version(), request.headers());
                    self.set(Self::refused(rejection, protocol));
                }
            }
        }
        let StateProj::Refused { rejection, protocol } = self.as_mut().project() else { panic!("{DONE}") };
        let response = rejection::respond(rejection, *protocol);
        self.set(Self::Done);
        Poll::Ready(Some(response))
    }
}

/// Polls the call, and drops it where it is done: in the scope, as it was polled.
#[inline]
fn poll_call<S, F: Future, ReqB>(
    mut state: Pin<&mut State<S, F, ReqB>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let StateProj::Running { call } = state.as_mut().project() else {
        unreachable!("only a running call is polled")
    };
    let output = ready!(call.poll(cx));
    state.set(State::Done);
    Poll::Ready(output)
}

const DONE: &str = "a future is not polled after it is done";

#[inline]
fn finish<B: Body>(
    mut response: Response<B>,
    context: Option<TenantContext>,
    config: Option<&Config>,
) -> Response<ResponseBody<B>> {
    if let (Some(_), Some(config)) = (&context, config) {
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
        if let Some(vary) = &config.vary {
            headers.append(VARY, vary.clone());
        }
    }
    // Bodies of a known size are at hand already; gRPC's never say theirs.
    let grpc = response.body().size_hint().exact().is_none() && rejection::is_grpc(response.headers());
    response.map(|body| ResponseBody::scoped(body, context, grpc))
}

impl<S, ReqB> fmt::Debug for ResponseFuture<S, ReqB>
where
    S: Service<Request<ReqB>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
