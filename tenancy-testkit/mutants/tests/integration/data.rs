//! Witnesses of M01 to M24: bugs in the service's own code.

use http::Method;
use serde_json::{Value, json};
use tokio::join;

use crate::witness::{Leak, leak};
use crate::world::World;

/// An order that only `b` has.
const OF_B: i64 = 7;

fn ids(list: &Value, field: &str) -> Vec<i64> {
    let mut ids: Vec<i64> =
        list.as_array().into_iter().flatten().filter_map(|row| row[field].as_i64()).collect();
    ids.dedup();
    ids
}

pub(crate) async fn m01(w: &World) -> Leak {
    let orders = w.get(&w.a, "/orders").await;
    leak(w.crossed(&orders), "a's orders show the name of another's customer")
}

pub(crate) async fn m02(w: &World) -> Leak {
    let all = ids(&w.get(&w.a, "/customers?limit=100").await.json()["items"], "id");
    let joined = ids(&w.get(&w.a, "/customers/with-orders").await.json(), "id");
    let missing = all.iter().any(|id| !joined.contains(id));
    leak(missing, "customers without orders are missing, because b has orders of their ids")
}

pub(crate) async fn m03(w: &World) -> Leak {
    let order = w.get(&w.a, &format!("/orders/{OF_B}")).await;
    leak(order.shows(&w.b.canary()), "a reads b's order")
}

pub(crate) async fn m04(w: &World) -> Leak {
    w.post(&w.a, "/orders/status", json!({"ids": [OF_B], "status": "seized"})).await;
    let order = w.get(&w.b, &format!("/orders/{OF_B}")).await;
    leak(order.shows("seized"), "a changed b's order")
}

pub(crate) async fn m05(w: &World) -> Leak {
    let before = w.get(&w.b, "/orders/8").await;
    w.post(&w.a, "/orders/delete", json!({"ids": [8]})).await;
    leak(before.status != w.get(&w.b, "/orders/8").await.status, "a deleted b's order")
}

pub(crate) async fn m06(w: &World) -> Leak {
    // Some of a's next ids are b's already.
    for i in 0..5 {
        let email = format!("planted{i}@a.example");
        let planted = json!({"name": "planted by a", "email": email, "tenant_id": w.b.id});
        w.post(&w.a, "/customers", planted).await;
    }
    let customers = w.get(&w.b, "/customers?limit=100").await;
    leak(customers.shows("planted by a"), "a planted a customer in b")
}

pub(crate) async fn m07(w: &World) -> Leak {
    let body = json!({"name": "overwritten by a", "email": format!("c1@{}.example", w.b.canary())});
    w.call(&w.a, Method::PUT, "/customers/by-email", &body).await;
    let customers = w.get(&w.b, "/customers?limit=100").await;
    leak(customers.shows("overwritten by a"), "a overwrote b's customer")
}

pub(crate) async fn m08(w: &World) -> Leak {
    let page = w.get(&w.a, "/orders?limit=100").await.json();
    let rows = page["items"].as_array().map_or(0, Vec::len);
    leak(page["total"] != json!(rows), "the total counts b's orders too")
}

pub(crate) async fn m09(w: &World) -> Leak {
    let orders = ids(&w.get(&w.a, "/orders?limit=100").await.json()["items"], "id");
    let report = w.get(&w.a, "/report").await.json();
    let rows = report.as_array().map_or(0, Vec::len);
    leak(rows > orders.len(), "the report sums up b's orders too")
}

pub(crate) async fn m10(w: &World) -> Leak {
    let tagged = ids(&w.get(&w.a, "/orders/by-tag/gift").await.json(), "id");
    leak(tagged != [2, 4], "a's orders are tagged by b")
}

pub(crate) async fn m11(w: &World) -> Leak {
    leak(w.get(&w.a, "/orders/export").await.shows(&w.b.canary()), "a exports b's orders")
}

pub(crate) async fn m12(w: &World) -> Leak {
    let found = w.get(&w.a, "/orders/search?note=order&status=open").await;
    leak(found.shows(&w.b.canary()), "a finds b's orders")
}

pub(crate) async fn m13(w: &World) -> Leak {
    let body = json!({"name": "new", "email": format!("c2@{}.example", w.b.canary())});
    let answer = w.post(&w.a, "/customers", body).await;
    leak(answer.shows("Key (email)") && answer.shows(&w.b.canary()), "the error quotes b's key")
}

pub(crate) async fn m14(w: &World) -> Leak {
    let foreign = w.get(&w.a, &format!("/orders/{OF_B}")).await;
    let unknown = w.get(&w.a, "/orders/424242").await;
    leak(foreign != unknown, "b's id is answered otherwise than an unknown one")
}

pub(crate) async fn m15(w: &World) -> Leak {
    w.get(&w.b, "/products/p1").await;
    leak(w.get(&w.a, "/products/p1").await.shows(&w.b.canary()), "a reads b's cached product")
}

pub(crate) async fn m16(w: &World) -> Leak {
    w.get(&w.b, "/products/p1").await;
    leak(w.get(&w.a, "/products/1.p1").await.shows(&w.b.canary()), "a's key is b's key")
}

pub(crate) async fn m17(w: &World) -> Leak {
    w.get(&w.b, "/products/p2").await;
    w.post(&w.a, "/products/flush", Value::Null).await;
    let cache = w.get(&w.b, "/products/p2").await.cache;
    leak(cache.as_deref() != Some("hit"), "a's flush dropped b's entry")
}

pub(crate) async fn m18(w: &World) -> Leak {
    join!(w.get(&w.a, "/me"), w.get(&w.b, "/me"));
    // On a busy machine the two seldom miss at the same time.
    for _ in 0..40 {
        w.post(&w.a, "/products/flush", Value::Null).await;
        w.post(&w.b, "/products/flush", Value::Null).await;
        join!(w.get(&w.a, "/products/p3"), w.get(&w.b, "/products/p3"));
        let (of_a, of_b) = join!(w.get(&w.a, "/products/p3"), w.get(&w.b, "/products/p3"));
        if of_a.shows(&w.b.canary()) || of_b.shows(&w.a.canary()) {
            return leak(true, "a value is stored under the other's key");
        }
    }
    None
}

pub(crate) async fn m19(w: &World) -> Leak {
    w.post(&w.b, "/orders/1/audit", Value::Null).await;
    w.app.settle().await;
    let (of_a, of_b) = (w.get(&w.a, "/events").await, w.get(&w.b, "/events").await);
    leak(of_a.shows(&w.b.canary()) || !of_b.shows("audited 1"), "b's audit is written down by a")
}

pub(crate) async fn m20(w: &World) -> Leak {
    for _ in 0..8 {
        let (of_a, of_b) = join!(w.get(&w.a, "/me"), w.get(&w.b, "/me"));
        if of_a.shows(&w.b.canary()) || of_b.shows(&w.a.canary()) {
            return leak(true, "a task goes on as the other tenant");
        }
    }
    None
}

pub(crate) async fn m21(w: &World) -> Leak {
    w.get(&w.a, "/summary").await;
    leak(w.get(&w.b, "/summary").await.shows(&w.a.canary()), "b sees the summary of a, who came first")
}

pub(crate) async fn m22(w: &World) -> Leak {
    w.post(&w.a, "/jobs", json!({"kind": "note", "payload": "enqueued by a"})).await;
    w.post(&w.b, "/jobs", json!({"kind": "note", "payload": "enqueued by b"})).await;
    w.app.run_jobs().await.expect("the worker runs");
    let (of_a, of_b) = (w.get(&w.a, "/events").await, w.get(&w.b, "/events").await);
    leak(of_b.shows("enqueued by a") || !of_a.shows("enqueued by a"), "a's job ran as b")
}

pub(crate) async fn m23(w: &World) -> Leak {
    w.post(&w.b, "/jobs", json!({"kind": "note", "payload": "enqueued before the end"})).await;
    w.app.delete_tenant(&w.b.id).await.expect("b is deleted");
    w.app.run_jobs().await.expect("the worker runs");
    leak(
        w.get(&w.a, "/events").await.shows("enqueued before the end"),
        "the job of a deleted tenant ran as a",
    )
}

pub(crate) async fn m24(w: &World) -> Leak {
    w.post(&w.a, "/orders/status", json!({"ids": [1, OF_B], "status": "open"})).await;
    leak(w.app.logs().contains(&w.b.canary()), "a's log line prints b's row")
}
