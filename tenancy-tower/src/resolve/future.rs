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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut state = this.state;
        loop {
            match state.as_mut().project() {
                StateProj::Running { .. } => {
                    let answer = match this.slot {
                        Some(slot) => ready!(slot.run(|| poll_call(state.as_mut(), cx))),
                        None => ready!(poll_call(state, cx)),
                    };
                    let context = this.slot.take().map(ScopeSlot::into_context);
                    return Poll::Ready(
                        answer.map(|response| finish(response, context, this.after.as_deref())),
                    );
                }
                StateProj::Refused { rejection, protocol } => {
                    let response = rejection::respond(rejection, *protocol).map(ResponseBody::refusal);
                    state.set(State::Done);
                    return Poll::Ready(Ok(response));
                }
                StateProj::Resolving { answer, call } => {
                    let answer = ready!(answer.as_mut().poll(cx));
                    let Call { mut inner, config, request } = *call.take().expect(DONE);
                    state.set(match answer {
                        Ok(context) => {
                            let (call, slot) = call_in_scope(&mut inner, &config, request, context);
                            *this.slot = Some(slot);
                            *this.after = config.cache.then_some(config);
                            State::Running { call }
                        }
                        Err(rejection) => {
                            State::refused(rejection, Protocol::of(request.version(), request.headers()))
                        }
                    });
                }
                StateProj::Done => panic!("{DONE}"),
            }
        }
    }
}

/// Polls the call, and drops it where it is done: in the scope, as it was polled.
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
