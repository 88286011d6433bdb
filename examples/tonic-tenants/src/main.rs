//! gRPC with tonic: a unary call and a stream, each for the tenant that the call names by host or by metadata.
//!
//! ```text
//! cargo run -p tonic-tenants              # serves on 127.0.0.1:3000 until Ctrl-C
//! cargo run -p tonic-tenants -- --check   # asks itself over sockets and ends with 1 if an answer is not as expected
//! ```
//!
//! The service is written out by hand, as `tonic-prost-build` would write it from a `.proto` file, so that the example
//! builds without `protoc`.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use http::uri::PathAndQuery;
use tenancy_core::{
    Domain, HeaderStrategy, MemoryCatalog, Resolver, SubdomainStrategy, Tenant, TenantContext, TenantId,
    TenantStatus,
};
use tenancy_tower::{RequestExt, ResolveTenantLayer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::{NamedService, ServerStreamingService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

/// `message Text { string text = 1; }`
#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

type Codec = ProstCodec<Text, Text>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// `service Orders { rpc Whose(Text) returns (Text); rpc Watch(Text) returns (stream Text); }`
#[derive(Clone)]
struct Orders;

impl UnaryService<Text> for Orders {
    type Response = Text;
    type Future = BoxFuture<Result<Response<Text>, Status>>;

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        Box::pin(async move {
            let tenant = request.tenant()?;
            Ok(Response::new(Text { text: format!("{} of {}", request.get_ref().text, tenant.slug()) }))
        })
    }
}

impl ServerStreamingService<Text> for Orders {
    type Response = Text;
    type ResponseStream = BoxStream<'static, Result<Text, Status>>;
    type Future = BoxFuture<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<Text>) -> Self::Future {
        let orders = stream::unfold(1, async |number| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            // The stream is polled in the scope of its tenant, for as long as that one is active.
            let whose = TenantContext::current().map_err(|error| Status::internal(error.to_string()));
            Some((
                whose.map(|tenant| Text { text: format!("order {number} of {}", tenant.slug()) }),
                number + 1,
            ))
        });
        Box::pin(async { Ok(Response::new(orders.boxed())) })
    }
}

impl NamedService for Orders {
    const NAME: &'static str = "example.Orders";
}

impl tower_service::Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = tonic::server::Grpc::new(Codec::default());
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/example.Orders/Whose" => grpc.unary(Self, request).await,
                "/example.Orders/Watch" => grpc.server_streaming(Self, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
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

/// The host names the tenant; metadata may say the same, and nothing else.
fn layer(catalog: &Arc<MemoryCatalog>) -> Result<ResolveTenantLayer<Resolver>, tenancy_core::Error> {
    let resolver = Resolver::builder(catalog.clone())
        .with_strategy(SubdomainStrategy::new([Domain::new("app.example")?]))
        .with_strategy(HeaderStrategy::new())
        .build()?;
    Ok(ResolveTenantLayer::new(resolver))
}

/// The host, the tenant in the metadata, and what must come back: a text or a code.
const EXPECTED: &[(&str, &[&str], Result<&str, Code>)] = &[
    ("acme.app.example", &[], Ok("orders of acme")),
    ("globex.app.example", &[], Ok("orders of globex")),
    ("acme.app.example", &["1"], Ok("orders of acme")),
    ("acme.app.example", &["2"], Err(Code::PermissionDenied)),
    ("acme.app.example", &["1", "1"], Err(Code::InvalidArgument)),
    ("acme.app.example", &["a b"], Err(Code::InvalidArgument)),
    ("www.app.example", &[], Err(Code::InvalidArgument)),
    ("b.example", &["1"], Err(Code::InvalidArgument)),
    ("initech.app.example", &[], Err(Code::NotFound)),
    ("nobody.app.example", &[], Err(Code::NotFound)),
];

/// A client whose calls go to `address` and are addressed to `host`.
async fn client(address: SocketAddr, host: &str) -> Result<tonic::client::Grpc<Channel>, Box<dyn Error>> {
    let endpoint =
        Endpoint::from_shared(format!("http://{address}"))?.origin(format!("http://{host}").parse()?);
    let mut client = tonic::client::Grpc::new(endpoint.connect().await?);
    client.ready().await?;
    Ok(client)
}

async fn whose(
    address: SocketAddr,
    host: &str,
    ids: &[&str],
) -> Result<Result<String, Code>, Box<dyn Error>> {
    let mut request = Request::new(Text { text: "orders".into() });
    for id in ids {
        request.metadata_mut().append("x-tenant-id", id.parse()?);
    }
    let path = PathAndQuery::from_static("/example.Orders/Whose");
    let answer = client(address, host).await?.unary(request, path, Codec::default()).await;
    Ok(answer.map(|answer: Response<Text>| answer.into_inner().text).map_err(|status| status.code()))
}

/// Asks everything in the table and prints it, then suspends a tenant in the middle of a stream.
async fn check(address: SocketAddr, catalog: &MemoryCatalog) -> Result<bool, Box<dyn Error>> {
    let mut all = true;
    for (host, ids, expected) in EXPECTED {
        let found = whose(address, host, ids).await?;
        let ok = found == expected.map(String::from);
        all &= ok;
        let wrong = if ok { String::new() } else { format!("  expected {expected:?}") };
        println!("{host:<22} {:<12} {found:?}{wrong}", format!("{ids:?}"));
    }
    let path = PathAndQuery::from_static("/example.Orders/Watch");
    let mut acme = client(address, "acme.app.example").await?;
    let watch = acme.server_streaming(Request::new(Text::default()), path, Codec::default()).await?;
    let mut orders: tonic::Streaming<Text> = watch.into_inner();
    let first = orders.message().await?.map(|order| order.text);
    catalog.set_status(&TenantId::integer(1)?, TenantStatus::Suspended)?;
    let end = loop {
        match tokio::time::timeout(Duration::from_secs(5), orders.message()).await? {
            Ok(Some(_)) => {}
            Ok(None) => break Code::Ok,
            Err(status) => break status.code(),
        }
    };
    println!("a stream: {first:?}, then the tenant is suspended: {end:?}");
    Ok(all && first.as_deref() == Some("order 1 of acme") && end == Code::NotFound)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let checking = std::env::args().any(|argument| argument == "--check");
    let listener = TcpListener::bind(("127.0.0.1", if checking { 0 } else { 3000 })).await?;
    let address = listener.local_addr()?;
    let catalog = catalog()?;
    let router = Server::builder().layer(layer(&catalog)?).add_service(Orders);
    let server = router.serve_with_incoming(TcpListenerStream::new(listener));
    if !checking {
        println!("listening on {address}");
        server.await?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::spawn(server);
    let all = check(address, &catalog).await?;
    println!("{}", if all { "all as expected" } else { "NOT as expected" });
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
