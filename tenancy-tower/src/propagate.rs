//! The client side: hands the tenant to the next service.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Request};
use pin_project_lite::pin_project;
use tenancy_core::{Error, TenantContext};
use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Puts the id of the present tenant into a header of each outgoing request.
///
/// The tenant is the one in the request's extensions, else the one in scope. A request that has neither is not sent, and
/// a header of this name that the caller set is replaced: nobody hands on another tenant's name by accident.
///
/// The next service must believe the header from this one alone: see
/// [`HeaderStrategy::with_trusted_proxies`](tenancy_core::HeaderStrategy::with_trusted_proxies).
#[derive(Clone, Debug)]
pub struct PropagateTenantLayer {
    name: HeaderName,
}

impl PropagateTenantLayer {
    /// Returns a layer that writes `x-tenant-id`.
    #[must_use]
    pub fn new() -> Self {
        Self { name: HeaderName::from_static("x-tenant-id") }
    }

    /// Sets the header's name.
    #[must_use]
    pub fn with_name(mut self, name: HeaderName) -> Self {
        self.name = name;
        self
    }
}

impl Default for PropagateTenantLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for PropagateTenantLayer {
    type Service = PropagateTenant<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PropagateTenant { inner, name: self.name.clone() }
    }
}

/// Puts the id of the present tenant into a header of each outgoing request; made by [`PropagateTenantLayer`].
#[derive(Clone, Debug)]
pub struct PropagateTenant<S> {
    inner: S,
    name: HeaderName,
}

impl<S, B> Service<Request<B>> for PropagateTenant<S>
where
    S: Service<Request<B>, Error: Into<BoxError>>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = PropagateFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context =
            request.extensions().get::<TenantContext>().cloned().map_or_else(TenantContext::current, Ok);
        match context {
            Ok(context) => {
                let id =
                    HeaderValue::try_from(context.id().to_string()).expect("a tenant id is a header value");
                request.headers_mut().insert(self.name.clone(), id);
                PropagateFuture { state: State::Sent { call: self.inner.call(request) } }
            }
            Err(error) => PropagateFuture { state: State::Refused { error: Some(error) } },
        }
    }
}

pin_project! {
    /// The answer to an outgoing request; made by [`PropagateTenant`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct PropagateFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Sent { #[pin] call: F },
        Refused { error: Option<Error> },
    }
}

impl<F, T, E> Future for PropagateFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().state.project() {
            StateProj::Sent { call } => ready!(call.poll(cx)).map_err(Into::into),
            StateProj::Refused { error } => {
                Err(error.take().expect("a future is not polled after it is done").into())
            }
        })
    }
}
