//! The smallest HTTP client that sends a request exactly as it is printed.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;

use super::Probe;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub content_type: String,
    pub cache: Option<String>,
    pub body: String,
}

/// Sends `probe` to `path` over a connection of its own.
pub(super) async fn send(address: SocketAddr, probe: &Probe, path: &str) -> Result<Answer, Error> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let host = format!("{}:{}", probe.host, address.port());
    let mut request = Request::builder().method(probe.method).uri(path).header(header::HOST, host);
    if let Some(id) = probe.tenant_header {
        request = request.header("x-tenant-id", id);
    }
    if probe.body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let body = Full::new(Bytes::from(probe.body.clone().unwrap_or_default()));
    let response = sender.send_request(request.body(body)?).await?;
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, cache) = (header("content-type").unwrap_or_default(), header("x-cache"));
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    drop(sender);
    connection.await??;
    Ok(Answer { status, content_type, cache, body: String::from_utf8(body.to_vec())? })
}
