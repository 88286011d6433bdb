//! The statements that make and remove row-level security.

use super::{Access, Guarded, RowSecurity};

/// The name of the policy on every table.
pub(super) const NAME: &str = "tenancy";

impl RowSecurity {
    /// Returns the statements of [`RowSecurity::enable`], in order.
    ///
    /// The condition stands in a sub-select, so that it is evaluated once for a statement and not for each row, and an
    /// index on the tenant column serves it. A setting that was never made, or that ended with its transaction, is no
    /// tenant: no rows, and no error either (RLS-07, SCH-15).
    #[must_use]
    pub fn enable_sql(&self) -> Vec<String> {
        let mut statements = Vec::new();
        for table in &self.tables {
            let name = table.quoted();
            if let Access::Tenant(column) = &table.access {
                let condition = self.condition(column);
                statements.push(format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"));
                statements.push(format!("ALTER TABLE {name} FORCE ROW LEVEL SECURITY"));
                statements.push(format!("DROP POLICY IF EXISTS {NAME} ON {name}"));
                statements.push(format!(
                    "CREATE POLICY {NAME} ON {name} AS PERMISSIVE FOR ALL TO PUBLIC \
                     USING ({condition}) WITH CHECK ({condition})"
                ));
            }
            self.grants(table, &mut statements);
        }
        statements
    }

    /// Returns the statements of [`RowSecurity::disable`], in order.
    #[must_use]
    pub fn disable_sql(&self) -> Vec<String> {
        let mut statements = Vec::new();
        for table in self.tables.iter().filter(|table| matches!(table.access, Access::Tenant(_))) {
            let name = table.quoted();
            statements.push(format!("DROP POLICY IF EXISTS {NAME} ON {name}"));
            statements.push(format!("ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY"));
            statements.push(format!("ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"));
        }
        statements
    }

    pub(super) fn condition(&self, column: &str) -> String {
        format!(
            "{} = (SELECT nullif(current_setting('tenancy.tenant_id', true), '')::{})",
            quoted(column),
            self.id.as_sql()
        )
    }

    /// No TRUNCATE, which passes row-level security; no REFERENCES and no TRIGGER, which see through it (RLS-11).
    fn grants(&self, table: &Guarded, statements: &mut Vec<String>) {
        let Some(role) = &self.role else { return };
        let (name, to) = (table.quoted(), quoted(role));
        let rights = match table.access {
            Access::Read => "SELECT",
            Access::Tenant(_) | Access::ReadWrite => "SELECT, INSERT, UPDATE, DELETE",
        };
        statements.push(format!("REVOKE ALL ON {name} FROM PUBLIC, {to}"));
        statements.push(format!("GRANT {rights} ON {name} TO {to}"));
        if !matches!(table.access, Access::Read) {
            statements.push(sequences(&name, &to));
        }
    }
}

/// USAGE on the sequences behind a table's serial columns: nextval, and no setval.
fn sequences(table: &str, role: &str) -> String {
    let (table, role) = (table.replace('\'', "''"), role.replace('\'', "''"));
    format!(
        "DO $tenancy$ DECLARE own regclass; BEGIN \
         FOR own IN SELECT d.objid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' \
         WHERE d.classid = 'pg_class'::regclass AND d.refobjid = '{table}'::regclass AND d.deptype IN ('a', 'i') \
         LOOP EXECUTE 'REVOKE ALL ON SEQUENCE ' || own || ' FROM PUBLIC, {role}'; \
         EXECUTE 'GRANT USAGE ON SEQUENCE ' || own || ' TO {role}'; END LOOP; END $tenancy$"
    )
}

impl Guarded {
    pub(super) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use crate::Policy;
    use crate::rls::{IdType, RowSecurity};

    #[test]
    fn names_are_quoted_wherever_they_stand() {
        let policy = Policy::builder().owned_table(r#"sales.od"d'"#).tenant_column("ten\"ant").build();
        let wall = RowSecurity::new(&policy.expect("a policy"), IdType::Uuid).with_application_role("a\"p'p");
        let sql = wall.enable_sql();
        assert_eq!(sql[0], r#"ALTER TABLE "sales"."od""d'" ENABLE ROW LEVEL SECURITY"#);
        assert!(sql[3].contains(r#"USING ("ten""ant" = (SELECT nullif("#), "{}", sql[3]);
        assert!(sql[3].contains(r#"WITH CHECK ("ten""ant" = (SELECT nullif("#), "{}", sql[3]);
        assert_eq!(sql[5], r#"GRANT SELECT, INSERT, UPDATE, DELETE ON "sales"."od""d'" TO "a""p'p""#);
        assert!(sql[6].contains(r#"'"sales"."od""d''"'::regclass"#), "{}", sql[6]);
    }
}
