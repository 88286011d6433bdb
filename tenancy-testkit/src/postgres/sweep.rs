//! Removes what dead test processes left on a server.

use std::{collections::HashSet, time::Duration};

use sqlx::{PgConnection, Row};
use tokio::time::sleep;

use super::{
    names::{self, Key, Role},
    service::Detail,
    setup::{execute, seconds_now},
};

/// Templates, and the roles of a whole run, may have no user for a moment between two test processes.
const SHARED_FOR_SECONDS: u64 = 3600;

/// How often, and how far apart, it is looked whether the connections to a database are gone.
const GLANCES: usize = 25;
const GLANCE: Duration = Duration::from_millis(2);

struct Found {
    name: String,
    run: Key,
    role: Role,
    age: Option<u64>,
}

/// Drops the databases of dead processes, and what old runs left.
///
/// Databases are listed before locks: a process takes its lock before it creates its first database, so one that is
/// listed and has no lock belongs to a process that is gone. What several processes share is dropped under its lock,
/// taken for that: whoever wants to use it then waits, looks, and makes it anew.
pub(crate) async fn sweep(admin: &mut PgConnection, detail: &Detail) -> Result<(), sqlx::Error> {
    let found = list(admin).await?;
    let held = held_locks(admin).await?;
    let unheld = |key: Key| !held.contains(&key.lock());
    for database in &found {
        match database.role {
            // Another process may sweep at the same time; what neither can drop stays for the next run.
            Role::Test(process) if unheld(process) => drop(drop_database(admin, &database.name).await),
            Role::Template(key)
                if unheld(key) && database.run == detail.run && database.is_stale(&held, key) =>
            {
                drop_under_lock(admin, key, &[&database.name], &[]).await?;
            }
            Role::Base if unheld(database.run) && database.is_old() => {
                let run = database.run;
                let all = found.iter().filter(|other| other.run == run).map(|other| other.name.as_str());
                let roles = ["app", "owner"].map(|role| format!("tk_{run}_{role}"));
                drop_under_lock(admin, run, &all.collect::<Vec<_>>(), &roles).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

impl Found {
    fn is_old(&self) -> bool {
        self.age.is_some_and(|age| age > SHARED_FOR_SECONDS)
    }

    /// A template without a date is half made, and whoever makes one holds a lock from start to end.
    fn is_stale(&self, held: &HashSet<i64>, key: Key) -> bool {
        self.is_old() || self.age.is_none() && !held.contains(&key.making_lock())
    }
}

async fn drop_under_lock(
    admin: &mut PgConnection,
    key: Key,
    databases: &[&str],
    roles: &[String],
) -> Result<(), sqlx::Error> {
    let lock = sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)").bind(key.lock());
    if !lock.fetch_one(&mut *admin).await? {
        return Ok(());
    }
    for database in databases {
        // As above: the next run tries again.
        let _ = drop_database(admin, database).await;
    }
    for role in roles {
        let _ = execute(admin, &format!("DROP ROLE IF EXISTS {role}")).await;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(key.lock()).execute(admin).await.map(drop)
}

/// Drops a database of the kit, with whoever is connected to it.
pub(crate) async fn drop_database(admin: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    if matches!(names::parse(name), Some((_, Role::Base | Role::Template(_)))) {
        execute(admin, &format!("ALTER DATABASE {name} IS_TEMPLATE false")).await?;
    }
    send_away(admin, name).await;
    execute(admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

/// Ends the connections to a database, and waits a moment until they are gone: DROP DATABASE does so too, but looks only ten
/// times a second whether anybody is left.
///
/// Whoever may not be ended, or comes back, is left to DROP DATABASE.
async fn send_away(admin: &mut PgConnection, name: &str) {
    let kick = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
    for _ in 0..GLANCES {
        match sqlx::query_scalar::<_, i64>(kick).bind(name).fetch_one(&mut *admin).await {
            Ok(1..) => sleep(GLANCE).await,
            _ => return,
        }
    }
}

/// Drops a template that was never finished.
pub(crate) async fn drop_half_made(admin: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    execute(admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
}

async fn list(admin: &mut PgConnection) -> Result<Vec<Found>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT datname::text, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname LIKE 'tk\\_%'",
    )
    .fetch_all(admin)
    .await?;
    let now = seconds_now();
    let found = rows.iter().filter_map(|row| {
        let name: String = row.get(0);
        let (run, role) = names::parse(&name)?;
        let made: Option<u64> =
            row.get::<Option<String>, _>(1).and_then(|note| note.rsplit(' ').next()?.parse().ok());
        Some(Found { name, run, role, age: made.map(|made| now.saturating_sub(made)) })
    });
    Ok(found.collect())
}

/// Returns the keys of all advisory locks, whichever database they were taken in.
async fn held_locks(admin: &mut PgConnection) -> Result<HashSet<i64>, sqlx::Error> {
    let keys =
        "SELECT (classid::int8 << 32) | objid::int8 FROM pg_locks WHERE locktype = 'advisory' AND granted";
    Ok(sqlx::query_scalar::<_, i64>(keys).fetch_all(admin).await?.into_iter().collect())
}
