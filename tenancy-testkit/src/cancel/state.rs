//! What a connection's next borrower meets.

use std::{collections::BTreeSet, fmt};

use sqlx::{PgConnection, Row};

/// One aspect of a connection that a borrower may leave changed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Aspect {
    /// Answers that belong to a statement of somebody else: what is asked and what is answered do not match.
    Answers,
    /// A transaction that is open, or has failed and waits for its end.
    Transaction,
    /// The search path.
    Path,
    /// The role that statements run as.
    Role,
    /// Settings of the session, and those that name a tenant.
    Settings,
    /// Temporary tables, views and sequences.
    Temporary,
    /// Statements that were prepared with `PREPARE`. Those of a driver's own cache are not meant.
    Prepared,
    /// Open cursors.
    Cursors,
    /// Advisory locks.
    Locks,
    /// Channels that are listened to.
    Channels,
    /// What `lastval()` tells: a number that the last borrower drew.
    LastValue,
}

/// One aspect that is not as it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Which one.
    pub aspect: Aspect,
    /// What a clean connection has.
    pub clean: String,
    /// What this one has.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} instead of {}", self.aspect, self.found, self.clean)
    }
}

/// A connection's state, as far as a borrower can change it and the next one meets it.
///
/// # Examples
///
/// ```no_run
/// # async fn example(pool: sqlx::PgPool) -> Result<(), sqlx::Error> {
/// use tenancy_testkit::cancel::ConnectionState;
///
/// let clean = ConnectionState::of(&mut *pool.acquire().await?, &["tenancy.tenant_id"]).await?;
/// // … somebody uses the pool …
/// let now = ConnectionState::of(&mut *pool.acquire().await?, &["tenancy.tenant_id"]).await?;
/// assert_eq!(now.differences(&clean), []);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConnectionState {
    aspects: Vec<(Aspect, String)>,
    pid: i32,
}

/// One row with one text per aspect. Lists are sorted, so that equal states are equal texts.
const STATE: &str = "SELECT pg_backend_pid() AS pid, \
    current_setting('search_path') AS path, \
    current_user || ' as ' || session_user AS role, \
    (SELECT coalesce(string_agg(name || '=' || setting, ', ' ORDER BY name), '') FROM pg_settings \
        WHERE source IN ('session', 'interactive') AND name NOT IN ('search_path', 'role')) AS settings, \
    (SELECT coalesce(string_agg(relname, ', ' ORDER BY relname), '') FROM pg_class \
        WHERE relnamespace = pg_my_temp_schema()) AS temporary, \
    (SELECT coalesce(string_agg(name, ', ' ORDER BY name), '') FROM pg_prepared_statements \
        WHERE from_sql) AS prepared, \
    (SELECT coalesce(string_agg(name, ', ' ORDER BY name), '') FROM pg_cursors WHERE name <> '') AS cursors, \
    (SELECT coalesce(string_agg(concat_ws('/', classid, objid, objsubid, mode), ', ' \
        ORDER BY classid, objid, objsubid, mode), '') \
        FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks, \
    (SELECT coalesce(string_agg(channel, ', ' ORDER BY channel), '') \
        FROM pg_listening_channels() AS channel) AS channels";

impl ConnectionState {
    /// Looks at a connection. `settings` are names of settings of an application's own, such as `tenancy.tenant_id`,
    /// which the server does not list.
    ///
    /// It runs statements in the simple protocol, which leave nothing behind; a transaction that it finds is left open.
    ///
    /// # Errors
    ///
    /// Returns the driver's error if the connection is broken: such a one is not handed on, and tells nothing.
    pub async fn of(connection: &mut PgConnection, settings: &[&str]) -> Result<Self, sqlx::Error> {
        let transaction = transaction(connection).await?;
        if transaction == "failed" {
            // Nothing else can be asked.
            return Ok(Self { aspects: vec![(Aspect::Transaction, transaction)], pid: 0 });
        }
        let token = getrandom::u64().expect("the operating system has random numbers").to_string();
        let echoed = ask(connection, format!("SELECT '{token}' AS echo")).await?;
        let echo = echoed.first().and_then(|row| row.try_get::<String, _>("echo").ok());
        let answers = if echo == Some(token) { "its own" } else { "somebody else's" };
        let rows = ask(connection, STATE.to_owned()).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let text = |name: &str| row.try_get::<String, _>(name);
        let mut listed = text("settings")?;
        for name in settings {
            let quoted = name.replace('\'', "''");
            let rows = ask(connection, format!("SELECT current_setting('{quoted}', true) AS value")).await?;
            let value = rows.first().and_then(|row| row.try_get::<Option<String>, _>("value").ok().flatten());
            // A setting that was local to a transaction is empty after it; both mean that there is none.
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                listed = format!("{listed}, {name}={value}");
            }
        }
        let last = last_value(connection, &transaction).await?;
        let aspects = vec![
            (Aspect::Answers, answers.to_owned()),
            (Aspect::Transaction, transaction),
            (Aspect::Path, text("path")?),
            (Aspect::Role, text("role")?),
            (Aspect::Settings, listed),
            (Aspect::Temporary, text("temporary")?),
            (Aspect::Prepared, text("prepared")?),
            (Aspect::Cursors, text("cursors")?),
            (Aspect::Locks, text("locks")?),
            (Aspect::Channels, text("channels")?),
            (Aspect::LastValue, last),
        ];
        Ok(Self { aspects, pid: row.try_get("pid")? })
    }

    /// Returns the number of the server's process behind the connection.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns what an aspect is, in words; empty if it cannot be known.
    #[must_use]
    pub fn aspect(&self, aspect: Aspect) -> &str {
        self.aspects.iter().find(|(name, _)| *name == aspect).map_or("", |(_, found)| found)
    }

    /// Returns in which aspects the connection differs from a clean one. Which connection it is does not count.
    #[must_use]
    pub fn differences(&self, clean: &Self) -> Vec<Difference> {
        let all: BTreeSet<_> = self.aspects.iter().chain(&clean.aspects).map(|(aspect, _)| *aspect).collect();
        let differs = |aspect: &Aspect| self.aspect(*aspect) != clean.aspect(*aspect);
        all.into_iter()
            .filter(differs)
            .map(|aspect| Difference {
                aspect,
                clean: clean.aspect(aspect).to_owned(),
                found: self.aspect(aspect).to_owned(),
            })
            .collect()
    }
}

/// Asks in the simple protocol: nothing is prepared, and one message is one statement.
async fn ask(connection: &mut PgConnection, sql: String) -> Result<Vec<sqlx::postgres::PgRow>, sqlx::Error> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await
}

/// A savepoint can be made in a transaction alone: the server's own word on whether there is one.
async fn transaction(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let probe = ask(connection, "SAVEPOINT tenancy_probe".to_owned()).await;
    let code = match &probe {
        Ok(_) => {
            ask(connection, "RELEASE SAVEPOINT tenancy_probe".to_owned()).await?;
            return Ok("open".to_owned());
        }
        Err(error) => error.as_database_error().and_then(|error| error.code()),
    };
    match code.as_deref() {
        // No active transaction; a failed one.
        Some("25P01") => Ok("none".to_owned()),
        Some("25P02") => Ok("failed".to_owned()),
        _ => Err(probe.expect_err("it failed")),
    }
}

/// In an open transaction the question could make it fail, and it is dirty anyway.
async fn last_value(connection: &mut PgConnection, transaction: &str) -> Result<String, sqlx::Error> {
    if transaction != "none" {
        return Ok(String::new());
    }
    match ask(connection, "SELECT lastval() AS last".to_owned()).await {
        Ok(rows) => Ok(rows.first().map(|row| row.get::<i64, _>("last").to_string()).unwrap_or_default()),
        // "lastval is not yet defined in this session".
        Err(error) if error.as_database_error().and_then(|e| e.code()).as_deref() == Some("55000") => {
            Ok("none".to_owned())
        }
        Err(error) => Err(error),
    }
}
