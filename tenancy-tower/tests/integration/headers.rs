//! What the layer adds to answers, to keep them out of caches that are shared (TWR-56).

use axum::http::{HeaderMap, Method, Request, Response, Uri};
use bytes::Bytes;
use http_body_util::Full;
use std::convert::Infallible;
use tenancy_core::{ErrorKind, RejectionReason, Resolver, SubdomainStrategy, UnknownHost};
use tenancy_tower::{OriginalUri, ResolveTenantLayer};
use tower::{Layer, ServiceExt};

use crate::world::{catalog, domain, from_proxy, layer, oneshot};

fn to(host: &str) -> Request<()> {
    Request::get("/").header("host", host).body(()).unwrap()
}

async fn headers_with(
    layer: ResolveTenantLayer<Resolver>,
    answer: Response<Full<Bytes>>,
    request: Request<()>,
) -> HeaderMap {
    let service = layer.layer(tower::service_fn(|_: Request<()>| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer) }
    }));
    service.oneshot(request).await.unwrap().headers().clone()
}

#[tokio::test]
async fn a_tenants_answer_is_private_unless_its_handler_says_otherwise() {
    let plain = Response::new(Full::default());
    let headers = headers_with(layer("sub"), plain.clone(), to("acme.app.example")).await;
    assert_eq!(headers["cache-control"], "private");
    let later = headers_with(layer("slow"), plain.clone(), to("acme.app.example")).await;
    assert_eq!(later["cache-control"], "private", "also where the catalog had to wait");

    let public = Response::builder().header("cache-control", "public, max-age=60").body(Full::default());
    let headers = headers_with(layer("sub"), public.unwrap(), to("acme.app.example")).await;
    assert_eq!(headers["cache-control"], "public, max-age=60");

    let off = layer("sub").with_cache_headers(false);
    assert!(headers_with(off, plain, to("acme.app.example")).await.is_empty());
}

#[tokio::test]
async fn an_answer_varies_by_every_header_that_can_name_its_tenant() {
    let vary = async |setup: &str, request: Request<()>| {
        let headers = headers_with(layer(setup), Response::new(Full::default()), request).await;
        headers.get_all("vary").iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(vary("sub", to("acme.app.example")).await, Vec::<String>::new());
    assert_eq!(vary("mixed", to("acme.app.example")).await, ["cookie, x-tenant-id"]);
    let mut forwarded = from_proxy(to("b"));
    forwarded.headers_mut().insert("x-forwarded-host", "acme.app.example".parse().unwrap());
    assert_eq!(vary("xfh", forwarded).await, ["x-forwarded-host"]);

    let own = Response::builder().header("vary", "accept").body(Full::default()).unwrap();
    let headers = headers_with(layer("mixed"), own, to("acme.app.example")).await;
    assert_eq!(headers.get_all("vary").iter().collect::<Vec<_>>(), ["accept", "cookie, x-tenant-id"]);
}

#[tokio::test]
async fn a_public_answer_is_left_as_it_is_and_a_refusal_is_never_stored() {
    let health = Request::get("/health").header("host", "acme.app.example").body(()).unwrap();
    let answer = oneshot("sub", health).await;
    assert_eq!(answer.body(), "public");
    assert!(answer.headers().is_empty());
    for host in ["unknown.app.example", "www.app.example"] {
        assert_eq!(oneshot("sub", to(host)).await.headers()["cache-control"], "no-store");
    }
    let moved = oneshot("dom", to("old.acme.example")).await;
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["cache-control"]),
        (308, &"no-store".parse().unwrap())
    );
}

/// RFC 6750, section 3: a client without a valid token learns which kind is wanted, and nothing of why.
#[tokio::test]
async fn a_refused_token_is_answered_with_a_challenge_and_other_refusals_are_not() {
    let bad = Request::get("/").header("host", "acme.app.example").header("authorization", "Bearer x.y.z");
    let answer = oneshot("token", bad.body(()).unwrap()).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["www-authenticate"]),
        (401, &"Bearer error=\"invalid_token\"".parse().unwrap())
    );
    let unknown = oneshot("token", to("unknown.app.example")).await;
    assert_eq!((unknown.status().as_u16(), unknown.headers().get("www-authenticate")), (404, None));
}

/// Outer layers read the reason that the client is not told.
#[tokio::test]
async fn the_reason_of_a_refusal_is_in_its_extensions() {
    let member_of = |host: &str, id: &str| {
        Request::get("/").header("host", host).header("x-member-of", id).body(()).unwrap()
    };
    let rows = [
        (oneshot("sub", to("www.app.example")).await, "signal_malformed"),
        (oneshot("member", member_of("unknown.app.example", "1")).await, "unknown_tenant"),
        (oneshot("member", member_of("acme.app.example", "2")).await, "not_a_member"),
        (oneshot("member", member_of("initech.app.example", "3")).await, "inactive"),
        // Not even its members are told of a tenant that has left.
        (oneshot("member", member_of("hooli.app.example", "5")).await, "unknown_tenant"),
    ];
    for (answer, expected) in rows {
        let reason: &RejectionReason = answer.extensions().get().unwrap();
        assert_eq!(reason.as_str(), expected);
    }
    assert!(oneshot("sub", to("acme.app.example")).await.extensions().get::<RejectionReason>().is_none());
}

#[tokio::test]
async fn a_stripped_path_leaves_the_query_the_host_and_the_original_target() {
    let service = layer("strip").layer(tower::service_fn(async |request: Request<()>| {
        let OriginalUri(original) = request.extensions().get().unwrap();
        let seen = format!("{} {original}", request.uri());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(seen))))
    }));
    let rows = [
        ("/t/acme/x?y=/t/globex", "/x?y=/t/globex /t/acme/x?y=/t/globex"),
        ("/t/acme?y", "/?y /t/acme?y"),
        ("http://b.example/t/acme", "http://b.example/ http://b.example/t/acme"),
        ("http://b.example/t/acme/x%20?z", "http://b.example/x%20?z http://b.example/t/acme/x%20?z"),
    ];
    for (sent, seen) in rows {
        use http_body_util::BodyExt;
        let request = Request::get(sent).body(()).unwrap();
        let body = service.clone().oneshot(request).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), seen, "{sent}");
    }
}

/// What stands nearest to the wire is the original: one that an outer layer left is not replaced.
#[tokio::test]
async fn a_target_that_was_stripped_before_keeps_the_first_original() {
    let layer = layer("strip").with_target(|_| None);
    let service = layer.layer(tower::service_fn(async |request: Request<()>| {
        let OriginalUri(original) = request.extensions().get().unwrap();
        assert_eq!((original.path(), request.uri().path()), ("/outer/t/acme/x", "/x"));
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let mut request = Request::get("/t/acme/x").body(()).unwrap();
    request.extensions_mut().insert(OriginalUri(Uri::from_static("/outer/t/acme/x")));
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}

/// TWR-36: below a router that strips a prefix, the target as it arrived is what counts.
#[tokio::test]
async fn inside_of_a_nested_router_the_original_target_is_resolved() {
    use axum::Router;
    use axum::extract::OriginalUri;
    let get = async |app: Router, path: &str| {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        app.oneshot(request).await.unwrap().status().as_u16()
    };
    let handler = axum::routing::any(async || "ok");
    let blind = Router::new().fallback_service(handler.clone()).layer(layer("path"));
    let seeing = Router::new().fallback_service(handler).layer(
        layer("path").with_target(|extensions| extensions.get::<OriginalUri>().map(|original| &original.0)),
    );
    assert_eq!(get(Router::new().nest("/t", blind.clone()), "/t/acme/x").await, 400);
    assert_eq!(get(Router::new().nest("/t", seeing.clone()), "/t/acme/x").await, 200);
    assert_eq!(get(Router::new().nest("/t", seeing.clone()), "/t/unknown/x").await, 404);
    // Without it the part behind the prefix would be taken for the whole.
    assert_eq!(get(Router::new().nest("/x", blind), "/x/t/acme").await, 200);
    assert_eq!(get(Router::new().nest("/x", seeing), "/x/t/acme").await, 400);
}

#[test]
fn an_unknown_host_goes_nowhere_that_cannot_work() {
    let refused = |unknown_host, first_match| {
        let mut builder = Resolver::builder(catalog())
            .with_strategy(SubdomainStrategy::new([domain("app.example")]))
            .with_unknown_host(unknown_host);
        if first_match {
            builder = builder.with_agreement(tenancy_core::Agreement::FirstMatch);
        }
        builder.build().err().map(|error| error.kind())
    };
    let configuration = Some(ErrorKind::InvalidConfiguration);
    for uri in ["/welcome", "www.example:80", "ftp://www.example/"] {
        assert_eq!(
            refused(UnknownHost::Redirect(uri.parse::<Uri>().unwrap()), false),
            configuration,
            "{uri}"
        );
    }
    assert_eq!(refused(UnknownHost::Redirect(Uri::from_static("https://www.example/")), true), None);
    assert_eq!(refused(UnknownHost::Tenant("1".parse().unwrap()), true), configuration);
    assert_eq!(refused(UnknownHost::Tenant("1".parse().unwrap()), false), None);
}

/// TWR-51: what is public is a method and a path, never a prefix, and one declaration opens nothing else.
#[tokio::test]
async fn every_public_route_is_declared_by_itself() {
    let status = async |method: Method, path: &str| {
        let layer = layer("sub").with_public_route(Method::POST, "/hooks/stripe");
        let service = layer.layer(tower::service_fn(async |_: Request<()>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        service.oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!(status(Method::POST, "/hooks/stripe").await, 200);
    assert_eq!(status(Method::GET, "/health").await, 200);
    assert_eq!(status(Method::POST, "/health").await, 400);
    assert_eq!(status(Method::GET, "/hooks/stripe").await, 400);
    assert_eq!(status(Method::POST, "/hooks").await, 400);
    assert_eq!(status(Method::POST, "/hooks/stripe/x").await, 400);
    assert_eq!(status(Method::HEAD, "/health").await, 400);
}
