//! What every handler gets: the request's tenant, its connection, and its corner of the cache.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tenancy_core::{TenantCache, TenantContext};
use tenancy_seaorm::{Tenancy, TenantConnection};
use tenancy_tower::CurrentTenant;

use super::ApiError;

/// The service's state: neither half of it says anything without a tenant.
#[derive(Clone, Debug)]
pub struct App {
    tenancy: Tenancy,
    answers: TenantCache<Arc<str>>,
}

impl App {
    pub fn new(tenancy: Tenancy) -> Self {
        Self { tenancy, answers: TenantCache::new() }
    }

    /// The cache of answers, for its counters.
    pub fn answers(&self) -> &TenantCache<Arc<str>> {
        &self.answers
    }
}

/// The tenant of the request, and the connection that sees that tenant's rows alone.
pub(super) struct Tenant {
    pub(super) context: TenantContext,
    pub(super) db: TenantConnection,
    answers: TenantCache<Arc<str>>,
}

impl FromRequestParts<App> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let CurrentTenant(context) =
            CurrentTenant::from_request_parts(parts, app).await.map_err(|_| ApiError::Internal)?;
        let db = app.tenancy.tenant(&context);
        Ok(Self { context, db, answers: app.answers.clone() })
    }
}

impl Tenant {
    /// Answers from the cache, or with what `load` returns. An error is answered and not kept.
    pub(super) async fn cached<T: Serialize>(
        &self,
        what: &str,
        which: &str,
        load: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<Response, ApiError> {
        let loaded = AtomicBool::new(false);
        let text: Arc<str> = self
            .answers
            .get_or_load(&self.context, (what, which), |_| async {
                loaded.store(true, Ordering::Relaxed);
                let answer = load.await?;
                serde_json::to_string(&answer).map(Arc::from).map_err(|_| ApiError::Internal)
            })
            .await?;
        let source = if loaded.into_inner() { "miss" } else { "hit" };
        Ok(([(CONTENT_TYPE.as_str(), "application/json"), ("x-cache", source)], text.to_string())
            .into_response())
    }

    /// Forgets this tenant's answers, after a write. Nobody else's are touched.
    pub(super) async fn written(&self) -> Result<(), ApiError> {
        self.answers.flush(self.context.tenant()).await.map_err(|_| ApiError::Internal)
    }
}
