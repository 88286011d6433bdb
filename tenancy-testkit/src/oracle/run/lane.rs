//! One connection to one copy of a world.

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, PgConnection, Row, TypeInfo,
    ValueRef,
};

use crate::error::Error;
use crate::oracle::value::Value;

/// What a statement did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// Names and types of the columns.
    pub columns: Vec<String>,
    /// The rows as text, their columns separated by ` | `.
    pub rows: Vec<String>,
    /// How many rows the database says it delivered or changed.
    pub affected: u64,
    /// The SQLSTATE, if it failed.
    pub sqlstate: Option<String>,
    /// What the database said, if it failed.
    pub message: String,
    /// After the statement, for each table of tenants: count and hash of this tenant's rows and of all others'.
    pub state: Vec<String>,
}

/// A message to the database: what to run around the statement.
#[derive(Debug, Default)]
pub(crate) struct Around<'a> {
    pub(crate) before: Vec<&'a str>,
    /// Reads the state afterwards; everything is rolled back then.
    pub(crate) digest: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    connection: PgConnection,
    /// A transaction was left behind by an error.
    dirty: bool,
    /// The statement before is still prepared.
    prepared: bool,
}

impl Lane {
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let options: PgConnectOptions = url
            .parse()
            .map_err(|error: sqlx::Error| Error::server("a test database's URL was not understood", error))?;
        let options = options.disable_statement_logging();
        let connection = PgConnection::connect_with(&options).await;
        let connection =
            connection.map_err(|error| Error::server("a test database did not answer", error))?;
        let mut lane = Self { connection, dirty: false, prepared: false };
        lane.run_script(
            "SET client_min_messages = error; SET statement_timeout = '5s'; SET jit = off; \
             SET max_parallel_workers_per_gather = 0; SET extra_float_digits = 1",
        )
        .await?;
        Ok(lane)
    }

    /// Runs statements whose results do not matter.
    pub(crate) async fn run_script(&mut self, sql: &str) -> Result<(), Error> {
        self.roll_back().await?;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| Error::server("a world was not set up", error))
    }

    /// Prepares queries that read the state, by the numbers that [`read_state`] knows them by.
    pub(crate) async fn prepare_states(&mut self, queries: &[(usize, &str)]) -> Result<(), Error> {
        self.prepared = false;
        let mut script = "DEALLOCATE ALL".to_owned();
        for (number, query) in queries {
            script.push_str(&format!(";\nPREPARE state_{number} AS {query}"));
        }
        self.run_script(&script).await
    }

    /// Runs one query and returns its rows as text.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        self.roll_back().await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await;
        Ok(rows.map_err(|error| Error::server("a state was not read", error))?.iter().map(text).collect())
    }

    async fn roll_back(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.dirty) {
            let done = self.connection.execute("ROLLBACK").await;
            done.map_err(|error| Error::server("a transaction was not rolled back", error))?;
        }
        Ok(())
    }

    /// Runs one statement with its bound values, in one message, and leaves no change behind.
    ///
    /// `PREPARE` declares the types of the values as a driver does, and rows come as text.
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        values: &[Value],
        around: &Around<'_>,
    ) -> Result<Outcome, Error> {
        let mut message = String::with_capacity(sql.len() + 256);
        // What stands in front of the statement's own result.
        let mut skip = 0;
        let mut add = |text: &str, message: &mut String| {
            message.push_str(text);
            message.push_str(";\n");
            skip += 1;
        };
        let dirty = std::mem::take(&mut self.dirty);
        if dirty {
            add("ROLLBACK", &mut message);
        }
        if self.prepared {
            add("DEALLOCATE s", &mut message);
        }
        if around.digest.is_some() {
            add("BEGIN", &mut message);
        }
        around.before.iter().for_each(|text| add(text, &mut message));
        add(&prepare(sql, values), &mut message);
        message.push_str(&execute(values));
        if let Some(digest) = around.digest {
            message.push_str(";\n");
            message.push_str(digest);
            message.push_str(";\nROLLBACK");
        }
        // A message that does not parse does not roll back either.
        self.send(&message, skip, dirty || around.digest.is_some()).await
    }

    async fn send(&mut self, message: &str, skip: usize, may_linger: bool) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        let mut done = 0;
        let mut stream = sqlx::raw_sql(AssertSqlSafe(message)).fetch_many(&mut self.connection);
        loop {
            match stream.try_next().await {
                Ok(None) => break,
                Ok(Some(Either::Left(result))) => {
                    if done == skip {
                        outcome.affected = result.rows_affected();
                    }
                    done += 1;
                }
                Ok(Some(Either::Right(row))) if done == skip => outcome.add(&row),
                Ok(Some(Either::Right(row))) if done == skip + 1 => outcome.state.push(text(&row)),
                Ok(Some(Either::Right(_))) => {}
                Err(sqlx::Error::Database(error)) => {
                    outcome = Outcome {
                        sqlstate: error.code().map(|code| code.into_owned()),
                        message: error.message().to_owned(),
                        ..Outcome::default()
                    };
                    self.dirty = may_linger;
                    break;
                }
                Err(error) => return Err(Error::server("a test database did not answer", error)),
            }
        }
        drop(stream);
        // What stands last in front of the statement's own result is its PREPARE. Of a message that does not parse
        // nothing runs, its DEALLOCATE no more than the rest.
        self.prepared = done >= skip || (self.prepared && done == 0);
        Ok(outcome)
    }
}

impl Outcome {
    fn add(&mut self, row: &PgRow) {
        if self.rows.is_empty() {
            let columns = row.columns().iter();
            self.columns =
                columns.map(|column| format!("{} {}", column.name(), column.type_info().name())).collect();
        }
        self.rows.push(text(row));
    }
}

fn text(row: &PgRow) -> String {
    let mut line = String::new();
    for i in 0..row.len() {
        if i > 0 {
            line.push_str(" | ");
        }
        match row.try_get_raw(i) {
            Ok(value) if value.is_null() => line.push_str("NULL"),
            Ok(value) => line.push_str(value.as_str().unwrap_or("(not text)")),
            Err(_) => line.push_str("(no value)"),
        }
    }
    line
}

/// Reads the state that was prepared by this number.
pub(crate) fn read_state(number: usize) -> String {
    format!("EXECUTE state_{number}")
}

fn prepare(sql: &str, values: &[Value]) -> String {
    if values.is_empty() {
        return format!("PREPARE s AS {sql}");
    }
    let types: Vec<_> = values.iter().map(Value::type_name).collect();
    format!("PREPARE s({}) AS {sql}", types.join(", "))
}

fn execute(values: &[Value]) -> String {
    if values.is_empty() {
        return "EXECUTE s".to_owned();
    }
    let literals: Vec<_> = values.iter().map(Value::literal).collect();
    format!("EXECUTE s({})", literals.join(", "))
}
