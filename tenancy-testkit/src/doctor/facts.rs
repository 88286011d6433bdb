//! What every rule needs to know of the database: who is examined, where, and which tables are declared.

use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow, postgres::types::Oid};

use super::{
    declared::{Declarations, DeclaredTable, Ownership},
    error::{Error, ErrorKind},
};

/// The examined role, the schemas, and the declared tables as the catalogue knows them.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) role: Oid,
    pub(crate) role_name: String,
    /// As `server_version_num`: 150018.
    pub(crate) version: i32,
    schemas: Vec<String>,
    owned: Vec<Oid>,
    columns: Vec<String>,
    global: Vec<Oid>,
    setting: String,
    tenant_column: String,
    /// Declared tables that no examined schema has.
    pub(crate) absent: Vec<String>,
    /// Whether two client connections shared one of the server's (SCH-18).
    pub(crate) pooled: bool,
}

/// What the questions of the rules have in common. `$1` to `$6` are bound for each.
///
/// Membership is followed by hand: `pg_has_role` says yes to everything for a superuser.
const PRELUDE: &str = "\
WITH RECURSIVE
up(oid, via) AS (
  SELECT $1::oid, NULL::oid
  UNION SELECT m.roleid, coalesce(up.via, m.roleid) FROM pg_auth_members m JOIN up ON up.oid = m.member),
mine AS (SELECT r.* FROM pg_roles r WHERE r.oid IN (SELECT oid FROM up)),
spaces AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = ANY($2::text[])),
owned AS (
  SELECT c.*, n.nspname, c.oid::regclass::text AS name, d.col, a.attnum, a.attnotnull,
    format_type(a.atttypid, NULL) AS type,
    format('%I = (SELECT nullif(current_setting(%L, true), '''')::%s)', d.col, $6::text,
      format_type(a.atttypid, NULL)) AS condition
  FROM unnest($3::oid[], $4::text[]) AS d(oid, col)
  JOIN pg_class c ON c.oid = d.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = d.col AND a.attnum > 0 AND NOT a.attisdropped),
tables AS (SELECT * FROM owned WHERE relkind IN ('r', 'p') AND attnum IS NOT NULL),
declared AS (SELECT oid FROM owned UNION SELECT unnest($5::oid[])),
children(oid, parent) AS (
  SELECT i.inhrelid, i.inhparent FROM pg_inherits i WHERE i.inhparent IN (SELECT oid FROM owned)
  UNION SELECT i.inhrelid, children.parent FROM pg_inherits i JOIN children ON i.inhparent = children.oid),
grants AS (
  SELECT c.oid, g.privilege_type AS privilege, g.grantee,
    CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who
  FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace,
    aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) g
  WHERE (g.grantee = 0 OR g.grantee IN (SELECT oid FROM mine)) AND g.grantee <> c.relowner),
reach AS (
  SELECT oid FROM grants WHERE privilege IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  UNION SELECT a.attrelid FROM pg_attribute a, aclexplode(a.attacl) g
    WHERE g.grantee = 0 OR g.grantee IN (SELECT oid FROM mine)
  UNION SELECT c.oid FROM pg_class c WHERE c.relowner IN (SELECT oid FROM mine)),
grantees AS (SELECT oid, string_agg(DISTINCT who, ', ') AS who FROM grants GROUP BY oid),
extensions AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
";

impl Facts {
    /// Asks for them.
    pub(crate) async fn gather(
        connection: &mut PgConnection,
        declared: &Declarations,
        role: Option<&str>,
        pooled: bool,
    ) -> Result<Self, Error> {
        let (id, role_name, version) = examined_role(connection, role).await?;
        let relations = relations(connection).await?;
        let schemas = schemas(connection, declared.schemas.as_deref()).await?;
        let mut facts = Self {
            role: id,
            role_name,
            version,
            schemas,
            owned: Vec::new(),
            columns: Vec::new(),
            global: Vec::new(),
            setting: declared.setting.clone(),
            tenant_column: declared.tenant_column.clone(),
            absent: Vec::new(),
            pooled,
        };
        for table in &declared.tables {
            facts.resolve(table, &relations, &declared.tenant_column);
        }
        Ok(facts)
    }

    fn resolve(&mut self, table: &DeclaredTable, relations: &[Relation], tenant_column: &str) {
        let here = |relation: &&Relation| {
            table.is(&relation.schema, &relation.name) && self.schemas.contains(&relation.schema)
        };
        let found: Vec<Oid> = relations.iter().filter(here).map(|relation| relation.oid).collect();
        if found.is_empty() {
            self.absent.push(table.shown());
        }
        match &table.owner {
            Ownership::Tenant { column } => {
                let column = column.as_deref().unwrap_or(tenant_column);
                self.columns.extend(found.iter().map(|_| column.to_owned()));
                self.owned.extend(found);
            }
            Ownership::Global => self.global.extend(found),
        }
    }

    /// Returns how many declared tables there are.
    pub(crate) fn tables(&self) -> usize {
        self.owned.len() + self.global.len()
    }

    /// Returns the name of the setting that the second wall compares with.
    pub(crate) fn setting(&self) -> &str {
        &self.setting
    }

    /// Asks a rule's question, which may use what [`PRELUDE`] defines, and `$7`, the tenant column's usual name.
    pub(crate) async fn ask(
        &self,
        connection: &mut PgConnection,
        question: &str,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let needs_column = question.contains("$7");
        let text = format!("{PRELUDE}{question}");
        // Unnamed, so that a transaction pooler does not confuse it with another client's.
        let query = sqlx::query(AssertSqlSafe(text)).persistent(false);
        let query = query.bind(self.role).bind(&self.schemas).bind(&self.owned).bind(&self.columns);
        let mut query = query.bind(&self.global).bind(&self.setting);
        if needs_column {
            query = query.bind(&self.tenant_column);
        }
        query.fetch_all(connection).await
    }
}

struct Relation {
    oid: Oid,
    schema: String,
    name: String,
}

/// Returns the role that is examined, by default the connection's own (KIT-03).
async fn examined_role(
    connection: &mut PgConnection,
    role: Option<&str>,
) -> Result<(Oid, String, i32), Error> {
    let question = "SELECT oid, rolname::text, rolsuper OR rolbypassrls, current_setting('server_version_num')::int \
                    FROM pg_roles WHERE rolname = coalesce($1, session_user)";
    let asked = sqlx::query(question).persistent(false).bind(role).fetch_optional(connection).await;
    let row = asked.map_err(|error| Error::server("the role could not be examined", error))?;
    let row = row.ok_or_else(|| Error::new(ErrorKind::UnknownRole, "there is no role of this name"))?;
    let (oid, name, bypasses, version) = (row.get(0), row.get(1), row.get::<bool, _>(2), row.get(3));
    if bypasses && role.is_none() {
        let why = format!(
            "{name} bypasses row-level security; connect as the application's role, or name it to be examined"
        );
        return Err(Error::new(ErrorKind::PowerfulRole, why));
    }
    Ok((oid, name, version))
}

async fn relations(connection: &mut PgConnection) -> Result<Vec<Relation>, Error> {
    let question = "SELECT c.oid, n.nspname::text, c.relname::text FROM pg_class c \
                    JOIN pg_namespace n ON n.oid = c.relnamespace \
                    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' \
                    AND n.nspname <> 'information_schema' ORDER BY 2, 3";
    let asked = sqlx::query(question).persistent(false).fetch_all(connection).await;
    let rows = asked.map_err(|error| Error::server("the tables could not be listed", error))?;
    Ok(rows.iter().map(|row| Relation { oid: row.get(0), schema: row.get(1), name: row.get(2) }).collect())
}

async fn schemas(connection: &mut PgConnection, only: Option<&[String]>) -> Result<Vec<String>, Error> {
    let question = "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' \
                    AND nspname <> 'information_schema' AND ($1::text[] IS NULL OR nspname = ANY($1)) ORDER BY 1";
    let asked = sqlx::query_scalar(question).persistent(false).bind(only).fetch_all(connection).await;
    asked.map_err(|error| Error::server("the schemas could not be listed", error))
}
