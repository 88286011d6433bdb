//! The middleware that most people write: a map behind a lock, texts cloned on the way.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use http::header::HOST;

use crate::fixture;

/// What the handler gets.
#[derive(Clone, Debug)]
pub struct TenantInfo {
    /// The tenant's id.
    pub id: String,
    /// The tenant's slug.
    pub slug: String,
    /// What people call the tenant.
    pub name: String,
    /// The tenant's domain.
    pub domain: String,
    /// The tenant's plan.
    pub plan: String,
}

/// The tenants by host.
pub type Tenants = Arc<RwLock<HashMap<String, TenantInfo>>>;

/// Returns `count` tenants.
#[must_use]
pub fn tenants(count: usize) -> Tenants {
    let info = |id: usize| TenantInfo {
        id: id.to_string(),
        slug: fixture::slug(id),
        name: format!("Tenant {id}"),
        domain: fixture::host(id),
        plan: "free".into(),
    };
    Arc::new(RwLock::new((1..=count).map(|id| (fixture::host(id), info(id))).collect()))
}

/// Puts the tenant of the request's host into the request's extensions.
///
/// # Errors
///
/// Returns 400 without a host, 404 for an unknown one, 500 if the lock is poisoned.
pub async fn resolve(
    State(tenants): State<Tenants>,
    mut request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = host.ok_or(StatusCode::BAD_REQUEST)?.to_string();
    let host = host.split(':').next().unwrap_or_default().to_lowercase();
    let tenant = {
        let tenants = tenants.read().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        tenants.get(&host).cloned().ok_or(StatusCode::NOT_FOUND)?
    };
    request.extensions_mut().insert(tenant);
    Ok(next.run(request).await)
}
