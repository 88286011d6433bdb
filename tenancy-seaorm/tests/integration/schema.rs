//! Schema per tenant: nothing falls through to `public`, and nothing is found in another tenant's schema.

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, PaginatorTrait,
    Statement, TransactionTrait,
};
use tenancy_core::{Placement, TenantContext, TenantId};
use tenancy_seaorm::schema::{Provision, SchemaName, drop_schema};
use tenancy_seaorm::{
    DatabaseFault, Error, ErrorKind, Placements, PoolRegistry, Target, TargetKind, Tenancy,
};
use tenancy_testkit::TestDatabase;

use crate::fixture::{Model, Shop, context, context_in, country, open, order, policy, role, tag, tenant};

const MODELS: [Model; 3] = [Model::SchemaSession, Model::SchemaLocal, Model::SchemaQualified];

fn kind(error: &DbErr) -> Option<ErrorKind> {
    Error::of(error).map(Error::kind)
}

async fn count(db: &DatabaseConnection, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    row.expect("an answer").expect("a row").try_get_by_index(0).expect("a count")
}

/// SCH-06: a schema that is gone, with tables of the same names in `public`.
#[tokio::test]
async fn a_missing_schema_is_refused_before_any_statement() {
    for model in MODELS {
        let shop = Shop::placed(model, policy()).await;
        let gone = context_in(1, "t_gone");
        let before = count(&shop.raw, "public.tags").await;
        if model == Model::SchemaSession {
            let refused = shop.tenancy.session(&gone).await.expect_err("there is no such schema");
            assert_eq!(kind(&refused), Some(ErrorKind::Placement));
        }
        let db = shop.tenancy.tenant(&gone);
        order::Entity::find().all(&db).await.expect_err("nothing is read from public");
        let write = "INSERT INTO tags (id, name) VALUES (77, 'a-lost')";
        db.execute_unprepared(write).await.expect_err("nothing is written to public");
        let begun = db.begin().await;
        assert_eq!(begun.err().as_ref().and_then(kind), Some(ErrorKind::Placement), "{model:?}");
        assert_eq!(count(&shop.raw, "public.tags").await, before);
        // A connection that was refused serves the next tenant as if nothing had been.
        assert_eq!(order::Entity::find().count(&shop.connect(2).await).await.expect("rows of b"), 3);
    }
}

/// SCH-07: a table that one schema lacks is missing; the shared one of its name is not read instead.
#[tokio::test]
async fn a_missing_table_is_missing() {
    for model in MODELS {
        let shop = Shop::placed(model, policy()).await;
        shop.raw
            .execute_unprepared("ALTER TABLE public.tags DETACH PARTITION t_2.tags")
            .await
            .expect("detached");
        shop.raw.execute_unprepared("DROP TABLE t_2.tags").await.expect("dropped");
        let db = shop.connect(2).await;
        let missing = tag::Entity::find().all(&db).await.expect_err("there is no such table");
        let fault = DatabaseFault::of(&missing).expect("the database says so");
        assert_eq!(fault.unscrubbed().code().as_deref(), Some("42P01"), "{model:?}");
        assert_eq!(tag::Entity::find().count(&shop.connect(1).await).await.expect("rows of a"), 1);
    }
}

/// SCH-02 to SCH-05: what is no plain name is refused, however it reaches the connection.
#[tokio::test]
async fn a_schemas_name_is_never_more_than_a_name() {
    let shop = Shop::placed(Model::SchemaSession, policy()).await;
    for name in
        ["t_1\", \"t_2", "t_1, t_2", "T_1", "public", "pg_catalog", "t_1; DROP SCHEMA t_2", "", "$user"]
    {
        let context = context_in(1, name);
        let refused = shop.tenancy.session(&context).await.expect_err(name);
        assert_eq!(kind(&refused), Some(ErrorKind::Placement), "{name}");
        let refused = order::Entity::find().all(&shop.tenancy.tenant(&context)).await.expect_err(name);
        assert_eq!(kind(&refused), Some(ErrorKind::Placement), "{name}");
    }
    assert_eq!(order::Entity::find().count(&shop.connect(2).await).await.expect("rows of b"), 3);
}

/// Shared tables are found, and a tenant's table under another schema's name is not.
#[tokio::test]
async fn shared_tables_are_named_with_their_schema() {
    for model in MODELS {
        let shop = Shop::placed(model, policy()).await;
        let db = shop.connect(1).await;
        assert_eq!(country::Entity::find().count(&db).await.expect("shared rows"), 2);
        let both = "SELECT o.id FROM orders o CROSS JOIN countries WHERE countries.code = 'at'";
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Postgres, both)).await;
        assert_eq!(rows.expect("rows").len(), 2, "{model:?}");
        for sql in ["SELECT * FROM public.orders", "SELECT * FROM t_2.orders", "DELETE FROM public.tags"] {
            let refused = db.execute_unprepared(sql).await.expect_err(sql);
            assert!(Error::of(&refused).is_some(), "{model:?}: {sql}: {refused}");
        }
    }
}

/// Even a connection that looked into another tenant's schema would find nothing: the filter is still there.
#[tokio::test]
async fn the_filter_stands_behind_the_schema() {
    for model in MODELS {
        let shop = Shop::placed(model, policy()).await;
        let astray = context_in(1, "t_2");
        let db = shop.connect_as(&astray).await;
        assert_eq!(order::Entity::find().count(&db).await.expect("no rows of b"), 0, "{model:?}");
    }
}

/// SCH-20, SCH-21: one text over schemas of different versions; a statement that cannot be kept ends its connection.
#[tokio::test]
async fn schemas_of_different_versions_do_not_mix() {
    let shop = Shop::placed(Model::SchemaSession, policy()).await;
    for sql in
        ["ALTER TABLE public.tags DETACH PARTITION t_2.tags", "ALTER TABLE t_2.tags ADD COLUMN colour text"]
    {
        shop.raw.execute_unprepared(sql).await.expect("the newer version");
    }
    let star = || Statement::from_string(DbBackend::Postgres, "SELECT * FROM tags");
    for _ in 0..3 {
        for (id, expected) in [(1, 1), (2, 2)] {
            // With its columns named, as entities name them, a statement fits both.
            let db = shop.connect(id).await;
            assert_eq!(tag::Entity::find().all(&db).await.expect("rows").len(), expected);
            drop(db);
            // Without, it may fail on a connection that served the other version, and on that one not again: there
            // are three of them, and which is free depends on how fast the others were cleaned.
            let mut rows = None;
            for _ in 0..4 {
                match shop.connect(id).await.query_all_raw(star()).await {
                    Ok(found) => rows = Some(found.len()),
                    Err(error) => {
                        let fault = DatabaseFault::of(&error).expect("the database says so");
                        assert_eq!(fault.unscrubbed().code().as_deref(), Some("0A000"), "{error:?}");
                    }
                }
                if rows.is_some() {
                    break;
                }
            }
            assert_eq!(rows, Some(expected), "each connection fails once at most");
        }
    }
}

/// SCH-31: what a tenant's schema holds does not stand in for PostgreSQL's own functions.
#[tokio::test]
async fn a_function_in_a_schema_is_not_found_before_postgresqls_own() {
    for model in MODELS {
        let shop = Shop::placed(model, policy()).await;
        let own = "CREATE FUNCTION t_1.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'hijacked' $$";
        shop.raw.execute_unprepared(own).await.expect("a function");
        let sql = "SELECT lower(name) AS name FROM tags";
        let db = shop.connect(1).await;
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        let name: String = row.expect("a row").expect("a tag").try_get("", "name").expect("a name");
        assert_eq!(name, "a-red", "{model:?}");
    }
}

fn name(prefix: &str, database: &TestDatabase) -> SchemaName {
    let id = TenantId::text(&format!("x{}", database.name().replace('_', "-"))).expect("an id");
    SchemaName::for_tenant(prefix, &id).expect("a name")
}

/// A schema is made with its tables, used, and gone; the application cannot make anything in it.
#[tokio::test]
async fn a_provisioned_schema_serves_its_tenant() {
    let database = TestDatabase::create().await.expect("PostgreSQL for the test");
    let owner = open(database.owner_url()).await;
    let schema = SchemaName::new("acme").expect("a name");
    let make = Provision::new(schema.clone()).with_application_role(role(database.app_url()));
    let tables = async |db: &sea_orm::DatabaseTransaction| {
        let table = "CREATE TABLE IF NOT EXISTS tags (tenant_id bigint NOT NULL, id int NOT NULL, name text NOT NULL)";
        db.execute_unprepared(table).await.map(drop)
    };
    make.run(&owner, tables).await.expect("a schema");
    make.run(&owner, tables).await.expect("done again, it changes nothing");
    let failed = make.run(&owner, async |_| Err(DbErr::Custom("a migration".to_owned()))).await;
    failed.expect_err("the migration failed");
    let policy = || policy().build().expect("a policy");
    let tenancy = Tenancy::new(open(database.app_url()).await, policy()).expect("a tenancy");
    let db = tenancy.connect(&context_in(1, "acme")).await.expect("a connection");
    db.execute_unprepared("INSERT INTO tags (id, name) VALUES (1, 'x')").await.expect("a row");
    assert_eq!(tag::Entity::find().count(&db).await.expect("rows"), 1);
    drop(db);
    let app = open(database.app_url()).await;
    app.execute_unprepared("CREATE TABLE acme.spy (id int)").await.expect_err("it may make nothing there");
    drop_schema(&owner, &schema).await.expect("dropped");
    let tenancy = Tenancy::new(app, policy()).expect("a tenancy");
    let gone = tenancy.connect(&context_in(1, "acme")).await.expect_err("the schema is gone");
    assert_eq!(kind(&gone), Some(ErrorKind::Placement));
}

/// Role per schema: what the application may do depends on the role that it assumed, and on nothing else.
#[tokio::test]
async fn a_role_per_schema_is_assumed_for_its_tenant_alone() {
    let database = TestDatabase::create().await.expect("PostgreSQL for the test");
    let admin = open(database.admin_url()).await;
    let names = [name("ra_", &database), name("rb_", &database)];
    let app_role = role(database.app_url());
    for name in &names {
        let make = Provision::new(name.clone()).with_application_role(&app_role).with_role();
        let tables = async |db: &sea_orm::DatabaseTransaction| {
            let table = "CREATE TABLE tags (tenant_id bigint NOT NULL, id int NOT NULL, name text NOT NULL)";
            db.execute_unprepared(table).await?;
            db.execute_unprepared("INSERT INTO tags VALUES (1, 1, 'x')").await.map(drop)
        };
        make.run(&admin, tables).await.expect("a schema with a role");
    }
    // A member inherits the rights unless it does not.
    admin.execute_unprepared(&format!("ALTER ROLE {app_role} NOINHERIT")).await.expect("no inheritance");
    let app = open(database.app_url()).await;
    let tenancy = Tenancy::new(app.clone(), policy().build().expect("a policy")).expect("a tenancy");
    let reads = async |tenancy: &Tenancy, pinned: bool| {
        let context = context_in(1, names[0].as_str());
        let db = if pinned { tenancy.session(&context).await? } else { tenancy.tenant(&context) };
        tag::Entity::find().count(&db).await
    };
    let with_roles = tenancy.clone().with_role_per_schema();
    for pinned in [true, false] {
        assert_eq!(reads(&with_roles, pinned).await.expect("a row"), 1);
        reads(&tenancy, pinned).await.expect_err("without the role there is no right");
    }
    let other = format!("SELECT * FROM {}.tags", names[1]);
    let transaction = app.begin().await.expect("a transaction");
    transaction.execute_unprepared(&format!("SET LOCAL ROLE {}", names[0])).await.expect("the role");
    transaction.execute_unprepared(&other).await.expect_err("another schema's role is another's");
}

fn placed(id: i64, placement: Placement) -> TenantContext {
    let tenant = tenant(id).to_builder().with_placement(placement).build().expect("a tenant");
    TenantContext::assertion(tenant, "a test").expect("the tenant is active")
}

/// One handler, five placements; what is not configured is refused, also where the default server has such a name.
#[tokio::test]
async fn each_tenant_is_served_where_it_is_placed() {
    let rows = Shop::placed(Model::Row, policy()).await;
    let shard = Shop::placed(Model::SchemaSession, policy()).await;
    let database = Shop::alone(DbBackend::Postgres, 2).await;
    database.keep_only(2).await;
    let placements = Placements::new(rows.tenancy.clone())
        .with_shard("eu", shard.tenancy.clone())
        .with_shard_replica("eu", shard.tenancy.clone())
        .with_database("globex", database.tenancy.clone());
    let eu = || Some("eu".into());
    for (context, own) in [
        (context(1), 2),
        (context(2), 3),
        (placed(1, Placement::Shard { shard: "eu".into() }), 0),
        (placed(1, Placement::Schema { schema: "t_1".into(), shard: eu() }), 2),
        (placed(2, Placement::Schema { schema: "t_2".into(), shard: eu() }), 3),
        (placed(2, Placement::Database { database: "globex".into() }), 3),
        (placed(1, Placement::Database { database: "globex".into() }), 0),
    ] {
        let connected = placements.connect(&context).await;
        let counted = match &connected {
            Ok(db) => order::Entity::find().count(db).await,
            Err(error) => Err(DbErr::Custom(error.to_string())),
        };
        // Shared rows of a shard whose application sees parts alone: what is not granted is an error, and no rows.
        if matches!(context.placement(), Placement::Shard { .. }) {
            assert!(matches!(counted, Ok(0 | 2)), "{counted:?}");
            continue;
        }
        assert_eq!(counted.expect("rows"), own, "{:?}", context.placement());
    }
    let gone = "t_gone";
    for placement in [
        Placement::Shard { shard: "us".into() },
        Placement::Shard { shard: "globex".into() },
        Placement::Schema { schema: gone.into(), shard: eu() },
        Placement::Schema { schema: "t_1".into(), shard: None },
        Placement::Schema { schema: "t_1".into(), shard: Some("us".into()) },
        Placement::Database { database: "eu".into() },
        Placement::Database { database: "initech".into() },
    ] {
        let refused = placements.connect(&placed(1, placement.clone())).await.expect_err("not configured");
        assert_eq!(kind(&refused), Some(ErrorKind::Placement), "{placement:?}");
    }
    // SCH-24: a replica goes through the same guards, and reads do not go to the primary instead.
    let replica =
        placements.read_only(&placed(2, Placement::Schema { schema: "t_2".into(), shard: eu() })).await;
    assert_eq!(order::Entity::find().count(&replica.expect("the replica")).await.expect("rows of b"), 3);
    let refused = placements.read_only(&context(1)).await.expect_err("there is no replica");
    assert_eq!(kind(&refused), Some(ErrorKind::Placement));
    let refused = rows.tenancy.tenant(&placed(1, Placement::Database { database: "globex".into() }));
    let refused = order::Entity::find().all(&refused).await.expect_err("another connection's tenant");
    assert_eq!(kind(&refused), Some(ErrorKind::Placement));
}

/// What is not named comes from the registry, under its budget, scoped like everything else.
#[tokio::test]
async fn the_registry_leads_to_shards_and_databases_that_are_not_named() {
    let rows = Shop::placed(Model::Row, policy()).await;
    let shard = Shop::placed(Model::SchemaSession, policy()).await;
    let (own, eu) = (rows.app_url().to_owned(), shard.app_url().to_owned());
    let registry = PoolRegistry::builder(move |target: &Target| match (target.kind(), target.name()) {
        (TargetKind::Own, "globex") => Some(ConnectOptions::new(&own)),
        (TargetKind::Shard, "eu") => Some(ConnectOptions::new(&eu)),
        _ => None,
    });
    let registry = registry.with_budget(4).build().expect("a registry");
    let placements = Placements::new(rows.tenancy.clone()).with_registry(registry);
    let globex = || Placement::Database { database: "globex".into() };
    let in_eu = |schema: &str| Placement::Schema { schema: schema.into(), shard: Some("eu".into()) };
    for (context, own) in
        [(placed(2, globex()), 3), (placed(1, in_eu("t_1")), 2), (placed(2, in_eu("t_2")), 3)]
    {
        let db = placements.connect(&context).await.expect("a connection");
        assert_eq!(order::Entity::find().count(&db).await.expect("own rows"), own);
        let transaction = db.begin().await.expect("a transaction");
        assert_eq!(order::Entity::find().count(&transaction).await.expect("own rows"), own);
        transaction.commit().await.expect("committed");
    }
    for placement in [Placement::Database { database: "eu".into() }, Placement::Shard { shard: "us".into() }]
    {
        let refused = placements.connect(&placed(1, placement)).await.expect_err("nobody knows it");
        assert!(kind(&refused).is_some(), "{refused}");
    }
    let gone = placements.connect(&placed(1, in_eu("t_gone"))).await.expect("the shard is there");
    order::Entity::find().all(&gone).await.expect_err("the schema is not");
}
