//! The tenant of a request, as an axum extractor.

use std::ops::Deref;

use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use tenancy_core::TenantContext;

/// The tenant that the request belongs to.
///
/// There is no optional form: a handler outside of the layer, or on a public route, has no tenant, and a handler that
/// asks for one there answers 500 and logs nothing of the request (TWR-51).
///
/// # Examples
///
/// ```
/// use tenancy_tower::CurrentTenant;
///
/// async fn greet(CurrentTenant(tenant): CurrentTenant) -> String {
///     format!("Hello, {}!", tenant.tenant().name())
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(greet));
/// ```
#[derive(Clone, Debug)]
pub struct CurrentTenant(pub TenantContext);

impl Deref for CurrentTenant {
    type Target = TenantContext;

    fn deref(&self) -> &TenantContext {
        &self.0
    }
}

/// The handler runs outside of [`ResolveTenantLayer`](crate::ResolveTenantLayer): a mistake in the service.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NoTenant;

impl IntoResponse for NoTenant {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, "this route has no tenant").into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for CurrentTenant {
    type Rejection = NoTenant;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoTenant> {
        parts.extensions.get().cloned().map(Self).ok_or(NoTenant)
    }
}
