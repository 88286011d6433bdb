//! A catalog in memory: readers take a snapshot and never a lock; a writer copies one shard.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::index::{ByDomain, ById, BySlug, Index};
use super::{ExactName, Lookup, TenantCatalog};
use crate::{
    Domain, DomainState, Error, ErrorKind, Tenant, TenantBuilder, TenantId, TenantKey, TenantStatus,
};

/// All tenants of a service, in memory, with live changes.
///
/// Reading is one hash look-up behind one atomic pointer. A change copies the shards that it touches, so that at a
/// million tenants it takes a fraction of a millisecond and stalls no reader. Each thread that resolves requests keeps the
/// tenants at hand that it found last, up to 128, for as long as their records are the present ones; the record of a
/// tenant that was removed may stay in memory until its thread ends or needs the place.
///
/// # Examples
///
/// ```
/// use tenancy_core::{Lookup, MemoryCatalog, Tenant, TenantCatalog, TenantId, TenantKey, TenantStatus};
///
/// let catalog = MemoryCatalog::new();
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).build()?;
/// catalog.insert(acme)?;
/// catalog.set_status(&TenantId::integer(1)?, TenantStatus::Suspended)?;
///
/// let Lookup::Found(tenant) = catalog.find(&TenantKey::Slug("acme".parse()?)) else { unreachable!() };
/// assert_eq!(tenant.status(), TenantStatus::Suspended);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
pub struct MemoryCatalog {
    ids: Index<ById>,
    slugs: Index<BySlug>,
    domains: Index<ByDomain>,
    policy: MemoryCatalogBuilder,
    /// Writers take turns; readers never look at it. Holds the number of tenants.
    writer: Mutex<usize>,
}

/// Chooses which domains tenants may own; made by [`MemoryCatalog::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MemoryCatalogBuilder {
    base_domains: Vec<Domain>,
    mixed_scripts: bool,
}

impl MemoryCatalogBuilder {
    /// Names the platform's own base domains: no tenant may own them or anything below them (DIR-13).
    pub fn with_base_domains(mut self, bases: impl IntoIterator<Item = Domain>) -> Self {
        self.base_domains.extend(bases);
        self
    }

    /// Admits domains with labels that mix scripts, which are refused by default (TWR-16).
    pub fn with_mixed_scripts(mut self) -> Self {
        self.mixed_scripts = true;
        self
    }

    /// Returns the empty catalog.
    #[must_use]
    pub fn build(self) -> MemoryCatalog {
        MemoryCatalog {
            ids: Index::default(),
            slugs: Index::default(),
            domains: Index::default(),
            policy: self,
            writer: Mutex::new(0),
        }
    }

    fn check(&self, tenant: &Tenant) -> Result<(), Error> {
        for domain in tenant.domains().iter().map(|domain| &domain.domain) {
            if self.base_domains.iter().any(|base| domain.is_within(base)) {
                return Err(Error::new(
                    ErrorKind::InvalidTenant,
                    "a domain of a tenant is not below a base domain",
                ));
            }
            if !self.mixed_scripts && domain.is_mixed_script() {
                return Err(Error::new(ErrorKind::InvalidTenant, "a label of a domain mixes scripts"));
            }
        }
        Ok(())
    }
}

impl MemoryCatalog {
    /// Returns an empty catalog whose tenants may own any public domain.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts a catalog that restricts its tenants' domains.
    pub fn builder() -> MemoryCatalogBuilder {
        MemoryCatalogBuilder::default()
    }

    /// Adds a tenant.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::AlreadyTaken`] if the id, the slug or one of the domains is another tenant's, and
    /// [`ErrorKind::InvalidTenant`] if a domain is not allowed. Nothing is changed then.
    pub fn insert(&self, tenant: Arc<Tenant>) -> Result<(), Error> {
        let mut count = self.lock();
        self.check_new(&tenant)?;
        self.put(None, tenant);
        *count += 1;
        Ok(())
    }

    /// Adds many tenants at once, as at the start of a service: a million in seconds, where one after the other would
    /// copy each shard a thousand times.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`MemoryCatalog::insert`], also where two of `tenants` claim the same name. Nothing is
    /// changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenancy_core::{MemoryCatalog, Tenant, TenantId};
    ///
    /// let catalog = MemoryCatalog::new();
    /// let tenant = |id, slug: &str| Tenant::builder(TenantId::integer(id)?, slug.parse()?).build();
    /// catalog.insert_all([tenant(1, "acme")?, tenant(2, "globex")?])?;
    /// assert!(catalog.insert_all([tenant(3, "initech")?, tenant(4, "acme")?]).is_err());
    /// assert_eq!(catalog.len(), 2);
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    pub fn insert_all(&self, tenants: impl IntoIterator<Item = Arc<Tenant>>) -> Result<(), Error> {
        let mut count = self.lock();
        let tenants: Vec<Arc<Tenant>> = tenants.into_iter().collect();
        let mut names = Names::default();
        for tenant in &tenants {
            self.check_new(tenant)?;
            names.claim(tenant)?;
        }
        self.ids.put_all(tenants.iter().map(|tenant| (tenant.id(), tenant)));
        self.slugs.put_all(tenants.iter().map(|tenant| (tenant.slug().as_str().as_bytes(), tenant)));
        self.domains.put_all(tenants.iter().flat_map(|tenant| {
            tenant.domains().iter().map(move |domain| (domain.domain.as_str().as_bytes(), tenant))
        }));
        *count += tenants.len();
        Ok(())
    }

    /// Adds a tenant, or replaces the record of the same id by this newer one.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Stale`] if the catalog holds a record of the same or a later version (DIR-09), and the
    /// errors of [`MemoryCatalog::insert`] but for the id. Nothing is changed then.
    pub fn upsert(&self, tenant: Arc<Tenant>) -> Result<(), Error> {
        let mut count = self.lock();
        let old = self.by_id(tenant.id());
        if old.as_ref().is_some_and(|old| old.version() >= tenant.version()) {
            return Err(Error::new(ErrorKind::Stale, "the catalog holds a newer record of the tenant"));
        }
        self.check(&tenant)?;
        *count += usize::from(old.is_none());
        self.put(old.as_deref(), tenant);
        Ok(())
    }

    /// Changes a tenant: `change` gets its record as a builder and returns the successor.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::UnknownTenant`] if there is none with this id, and the errors of [`MemoryCatalog::upsert`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use tenancy_core::{MemoryCatalog, Tenant, TenantId};
    /// # let catalog = MemoryCatalog::new();
    /// # let id = TenantId::integer(1)?;
    /// # catalog.insert(Tenant::builder(id.clone(), "acme".parse()?).build()?)?;
    /// let renamed = "acme-corp".parse()?;
    /// catalog.update(&id, |tenant| tenant.with_slug(renamed))?;
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    pub fn update(
        &self,
        id: &TenantId,
        change: impl FnOnce(TenantBuilder) -> TenantBuilder,
    ) -> Result<Arc<Tenant>, Error> {
        let _count = self.lock();
        let old = self.by_id(id).ok_or_else(unknown)?;
        let tenant = change(old.to_builder()).build()?;
        if tenant.id() != id {
            return Err(Error::new(ErrorKind::InvalidTenant, "a tenant id never changes"));
        }
        self.check(&tenant)?;
        Ok(self.put(Some(&*old), tenant))
    }

    /// Changes a tenant's status. When this returns, no later look-up sees the old one.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::UnknownTenant`] if there is none with this id.
    pub fn set_status(&self, id: &TenantId, status: TenantStatus) -> Result<Arc<Tenant>, Error> {
        self.update(id, |tenant| tenant.with_status(status))
    }

    /// Removes a tenant and returns its last record.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::UnknownTenant`] if there is none with this id.
    pub fn remove(&self, id: &TenantId) -> Result<Arc<Tenant>, Error> {
        let mut count = self.lock();
        let old = self.by_id(id).ok_or_else(unknown)?;
        for domain in old.domains() {
            self.domains.remove(domain.domain.as_str().as_bytes());
        }
        self.slugs.remove(old.slug().as_str().as_bytes());
        self.ids.remove(old.id());
        old.supersede();
        *count -= 1;
        Ok(old)
    }

    /// Returns how many tenants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        *self.lock()
    }

    /// Returns whether there are no tenants.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns every tenant, each as it was at some moment during the call.
    #[must_use]
    pub fn tenants(&self) -> Vec<Arc<Tenant>> {
        self.ids.tenants()
    }

    /// Returns the tenant with a verified domain that is `name`, byte for byte, if it is active.
    #[inline(always)]
    pub(crate) fn active_by_domain(&self, name: &[u8]) -> Option<Arc<Tenant>> {
        self.domains.get_if(name, |tenant, at| is_active(tenant, at) && is_verified(tenant, at))
    }

    /// Returns the tenant whose slug is `slug`, byte for byte, if it is active.
    #[inline(always)]
    pub(crate) fn active_by_slug(&self, slug: &[u8]) -> Option<Arc<Tenant>> {
        self.slugs.get_if(slug, is_active)
    }

    /// Returns the tenant with the id `id`, if it is active.
    #[inline(always)]
    pub(crate) fn active_by_id(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.ids.get_if(id, is_active)
    }

    fn by_id(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.ids.get(id)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        // A writer changes the indexes only after every check; a panic before that leaves them whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_new(&self, tenant: &Tenant) -> Result<(), Error> {
        if self.by_id(tenant.id()).is_some() {
            return Err(taken("the tenant id is taken"));
        }
        self.check(tenant)
    }

    fn check(&self, tenant: &Tenant) -> Result<(), Error> {
        self.policy.check(tenant)?;
        let foreign = |found: Option<Arc<Tenant>>| found.is_some_and(|other| other.id() != tenant.id());
        if foreign(self.slugs.get(tenant.slug().as_str().as_bytes())) {
            return Err(taken("the tenant slug is taken"));
        }
        for domain in tenant.domains() {
            if foreign(self.domains.get(domain.domain.as_str().as_bytes())) {
                return Err(taken("the domain is taken"));
            }
        }
        Ok(())
    }

    /// Takes away the names that the tenant no longer has before it adds the new ones: no reader ever finds a name
    /// under two tenants.
    fn put(&self, old: Option<&Tenant>, mut new: Arc<Tenant>) -> Arc<Tenant> {
        if let Some(old) = old {
            new = new.succeeding(old);
            for gone in old.domains().iter().filter(|known| new.domain(known.domain.as_str()).is_none()) {
                self.domains.remove(gone.domain.as_str().as_bytes());
            }
            if old.slug() != new.slug() {
                self.slugs.remove(old.slug().as_str().as_bytes());
            }
        }
        self.ids.put(new.id(), &new);
        self.slugs.put(new.slug().as_str().as_bytes(), &new);
        for domain in new.domains() {
            self.domains.put(domain.domain.as_str().as_bytes(), &new);
        }
        new
    }
}

#[inline(always)]
fn is_active(tenant: &Tenant, _: u32) -> bool {
    tenant.status().is_active()
}

/// Whether the domain number `at` is proven to be the tenant's, and is still its.
#[inline(always)]
fn is_verified(tenant: &Tenant, at: u32) -> bool {
    matches!(tenant.domains()[at as usize].state, DomainState::Verified)
}

/// The names that tenants of one call have claimed.
#[derive(Default)]
struct Names<'a> {
    ids: HashSet<&'a TenantId>,
    slugs: HashSet<&'a str>,
    domains: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn claim(&mut self, tenant: &'a Tenant) -> Result<(), Error> {
        if !self.ids.insert(tenant.id()) {
            return Err(taken("the tenant id is taken"));
        }
        if !self.slugs.insert(tenant.slug().as_str()) {
            return Err(taken("the tenant slug is taken"));
        }
        if !tenant.domains().iter().all(|domain| self.domains.insert(domain.domain.as_str())) {
            return Err(taken("the domain is taken"));
        }
        Ok(())
    }
}

fn taken(reason: &'static str) -> Error {
    Error::new(ErrorKind::AlreadyTaken, reason)
}

fn unknown() -> Error {
    Error::new(ErrorKind::UnknownTenant, "no such tenant")
}

impl TenantCatalog for MemoryCatalog {
    fn find(&self, key: &TenantKey<'_>) -> Lookup {
        let found = match key {
            TenantKey::Id(id) => self.ids.get(id),
            TenantKey::Slug(slug) => self.slugs.get(slug.as_str().as_bytes()),
            TenantKey::Domain(name) => self.domains.get(name.as_bytes()),
        };
        found.map_or(Lookup::Absent, Lookup::Found)
    }

    fn find_exact(&self, name: ExactName<'_>) -> Option<Arc<Tenant>> {
        match name {
            ExactName::Domain(name) => self.domains.get(name),
            ExactName::Slug(name) => self.slugs.get(name),
            ExactName::Id(id) => self.ids.get(id),
        }
    }

    fn into_memory(self: Arc<Self>) -> Option<Arc<MemoryCatalog>> {
        Some(self)
    }
}

impl Default for MemoryCatalog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCatalog").field("tenants", &self.len()).finish_non_exhaustive()
    }
}
