//! The layer on hyper alone, without a framework: an accept loop, a service, a stream that ends with its tenant.
//!
//! ```text
//! cargo run -p hyper-plain              # serves on 127.0.0.1:3000 until Ctrl-C
//! cargo run -p hyper-plain -- --check   # asks itself over sockets and ends with 1 if an answer is not as expected
//! curl http://127.0.0.1:3000/t/acme/orders
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tenancy_core::{
    HeaderStrategy, MemoryCatalog, PathStrategy, Resolver, Tenant, TenantContext, TenantId, TenantStatus,
    TrustedProxies,
};
use tenancy_tower::{PeerAddr, ResolveTenantLayer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, service_fn};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The handler: it sees the path without the tenant's part, and asks the scope whose request it is.
async fn handle(request: Request<Incoming>) -> Result<Response<Body>, tenancy_core::Error> {
    let tenant = TenantContext::current()?;
    let body = match request.uri().path() {
        "/ticks" => {
            // Each frame is produced in the scope of the tenant too, until the tenant is suspended.
            let ticks = stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let whose =
                    TenantContext::current().map_or_else(|_| "nobody".into(), |t| t.slug().to_string());
                Some((Ok(Frame::data(Bytes::from(format!("{whose}\n")))), ()))
            });
            StreamBody::new(ticks.boxed()).boxed_unsync()
        }
        path => Full::new(Bytes::from(format!("{} at {path}\n", tenant.slug()))).boxed_unsync(),
    };
    Ok(Response::new(body))
}

/// Accepts connections for ever. What the layer needs to know of one, the peer's address, rides with each request.
async fn serve(listener: TcpListener, resolver: Resolver) -> std::io::Result<()> {
    let strip = PathStrategy::new("/t").map_err(std::io::Error::other)?;
    let layer = ResolveTenantLayer::new(resolver).with_stripped_path(strip);
    loop {
        let (stream, peer) = listener.accept().await?;
        let resolved = layer.layer(service_fn(handle));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            tower::ServiceExt::oneshot(resolved.clone(), request)
        });
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        // A client that goes away is none of the server's errors.
        tokio::spawn(async move { drop(connection.await) });
    }
}

fn catalog() -> Result<Arc<MemoryCatalog>, tenancy_core::Error> {
    let catalog = MemoryCatalog::new();
    for (id, slug) in [(1, "acme"), (2, "globex"), (3, "initech")] {
        catalog.insert(Tenant::builder(TenantId::integer(id)?, slug.parse()?).build()?)?;
    }
    catalog.set_status(&TenantId::integer(3)?, TenantStatus::Suspended)?;
    Ok(Arc::new(catalog))
}

fn resolver(catalog: &Arc<MemoryCatalog>) -> Result<Resolver, tenancy_core::Error> {
    // A gateway on this machine may name the tenant by header; from others the header must agree with the path.
    let header = HeaderStrategy::new().with_trusted_proxies(TrustedProxies::loopback());
    let builder = Resolver::builder(catalog.clone());
    builder.with_strategy(PathStrategy::new("/t")?).with_strategy(header).build()
}

/// A request's first lines, and what must come back: the status, and a part of the body.
const EXPECTED: &[(&str, u16, &str)] = &[
    ("GET /t/acme/orders HTTP/1.1\r\nHost: a", 200, "acme at /orders"),
    ("GET /t/globex HTTP/1.1\r\nHost: a", 200, "globex at /"),
    ("GET /orders HTTP/1.1\r\nHost: a\r\nX-Tenant-Id: 2", 200, "globex at /orders"),
    ("GET /t/acme/orders HTTP/1.1\r\nHost: a\r\nX-Tenant-Id: 1", 200, "acme at /orders"),
    ("GET /t/acme/orders HTTP/1.1\r\nHost: a\r\nX-Tenant-Id: 2", 403, "different tenants"),
    ("GET /t/acme/orders HTTP/1.1\r\nHost: a\r\nX-Tenant-Id: 1\r\nX-Tenant-Id: 1", 400, "more than once"),
    ("GET /t/acme/../globex HTTP/1.1\r\nHost: a", 400, "cannot be read"),
    ("GET /t/%61cme/orders HTTP/1.1\r\nHost: a", 400, "cannot be read"),
    ("GET /t/initech/orders HTTP/1.1\r\nHost: a", 404, "no such tenant"),
    ("GET /t/nobody/orders HTTP/1.1\r\nHost: a", 404, "no such tenant"),
    ("GET /orders HTTP/1.1\r\nHost: a", 400, "does not say which tenant"),
    ("GET /t/acme/orders HTTP/1.1\r\nHost: a\r\nHost: b", 400, "exactly one valid host"),
];

async fn ask(address: SocketAddr, head: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    // A stream that was cut may end as a reset: what came before counts.
    drop(stream.read_to_end(&mut answer).await);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Asks everything in the table and prints it, then suspends a tenant in the middle of a stream.
async fn check(address: SocketAddr, catalog: &MemoryCatalog) -> Result<bool, Box<dyn Error>> {
    let mut all = true;
    for (head, status, part) in EXPECTED {
        let answer = ask(address, head).await?;
        let found: u16 = answer.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let ok = found == *status && answer.contains(part);
        all &= ok;
        let wrong = if ok { String::new() } else { format!("  expected {status} {part:?}:\n{answer}") };
        println!("{:<74} {found} {part}{wrong}", head.escape_default().to_string());
    }
    let ticks = tokio::spawn(async move { ask(address, "GET /t/acme/ticks HTTP/1.1\r\nHost: a").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    catalog.set_status(&TenantId::integer(1)?, TenantStatus::Suspended)?;
    let answer = tokio::time::timeout(Duration::from_secs(5), ticks).await???;
    let cut = answer.contains("acme\n") && !answer.ends_with("0\r\n\r\n");
    println!("{:<74} {}", "GET /t/acme/ticks, suspended meanwhile", if cut { "cut" } else { "NOT cut" });
    Ok(all && cut)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let checking = std::env::args().any(|argument| argument == "--check");
    let listener = TcpListener::bind(("127.0.0.1", if checking { 0 } else { 3000 })).await?;
    let address = listener.local_addr()?;
    let catalog = catalog()?;
    let resolver = resolver(&catalog)?;
    if !checking {
        println!("listening on {address}; try: curl http://{address}/t/acme/orders");
        serve(listener, resolver).await?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::spawn(serve(listener, resolver));
    let all = check(address, &catalog).await?;
    println!("{}", if all { "all as expected" } else { "NOT as expected" });
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
