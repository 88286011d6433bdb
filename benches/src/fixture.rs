//! Tenants, requests, and a service that does nothing.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use tenancy_core::{Domain, MemoryCatalog, Tenant, TenantId};
use tower::Service;

/// The domain below which each tenant has one label; also the domain of its own, see [`tenants`].
pub const BASE: &str = "shops.example";

/// Returns `count`, or a hundredth of it in a build that is not optimized, which shows that benches run and no more.
#[must_use]
pub fn scaled(count: usize) -> usize {
    if cfg!(debug_assertions) { count.div_ceil(100).max(100) } else { count }
}

/// Returns a catalog of `count` tenants with the ids 1 to `count`.
///
/// A tenant owns the very name that it also has below [`BASE`], so that one request can be read by every strategy.
///
/// # Panics
///
/// Panics if `count` is beyond what an id holds.
#[must_use]
pub fn tenants(count: usize) -> Arc<MemoryCatalog> {
    let catalog = MemoryCatalog::new();
    catalog.insert_all((1..=count).map(tenant)).expect("the names are distinct");
    Arc::new(catalog)
}

/// Returns the tenant number `id`.
///
/// # Panics
///
/// Panics if `id` is 0 or beyond what an id holds.
#[must_use]
pub fn tenant(id: usize) -> Arc<Tenant> {
    let slug = slug(id).parse().expect("it is a slug");
    let domain = Domain::new(&host(id)).expect("it is a domain");
    let id = TenantId::integer(i64::try_from(id).expect("an id is small")).expect("an id is positive");
    Tenant::builder(id, slug).with_domain(domain).build().expect("a tenant with one domain is legal")
}

/// Returns the slug of the tenant number `id`.
#[must_use]
pub fn slug(id: usize) -> String {
    format!("t{id:06}")
}

/// Returns the host of the tenant number `id`.
#[must_use]
pub fn host(id: usize) -> String {
    format!("{}.{BASE}", slug(id))
}

/// Requests to tenants that are spread evenly over a catalog, handed out by turns.
#[derive(Clone, Debug)]
pub struct Requests {
    heads: Arc<[Head]>,
    at: usize,
}

impl Requests {
    /// Returns requests for `distinct` of `tenants` tenants.
    ///
    /// # Panics
    ///
    /// Panics if either is 0.
    #[must_use]
    pub fn new(distinct: usize, tenants: usize) -> Self {
        Self::authorized(distinct, tenants, |_| "Basic YWxhZGRpbjpvcGVuc2VzYW1l".to_owned())
    }

    /// Returns such requests, each authorized by what `authorization` returns for the tenant's number.
    ///
    /// # Panics
    ///
    /// Panics if either number is 0, or if `authorization` returns what is no header's value.
    #[must_use]
    pub fn authorized(distinct: usize, tenants: usize, authorization: impl Fn(usize) -> String) -> Self {
        // A stride that shares no factor with the number visits all places, and far ones one after the other.
        let id = |turn: usize| turn * 7_919 % tenants + 1;
        let heads = (0..distinct).map(id).map(|id| head(id, &authorization(id)));
        Self { heads: heads.collect(), at: 0 }
    }

    /// Returns the next request, put together as a server does it: a map with room for the lines that were read.
    ///
    /// A part of nobody who calls it: what it costs is the same for every service then.
    #[inline(never)]
    pub fn take(&mut self) -> Request<Body> {
        self.at = if self.at + 1 == self.heads.len() { 0 } else { self.at + 1 };
        let (uri, lines) = &self.heads[self.at];
        let mut headers = HeaderMap::with_capacity(lines.len());
        for (name, value) in lines {
            headers.append(name.clone(), value.clone());
        }
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

/// A target, and the lines below it.
type Head = (Uri, [(HeaderName, HeaderValue); 5]);

fn head(id: usize, authorization: &str) -> Head {
    let uri = format!("/t/{}/orders?page=2", slug(id)).parse().expect("it is a target");
    let text = |text: &str| HeaderValue::from_str(text).expect("it is a header's value");
    let lines = [
        (HOST, text(&host(id))),
        (USER_AGENT, text("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")),
        (ACCEPT, text("application/json")),
        (AUTHORIZATION, text(authorization)),
        (HeaderName::from_static("x-tenant-id"), text(&id.to_string())),
    ];
    (uri, lines)
}

/// A service that answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl Service<Request<Body>> for Bare {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(request);
        ready(Ok(Response::new(Body::empty())))
    }
}

/// A service whose answers must all be 200: a bench that measures refusals measures nothing.
#[derive(Clone, Debug)]
pub struct Served<S>(pub S);

impl<S, B> Service<Request<Body>> for Served<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Unpin>,
{
    type Response = Response<B>;
    type Error = Refused;
    type Future = ServedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        self.0.poll_ready(cx).map_err(|never| match never {})
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ServedFuture(self.0.call(request))
    }
}

/// The answer of [`Served`].
#[derive(Debug)]
pub struct ServedFuture<F>(F);

impl<F, B> Future for ServedFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>> + Unpin,
{
    type Output = Result<Response<B>, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| match answer {
            Ok(response) if response.status() == StatusCode::OK => Ok(response),
            Ok(response) => Err(Refused(response.status())),
            Err(never) => match never {},
        })
    }
}

/// A measured request was refused.
#[derive(Debug)]
pub struct Refused(pub StatusCode);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request is refused with {}", self.0)
    }
}

impl Error for Refused {}

/// Calls `service` once, all the way to its answer, with the next of `requests`.
///
/// Request, future and answer stay where they are made: to move them would be a cost of whoever measures, and the higher
/// the more a layer adds to them.
///
/// # Panics
///
/// Panics if the service waits, fails or refuses the request.
pub fn call<S, B>(service: &mut S, requests: &mut Requests)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready(), "the service is ready at once");
    let answer = pin!(service.call(requests.take())).poll(&mut cx);
    let Poll::Ready(Ok(response)) = &answer else { panic!("the answer is there at once") };
    assert_eq!(response.status(), StatusCode::OK, "the request is served");
}

/// Returns what `future` is, which waits for nothing.
///
/// # Panics
///
/// Panics if it waits.
pub fn at_once<F: Future>(future: F) -> F::Output {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(output) = pin!(future).poll(&mut cx) else { panic!("the answer is there at once") };
    output
}
