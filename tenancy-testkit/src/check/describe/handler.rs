//! [`Handler`]: the service under test, whatever its type: a request goes in, a whole answer comes out.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use crate::error::Error;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, BoxError>> + Send>>;

/// Answers a request. Dropping the future is a client that went away.
pub(crate) trait Handler: Send + Sync {
    fn call(&self, request: Request<Bytes>) -> Answering;
}

/// A tower service in this process.
pub(crate) struct InProcess<S>(Mutex<S>);

impl<S> InProcess<S> {
    pub(crate) fn new(service: S) -> Self {
        Self(Mutex::new(service))
    }
}

impl<S, B> Handler for InProcess<S>
where
    S: tower_service::Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Bytes>) -> Answering {
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            let answer = service.call(request.map(Full::new)).await.map_err(Into::into)?;
            collect(answer).await
        })
    }
}

/// A server that already runs, over plain HTTP.
pub(crate) struct Remote {
    client: Client<HttpConnector, Full<Bytes>>,
    authority: String,
}

impl Remote {
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let uri: Uri = url
            .parse()
            .map_err(|error| Error::configuration("the server's URL cannot be read").with_source(error))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority =
            authority.ok_or_else(|| Error::configuration("the server's URL begins with http://"))?;
        let client = Client::builder(TokioExecutor::new()).set_host(false).build_http();
        Ok(Self { client, authority: authority.to_string() })
    }
}

impl Handler for Remote {
    fn call(&self, request: Request<Bytes>) -> Answering {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let target = format!("http://{}{path}", self.authority).parse::<Uri>();
        let client = self.client.clone();
        Box::pin(async move {
            // The connection goes to the server; the `Host` header stays what the program says.
            parts.uri = target?;
            collect(client.request(Request::from_parts(parts, Full::new(body))).await?).await
        })
    }
}

/// The whole answer; what follows the body (the status of a gRPC call) is put behind the headers.
async fn collect<B>(answer: Response<B>) -> Result<Response<Bytes>, BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = answer.into_parts();
    let collected = body.collect().await.map_err(Into::into)?;
    if let Some(trailers) = collected.trailers() {
        parts.headers.extend(trailers.clone());
    }
    Ok(Response::from_parts(parts, collected.to_bytes()))
}
