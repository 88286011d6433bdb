//! How long a tenant lasts: one request and its answer, on every connection, after every panic, in every task
//! (TWR-49 to TWR-51, TWR-54, TWR-60).

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tenancy_core::{
    ErrorKind, MemoryCatalog, Resolver, SubdomainStrategy, TenantContext, TenantId, TenantStatus,
};
use tenancy_tower::resolve::{ResponseBody, TenantGone};
use tenancy_tower::{CurrentTenant, ResolveTenantLayer};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt};

use crate::client::{self, connect, exchange, send};
use crate::world::{DIRECT, PROXY, catalog, domain, layer, resolver_over, serve};

fn host(slug: &str) -> Vec<u8> {
    format!("GET /x HTTP/1.1\r\nHost: {slug}.app.example\r\n\r\n").into_bytes()
}

fn to(slug: &str) -> Request<()> {
    Request::get("/x").header("host", format!("{slug}.app.example")).body(()).unwrap()
}

fn here() -> String {
    TenantContext::current().map_or_else(|_| "nobody".into(), |tenant| tenant.slug().to_string())
}

/// A layer over a catalog that the test keeps, to change it.
fn over(catalog: &Arc<MemoryCatalog>) -> ResolveTenantLayer<Resolver> {
    ResolveTenantLayer::new(resolver_over(catalog))
}

fn set(catalog: &MemoryCatalog, id: i64, status: TenantStatus) {
    catalog.set_status(&TenantId::integer(id).unwrap(), status).unwrap();
}

/// TWR-49: each request on a connection is resolved by itself.
#[tokio::test]
async fn a_connection_that_is_used_again_remembers_no_tenant() {
    let address = serve(Router::new().fallback(any(async || here())).layer(layer("sub"))).await;
    let mut stream = connect(DIRECT, address).await;
    for _ in 0..3 {
        let rows: [(&[u8], u16, &str); 6] = [
            (&host("acme"), 200, "acme"),
            (b"GET /x HTTP/1.1\r\nHost: b.example\r\n\r\n", 400, ""),
            (&host("globex"), 200, "globex"),
            (b"GET /x HTTP/1.1\r\n\r\n", 400, ""),
            (&host("initech"), 404, ""),
            (b"GET /health HTTP/1.1\r\nHost: acme.app.example\r\n\r\n", 200, "nobody"),
        ];
        for (request, status, body) in rows {
            let answer = exchange(&mut stream, request).await.unwrap();
            assert_eq!(answer.status, status);
            assert!(status != 200 || answer.text() == body, "{}", answer.text());
        }
    }
}

/// TWR-49, pipelined: several requests in one packet.
#[tokio::test]
async fn requests_in_one_packet_are_resolved_one_by_one() {
    let address = serve(Router::new().fallback(any(async || here())).layer(layer("sub"))).await;
    let mut stream = connect(DIRECT, address).await;
    let all = [host("acme"), b"GET / HTTP/1.1\r\n\r\n".to_vec(), host("globex"), host("acme")].concat();
    let first = exchange(&mut stream, &all).await.unwrap();
    let mut rest = Vec::new();
    for _ in 0..3 {
        rest.push(client::read_answer(&mut stream, false).await.unwrap());
    }
    assert_eq!(first.text(), "acme");
    assert_eq!(rest.iter().map(|answer| answer.status).collect::<Vec<_>>(), [400, 200, 200]);
    assert_eq!((rest[1].text(), rest[2].text()), ("globex".into(), "acme".into()));
}

async fn failing() -> Result<Bytes, Infallible> {
    panic!("on purpose, for {}", here())
}

/// TWR-50: on one thread, so that what a panic left behind would be found.
#[tokio::test(flavor = "current_thread")]
async fn a_panic_in_a_handler_or_a_body_leaves_nobody_behind() {
    let app = Router::new()
        .route("/panic", any(async || -> String { panic!("on purpose, for {}", here()) }))
        .route("/body", any(async || Body::from_stream(stream::once(failing()))))
        .route(
            "/later",
            any(async || {
                tokio::task::yield_now().await;
                failing().await.unwrap()
            }),
        )
        .fallback(any(async || here()))
        .layer(layer("sub").with_public_route(Method::GET, "/open"));
    let address = serve(app).await;
    for path in ["/panic", "/body", "/later"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: acme.app.example\r\n\r\n");
        let answer = send(DIRECT, address, request.as_bytes()).await;
        assert!(answer.is_none_or(|answer| answer.body.is_empty()));
        assert_eq!(here(), "nobody");
        let open = send(DIRECT, address, b"GET /open HTTP/1.1\r\nHost: acme.app.example\r\n\r\n").await;
        assert_eq!(open.unwrap().text(), "nobody");
        assert_eq!(send(DIRECT, address, &host("globex")).await.unwrap().text(), "globex");
    }
}

/// TWR-51: what lies outside of the layer has no tenant, and code that asks for one there fails.
#[tokio::test]
async fn outside_of_the_layer_there_is_no_tenant() {
    async fn mine(CurrentTenant(tenant): CurrentTenant) -> String {
        tenant.slug().to_string()
    }
    let inside = Router::new().route("/inside", get(mine)).layer(layer("sub"));
    let app = Router::new()
        .route("/outside", get(mine))
        .route("/scope", get(async || here()))
        .merge(inside)
        .fallback(mine);
    let address = serve(app).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: acme.app.example\r\n\r\n").into_bytes();
    assert_eq!(send(DIRECT, address, &request("/inside")).await.unwrap().text(), "acme");
    for path in ["/outside", "/none"] {
        let answer = send(DIRECT, address, &request(path)).await.unwrap();
        assert_eq!((answer.status, answer.text()), (500, "this route has no tenant".into()));
    }
    assert_eq!(send(DIRECT, address, &request("/scope")).await.unwrap().text(), "nobody");
}

/// An answer's body is produced in the scope, frame by frame, and so is what happens when it is dropped half-way.
#[tokio::test]
async fn a_stream_runs_and_ends_in_the_scope() {
    struct Noting(Arc<Mutex<Vec<String>>>);
    impl Drop for Noting {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(here());
        }
    }
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&dropped);
    let service = layer("sub").layer(tower::service_fn(move |_: Request<()>| {
        let noting = Noting(Arc::clone(&notes));
        async move {
            let frames = stream::iter(0..3).then(move |_| {
                let _ = &noting;
                async {
                    tokio::task::yield_now().await;
                    Ok::<_, Infallible>(Bytes::from(here()))
                }
            });
            Ok::<_, Infallible>(Response::new(Body::from_stream(frames)))
        }
    }));
    let whole = service.clone().oneshot(to("acme")).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(whole.to_bytes(), "acmeacmeacme");
    let mut part = service.oneshot(to("globex")).await.unwrap().into_body();
    assert_eq!(part.frame().await.unwrap().unwrap().into_data().unwrap(), "globex");
    assert_eq!(here(), "nobody");
    drop(part);
    assert_eq!(*dropped.lock().unwrap(), ["acme", "globex"]);
}

/// What a service does before it returns its future is done in the scope too, whether the catalog had to wait or not.
/// On a public route it is done for nobody.
#[tokio::test]
async fn the_synchronous_part_of_a_call_runs_in_the_scope() {
    for setup in ["sub", "slow"] {
        let service = layer(setup).layer(tower::service_fn(|_: Request<()>| {
            let answer = Response::new(Full::new(Bytes::from(here())));
            std::future::ready(Ok::<_, Infallible>(answer))
        }));
        let health = Request::get("/health").header("host", "acme.app.example").body(()).unwrap();
        for (request, expected) in [(to("acme"), "acme"), (to("globex"), "globex"), (health, "nobody")] {
            let answer = service.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), expected, "{setup}");
            assert_eq!(here(), "nobody");
        }
    }
}

/// A request that is given up is dropped in the scope of its tenant, wherever it was.
#[tokio::test]
async fn a_call_that_is_cancelled_cleans_up_in_its_scope() {
    struct Noting(Arc<Mutex<Vec<String>>>);
    impl Drop for Noting {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(here());
        }
    }
    for setup in ["sub", "slow"] {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&notes);
        let service = layer(setup).layer(tower::service_fn(move |_: Request<()>| {
            let noting = Noting(Arc::clone(&shared));
            async move {
                let _noting = noting;
                std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>().await
            }
        }));
        let mut call = Box::pin(service.oneshot(to("acme")));
        for _ in 0..5 {
            assert!(futures_util::poll!(call.as_mut()).is_pending());
        }
        drop(call);
        assert_eq!(*notes.lock().unwrap(), ["acme"], "{setup}");
        assert_eq!(here(), "nobody");
    }
}

/// A future that is done is dropped in the scope too: what it still holds may log or undo something.
#[tokio::test]
async fn a_call_that_is_done_cleans_up_in_its_scope() {
    struct Done(Arc<Mutex<Vec<String>>>);
    impl Future for Done {
        type Output = Result<Response<Full<Bytes>>, Infallible>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(Response::new(Full::default())))
        }
    }
    impl Drop for Done {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(here());
        }
    }
    for setup in ["sub", "slow"] {
        let notes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&notes);
        let service = layer(setup).layer(tower::service_fn(move |_: Request<()>| Done(Arc::clone(&shared))));
        service.oneshot(to("acme")).await.unwrap();
        assert_eq!(*notes.lock().unwrap(), ["acme"], "{setup}");
    }
}

/// A gRPC answer ends once: after the status comes nothing, and what the handler left is dropped with the status.
#[tokio::test]
async fn nothing_follows_the_status_that_ends_a_grpc_answer() {
    let catalog = catalog();
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let service = over(&catalog).layer(tower::service_fn(move |_: Request<()>| {
        let holds = Arc::clone(&holds);
        let frames = stream::iter(0..10).map(move |_| {
            let _ = &holds;
            Ok::<_, Infallible>(Bytes::from_static(b"message"))
        });
        let answer = Response::builder().header("content-type", "application/grpc");
        std::future::ready(Ok::<_, Infallible>(answer.body(Body::from_stream(frames)).unwrap()))
    }));
    let mut body = service.clone().oneshot(to("acme")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "message");
    let while_open = Arc::strong_count(&held);
    set(&catalog, 1, TenantStatus::Suspended);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "5");
    assert_eq!(Arc::strong_count(&held), while_open - 1);
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream());
}

/// TWR-54: over a socket, a stream that ticks and one that idles both end when their tenant is suspended, and the one of
/// another tenant does not.
#[tokio::test]
async fn a_stream_ends_when_its_tenant_is_suspended() {
    let catalog = catalog();
    let ticks = || async {
        let ticks = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Ok::<_, Infallible>(Bytes::from(format!("{}\n", here()))), ()))
        });
        Body::from_stream(ticks)
    };
    let idle = || async {
        let hello = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"hello\n")) });
        Body::from_stream(hello.chain(stream::pending()))
    };
    let app = Router::new().route("/ticks", get(ticks)).route("/idle", get(idle)).layer(over(&catalog));
    let address = serve(app).await;
    // Open once its first frame is there, however long that takes.
    let open = async |slug: &str, path: &str, first: &str| {
        let mut stream = connect(DIRECT, address).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {slug}.app.example\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut seen = String::new();
        while !seen.contains(first) {
            seen.push(char::from(tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap()));
        }
        stream
    };
    let streams = [open("acme", "/ticks", "acme\n").await, open("acme", "/idle", "hello\n").await];
    let mut other = open("globex", "/ticks", "globex\n").await;
    set(&catalog, 1, TenantStatus::Suspended);
    let suspended = Instant::now();
    for mut stream in streams {
        let mut all = Vec::new();
        let end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all);
        // The server ends the connection without the last chunk: the client sees that something is missing.
        let _ = tokio::time::timeout(Duration::from_secs(5), end).await.expect("the stream ends");
        let text = String::from_utf8(all).unwrap();
        assert!(!text.ends_with("0\r\n\r\n"), "{text}");
    }
    assert!(suspended.elapsed() < Duration::from_secs(2), "{:?}", suspended.elapsed());
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..5 {
        let read = tokio::io::AsyncReadExt::read(&mut other, &mut buffer);
        assert!(tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap() > 0);
    }
}

/// What is produced after the suspension is not handed out, not even what lay ready.
#[tokio::test]
async fn no_frame_is_handed_out_after_the_suspension() {
    let catalog = catalog();
    let service = over(&catalog).layer(tower::service_fn(async |_: Request<()>| {
        let frames = stream::iter((0..10).map(|n| Ok::<_, Infallible>(Bytes::from(format!("{n}")))));
        Ok::<_, Infallible>(Response::new(Body::from_stream(frames)))
    }));
    let mut body: ResponseBody<Body> = service.clone().oneshot(to("acme")).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "0");
    set(&catalog, 1, TenantStatus::Suspended);
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(error.is::<TenantGone>());
    set(&catalog, 1, TenantStatus::Active);
    let whole = service.oneshot(to("acme")).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(whole.to_bytes(), "0123456789");
}

/// A WebSocket is the handler's own: it watches the tenant beside its messages.
#[tokio::test]
async fn a_handler_that_lives_long_can_wait_for_the_end_of_its_tenant() {
    let catalog = catalog();
    let ended = Arc::new(Notify::new());
    let told = Arc::clone(&ended);
    let app = Router::new()
        .fallback(any(async move |CurrentTenant(tenant): CurrentTenant| {
            tenancy_tower::spawn(async move {
                tokio::select! {
                    () = TenantContext::current().unwrap().ended() => told.notify_one(),
                    () = std::future::pending() => {}
                }
            })
            .unwrap();
            tenant.slug().to_string()
        }))
        .layer(over(&catalog));
    let address = serve(app).await;
    assert_eq!(send(PROXY, address, &host("acme")).await.unwrap().text(), "acme");
    set(&catalog, 1, TenantStatus::Suspended);
    tokio::time::timeout(Duration::from_secs(5), ended.notified()).await.unwrap();
}

/// CORE-11, CORE-12: the helpers carry the tenant, and refuse to start anything without one.
#[tokio::test]
async fn what_the_helpers_spawn_has_the_tenant_or_is_not_started() {
    let service = layer("sub").layer(tower::service_fn(async |_: Request<()>| {
        let task = tenancy_tower::spawn(async { here() }).unwrap().await.unwrap();
        let blocking = tenancy_tower::spawn_blocking(here).unwrap().await.unwrap();
        let plain = tokio::spawn(async { here() }).await.unwrap();
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(format!("{task} {blocking} {plain}")))))
    }));
    let body = service.oneshot(to("acme")).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "acme acme nobody");
    let refused =
        tenancy_tower::spawn(async { unreachable!("not started") }).map(|_: tokio::task::JoinHandle<()>| ());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoTenantInScope);
    let refused = tenancy_tower::spawn_blocking(|| unreachable!("not started"))
        .map(|_: tokio::task::JoinHandle<()>| ());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NoTenantInScope);
}

/// TWR-60: 200 streams of two tenants on one HTTP/2 connection, whose handlers and bodies yield all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaved_http2_streams_never_mix_tenants() {
    let handler = async |CurrentTenant(tenant): CurrentTenant| {
        let mut seed = std::ptr::from_ref(&tenant) as usize;
        for _ in 0..20 {
            assert_eq!(TenantContext::current().unwrap(), tenant);
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if seed >> 60 & 1 == 1 {
                tokio::task::yield_now().await;
            }
        }
        let frames = stream::iter(0..50).then(|n| async move {
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(Bytes::from(format!("canary-{};", here())))
        });
        Body::from_stream(frames)
    };
    let address = serve(Router::new().fallback(any(handler)).layer(layer("sub"))).await;
    let stream = hyper_util::rt::TokioIo::new(connect(DIRECT, address).await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (client, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let calls = (0..200).map(|n| {
        let mut client = client.clone();
        let slug = if n % 2 == 0 { "acme" } else { "globex" };
        async move {
            let uri = format!("http://{slug}.app.example/x");
            let request = Request::get(uri).body(http_body_util::Empty::<Bytes>::new()).unwrap();
            let answer = client.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("canary-{slug};").repeat(50));
        }
    });
    futures_util::future::join_all(calls).await;
}

/// A membership check that takes its time looks again: the tenant may have been suspended meanwhile.
#[tokio::test]
async fn a_suspension_during_a_slow_membership_check_is_seen() {
    use tenancy_core::{Membership, MembershipAnswer, RequestHead, Tenant};
    #[derive(Debug)]
    struct Slow(Arc<Notify>);
    impl Membership for Slow {
        fn check(&self, _: &Tenant, _: &RequestHead<'_>) -> MembershipAnswer {
            let go = Arc::clone(&self.0);
            MembershipAnswer::Later(Box::pin(async move {
                go.notified().await;
                Ok(true)
            }))
        }
    }
    for suspended in [false, true] {
        let (catalog, go) = (catalog(), Arc::new(Notify::new()));
        let resolver = Resolver::builder(catalog.clone())
            .with_strategy(SubdomainStrategy::new([domain("app.example")]))
            .with_membership(Slow(Arc::clone(&go)));
        let service = ResolveTenantLayer::new(resolver.build().unwrap()).layer(tower::service_fn(
            async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(here())))),
        ));
        let mut call = Box::pin(service.oneshot(to("acme")));
        assert!(futures_util::poll!(call.as_mut()).is_pending());
        if suspended {
            set(&catalog, 1, TenantStatus::Suspended);
        }
        go.notify_one();
        assert_eq!(call.await.unwrap().status().as_u16(), if suspended { 404 } else { 200 });
    }
}
