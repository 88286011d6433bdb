//! Making a tenant's schema, and taking it away.

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};

use super::SchemaName;

/// How a tenant's schema is made.
///
/// # Examples
///
/// ```no_run
/// # async fn example(owner: sea_orm::DatabaseConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use sea_orm::ConnectionTrait;
/// use tenancy_seaorm::schema::{Provision, SchemaName};
///
/// let schema = SchemaName::new("acme")?;
/// Provision::new(schema).with_application_role("shop_app").run(&owner, async |db| {
///     // With sea-orm's migrator: `Migrator::up(db, None).await`.
///     db.execute_unprepared("CREATE TABLE orders (tenant_id bigint NOT NULL, id int)").await?;
///     Ok(())
/// }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Provision {
    schema: SchemaName,
    application: Option<String>,
    role: bool,
}

impl Provision {
    /// Makes `schema`, for its owner alone.
    pub fn new(schema: SchemaName) -> Self {
        Self { schema, application: None, role: false }
    }

    /// Grants `role`, which the application logs in as, the use of the schema and of what is made in it, and no right to
    /// make anything there: what a tenant's schema holds is found before other functions of its name (SCH-31).
    pub fn with_application_role(mut self, role: impl Into<String>) -> Self {
        self.application = Some(role.into());
        self
    }

    /// Makes a role that is called as the schema is, and grants the rights to it instead. The application's role becomes
    /// a member of it and has to assume it; see [`Tenancy::with_role_per_schema`](crate::Tenancy::with_role_per_schema).
    pub fn with_role(mut self) -> Self {
        self.role = true;
        self
    }

    /// Makes the schema and runs `migrate` in it, all in one transaction. Where both were done before, `migrate`
    /// decides what is left to do.
    ///
    /// # Errors
    ///
    /// Returns the error of `migrate` or the database's; nothing is left of the attempt then.
    pub async fn run<F>(&self, db: &DatabaseConnection, migrate: F) -> Result<(), DbErr>
    where
        F: AsyncFnOnce(&DatabaseTransaction) -> Result<(), DbErr>,
    {
        let schema = self.schema.quoted();
        let transaction = db.begin().await?;
        transaction.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
        transaction.execute_unprepared(&format!("SET LOCAL search_path = {schema}")).await?;
        migrate(&transaction).await?;
        for statement in self.grants() {
            transaction.execute_unprepared(&statement).await?;
        }
        transaction.commit().await
    }

    fn grants(&self) -> Vec<String> {
        let schema = self.schema.quoted();
        let application = self.application.as_ref().map(|role| format!("\"{}\"", role.replace('"', "\"\"")));
        let mut statements = Vec::new();
        if self.role {
            let name = self.schema.as_str();
            statements.push(format!(
                "DO $tenancy$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{name}') THEN \
                 CREATE ROLE {schema} NOLOGIN; END IF; END $tenancy$"
            ));
            statements.extend(application.iter().map(|role| format!("GRANT {schema} TO {role}")));
        }
        let to = if self.role { Some(schema.clone()) } else { application };
        if let Some(to) = to {
            statements.push(format!("GRANT USAGE ON SCHEMA {schema} TO {to}"));
            let tables = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES";
            statements.push(format!("GRANT {tables} IN SCHEMA {schema} TO {to}"));
            statements.push(format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {to}"));
        }
        statements
    }
}

/// Drops a tenant's schema with everything in it.
///
/// # Errors
///
/// Returns the database's error; a schema that is not there is none.
pub async fn drop_schema(db: &DatabaseConnection, schema: &SchemaName) -> Result<(), DbErr> {
    db.execute_unprepared(&format!("DROP SCHEMA IF EXISTS {} CASCADE", schema.quoted())).await?;
    Ok(())
}
