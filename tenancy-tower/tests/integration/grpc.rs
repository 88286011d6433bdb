//! A real tonic server behind the layer: unary calls and streams (TWR-39, TWR-54), over HTTP/2 by tonic's own client.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http;
use futures_util::stream::{self, BoxStream, StreamExt};
use tenancy_core::{MemoryCatalog, Resolver, TenantContext, TenantId, TenantStatus};
use tenancy_tower::{RequestExt, ResolveTenantLayer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::metadata::{MetadataKey, MetadataValue};
use tonic::server::{ClientStreamingService, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::server::TcpConnectInfo;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::world::{catalog, resolver_over};

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

type Codec = ProstCodec<Text, Text>;

/// What `tonic-prost-build` would write from a service of three methods.
#[derive(Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "test.Greeter";
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// Says whose call it is by the request, and checks that the scope says the same.
fn who<T>(request: &Request<T>) -> Result<String, Status> {
    let tenant = request.tenant()?;
    assert_eq!(TenantContext::current().unwrap(), *tenant);
    Ok(tenant.slug().to_string())
}

impl UnaryService<Text> for Greeter {
    type Response = Text;
    type Future = Answer<Text>;

    fn call(&mut self, request: Request<Text>) -> Answer<Text> {
        Box::pin(async move { Ok(Response::new(Text { text: who(&request)? })) })
    }
}

impl ServerStreamingService<Text> for Greeter {
    type Response = Text;
    type ResponseStream = BoxStream<'static, Result<Text, Status>>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, request: Request<Text>) -> Self::Future {
        Box::pin(async move {
            who(&request)?;
            let pause = Duration::from_millis(request.get_ref().text.parse().unwrap());
            let ticks = stream::unfold((), move |()| async move {
                tokio::time::sleep(pause).await;
                let text = TenantContext::current().unwrap().slug().to_string();
                Some((Ok(Text { text }), ()))
            });
            Ok(Response::new(ticks.boxed()))
        })
    }
}

impl ClientStreamingService<Text> for Greeter {
    type Response = Text;
    type Future = Answer<Text>;

    fn call(&mut self, request: Request<Streaming<Text>>) -> Answer<Text> {
        Box::pin(async move {
            let before = who(&request)?;
            let mut count = 0;
            let mut messages = request.into_inner();
            while let Some(_message) = messages.message().await? {
                assert_eq!(TenantContext::current().unwrap().slug().as_str(), before);
                count += 1;
            }
            Ok(Response::new(Text { text: format!("{before} {count}") }))
        })
    }
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = tonic::server::Grpc::new(Codec::default());
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/test.Greeter/Hello" => grpc.unary(Self, request).await,
                "/test.Greeter/Watch" => grpc.server_streaming(Self, request).await,
                "/test.Greeter/Collect" => grpc.client_streaming(Self, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

async fn server(layer: ResolveTenantLayer<Resolver>) -> u16 {
    let layer = layer.with_peer(|extensions| {
        extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr).map(|address| address.ip())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::builder().layer(layer).add_service(Greeter);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    port
}

/// A client whose calls have `host` as their `:authority`.
async fn client(port: u16, host: &str) -> tonic::client::Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let origin = format!("http://{host}").parse().unwrap();
    let channel = endpoint.origin(origin).connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    client
}

/// Names and values, in the order in which they are sent.
type Metadata = &'static [(&'static str, &'static str)];

async fn hello_with(setup: &str, host: &str, metadata: Metadata) -> Result<String, Status> {
    let mut client = client(server(crate::world::layer(setup)).await, host).await;
    let mut request = Request::new(Text::default());
    for (name, value) in metadata {
        if name.ends_with("-bin") {
            let key = MetadataKey::from_bytes(name.as_bytes()).unwrap();
            request.metadata_mut().append_bin(key, MetadataValue::from_bytes(value.as_bytes()));
        } else {
            let key = MetadataKey::from_bytes(name.as_bytes()).unwrap();
            request.metadata_mut().append(key, value.parse().unwrap());
        }
    }
    let path = http::uri::PathAndQuery::from_static("/test.Greeter/Hello");
    let answer = client.unary(request, path, Codec::default()).await?;
    Ok(answer.into_inner().text)
}

fn code(answer: &Result<String, Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, Status::code)
}

#[tokio::test]
async fn a_unary_call_has_its_tenant() {
    assert_eq!(hello_with("sub", "acme.app.example", &[]).await.unwrap(), "acme");
    assert_eq!(hello_with("sub", "globex.app.example:443", &[]).await.unwrap(), "globex");
    assert_eq!(hello_with("header", "b.example", &[("x-tenant-id", "2")]).await.unwrap(), "globex");
    assert_eq!(hello_with("slow", "acme.app.example", &[]).await.unwrap(), "acme");
}

#[tokio::test]
async fn a_refused_call_has_the_status_of_its_reason() {
    let rows: [(&str, &str, Metadata, Code); 11] = [
        ("sub", "www.app.example", &[], Code::InvalidArgument),
        ("sub", "b.example", &[], Code::InvalidArgument),
        ("sub", "unknown.app.example", &[], Code::NotFound),
        ("sub", "initech.app.example", &[], Code::NotFound),
        ("member", "acme.app.example", &[("x-member-of", "2")], Code::NotFound),
        ("open", "initech.app.example", &[], Code::PermissionDenied),
        ("open", "umbrella.app.example", &[], Code::Unavailable),
        ("down", "acme.app.example", &[], Code::Unavailable),
        ("sub+header", "acme.app.example", &[("x-tenant-id", "2")], Code::PermissionDenied),
        ("dom", "old.acme.example", &[], Code::FailedPrecondition),
        ("sub", "127.0.0.1", &[], Code::InvalidArgument),
    ];
    for (setup, host, metadata, expected) in rows {
        let answer = hello_with(setup, host, metadata).await;
        assert_eq!(code(&answer), expected, "{setup} {host}: {answer:?}");
    }
}

/// TWR-39
#[tokio::test]
async fn metadata_that_is_repeated_or_binary_is_an_invalid_argument() {
    let rows: [(Metadata, Code); 6] = [
        (&[("x-tenant-id", "1")], Code::Ok),
        (&[("x-tenant-id", "1"), ("x-tenant-id", "1")], Code::InvalidArgument),
        (&[("x-tenant-id", "1"), ("x-tenant-id", "2")], Code::InvalidArgument),
        (&[("x-tenant-id-bin", "1")], Code::InvalidArgument),
        (&[("x-tenant-id", "")], Code::InvalidArgument),
        (&[], Code::InvalidArgument),
    ];
    for (metadata, expected) in rows {
        assert_eq!(code(&hello_with("header", "b.example", metadata).await), expected, "{metadata:?}");
    }
}

/// What a service makes of a reason by itself says no more than the layer does.
#[test]
fn the_status_of_a_reason_names_no_more_than_a_client_may_know() {
    use tenancy_core::RejectionReason::{Inactive, NotAMember, UnknownTenant};
    for reason in [UnknownTenant, NotAMember, Inactive(TenantStatus::Cancelled)] {
        let status = tenancy_tower::status(reason);
        assert_eq!((status.code(), status.message()), (Code::NotFound, "Tenant not found"), "{reason:?}");
    }
}

/// TWR-51: a method on a public route has no tenant, and asking for one is the service's mistake.
#[tokio::test]
async fn a_method_without_a_tenant_fails_where_it_asks_for_one() {
    let layer = crate::world::layer("sub").with_public_route(http::Method::POST, "/test.Greeter/Hello");
    let mut client = client(server(layer).await, "acme.app.example").await;
    let path = http::uri::PathAndQuery::from_static("/test.Greeter/Hello");
    let answer = client.unary(Request::new(Text::default()), path, Codec::default()).await;
    assert_eq!(answer.map(|_: Response<Text>| ()).unwrap_err().code(), Code::Internal);
}

fn over(catalog: &Arc<MemoryCatalog>) -> ResolveTenantLayer<Resolver> {
    ResolveTenantLayer::new(resolver_over(catalog))
}

/// TWR-54: a stream that ticks and one that idles end with a status, and another tenant's goes on.
#[tokio::test]
async fn a_server_stream_has_its_tenant_until_it_is_suspended() {
    let catalog = catalog();
    let port = server(over(&catalog)).await;
    let watch = async |slug: &str, pause: &str| {
        let mut client = client(port, &format!("{slug}.app.example")).await;
        let path = http::uri::PathAndQuery::from_static("/test.Greeter/Watch");
        let request = Request::new(Text { text: pause.into() });
        let answer = client.server_streaming(request, path, Codec::default()).await.unwrap();
        answer.into_inner()
    };
    let (mut ticking, idle) = (watch("acme", "1").await, watch("acme", "3600000").await);
    let mut other = watch("globex", "1").await;
    for _ in 0..3 {
        assert_eq!(ticking.message().await.unwrap().unwrap().text, "acme");
        assert_eq!(other.message().await.unwrap().unwrap().text, "globex");
    }
    catalog.set_status(&TenantId::integer(1).unwrap(), TenantStatus::Suspended).unwrap();
    let end = |mut stream: Streaming<Text>| async move {
        let end = async move {
            loop {
                match stream.message().await {
                    Ok(Some(message)) => assert_eq!(message.text, "acme"),
                    Ok(None) => return Code::Ok,
                    Err(status) => return status.code(),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), end).await.expect("the stream ends")
    };
    assert_eq!(end(ticking).await, Code::NotFound);
    assert_eq!(end(idle).await, Code::NotFound);
    for _ in 0..10 {
        assert_eq!(other.message().await.unwrap().unwrap().text, "globex");
    }
}

#[tokio::test]
async fn a_client_stream_is_read_in_the_scope_of_its_tenant() {
    let port = server(crate::world::layer("slow")).await;
    let collect = async |host: &str| {
        let mut client = client(port, host).await;
        let path = http::uri::PathAndQuery::from_static("/test.Greeter/Collect");
        let messages = stream::iter((0..20).map(|_| Text::default())).then(async |message| {
            tokio::task::yield_now().await;
            message
        });
        let messages = Request::new(messages.boxed());
        let answer: Result<Response<Text>, Status> =
            client.client_streaming(messages, path, Codec::default()).await;
        answer.map(|answer| answer.into_inner().text)
    };
    assert_eq!(collect("acme.app.example").await.unwrap(), "acme 20");
    assert_eq!(code(&collect("unknown.app.example").await), Code::NotFound);
}
