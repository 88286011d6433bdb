//! Tenant columns that hold every id as a text.
#![allow(unreachable_pub, reason = "the entity macros make public items, and a test binary exports nothing")]

use sea_orm::{
    ActiveModelTrait, ActiveValue, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait,
};
use sea_orm::{PaginatorTrait, Statement};
use tenancy_core::{Tenant, TenantContext, TenantId};
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::{DatabaseFault, Error, ErrorKind, Policy, PolicyBuilder, Tenancy};
use tenancy_testkit::TestDatabase;

use crate::fixture::{open, role};

mod memo {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "memos")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub tenant_id: Option<String>,
        pub body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod sum {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "sums")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub tenant_id: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const A: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
const B: &str = "7d3b1f20-0c0e-4b1a-9f0e-2f7b8a1c3d4e";

/// One row for each of these, and one that spells a's id in capitals: it is nobody's.
const IDS: [&str; 5] = [A, B, "7", "70", "Acme"];

fn context(id: &str) -> TenantContext {
    let id: TenantId = id.parse().expect("an id");
    let tenant = Tenant::builder(id, "acme".parse().expect("a slug")).build().expect("a tenant");
    TenantContext::assertion(tenant, "a test").expect("the tenant is active")
}

fn policy() -> PolicyBuilder {
    Policy::builder().owned(memo::Entity)
}

async fn fill(raw: &DatabaseConnection) {
    let table = "CREATE TABLE memos (tenant_id TEXT NOT NULL, id INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant_id, id))";
    raw.execute_unprepared(table).await.expect("a table");
    for id in IDS.iter().map(ToString::to_string).chain([A.to_uppercase()]) {
        let row = format!("INSERT INTO memos VALUES ('{id}', 1, 'of {id}')");
        raw.execute_unprepared(&row).await.expect("a row");
    }
}

async fn database(backend: DbBackend) -> (DatabaseConnection, Option<TestDatabase>) {
    let database = match backend {
        DbBackend::Postgres => Some(TestDatabase::create().await.expect("PostgreSQL for the test")),
        _ => None,
    };
    let raw = open(database.as_ref().map_or("sqlite::memory:", |database| database.owner_url())).await;
    fill(&raw).await;
    (raw, database)
}

fn kind(error: &DbErr) -> Option<ErrorKind> {
    Error::of(error).map(Error::kind)
}

/// Own rows are seen, changed and inserted, foreign ones are not, and rows of others are refused.
async fn each_tenant_has_its_rows(tenancy: &Tenancy, raw: &DatabaseConnection) {
    for id in IDS {
        let db = tenancy.tenant(&context(id));
        let found = memo::Entity::find().all(&db).await.expect("rows");
        let own = memo::Model { id: 1, tenant_id: Some(id.to_owned()), body: format!("of {id}") };
        assert_eq!(found, std::slice::from_ref(&own), "{id}");
        let row = |id: i32, tenant| memo::ActiveModel {
            id: ActiveValue::Set(id),
            tenant_id: tenant,
            body: ActiveValue::Set("new".to_owned()),
        };
        row(2, ActiveValue::NotSet).insert(&db).await.expect("it is stamped");
        row(3, ActiveValue::Set(Some(id.to_owned()))).insert(&db).await.expect("it is the tenant's own");
        for other in IDS.iter().filter(|other| **other != id) {
            let foreign = row(4, ActiveValue::Set(Some((*other).to_owned()))).insert(&db).await;
            assert_eq!(kind(&foreign.expect_err("a foreign row")), Some(ErrorKind::ForeignTenant));
        }
        assert_eq!(memo::Entity::find().count(&db).await.expect("a count"), 3);
        let mut moved: memo::ActiveModel = own.into();
        moved.tenant_id = ActiveValue::Set(Some("70".to_owned()));
        if id != "70" {
            let refused = moved.update(&db).await.expect_err("a row does not change its tenant");
            assert_eq!(kind(&refused), Some(ErrorKind::TenantColumn));
        }
        memo::Entity::delete_many().exec(&db).await.expect("its rows are deleted");
    }
    let left = Statement::from_string(raw.get_database_backend(), "SELECT body FROM memos");
    let left = raw.query_all_raw(left).await.expect("rows");
    let left: Vec<String> = left.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
    assert_eq!(
        left,
        [format!("of {}", A.to_uppercase())],
        "a row whose column spells the id otherwise is nobody's"
    );
}

#[tokio::test]
async fn ids_in_texts_keep_tenants_apart_on_sqlite() {
    let (raw, _database) = database(DbBackend::Sqlite).await;
    let tenancy = Tenancy::new(raw.clone(), policy().tenant_column_as_text().build().expect("a policy"));
    each_tenant_has_its_rows(&tenancy.expect("a tenancy"), &raw).await;
}

#[tokio::test]
async fn ids_in_texts_keep_tenants_apart_on_postgres() {
    let (raw, _database) = database(DbBackend::Postgres).await;
    let tenancy = Tenancy::new(raw.clone(), policy().tenant_column_as_text().build().expect("a policy"));
    each_tenant_has_its_rows(&tenancy.expect("a tenancy"), &raw).await;
}

/// Not stated, a UUID or a number is no text: SQLite would compare them by what they begin with, PostgreSQL refuses.
#[tokio::test]
async fn what_is_not_stated_is_refused() {
    let (raw, _) = database(DbBackend::Sqlite).await;
    let tenancy = Tenancy::new(raw, policy().build().expect("a policy")).expect("a tenancy");
    for id in [A, "7"] {
        let refused = memo::Entity::find().all(&tenancy.tenant(&context(id))).await.expect_err("two types");
        assert_eq!(kind(&refused), Some(ErrorKind::Policy), "{refused}");
    }
    let found = memo::Entity::find().all(&tenancy.tenant(&context("Acme"))).await.expect("a text");
    assert_eq!(found.len(), 1);
    let (raw, _database) = database(DbBackend::Postgres).await;
    let tenancy = Tenancy::new(raw, policy().build().expect("a policy")).expect("a tenancy");
    for id in [A, "7"] {
        let refused = memo::Entity::find().all(&tenancy.tenant(&context(id))).await.expect_err("two types");
        assert!(DatabaseFault::of(&refused).is_some(), "{refused}");
    }
}

/// To a column of numbers SQLite makes a number of a text that is one: `7.0` would be tenant 7.
#[tokio::test]
async fn a_text_is_no_number() {
    let (raw, _) = database(DbBackend::Sqlite).await;
    raw.execute_unprepared("CREATE TABLE sums (tenant_id BIGINT NOT NULL, id INTEGER NOT NULL)")
        .await
        .expect("a table");
    raw.execute_unprepared("INSERT INTO sums VALUES (7, 1), (1000, 2)").await.expect("rows");
    let count = async |tenancy: &Tenancy, id: &str| {
        let sql = Statement::from_string(DbBackend::Sqlite, "SELECT id FROM sums");
        tenancy.tenant(&context(id)).query_all_raw(sql).await.map(|rows| rows.len())
    };
    let by_name = Policy::builder().owned_table("sums").build().expect("a policy");
    let by_entity = Policy::builder().owned(sum::Entity).build().expect("a policy");
    for (policy, word) in [(by_name, Some(0)), (by_entity, None)] {
        let tenancy = Tenancy::new(raw.clone(), policy).expect("a tenancy");
        assert_eq!(count(&tenancy, "7").await.expect("a number"), 1);
        for id in ["7.0", "1e3", "7-eleven"] {
            let refused = count(&tenancy, id).await.expect_err("it may be taken for a number");
            assert_eq!(kind(&refused), Some(ErrorKind::Policy), "{id}: {refused}");
        }
        assert_eq!(count(&tenancy, "seven").await.ok(), word);
    }
}

/// Both walls mean the same rows, whatever type of id the second one is told of.
#[tokio::test]
async fn row_level_security_compares_texts_too() {
    let database = TestDatabase::create().await.expect("PostgreSQL for the test");
    let (owner, admin) = (open(database.owner_url()).await, open(database.admin_url()).await);
    fill(&owner).await;
    let policy = policy().tenant_column_as_text().build().expect("a policy");
    for id in [IdType::Uuid, IdType::BigInt, IdType::Text] {
        let wall = RowSecurity::new(&policy, id).with_application_role(role(database.app_url()));
        assert!(wall.enable_sql().iter().any(|sql| sql.contains("'')::text)")), "{:?}", wall.enable_sql());
        wall.enable(&owner).await.expect("row-level security");
    }
    let app = open(database.app_url()).await;
    let unseen = app.query_all_raw(Statement::from_string(DbBackend::Postgres, "SELECT id FROM memos")).await;
    assert_eq!(unseen.expect("no error").len(), 0);
    let tenancy = Tenancy::new(app, policy).expect("a tenancy");
    let tenancy = tenancy.with_row_security(IdType::Uuid).await.expect("the wall stands");
    each_tenant_has_its_rows(&tenancy, &admin).await;
}
