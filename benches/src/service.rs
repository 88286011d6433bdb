//! A whole service: axum on a socket of this machine, asked over one connection that stays open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::routing::get;
use tenancy_core::{Resolver, TenantCatalog};
use tenancy_testkit::gate::{Group, Suite};
use tenancy_tower::ResolveTenantLayer;

use crate::fixture;
use crate::resolve::domain;

const TENANTS: usize = 10_000;

/// Returns the group of the service: the same handler without the layer and inside of it, with its defaults.
pub fn suite() -> Suite {
    Suite::new().with_group("service/loopback", loopback)
}

fn loopback(group: Group) -> Group {
    let catalog: Arc<dyn TenantCatalog> = fixture::tenants(fixture::scaled(TENANTS));
    let resolver = Resolver::builder(catalog).with_strategy(domain()).build();
    let layer = ResolveTenantLayer::new(resolver.expect("one strategy makes a resolver"));
    let [bare, layered] = serve([router(), router().layer(layer)]);
    let (mut bare, mut layered) = (Client::to(bare), Client::to(layered));
    group.with_bench("bare", move || bare.ask()).with_bench("layer", move || layered.ask())
}

fn router() -> Router {
    Router::new().route("/orders", get(async || "[]"))
}

/// Serves each of `routers` for as long as this process lives, and says where.
///
/// One thread serves all: with one each, the system would wake them on different processors, which costs more than what
/// is measured.
fn serve<const N: usize>(routers: [Router; N]) -> [SocketAddr; N] {
    let routers = routers.map(|router| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("this machine has a free port");
        listener.set_nonblocking(true).expect("a socket can be told not to block");
        (listener, router)
    });
    let addresses = routers.each_ref().map(|(listener, _)| listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        for (listener, router) in routers {
            runtime.spawn(async {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("the socket does not block");
                axum::serve(listener, router).await
            });
        }
        runtime.block_on(std::future::pending::<()>());
    });
    addresses
}

/// A client that keeps its connection, as a proxy in front of a service does.
struct Client {
    connection: TcpStream,
    request: String,
}

impl Client {
    fn to(address: SocketAddr) -> Self {
        let connection = TcpStream::connect(address).expect("the service listens");
        connection.set_nodelay(true).expect("a socket can be told not to wait");
        let request = format!("GET /orders HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n\r\n", fixture::host(7));
        Self { connection, request }
    }

    fn ask(&mut self) {
        self.connection.write_all(self.request.as_bytes()).expect("the service reads");
        let mut answer = [0; 1024];
        let mut len = 0;
        while !answer[..len].ends_with(b"\r\n\r\n[]") {
            let read = self.connection.read(&mut answer[len..]).expect("the service answers");
            assert!(read > 0, "the service hung up");
            len += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "the request is served");
    }
}
