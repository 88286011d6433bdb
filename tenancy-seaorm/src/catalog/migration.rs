//! The catalog's tables, and the notification that a change of them sends.

use sea_orm::sea_query::{ColumnDef, Expr, ForeignKey, Index, IntoIden, Query, Table};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityName};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::entity::{claim, counter, domain, reserved, tenant};

/// Makes the tables of [`DatabaseCatalog`](super::DatabaseCatalog): `tenants`, `tenant_domains`,
/// `tenant_domain_claims`, `tenant_reserved_names` and `tenant_catalog`. Put it into your migrator.
///
/// On PostgreSQL it also makes triggers, so that changes by hand count too: every change of a tenant or of its domains
/// takes the next version, and sends `<version> <tenant id>` to the channel `tenancy_catalog` when it commits. On other
/// databases a change by hand must raise the versions as [`CatalogAdmin`](super::CatalogAdmin) does.
///
/// # Examples
///
/// ```
/// use sea_orm_migration::{MigrationTrait, MigratorTrait};
/// use tenancy_seaorm::catalog::CreateTenantCatalog;
///
/// struct Migrator;
///
/// impl MigratorTrait for Migrator {
///     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
///         vec![Box::new(CreateTenantCatalog)]
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateTenantCatalog;

impl MigrationName for CreateTenantCatalog {
    fn name(&self) -> &str {
        "m20260101_000000_create_tenant_catalog"
    }
}

#[allow(elided_lifetimes_in_paths, reason = "`async_trait` makes another signature of a written `'_`")]
#[async_trait::async_trait]
impl MigrationTrait for CreateTenantCatalog {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        manager.create_table(counters()).await?;
        let row = Query::insert()
            .into_table(counter::Entity)
            .columns([counter::Column::Id, counter::Column::Version])
            .values_panic([Expr::val(1_i32), Expr::val(0_i64)])
            .to_owned();
        manager.get_connection().execute(&row).await?;
        manager.create_table(tenants(backend)).await?;
        manager.create_index(index("tenants_version", tenant::Entity, tenant::Column::Version)).await?;
        manager.create_table(domains(backend)).await?;
        manager
            .create_index(index("tenant_domains_tenant", domain::Entity, domain::Column::TenantId))
            .await?;
        manager.create_table(claims(backend)).await?;
        manager.create_table(reserved_names(backend)).await?;
        if backend == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(TRIGGERS).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(NO_TRIGGERS).await?;
        }
        for table in [
            reserved::Entity.table_name(),
            claim::Entity.table_name(),
            domain::Entity.table_name(),
            tenant::Entity.table_name(),
            counter::Entity.table_name(),
        ] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// A name that is compared byte for byte, which MySQL does only when told, and then but for blanks at the end: no name has
/// any.
fn name(column: impl IntoIden, length: u32, backend: DbBackend) -> ColumnDef {
    let mut column = ColumnDef::new(column);
    if backend == DbBackend::MySql {
        // A part of the type: it stands before all other properties of a column.
        column.custom(format!("varchar({length}) CHARACTER SET ascii COLLATE ascii_bin"));
    } else {
        column.string_len(length);
    }
    column
}

fn counters() -> sea_orm::sea_query::TableCreateStatement {
    Table::create()
        .table(counter::Entity)
        .col(ColumnDef::new(counter::Column::Id).integer().not_null().primary_key())
        .col(ColumnDef::new(counter::Column::Version).big_integer().not_null())
        .to_owned()
}

fn tenants(backend: DbBackend) -> sea_orm::sea_query::TableCreateStatement {
    use tenant::Column;
    let mut table = Table::create();
    table
        .table(tenant::Entity)
        .col(name(Column::Id, 255, backend).not_null().primary_key())
        .col(name(Column::Slug, 63, backend).unique_key())
        .col(name(Column::Status, 32, backend).not_null())
        .col(ColumnDef::new(Column::Version).big_integer().not_null())
        .col(ColumnDef::new(Column::Name).text())
        .col(ColumnDef::new(Column::Plan).text())
        .col(ColumnDef::new(Column::Region).text())
        .col(ColumnDef::new(Column::Placement).text().not_null())
        .col(ColumnDef::new(Column::RetryAfterSeconds).big_integer())
        .col(ColumnDef::new(Column::Settings).text().not_null());
    if backend == DbBackend::MySql {
        // Names that people read are of any script, whatever the database's own default can hold.
        table.character_set("utf8mb4");
    }
    table
}

fn domains(backend: DbBackend) -> sea_orm::sea_query::TableCreateStatement {
    use domain::Column;
    Table::create()
        .table(domain::Entity)
        .col(name(Column::Domain, 253, backend).not_null().primary_key())
        .col(name(Column::TenantId, 255, backend).not_null())
        .col(name(Column::State, 32, backend).not_null())
        .col(name(Column::MovedTo, 253, backend))
        .col(ColumnDef::new(Column::MovedUntil).big_integer())
        .foreign_key(
            ForeignKey::create()
                .name("tenant_domains_tenant_fk")
                .from(domain::Entity, Column::TenantId)
                .to(tenant::Entity, tenant::Column::Id),
        )
        .to_owned()
}

fn claims(backend: DbBackend) -> sea_orm::sea_query::TableCreateStatement {
    use claim::Column;
    Table::create()
        .table(claim::Entity)
        .col(name(Column::Domain, 253, backend).not_null())
        .col(name(Column::TenantId, 255, backend).not_null())
        .col(name(Column::Token, 64, backend).not_null())
        .col(ColumnDef::new(Column::Expires).big_integer().not_null())
        .primary_key(Index::create().col(Column::Domain).col(Column::TenantId))
        .to_owned()
}

fn reserved_names(backend: DbBackend) -> sea_orm::sea_query::TableCreateStatement {
    use reserved::Column;
    Table::create()
        .table(reserved::Entity)
        .col(name(Column::Kind, 8, backend).not_null())
        .col(name(Column::Name, 253, backend).not_null())
        .col(name(Column::TenantId, 255, backend).not_null())
        .col(ColumnDef::new(Column::Until).big_integer().not_null())
        .primary_key(Index::create().col(Column::Kind).col(Column::Name))
        .to_owned()
}

fn index(
    name: &str,
    table: impl EntityName + IntoIden + 'static,
    column: impl IntoIden + 'static,
) -> sea_orm::sea_query::IndexCreateStatement {
    Index::create().name(name).table(table.table_name()).col(column.into_iden()).to_owned()
}

/// A change that does not take a version by itself gets one; every change is announced with the version it has.
const TRIGGERS: &str = r"
CREATE FUNCTION tenancy_catalog_next() RETURNS bigint LANGUAGE sql AS
$$ UPDATE tenant_catalog SET version = version + 1 WHERE id = 1 RETURNING version $$;

CREATE FUNCTION tenancy_catalog_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.version <= 0 THEN NEW.version := tenancy_catalog_next(); END IF;
    ELSIF NEW.version <= OLD.version THEN
        NEW.version := tenancy_catalog_next();
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION tenancy_catalog_announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('tenancy_catalog', tenancy_catalog_next() || ' ' || OLD.id);
    ELSE
        PERFORM pg_notify('tenancy_catalog', NEW.version || ' ' || NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION tenancy_catalog_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE tenants SET version = version WHERE id = OLD.tenant_id;
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.tenant_id <> OLD.tenant_id) THEN
        UPDATE tenants SET version = version WHERE id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER tenancy_catalog_version BEFORE INSERT OR UPDATE ON tenants
    FOR EACH ROW EXECUTE FUNCTION tenancy_catalog_version();
CREATE TRIGGER tenancy_catalog_announce AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION tenancy_catalog_announce();
CREATE TRIGGER tenancy_catalog_touch AFTER INSERT OR UPDATE OR DELETE ON tenant_domains
    FOR EACH ROW EXECUTE FUNCTION tenancy_catalog_touch();
";

const NO_TRIGGERS: &str = r"
DROP TRIGGER tenancy_catalog_touch ON tenant_domains;
DROP TRIGGER tenancy_catalog_announce ON tenants;
DROP TRIGGER tenancy_catalog_version ON tenants;
DROP FUNCTION tenancy_catalog_touch();
DROP FUNCTION tenancy_catalog_announce();
DROP FUNCTION tenancy_catalog_version();
DROP FUNCTION tenancy_catalog_next();
";
