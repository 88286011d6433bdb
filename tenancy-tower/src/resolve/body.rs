//! The body of an answer: produced in the scope of its tenant, and no longer than the tenant is active.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tenancy_core::{Ended, RejectionReason, ScopeSlot};

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
        #[pin]
        kind: Kind<B>,
        scope: Option<Scope>,
    }

    /// What the handler left in the body is dropped in the scope too.
    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(scope) = this.scope {
                scope.slot.run(|| this.kind.set(Kind::Refusal { text: None }));
            }
        }
    }
}

/// Whose body it is, and how it ends when its tenant does. Small, since it is moved with every answer.
struct Scope {
    slot: ScopeSlot,
    /// Made when the body first has to wait.
    ended: Option<Box<Ended>>,
    grpc: bool,
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Refusal { text: Option<Box<Bytes>> },
    }
}

impl<B> ResponseBody<B> {
    #[inline]
    pub(super) fn scoped(body: B, slot: Option<ScopeSlot>, grpc: bool) -> Self {
        Self { kind: Kind::Inner { body }, scope: slot.map(|slot| Scope { slot, ended: None, grpc }) }
    }

    pub(super) fn refusal(text: Bytes) -> Self {
        Self { kind: Kind::Refusal { text: (!text.is_empty()).then(|| Box::new(text)) }, scope: None }
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
        let body = match this.kind.as_mut().project() {
            KindProj::Inner { body } => body,
            KindProj::Refusal { text } => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data((*text).into()))));
            }
        };
        let Some(Scope { slot, ended, grpc }) = this.scope else {
            return body.poll_frame(cx).map_err(Into::into);
        };
        let frame = slot.run(|| body.poll_frame(cx));
        // Looked at last: what the handler produced while the tenant was suspended is not handed out.
        let gone = match &frame {
            Poll::Ready(None) => false,
            Poll::Ready(Some(_)) => !slot.context().is_still_active(),
            // An idle stream must hear of it.
            Poll::Pending => {
                let ended = ended.get_or_insert_with(|| Box::new(slot.context().ended()));
                Pin::new(&mut **ended).poll(cx).is_ready()
            }
        };
        if !gone {
            return frame.map_err(Into::into);
        }
        if *grpc {
            // A status rather than a broken stream, and nothing after it.
            slot.run(|| this.kind.set(Kind::Refusal { text: None }));
            let trailers = grpc_trailers(RejectionReason::UnknownTenant);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        Poll::Ready(Some(Err(TenantGone.into())))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Refusal { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Refusal { text } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
