//! The client side: the next service is told the tenant, and never another one.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderName, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tenancy_core::{Error, ErrorKind, Tenant, TenantContext};
use tenancy_tower::PropagateTenantLayer;
use tower::{Layer, Service, ServiceExt};

use crate::world::{from_proxy, layer};

fn context(id: &str) -> TenantContext {
    let tenant = Tenant::builder(id.parse().unwrap(), "some-tenant".parse().unwrap()).build().unwrap();
    TenantContext::assertion(tenant, "test").unwrap()
}

/// Answers with the tenant headers that it got.
fn echo(
    calls: &Arc<AtomicUsize>,
) -> impl Service<Request<()>, Response = Vec<String>, Error = Infallible, Future: Send> + Clone + use<> {
    let calls = Arc::clone(calls);
    tower::service_fn(move |request: Request<()>| {
        calls.fetch_add(1, Ordering::Relaxed);
        let values = request.headers().get_all("x-tenant-id").iter();
        let values = values.map(|value| value.to_str().unwrap().to_owned()).collect();
        async move { Ok::<Vec<String>, Infallible>(values) }
    })
}

#[tokio::test]
async fn the_tenant_in_scope_is_sent() {
    for id in ["7", "6f9619ff-8b86-4011-b42d-00cf4fc964ff", "Tyrell.Corp"] {
        let client = PropagateTenantLayer::new().layer(echo(&Arc::default()));
        let sent = context(id).scope(client.oneshot(Request::new(()))).await.unwrap();
        assert_eq!(sent, [id]);
    }
}

/// CORE-07, CORE-10
#[tokio::test]
async fn a_request_without_a_tenant_is_not_sent() {
    let calls = Arc::default();
    let client = PropagateTenantLayer::new().layer(echo(&calls));
    let error = client.oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Error>().unwrap().kind(), ErrorKind::NoTenantInScope);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_header_that_the_caller_set_is_replaced_also_where_it_stands_twice() {
    let client = PropagateTenantLayer::new().layer(echo(&Arc::default()));
    let request = Request::get("/").header("x-tenant-id", "66").header("x-tenant-id", "67").body(()).unwrap();
    assert_eq!(context("7").scope(client.oneshot(request)).await.unwrap(), ["7"]);
}

#[tokio::test]
async fn the_tenant_that_the_request_carries_goes_before_the_one_in_scope() {
    let client = PropagateTenantLayer::new().layer(echo(&Arc::default()));
    let mut request = Request::new(());
    request.extensions_mut().insert(context("8"));
    assert_eq!(context("7").scope(client.oneshot(request)).await.unwrap(), ["8"]);
}

#[tokio::test]
async fn another_header_can_be_named() {
    let name = HeaderName::from_static("x-organization");
    let read = name.clone();
    let next = tower::service_fn(move |request: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(request.headers().get(&read).cloned()))
    });
    let client = PropagateTenantLayer::new().with_name(name).layer(next);
    let sent = context("7").scope(client.oneshot(Request::new(()))).await.unwrap();
    assert_eq!(sent.unwrap(), "7");
}

/// CORE-17: a retry layer outside sends the clone of a request, on another task maybe, for the same tenant.
#[tokio::test]
async fn a_request_that_is_sent_again_is_sent_for_the_same_tenant() {
    #[derive(Clone)]
    struct Twice(usize);

    impl tower::retry::Policy<Request<()>, Vec<String>, tower::BoxError> for Twice {
        type Future = std::future::Ready<()>;

        fn retry(
            &mut self,
            _: &mut Request<()>,
            result: &mut Result<Vec<String>, tower::BoxError>,
        ) -> Option<Self::Future> {
            assert_eq!(*result.as_ref().unwrap(), ["8"]);
            self.0 += 1;
            (self.0 <= 2).then(|| std::future::ready(()))
        }

        fn clone_request(&mut self, request: &Request<()>) -> Option<Request<()>> {
            Some(request.clone())
        }
    }

    let calls = Arc::default();
    let client =
        tower::retry::RetryLayer::new(Twice(0)).layer(PropagateTenantLayer::new().layer(echo(&calls)));
    let mut request = Request::new(());
    request.extensions_mut().insert(context("8"));
    let task = tokio::spawn(client.oneshot(request));
    assert_eq!(task.await.unwrap().unwrap(), ["8"]);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

/// From the door of one service to the handler of the next.
#[tokio::test]
async fn a_chain_of_two_services_serves_one_tenant() {
    let second = layer("header").layer(tower::service_fn(async |_: Request<()>| {
        let slug = TenantContext::current().unwrap().slug().to_string();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(slug))))
    }));
    let client = PropagateTenantLayer::new().layer(second);
    let first = layer("sub").layer(tower::service_fn(move |_: Request<()>| {
        // The header is believed because it comes from the address of a trusted neighbour.
        let answer = client.clone().oneshot(from_proxy(Request::get("http://b/").body(()).unwrap()));
        async move { Ok::<_, Infallible>(answer.await.unwrap()) }
    }));
    for slug in ["acme", "globex"] {
        let request = Request::get("/").header("host", format!("{slug}.app.example")).body(()).unwrap();
        let body = first.clone().oneshot(request).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), slug);
    }
}
