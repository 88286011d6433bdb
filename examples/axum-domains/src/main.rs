//! Custom domains and subdomains on axum: served, suspended, moved, unknown.
//!
//! ```text
//! cargo run -p axum-domains              # serves on 127.0.0.1:3000 until Ctrl-C
//! cargo run -p axum-domains -- --check   # asks itself over sockets and ends with 1 if an answer is not as expected
//! curl -H 'Host: shop.acme.example' http://127.0.0.1:3000/orders
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::get;
use tenancy_core::{
    Domain, DomainState, DomainStrategy, MemoryCatalog, Resolver, SubdomainStrategy, Tenant, TenantId,
    TenantStatus,
};
use tenancy_tower::{CurrentTenant, ResolveTenantLayer};
use tokio::net::TcpListener;

/// The tenants: two are active, one of which has moved its shop; one is suspended.
fn catalog(base: &Domain) -> Result<MemoryCatalog, tenancy_core::Error> {
    let catalog = MemoryCatalog::builder().with_base_domains([base.clone()]).build();
    let shop = Domain::new("shop.acme.example")?;
    let next_year = SystemTime::now() + Duration::from_secs(365 * 24 * 3600);
    let moved = |until| DomainState::moved(shop.clone(), Some(until));
    let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?)
        .with_name("Acme Corporation")
        .with_domain(shop.clone())
        .with_domain(Domain::new("bücher.example")?)
        .with_domain_state(Domain::new("acme-shop.example")?, moved(next_year))
        .with_domain_state(Domain::new("first.acme.example")?, moved(SystemTime::UNIX_EPOCH));
    let globex = Tenant::builder(TenantId::integer(2)?, "globex".parse()?)
        .with_name("Globex")
        .with_domain(Domain::new("globex.example")?)
        // Claimed, and not yet proven to be theirs.
        .with_domain_state(Domain::new("www.initech.example")?, DomainState::Pending);
    let initech = Tenant::builder(TenantId::integer(3)?, "initech".parse()?)
        .with_domain(Domain::new("initech.example")?)
        .with_status(TenantStatus::Suspended);
    for tenant in [acme, globex, initech] {
        catalog.insert(tenant.build()?)?;
    }
    Ok(catalog)
}

async fn orders(CurrentTenant(tenant): CurrentTenant, uri: Uri) -> String {
    format!("{} at {uri}", tenant.tenant().name())
}

/// The layer lies outside of the router, so that its 404 is inside: there is no way around it but the public route.
fn app() -> Result<Router, tenancy_core::Error> {
    let base = Domain::new("app.example")?;
    let resolver = Resolver::builder(Arc::new(catalog(&base)?))
        .with_strategy(SubdomainStrategy::new([base.clone()]))
        .with_strategy(DomainStrategy::new().with_base_domains([base]))
        .build()?;
    let layer = ResolveTenantLayer::new(resolver).with_public_route(Method::GET, "/health");
    let router = Router::new().route("/orders", get(orders)).route("/health", get(async || "up"));
    Ok(router.layer(layer))
}

/// A host, a path, and what must come back: the status, and a part of the head or body.
const EXPECTED: &[(&str, &str, u16, &str)] = &[
    ("acme.app.example", "/orders", 200, "Acme Corporation at /orders"),
    ("ACME.app.example.:3000", "/orders", 200, "Acme Corporation at /orders"),
    ("shop.acme.example", "/orders?new", 200, "Acme Corporation at /orders?new"),
    ("xn--bcher-kva.example", "/orders", 200, "Acme Corporation"),
    ("globex.example", "/orders", 200, "Globex at /orders"),
    ("globex.app.example", "/nothing", 404, ""),
    ("acme-shop.example", "/orders?a=b", 308, "location: https://shop.acme.example/orders?a=b"),
    ("first.acme.example", "/orders", 404, "no such tenant"),
    ("initech.app.example", "/orders", 404, "no such tenant"),
    ("initech.example", "/orders", 404, "no such tenant"),
    ("www.initech.example", "/orders", 404, "no such tenant"),
    ("nobody.app.example", "/orders", 404, "no such tenant"),
    ("nobody.example", "/orders", 404, "no such tenant"),
    ("x.acme.app.example", "/orders", 400, "cannot be read"),
    ("www.app.example", "/orders", 400, "cannot be read"),
    ("app.example", "/orders", 400, "does not say which tenant"),
    ("127.0.0.1", "/orders", 400, "does not say which tenant"),
    ("acme.app.example@globex.example", "/orders", 400, "exactly one valid host"),
    ("acme.app.example\r\nHost: globex.example", "/orders", 400, "exactly one valid host"),
    ("127.0.0.1", "/health", 200, "up"),
    ("127.0.0.1", "/health/", 400, ""),
];

/// Asks everything in the table and prints it. Returns whether all is as expected.
fn check(address: SocketAddr) -> std::io::Result<bool> {
    let mut all = true;
    println!("{:<44} {:<12} answer", "host", "path");
    for (host, path, status, part) in EXPECTED {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let found: u16 = answer.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let ok = found == *status && answer.contains(part);
        all &= ok;
        let wrong = if ok { String::new() } else { format!("  expected {status} {part:?}:\n{answer}") };
        println!("{:<44} {path:<12} {found} {part}{wrong}", host.escape_default().to_string());
    }
    Ok(all)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let checking = std::env::args().any(|argument| argument == "--check");
    let port = if checking { 0 } else { 3000 };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    let server = axum::serve(listener, app()?);
    if !checking {
        println!("listening on {address}; try: curl -H 'Host: shop.acme.example' http://{address}/orders");
        server.await?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::spawn(server.into_future());
    let all = tokio::task::spawn_blocking(move || check(address)).await??;
    println!("{}", if all { "all as expected" } else { "NOT as expected" });
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
