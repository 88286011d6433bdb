//! The correct service does its work, in both builds.

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tenancy_mutants::{Isolation, Options, Variant, openapi};

use tower::ServiceExt;

use crate::world::World;

/// Every route answers its own tenant, and none shows the other's canary.
async fn answers(isolation: Isolation) {
    let w = World::start(Options::new(Variant::Correct).with_isolation(isolation)).await;
    for path in [
        "/customers",
        "/customers/1",
        "/customers/with-orders",
        "/orders",
        "/orders/1",
        "/orders/search?note=order",
        "/orders/by-tag/gift",
        "/orders/export",
        "/products",
        "/products/p1",
        "/storefront",
        "/report",
        "/stats",
        "/totals",
        "/summary",
        "/me",
        "/countries",
        "/events",
        "/jobs",
    ] {
        let answer = w.get(&w.a, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}\n{}", answer.body, w.app.logs());
        assert!(!answer.shows(&w.b.canary()), "{path}: {}", answer.body);
        let bland = ["/stats", "/countries", "/jobs", "/report"].contains(&path);
        assert!(bland || answer.shows(&w.a.canary()), "{path}: {}", answer.body);
    }
    let posts = [
        ("/customers", json!({"name": "n", "email": "n@n.example"}), StatusCode::CREATED),
        ("/orders", json!({"customer_id": 1, "note": "n", "product_ids": [1, 2]}), StatusCode::CREATED),
        ("/orders", json!({"customer_id": 99, "note": "n"}), StatusCode::CONFLICT),
        ("/products", json!({"sku": "p1", "name": "n", "price": 1}), StatusCode::CONFLICT),
        ("/products", json!({"sku": "p9", "name": "n", "price": 1}), StatusCode::CREATED),
        ("/orders/status", json!({"ids": [1, 2, 77], "status": "sent"}), StatusCode::OK),
        ("/orders/delete", json!({"ids": [1]}), StatusCode::OK),
        ("/orders/2/audit", Value::Null, StatusCode::ACCEPTED),
        ("/jobs", json!({"kind": "k", "payload": "p"}), StatusCode::ACCEPTED),
        ("/products/flush", Value::Null, StatusCode::NO_CONTENT),
    ];
    for (path, body, expected) in posts {
        let answer = w.post(&w.a, path, body).await;
        assert_eq!(answer.status, expected, "{path}: {}\n{}", answer.body, w.app.logs());
    }
    assert_eq!(w.app.run_jobs().await.expect("the worker runs"), 1);
    w.app.settle().await;
    let events = w.get(&w.a, "/events").await;
    assert!(events.shows("job k: p") && events.shows("audited 2"), "{}", events.body);
    let total = w.get(&w.a, "/orders").await.json()["total"].clone();
    assert_eq!(total, json!(5), "one was added and one deleted");
}

#[tokio::test]
async fn every_route_answers_its_tenant_in_shared_tables() {
    answers(Isolation::Row).await;
}

#[tokio::test]
async fn every_route_answers_its_tenant_in_a_schema() {
    answers(Isolation::Schema).await;
}

#[tokio::test]
async fn a_request_without_a_token_or_key_is_refused() {
    let w = World::start(Options::new(Variant::Correct)).await;
    let host = World::host(&w.a);
    assert_eq!(w.bare(&host, "/orders", &[]).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        w.bare(tenancy_mutants::BASE_DOMAIN, "/admin/usage", &[]).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(w.bare(&host, "/storefront", &[]).await.status, StatusCode::OK);
}

/// Sends `orders.Orders/Show` with field 1 of its message, and returns the code and the bytes of the answer.
async fn show_by_grpc(w: &World, id: u8) -> (String, Vec<u8>) {
    let request = Request::builder().method(Method::POST).uri("/orders.Orders/Show");
    let request =
        w.credential(&w.a).apply(request).header("content-type", "application/grpc").header("te", "trailers");
    // Not compressed, two bytes long: the tag of the field, and its value.
    let request = request.body(Body::from(vec![0, 0, 0, 0, 2, 8, id])).expect("a request");
    let response = w.router.clone().oneshot(request).await.expect("an answer");
    let code = |headers: &HeaderMap| {
        headers.get("grpc-status").map(|code| code.to_str().expect("a code").to_owned())
    };
    let early = code(response.headers());
    let body = response.into_body().collect().await.expect("a body");
    let late = body.trailers().and_then(code);
    (early.or(late).unwrap_or_default(), body.to_bytes().to_vec())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn an_order_by_grpc_is_ones_own_and_m03_leaks_there_too() {
    let correct = World::start(Options::new(Variant::Correct)).await;
    let (code, own) = show_by_grpc(&correct, 1).await;
    assert!(code == "0" && holds(&own, &correct.a.canary()), "{code} {}", correct.app.logs());
    let (code, foreign) = show_by_grpc(&correct, 7).await;
    assert!(code == "5" && !holds(&foreign, &correct.b.canary()), "{code}");
    let leaky = World::start(Options::new(Variant::M03)).await;
    let (code, foreign) = show_by_grpc(&leaky, 7).await;
    assert!(code == "0" && holds(&foreign, &leaky.b.canary()), "{code}");
}

#[test]
fn the_description_names_every_route() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let operations: usize = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .map(|path| path.as_object().map_or(0, serde_json::Map::len))
        .sum();
    assert_eq!(operations, 31);
}
