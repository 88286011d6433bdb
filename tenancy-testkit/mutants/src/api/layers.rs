//! What stands around the handlers.

use std::time::SystemTime;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, Request, StatusCode};
use tracing::instrument::WithSubscriber;
use uuid::Uuid;

use super::request::ApiError;
use crate::app::lock;
use crate::db::Db;
use crate::{App, Variant};
use tenancy_core::TenantContext;

/// Hands the tenant's connection to the handler, and takes it back.
pub(crate) async fn session(State(app): State<App>, mut request: Request<Body>, next: Next) -> Response {
    let Some(context) = request.extensions().get::<TenantContext>().cloned() else {
        return ApiError::internal().into_response();
    };
    let Ok(db) = app.db(&context).await else { return ApiError::internal().into_response() };
    request.extensions_mut().insert(db.clone());
    let response = next.run(request).await;
    if let Db::Schema(pinned) = &db {
        pinned.close().await;
    }
    response
}

/// Keeps what the request logs.
pub(crate) async fn logged(State(app): State<App>, request: Request<Body>, next: Next) -> Response {
    next.run(request).with_subscriber(app.0.logs.dispatch.clone()).await
}

/// What the benign variants do around every request.
pub(crate) async fn harmless(State(app): State<App>, request: Request<Body>, next: Next) -> Response {
    if app.bug(Variant::B07) && is_limited(&app, &request) {
        return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "later").into_response();
    }
    if app.bug(Variant::B10) && request.method() == Method::GET {
        let mut again = Request::new(Body::empty());
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        let first = next.clone().run(request).await;
        return if first.status().is_server_error() {
            next.run(again).await
        } else {
            repeated(first, again, next).await
        };
    }
    let mut response = next.run(request).await;
    if app.bug(Variant::B05) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
        let headers = response.headers_mut();
        headers.insert("x-server-time", HeaderValue::from(u64::try_from(now).unwrap_or_default()));
        let id = Uuid::new_v4().to_string();
        headers.insert("x-request-id", HeaderValue::try_from(id).expect("a UUID is a header value"));
    }
    response
}

/// The first answer was good; the second one is the one that arrives.
async fn repeated(first: Response, again: Request<Body>, next: Next) -> Response {
    let second = next.run(again).await;
    if second.status().is_success() { second } else { first }
}

/// Every fourth request to the last tenant's host is one too many.
fn is_limited(app: &App, request: &Request<Body>) -> bool {
    let Some(last) = app.tenants().last() else { return false };
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| host.starts_with(&*last.slug)) {
        return false;
    }
    let mut served = lock(&app.0.served);
    *served += 1;
    served.is_multiple_of(4)
}
