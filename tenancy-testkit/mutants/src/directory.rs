//! [`Directory`]: the tenants, as the control plane's table knows them.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, Row};
use tenancy_core::{
    CachedCatalog, Error, ErrorKind, Lookup, Tenant, TenantCatalog, TenantContext, TenantId, TenantKey,
    TenantStatus,
};

use crate::Variant;

/// How long a tenant, and the absence of one, are remembered.
pub(crate) const REMEMBERED: Duration = Duration::from_millis(200);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// Reads `control.tenants` on every look-up.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pool: PgPool,
}

impl Directory {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Returns the directory with a memory in front of it.
    pub(crate) fn cached(self, variant: Variant) -> Arc<CachedCatalog<Self>> {
        let found = if variant == Variant::M38 { FOR_EVER } else { REMEMBERED };
        let absent = if variant == Variant::M39 { FOR_EVER } else { REMEMBERED };
        Arc::new(CachedCatalog::builder(self).with_ttl(found).with_absent_ttl(absent).build())
    }

    /// Returns the tenant that `column` names, or `None`.
    async fn load(self, column: &'static str, value: String) -> Result<Option<Arc<Tenant>>, Error> {
        let sql = match column {
            "id" => "SELECT id, slug, status, version FROM control.tenants WHERE id = $1",
            _ => "SELECT id, slug, status, version FROM control.tenants WHERE slug = $1",
        };
        let row = sqlx::query(sql).bind(value).fetch_optional(&self.pool).await;
        let row =
            row.map_err(|_| Error::new(ErrorKind::CatalogUnavailable, "the directory did not answer"))?;
        row.map(|row| {
            let (id, slug, status): (String, String, String) = (row.get(0), row.get(1), row.get(2));
            let version: i64 = row.get(3);
            Tenant::builder(id.parse()?, slug.parse()?)
                .with_status(status.parse::<TenantStatus>()?)
                .with_version(version.unsigned_abs())
                .build()
        })
        .transpose()
    }

    /// Returns the context of the tenant `id`, for work outside of a request; `None` if there is no such tenant, or if it
    /// is not active.
    pub(crate) async fn context(
        &self,
        id: &str,
        reason: &'static str,
    ) -> Result<Option<TenantContext>, Error> {
        let id: TenantId = id.parse()?;
        let tenant = self.clone().load("id", id.to_string()).await?;
        Ok(tenant.and_then(|tenant| TenantContext::assertion(tenant, reason).ok()))
    }

    /// Sets the status of the tenant `id`, or forgets it.
    pub(crate) async fn set_status(&self, id: &str, status: Option<&str>) -> Result<bool, sqlx::Error> {
        let query = match status {
            Some(status) => {
                sqlx::query("UPDATE control.tenants SET status = $2, version = version + 1 WHERE id = $1")
                    .bind(id)
                    .bind(status)
            }
            None => sqlx::query("DELETE FROM control.tenants WHERE id = $1").bind(id),
        };
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }
}

impl TenantCatalog for Directory {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        match key {
            TenantKey::Id(id) => Lookup::later(self.clone().load("id", id.to_string())),
            TenantKey::Slug(slug) => Lookup::later(self.clone().load("slug", slug.to_string())),
            _ => Lookup::Absent,
        }
    }
}
