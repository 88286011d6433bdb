//! Witnesses of M25 to M40: bugs in how the library is used.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tenancy_mutants::{BASE_DOMAIN, TenantSeed};
use tokio::time::sleep;

use crate::witness::{Leak, leak};
use crate::world::World;

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a header value")
}

pub(crate) async fn m25(w: &World) -> Leak {
    let signals = [("authorization", w.bearer(&w.a)), ("x-tenant-id", header(&w.b.id))];
    leak(
        w.bare(BASE_DOMAIN, "/orders", &signals).await.shows(&w.b.canary()),
        "a's token and b's header give b",
    )
}

pub(crate) async fn m26(w: &World) -> Leak {
    let good = w.bearer(&w.a);
    w.bare(BASE_DOMAIN, "/orders", &[("authorization", good.clone())]).await;
    let (mine, theirs) = (good.to_str().expect("text").to_owned(), w.bearer(&w.b));
    let mut parts: Vec<&str> = mine.split('.').collect();
    parts[1] = theirs.to_str().expect("text").split('.').nth(1).expect("claims");
    let tampered = [("authorization", header(&parts.join(".")))];
    leak(
        w.bare(BASE_DOMAIN, "/orders", &tampered).await.shows(&w.b.canary()),
        "a's signature carries b's claims",
    )
}

pub(crate) async fn m27(w: &World) -> Leak {
    let answer = w.bare(&format!("nobody.{BASE_DOMAIN}"), "/storefront", &[]).await;
    leak(answer.status == StatusCode::OK, "an unknown host is somebody")
}

pub(crate) async fn m28(w: &World) -> Leak {
    let signals = [
        ("authorization", w.bearer(&w.a)),
        ("x-tenant-id", header(&w.a.id)),
        ("x-tenant-id", header(&w.b.id)),
    ];
    let answer = w.bare(&World::host(&w.a), "/orders", &signals).await;
    leak(answer.status == StatusCode::OK, "two tenants in one request are served")
}

pub(crate) async fn m29(w: &World) -> Leak {
    let forwarded = [("x-forwarded-host", header(&World::host(&w.b)))];
    let answer = w.bare(&World::host(&w.a), "/storefront", &forwarded).await;
    leak(answer.shows(&w.b.canary()), "anybody forwards the host of b")
}

pub(crate) async fn m30(w: &World) -> Leak {
    let unreadable = HeaderValue::from_bytes(b"\xff\xfe").expect("a header value");
    let signals = [("authorization", w.bearer(&w.a)), ("x-tenant-id", unreadable)];
    let answer = w.bare(&World::host(&w.a), "/orders", &signals).await;
    leak(answer.status == StatusCode::OK, "a header that cannot be read is not there")
}

pub(crate) async fn m31(w: &World) -> Leak {
    let answer = w.bare(BASE_DOMAIN, "/admin/usage", &[]).await;
    leak(answer.shows(&w.b.id), "the administrators' report needs no key")
}

pub(crate) async fn m32(w: &World) -> Leak {
    for _ in 0..4 {
        let mixed = join_all((0..8).map(async |i| {
            let (own, other) = if i % 2 == 0 { (&w.a, &w.b) } else { (&w.b, &w.a) };
            w.get(own, "/orders").await.shows(&other.canary())
        }));
        if mixed.await.into_iter().any(|crossed| crossed) {
            return leak(true, "under load a request reads the other's schema");
        }
    }
    None
}

pub(crate) async fn m33(w: &World) -> Leak {
    w.get(&w.a, "/orders").await;
    let status = w.bare(BASE_DOMAIN, "/status", &[]).await;
    leak(status.shows(&w.a.canary()), "the next borrower is still in a's schema")
}

pub(crate) async fn m34(w: &World) -> Leak {
    // With several threads the same number of polls ends in another place each time.
    for polls in (1..36).cycle().take(4 * 35) {
        let request = w.request(&w.a, Method::GET, "/orders", &Value::Null);
        give_up_after(polls, w.send(request)).await;
        let status = w.bare(BASE_DOMAIN, "/status", &[]).await;
        if status.shows(&w.a.canary()) {
            return leak(true, "a client that went away leaves a's schema behind");
        }
    }
    None
}

/// Polls `future` so many times and drops it, as a server does when the client is gone.
async fn give_up_after<F: Future>(polls: u32, future: F) {
    let (mut future, mut left) = (pin!(future), polls);
    std::future::poll_fn(|context| {
        left = left.saturating_sub(1);
        match future.as_mut().poll(context) {
            Poll::Pending if left > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

pub(crate) async fn m35(w: &World) -> Leak {
    let mut owner = PgConnection::connect(w.app.database().owner_url()).await.expect("the owner connects");
    for tenant in [&w.a, &w.b] {
        let sql = format!("DROP TABLE \"{}\".products CASCADE", w.app.schema_of(tenant));
        owner.execute(AssertSqlSafe(sql)).await.expect("the table is dropped");
    }
    w.post(&w.a, "/products", json!({"sku": "new", "name": "fallen through", "price": 1})).await;
    leak(w.get(&w.b, "/products").await.shows("fallen through"), "both tenants fall through to one table")
}

pub(crate) async fn m36(w: &World) -> Leak {
    leak(w.get(&w.a, "/orders").await.shows(&w.b.canary()), "two tenants share a schema")
}

pub(crate) async fn m37(w: &World) -> Leak {
    leak(w.crossed(&w.get(&w.a, "/totals").await), "row-level security does not apply to the owner")
}

pub(crate) async fn m38(w: &World) -> Leak {
    w.get(&w.b, "/orders").await;
    w.app.suspend(&w.b.id).await.expect("b is suspended");
    sleep(w.app.bound()).await;
    leak(w.get(&w.b, "/orders").await.status == StatusCode::OK, "a suspended tenant is served")
}

pub(crate) async fn m39(w: &World) -> Leak {
    let newcomer = TenantSeed::new("newcomer", "newcomer", 0);
    w.get(&newcomer, "/orders").await;
    w.app.create_tenant(&newcomer).await.expect("a new tenant");
    sleep(w.app.bound()).await;
    leak(w.get(&newcomer, "/orders").await.status != StatusCode::OK, "a new tenant is not served")
}

pub(crate) async fn m40(w: &World) -> Leak {
    let odd = format!("{}.", World::host(&w.b).to_ascii_uppercase());
    w.bare(&odd, "/storefront", &[]).await;
    w.app.suspend(&w.b.id).await.expect("b is suspended");
    sleep(w.app.bound()).await;
    let usual = w.bare(&World::host(&w.b), "/storefront", &[]).await;
    let answer = w.bare(&odd, "/storefront", &[]).await;
    leak(
        usual.status != StatusCode::OK && answer.status == StatusCode::OK,
        "one spelling misses the suspension",
    )
}
