//! The two roles of a server, and the empty database that carries their privileges.

use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::{
    names::{self, Key},
    service::{Detail, Login, connect},
    verifier::verifier,
};
use crate::server::{reason::Reason, state::random_hex};

/// `DROP DATABASE … WITH (FORCE)` came with this version.
const OLDEST: i32 = 130_000;

/// Makes the roles and the base database of a new run.
pub(crate) async fn prepare(url: &str) -> Result<Detail, Reason> {
    let mut admin = connect(url).await?;
    let run = Key::random();
    let login = |role: &str| Login { name: format!("tk_{run}_{role}"), password: random_hex(32) };
    let detail = Detail { run, owner: login("owner"), app: login("app") };
    make_roles(&mut admin, &detail).await?;
    let base = base_name(&detail);
    let owner = &detail.owner.name;
    // `template0`, because what somebody left in `template1` is not part of any test.
    execute(&mut admin, &format!("CREATE DATABASE {base} TEMPLATE template0 ENCODING 'UTF8' OWNER {owner}"))
        .await?;
    let base_url = names::database_url(url, &base)?;
    grant(connect(&base_url).await?, &detail).await?;
    seal(&mut admin, &base).await?;
    // Everything is made: a connection that does not close cleanly changes nothing.
    let _ = admin.close().await;
    Ok(detail)
}

/// Checks that the roles and the base database are still there: a given server may have been cleaned up.
pub(crate) async fn require(admin: &mut PgConnection, detail: &Detail) -> Result<(), Reason> {
    let there = sqlx::query_scalar::<_, bool>(
        "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) \
         AND 2 = (SELECT count(*) FROM pg_roles WHERE rolname IN ($2, $3))",
    )
    .bind(base_name(detail))
    .bind(&detail.owner.name)
    .bind(&detail.app.name)
    .fetch_one(admin)
    .await?;
    if there { Ok(()) } else { Err("the run's roles are gone".into()) }
}

async fn make_roles(admin: &mut PgConnection, detail: &Detail) -> Result<(), Reason> {
    let facts = "SELECT current_setting('server_version_num')::int, rolsuper, rolcreatedb AND rolcreaterole \
                 FROM pg_roles WHERE rolname = current_user";
    let facts = sqlx::query(facts).fetch_one(&mut *admin).await?;
    let (version, superuser, may_create): (i32, bool, bool) = (facts.get(0), facts.get(1), facts.get(2));
    if version < OLDEST {
        return Err("the server is older than PostgreSQL 13".into());
    }
    if !superuser && !may_create {
        return Err("the URL's role may not create databases and roles".into());
    }
    for Login { name, password } in [&detail.owner, &detail.app] {
        // What is left out is off: no superuser, no BYPASSRLS, no CREATEDB, no CREATEROLE, no REPLICATION.
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).expect("the operating system has random numbers");
        let verifier = verifier(password, salt);
        execute(admin, &format!("CREATE ROLE {name} LOGIN PASSWORD '{verifier}'")).await?;
    }
    if !superuser {
        // Giving a database to the owner and ending the connections of both takes membership in them; since
        // version 16 that is not automatic.
        let options = if version >= 160_000 { " WITH INHERIT TRUE, SET TRUE" } else { "" };
        for Login { name, .. } in [&detail.owner, &detail.app] {
            execute(admin, &format!("GRANT {name} TO CURRENT_USER{options}")).await?;
        }
    }
    Ok(())
}

/// Grants what the application role may do on everything that the owner will create, and nothing else.
async fn grant(mut base: PgConnection, detail: &Detail) -> Result<(), Reason> {
    let (owner, app) = (&detail.owner.name, &detail.app.name);
    let defaults = format!("ALTER DEFAULT PRIVILEGES FOR ROLE {owner}");
    for statement in [
        format!("ALTER SCHEMA public OWNER TO {owner}"),
        "REVOKE ALL ON SCHEMA public FROM PUBLIC".to_owned(),
        format!("GRANT USAGE ON SCHEMA public TO {app}"),
        format!("{defaults} GRANT USAGE ON SCHEMAS TO {app}"),
        format!("{defaults} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app}"),
        // No UPDATE: `setval` would let one tenant choose another's next id.
        format!("{defaults} GRANT USAGE, SELECT ON SEQUENCES TO {app}"),
    ] {
        execute(&mut base, &statement).await?;
    }
    Ok(base.close().await?)
}

/// Turns a database into a template that nobody can change, and notes when.
pub(crate) async fn seal(admin: &mut PgConnection, database: &str) -> Result<(), sqlx::Error> {
    execute(admin, &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false")).await?;
    // A migration may leave a pool open; a database in use cannot be copied.
    let kick = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    sqlx::query(kick).bind(database).execute(&mut *admin).await?;
    execute(admin, &format!("ALTER DATABASE {database} IS_TEMPLATE true")).await?;
    execute(admin, &format!("COMMENT ON DATABASE {database} IS 'tenancy-testkit {}'", seconds_now())).await
}

pub(crate) fn base_name(detail: &Detail) -> String {
    format!("tk_{}_base", detail.run)
}

pub(crate) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Runs one statement that the kit composed from its own names.
pub(crate) async fn execute(connection: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}
