//! [`Options`]: which variant, and in what surroundings.

use sha2::{Digest, Sha256};

use crate::Variant;

/// What keeps the tenants' rows apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Isolation {
    /// Shared tables with a tenant column: the filter of every statement, and row-level security behind it.
    Row,
    /// A schema for each tenant.
    Schema,
}

/// A tenant of the service, and what its tables hold in the beginning.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TenantSeed {
    /// The permanent id, in the header `x-tenant-id`, in the token's claim and in the tenant column.
    pub id: String,
    /// The label below the base domain.
    pub slug: String,
    /// Whether its tables are empty.
    pub empty: bool,
    /// Which of the sets of rows it has otherwise; sets differ in number and amounts.
    pub set: usize,
}

impl TenantSeed {
    /// Returns the tenant with the `set`-th rows.
    #[must_use]
    pub fn new(id: &str, slug: &str, set: usize) -> Self {
        Self { id: id.to_owned(), slug: slug.to_owned(), empty: false, set }
    }

    /// Empties its tables.
    #[must_use]
    pub fn with_no_rows(mut self) -> Self {
        self.empty = true;
        self
    }

    /// Returns a text that this tenant's rows hold and no other tenant's.
    #[must_use]
    pub fn canary(&self) -> String {
        let digest = Sha256::digest(format!("canary of {}", self.id));
        digest.iter().take(6).fold("cnry".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    }
}

/// The label that the first two tenants' slugs begin with: with `tenant_` before it, 63 bytes.
const LONG: &str = "acme-international-trading-and-logistics-northern-europe";

/// How to start an [`App`](crate::App).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Which build of the service.
    pub variant: Variant,
    /// What keeps the rows apart. The default is the variant's own.
    pub isolation: Isolation,
    /// The most connections of the service's pool. The default is 2.
    pub pool_size: u32,
    /// The tenants. The default is the first two of [`Options::all_tenants`].
    pub tenants: Vec<TenantSeed>,
    /// Whether the pool's connections go through a proxy that can break them. The default is no.
    pub proxied: bool,
}

impl Options {
    /// Returns the defaults for `variant`: two tenants, two connections.
    #[must_use]
    pub fn new(variant: Variant) -> Self {
        let tenants = Self::all_tenants().into_iter().take(2).collect();
        Self { variant, isolation: variant.isolation(), pool_size: 2, tenants, proxied: false }
    }

    /// Returns five tenants: ids that begin alike, slugs that begin alike, the last one empty.
    #[must_use]
    pub fn all_tenants() -> Vec<TenantSeed> {
        vec![
            TenantSeed::new("acme", &format!("{LONG}-a"), 0),
            TenantSeed::new("acme.1", &format!("{LONG}-b"), 1),
            TenantSeed::new("globex", "globex", 2),
            TenantSeed::new("initech", "initech", 3),
            TenantSeed::new("umbrella", "umbrella", 4).with_no_rows(),
        ]
    }

    /// Sets what keeps the rows apart.
    #[must_use]
    pub fn with_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Sets the most connections of the pool.
    #[must_use]
    pub fn with_pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections;
        self
    }

    /// Puts a proxy before the database; [`App::proxy`](crate::App::proxy) is its handle.
    #[must_use]
    pub fn behind_proxy(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Sets the tenants. With one of them alone this is the twin that shows what the tenant's answers should be.
    #[must_use]
    pub fn with_tenants(mut self, tenants: impl IntoIterator<Item = TenantSeed>) -> Self {
        self.tenants = tenants.into_iter().collect();
        self
    }
}
