//! What may be stated about a database, and how it is used.

use sea_orm::DbErr;

use super::{Tenancy, between, shelf, unwalled};
use crate::policy::Policy;
use crate::rewrite::{Addressing, Rewriter};
use crate::session::{Pooling, SessionOptions};
use crate::wire::Local;

impl Tenancy {
    /// Makes row-level security the second wall of every statement, after it was found in force on every owned table.
    ///
    /// Each statement outside of a session and of a transaction then runs in a transaction of its own, in which the
    /// server is told the tenant: without it there are no rows. A policy with
    /// [`LeakyPredicates::SecondWall`](crate::LeakyPredicates::SecondWall) counts from here on.
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
        self.laid()
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
    /// mode is like none. [`danger::unscoped`](crate::danger::unscoped), whose connection is sea-orm's own and prepares by
    /// name, is refused: use [`danger::unscoped_transaction`](crate::danger::unscoped_transaction).
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
        self.laid()
    }

    /// Names the tables of tenants with their schema in every statement, instead of setting where the connection looks
    /// for them: needs no transaction and no session.
    ///
    /// It costs a text, and a plan, for each tenant on each connection. While they are kept, a tenant that changes with
    /// every request costs next to nothing; a path that changes makes PostgreSQL plan everything anew. sqlx keeps the
    /// last 100 texts: raise that to the number of texts times that of tenants, or it is the slowest of all ways.
    ///
    /// Types of a tenant's schema, such as enums, are not found by their bare names then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(policy: tenancy_seaorm::Policy) -> Result<(), sea_orm::DbErr> {
    /// use sea_orm::{ConnectOptions, Database};
    /// use tenancy_seaorm::Tenancy;
    ///
    /// let mut options = ConnectOptions::new("postgres://app@db.example/shop");
    /// // A thousand tenants, each with a dozen texts: on every connection of the pool.
    /// options.map_sqlx_postgres_opts(|options| options.statement_cache_capacity(12_000));
    /// let tenancy = Tenancy::new(Database::connect(options).await?, policy)?.with_qualified_schemas();
    /// # Ok(())
    /// # }
    /// ```
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
        self.laid()
    }
}
