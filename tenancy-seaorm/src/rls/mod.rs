//! PostgreSQL's row-level security: the second wall, made from the same declarations as the first.
//!
//! ```
//! use tenancy_seaorm::Policy;
//! use tenancy_seaorm::rls::{IdType, RowSecurity};
//!
//! let policy = Policy::builder().owned_table("orders").global_table("countries").build()?;
//! let wall = RowSecurity::new(&policy, IdType::BigInt).with_application_role("shop_app");
//! assert!(wall.enable_sql().iter().any(|sql| sql == r#"ALTER TABLE "orders" FORCE ROW LEVEL SECURITY"#));
//! # Ok::<(), tenancy_seaorm::Error>(())
//! ```
//!
//! In a migration: `wall.enable(manager.get_connection()).await`. When the service starts:
//! [`Tenancy::with_row_security`](crate::Tenancy::with_row_security), which looks whether the wall stands.
//!
//! # What it does not do
//!
//! Foreign keys, unique keys, `TRUNCATE`, superusers and roles with `BYPASSRLS` pass through row-level security. Hence
//! [`RowSecurity::foreign_key`] and [`RowSecurity::unique_key`], which contain the tenant; grants without `TRUNCATE` and
//! `REFERENCES`; and an application role of its own. `INSERT … ON CONFLICT DO NOTHING` on a key that lacks the tenant
//! tells that another tenant's row is there (RLS-12).

mod keys;
mod sql;
#[cfg(feature = "postgres")]
mod verify;

use sea_orm::{ConnectionTrait, DbErr};

use crate::policy::{Policy, Rule};

/// The type of the tenant column, which is the type of the tenants' ids.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum IdType {
    /// `bigint`, for [`TenantId::integer`](tenancy_core::TenantId::integer).
    BigInt,
    /// `uuid`, for [`TenantId::uuid`](tenancy_core::TenantId::uuid).
    Uuid,
    /// `text`, for [`TenantId::text`](tenancy_core::TenantId::text).
    Text,
}

impl IdType {
    pub(crate) fn as_sql(self) -> &'static str {
        match self {
            Self::BigInt => "bigint",
            Self::Uuid => "uuid",
            Self::Text => "text",
        }
    }
}

/// Row-level security on every owned table of a [`Policy`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RowSecurity {
    tables: Vec<Guarded>,
    id: IdType,
    role: Option<String>,
}

#[derive(Clone, Debug)]
struct Guarded {
    schema: Option<String>,
    name: String,
    access: Access,
}

#[derive(Clone, Debug)]
enum Access {
    /// Rows of tenants, told apart by this column.
    Tenant(String),
    Read,
    ReadWrite,
}

impl RowSecurity {
    /// Makes the security of `policy`'s tables, whose tenant columns are of type `id`; of type `text` in any case if the
    /// policy says [`tenant_column_as_text`](crate::PolicyBuilder::tenant_column_as_text).
    pub fn new(policy: &Policy, id: IdType) -> Self {
        let guarded = |table: &crate::policy::Table| Guarded {
            schema: table.schema.clone(),
            name: table.name.clone(),
            access: match &table.rule {
                Rule::Owned { column } => Access::Tenant(column.clone()),
                Rule::Global { writable: false } => Access::Read,
                Rule::Global { writable: true } => Access::ReadWrite,
            },
        };
        let id = if policy.tenant_column_is_text { IdType::Text } else { id };
        Self { tables: policy.tables.iter().map(guarded).collect(), id, role: None }
    }

    /// Also grants `role`, which the application logs in as, what it needs on these tables and nothing else.
    pub fn with_application_role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Enables it, as the tables' owner: for migrations. Done again, it changes nothing.
    ///
    /// # Errors
    ///
    /// Returns the database's error; wrap it in a transaction, as sea-orm's migrator does on PostgreSQL.
    pub async fn enable<C: ConnectionTrait>(&self, db: &C) -> Result<(), DbErr> {
        for statement in self.enable_sql() {
            db.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    /// Takes it away again, but for the grants.
    ///
    /// # Errors
    ///
    /// Returns the database's error.
    pub async fn disable<C: ConnectionTrait>(&self, db: &C) -> Result<(), DbErr> {
        for statement in self.disable_sql() {
            db.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
