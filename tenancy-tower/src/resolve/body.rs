//! The body of an answer: produced in the scope of its tenant, and no longer than the tenant is active.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tenancy_core::{Ended, RejectionReason, ScopeSlot};

use super::rare::Rare;
use super::rejection::grpc_trailers;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The error that ends a stream whose tenant was suspended or deleted while it was open (TWR-54).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TenantGone;

impl fmt::Display for TenantGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tenant is no longer active")
    }
}

impl StdError for TenantGone {}

pin_project! {
    /// The body of an answer of [`ResolveTenant`](super::ResolveTenant).
    ///
    /// Frames are produced in the scope of the tenant. Once the tenant is not active, the body ends with [`TenantGone`]:
    /// at its next frame, and at once if it is waiting for one. A gRPC body ends with the status that the next call would get.
    pub struct ResponseBody<B> {
        // Nothing in a refusal, nor in what was ended with a status.
        #[pin]
        body: Option<B>,
        scope: Option<Scope>,
        aside: Option<Box<Rare<Aside>>>,
    }

    /// What the handler left in the body is dropped in the scope too.
    impl<B> PinnedDrop for ResponseBody<B> {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(scope) = this.scope {
                scope.slot.run(|| this.body.set(None));
            }
        }
    }
}

/// Whose body it is, and how it ends when its tenant does. Small, since it is moved with every answer.
pub(super) struct Scope {
    pub(super) slot: ScopeSlot,
    pub(super) grpc: bool,
}

impl Scope {
    #[inline]
    pub(super) fn new(slot: ScopeSlot) -> Self {
        Self { slot, grpc: false }
    }
}

/// What few bodies come to have.
enum Aside {
    /// What a refusal says.
    Text(Bytes),
    /// Made when a body first has to wait.
    Ended(Ended),
}

impl<B> ResponseBody<B> {
    #[inline]
    pub(super) fn scoped(body: B, scope: Option<Scope>) -> Self {
        Self { body: Some(body), scope, aside: None }
    }

    pub(super) fn refusal(text: Bytes) -> Self {
        let aside = (!text.is_empty()).then(|| Box::new(Rare(Aside::Text(text))));
        Self { body: None, scope: None, aside }
    }

    fn text(&self) -> Option<&Bytes> {
        match self.aside.as_deref() {
            Some(Rare(Aside::Text(text))) => Some(text),
            _ => None,
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data: From<Bytes>, Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            let text = match this.aside.take().as_deref_mut() {
                Some(Rare(Aside::Text(text))) => Some(Ok(Frame::data(mem::take(text).into()))),
                _ => None,
            };
            return Poll::Ready(text);
        };
        let Some(Scope { slot, grpc }) = this.scope else {
            return body.poll_frame(cx).map_err(Into::into);
        };
        let frame = slot.run(|| body.poll_frame(cx));
        // Looked at last: what the handler produced while the tenant was suspended is not handed out.
        let gone = match &frame {
            Poll::Ready(None) => false,
            Poll::Ready(Some(_)) => !slot.context().is_still_active(),
            // An idle stream must hear of it.
            Poll::Pending => {
                let ended = || Box::new(Rare(Aside::Ended(slot.context().ended())));
                match &mut this.aside.get_or_insert_with(ended).0 {
                    Aside::Ended(ended) => Pin::new(ended).poll(cx).is_ready(),
                    Aside::Text(_) => false,
                }
            }
        };
        if !gone {
            return frame.map_err(Into::into);
        }
        if *grpc {
            // A status rather than a broken stream, and nothing after it.
            slot.run(|| this.body.set(None));
            let trailers = grpc_trailers(RejectionReason::UnknownTenant);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(Some(Err(TenantGone.into())))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Some(body) => body.is_end_stream(),
            None => self.text().is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(self.text().map_or(0, |text| text.len() as u64)),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
