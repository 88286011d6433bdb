//! What the API answers when it cannot do what was asked: problem documents (RFC 9457).

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sea_orm::DbErr;

#[derive(Debug)]
pub enum ApiError {
    Invalid(String),
    NotFound,
    MethodNotAllowed,
    /// The cause is in the log: it may hold values.
    Internal,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, title, detail) = match self {
            Self::Invalid(detail) => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid request", detail),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "Not found", "There is no such thing, or it is not yours.".into())
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "This resource has no such method.".into(),
            ),
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "Internal error", "Try again later.".into())
            }
        };
        let problem = serde_json::json!({
            "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail,
        });
        let mut response = (status, Json(problem)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> Self {
        tracing::error!(%error, "a statement failed");
        Self::Internal
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    /// An id that is no number is the id of nothing.
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}
