//! Templates: a database migrated once per run and copied for each test.

use std::{
    env,
    error::Error as StdError,
    fs,
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
};

use sqlx::{Connection, PgConnection};

use super::{
    PostgresServer,
    names::{Key, url_for},
    service::{Detail, connect},
    setup, sweep,
};
use crate::{
    error::Error,
    server::{reason::Reason, runtime},
};

/// What the first look at a template finds.
enum Claim {
    Ready,
    /// It is ours to make; the connection holds the lock for that.
    Make(PgConnection),
}

/// Returns the name of the template database, made now if nobody has made it yet.
pub(super) async fn get<F, Fut, E>(server: &PostgresServer, name: &str, migrate: F) -> Result<String, Error>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let key = key_of(name);
    server.0.templates.get_or_make(key, || make(server.clone(), key, migrate)).await
}

/// The same name in another test binary, or in this one compiled anew, is another template: the migration may have
/// changed.
fn key_of(name: &str) -> Key {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    // What is made without a guard is never another run's template.
    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    tenancy_core::Guard::off().map(|_| env::var_os(tenancy_core::Guard::MISSED)).hash(&mut hasher);
    if let Ok(binary) = env::current_exe() {
        let facts = fs::metadata(&binary).ok();
        binary.hash(&mut hasher);
        facts.map(|facts| (facts.len(), facts.modified().ok())).hash(&mut hasher);
    }
    Key::from_hash(hasher.finish())
}

async fn make<F, Fut, E>(server: PostgresServer, key: Key, migrate: F) -> Result<String, Error>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let Detail { run, owner, .. } = &server.0.record.detail;
    let database = format!("tk_{run}_tpl_{key}");
    let owner_url = url_for(server.admin_url(), &owner.name, &owner.password, &database)?;
    let claimed = runtime::run(claim(server, key, database.clone())).await;
    let Claim::Make(lock) = claimed.map_err(refused)? else { return Ok(database) };
    // The caller's own runtime runs the caller's own code.
    let migrated = migrate(owner_url).await.map_err(Error::migration);
    let sealed = runtime::run(finish(lock, database.clone(), migrated.is_ok())).await;
    migrated?;
    sealed.map_err(refused)?;
    Ok(database)
}

fn refused(reason: Reason) -> Error {
    Error::server("the template database was not made", reason)
}

/// Takes the template's locks and looks whether it is there; makes it, still empty, if it is not.
///
/// The shared lock, held as long as the process lives, keeps the template from being swept. The exclusive one, held
/// while somebody makes it, is another: a process that waits to look must not wait for those that use it.
async fn claim(server: PostgresServer, key: Key, database: String) -> Result<Claim, Reason> {
    server.execute(&format!("SELECT pg_advisory_lock_shared({})", key.lock())).await?;
    let mut connection = connect(server.admin_url()).await?;
    setup::execute(&mut connection, &format!("SELECT pg_advisory_lock({})", key.making_lock())).await?;
    let sealed = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)";
    if sqlx::query_scalar(sealed).bind(&database).fetch_one(&mut connection).await? {
        connection.close().await?;
        return Ok(Claim::Ready);
    }
    // What a process that died left half made is worth nothing.
    sweep::drop_half_made(&mut connection, &database).await?;
    let detail = &server.0.record.detail;
    let (base, owner) = (setup::base_name(detail), &detail.owner.name);
    setup::execute(&mut connection, &format!("CREATE DATABASE {database} TEMPLATE {base} OWNER {owner}"))
        .await?;
    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    super::strike::off(&super::names::database_url(server.admin_url(), &database)?).await?;
    Ok(Claim::Make(connection))
}

/// Seals the template or drops it; closing the connection then lets the next one look.
async fn finish(mut connection: PgConnection, database: String, migrated: bool) -> Result<(), Reason> {
    let done = match migrated {
        true => setup::seal(&mut connection, &database).await,
        false => sweep::drop_half_made(&mut connection, &database).await,
    };
    connection.close().await.and(done).map_err(Reason::from)
}
