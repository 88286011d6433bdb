//! Does the wall stand?

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use super::sql::NAME;
use super::{Access, Guarded, RowSecurity};
use crate::error::{Error, ErrorKind, shown};

/// The oldest release of each version whose row-level security has none of the known holes (RLS-08 to RLS-10):
/// CVE-2023-39418, CVE-2024-10976 and CVE-2025-8713.
const OLDEST: [(i32, i32); 5] = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];

/// A role that the application's role is, or can become, that no policy binds (RLS-01).
const ROLES: &str = "SELECT pg_catalog.current_setting('server_version_num')::int, \
    EXISTS (SELECT FROM pg_catalog.pg_roles WHERE (rolsuper OR rolbypassrls) \
    AND pg_catalog.pg_has_role(session_user, oid, 'MEMBER'))";

/// The table as its name is found, and its policies.
const TABLE: &str = "SELECT c.relkind::text, c.relrowsecurity, c.relforcerowsecurity, \
    coalesce('security_invoker=true' = ANY (c.reloptions) OR 'security_invoker=on' = ANY (c.reloptions), false), \
    (SELECT count(*) FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive), \
    p.polcmd::text, p.polpermissive, p.polroles = '{0}', \
    pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) \
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid AND p.polname = $2 \
    WHERE c.oid = pg_catalog.to_regclass($1)";

impl RowSecurity {
    /// Checks that row-level security, as this makes it, is in force on every owned table for the role of `db`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Policy`], with the table and what is missing, where it is not; the database's error if it
    /// does not answer.
    pub async fn verify<C: ConnectionTrait>(&self, db: &C) -> Result<(), DbErr> {
        if db.get_database_backend() != DbBackend::Postgres {
            return Err(missing("row-level security", "the database is not PostgreSQL").into());
        }
        let asked = Statement::from_string(DbBackend::Postgres, ROLES);
        let role = db.query_one_raw(asked).await?.ok_or(DbErr::RecordNotFound(String::new()))?;
        version(role.try_get_by_index(0)?)?;
        if role.try_get_by_index(1)? {
            let hint = "it is a superuser or has BYPASSRLS, itself or by SET ROLE; use a role of its own";
            return Err(missing("the application's role", hint).into());
        }
        for table in &self.tables {
            if let Access::Tenant(column) = &table.access {
                self.verify_table(db, table, column).await?;
            }
        }
        Ok(())
    }

    async fn verify_table<C: ConnectionTrait>(
        &self,
        db: &C,
        table: &Guarded,
        column: &str,
    ) -> Result<(), DbErr> {
        let values = [table.quoted().into(), NAME.into()];
        let asked = Statement::from_sql_and_values(DbBackend::Postgres, TABLE, values);
        let found = db.query_one_raw(asked).await?;
        match found.map(|row| self.standing(&row, column)).transpose()? {
            Some(Ok(())) => Ok(()),
            Some(Err(hint)) => Err(missing(format!("table {}", shown(&table.name)), hint).into()),
            None => Err(missing(format!("table {}", shown(&table.name)), "it does not exist").into()),
        }
    }

    /// What is missing of one table's wall.
    fn standing(&self, row: &QueryResult, column: &str) -> Result<Result<(), &'static str>, DbErr> {
        let kind: String = row.try_get_by_index(0)?;
        if kind == "v" {
            let invoker: bool = row.try_get_by_index(3)?;
            return Ok(if invoker { Ok(()) } else { Err("the view is not security_invoker (RLS-02)") });
        }
        if kind != "r" && kind != "p" {
            return Ok(Err("row-level security is for tables: this is none (RLS-02)"));
        }
        if !row.try_get_by_index::<bool>(1)? || !row.try_get_by_index::<bool>(2)? {
            return Ok(Err("row-level security is not enabled and forced (RLS-01, RLS-05)"));
        }
        let Some(command) = row.try_get_by_index::<Option<String>>(5)? else {
            return Ok(Err("the policy is missing (RLS-05, RLS-13)"));
        };
        let (permissive, everybody): (bool, bool) = (row.try_get_by_index(6)?, row.try_get_by_index(7)?);
        let (using, check): (Option<String>, Option<String>) =
            (row.try_get_by_index(8)?, row.try_get_by_index(9)?);
        let expected = plain(&self.condition(column));
        let ours = |expression: Option<String>| expression.is_some_and(|text| plain(&text) == expected);
        if command != "*" || !permissive || !everybody || !ours(using) || !ours(check) {
            return Ok(Err("the policy is another one than this makes (RLS-05)"));
        }
        let policies: i64 = row.try_get_by_index(4)?;
        Ok(if policies == 1 { Ok(()) } else { Err("there is a second permissive policy (RLS-04)") })
    }
}

fn version(number: i32) -> Result<(), Error> {
    let (major, minor) = (number / 10_000, number % 10_000);
    let oldest = OLDEST.iter().find(|(known, _)| *known == major);
    let safe = oldest.map_or(major > 17, |(_, oldest)| minor >= *oldest);
    let hint = "its row-level security has known holes; update it (RLS-08 to RLS-10)";
    if safe { Ok(()) } else { Err(missing("the PostgreSQL server", hint)) }
}

/// An expression without what the server adds when it prints one.
fn plain(expression: &str) -> String {
    let mut text: String =
        expression.chars().filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '"')).collect();
    for added in ["::text", "ASnullif", "pg_catalog."] {
        text = text.replace(added, "");
    }
    text.to_ascii_lowercase()
}

fn missing(construct: impl Into<std::borrow::Cow<'static, str>>, hint: &'static str) -> Error {
    Error::new(ErrorKind::Policy, construct, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_known_holes_are_refused() {
        for (number, safe) in [
            (120_022, false),
            (130_021, false),
            (150_013, false),
            (150_014, true),
            (170_005, false),
            (170_006, true),
            (180_000, true),
        ] {
            assert_eq!(version(number).is_ok(), safe, "{number}");
        }
    }

    #[test]
    fn an_expression_is_known_in_the_servers_spelling() {
        let policy = crate::Policy::builder().owned_table("orders").build().expect("a policy");
        let wall = RowSecurity::new(&policy, crate::rls::IdType::BigInt);
        let printed = "(tenant_id = ( SELECT (NULLIF(current_setting('tenancy.tenant_id'::text, true), ''::text))::bigint AS \"nullif\"))";
        assert_eq!(plain(printed), plain(&wall.condition("tenant_id")));
        assert_ne!(plain("true"), plain(&wall.condition("tenant_id")));
    }
}
