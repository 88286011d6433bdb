//! What a role may do beyond what an application needs: a test on such a role proves nothing (KIT-03).

use std::fmt;

use sqlx::{Connection, Row};

use super::service::connect;
use crate::{
    error::{Error, ErrorKind},
    server::{reason::Reason, runtime},
};

/// Something that an application's role must not be able to do.
///
/// Membership counts like the thing itself: a member can `SET ROLE`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RolePower {
    /// Is a superuser: row-level security does not apply.
    Superuser,
    /// Has `BYPASSRLS`: row-level security does not apply.
    BypassRls,
    /// May create databases.
    CreateDatabase,
    /// May create roles, and so make itself a more powerful one.
    CreateRole,
    /// May replicate, which reads every row.
    Replication,
    /// Is a member of a predefined role such as `pg_read_all_data`.
    PredefinedRole,
    /// Owns the database.
    OwnsDatabase,
    /// Owns a schema.
    OwnsSchema,
    /// Owns a table, view or sequence: row-level security does not apply unless forced, and can be dropped.
    OwnsRelation,
    /// May create schemas in the database, or objects in one of its schemas.
    Create,
    /// May `TRUNCATE` a table, which row-level security does not filter.
    Truncate,
    /// May make foreign keys to a table, which tell whether another tenant's row exists.
    References,
    /// May put triggers on a table.
    Trigger,
}

impl fmt::Display for RolePower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superuser => "superuser",
            Self::BypassRls => "BYPASSRLS",
            Self::CreateDatabase => "CREATEDB",
            Self::CreateRole => "CREATEROLE",
            Self::Replication => "REPLICATION",
            Self::PredefinedRole => "a predefined role",
            Self::OwnsDatabase => "owner of the database",
            Self::OwnsSchema => "owner of a schema",
            Self::OwnsRelation => "owner of a relation",
            Self::Create => "CREATE",
            Self::Truncate => "TRUNCATE",
            Self::References => "REFERENCES",
            Self::Trigger => "TRIGGER",
        })
    }
}

/// One expression per power, in the order of [`POWERS`]. `MEMBER` also sees what `SET ROLE` would give, and
/// `session_user` what `RESET ROLE` would.
const QUESTION: &str = "\
WITH mine AS (SELECT * FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')),
  schemas AS (SELECT * FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'),
  relations AS (SELECT c.oid, c.relkind, c.relowner FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace),
  tables AS (SELECT oid FROM relations WHERE relkind IN ('r', 'p'))
SELECT
  EXISTS (SELECT FROM mine WHERE rolsuper),
  EXISTS (SELECT FROM mine WHERE rolbypassrls),
  EXISTS (SELECT FROM mine WHERE rolcreatedb),
  EXISTS (SELECT FROM mine WHERE rolcreaterole),
  EXISTS (SELECT FROM mine WHERE rolreplication),
  EXISTS (SELECT FROM mine WHERE rolname ~ '^pg_' AND rolname <> 'pg_database_owner'),
  EXISTS (SELECT FROM pg_database d JOIN mine ON mine.oid = d.datdba WHERE d.datname = current_database()),
  EXISTS (SELECT FROM schemas JOIN mine ON mine.oid = nspowner),
  EXISTS (SELECT FROM relations JOIN mine ON mine.oid = relowner),
  has_database_privilege(session_user, current_database(), 'CREATE')
    OR EXISTS (SELECT FROM schemas WHERE has_schema_privilege(session_user, oid, 'CREATE')),
  EXISTS (SELECT FROM tables WHERE has_table_privilege(session_user, oid, 'TRUNCATE')),
  EXISTS (SELECT FROM tables WHERE has_any_column_privilege(session_user, oid, 'REFERENCES')),
  EXISTS (SELECT FROM tables WHERE has_table_privilege(session_user, oid, 'TRIGGER'))";

const POWERS: [RolePower; 13] = [
    RolePower::Superuser,
    RolePower::BypassRls,
    RolePower::CreateDatabase,
    RolePower::CreateRole,
    RolePower::Replication,
    RolePower::PredefinedRole,
    RolePower::OwnsDatabase,
    RolePower::OwnsSchema,
    RolePower::OwnsRelation,
    RolePower::Create,
    RolePower::Truncate,
    RolePower::References,
    RolePower::Trigger,
];

/// Returns what the role that `url` logs in as may do in its database beyond what an application needs.
///
/// # Errors
///
/// [`ErrorKind::Server`] if the URL cannot be connected to or the server does not answer.
pub async fn role_powers(url: &str) -> Result<Vec<RolePower>, Error> {
    let url = url.to_owned();
    let asked = runtime::run(async move {
        let mut connection = connect(&url).await?;
        let answer = sqlx::query(QUESTION).fetch_one(&mut connection).await?;
        // The answer is here; how the connection ends does not matter.
        let _ = connection.close().await;
        Ok(answer)
    });
    let answer =
        asked.await.map_err(|reason: Reason| Error::server("the role could not be examined", reason))?;
    Ok(POWERS
        .into_iter()
        .enumerate()
        .filter(|(index, _)| answer.get(*index))
        .map(|(_, power)| power)
        .collect())
}

/// Refuses a role that an application must not have: the tests of an isolation would pass for the wrong reason.
///
/// # Errors
///
/// [`ErrorKind::PowerfulRole`] if the role has any [`RolePower`]; [`ErrorKind::Server`] as [`role_powers`].
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenancy_testkit::Error> {
/// let db = tenancy_testkit::TestDatabase::create().await?;
/// tenancy_testkit::require_app_role(db.app_url()).await?;
/// assert!(tenancy_testkit::require_app_role(db.owner_url()).await.is_err());
/// # Ok(())
/// # }
/// ```
pub async fn require_app_role(url: &str) -> Result<(), Error> {
    let powers = role_powers(url).await?;
    if powers.is_empty() {
        return Ok(());
    }
    let list = powers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(Error::new(ErrorKind::PowerfulRole, format!("the role is too powerful for an application: {list}")))
}
