//! [`Settings`]: what PostgreSQL is told about the tenant, for a session or for a transaction.

use tenancy_core::{TenantContext, TenantId};

use crate::schema::SchemaName;

/// The setting that row-level security reads.
const TENANT: &str = "tenancy.tenant_id";

/// What a connection is set to before it serves a tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Settings {
    /// None for questions about the database itself.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) schema: Option<SchemaName>,
    /// The schema is what the connection searches, rather than what each statement names. A path that changes makes
    /// PostgreSQL plan anew whatever was prepared, also where each name has its schema.
    pub(crate) searched: bool,
    /// The role that is assumed: in schemas whose owners are kept apart, the schema's.
    pub(crate) role: Option<SchemaName>,
    /// A pooler may give each transaction another server connection, where a prepared statement's name may stand for
    /// another client's statement: nothing is prepared by name then. Nor is the path or the role taken as somebody else
    /// left it there.
    pub(crate) unnamed: bool,
}

impl Settings {
    pub(crate) fn of(context: &TenantContext) -> Self {
        Self { tenant: Some(context.id().clone()), schema: None, searched: true, role: None, unnamed: false }
    }

    /// The value of the setting; empty for nobody.
    pub(crate) fn tenant(&self) -> String {
        self.tenant.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// The value of `search_path`: one quoted identifier, before which PostgreSQL searches `pg_catalog`.
    pub(crate) fn path(&self) -> Option<String> {
        self.schema.as_ref().filter(|_| self.searched).map(SchemaName::quoted)
    }

    /// What follows BEGIN, in the same message: in force until the transaction ends.
    ///
    /// A schema that does not exist is an error of that message (SCH-06).
    pub(crate) fn local_sql(&self) -> String {
        let mut sql = String::new();
        if self.unnamed {
            // As the connection began, whatever a client has set since (SCH-19).
            sql += "; SET LOCAL role TO DEFAULT; SET LOCAL search_path TO DEFAULT";
        }
        if let Some(tenant) = &self.tenant {
            sql += &format!("; SET LOCAL {TENANT} = {}", literal(&tenant.to_string()));
        }
        if let Some(path) = self.path() {
            sql += &format!("; SET LOCAL search_path = {path}");
        }
        if let Some(schema) = self.schema.as_ref().map(SchemaName::quoted) {
            sql += &format!("; SELECT {}::pg_catalog.regnamespace", literal(&schema));
        }
        if let Some(role) = &self.role {
            sql += &format!("; SET LOCAL ROLE {}", role.quoted());
        }
        sql
    }
}

/// A string literal, by the rules of PostgreSQL's own `quote_literal`: right under every setting of
/// `standard_conforming_strings`.
fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_ends_where_its_text_ends() {
        assert_eq!(literal("a"), "'a'");
        assert_eq!(literal("a'; DROP TABLE b; --"), "'a''; DROP TABLE b; --'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
    }
}
