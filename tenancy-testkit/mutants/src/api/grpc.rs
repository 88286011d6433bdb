//! The same orders by gRPC: `orders.Orders/Show`, on the same state and behind the same layers.

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::{Request, StatusCode};
use tonic::server::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::orders;
use super::request::{ApiError, Tenant};
use crate::App;

/// Which order.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OrderId {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
}

/// An order.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Order {
    #[prost(int64, tag = "1")]
    pub(crate) id: i64,
    #[prost(string, tag = "2")]
    pub(crate) status: String,
    #[prost(string, tag = "3")]
    pub(crate) note: String,
}

/// Shows an order.
pub(crate) async fn show(State(app): State<App>, request: Request<Body>) -> Response {
    let (mut parts, body) = request.into_parts();
    let tenant = match Tenant::from_request_parts(&mut parts, &app).await {
        Ok(Tenant(tenant)) => tenant,
        Err(error) => return Status::from(error).into_http::<tonic::body::Body>().map(Body::new),
    };
    let mut grpc = Grpc::new(ProstCodec::<Order, OrderId>::default());
    let service = tower::service_fn(move |request: tonic::Request<OrderId>| {
        let tenant = tenant.clone();
        async move {
            let order = orders::find(&tenant, request.into_inner().id).await?;
            let text = |field: &str| order[field].as_str().unwrap_or_default().to_owned();
            let id = order["id"].as_i64().unwrap_or_default();
            Ok::<_, Status>(tonic::Response::new(Order { id, status: text("status"), note: text("note") }))
        }
    });
    grpc.unary(service, Request::from_parts(parts, body)).await.map(Body::new)
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let code = match error.status {
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::CONFLICT => Code::AlreadyExists,
            _ => Code::Internal,
        };
        Self::new(code, error.detail)
    }
}
