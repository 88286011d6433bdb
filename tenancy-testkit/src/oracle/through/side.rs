//! One database of a pair, by sea-orm.

use std::hash::{DefaultHasher, Hash, Hasher};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, QueryResult};
use sqlx::{Column, Row, ValueRef};
use tenancy_seaorm::DatabaseFault;

use super::super::ddl::{self, Placement};
use super::super::interceptor::bound;
use super::super::run::lane::Outcome;
use super::super::subject::Statement;
use super::super::value::Value;
use super::super::world::World;
use super::sqlite;
use crate::error::Error;
use crate::postgres::{PostgresServer, TestDatabase};

pub(super) struct Side {
    /// Past every wall: as the tables' owner, or as the server's administrator.
    pub(super) db: DatabaseConnection,
    backend: DbBackend,
    /// Dropped after the connection.
    database: Option<TestDatabase>,
}

impl Side {
    /// Opens a database of its own, with the tables and rows of `world`.
    pub(super) async fn open(backend: DbBackend, world: &World, placement: Placement) -> Result<Self, Error> {
        let database = match backend {
            DbBackend::Postgres => Some(PostgresServer::shared().await?.create_database().await?),
            _ => None,
        };
        let url = database.as_ref().map_or("sqlite::memory:", |database| database.owner_url()).to_owned();
        let side = Self { db: connect(url).await?, backend, database };
        let script = match backend {
            DbBackend::Postgres => ddl::create(world, placement),
            _ => sqlite::create(world, placement),
        };
        side.script(&script).await?;
        Ok(side)
    }

    /// Opens a database of PostgreSQL with tables that all tenants share, which this side sees as a whole whatever
    /// row-level security says. They are the owner's.
    pub(super) async fn open_past_the_wall(world: &World) -> Result<Self, Error> {
        let database = PostgresServer::shared().await?.create_database().await?;
        let owner: url::Url = database
            .owner_url()
            .parse()
            .map_err(|_| Error::configuration("the database's URL is not a URL"))?;
        let db = connect(database.admin_url().to_owned()).await?;
        let side = Self { db, backend: DbBackend::Postgres, database: Some(database) };
        let script = ddl::create(world, Placement::Shared);
        side.script(&format!("SET ROLE {}; {script} RESET ROLE", owner.username())).await?;
        Ok(side)
    }

    pub(super) fn database(&self) -> Option<&TestDatabase> {
        self.database.as_ref()
    }

    pub(super) async fn script(&self, sql: &str) -> Result<(), Error> {
        self.db.execute_unprepared(sql).await.map(drop).map_err(failed)
    }

    /// Runs statements whose tables are in `schema`, and nowhere else.
    pub(super) async fn script_in(&self, schema: &str, sql: &str) -> Result<(), Error> {
        self.script(&format!("SET search_path = {schema}; {sql}; RESET search_path")).await
    }

    /// Puts every sequence back; false if this database has none.
    pub(super) async fn restart(&self, world: &World, schema: Option<&str>) -> Result<bool, Error> {
        match (ddl::restart(world), schema) {
            (Some(sql), Some(schema)) => self.script_in(schema, &sql).await.map(|()| true),
            (Some(sql), None) if self.backend == DbBackend::Postgres => {
                self.script(&sql).await.map(|()| true)
            }
            (other, _) => Ok(other.is_none()),
        }
    }

    pub(super) async fn refill(&self, world: &World, placement: Placement) -> Result<(), Error> {
        self.script(&ddl::refill(world, placement)).await
    }

    /// The rows of what stands after FROM, in an order that depends on nothing but them.
    pub(super) async fn rows(&self, from: &str) -> Result<Vec<String>, Error> {
        let statement = sea_orm::Statement::from_string(self.backend, format!("SELECT * FROM {from}"));
        let rows = self.db.query_all_raw(statement).await.map_err(failed)?;
        let mut rows: Vec<_> = rows.iter().map(text).collect();
        rows.sort_unstable();
        Ok(rows)
    }

    /// For each owned table of a twin: count and hash of its rows, all of which are its tenant's.
    pub(super) async fn state(&self, world: &World) -> Result<Vec<String>, Error> {
        let mut lines = Vec::new();
        for (number, table) in world.tables.iter().enumerate().filter(|(_, table)| !table.global) {
            lines.push(line(number, &self.rows(&table.name.sql()).await?, &[]));
        }
        Ok(lines)
    }

    /// True if this is SQLite, and it did not get as far as running the statement.
    pub(super) fn not_understood(&self, outcome: &Outcome) -> bool {
        self.backend == DbBackend::Sqlite && outcome.sqlstate.as_deref() == Some("1")
    }
}

async fn connect(url: String) -> Result<DatabaseConnection, Error> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).min_connections(1).sqlx_logging(false).test_before_acquire(false);
    Database::connect(options).await.map_err(failed)
}

/// What [`compare`](super::super::run::compare::compare) reads of a table: the tenant's rows, and all others.
pub(super) fn line(number: usize, own: &[String], others: &[Vec<String>]) -> String {
    let hash = |rows: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        rows(&mut hasher);
        hasher.finish()
    };
    let count: usize = others.iter().map(Vec::len).sum();
    let (mine, rest) = (hash(&|hasher| own.hash(hasher)), hash(&|hasher| others.hash(hasher)));
    format!("{number} | {} | {mine} | {count} | {rest}", own.len())
}

/// A literal without PostgreSQL's cast behind it.
pub(super) fn plain(literal: &str) -> &str {
    literal.split("::").next().unwrap_or_default()
}

/// Runs a statement; `Err` says which construct was refused.
pub(super) async fn outcome<C: ConnectionTrait>(db: &C, statement: &Statement) -> Result<Outcome, String> {
    let values: Vec<sea_orm::Value> = statement.values.iter().map(|value: &Value| bound(value)).collect();
    let raw = sea_orm::Statement::from_sql_and_values(db.get_database_backend(), &statement.sql, values);
    let writes = ["INSERT", "UPDATE", "DELETE"].iter().any(|word| statement.sql.starts_with(word));
    let result = if writes && !statement.sql.contains(" RETURNING ") {
        db.execute_raw(raw).await.map(|done| Outcome { affected: done.rows_affected(), ..Outcome::default() })
    } else {
        db.query_all_raw(raw).await.map(|rows| Outcome {
            columns: rows.first().map(columns).unwrap_or_default(),
            affected: rows.len() as u64,
            rows: rows.iter().map(text).collect(),
            ..Outcome::default()
        })
    };
    match result {
        Ok(outcome) => Ok(outcome),
        Err(error) => match tenancy_seaorm::Error::of(&error) {
            Some(refusal) => Err(format!("{}: {}", refusal.kind().as_str(), refusal.construct())),
            None => Ok(Outcome {
                sqlstate: Some(code(&error).map_or_else(|| "none".to_owned(), alike)),
                message: error.to_string(),
                ..Outcome::default()
            }),
        },
    }
}

/// SQLite tells a primary key that is taken from another unique one. A twin has a key more, without the tenant, and
/// which of the two it names first means nothing.
fn alike(code: String) -> String {
    if code == "1555" { "2067".to_owned() } else { code }
}

fn code(error: &DbErr) -> Option<String> {
    if let Some(fault) = DatabaseFault::of(error) {
        return fault.unscrubbed().code().map(Into::into);
    }
    let (DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error))
    | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error().and_then(|error| error.code()).map(Into::into)
}

fn columns(row: &QueryResult) -> Vec<String> {
    if let Some(row) = row.try_as_pg_row() {
        return row.columns().iter().map(|column| column.name().to_owned()).collect();
    }
    row.try_as_sqlite_row()
        .map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect())
        .unwrap_or_default()
}

/// The columns of a row as the database sent them.
fn text(row: &QueryResult) -> String {
    let mut cells = Vec::new();
    if let Some(row) = row.try_as_pg_row() {
        for i in 0..row.len() {
            cells.push(match row.try_get_raw(i) {
                Ok(value) if value.is_null() => "NULL".to_owned(),
                Ok(value) => format!("{:02x?}", value.as_bytes().unwrap_or_default()),
                Err(_) => "(no value)".to_owned(),
            });
        }
    } else if let Some(row) = row.try_as_sqlite_row() {
        for i in 0..row.len() {
            let cell: Result<Option<String>, _> = row.try_get_unchecked(i);
            cells.push(
                cell.map_or_else(
                    |_| "(no text)".to_owned(),
                    |cell| cell.unwrap_or_else(|| "NULL".to_owned()),
                ),
            );
        }
    }
    cells.join(" | ")
}

pub(super) fn failed(error: DbErr) -> Error {
    Error::server("a test database did not answer", error)
}
