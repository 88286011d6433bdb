//! Keys that contain the tenant, because the database checks keys past row-level security.

use sea_orm::sea_query::{
    Alias, ForeignKey, ForeignKeyCreateStatement, Index, IndexCreateStatement, IntoTableRef, TableRef,
};

use super::{Access, Guarded, RowSecurity};
use crate::error::{Error, ErrorKind, shown};

impl RowSecurity {
    /// Makes a unique key of `table` on the tenant and `columns`: `manager.create_index(…)` in a migration.
    ///
    /// Without the tenant in it, a taken value would tell that another tenant has it (FLT-20).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::UnknownTable`] if `table` is not an owned table of the policy.
    ///
    /// # Examples
    ///
    /// ```
    /// use sea_orm::sea_query::PostgresQueryBuilder;
    /// use tenancy_seaorm::Policy;
    /// use tenancy_seaorm::rls::{IdType, RowSecurity};
    ///
    /// let policy = Policy::builder().owned_table("orders").build()?;
    /// let key = RowSecurity::new(&policy, IdType::BigInt).unique_key("orders", &["number"])?;
    /// let sql = r#"CREATE UNIQUE INDEX "orders_tenant_id_number_key" ON "orders" ("tenant_id", "number")"#;
    /// assert_eq!(key.to_string(PostgresQueryBuilder), sql);
    /// # Ok::<(), tenancy_seaorm::Error>(())
    /// ```
    pub fn unique_key(&self, table: &str, columns: &[&str]) -> Result<IndexCreateStatement, Error> {
        let (owned, tenant) = self.owned(table)?;
        let mut key = Index::create()
            .name(name(owned, tenant, columns, "key"))
            .table(owned.reference())
            .unique()
            .to_owned();
        for column in [tenant].iter().chain(columns) {
            key.col(Alias::new(*column));
        }
        Ok(key)
    }

    /// Makes a foreign key of `table` on the tenant and `columns` to the tenant and `referenced` of `parent`:
    /// `manager.create_foreign_key(…)` in a migration. Add `.on_delete(…)` to it as needed.
    ///
    /// Without the tenant in it, a row could name another tenant's (RLS-11, FLT-21), and a cascade reach it (FLT-48).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::UnknownTable`] if `table` or `parent` is not an owned table of the policy.
    pub fn foreign_key(
        &self,
        table: &str,
        columns: &[&str],
        parent: &str,
        referenced: &[&str],
    ) -> Result<ForeignKeyCreateStatement, Error> {
        let (child, tenant) = self.owned(table)?;
        let (parent, parent_tenant) = self.owned(parent)?;
        let mut key = ForeignKey::create()
            .name(name(child, tenant, columns, "fkey"))
            .from_tbl(child.reference())
            .to_tbl(parent.reference())
            .to_owned();
        for column in [tenant].iter().chain(columns) {
            key.from_col(Alias::new(*column));
        }
        for column in [parent_tenant].iter().chain(referenced) {
            key.to_col(Alias::new(*column));
        }
        Ok(key)
    }

    fn owned(&self, table: &str) -> Result<(&Guarded, &str), Error> {
        let named = |known: &&Guarded| match &known.schema {
            Some(schema) => table.split_once('.') == Some((schema, &known.name)),
            None => known.name == table,
        };
        match self.tables.iter().find(named) {
            Some(guarded @ Guarded { access: Access::Tenant(column), .. }) => Ok((guarded, column)),
            _ => {
                let construct = format!("table {}", shown(table));
                Err(Error::new(ErrorKind::UnknownTable, construct, "declare it in the policy as owned"))
            }
        }
    }
}

impl Guarded {
    fn reference(&self) -> TableRef {
        match &self.schema {
            Some(schema) => (Alias::new(schema), Alias::new(&self.name)).into_table_ref(),
            None => Alias::new(&self.name).into_table_ref(),
        }
    }
}

/// As PostgreSQL would name it. One that is longer than 63 bytes is cut by the server, and then has to be unique so.
fn name(table: &Guarded, tenant: &str, columns: &[&str], kind: &str) -> String {
    format!("{}_{tenant}_{}_{kind}", table.name, columns.join("_"))
}
