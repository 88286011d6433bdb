//! One database for each test: who may do what in it, and who else sees it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tenancy_testkit::{ErrorKind, PostgresServer, RolePower, TestDatabase, require_app_role, role_powers};

use crate::support::{TestResult, connect, refusal, run};

const DENIED: Option<&str> = Some("42501");

#[tokio::test]
async fn the_application_reads_and_changes_rows_and_nothing_else() -> TestResult {
    let db = TestDatabase::create().await?;
    run(db.owner_url(), "CREATE TABLE orders (id bigserial PRIMARY KEY, note text)").await?;
    run(
        db.app_url(),
        "INSERT INTO orders (note) VALUES ('a'); UPDATE orders SET note = 'b'; SELECT * FROM orders; \
         DELETE FROM orders",
    )
    .await?;
    for statement in [
        "TRUNCATE orders",
        "CREATE TABLE mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id int)",
        "ALTER TABLE orders ADD COLUMN extra int",
        "DROP TABLE orders",
        "CREATE TRIGGER t BEFORE INSERT ON orders EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SELECT setval('orders_id_seq', 9)",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
    ] {
        assert_eq!(refusal(db.app_url(), statement).await.as_deref(), DENIED, "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn the_application_may_use_the_owners_schemas_but_not_fill_them() -> TestResult {
    let db = TestDatabase::create().await?;
    run(db.owner_url(), "CREATE SCHEMA acme; CREATE TABLE acme.orders (id int)").await?;
    run(db.app_url(), "INSERT INTO acme.orders VALUES (1)").await?;
    assert_eq!(refusal(db.app_url(), "CREATE TABLE acme.mine (id int)").await.as_deref(), DENIED);
    Ok(())
}

/// KIT-03: the kit's own application role passes, and each role that would make a test meaningless is refused.
#[tokio::test]
async fn a_superuser_or_an_owner_is_refused_as_application_role() -> TestResult {
    let db = TestDatabase::create().await?;
    run(db.owner_url(), "CREATE TABLE orders (id int)").await?;
    assert_eq!(role_powers(db.app_url()).await?, []);
    require_app_role(db.app_url()).await?;

    let owner = role_powers(db.owner_url()).await?;
    for power in [RolePower::OwnsDatabase, RolePower::OwnsRelation, RolePower::Truncate, RolePower::Create] {
        assert!(owner.contains(&power), "{power}");
    }
    assert!(!owner.contains(&RolePower::Superuser) && !owner.contains(&RolePower::BypassRls));
    let refused = require_app_role(db.owner_url()).await.expect_err("an owner is refused");
    assert_eq!(refused.kind(), ErrorKind::PowerfulRole);

    let admin = role_powers(db.admin_url()).await?;
    assert!(admin.contains(&RolePower::Superuser) && admin.contains(&RolePower::BypassRls));
    let refused = require_app_role(db.admin_url()).await.expect_err("a superuser is refused");
    assert_eq!(refused.kind(), ErrorKind::PowerfulRole);
    Ok(())
}

/// KIT-03: powers that come by grant or by membership count like those of the role itself.
#[tokio::test]
async fn borrowed_powers_are_refused_too() -> TestResult {
    let db = TestDatabase::create().await?;
    let app = url::Url::parse(db.app_url())?.username().to_owned();
    run(db.owner_url(), "CREATE TABLE orders (id int)").await?;
    let mut owner = connect(db.owner_url()).await;
    for (privilege, power) in [
        ("TRUNCATE", RolePower::Truncate),
        ("REFERENCES", RolePower::References),
        ("TRIGGER", RolePower::Trigger),
    ] {
        let grant = format!("GRANT {privilege} ON orders TO {app}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(grant)).execute(&mut owner).await?;
        assert_eq!(role_powers(db.app_url()).await?, [power]);
        let revoke = format!("REVOKE {privilege} ON orders FROM {app}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(revoke)).execute(&mut owner).await?;
    }
    assert_eq!(role_powers(db.app_url()).await?, []);
    Ok(())
}

/// KIT-03: a role with `BYPASSRLS` of its own, or as a member of one that has it.
#[tokio::test]
async fn bypassrls_is_refused_directly_and_through_membership() -> TestResult {
    let db = TestDatabase::create().await?;
    let mut admin = connect(db.admin_url()).await;
    let (direct, member) = (format!("{}_direct", db.name()), format!("{}_member", db.name()));
    for statement in [
        format!("CREATE ROLE {direct} LOGIN PASSWORD 'pw' BYPASSRLS"),
        format!("CREATE ROLE {member} LOGIN PASSWORD 'pw' IN ROLE {direct}"),
        format!("GRANT CONNECT ON DATABASE {} TO {direct}, {member}", db.name()),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut admin).await?;
    }
    for role in [&direct, &member] {
        let mut url = url::Url::parse(db.app_url())?;
        url.set_username(role).and_then(|()| url.set_password(Some("pw"))).map_err(|()| "no host")?;
        assert_eq!(role_powers(url.as_str()).await?, [RolePower::BypassRls], "{role}");
    }
    let drop =
        format!("REVOKE ALL ON DATABASE {} FROM {direct}, {member}; DROP ROLE {member}, {direct}", db.name());
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut admin).await?;
    Ok(())
}

/// KIT-09: parallel tests never see each other.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_databases_share_no_rows() -> TestResult {
    let server = PostgresServer::shared().await?;
    let tests = (0..8).map(|number: i32| {
        let server = server.clone();
        tokio::spawn(async move {
            let db = server.create_database().await.expect("a database");
            run(db.owner_url(), "CREATE TABLE orders (id int)").await.expect("the name is free");
            let mut app = connect(db.app_url()).await;
            for _ in 0..=number {
                sqlx::query("INSERT INTO orders VALUES ($1)")
                    .bind(number)
                    .execute(&mut app)
                    .await
                    .expect("insert");
            }
            let seen: Vec<i32> =
                sqlx::query_scalar("SELECT id FROM orders").fetch_all(&mut app).await.expect("select");
            let own = usize::try_from(number).expect("not negative") + 1;
            assert_eq!(seen, vec![number; own], "other tests' rows are visible");
            db.name().to_owned()
        })
    });
    let mut names = std::collections::HashSet::new();
    for test in tests.collect::<Vec<_>>() {
        assert!(names.insert(test.await?), "two tests had the same database");
    }
    Ok(())
}

#[tokio::test]
async fn a_database_is_gone_when_it_is_closed_though_a_pool_is_open() -> TestResult {
    let server = PostgresServer::shared().await?;
    let db = server.create_database().await?;
    let name = db.name().to_owned();
    let pool = sqlx::PgPool::connect(db.app_url()).await?;
    assert!(exists(&server, &name).await);
    db.close().await?;
    assert!(!exists(&server, &name).await);
    assert!(sqlx::query("SELECT 1").execute(&pool).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_database_is_gone_after_its_test_panicked() -> TestResult {
    let server = PostgresServer::shared().await?;
    let held = server.clone();
    let panicked = tokio::spawn(async move {
        let db = held.create_database().await.expect("a database");
        std::panic::panic_any(db.name().to_owned());
    });
    let panic = panicked.await.expect_err("it panicked").into_panic();
    let name = panic.downcast::<String>().map_err(|_| "the test's own panic")?;
    assert!(is_gone_soon(&server, &name).await);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_migrated_once_and_its_copies_are_apart() -> TestResult {
    static MIGRATED: AtomicUsize = AtomicUsize::new(0);
    let server = PostgresServer::shared().await?;
    let copy = || {
        let server = server.clone();
        tokio::spawn(async move {
            server
                .database_from_template(&fresh("once"), |url| async move {
                    MIGRATED.fetch_add(1, Ordering::SeqCst);
                    run(&url, "CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)").await
                })
                .await
        })
    };
    let copies = [copy(), copy(), copy(), copy()];
    for copy in copies {
        let db = copy.await??;
        run(db.app_url(), "INSERT INTO orders VALUES (2)").await?;
        let mut app = connect(db.app_url()).await;
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&mut app).await?;
        assert_eq!(seen, 2);
        require_app_role(db.app_url()).await?;
    }
    assert_eq!(MIGRATED.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test]
async fn a_failed_migration_is_reported_and_tried_again() -> TestResult {
    let server = PostgresServer::shared().await?;
    let failed = server
        .database_from_template(&fresh("fails"), |url| async move { run(&url, "SELEKT 1").await })
        .await;
    let error = failed.expect_err("the migration is not SQL");
    assert_eq!(error.kind(), ErrorKind::Migration);
    assert!(std::error::Error::source(&error).is_some());
    let db = server
        .database_from_template(
            &fresh("fails"),
            |url| async move { run(&url, "CREATE TABLE t (id int)").await },
        )
        .await?;
    run(db.app_url(), "SELECT id FROM t").await?;
    Ok(())
}

/// A copy costs a fraction of a second: a test has no reason to share a database.
#[tokio::test]
async fn copies_of_a_template_are_quick() -> TestResult {
    let server = PostgresServer::shared().await?;
    let migrate = |url: String| async move {
        run(&url, "CREATE TABLE orders (id int); INSERT INTO orders SELECT generate_series(1, 1000)").await
    };
    server.database_from_template(&fresh("quick"), migrate).await?.close().await?;
    let (start, count) = (Instant::now(), 10);
    for _ in 0..count {
        server.database_from_template(&fresh("quick"), migrate).await?.close().await?;
    }
    let each = start.elapsed() / count;
    println!("a copy of a template, made and dropped: {each:?}");
    assert!(each.as_millis() < 2_000, "{each:?}");
    Ok(())
}

/// A template's name that no earlier process of a shared server has used.
fn fresh(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

async fn exists(server: &PostgresServer, name: &str) -> bool {
    let mut admin = connect(server.admin_url()).await;
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)").bind(name);
    found.fetch_one(&mut admin).await.expect("the server answers")
}

/// A destructor does not wait for long, and the other tests of this binary keep the server busy.
async fn is_gone_soon(server: &PostgresServer, name: &str) -> bool {
    for _ in 0..200 {
        if !exists(server, name).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
