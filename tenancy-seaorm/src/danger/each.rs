//! The same work for one tenant after the other.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use sea_orm::DbErr;
use tenancy_core::{Tenant, TenantContext, TenantId};

use super::{Capability, audit};
use crate::connection::{TenantConnection, inactive};
use crate::error::{Error, ErrorKind};
use crate::tenancy::Tenancy;

/// How [`for_each_tenant`] goes from tenant to tenant.
#[derive(Clone, Debug)]
#[must_use]
pub struct ForEach {
    concurrency: usize,
    timeout: Duration,
    excluded: HashSet<TenantId>,
}

impl Default for ForEach {
    /// Four tenants at a time, 30 seconds each, none excluded.
    fn default() -> Self {
        Self { concurrency: 4, timeout: Duration::from_secs(30), excluded: HashSet::new() }
    }
}

impl ForEach {
    /// Sets how many tenants are worked on at a time; at least one is.
    pub fn with_concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants.max(1);
        self
    }

    /// Sets how long the work for one tenant may take.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Leaves out these tenants.
    pub fn with_excluded(mut self, tenants: impl IntoIterator<Item = TenantId>) -> Self {
        self.excluded.extend(tenants);
        self
    }
}

/// What the work for one tenant gave.
#[derive(Debug)]
#[non_exhaustive]
pub struct OfTenant<T> {
    /// Whose result it is.
    pub tenant: Arc<Tenant>,
    /// The work's own result, or that it ran out of time, or that the tenant is not active.
    pub result: Result<T, DbErr>,
}

/// Runs `work` for each of `tenants`, each with a connection that sees that tenant alone.
///
/// A tenant that is listed twice is worked on once. One tenant's failure does not stop the others; results come in
/// the order of `tenants`, and an empty list gives none.
///
/// # Errors
///
/// Returns [`ErrorKind::Unscoped`] if `capability` is another tenancy's, or if `reason` is empty. What goes wrong for
/// one tenant is in its own result: [`ErrorKind::TimedOut`], [`ErrorKind::Inactive`], or the work's error.
pub async fn for_each_tenant<T, F, Fut>(
    tenancy: &Tenancy,
    capability: &Capability,
    tenants: impl IntoIterator<Item = Arc<Tenant>>,
    how: ForEach,
    reason: &'static str,
    work: F,
) -> Result<Vec<OfTenant<T>>, Error>
where
    F: Fn(TenantConnection) -> Fut,
    Fut: Future<Output = Result<T, DbErr>>,
{
    audit(tenancy, capability, "for each tenant", reason)?;
    let mut seen = how.excluded;
    let tenants: Vec<_> = tenants.into_iter().filter(|tenant| seen.insert(tenant.id().clone())).collect();
    let one = async |tenant: Arc<Tenant>| {
        let result = match TenantContext::assertion(Arc::clone(&tenant), reason) {
            Ok(context) => in_time(how.timeout, work(tenancy.tenant(&context))).await,
            Err(_) => Err(inactive().into()),
        };
        OfTenant { tenant, result }
    };
    Ok(stream::iter(tenants).map(one).buffered(how.concurrency).collect().await)
}

async fn in_time<T>(timeout: Duration, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_) => {
            Err(Error::new(ErrorKind::TimedOut, "the work for one tenant", "it took longer than it may")
                .into())
        }
    }
}
