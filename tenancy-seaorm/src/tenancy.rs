//! [`Tenancy`]: the one owner of the database connection.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "postgres")]
use sea_orm::DbBackend;
use sea_orm::DbErr;
use sea_orm::{DatabaseConnection, DatabaseConnectionType};
use tenancy_core::{Placement, TenantContext};

use crate::conduit::Link;
#[cfg(feature = "postgres")]
use crate::conduit::LinkKind;
#[cfg(feature = "postgres")]
use crate::connection::TenantSession;
use crate::connection::{TenantConnection, inactive};
use crate::danger::Capability;
use crate::error::{Error, ErrorKind};
use crate::policy::{Dialect, LeakyPredicates, Policy};
#[cfg(feature = "postgres")]
use crate::pools::PooledDatabase;
use crate::rewrite::{Addressing, Rewriter};
use crate::schema::SchemaName;
#[cfg(feature = "postgres")]
use crate::session::{Between, Pooling, SessionOptions, SessionStats, Shelf};
#[cfg(feature = "postgres")]
use crate::wire::{Local, Pinned, Settings};

/// The owner of a database connection, who hands out connections that see one tenant.
///
/// The raw connection is moved in and does not come out again: whoever holds it bypasses everything.
#[derive(Clone)]
pub struct Tenancy {
    db: DatabaseConnection,
    policy: Arc<Policy>,
    rewriter: Rewriter,
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
        let schemas = Schemas {
            rewriter: Rewriter::addressing(&careful, dialect, Addressing::Path),
            addressing: Addressing::Path,
            roles: false,
        };
        #[cfg(feature = "postgres")]
        let between = between(&db, None);
        #[cfg(feature = "postgres")]
        let shelf = shelf(between.as_ref(), &policy, SessionOptions::default());
        Ok(Self {
            db,
            policy: Arc::new(policy),
            #[cfg(feature = "postgres")]
            bare: rewriter.clone(),
            rewriter,
            schemas,
            walled: false,
            pooler: false,
            #[cfg(feature = "postgres")]
            shelf,
            #[cfg(feature = "postgres")]
            between,
            seal: Arc::new(()),
        })
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
    pub fn tenant(&self, context: &TenantContext) -> TenantConnection {
        match Place::on_the_default_server(context) {
            Some(place) => self.unpinned(context, place),
            None => {
                TenantConnection::new(Link::pool(self.db.clone()), context.clone(), self.rewriter.clone())
                    .misplaced()
            }
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

    fn unpinned(&self, context: &TenantContext, place: Place<'_>) -> TenantConnection {
        match place {
            Place::Row => {
                TenantConnection::new(self.row_link(context), context.clone(), self.rewriter.clone())
            }
            Place::Schema(schema) => self.schema_connection(context, schema),
        }
    }

    pub(crate) fn granted(&self, capability: &Capability) -> bool {
        Arc::ptr_eq(&self.seal, &capability.seal)
    }

    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Returns the rewriter that every connection of this tenancy uses.
    pub fn rewriter(&self) -> &Rewriter {
        &self.rewriter
    }

    #[cfg(not(feature = "postgres"))]
    fn row_link(&self, _: &TenantContext) -> Link {
        Link::pool(self.db.clone())
    }

    #[cfg(not(feature = "postgres"))]
    fn schema_connection(&self, context: &TenantContext, _: &str) -> TenantConnection {
        let _ = (&self.schemas, &self.policy, self.walled, self.pooler, SchemaName::new);
        TenantConnection::new(Link::pool(self.db.clone()), context.clone(), self.rewriter.clone()).misplaced()
    }
}

#[cfg(feature = "postgres")]
impl Tenancy {
    /// Returns a connection that is pinned for one request or job: told once who the tenant is, and where its tables
    /// are, and good for any number of statements and transactions.
    ///
    /// A tenant gets the connection that it had before when that is free, without a round trip; another one takes one.
    /// Dropped, the connection waits for the tenant's next session. One that is not known to be clean (a future was
    /// dropped before the server had answered, a task panicked, statements ran past the scope) is closed and never
    /// used again; one whose last statement failed, or whose transaction was left open, is cleaned first.
    ///
    /// Statements run one at a time. While a transaction is open on it, the session itself refuses statements.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Placement`](crate::ErrorKind::Placement) if the tenant's rows are elsewhere or its schema
    /// does not exist; [`ErrorKind::Inactive`](crate::ErrorKind::Inactive) if the tenant is not active;
    /// [`ErrorKind::Connection`](crate::ErrorKind::Connection) if there is a pooler in transaction mode, or if the
    /// database is not PostgreSQL; sea-orm's own errors if no connection is to be had.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(tenancy: tenancy_seaorm::Tenancy, context: tenancy_core::TenantContext) -> Result<(), sea_orm::DbErr> {
    /// use sea_orm::{ConnectionTrait, TransactionTrait};
    ///
    /// let session = tenancy.session(&context).await?;
    /// session.execute_unprepared("UPDATE orders SET total = 0").await?;
    /// let transaction = session.begin().await?;
    /// transaction.execute_unprepared("DELETE FROM orders WHERE total = 0").await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn session(&self, context: &TenantContext) -> Result<TenantSession, DbErr> {
        if !context.is_still_active() {
            return Err(inactive().into());
        }
        self.pinned(context, Place::on_the_default_server(context).ok_or_else(elsewhere)?).await
    }

    async fn pinned(&self, context: &TenantContext, place: Place<'_>) -> Result<TenantSession, DbErr> {
        let shelf = self.shelf.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Connection, "a session", "sessions need PostgreSQL; use Tenancy::tenant")
        })?;
        if self.pooler {
            return Err(crate::session::pooled("a session").into());
        }
        let (settings, rewriter) = match place {
            Place::Row => (Settings::of(context), &self.rewriter),
            Place::Schema(schema) => {
                (self.schema_settings(context, SchemaName::new(schema)?), &self.schemas.rewriter)
            }
        };
        let schema = settings.schema.clone();
        let pinned = Pinned::new(shelf.take(settings).await.map_err(crate::scrub::scrub)?, 0);
        let connection =
            TenantConnection::new(Link(LinkKind::Pinned(pinned)), context.clone(), rewriter.clone());
        Ok(match schema {
            Some(schema) => connection.within_schema(schema),
            None => connection,
        })
    }

    /// Makes row-level security the second wall of every statement, after it was found in force on every owned table.
    ///
    /// Each statement outside of a session and of a transaction then runs in a transaction of its own, in which the
    /// server is told the tenant: without it there are no rows. A policy with [`LeakyPredicates::SecondWall`] counts from
    /// here on.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`](crate::ErrorKind::Policy), with what is missing, if the wall does not stand for the
    /// role of this connection; sea-orm's own errors if the database does not answer.
    pub async fn with_row_security(mut self, id: crate::rls::IdType) -> Result<Self, DbErr> {
        let wall = crate::rls::RowSecurity::new(&self.policy, id);
        if let Some(between) = self.unstated() {
            between.direct("row-level security").await.map_err(crate::scrub::scrub)?;
        }
        match self.is_postgres() {
            true => wall.verify(&Local { db: &self.db, settings: &self.untold() }).await?,
            false => wall.verify(&self.db).await?,
        }
        self.walled = true;
        Ok(self.rebuilt())
    }

    /// Sets how sessions use the pool's connections.
    #[must_use]
    pub fn with_sessions(mut self, options: SessionOptions) -> Self {
        if let Some(pooling) = options.pooling {
            self.between = between(&self.db, Some(pooling));
            self.pooler = pooling == Pooling::Transaction;
        }
        self.shelf = shelf(self.between.as_ref(), &self.policy, options);
        self
    }

    /// Returns what sessions cost so far, or `None` where there are none: sessions need PostgreSQL.
    #[must_use]
    pub fn session_stats(&self) -> Option<SessionStats> {
        self.shelf.as_ref().map(|shelf| shelf.stats())
    }

    /// States that a pooler in transaction mode, such as PgBouncer, is between this program and PostgreSQL.
    ///
    /// Every statement then runs in a transaction, in which the server is told the tenant, and none is prepared by name:
    /// the next transaction may run on a server connection where that name stands for another client's statement.
    /// Nothing has to be set in the pooler or in the URL, and PgBouncer before 1.21, which knows nothing of prepared
    /// statements, will do. Sessions are refused. State it before [`Tenancy::with_row_security`], which asks through the
    /// pooler too.
    ///
    /// Not stated, such a pooler is found out before the first statement, with two connections that are closed again,
    /// and every statement is refused with [`ErrorKind::Connection`](crate::ErrorKind::Connection). A pooler in session
    /// mode is like none. [`danger::unscoped`](crate::danger::unscoped) gives sea-orm's own connection, which prepares
    /// by name: take a tenancy that connects past the pooler for it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(policy: tenancy_seaorm::Policy) -> Result<(), sea_orm::DbErr> {
    /// use tenancy_seaorm::Tenancy;
    /// use tenancy_seaorm::rls::IdType;
    ///
    /// let db = sea_orm::Database::connect("postgres://app@pgbouncer:6432/shop").await?;
    /// let tenancy = Tenancy::new(db, policy)?.behind_transaction_pooler();
    /// let tenancy = tenancy.with_row_security(IdType::BigInt).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn behind_transaction_pooler(mut self) -> Self {
        self.pooler = true;
        self
    }

    /// Names the tables of tenants with their schema in every statement, instead of setting where the connection looks
    /// for them: needs no transaction and no session, and costs a text, and a plan, for each tenant.
    ///
    /// Types of a tenant's schema, such as enums, are not found by their bare names then.
    #[must_use]
    pub fn with_qualified_schemas(mut self) -> Self {
        self.schemas.addressing = Addressing::Qualified;
        self.rebuilt()
    }

    /// Assumes, for a tenant with its own schema, the role that is called as the schema is.
    ///
    /// The application's role must be a member of it, without inheriting its rights (`NOINHERIT`): then nothing but
    /// the tenant whose turn it is can be read, whatever a statement says.
    #[must_use]
    pub fn with_role_per_schema(mut self) -> Self {
        self.schemas.roles = true;
        self
    }

    fn rebuilt(mut self) -> Self {
        let leaky = if self.walled { self.policy.leaky } else { unwalled(&self.policy) };
        let policy = Policy { leaky, ..(*self.policy).clone() };
        let dialect = self.rewriter.dialect();
        self.rewriter = Rewriter::new(&policy, dialect);
        // Row-level security guards shared tables; a schema's tables are one tenant's.
        let policy = Policy { leaky: unwalled(&self.policy), ..policy };
        self.schemas.rewriter = Rewriter::addressing(&policy, dialect, self.schemas.addressing);
        self
    }

    fn is_postgres(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    fn row_link(&self, context: &TenantContext) -> Link {
        let db = self.db.clone();
        if !self.is_postgres() {
            return Link::pool(db);
        }
        let settings = Settings { unnamed: self.pooler, ..Settings::of(context) };
        let between = self.unstated();
        Link(if self.walled || self.pooler {
            LinkKind::Local { db, settings, between, _lease: None }
        } else {
            LinkKind::Pool { db, told: Some(settings), between, _lease: None }
        })
    }

    /// A connection to the database that `lease` leads to, of which nothing else is known: no wall, and a pooler where
    /// there is one before the default server.
    pub(crate) fn leased(
        &self,
        context: &TenantContext,
        place: Place<'_>,
        lease: PooledDatabase,
    ) -> Result<TenantConnection, Error> {
        let db = lease.db().clone();
        if db.get_database_backend() != self.db.get_database_backend() {
            return Err(elsewhere());
        }
        let told = || Settings { unnamed: self.pooler, ..Settings::of(context) };
        let (told, lease, between) = (self.is_postgres().then(told), Some(lease), None);
        let Place::Schema(schema) = place else {
            let link = Link(match told {
                Some(settings) if self.pooler => LinkKind::Local { db, settings, between, _lease: lease },
                told => LinkKind::Pool { db, told, between, _lease: lease },
            });
            return Ok(TenantConnection::new(link, context.clone(), self.bare.clone()));
        };
        let name = SchemaName::new(schema)?;
        if told.is_none() {
            return Err(elsewhere());
        }
        let settings = self.schema_settings(context, name.clone());
        let link = Link(LinkKind::Local { db, settings, between, _lease: lease });
        Ok(TenantConnection::new(link, context.clone(), self.schemas.rewriter.clone()).within_schema(name))
    }

    /// What has to be found out before a statement, unless there is a pooler for certain: then all of them are fit for it.
    fn unstated(&self) -> Option<Arc<Between>> {
        self.between.clone().filter(|_| !self.pooler)
    }

    fn untold(&self) -> Settings {
        Settings { tenant: None, schema: None, role: None, unnamed: self.pooler }
    }

    fn schema_connection(&self, context: &TenantContext, schema: &str) -> TenantConnection {
        let name = SchemaName::new(schema).ok().filter(|_| self.is_postgres());
        let Some(name) = name else {
            return TenantConnection::new(
                Link::pool(self.db.clone()),
                context.clone(),
                self.rewriter.clone(),
            )
            .misplaced();
        };
        let (db, settings) = (self.db.clone(), self.schema_settings(context, name.clone()));
        let bare = self.schemas.addressing == Addressing::Qualified && !self.pooler && !self.schemas.roles;
        let between = self.unstated();
        let link = if bare {
            LinkKind::Pool { db, told: Some(settings), between, _lease: None }
        } else {
            LinkKind::Local { db, settings, between, _lease: None }
        };
        TenantConnection::new(Link(link), context.clone(), self.schemas.rewriter.clone()).within_schema(name)
    }

    fn schema_settings(&self, context: &TenantContext, schema: SchemaName) -> Settings {
        let role = self.schemas.roles.then(|| schema.clone());
        Settings { schema: Some(schema), role, unnamed: self.pooler, ..Settings::of(context) }
    }
}

/// Where in a database a tenant's rows are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// In tables that the filter, at least, keeps apart.
    Row,
    /// In a schema of this name.
    Schema(&'a str),
}

impl<'a> Place<'a> {
    fn on_the_default_server(context: &'a TenantContext) -> Option<Self> {
        match context.placement() {
            Placement::Row => Some(Self::Row),
            Placement::Schema { schema, shard: None } => Some(Self::Schema(schema)),
            _ => None,
        }
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
