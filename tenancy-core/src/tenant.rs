//! The tenant record: who it is, whether it may be served, where its rows live.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::lineage::Lineage;
use crate::{Domain, Ended, Error, ErrorKind, TenantId, TenantKey, TenantSlug};

/// Where a tenant stands in its life. Deleted tenants have no record at all.
///
/// | status | served | told to an entitled caller |
/// |---|---|---|
/// | `Provisioning` | no | 503, not ready yet |
/// | `Active` | yes | |
/// | `Suspended` | no | 403, suspended |
/// | `Maintenance` | no | 503 with `Retry-After` |
/// | `Cancelled` | no | 404, as to everybody |
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TenantStatus {
    /// Being set up: its schema or database may not be complete.
    Provisioning,
    /// The one status that is served.
    Active,
    /// Locked by the operator, with its data kept.
    Suspended,
    /// Out of service for a while, such as for a move or a restore.
    Maintenance,
    /// Has left; its data awaits deletion.
    Cancelled,
}

impl TenantStatus {
    /// Returns whether requests and jobs of the tenant may run.
    #[must_use]
    #[inline]
    pub fn is_active(self) -> bool {
        self == Self::Active
    }

    /// Returns the status as it is stored, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Maintenance => "maintenance",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for TenantStatus {
    type Err = Error;

    /// Reads a stored status.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidTenant`] for every other text: an unknown status is not "active" (DIR-15).
    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Self::Provisioning, Self::Active, Self::Suspended, Self::Maintenance, Self::Cancelled];
        all.into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| Error::new(ErrorKind::InvalidTenant, "unknown tenant status"))
    }
}

/// Where a tenant's rows live.
///
/// Names are checked where they are used: by the crate that opens the schema or the database.
#[derive(Clone, Debug, Default, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "model")]
#[non_exhaustive]
pub enum Placement {
    /// In shared tables, told apart by the tenant column.
    #[default]
    #[doc(alias = "pool")]
    Row,
    /// In shared tables of a named shard.
    Shard {
        /// The shard's name in the service's configuration.
        shard: SmolStr,
    },
    /// In a schema of its own, on the default server or a named shard.
    #[doc(alias = "bridge")]
    Schema {
        /// The schema's name.
        schema: SmolStr,
        /// The shard's name in the service's configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard: Option<SmolStr>,
    },
    /// In a database of its own.
    #[doc(alias = "silo")]
    Database {
        /// The database's name in the service's configuration: not a URL, so that a record holds no password.
        database: SmolStr,
    },
}

/// One of a tenant's own domains, and whether requests to it are served.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TenantDomain {
    /// The domain.
    pub domain: Domain,
    /// What a request to it gets.
    #[serde(flatten)]
    pub state: DomainState,
}

/// What a request to a tenant's domain gets.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
#[non_exhaustive]
pub enum DomainState {
    /// Claimed, but nobody has proven that it belongs to the tenant: not resolvable (DIR-12).
    Pending,
    /// Proven: requests to it are the tenant's.
    Verified,
    /// Left for another domain of the same tenant: requests are redirected there, until a date if one is given.
    Moved {
        /// Where requests are sent.
        to: Domain,
        /// When the redirect ends and the domain becomes unknown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<SystemTime>,
    },
}

/// A customer whose data is kept apart.
///
/// A record never changes: a catalog replaces it by a newer one and marks the old one with [`Tenant::is_superseded`].
///
/// # Examples
///
/// ```
/// use tenancy_core::{Domain, Tenant, TenantId, TenantStatus};
///
/// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?)
///     .with_name("Acme Corporation")
///     .with_plan("business")
///     .with_domain(Domain::new("shop.acme.example")?)
///     .build()?;
/// assert_eq!(acme.status(), TenantStatus::Active);
/// # Ok::<_, tenancy_core::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(into = "TenantBuilder", try_from = "TenantBuilder")]
pub struct Tenant {
    id: TenantId,
    slug: TenantSlug,
    status: TenantStatus,
    superseded: AtomicBool,
    lineage: Arc<Lineage>,
    version: u64,
    domains: Box<[TenantDomain]>,
    /// What few requests read lives behind one pointer, so that a million plain tenants stay small.
    details: Option<Box<Details>>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Details {
    name: Option<Box<str>>,
    plan: Option<SmolStr>,
    region: Option<SmolStr>,
    placement: Placement,
    retry_after: Option<Duration>,
    settings: serde_json::Map<String, serde_json::Value>,
}

impl Tenant {
    /// Starts a tenant that is active, in shared tables, with no domain of its own.
    pub fn builder(id: TenantId, slug: TenantSlug) -> TenantBuilder {
        TenantBuilder {
            id,
            slug,
            status: TenantStatus::Active,
            version: 0,
            name: None,
            plan: None,
            region: None,
            placement: Placement::Row,
            retry_after: None,
            domains: Vec::new(),
            settings: serde_json::Map::new(),
        }
    }

    /// Returns the permanent id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// Returns the renameable slug.
    #[must_use]
    pub fn slug(&self) -> &TenantSlug {
        &self.slug
    }

    /// Returns where the tenant stands in its life.
    #[must_use]
    #[inline]
    pub fn status(&self) -> TenantStatus {
        self.status
    }

    /// Returns the name that people read; the slug if none was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.details.as_ref().and_then(|details| details.name.as_deref()).unwrap_or(self.slug.as_str())
    }

    /// Returns the plan that the tenant is on.
    #[must_use]
    pub fn plan(&self) -> Option<&str> {
        self.details.as_ref()?.plan.as_deref()
    }

    /// Returns the region that the tenant's data must stay in.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.details.as_ref()?.region.as_deref()
    }

    /// Returns where the tenant's rows live.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        self.details.as_ref().map_or(&Placement::Row, |details| &details.placement)
    }

    /// Returns how long callers are asked to wait while the tenant is in maintenance.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.details.as_ref()?.retry_after
    }

    /// Returns the tenant's own domains, verified or not.
    #[must_use]
    pub fn domains(&self) -> &[TenantDomain] {
        &self.domains
    }

    /// Returns the record's version: of two records of one tenant, the greater is the newer.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns whether a catalog has since replaced or removed this record, so that a long-lived holder looks again.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// Returns whether the tenant is active by what its catalog knows now, not when this record was made.
    ///
    /// One atomic load: cheap enough to ask before every frame of a stream.
    #[must_use]
    #[inline]
    pub fn is_still_active(&self) -> bool {
        self.lineage.is_active()
    }

    pub(crate) fn ended(&self) -> Ended {
        Ended::new(Arc::clone(&self.lineage))
    }

    /// Marks the record as replaced or removed, with nothing known of a successor: until one is linked by
    /// [`Tenant::succeeding`], holders of the record find it inactive. Called by catalogs; it cannot be undone.
    pub fn supersede(&self) {
        self.lineage.set(None);
        self.superseded.store(true, Ordering::Release);
    }

    /// Returns this record linked as the successor of `old`, so that holders of `old`, and of what came before it, see
    /// the new status. Called by catalogs before they hand the record out.
    #[must_use]
    pub fn succeeding(mut self: Arc<Self>, old: &Tenant) -> Arc<Self> {
        // Where somebody holds the new record already, he keeps a copy that is outside the line.
        Arc::make_mut(&mut self).lineage = Arc::clone(&old.lineage);
        old.lineage.set(Some(self.status));
        old.superseded.store(true, Ordering::Release);
        self
    }

    /// Returns the record at the beginning of a line of its own: a catalog that holds another's records marks them
    /// without a say in what the other one's holders see.
    pub(crate) fn detached(mut self: Arc<Self>) -> Arc<Self> {
        let own = Arc::make_mut(&mut self);
        own.lineage = Arc::new(Lineage::new(own.status));
        own.superseded = AtomicBool::new(false);
        self
    }

    /// Returns the setting `name` as a `T`, or `None` if it is not set.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidTenant`] if the setting is of another type.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tenancy_core::{Tenant, TenantId};
    /// let acme = Tenant::builder(TenantId::integer(1)?, "acme".parse()?).with_setting("seats", 25).build()?;
    /// assert_eq!(acme.setting::<u32>("seats")?, Some(25));
    /// assert_eq!(acme.setting::<u32>("trial_days")?, None);
    /// assert!(acme.setting::<bool>("seats").is_err());
    /// # Ok::<_, tenancy_core::Error>(())
    /// ```
    pub fn setting<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let value = self.details.as_ref().and_then(|details| details.settings.get(name));
        value
            .map(T::deserialize)
            .transpose()
            .map_err(|_| Error::new(ErrorKind::InvalidTenant, "the setting is of another type"))
    }

    /// Returns whether `key` names this tenant: by its id, its present slug, or a domain of it that is verified.
    #[must_use]
    #[inline]
    pub fn answers_to(&self, key: &TenantKey<'_>) -> bool {
        match key {
            TenantKey::Id(id) => self.id == *id,
            TenantKey::Slug(slug) => self.slug == *slug,
            TenantKey::Domain(name) => {
                self.domain(name).is_some_and(|domain| matches!(domain.state, DomainState::Verified))
            }
        }
    }

    /// Returns the tenant's domain called `name`, in canonical form.
    #[must_use]
    #[inline]
    pub fn domain(&self, name: &str) -> Option<&TenantDomain> {
        self.domains.iter().find(|domain| domain.domain.as_str() == name)
    }

    /// Returns a builder that holds what this record holds, to make its successor: with the next version.
    pub fn to_builder(&self) -> TenantBuilder {
        let details = self.details.as_deref().cloned().unwrap_or_default();
        TenantBuilder {
            id: self.id.clone(),
            slug: self.slug.clone(),
            status: self.status,
            version: self.version + 1,
            name: details.name.map(String::from),
            plan: details.plan,
            region: details.region,
            placement: details.placement,
            retry_after: details.retry_after,
            domains: self.domains.to_vec(),
            settings: details.settings,
        }
    }
}

impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.version == other.version
            && self.slug == other.slug
            && self.status == other.status
            && self.domains == other.domains
            && self.details == other.details
    }
}

impl Eq for Tenant {}

/// Shows identity and state, and none of the settings, which may hold secrets (CORE-20).
impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("id", &self.id)
            .field("slug", &self.slug)
            .field("status", &self.status)
            .field("version", &self.version)
            .field("placement", self.placement())
            .finish_non_exhaustive()
    }
}

/// Collects the parts of a [`Tenant`].
#[derive(Clone, Serialize, Deserialize)]
#[must_use]
pub struct TenantBuilder {
    id: TenantId,
    slug: TenantSlug,
    status: TenantStatus,
    #[serde(default)]
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plan: Option<SmolStr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<SmolStr>,
    #[serde(default)]
    placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    domains: Vec<TenantDomain>,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    settings: serde_json::Map<String, serde_json::Value>,
}

impl TenantBuilder {
    /// Sets the status (default: active).
    pub fn with_status(mut self, status: TenantStatus) -> Self {
        self.status = status;
        self
    }

    /// Sets the slug, to rename the tenant.
    pub fn with_slug(mut self, slug: TenantSlug) -> Self {
        self.slug = slug;
        self
    }

    /// Sets the version (default: 0, or the next one from [`Tenant::to_builder`]).
    pub fn with_version(mut self, version: u64) -> Self {
        self.version = version;
        self
    }

    /// Sets the name that people read.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the plan that the tenant is on.
    pub fn with_plan(mut self, plan: impl Into<SmolStr>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Sets the region that the tenant's data must stay in.
    pub fn with_region(mut self, region: impl Into<SmolStr>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets where the tenant's rows live (default: in shared tables).
    pub fn with_placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Sets how long callers are asked to wait during maintenance.
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Adds a verified domain.
    pub fn with_domain(self, domain: Domain) -> Self {
        self.with_domain_state(domain, DomainState::Verified)
    }

    /// Adds a domain in the given state, or changes the state of one that is there.
    pub fn with_domain_state(mut self, domain: Domain, state: DomainState) -> Self {
        self.domains.retain(|known| known.domain != domain);
        self.domains.push(TenantDomain { domain, state });
        self
    }

    /// Takes a domain away.
    pub fn without_domain(mut self, domain: &Domain) -> Self {
        self.domains.retain(|known| known.domain != *domain);
        self
    }

    /// Sets a setting of the tenant; [`Tenant::setting`] reads it with its type.
    pub fn with_setting(mut self, name: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Returns the tenant, behind the one pointer that everybody shares.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidTenant`] if a domain is internal to a network (TWR-22) or stands there twice, or if
    /// a moved domain points at one that the tenant does not serve.
    pub fn build(self) -> Result<Arc<Tenant>, Error> {
        self.try_into().map(Arc::new)
    }

    fn check_domains(&self) -> Result<(), Error> {
        let fail = |reason| Err(Error::new(ErrorKind::InvalidTenant, reason));
        for (at, TenantDomain { domain, state }) in self.domains.iter().enumerate() {
            if domain.is_internal() {
                return fail("a domain of a tenant is not internal to a network");
            }
            if self.domains[..at].iter().any(|other| other.domain == *domain) {
                return fail("a domain stands there twice");
            }
            let DomainState::Moved { to, .. } = state else { continue };
            let verified = |other: &TenantDomain| other.domain == *to && other.state == DomainState::Verified;
            if !self.domains.iter().any(verified) {
                return fail("a moved domain points at a verified domain of the same tenant");
            }
        }
        Ok(())
    }
}

impl TryFrom<TenantBuilder> for Tenant {
    type Error = Error;

    fn try_from(builder: TenantBuilder) -> Result<Self, Error> {
        builder.check_domains()?;
        let TenantBuilder {
            id,
            slug,
            status,
            version,
            name,
            plan,
            region,
            placement,
            retry_after,
            domains,
            settings,
        } = builder;
        let name = name.map(String::into_boxed_str);
        let details = Details { name, plan, region, placement, retry_after, settings };
        let details = (details != Details::default()).then(|| Box::new(details));
        let (superseded, lineage) = (AtomicBool::new(false), Arc::new(Lineage::new(status)));
        Ok(Self { id, slug, status, superseded, lineage, version, domains: domains.into(), details })
    }
}

impl From<Tenant> for TenantBuilder {
    fn from(tenant: Tenant) -> Self {
        tenant.to_builder().with_version(tenant.version)
    }
}

impl Clone for Tenant {
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            slug: self.slug.clone(),
            status: self.status,
            superseded: AtomicBool::new(self.is_superseded()),
            lineage: Arc::clone(&self.lineage),
            version: self.version,
            domains: self.domains.clone(),
            details: self.details.clone(),
        }
    }
}

impl fmt::Debug for TenantBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantBuilder")
            .field("id", &self.id)
            .field("slug", &self.slug)
            .finish_non_exhaustive()
    }
}
