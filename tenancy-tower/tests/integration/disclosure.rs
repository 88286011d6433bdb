//! Who learns what of a tenant that is not served (TWR-48).

use axum::http::{Request, Response, Version};
use bytes::Bytes;

use crate::client::{self, Answer};
use crate::world::{DIRECT, Servers, oneshot};

/// Everything that a client sees but the date.
async fn seen(servers: &mut Servers, setup: &str, head: &str) -> Answer {
    let to = servers.address(setup).await;
    let request = format!("GET /x?y HTTP/1.1\r\n{head}\r\n\r\n");
    let mut answer = client::send(DIRECT, to, request.as_bytes()).await.unwrap();
    answer.headers.retain(|(name, _)| name != "date");
    answer
}

async fn all_look_the_same(setup: &str, heads: &[&str]) -> Answer {
    let mut servers = Servers::default();
    let first = seen(&mut servers, setup, heads[0]).await;
    for head in &heads[1..] {
        assert_eq!(seen(&mut servers, setup, head).await, first, "{setup}: {head}");
    }
    first
}

#[tokio::test]
async fn a_tenant_that_is_not_active_looks_like_none() {
    for setup in ["both", "slow"] {
        let answer = all_look_the_same(
            setup,
            &[
                "Host: unknown.app.example",
                "Host: initech.app.example",
                "Host: umbrella.app.example",
                "Host: hooli.app.example",
                "Host: stark.app.example",
                "Host: unknown.example",
                "Host: initech.example",
                "Host: umbrella.example",
                "Host: hooli.example",
                "Host: pending.globex.example",
                "Host: past.acme.example",
                "Host: old.initech.example",
            ],
        )
        .await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(answer.header("location"), None);
    }
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_tenant_from_none_even_by_contradicting_itself() {
    for setup in ["member", "member-later"] {
        let answer = all_look_the_same(
            setup,
            &[
                "Host: unknown.app.example\r\nX-Member-Of: 77",
                "Host: acme.app.example\r\nX-Member-Of: 77",
                "Host: acme.app.example\r\nX-Member-Of: 2",
                "Host: initech.app.example\r\nX-Member-Of: 2",
                "Host: umbrella.app.example\r\nX-Member-Of: 2",
                "Host: hooli.app.example\r\nX-Member-Of: 5",
                "Host: unknown.app.example\r\nX-Member-Of: 77\r\nX-Tenant-Id: 1",
                "Host: acme.app.example\r\nX-Member-Of: 77\r\nX-Tenant-Id: 1",
                "Host: acme.app.example\r\nX-Member-Of: 77\r\nX-Tenant-Id: 2",
                "Host: initech.app.example\r\nX-Member-Of: 77\r\nX-Tenant-Id: 2",
            ],
        )
        .await;
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn where_unknown_hosts_are_redirected_so_are_the_domains_that_nobody_may_know_of() {
    let answer = all_look_the_same(
        "landing",
        &[
            "Host: unknown.example",
            "Host: initech.example",
            "Host: umbrella.example",
            "Host: hooli.example",
            "Host: pending.globex.example",
            "Host: past.acme.example",
        ],
    )
    .await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some("https://www.example/welcome"));
}

/// The same where it is membership that says who may know.
#[tokio::test]
async fn where_unknown_hosts_are_redirected_so_are_strangers() {
    let answer = all_look_the_same(
        "landing-member",
        &[
            "Host: unknown.example\r\nX-Member-Of: 77",
            "Host: globex.example\r\nX-Member-Of: 77",
            "Host: initech.example\r\nX-Member-Of: 2",
            "Host: hooli.example\r\nX-Member-Of: 5",
        ],
    )
    .await;
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://www.example/welcome")));
    let mut servers = Servers::default();
    let member = seen(&mut servers, "landing-member", "Host: globex.example\r\nX-Member-Of: 2").await;
    assert_eq!((member.status, &*member.text()), (200, "globex /x"));
}

fn grpc(host: &str) -> Request<()> {
    Request::post(format!("http://{host}/x"))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

#[tokio::test]
async fn to_a_grpc_client_all_of_them_are_not_found_too() {
    let unknown = oneshot("both", grpc("unknown.app.example")).await;
    assert_eq!(unknown.headers()["grpc-status"], "5");
    for host in ["initech.app.example", "umbrella.app.example", "hooli.app.example", "initech.example"] {
        let answer = oneshot("both", grpc(host)).await;
        assert_eq!(answer.headers(), unknown.headers(), "{host}");
        assert_eq!((answer.status(), answer.body()), (unknown.status(), unknown.body()), "{host}");
    }
}

/// A member is told, and so is everybody where the service says so.
#[tokio::test]
async fn whoever_may_know_is_told_why_and_when_to_come_back() {
    let mut servers = Servers::default();
    for (setup, by) in [("member", "\r\nX-Member-Of: 3,4,6"), ("open", "")] {
        let suspended = seen(&mut servers, setup, &format!("Host: initech.app.example{by}")).await;
        assert_eq!(suspended.status, 403);
        assert!(suspended.text().contains("suspended"));
        let maintenance = seen(&mut servers, setup, &format!("Host: umbrella.app.example{by}")).await;
        assert_eq!((maintenance.status, maintenance.header("retry-after")), (503, Some("120")));
        let provisioning = seen(&mut servers, setup, &format!("Host: stark.app.example{by}")).await;
        assert_eq!((provisioning.status, provisioning.header("retry-after")), (503, None));
    }
}

fn told(answer: &Response<Bytes>) -> (u16, Option<&str>, Option<&str>) {
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
    (answer.status().as_u16(), header("grpc-status"), header("content-type"))
}

/// Only HTTP/2 with gRPC's content type is gRPC: nobody else reads "200" of a refusal.
#[tokio::test]
async fn a_refusal_is_a_grpc_status_to_grpc_alone() {
    let with = |version, content_type: &str| {
        let uri = "http://unknown.app.example/x";
        Request::post(uri).version(version).header("content-type", content_type).body(()).unwrap()
    };
    let problem = (404, None, Some("application/problem+json"));
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc; a=b"] {
        let answer = oneshot("both", with(Version::HTTP_2, content_type)).await;
        assert_eq!(told(&answer), (200, Some("5"), Some("application/grpc")), "{content_type}");
        assert_eq!(told(&oneshot("both", with(Version::HTTP_11, content_type)).await), problem);
    }
    for content_type in ["application/grpc-web", "application/grpcx", "application/json", ""] {
        let answer = oneshot("both", with(Version::HTTP_2, content_type)).await;
        assert_eq!(told(&answer), problem, "{content_type}");
    }
}

#[tokio::test]
async fn every_kind_of_refusal_has_its_grpc_status() {
    let with = |host: &str, name: &'static str, value: &str| {
        let mut request = grpc(host);
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let rows = [
        ("both", with("www.app.example", "x-a", "b"), "3"),
        ("both", with("acme.app.example", "host", "globex.app.example"), "3"),
        ("sub+header", with("acme.app.example", "x-tenant-id", "2"), "7"),
        ("open", with("initech.app.example", "x-a", "b"), "7"),
        ("both", with("unknown.app.example", "x-a", "b"), "5"),
        ("member", with("acme.app.example", "x-member-of", "2"), "5"),
        ("dom", with("old.acme.example", "x-a", "b"), "9"),
        ("open", with("umbrella.app.example", "x-a", "b"), "14"),
        ("down", with("acme.app.example", "x-a", "b"), "14"),
    ];
    for (setup, request, code) in rows {
        let answer = oneshot(setup, request).await;
        assert_eq!(told(&answer), (200, Some(code), Some("application/grpc")), "{setup}");
        assert!(answer.body().is_empty());
    }
}
