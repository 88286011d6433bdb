//! The way around: access to more than one tenant's rows. Nothing outside of this module offers it.
//!
//! It takes a [`Capability`], which only whoever makes the [`Tenancy`] can hand out, and a reason. Each
//! use emits an audit event: a `tracing` event at level `WARN` with the target `tenancy::audit`.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use sea_orm::{DatabaseConnection, DbErr};
use tenancy_core::{Tenant, TenantContext, TenantId};

#[cfg(feature = "postgres")]
use crate::conduit::Conduit;
use crate::connection::TenantConnection;
#[cfg(feature = "postgres")]
use crate::connection::TenantSession;
use crate::error::{Error, ErrorKind};
use crate::tenancy::Tenancy;

/// The right to go around isolation on one [`Tenancy`].
///
/// [`Tenancy::with_capability`] makes it, once, together with the tenancy. Hold it where administrators' code is wired
/// up; do not put it into the state that request handlers share.
pub struct Capability {
    pub(crate) seal: Arc<()>,
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capability")
    }
}

/// A connection that sees every tenant's rows.
///
/// It dereferences to sea-orm's own connection. Do not keep it longer than the work that its reason names.
pub struct Unscoped {
    db: DatabaseConnection,
}

impl Deref for Unscoped {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.db
    }
}

impl fmt::Debug for Unscoped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unscoped")
    }
}

/// Returns the connection without any scope, for what `reason` says.
///
/// # Errors
///
/// Returns [`ErrorKind::Unscoped`] if `capability` is another tenancy's, or if `reason` is empty.
///
/// # Examples
///
/// ```
/// # async fn example(db: sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use sea_orm::ConnectionTrait;
/// use tenancy_seaorm::{Policy, Tenancy, danger};
///
/// let (tenancy, capability) = Tenancy::with_capability(db, Policy::builder().build()?)?;
/// let all = danger::unscoped(&tenancy, &capability, "nightly billing roll-up")?;
/// all.execute_unprepared("DELETE FROM expired_sessions").await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn unscoped(tenancy: &Tenancy, capability: &Capability, reason: &'static str) -> Result<Unscoped, Error> {
    audit(tenancy, capability, "unscoped", reason)?;
    Ok(Unscoped { db: tenancy.db().clone() })
}

/// A session's connection without any scope, for as long as the session is borrowed.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub struct UnscopedSession<'a>(&'a TenantSession);

/// Returns `session`'s connection without any scope, for what `reason` says: an advisory lock, or a temporary table.
///
/// The connection is closed when the session ends, whatever was done with it: nobody can know what it was.
///
/// # Errors
///
/// Returns [`ErrorKind::Unscoped`] if `capability` is another tenancy's, or if `reason` is empty, or if `session` is
/// not one that [`Tenancy::session`] gave.
#[cfg(feature = "postgres")]
pub async fn unscoped_session<'a>(
    tenancy: &Tenancy,
    capability: &Capability,
    session: &'a TenantSession,
    reason: &'static str,
) -> Result<UnscopedSession<'a>, DbErr> {
    audit(tenancy, capability, "unscoped session", reason)?;
    let Some(pinned) = session.inner().pinned() else {
        return Err(Error::new(ErrorKind::Unscoped, "a connection of the pool", "take a session").into());
    };
    pinned.taint().await?;
    Ok(UnscopedSession(session))
}

#[cfg(feature = "postgres")]
#[async_trait::async_trait]
impl sea_orm::ConnectionTrait for UnscopedSession<'_> {
    fn get_database_backend(&self) -> sea_orm::DbBackend {
        sea_orm::DbBackend::Postgres
    }

    async fn execute_raw(&self, statement: sea_orm::Statement) -> Result<sea_orm::ExecResult, DbErr> {
        self.0.inner().execute(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<sea_orm::ExecResult, DbErr> {
        self.execute_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql)).await
    }

    async fn query_one_raw(
        &self,
        statement: sea_orm::Statement,
    ) -> Result<Option<sea_orm::QueryResult>, DbErr> {
        self.0.inner().query_one(statement).await
    }

    async fn query_all_raw(&self, statement: sea_orm::Statement) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
        self.0.inner().query_all(statement).await
    }
}

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
            Err(_) => Err(Error::new(
                ErrorKind::Inactive,
                "the tenant",
                "it is not active, and nothing may run for it",
            )
            .into()),
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

#[track_caller]
fn audit(
    tenancy: &Tenancy,
    capability: &Capability,
    what: &'static str,
    reason: &'static str,
) -> Result<(), Error> {
    if !tenancy.granted(capability) {
        let hint = "use the capability that was made with this tenancy";
        return Err(Error::new(ErrorKind::Unscoped, "a capability of another tenancy", hint));
    }
    if reason.trim().is_empty() {
        return Err(Error::new(
            ErrorKind::Unscoped,
            "no reason",
            "say why more than one tenant's rows are needed",
        ));
    }
    let place = Location::caller();
    tracing::warn!(target: "tenancy::audit", access = what, reason, file = place.file(), line = place.line(), "unscoped access");
    Ok(())
}
