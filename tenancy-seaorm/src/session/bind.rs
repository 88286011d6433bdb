//! Telling a connection its tenant, and hearing from the server that it understood.

use std::sync::Arc;
use std::time::Instant;

use sea_orm::DbErr;
use sea_orm::sqlx::{self, PgConnection, Row};

use super::shelf::Shelf;
use crate::error::{Error, ErrorKind};
use crate::pools::PooledDatabase;
use crate::schema::SchemaName;
use crate::wire::{Held, Home, Origin, Settings, Wire, acquire, runtime};

/// In one statement: what the connection is set to now, what it is set to from now on, and where it then looks.
///
/// The server evaluates a list of results from left to right; if it ever did not, what it says would not fit, and the
/// connection would be refused.
const BIND: &str = "SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('role'), \
    pg_catalog.pg_backend_pid(), \
    pg_catalog.set_config('role', coalesce($3, pg_catalog.current_setting('role')), false), \
    pg_catalog.set_config('search_path', coalesce($1, pg_catalog.current_setting('search_path')), false), \
    pg_catalog.set_config('tenancy.tenant_id', $2, false), pg_catalog.current_schema()::text, \
    pg_catalog.to_regnamespace($4) IS NOT NULL";

/// Sets a connection that comes from the pool.
pub(super) async fn fresh(shelf: &Arc<Shelf>, mut conn: Held, settings: Settings) -> Result<Wire, DbErr> {
    let origin = bind(&mut conn, &settings, None).await?;
    Ok(wire(shelf, conn, settings, origin))
}

/// Sets a connection that served another tenant.
pub(super) async fn again(
    shelf: &Arc<Shelf>,
    mut conn: Held,
    origin: Origin,
    settings: Settings,
) -> Result<Wire, DbErr> {
    let origin = bind(&mut conn, &settings, Some(origin)).await?;
    Ok(wire(shelf, conn, settings, origin))
}

/// Sets the connection that is leased, and gives it back before the lease ends.
pub(crate) async fn leased(lease: PooledDatabase, settings: Settings) -> Result<Wire, DbErr> {
    let conn = lease.db().get_postgres_connection_pool().acquire().await.map_err(acquire)?;
    let mut conn = Held::new(conn);
    let origin = bind(&mut conn, &settings, None).await?;
    let unnamed = settings.unnamed;
    Ok(Wire::new(conn, Home::Lease { lease, origin }, unnamed))
}

/// Takes a connection that is set to `settings`.
pub(super) fn wire(shelf: &Arc<Shelf>, conn: Held, settings: Settings, origin: Origin) -> Wire {
    let unnamed = settings.unnamed;
    Wire::new(conn, Home::Shelf { shelf: Arc::clone(shelf), settings, origin }, unnamed)
}

async fn bind(conn: &mut PgConnection, settings: &Settings, known: Option<Origin>) -> Result<Origin, DbErr> {
    let path = settings.path().or_else(|| known.as_ref().map(|origin| origin.path.clone()));
    let role = settings.role.as_ref().map(|role| role.as_str().to_owned());
    let role = role.or_else(|| known.as_ref().map(|origin| origin.role.clone()));
    let tenant = settings.tenant();
    let row = sqlx::query(BIND)
        .bind(path.as_deref())
        .bind(&tenant)
        .bind(role.as_deref())
        .bind(settings.schema.as_ref().map(SchemaName::quoted))
        .fetch_one(conn)
        .await
        .map_err(|error| DbErr::Conn(runtime(error)))?;
    let text = |column: usize| row.try_get::<Option<String>, _>(column).ok().flatten().unwrap_or_default();
    let now = Origin {
        path: text(0),
        role: text(1),
        pid: row.try_get(2).unwrap_or_default(),
        taken: Instant::now(),
    };
    let told = path.is_none_or(|path| text(4) == path)
        && role.is_none_or(|role| text(3) == role)
        && text(5) == tenant;
    if !told {
        return Err(unusable("it does not keep what it is told"));
    }
    if let Some(schema) = &settings.schema {
        let there = row.try_get::<bool, _>(7).unwrap_or_default();
        if !there || (settings.searched && text(6) != schema.as_str()) {
            return Err(crate::schema::missing().into());
        }
    }
    match known {
        Some(known) if known.pid != now.pid => {
            Err(unusable("a pooler in transaction mode is in front of the server; use transactions"))
        }
        Some(known) => Ok(known),
        None if settings.path().is_some_and(|path| path == now.path) => {
            Err(unusable("it was set to a tenant's schema by somebody else"))
        }
        None => Ok(now),
    }
}

fn unusable(hint: &'static str) -> DbErr {
    Error::new(ErrorKind::Connection, "a connection for a session", hint).into()
}
