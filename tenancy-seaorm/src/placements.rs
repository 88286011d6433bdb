//! [`Placements`]: from a tenant to the connection that reaches its rows, wherever they are.

use std::collections::HashMap;
use std::sync::Arc;

use sea_orm::DbErr;
use tenancy_core::{Placement, TenantContext};

use crate::connection::TenantConnection;
#[cfg(feature = "postgres")]
use crate::connection::TenantSession;
use crate::error::{Error, ErrorKind};
#[cfg(feature = "postgres")]
use crate::pools::PoolRegistry;
#[cfg(feature = "postgres")]
use crate::rls::IdType;
#[cfg(feature = "postgres")]
use crate::session::Pooling;
#[cfg(feature = "postgres")]
use crate::tenancy::Leases;
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
    #[cfg(feature = "postgres")]
    leases: Leases,
}

/// How long a connection is the tenant's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tenure {
    /// For a session where that is needed, and for each statement otherwise.
    Suitable,
    #[cfg(feature = "postgres")]
    Session,
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
            #[cfg(feature = "postgres")]
            leases: Leases::default(),
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
    /// Statements on them are scoped by the default server's policy. A tenant's schema is set in each transaction, unless
    /// [`Placements::with_registry_pooling`] says that a connection keeps what it is told. Behind a pooler in transaction
    /// mode, state that there too.
    #[cfg(feature = "postgres")]
    pub fn with_registry(mut self, registry: PoolRegistry) -> Self {
        Arc::make_mut(&mut self.0).registry = Some(registry);
        self
    }

    /// States what is between this program and the servers that the registry leads to; it is not found out, because that
    /// takes connections beyond the budget. Unstated, it is taken for what was stated of the default server, and
    /// [`Placements::session`] is refused there.
    ///
    /// With [`Pooling::Session`], tenants whose server has to be told who they are get a connection that is told once, as
    /// from [`Tenancy::connect`]. With [`Pooling::Transaction`], every statement runs in a transaction, and none is
    /// prepared by name, as with [`Tenancy::behind_transaction_pooler`].
    #[cfg(feature = "postgres")]
    pub fn with_registry_pooling(mut self, pooling: Pooling) -> Self {
        Arc::make_mut(&mut self.0).leases.pooling = Some(pooling);
        self
    }

    /// Makes row-level security the second wall of every tenant whose rows are in the tables of a leased shard or
    /// database, as [`Tenancy::with_row_security`] does on the default server.
    ///
    /// It is looked for when a database is reached for the first time. Where it does not stand nobody is let in.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(default: tenancy_seaorm::Tenancy, registry: tenancy_seaorm::PoolRegistry, context: tenancy_core::TenantContext) -> Result<(), sea_orm::DbErr> {
    /// use tenancy_seaorm::Placements;
    /// use tenancy_seaorm::rls::IdType;
    /// use tenancy_seaorm::session::Pooling;
    ///
    /// let placements = Placements::new(default)
    ///     .with_registry(registry)
    ///     .with_registry_pooling(Pooling::Session)
    ///     .with_registry_row_security(IdType::BigInt);
    /// let session = placements.session(&context).await?; // told the tenant once, and cleaned before the next one
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "postgres")]
    pub fn with_registry_row_security(mut self, id: IdType) -> Self {
        let sites = Arc::make_mut(&mut self.0);
        sites.leases = sites.primary[&Site::Default].wall_of_leases(sites.leases.clone(), id);
        self
    }

    /// Returns a connection to the rows of `context`'s tenant, for one request or job.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Placement`] if its shard or database is not configured, or its schema does not exist;
    /// [`ErrorKind::Inactive`] if the tenant is not active; sea-orm's own errors if no connection is to be had.
    pub async fn connect(&self, context: &TenantContext) -> Result<TenantConnection, DbErr> {
        self.reach(false, context, Tenure::Suitable).await
    }

    /// Returns a connection to the rows of `context`'s tenant that is pinned for one request or job, wherever they are;
    /// see [`Tenancy::session`].
    ///
    /// On a leased connection, the lease lasts as long as the session, and until the connection is clean again.
    ///
    /// # Errors
    ///
    /// As [`Placements::connect`], and as [`Tenancy::session`]; [`ErrorKind::Connection`] on a leased connection whose
    /// server nothing was said of by [`Placements::with_registry_pooling`].
    #[cfg(feature = "postgres")]
    pub async fn session(&self, context: &TenantContext) -> Result<TenantSession, DbErr> {
        self.reach(false, context, Tenure::Session).await
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
        self.reach(true, context, Tenure::Suitable).await
    }

    async fn reach(
        &self,
        replica: bool,
        context: &TenantContext,
        tenure: Tenure,
    ) -> Result<TenantConnection, DbErr> {
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
            return match tenure {
                Tenure::Suitable => tenancy.connect_at(context, place).await,
                #[cfg(feature = "postgres")]
                Tenure::Session => tenancy.session_at(context, place).await,
            };
        }
        #[cfg(feature = "postgres")]
        if let (Some(registry), false) = (&self.0.registry, site == Site::Default) {
            let lease = if replica {
                registry.lease_replica(context).await?
            } else {
                registry.lease(context).await?
            };
            let (default, pinned) = (&self.0.primary[&Site::Default], tenure == Tenure::Session);
            return default.leased(context, place, lease, &self.0.leases, pinned).await;
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
