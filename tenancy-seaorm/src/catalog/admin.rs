//! Changes to the catalog. Each is one transaction that first takes the next version, and so waits for the one before.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};
use tenancy_core::{
    CachedCatalog, Error, ErrorKind, Tenant, TenantBuilder, TenantId, TenantKey, TenantSlug, TenantStatus,
};

use super::change::{Change, conflict};
use super::entity::{claim, domain, tenant};
use super::record::{self, DELETED};
use super::{DatabaseCatalog, unavailable};

/// Makes changes to a [`DatabaseCatalog`]: the control plane's side.
///
/// Changes take turns, and each raises the version of every tenant that it touches to a number that no tenant had
/// before. Where the node's own cache is given, a change counts there when the call returns (DIR-04); the other nodes
/// hear of it through their [`CatalogWatch`](super::CatalogWatch).
///
/// # Examples
///
/// ```no_run
/// use tenancy_core::{CachedCatalog, Tenant, TenantId, TenantStatus};
/// use tenancy_seaorm::catalog::{CatalogAdmin, DatabaseCatalog};
///
/// # async fn example(catalog: CachedCatalog<DatabaseCatalog>) -> Result<(), tenancy_core::Error> {
/// let admin = CatalogAdmin::new(catalog.catalog().clone()).with_cache(catalog);
/// let id = TenantId::integer(1)?;
/// admin.onboard(Tenant::builder(id.clone(), "acme".parse()?)).await?;
///
/// let claim = admin.claim_domain(&id, &"shop.acme.example".parse()?).await?;
/// println!("ask for a TXT record {} with {}", claim.record(), claim.token());
/// // … once it was found:
/// admin.verify_domain(&id, claim.domain(), claim.token()).await?;
///
/// admin.set_status(&id, TenantStatus::Suspended).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CatalogAdmin {
    pub(super) catalog: DatabaseCatalog,
    cache: Option<CachedCatalog<DatabaseCatalog>>,
    pub(super) quarantine: Duration,
    pub(super) claim_time: Duration,
}

impl CatalogAdmin {
    /// Returns the administration of `catalog`.
    #[must_use]
    pub fn new(catalog: DatabaseCatalog) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { catalog, cache: None, quarantine: 30 * DAY, claim_time: 7 * DAY }
    }

    /// Tells `cache` of every change before the call that makes it returns.
    #[must_use]
    pub fn with_cache(mut self, cache: CachedCatalog<DatabaseCatalog>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Sets how long a slug or domain that a tenant gave up is nobody else's (default: 30 days; DIR-03, DIR-14).
    #[must_use]
    pub fn with_quarantine(mut self, time: Duration) -> Self {
        self.quarantine = time;
        self
    }

    /// Sets how long a claim to a domain may wait for its proof (default: 7 days).
    #[must_use]
    pub fn with_claim_time(mut self, time: Duration) -> Self {
        self.claim_time = time;
        self
    }

    /// Adds a tenant, and returns its record. Domains that come with it count as proven by the caller.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::AlreadyTaken`] if the id is or was a tenant's, or if the slug or a domain is another's or
    /// in quarantine; [`ErrorKind::InvalidTenant`] if the record is not valid or a domain is below a base domain;
    /// [`ErrorKind::NotProven`] if a domain is pending; and [`ErrorKind::CatalogUnavailable`] if the database did not
    /// do it. Nothing is changed then.
    pub async fn onboard(&self, tenant: TenantBuilder) -> Result<Arc<Tenant>, Error> {
        let tenant = tenant.build()?;
        let mut change = self.begin().await?;
        if tenant::Entity::find_by_id(tenant.id().to_string())
            .one(&change.tx)
            .await
            .map_err(unavailable)?
            .is_some()
        {
            return Err(Error::new(ErrorKind::AlreadyTaken, "the tenant id is taken"));
        }
        change.check_slug(tenant.id(), tenant.slug()).await?;
        let mut row = record::to_row(&tenant)?;
        row.version = Set(change.version);
        row.insert(&change.tx).await.map_err(conflict)?;
        for known in tenant.domains() {
            self.check_domain(&known.domain)?;
            change.check_free(tenant.id(), &known.domain).await?;
            record::domain_row(&tenant, known)?.insert(&change.tx).await.map_err(conflict)?;
        }
        change.touch(tenant.id()).await?;
        self.finish(change, tenant.id()).await
    }

    /// Changes a tenant's name, plan, region, placement, status or settings; `edit` gets its record as a builder.
    ///
    /// Slug and domains have calls of their own.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::UnknownTenant`] if there is none with this id; [`ErrorKind::InvalidTenant`] if the record is
    /// not valid or `edit` changed the id, the slug or a domain; and [`ErrorKind::CatalogUnavailable`].
    pub async fn update(
        &self,
        id: &TenantId,
        edit: impl FnOnce(TenantBuilder) -> TenantBuilder + Send,
    ) -> Result<Arc<Tenant>, Error> {
        let mut change = self.begin().await?;
        let old = change.tenant(id).await?;
        let new = edit(old.to_builder()).build()?;
        if new.id() != id || new.slug() != old.slug() || new.domains() != old.domains() {
            return Err(Error::new(
                ErrorKind::InvalidTenant,
                "id, slug and domains are not changed by an edit",
            ));
        }
        record::to_row(&new)?.update(&change.tx).await.map_err(conflict)?;
        change.touch(id).await?;
        self.finish(change, id).await
    }

    /// Changes a tenant's status.
    ///
    /// # Errors
    ///
    /// As [`CatalogAdmin::update`].
    pub async fn set_status(&self, id: &TenantId, status: TenantStatus) -> Result<Arc<Tenant>, Error> {
        self.update(id, |tenant| tenant.with_status(status)).await
    }

    /// Gives a tenant another slug. The old one is nobody else's for the time of quarantine (DIR-03).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::AlreadyTaken`] if the slug is another tenant's or in quarantine,
    /// [`ErrorKind::UnknownTenant`], and [`ErrorKind::CatalogUnavailable`].
    pub async fn rename(&self, id: &TenantId, slug: TenantSlug) -> Result<Arc<Tenant>, Error> {
        let mut change = self.begin().await?;
        let old = change.tenant(id).await?;
        if *old.slug() != slug {
            change.check_slug(id, &slug).await?;
            change.reserve("slug", old.slug().as_str(), id, self.quarantine).await?;
            change.set(id, tenant::Column::Slug, Expr::val(slug.as_str())).await?;
        }
        change.touch(id).await?;
        self.finish(change, id).await
    }

    /// Deletes a tenant. Its id is never used again, and its names are nobody else's for the time of quarantine
    /// (DIR-14). Its rows in other tables are not touched.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::UnknownTenant`] and [`ErrorKind::CatalogUnavailable`].
    pub async fn remove(&self, id: &TenantId) -> Result<(), Error> {
        let mut change = self.begin().await?;
        let old = change.tenant(id).await?;
        change.reserve("slug", old.slug().as_str(), id, self.quarantine).await?;
        for known in old.domains() {
            change.reserve("domain", known.domain.as_str(), id, self.quarantine).await?;
        }
        let own = domain::Column::TenantId.eq(id.to_string());
        domain::Entity::delete_many().filter(own).exec(&change.tx).await.map_err(unavailable)?;
        let own = claim::Column::TenantId.eq(id.to_string());
        claim::Entity::delete_many().filter(own).exec(&change.tx).await.map_err(unavailable)?;
        change.set(id, tenant::Column::Slug, Expr::val(None::<String>)).await?;
        change.set(id, tenant::Column::Status, Expr::val(DELETED)).await?;
        change.touch(id).await?;
        self.commit(change).await
    }

    /// Takes the catalog's turn: whoever comes later waits here until this change is over.
    pub(super) async fn begin(&self) -> Result<Change, Error> {
        self.catalog.in_time(Change::begin(&self.catalog.db)).await
    }

    /// Commits, tells the cache, and returns the new record of `id`.
    pub(super) async fn finish(&self, change: Change, id: &TenantId) -> Result<Arc<Tenant>, Error> {
        let tenant = change.tenant(id).await?;
        self.commit(change).await?;
        Ok(tenant)
    }

    pub(super) async fn commit(&self, change: Change) -> Result<(), Error> {
        let committed = change.tx.commit().await.map_err(unavailable);
        let Some(cache) = &self.cache else { return committed };
        for (id, version) in &change.touched {
            match committed {
                Ok(()) => cache.refresh(id, *version).await,
                // Nobody knows whether it was done: what is held may be outdated.
                Err(_) => cache.forget(&TenantKey::Id(id.clone())),
            }
        }
        committed
    }
}
