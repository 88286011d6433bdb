//! [`Placements`]: from a tenant to the connection that reaches its rows, wherever they are.

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::DbErr;
use tenancy_core::{Placement, TenantContext};

use crate::connection::TenantConnection;
use crate::error::{Error, ErrorKind};
#[cfg(feature = "postgres")]
use crate::pools::PoolRegistry;
use crate::tenancy::{Place, Tenancy};

/// Every place in which tenants' rows can be, by the names that their placements use.
///
/// The handler does not know where its tenant is: it holds a [`TenantConnection`]. Small tenants share tables, others
/// have a schema or a database, on any of several servers; the catalog's record says which, so that one tenant can be
/// moved. A name that is not configured is refused.
///
/// # Examples
///
/// ```no_run
/// # async fn example(context: tenancy_core::TenantContext) -> Result<(), Box<dyn std::error::Error>> {
/// use sea_orm::Database;
/// use tenancy_seaorm::{Placements, Policy, Tenancy};
///
/// let policy = Policy::builder().owned_table("orders").build()?;
/// let tenancy = async |url: &str| Ok::<_, Box<dyn std::error::Error>>(Tenancy::new(Database::connect(url).await?, policy.clone())?);
/// let placements = Placements::new(tenancy("postgres://main/shop").await?)
///     .with_replica(tenancy("postgres://standby/shop").await?)
///     .with_shard("eu", tenancy("postgres://eu/shop").await?)
///     .with_database("globex", tenancy("postgres://globex/shop").await?);
///
/// let db = placements.connect(&context).await?; // whichever it is
/// let report = placements.read_only(&context).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Placements(Arc<Sites>);

#[derive(Clone, Debug)]
struct Sites {
    primary: HashMap<Site, Tenancy>,
    replica: HashMap<Site, Tenancy>,
    #[cfg(feature = "postgres")]
    registry: Option<PoolRegistry>,
}

/// Databases and shards have names of their own: one name can be both.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Site {
    Default,
    Shard(Box<str>),
    Database(Box<str>),
}

impl Placements {
    /// Takes the default server: that of tenants whose placement names no shard.
    pub fn new(default: Tenancy) -> Self {
        let sites = Sites {
            primary: HashMap::from([(Site::Default, default)]),
            replica: HashMap::new(),
            #[cfg(feature = "postgres")]
            registry: None,
        };
        Self(Arc::new(sites))
    }

    /// Adds a read replica of the default server.
    pub fn with_replica(self, replica: Tenancy) -> Self {
        self.with(true, Site::Default, replica)
    }

    /// Adds the shard `name`; one of that name is replaced.
    pub fn with_shard(self, name: &str, shard: Tenancy) -> Self {
        self.with(false, Site::Shard(name.into()), shard)
    }

    /// Adds a read replica of the shard `name`.
    pub fn with_shard_replica(self, name: &str, replica: Tenancy) -> Self {
        self.with(true, Site::Shard(name.into()), replica)
    }

    /// Adds the database `name`, of one tenant alone; one of that name is replaced.
    pub fn with_database(self, name: &str, database: Tenancy) -> Self {
        self.with(false, Site::Database(name.into()), database)
    }

    /// Adds a read replica of the database `name`.
    pub fn with_database_replica(self, name: &str, replica: Tenancy) -> Self {
        self.with(true, Site::Database(name.into()), replica)
    }

    /// Leases connections to the shards and databases that are not named here from `registry`, under its one budget.
    ///
    /// Statements on them are scoped by the default server's policy. A tenant's schema is set in each transaction; for
    /// sessions, and for row-level security beyond that in transactions, name the shard here.
    #[cfg(feature = "postgres")]
    pub fn with_registry(mut self, registry: PoolRegistry) -> Self {
        Arc::make_mut(&mut self.0).registry = Some(registry);
        self
    }

    /// Returns a connection to the rows of `context`'s tenant, for one request or job.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Placement`] if its shard or database is not configured, or its schema does not exist;
    /// [`ErrorKind::Inactive`] if the tenant is not active; sea-orm's own errors if no connection is to be had.
    pub async fn connect(&self, context: &TenantContext) -> Result<TenantConnection, DbErr> {
        self.reach(false, context).await
    }

    /// Returns a connection to a read replica of where `context`'s tenant is.
    ///
    /// It goes through the same guards as the primary (SCH-24). Where no replica is configured it is refused: reads are
    /// not sent to the primary instead.
    ///
    /// # Errors
    ///
    /// As [`Placements::connect`].
    pub async fn read_only(&self, context: &TenantContext) -> Result<TenantConnection, DbErr> {
        self.reach(true, context).await
    }

    async fn reach(&self, replica: bool, context: &TenantContext) -> Result<TenantConnection, DbErr> {
        let shard = |name: &str| Site::Shard(name.into());
        let (site, place) = match context.placement() {
            Placement::Row => (Site::Default, Place::Row),
            Placement::Shard { shard: name } => (shard(name), Place::Row),
            Placement::Schema { schema, shard: None } => (Site::Default, Place::Schema(schema)),
            Placement::Schema { schema, shard: Some(name) } => (shard(name), Place::Schema(schema)),
            Placement::Database { database } => (Site::Database(database.as_str().into()), Place::Row),
            _ => return Err(unknown("of a kind that this version does not know").into()),
        };
        let sites = if replica { &self.0.replica } else { &self.0.primary };
        if let Some(tenancy) = sites.get(&site) {
            return tenancy.connect_at(context, place).await;
        }
        #[cfg(feature = "postgres")]
        if let (Some(registry), false) = (&self.0.registry, site == Site::Default) {
            let lease = if replica {
                registry.lease_replica(context).await?
            } else {
                registry.lease(context).await?
            };
            return Ok(self.0.primary[&Site::Default].leased(context, place, lease)?);
        }
        Err(unknown(if replica { "no read replica of it is configured" } else { "it is not configured" })
            .into())
    }

    fn with(mut self, replica: bool, site: Site, tenancy: Tenancy) -> Self {
        let sites = Arc::make_mut(&mut self.0);
        let list = if replica { &mut sites.replica } else { &mut sites.primary };
        list.insert(site, tenancy);
        self
    }
}

fn unknown(hint: &'static str) -> Error {
    Error::new(ErrorKind::Placement, "the tenant's shard or database", hint)
}
