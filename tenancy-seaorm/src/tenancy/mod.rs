//! [`Tenancy`]: the one owner of the database connection.

#[cfg(feature = "postgres")]
mod lease;
#[cfg(feature = "postgres")]
mod link;
#[cfg(feature = "postgres")]
mod options;
mod place;
#[cfg(feature = "postgres")]
mod session;

use std::fmt;
use std::sync::Arc;

use sea_orm::DbErr;
use sea_orm::{DatabaseConnection, DatabaseConnectionType};
use tenancy_core::TenantContext;

#[cfg(feature = "postgres")]
pub(crate) use self::lease::Leases;
pub(crate) use self::place::Place;
use crate::conduit::{Link, LinkKind, Way};
use crate::connection::{TenantConnection, inactive};
use crate::danger::Capability;
use crate::error::{Error, ErrorKind};
use crate::policy::{Dialect, LeakyPredicates, Policy};
use crate::rewrite::{Addressing, Rewriter};
use crate::schema::SchemaName;
#[cfg(feature = "postgres")]
use crate::session::{Between, Pooling, SessionOptions, Shelf};

/// The owner of a database connection, who hands out connections that see one tenant.
///
/// The raw connection is moved in and does not come out again: whoever holds it bypasses everything.
#[derive(Clone)]
pub struct Tenancy {
    db: DatabaseConnection,
    policy: Arc<Policy>,
    rewriter: Rewriter,
    /// The way of the tenants whose rows are in shared tables.
    rows: Arc<Way>,
    /// For databases of which nothing is known but that they are connected to.
    #[cfg(feature = "postgres")]
    bare: Rewriter,
    /// For tenants with a schema of their own.
    schemas: Schemas,
    /// Row-level security was found in force on every owned table.
    walled: bool,
    /// What is told to a connection outside of a transaction does not stay there.
    pooler: bool,
    #[cfg(feature = "postgres")]
    shelf: Option<Arc<Shelf>>,
    /// What is known of the way to the server, if that is PostgreSQL.
    #[cfg(feature = "postgres")]
    between: Option<Arc<Between>>,
    /// What its capability, if one was made, points to.
    seal: Arc<()>,
}

#[derive(Clone)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "only PostgreSQL has a schema for a tenant")
)]
struct Schemas {
    rewriter: Rewriter,
    way: Arc<Way>,
    addressing: Addressing,
    roles: bool,
}

/// The connection is left out: it knows the database's address.
impl fmt::Debug for Tenancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenancy").field("dialect", &self.rewriter.dialect()).finish_non_exhaustive()
    }
}

impl Tenancy {
    /// Takes `db`, whose statements are scoped as `policy` says.
    ///
    /// [`LeakyPredicates::SecondWall`] counts for nothing until [`Tenancy::with_row_security`] has found the wall.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the database is of a kind that cannot be scoped,
    /// or not connected.
    pub fn new(db: DatabaseConnection, policy: Policy) -> Result<Self, Error> {
        if matches!(db.inner, DatabaseConnectionType::Disconnected) {
            return Err(Error::new(ErrorKind::Policy, "a connection", "connect to a database first"));
        }
        let dialect = Dialect::of(db.get_database_backend())?;
        let careful = Policy { leaky: unwalled(&policy), ..policy.clone() };
        let rewriter = Rewriter::new(&careful, dialect);
        let rows = Way::to(db.clone(), Some(rewriter.clone()));
        let schemas = Schemas {
            rewriter: Rewriter::addressing(&careful, dialect, Addressing::Path),
            way: Arc::clone(&rows),
            addressing: Addressing::Path,
            roles: false,
        };
        #[cfg(feature = "postgres")]
        let between = between(&db, None);
        #[cfg(feature = "postgres")]
        let shelf = shelf(between.as_ref(), &policy, SessionOptions::default());
        let tenancy = Self {
            db,
            policy: Arc::new(policy),
            #[cfg(feature = "postgres")]
            bare: rewriter.clone(),
            rewriter,
            rows,
            schemas,
            walled: false,
            pooler: false,
            #[cfg(feature = "postgres")]
            shelf,
            #[cfg(feature = "postgres")]
            between,
            seal: Arc::new(()),
        };
        Ok(tenancy.laid())
    }

    /// Lays the ways anew, after something about them changed.
    fn laid(mut self) -> Self {
        let way = |rewriter: &Rewriter| {
            Arc::new(Way {
                db: self.db.clone(),
                rewriter: Some(rewriter.clone()),
                #[cfg(feature = "postgres")]
                between: self.unstated(),
                #[cfg(feature = "postgres")]
                _lease: None,
            })
        };
        (self.rows, self.schemas.way) = (way(&self.rewriter), way(&self.schemas.rewriter));
        self
    }

    /// Takes `db` like [`Tenancy::new`], and makes the one capability to go around its scope.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`](crate::ErrorKind::Policy) if the database is of a kind that cannot be scoped,
    /// or not connected.
    pub fn with_capability(db: DatabaseConnection, policy: Policy) -> Result<(Self, Capability), Error> {
        let tenancy = Self::new(db, policy)?;
        let capability = Capability { seal: Arc::clone(&tenancy.seal) };
        Ok((tenancy, capability))
    }

    /// Returns a connection that sees the rows of `context`'s tenant, and global tables.
    ///
    /// Pass it where `&DatabaseConnection` went before. It refuses every statement once the tenant is no longer active,
    /// and for a tenant whose rows are placed in another database or on another server.
    ///
    /// Each statement takes any connection of the pool. On PostgreSQL, where the server has to be told the tenant (for
    /// row-level security, or for its schema), a statement outside of a transaction runs in one of its own: two more
    /// round trips, which [`Tenancy::session`] saves.
    #[inline]
    pub fn tenant(&self, context: &TenantContext) -> TenantConnection {
        match Place::on_the_default_server(context) {
            Some(place) => self.unpinned(context, place),
            None => self.pooled(context).misplaced(),
        }
    }

    /// Returns the connection that suits the tenant: a session where the server has to be told the tenant and keeps
    /// what it is told, and any connection of the pool otherwise.
    ///
    /// # Errors
    ///
    /// As [`Tenancy::session`]; returns [`ErrorKind::Placement`] at once if the tenant's rows are elsewhere.
    pub async fn connect(&self, context: &TenantContext) -> Result<TenantConnection, DbErr> {
        self.connect_at(context, Place::on_the_default_server(context).ok_or_else(elsewhere)?).await
    }

    pub(crate) async fn connect_at(
        &self,
        context: &TenantContext,
        place: Place<'_>,
    ) -> Result<TenantConnection, DbErr> {
        if !context.is_still_active() {
            return Err(inactive().into());
        }
        #[cfg(feature = "postgres")]
        {
            let searched = matches!(place, Place::Schema(_)) && self.schemas.addressing == Addressing::Path;
            if (searched || self.walled) && !self.pooler && self.shelf.is_some() {
                return self.pinned(context, place).await;
            }
        }
        if let Place::Schema(schema) = place {
            SchemaName::new(schema)?;
        }
        Ok(self.unpinned(context, place))
    }

    #[inline]
    fn unpinned(&self, context: &TenantContext, place: Place<'_>) -> TenantConnection {
        match place {
            Place::Row => TenantConnection::new(self.row_link(context), context.clone()),
            Place::Schema(schema) => self.schema_connection(context, schema),
        }
    }

    /// Any connection of the pool, without a word to the server about the tenant.
    #[inline]
    fn pooled(&self, context: &TenantContext) -> TenantConnection {
        TenantConnection::new(Link::new(&self.rows, LinkKind::Pool), context.clone())
    }

    pub(crate) fn granted(&self, capability: &Capability) -> bool {
        Arc::ptr_eq(&self.seal, &capability.seal)
    }

    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    pub(crate) fn is_behind_transaction_pooler(&self) -> bool {
        self.pooler
    }

    /// Returns the rewriter that every connection of this tenancy uses.
    pub fn rewriter(&self) -> &Rewriter {
        &self.rewriter
    }

    #[cfg(not(feature = "postgres"))]
    fn row_link(&self, _: &TenantContext) -> Link {
        Link::new(&self.rows, LinkKind::Pool)
    }

    #[cfg(not(feature = "postgres"))]
    fn schema_connection(&self, context: &TenantContext, _: &str) -> TenantConnection {
        let _ = (&self.schemas, &self.policy, self.walled, self.pooler, SchemaName::new);
        self.pooled(context).misplaced()
    }
}

pub(crate) fn elsewhere() -> Error {
    let hint = "its rows are not where this connection reaches; use the connection of its placement";
    Error::new(ErrorKind::Placement, "the tenant's placement", hint)
}

/// What a policy may count on where no second wall was found.
fn unwalled(policy: &Policy) -> LeakyPredicates {
    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    if policy.mutant == Some(crate::Mutant::AssumedWall) {
        return policy.leaky;
    }
    match policy.leaky {
        LeakyPredicates::SecondWall => LeakyPredicates::Refuse,
        other => other,
    }
}

#[cfg(feature = "postgres")]
fn between(db: &DatabaseConnection, stated: Option<Pooling>) -> Option<Arc<Between>> {
    let postgres = matches!(db.inner, DatabaseConnectionType::SqlxPostgresPoolConnection(_));
    postgres.then(|| Between::new(db.get_postgres_connection_pool().clone(), stated))
}

#[cfg(feature = "postgres")]
fn shelf(between: Option<&Arc<Between>>, policy: &Policy, options: SessionOptions) -> Option<Arc<Shelf>> {
    Some(Shelf::new(Arc::clone(between?), !policy.functions.is_empty(), options))
}
