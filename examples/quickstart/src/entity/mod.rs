//! The tables. Each row but a tenant's own belongs to one tenant, and each key and index is led by it.

pub mod deployment;
pub mod tenant;
pub mod user;
pub mod workflow;

use sea_orm::sea_query::{ForeignKeyAction, ForeignKeyCreateStatement, Index, IndexCreateStatement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IdenStatic, Schema};

/// Creates the tables that are not there yet.
pub async fn create_tables(db: &DatabaseConnection) -> Result<(), DbErr> {
    let schema = Schema::new(db.get_database_backend());
    let with_keys = |table: &mut sea_orm::sea_query::TableCreateStatement,
                     keys: &mut [ForeignKeyCreateStatement]| {
        keys.iter_mut().for_each(|key| {
            table.foreign_key(key);
        });
        table.if_not_exists().to_owned()
    };
    let tables = [
        with_keys(&mut schema.create_table_from_entity(tenant::Entity), &mut []),
        with_keys(
            &mut unique_per_tenant(schema.create_table_from_entity(user::Entity)),
            &mut [of_tenant::<user::Entity>()],
        ),
        with_keys(
            &mut unique_per_tenant(schema.create_table_from_entity(workflow::Entity)),
            &mut [of_tenant::<workflow::Entity>()],
        ),
        with_keys(
            &mut unique_per_tenant(schema.create_table_from_entity(deployment::Entity)),
            &mut [
                of_tenant::<deployment::Entity>(),
                within_tenant::<deployment::Entity, workflow::Entity>("workflow_id"),
                within_tenant::<deployment::Entity, user::Entity>("created_by"),
            ],
        ),
    ];
    for table in &tables {
        db.execute(table).await?;
    }
    for index in &mut indexes() {
        db.execute(index.if_not_exists()).await?;
    }
    Ok(())
}

/// A row's id is unique by itself, and once more together with its tenant, so that foreign keys can name both.
fn unique_per_tenant(
    mut table: sea_orm::sea_query::TableCreateStatement,
) -> sea_orm::sea_query::TableCreateStatement {
    table.index(Index::create().unique().col("tenant_id").col("id")).to_owned()
}

/// A foreign key that contains the tenant: a row cannot point at another tenant's row.
fn within_tenant<From: EntityTrait, To: EntityTrait>(column: &'static str) -> ForeignKeyCreateStatement {
    let name = format!("fk_{}_{}", From::default().table_name(), column);
    ForeignKeyCreateStatement::new()
        .name(name)
        .from(From::default(), ("tenant_id", column))
        .to(To::default(), ("tenant_id", "id"))
        .on_delete(ForeignKeyAction::Restrict)
        .to_owned()
}

fn of_tenant<From: EntityTrait>() -> ForeignKeyCreateStatement {
    ForeignKeyCreateStatement::new()
        .name(format!("fk_{}_tenant", From::default().table_name()))
        .from(From::default(), "tenant_id")
        .to(tenant::Entity, "id")
        .on_delete(ForeignKeyAction::Restrict)
        .to_owned()
}

fn indexes() -> [IndexCreateStatement; 3] {
    let index = |name: &str, table: &str| {
        Index::create().name(name).table(table.to_owned()).col("tenant_id").to_owned()
    };
    [
        index("deployments_by_status", "deployments")
            .col(deployment::Column::Status.as_str())
            .col("id")
            .to_owned(),
        index("users_by_email", "users").unique().col(user::Column::Email.as_str()).to_owned(),
        index("workflows_by_name", "workflows").unique().col(workflow::Column::Name.as_str()).to_owned(),
    ]
}
