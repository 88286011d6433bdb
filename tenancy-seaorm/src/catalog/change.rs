//! One change to the catalog: a transaction that holds the catalog's turn.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, Set, SqlErr};
use tenancy_core::{Domain, Error, ErrorKind, Tenant, TenantId, TenantKey, TenantSlug};

use super::entity::{counter, domain, reserved, tenant};
use super::{counter_row, record, unavailable};
use crate::conduit::{Link, Unit};
use crate::plain::Plain;

pub(super) struct Change {
    pub(super) tx: Plain<Unit>,
    /// Seconds since 1970.
    pub(super) now: i64,
    /// A version that is this change's own.
    pub(super) version: i64,
    /// Which tenants it changed, and their versions since.
    pub(super) touched: Vec<(TenantId, u64)>,
}

impl Change {
    /// Begins with the statement that locks the catalog's one row: whatever is read afterwards stays true until the end.
    pub(super) async fn begin(db: &Plain<Link>) -> Result<Self, Error> {
        let now = record::to_seconds(SystemTime::now())?;
        let tx = db.begin().await.map_err(unavailable)?;
        let version = next_version(&tx).await?;
        Ok(Self { tx, now, version, touched: Vec::new() })
    }

    pub(super) async fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, Error> {
        let tenant = record::find(&self.tx, &TenantKey::Id(id.clone())).await?;
        tenant.ok_or_else(|| Error::new(ErrorKind::UnknownTenant, "no such tenant"))
    }

    /// Gives a tenant a version above every other: the last thing that is done to it.
    pub(super) async fn touch(&mut self, id: &TenantId) -> Result<(), Error> {
        let version = next_version(&self.tx).await?;
        self.set(id, tenant::Column::Version, Expr::val(version)).await?;
        let version =
            u64::try_from(version).map_err(|_| Error::catalog_unavailable("its version is negative"))?;
        self.touched.push((id.clone(), version));
        Ok(())
    }

    pub(super) async fn set(&self, id: &TenantId, column: tenant::Column, value: Expr) -> Result<(), Error> {
        let one = tenant::Entity::update_many().col_expr(column, value);
        let one = one.filter(tenant::Column::Id.eq(id.to_string()));
        match one.exec(&self.tx).await.map_err(conflict)?.rows_affected {
            1 => Ok(()),
            _ => Err(Error::new(ErrorKind::UnknownTenant, "no such tenant")),
        }
    }

    /// Refuses a slug that is another tenant's, or was until lately.
    pub(super) async fn check_slug(&self, id: &TenantId, slug: &TenantSlug) -> Result<(), Error> {
        let owner = record::find(&self.tx, &TenantKey::Slug(slug.clone())).await?;
        if owner.is_some_and(|owner| owner.id() != id) {
            return Err(Error::new(ErrorKind::AlreadyTaken, "the tenant slug is taken"));
        }
        self.check_reserved("slug", slug.as_str(), id).await
    }

    /// Refuses a domain that is a tenant's, or was another's until lately.
    pub(super) async fn check_free(&self, id: &TenantId, domain: &Domain) -> Result<(), Error> {
        let owner =
            domain::Entity::find_by_id(domain.to_string()).one(&self.tx).await.map_err(unavailable)?;
        if owner.is_some() {
            return Err(Error::new(ErrorKind::AlreadyTaken, "the domain is taken"));
        }
        self.check_reserved("domain", domain.as_str(), id).await
    }

    async fn check_reserved(&self, kind: &str, name: &str, id: &TenantId) -> Result<(), Error> {
        let key = (kind.to_owned(), name.to_owned());
        let reserved = reserved::Entity::find_by_id(key).one(&self.tx).await.map_err(unavailable)?;
        if reserved.is_some_and(|row| row.tenant_id != id.to_string() && row.until > self.now) {
            return Err(Error::new(ErrorKind::AlreadyTaken, "the name was another tenant's until lately"));
        }
        Ok(())
    }

    /// Puts a name that `id` gives up into quarantine.
    pub(super) async fn reserve(
        &self,
        kind: &str,
        name: &str,
        id: &TenantId,
        time: Duration,
    ) -> Result<(), Error> {
        let time = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let row = reserved::ActiveModel {
            kind: Set(kind.to_owned()),
            name: Set(name.to_owned()),
            tenant_id: Set(id.to_string()),
            until: Set(self.now.saturating_add(time)),
        };
        let again = OnConflict::columns([reserved::Column::Kind, reserved::Column::Name])
            .update_columns([reserved::Column::TenantId, reserved::Column::Until])
            .to_owned();
        let insert = reserved::Entity::insert(row).on_conflict(again);
        insert.exec_without_returning(&self.tx).await.map(drop).map_err(unavailable)
    }
}

async fn next_version(tx: &Plain<Unit>) -> Result<i64, Error> {
    let next = Expr::col(counter::Column::Version).add(1);
    let next = counter::Entity::update_many().col_expr(counter::Column::Version, next);
    next.filter(counter::Column::Id.eq(1)).exec(tx).await.map_err(unavailable)?;
    counter_row(tx).await
}

/// A unique key is the second wall behind the checks: it says the same.
pub(super) fn conflict(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            Error::new(ErrorKind::AlreadyTaken, "an id or a name is taken")
        }
        _ => unavailable(error),
    }
}
