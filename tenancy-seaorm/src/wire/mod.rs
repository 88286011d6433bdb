//! A PostgreSQL connection that is taken out of its pool and kept, and what is known about its state.
//!
//! sea-orm's own transaction cannot be told the tenant in its BEGIN, nor a connection be kept outside of one. So
//! statements go to sqlx's connection directly. Whatever happens, a [`Wire`] ends in one of three ways: it goes back
//! proven clean, it is cleaned first, or it is closed.

mod held;
mod local;
mod pinned;
mod restore;
mod settings;

use std::sync::Arc;

use futures_util::TryStreamExt;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, PgConnection, Postgres};
use sea_orm::{DbErr, ExecResult, QueryResult, RuntimeErr, Statement, TransactionOptions, Values};
use sea_query_sqlx::SqlxValues;
use tokio::runtime::Handle;

pub(crate) use self::held::Held;
pub(crate) use self::local::{Local, acquire};
pub(crate) use self::pinned::Pinned;
pub(crate) use self::restore::{Origin, to_pool, to_shelf};
pub(crate) use self::settings::Settings;
use crate::error::{Error, ErrorKind};
use crate::pools::PooledDatabase;
use crate::session::Shelf;

/// Where a connection goes when nobody uses it any more.
pub(crate) enum Home {
    /// Back to its pool. What it was told ended with its transaction.
    Pool,
    /// Onto the shelf, still set to its tenant.
    Shelf { shelf: Arc<Shelf>, settings: Settings, origin: Origin },
    /// Back to the registry that leased it, as it was before.
    Lease { lease: PooledDatabase, origin: Origin },
}

/// One connection, and what is known about its state.
pub(crate) struct Wire {
    conn: Option<Held>,
    home: Home,
    /// Transactions and savepoints that are open on the server.
    depth: u32,
    /// The depth to go back to before anything else: a transaction was dropped.
    unwind: Option<u32>,
    /// A statement failed, so that the open transaction can only be rolled back.
    aborted: bool,
    /// A statement was begun whose end nobody saw.
    busy: bool,
    /// BEGIN, COMMIT or the like was begun whose end nobody saw: it is not known what is open.
    lost: bool,
    /// The last answer was an error; something may still come from the server.
    unsure: bool,
    /// Somebody ran statements that were not scoped.
    tainted: bool,
    /// Statements are prepared without a name; see [`Settings::unnamed`].
    unnamed: bool,
}

impl Wire {
    /// `unnamed`: nothing is prepared by name, see [`Settings::unnamed`].
    pub(crate) fn new(conn: Held, home: Home, unnamed: bool) -> Self {
        Self {
            conn: Some(conn),
            home,
            depth: 0,
            unwind: None,
            aborted: false,
            busy: false,
            lost: false,
            unsure: false,
            tainted: false,
            unnamed,
        }
    }

    fn conn(&mut self) -> &mut PgConnection {
        self.conn.as_mut().expect("a wire has its connection until it is dropped")
    }

    pub(crate) fn taint(&mut self) {
        self.tainted = true;
    }

    fn query(&self, statement: Statement) -> sqlx::query::Query<'static, Postgres, SqlxValues> {
        let values = statement.values.unwrap_or_else(|| Values(Vec::new()));
        sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values)).persistent(!self.unnamed)
    }

    async fn execute(&mut self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.busy = true;
        let result = self.query(statement).execute(self.conn()).await;
        self.seen(&result);
        Ok(result.map_err(|error| DbErr::Exec(runtime(error)))?.into())
    }

    /// The first row. The others are read too: an error among them must not reach whoever comes next (SCH-11).
    async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.busy = true;
        let mut rows = self.query(statement).fetch(self.conn());
        let result = async {
            let first = rows.try_next().await?;
            while rows.try_next().await?.is_some() {}
            Ok(first)
        };
        let result = result.await;
        drop(rows);
        self.seen(&result);
        Ok(result.map_err(|error| DbErr::Query(runtime(error)))?.map(Into::into))
    }

    async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.busy = true;
        let result = self.query(statement).fetch_all(self.conn()).await;
        self.seen(&result);
        let rows = result.map_err(|error| DbErr::Query(runtime(error)))?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Notes the end of a statement: after an error of another kind than the server's, nothing is known.
    fn seen<T>(&mut self, result: &Result<T, sqlx::Error>) {
        match result {
            Ok(_) => (self.busy, self.unsure) = (false, false),
            Err(sqlx::Error::Database(error)) => {
                (self.busy, self.unsure) = (false, true);
                self.aborted = self.depth > 0;
                // "cached plan must not change result type": a prepared statement met a schema of another version, and
                // would fail there for as long as the connection lives (SCH-21).
                self.tainted |= error.code().as_deref() == Some("0A000");
            }
            Err(_) => {}
        }
    }

    /// Opens a transaction, or a savepoint in the one that is open. `settings` follow BEGIN in the same message.
    async fn begin(&mut self, options: &TransactionOptions, settings: &str) -> Result<u32, DbErr> {
        let mut modes = String::new();
        if let Some(level) = options.isolation_level {
            modes += &format!(" ISOLATION LEVEL {level}");
        }
        if let Some(mode) = options.access_mode {
            modes += &format!(" {mode}");
        }
        let sql = match (self.depth, modes.as_str()) {
            (0, modes) => format!("BEGIN{modes}{settings}"),
            (depth, "") => format!("SAVEPOINT tenancy_{}", depth + 1),
            (depth, modes) => format!("SAVEPOINT tenancy_{}; SET TRANSACTION{modes}", depth + 1),
        };
        self.control(sql, false).await?;
        self.depth += 1;
        self.forget_names().await?;
        Ok(self.depth)
    }

    /// Forgets names that somebody else gave to statements on this connection: sqlx runs what it knows by name under that
    /// name, whatever it is asked for, and the server that answers now may know another statement by it.
    async fn forget_names(&mut self) -> Result<(), DbErr> {
        if !self.unnamed || self.conn().cached_statements_size() == 0 {
            return Ok(());
        }
        self.busy = true;
        let forgotten = self.conn().clear_cached_statements().await;
        self.busy = forgotten.is_err();
        forgotten.map_err(|error| DbErr::Exec(runtime(error)))
    }

    async fn commit(&mut self) -> Result<(), DbErr> {
        if self.aborted {
            self.rollback_to(self.depth - 1).await?;
            let hint = "a statement in it failed; it was rolled back";
            return Err(Error::new(ErrorKind::Connection, "COMMIT of a failed transaction", hint).into());
        }
        match self.depth {
            0 => {}
            1 => {
                self.control("COMMIT".to_owned(), true).await?;
                self.depth = 0;
            }
            depth => {
                self.control(format!("RELEASE SAVEPOINT tenancy_{depth}"), false).await?;
                self.depth = depth - 1;
            }
        }
        Ok(())
    }

    async fn rollback_to(&mut self, depth: u32) -> Result<(), DbErr> {
        if self.depth > depth {
            let sql = match depth {
                0 => "ROLLBACK".to_owned(),
                _ => {
                    let name = format!("tenancy_{}", depth + 1);
                    format!("ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
                }
            };
            self.control(sql, false).await?;
            (self.depth, self.aborted) = (depth, false);
        }
        self.unwind = None;
        Ok(())
    }

    /// Rolls back what a dropped transaction left open.
    async fn settle(&mut self) -> Result<(), DbErr> {
        match self.unwind {
            Some(depth) => self.rollback_to(depth).await,
            None => Ok(()),
        }
    }

    /// Runs transaction control. `ends`: the transaction is over even if the server answers with an error.
    async fn control(&mut self, sql: String, ends: bool) -> Result<(), DbErr> {
        (self.busy, self.lost) = (true, true);
        let result = sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.conn()).await;
        match &result {
            Ok(_) => (self.busy, self.lost, self.unsure) = (false, false, false),
            Err(sqlx::Error::Database(_)) if ends => {
                (self.busy, self.lost, self.unsure) = (false, false, true);
                (self.depth, self.aborted) = (0, false);
            }
            Err(_) => {}
        }
        result.map(drop).map_err(|error| DbErr::Exec(runtime(error)))
    }

    /// Lets a transaction that was dropped be rolled back before anything else happens.
    fn abandon(&mut self, level: u32) {
        if level > 0 && self.depth >= level {
            self.unwind = Some(self.unwind.map_or(level - 1, |depth| depth.min(level - 1)));
        }
    }
}

/// Nothing that could be dirty goes back: a connection that leaves here in no other way is closed, see [`Held`].
impl Drop for Wire {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let home = std::mem::replace(&mut self.home, Home::Pool);
        let Ok(runtime) = Handle::try_current() else { return };
        if self.busy || self.lost || self.tainted {
            return;
        }
        let open = self.depth > 0;
        match home {
            Home::Pool if !open && !self.unsure => conn.give_back(),
            Home::Pool => drop(runtime.spawn(to_pool(conn, open, None))),
            Home::Lease { lease, origin } => drop(runtime.spawn(async move {
                to_pool(conn, open, Some(origin)).await;
                drop(lease);
            })),
            Home::Shelf { shelf, settings, origin } if !open && !self.unsure && !shelf.is_careful() => {
                shelf.put(conn, settings, origin);
            }
            Home::Shelf { shelf, settings, origin } => {
                drop(runtime.spawn(to_shelf(conn, open, shelf, settings, origin)));
            }
        }
    }
}

pub(crate) fn runtime(error: sqlx::Error) -> RuntimeErr {
    RuntimeErr::SqlxError(Arc::new(error))
}
