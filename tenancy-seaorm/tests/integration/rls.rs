//! The second wall: what it keeps apart by itself, and that its absence is noticed.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement};
use sea_orm_migration::SchemaManager;
use tenancy_seaorm::rls::{IdType, RowSecurity};
use tenancy_seaorm::{Error, ErrorKind, LeakyPredicates, Mutant, Policy, Tenancy};
use tenancy_testkit::TestDatabase;

use crate::fixture::{Model, OWNED, Shop, context, open, order, policy, role};

/// A shop behind its wall, with a raw connection of the application's role.
async fn walled() -> (Shop, DatabaseConnection) {
    let shop = Shop::placed(Model::Walled, policy()).await;
    let app = open(shop.app_url()).await;
    (shop, app)
}

fn wall() -> RowSecurity {
    RowSecurity::new(&policy().build().expect("a policy"), IdType::BigInt)
}

/// Runs `sql` as the application, in a transaction that is told `tenant`; the count of its rows.
async fn as_tenant(app: &DatabaseConnection, tenant: &str, sql: &str) -> Result<usize, DbErr> {
    use sea_orm::TransactionTrait;
    let transaction = app.begin().await?;
    let told = format!("SELECT set_config('tenancy.tenant_id', '{tenant}', true)");
    transaction.execute_unprepared(&told).await?;
    let rows = transaction.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    transaction.commit().await?;
    Ok(rows.len())
}

/// RLS-07, SCH-15: no tenant, an empty one, and one that ended with its transaction.
#[tokio::test]
async fn without_a_tenant_there_are_no_rows_and_no_errors() {
    let (_shop, app) = walled().await;
    for table in OWNED {
        let all = format!("SELECT * FROM {table}");
        let untold = app.query_all_raw(Statement::from_string(DbBackend::Postgres, &all)).await;
        assert_eq!(untold.expect("no error").len(), 0);
        assert_eq!(as_tenant(&app, "", &all).await.expect("no error"), 0);
        assert!(as_tenant(&app, "1", &all).await.expect("rows of a") > 0);
        let after = app.query_all_raw(Statement::from_string(DbBackend::Postgres, &all)).await;
        assert_eq!(after.expect("no error").len(), 0);
    }
}

/// The raw statements of one tenant, past the filter: each reaches its own rows alone.
#[tokio::test]
async fn the_wall_alone_stops_what_no_filter_sees() {
    let (shop, app) = walled().await;
    assert_eq!(as_tenant(&app, "1", "SELECT * FROM orders").await.expect("rows"), 2);
    assert_eq!(as_tenant(&app, "2", "SELECT * FROM orders").await.expect("rows"), 3);
    assert_eq!(as_tenant(&app, "1", "UPDATE orders SET total = 0 RETURNING id").await.expect("rows"), 2);
    assert_eq!(as_tenant(&app, "1", "DELETE FROM order_tags RETURNING tag_id").await.expect("rows"), 2);
    assert_eq!(shop.raw_total(2, 1).await, 10);
    for stolen in [
        "INSERT INTO tags VALUES (2, 9, 'a-forged') RETURNING id",
        "UPDATE tags SET tenant_id = 2 RETURNING id",
        "TRUNCATE orders",
        "CREATE TABLE spy (tenant_id bigint, id int REFERENCES tags)",
        "CREATE TRIGGER spy AFTER INSERT ON tags EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenancy ON orders",
        "SET SESSION AUTHORIZATION postgres",
    ] {
        as_tenant(&app, "1", stolen).await.expect_err(stolen);
    }
}

/// RLS-01 to RLS-05, RLS-13: each gap of the wall is found when the service starts.
#[tokio::test]
async fn a_wall_with_a_gap_is_no_wall() {
    let gaps = [
        "ALTER TABLE tags DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE tags NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenancy ON tags",
        "DROP POLICY tenancy ON tags; CREATE POLICY tenancy ON tags USING (true)",
        "ALTER POLICY tenancy ON tags WITH CHECK (true)",
        "ALTER POLICY tenancy ON tags TO CURRENT_USER",
        "CREATE POLICY more ON tags USING (true)",
        "ALTER TABLE tags RENAME TO tags_old",
        "ALTER TABLE tags RENAME TO tags_old; CREATE VIEW tags AS SELECT * FROM tags_old",
        "ALTER TABLE tags RENAME TO tags_old; CREATE MATERIALIZED VIEW tags AS SELECT * FROM tags_old",
    ];
    let (shop, app) = walled().await;
    let tenancy = || Tenancy::new(app.clone(), policy().build().expect("a policy")).expect("a tenancy");
    tenancy().with_row_security(IdType::BigInt).await.expect("the wall stands");
    for gap in gaps {
        let admin = open(shop.admin_url()).await;
        admin.execute_unprepared(gap).await.expect(gap);
        let refused = tenancy().with_row_security(IdType::BigInt).await.expect_err(gap);
        assert_eq!(Error::of(&refused).map(Error::kind), Some(ErrorKind::Policy), "{gap}: {refused}");
        for undo in [
            "DROP VIEW IF EXISTS tags",
            "DROP MATERIALIZED VIEW IF EXISTS tags",
            "DROP POLICY IF EXISTS more ON tags",
        ] {
            // Whichever of them fits.
            let _ = admin.execute_unprepared(undo).await;
        }
        admin.execute_unprepared("ALTER TABLE IF EXISTS tags_old RENAME TO tags").await.expect("undone");
        wall().enable(&admin).await.expect("enabled again");
        tenancy().with_row_security(IdType::BigInt).await.expect("the wall stands again");
    }
    // A restrictive policy narrows what is seen, and a view with the caller's rights is a table like any other.
    let admin = open(shop.admin_url()).await;
    let narrow = "CREATE POLICY less ON tags AS RESTRICTIVE USING (name <> '')";
    admin.execute_unprepared(narrow).await.expect("a policy");
    tenancy().with_row_security(IdType::BigInt).await.expect("the wall stands");
}

/// RLS-01: a role that no policy binds.
#[tokio::test]
async fn a_role_that_is_above_the_wall_is_refused() {
    let (shop, _) = walled().await;
    let admin = Tenancy::new(open(shop.admin_url()).await, policy().build().expect("a policy"));
    let refused = admin.expect("a tenancy").with_row_security(IdType::BigInt).await.expect_err("a superuser");
    assert_eq!(Error::of(&refused).map(Error::kind), Some(ErrorKind::Policy));
    let sqlite = crate::fixture::sqlite(policy()).await.with_row_security(IdType::BigInt).await;
    assert_eq!(sqlite.err().as_ref().and_then(Error::of).map(Error::kind), Some(ErrorKind::Policy));
}

/// `SecondWall` is believed where the wall was found, and nowhere else.
#[tokio::test]
async fn leaky_predicates_pass_only_behind_the_wall() {
    let leaky = "SELECT id FROM orders WHERE code::int > 0";
    let second = || policy().leaky_predicates(LeakyPredicates::SecondWall);
    let shop = Shop::placed(Model::Walled, second()).await;
    let db = shop.connect(1).await;
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, leaky)).await.expect("own rows");
    assert_eq!(rows.len(), 2);
    let bare =
        Tenancy::new(open(shop.app_url()).await, second().build().expect("a policy")).expect("a tenancy");
    let refused = bare.tenant(&context(1)).execute_unprepared(leaky).await.expect_err("there is no wall yet");
    assert_eq!(Error::of(&refused).map(Error::kind), Some(ErrorKind::LeakyPredicate));
}

/// The setting rides in BEGIN: also where nobody asked for the wall, a transaction is behind it.
#[tokio::test]
async fn every_transaction_tells_the_server_its_tenant() {
    use sea_orm::{AccessMode, IsolationLevel, TransactionTrait};
    let (_shop, app) = walled().await;
    let tenancy = Tenancy::new(app, policy().build().expect("a policy")).expect("a tenancy");
    let db = tenancy.tenant(&context(1));
    assert_eq!(order::Entity::find().all(&db).await.expect("no rows").len(), 0);
    let transaction = db.begin().await.expect("a transaction");
    assert_eq!(order::Entity::find().all(&transaction).await.expect("own rows").len(), 2);
    let savepoint = transaction.begin().await.expect("a savepoint");
    savepoint.rollback().await.expect("rolled back");
    // SCH-26: a savepoint that is rolled back takes nothing of the transaction's own with it.
    assert_eq!(order::Entity::find().all(&transaction).await.expect("own rows").len(), 2);
    transaction.rollback().await.expect("rolled back");
    let options = (Some(IsolationLevel::Serializable), Some(AccessMode::ReadOnly));
    let transaction = db.begin_with_config(options.0, options.1).await.expect("a transaction");
    assert_eq!(order::Entity::find().all(&transaction).await.expect("own rows").len(), 2);
    let written = transaction.execute_unprepared("UPDATE orders SET total = 0").await;
    written.expect_err("the transaction is read only");
}

/// RLS-11, RLS-12, FLT-20, FLT-21: keys that contain the tenant close what no policy sees.
#[tokio::test]
async fn keys_with_the_tenant_do_not_reach_across() {
    let database = TestDatabase::create().await.expect("PostgreSQL for the test");
    let (owner, app) = (open(database.owner_url()).await, open(database.app_url()).await);
    for table in [
        "CREATE TABLE authors (tenant_id bigint NOT NULL, id serial, PRIMARY KEY (tenant_id, id))",
        "CREATE TABLE books (tenant_id bigint NOT NULL, id serial PRIMARY KEY, author int, isbn text)",
    ] {
        owner.execute_unprepared(table).await.expect("a table");
    }
    let policy = Policy::builder().owned_table("authors").owned_table("books").build().expect("a policy");
    let wall = RowSecurity::new(&policy, IdType::BigInt).with_application_role(role(database.app_url()));
    wall.enable(&owner).await.expect("the wall");
    let manager = SchemaManager::new(&owner);
    let key = wall.unique_key("books", &["isbn"]).expect("an owned table");
    manager.create_index(key).await.expect("a unique key");
    let key = wall.foreign_key("books", &["author"], "authors", &["id"]).expect("owned tables");
    manager.create_foreign_key(key).await.expect("a foreign key");
    assert!(wall.unique_key("countries", &["code"]).is_err());

    let one = "INSERT INTO authors (tenant_id) VALUES (1) RETURNING id";
    as_tenant(&app, "1", one).await.expect("the sequence may be used");
    let book = |tenant: &str| {
        format!("INSERT INTO books (tenant_id, author, isbn) VALUES ({tenant}, 1, 'x') RETURNING id")
    };
    as_tenant(&app, "1", &book("1")).await.expect("an own author");
    as_tenant(&app, "2", &book("2")).await.expect_err("another tenant's author");
    as_tenant(&app, "2", "INSERT INTO authors VALUES (2, 1) RETURNING id").await.expect("the same id");
    as_tenant(&app, "2", &book("2")).await.expect("the same number: it is nobody else's business");
    wall.disable(&owner).await.expect("disabled");
    assert_eq!(as_tenant(&app, "1", "SELECT id FROM books").await.expect("all rows"), 2);
}

/// Placement point 5, by plain statements: either wall is enough for rows, and without both there is nothing else.
#[tokio::test]
async fn either_wall_alone_keeps_rows_apart_and_nothing_does_without_both() {
    let filtered = || policy().leaky_predicates(LeakyPredicates::SecondWall);
    let unfiltered = || filtered().break_on_purpose(Mutant::NoFilter);
    let (a, all) = (vec!["a-one", "a-two"], vec!["a-one", "a-two", "b-four", "b-one", "b-three"]);
    for (model, policy, seen, total_of_b) in [
        (Model::Walled, filtered(), &a, 10),
        (Model::Row, filtered(), &a, 10),
        (Model::Walled, unfiltered(), &a, 10),
        (Model::WalledSession, unfiltered(), &a, 10),
        (Model::Row, unfiltered(), &all, 7),
    ] {
        let shop = Shop::placed(model, policy).await;
        let db = shop.connect(1).await;
        let notes = "SELECT note FROM orders ORDER BY note";
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, notes)).await.expect("rows");
        let notes: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).expect("a note")).collect();
        assert_eq!(&notes, seen, "{model:?}");
        let written = db.execute_unprepared("UPDATE orders SET total = 7").await.expect("rows");
        assert_eq!(written.rows_affected(), seen.len() as u64, "{model:?}");
        assert_eq!(shop.raw_total(2, 1).await, total_of_b, "{model:?}");
    }
}
