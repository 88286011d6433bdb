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

use super::body::{ResponseBody, Scope};
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
        #[pin]
        stage: Stage<S::Future, Before<S, ReqB>>,
        // The tenant in whose scope the call runs, once it runs.
        scope: Option<Scope>,
        after: Option<Arc<Config>>,
    }

    /// A call that is cancelled is dropped in its scope too: what its guards log or undo is the tenant's.
    impl<S, ReqB> PinnedDrop for ResponseFuture<S, ReqB>
    where
        S: Service<Request<ReqB>>,
    {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(scope) = this.scope {
                cancel(this.stage, scope);
            }
        }
    }
}

pin_project! {
    /// How far a request has come.
    #[project = StageProjection]
    enum Stage<F, B> {
        Before { before: Box<Rare<B>> },
        Running { #[pin] call: F },
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
        Self { stage: Stage::Running { call }, scope: None, after: None }
    }

    /// A part of whoever calls it, as the other steps of most requests are: a request and an answer are large.
    #[inline(always)]
    pub(super) fn running(
        inner: &mut S,
        request: Request<ReqB>,
        context: TenantContext,
        after: Option<Arc<Config>>,
    ) -> Self {
        let mut slot = ScopeSlot::new(context);
        // The synchronous part of the call runs in the scope too.
        let call = slot.run_with(request, |request| inner.call(request));
        Self { stage: Stage::Running { call }, scope: Some(Scope::new(slot)), after }
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
        Self { stage: Stage::Before { before: Box::new(Rare(before)) }, scope: None, after: None }
    }

    /// Goes on to the call, where the tenant was still to be found; or to the answer to a request that is refused.
    #[cold]
    fn advance(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Response<Bytes>>> {
        let mut stage = self.as_mut().project().stage;
        let StageProjection::Before { before } = stage.as_mut().project() else { return Poll::Ready(None) };
        match ready!(before.0.poll(cx)) {
            Ok(running) => self.set(running),
            Err(refusal) => {
                stage.set(Stage::Done);
                return Poll::Ready(Some(refusal));
            }
        }
        Poll::Ready(None)
    }
}

impl<S, ReqB, ResB> Future for ResponseFuture<S, ReqB>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ResB: Body<Data: From<Bytes>>,
{
    type Output = Result<Response<ResponseBody<ResB>>, S::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.stage, Stage::Before { .. })
            && let Some(refusal) = ready!(self.as_mut().advance(cx))
        {
            return Poll::Ready(Ok(refusal.map(ResponseBody::refusal)));
        }
        let this = self.project();
        let mut answer = match this.scope {
            Some(scope) => scope.slot.run(|| poll_call(this.stage, cx)),
            None => poll_call(this.stage, cx),
        };
        // Changed where it stands: answers are large, and moved as seldom as can be.
        if let Poll::Ready(Ok(response)) = &mut answer {
            finish(response, this.scope, this.after.as_deref());
        }
        answer.map_ok(|response| response.map(|body| ResponseBody::scoped(body, this.scope.take())))
    }
}

impl<S, ReqB> Before<S, ReqB>
where
    S: Service<Request<ReqB>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseFuture<S, ReqB>, Response<Bytes>>> {
        let (answer, call) = match self {
            Self::Refused { rejection, protocol } => {
                return Poll::Ready(Err(rejection::respond(rejection, *protocol)));
            }
            Self::Resolving { answer, call } => (ready!(answer.as_mut().poll(cx)), call),
        };
        let Call { mut inner, config, mut request } = call.take().expect(DONE);
        #[cfg(feature = "broken-on-purpose-for-tests-only")]
        let answer = config.open.admit(answer);
        Poll::Ready(match answer {
            Ok(context) => {
                prepare(&mut request, &config, &context);
                let after = config.cache.then_some(config);
                Ok(ResponseFuture::running(&mut inner, request, context, after))
            }
            Err(rejection) => {
                let protocol = Protocol::of(request.version(), request.headers());
                Err(rejection::respond(&rejection, protocol))
            }
        })
    }
}

/// Polls the call, and drops it where it is done: in the scope, as it was polled.
#[inline(always)]
fn poll_call<F: Future, B>(mut stage: Pin<&mut Stage<F, B>>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let StageProjection::Running { call } = stage.as_mut().project() else { panic!("{DONE}") };
    let answer = call.poll(cx);
    if answer.is_ready() {
        stage.set(Stage::Done);
    }
    answer
}

/// Drops what a call has left in the middle of it. Apart from the dropping of calls that came to their end, as most do.
#[cold]
#[inline(never)]
fn cancel<F, B>(mut stage: Pin<&mut Stage<F, B>>, scope: &mut Scope) {
    scope.slot.run(|| stage.set(Stage::Done));
}

const DONE: &str = "a future is not polled after it is done";

/// Adds the headers that caches need, if any, and says how the answer ends if its tenant does.
#[inline(always)]
fn finish<B: Body>(response: &mut Response<B>, scope: &mut Option<Scope>, config: Option<&Config>) {
    if let Some(config) = config {
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private"));
        if let Some(vary) = &config.vary {
            headers.append(VARY, vary.clone());
        }
    }
    // Bodies of a known size are at hand already; gRPC's never say theirs.
    if response.body().size_hint().exact().is_none()
        && let Some(scope) = scope
    {
        scope.grpc = rejection::is_grpc(response.headers());
    }
}

impl<S, ReqB> fmt::Debug for ResponseFuture<S, ReqB>
where
    S: Service<Request<ReqB>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
