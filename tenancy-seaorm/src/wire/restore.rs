//! Cleaning a connection before somebody else gets it. What cannot be proven clean is closed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, AssertSqlSafe, PgConnection, Row};

use super::{Held, Settings};
use crate::session::Shelf;

/// How long cleaning may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What a connection was set to before it served its first tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Origin {
    pub(crate) path: String,
    pub(crate) role: String,
    /// The server process: another one behind the same connection means that there is a pooler.
    pub(crate) pid: i32,
    /// When it was taken from its pool.
    pub(crate) taken: Instant,
}

/// Takes back what the session was told, and then looks at everything that a session can leave behind.
///
/// `DISCARD ALL` would drop the prepared statements that the client still counts on, and settings that the
/// application made when it connected.
const RESET: &str = "SELECT pg_catalog.set_config('role', $1, false), \
    pg_catalog.set_config('search_path', $2, false), pg_catalog.set_config('tenancy.tenant_id', '', false), \
    pg_catalog.pg_backend_pid()";

/// One true for each kind of thing that is not there (SCH-17).
const PROOF: &str = "SELECT pg_catalog.pg_my_temp_schema() = 0 \
    OR NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema()), \
    NOT EXISTS (SELECT FROM pg_catalog.pg_listening_channels()), \
    NOT EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable), \
    NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql), \
    NOT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()), \
    pg_catalog.current_setting('tenancy.tenant_id', true) = $1";

/// Cleans `conn` and gives it back to its pool, or closes it.
pub(crate) async fn to_pool(mut conn: Held, open: bool, origin: Option<Origin>) {
    let cleaned = tokio::time::timeout(LIMIT, async {
        settled(&mut conn, open).await?;
        match &origin {
            Some(origin) => reset(&mut conn, origin).await,
            None => Ok(true),
        }
    });
    if let Ok(Ok(true)) = cleaned.await {
        conn.give_back();
    }
}

/// Proves that `conn` holds nothing but its tenant's settings and puts it onto the shelf, or closes it.
pub(crate) async fn to_shelf(
    mut conn: Held,
    open: bool,
    shelf: Arc<Shelf>,
    settings: Settings,
    origin: Origin,
) {
    let cleaned = tokio::time::timeout(LIMIT, async {
        settled(&mut conn, open).await?;
        Ok::<_, sqlx::Error>(
            proven(&mut conn, &settings.tenant()).await? && still(&mut conn, &settings, &origin).await?,
        )
    });
    match cleaned.await {
        Ok(Ok(true)) => shelf.put(conn, settings, origin),
        _ => {
            drop(conn);
            shelf.wake();
        }
    }
}

/// Reads what is still to come from the server, and ends an open transaction.
async fn settled(conn: &mut PgConnection, open: bool) -> Result<(), sqlx::Error> {
    let sql = if open { "ROLLBACK" } else { "" };
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

async fn reset(conn: &mut PgConnection, origin: &Origin) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(RESET).bind(&origin.role).bind(&origin.path).fetch_one(&mut *conn).await?;
    let same = row.try_get::<&str, _>(0)? == origin.role
        && row.try_get::<&str, _>(1)? == origin.path
        && row.try_get::<i32, _>(3)? == origin.pid;
    Ok(same && proven(conn, "").await?)
}

async fn proven(conn: &mut PgConnection, tenant: &str) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(PROOF).bind(tenant).fetch_one(conn).await?;
    for column in 0..6 {
        if row.try_get::<Option<bool>, _>(column)? != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// True if the schema and the role are those of `settings`, or else what they were before.
async fn still(conn: &mut PgConnection, settings: &Settings, origin: &Origin) -> Result<bool, sqlx::Error> {
    let asked = "SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('role')";
    let row = sqlx::query(asked).fetch_one(conn).await?;
    let path = settings.path().unwrap_or_else(|| origin.path.clone());
    let role = settings.role.as_ref().map_or(origin.role.as_str(), |role| role.as_str());
    Ok(row.try_get::<&str, _>(0)? == path && row.try_get::<&str, _>(1)? == role)
}
