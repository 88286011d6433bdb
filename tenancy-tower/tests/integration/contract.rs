//! tower's contract: readiness, any body, nothing shared between requests.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tenancy_core::{
    DomainStrategy, Lookup, Resolver, Tenant, TenantCatalog, TenantContext, TenantId, TenantKey, UnknownHost,
};
use tenancy_tower::ResolveTenantLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::world::layer;

fn to<B>(host: &str, body: B) -> Request<B> {
    Request::get("/").header("host", host).body(body).unwrap()
}

/// Panics if it is called without having said that it is ready: each clone for itself, as tower has it.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
    polls: usize,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, polls: 0, calls: Arc::clone(&self.calls) }
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.polls += 1;
        if self.polls < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        self.polls = 0;
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn only_the_service_that_said_it_is_ready_is_called() {
    for setup in ["sub", "slow"] {
        let strict = Strict::default();
        let mut service = layer(setup).layer(strict.clone());
        for (host, calls) in [("acme.app.example", 1), ("unknown.app.example", 1), ("globex.app.example", 2)]
        {
            ServiceExt::<Request<()>>::ready(&mut service).await.unwrap().call(to(host, ())).await.unwrap();
            assert_eq!(strict.calls.load(Ordering::Relaxed), calls, "{setup} {host}");
        }
        let health = Request::get("/health").body(()).unwrap();
        ServiceExt::<Request<()>>::ready(&mut service).await.unwrap().call(health).await.unwrap();
        assert_eq!(strict.calls.load(Ordering::Relaxed), 3);
    }
}

#[tokio::test]
async fn backpressure_of_the_inner_service_holds_callers_back() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let inner = tower::service_fn(move |_: Request<()>| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let service = ServiceBuilder::new().layer(layer("slow")).concurrency_limit(2).service(inner);
    let calls = (0..40).map(|n| {
        let host = if n % 3 == 0 { "unknown.app.example" } else { "acme.app.example" };
        service.clone().oneshot(to(host, ()))
    });
    // Refused requests give their place back, or the others would wait for ever.
    let all =
        tokio::time::timeout(Duration::from_secs(10), futures_util::future::join_all(calls)).await.unwrap();
    assert_eq!(all.iter().filter(|answer| answer.as_ref().unwrap().status() == 200).count(), 26);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

/// A body of data that is not `Bytes`, not `Unpin`, not `Sync`, whose error is a text.
struct Odd(Option<Vec<u8>>, PhantomPinned, PhantomData<Cell<u8>>);

impl Body for Odd {
    type Data = std::collections::VecDeque<u8>;
    type Error = String;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(Some(Err("no more".into())))
    }
}

struct Answer(PhantomPinned, PhantomData<Cell<u8>>);

impl Body for Answer {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        assert_eq!(TenantContext::current().unwrap().slug().as_str(), "acme");
        Poll::Ready(Some(Err("no more".into())))
    }
}

#[tokio::test]
async fn requests_and_answers_of_any_body_pass() {
    for setup in ["sub", "slow"] {
        let service = layer(setup).layer(tower::service_fn(async |request: Request<Odd>| {
            assert_eq!(request.into_body().0, Some(vec![1]));
            let body = Answer(PhantomPinned, PhantomData);
            Ok::<_, Infallible>(Response::new(body))
        }));
        let odd = Odd(Some(vec![1]), PhantomPinned, PhantomData);
        let answer = service.oneshot(to("acme.app.example", odd)).await.unwrap();
        let error = Box::pin(answer.into_body()).collect().await.err().unwrap();
        assert_eq!(error.to_string(), "no more");
    }
}

/// TWR-53: what one request left in the service cannot reach the next.
#[tokio::test]
async fn clones_of_one_service_serve_different_tenants_at_once() {
    let service = layer("slow").layer(tower::service_fn(async |_: Request<()>| {
        let before = TenantContext::current().unwrap();
        tokio::task::yield_now().await;
        assert_eq!(TenantContext::current().unwrap(), before);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(before.slug().to_string()))))
    }));
    let calls = (0..100).map(|n| {
        let slug = if n % 2 == 0 { "acme" } else { "globex" };
        let call = service.clone().oneshot(to(&format!("{slug}.app.example"), ()));
        async move { (slug, call.await.unwrap().into_body().collect().await.unwrap().to_bytes()) }
    });
    for (slug, body) in futures_util::future::join_all(calls).await {
        assert_eq!(body, slug);
    }
}

/// Answers every question with one tenant, whatever was asked.
#[derive(Debug)]
struct Always(Arc<Tenant>, bool);

impl TenantCatalog for Always {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        let (tenant, later) = (Arc::clone(&self.0), self.1);
        match key {
            TenantKey::Domain(_) => Lookup::Absent,
            _ if later => Lookup::later(ready(Ok(Some(tenant)))),
            _ => Lookup::Found(tenant),
        }
    }
}

/// A catalog that answers with somebody else than it was asked for is not believed.
#[tokio::test]
async fn an_unknown_host_is_served_as_the_configured_tenant_and_no_other() {
    let wanted = TenantId::integer(1).unwrap();
    for (id, later, status) in [(1, false, 200), (1, true, 200), (2, false, 404), (2, true, 404)] {
        let id = TenantId::integer(id).unwrap();
        let tenant = Tenant::builder(id, "somebody".parse().unwrap()).build().unwrap();
        let resolver = Resolver::builder(Arc::new(Always(tenant, later)))
            .with_strategy(DomainStrategy::new())
            .with_unknown_host(UnknownHost::Tenant(wanted.clone()))
            .build()
            .unwrap();
        let service = ResolveTenantLayer::new(resolver).layer(tower::service_fn(async |_: Request<()>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
        assert_eq!(service.oneshot(to("unknown.example", ())).await.unwrap().status(), status);
    }
}

/// An inner layer that resolves again puts its own tenant in both places, or in neither.
#[tokio::test]
async fn the_extension_never_contradicts_the_scope() {
    let inner = tower::service_fn(async |request: Request<()>| {
        let extension = request.extensions().get::<TenantContext>().map(|tenant| tenant.slug().to_string());
        assert_eq!(TenantContext::current().unwrap().slug().as_str(), "globex");
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(extension.unwrap_or_default()))))
    });
    for (extension, expected) in [(true, "globex"), (false, "")] {
        let service = ServiceBuilder::new()
            .layer(layer("path"))
            .layer(layer("sub").with_extension(extension))
            .service(inner);
        let request = Request::get("/t/acme").header("host", "globex.app.example").body(()).unwrap();
        let body = service.oneshot(request).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected);
    }
}
