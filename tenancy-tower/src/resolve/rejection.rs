//! What a client is told of a rejection: less than the log.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use tenancy_core::{Rejection, RejectionReason, SignalError, TenantStatus};

/// How the client wants to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Http,
    Grpc,
}

impl Protocol {
    /// gRPC is HTTP/2 with a content type of its own. Nobody else is told "200" of a refused request: something that
    /// asks this service whether to let a request through may look at no more than that.
    pub(super) fn of(version: Version, headers: &HeaderMap) -> Self {
        if version == Version::HTTP_2 && is_grpc(headers) { Self::Grpc } else { Self::Http }
    }
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let rest = value.as_bytes().strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// Returns the HTTP status by which a client learns of `reason`.
#[must_use]
pub fn http_status(reason: RejectionReason) -> StatusCode {
    match reason {
        RejectionReason::Signal(SignalError::InvalidToken) => StatusCode::UNAUTHORIZED,
        RejectionReason::Signal(SignalError::KeysUnavailable) | RejectionReason::Unavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RejectionReason::Host(_)
        | RejectionReason::Signal(_)
        | RejectionReason::NoTenant
        | RejectionReason::UntrustedSignal => StatusCode::BAD_REQUEST,
        RejectionReason::Conflict | RejectionReason::Inactive(TenantStatus::Suspended) => {
            StatusCode::FORBIDDEN
        }
        RejectionReason::Inactive(TenantStatus::Maintenance | TenantStatus::Provisioning) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        RejectionReason::Moved => StatusCode::PERMANENT_REDIRECT,
        // Unknown, somebody else's, or inactive, and whatever is added later: one answer for all (TWR-48).
        _ => StatusCode::NOT_FOUND,
    }
}

/// Returns the gRPC status code by which a client learns of `reason`.
#[must_use]
pub fn grpc_code(reason: RejectionReason) -> u8 {
    match http_status(reason) {
        StatusCode::BAD_REQUEST => 3,          // INVALID_ARGUMENT
        StatusCode::FORBIDDEN => 7,            // PERMISSION_DENIED
        StatusCode::PERMANENT_REDIRECT => 9,   // FAILED_PRECONDITION
        StatusCode::SERVICE_UNAVAILABLE => 14, // UNAVAILABLE
        StatusCode::UNAUTHORIZED => 16,        // UNAUTHENTICATED
        _ => 5,                                // NOT_FOUND
    }
}

/// Returns the answer to a refused request, with the reason in its extensions for outer layers.
pub(super) fn respond(rejection: &Rejection, protocol: Protocol) -> Response<Bytes> {
    report(rejection);
    let reason = rejection.reason();
    let mut response = match protocol {
        Protocol::Http => http_response(rejection),
        Protocol::Grpc => grpc_response(reason),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    response.extensions_mut().insert(reason);
    response
}

fn report(rejection: &Rejection) {
    let _reason = rejection.reason();
    #[cfg(feature = "metrics")]
    metrics::counter!("tenancy_rejections_total", "reason" => _reason.as_str()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: "tenancy::rejection",
        reason = _reason.as_str(),
        cause = std::error::Error::source(rejection),
        "request refused"
    );
}

/// A problem document (RFC 9457).
fn http_response(rejection: &Rejection) -> Response<Bytes> {
    let reason = rejection.reason();
    let status = http_status(reason);
    let (title, detail) = describe(reason, status);
    let text = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}"#,
        status = status.as_u16()
    );
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_token""#));
    }
    if let Some(to) = rejection.redirect_to().and_then(|to| HeaderValue::try_from(to.to_string()).ok()) {
        headers.insert(LOCATION, to);
    }
    response
}

fn describe(reason: RejectionReason, status: StatusCode) -> (&'static str, &'static str) {
    match (reason, status) {
        (RejectionReason::Inactive(TenantStatus::Suspended), _) => {
            ("Tenant suspended", "This tenant is suspended.")
        }
        (RejectionReason::Inactive(TenantStatus::Maintenance), _) => {
            ("Tenant in maintenance", "This tenant is in maintenance. Try again later.")
        }
        (RejectionReason::Inactive(TenantStatus::Provisioning), _) => {
            ("Tenant not ready", "This tenant is being set up. Try again later.")
        }
        (RejectionReason::Host(_), _) => ("Bad host", "The request does not name exactly one valid host."),
        (RejectionReason::Signal(SignalError::Repeated(_)), _) => {
            ("Repeated tenant", "The request names its tenant more than once in one place.")
        }
        (_, StatusCode::UNAUTHORIZED) => ("Invalid token", "The token is not valid."),
        (_, StatusCode::FORBIDDEN) => ("Conflicting tenants", "The request names different tenants."),
        (_, StatusCode::PERMANENT_REDIRECT) => ("Moved", "This host has moved."),
        (_, StatusCode::SERVICE_UNAVAILABLE) => {
            ("Unavailable", "Tenants cannot be looked up now. Try again later.")
        }
        (RejectionReason::Signal(_), _) => ("Malformed tenant", "The request's tenant cannot be read."),
        (_, StatusCode::BAD_REQUEST) => {
            ("Tenant required", "The request does not say which tenant it is for.")
        }
        _ => ("Tenant not found", "There is no such tenant, or it is not yours."),
    }
}

/// A gRPC answer without messages: "Trailers-Only" in the gRPC over HTTP/2 specification.
fn grpc_response(reason: RejectionReason) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = grpc_trailers(reason);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// What ends a gRPC answer.
pub(super) fn grpc_trailers(reason: RejectionReason) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(4);
    let code = HeaderValue::from(u16::from(grpc_code(reason)));
    trailers.insert(HeaderName::from_static("grpc-status"), code);
    let message = HeaderValue::from_static(grpc_message(reason));
    trailers.insert(HeaderName::from_static("grpc-message"), message);
    trailers
}

pub(crate) fn grpc_message(reason: RejectionReason) -> &'static str {
    describe(reason, http_status(reason)).0
}
