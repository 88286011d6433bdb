//! What leaves the connection when something fails: no values, and a type that can be asked.

use std::error::Error as StdError;

use futures_util::TryStreamExt;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, EntityTrait, SqlErr, Statement,
    StreamTrait, TransactionTrait,
};
use tenancy_seaorm::{DatabaseFault, Error, ErrorKind, LeakyPredicates, TenantConnection};

use crate::fixture::{Shop, order, policy};

/// Everything that a log or a response could print of an error.
fn printed(error: &DbErr) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

async fn failures(db: &TenantConnection) -> Vec<(&'static str, DbErr)> {
    let raw = |sql: &str| Statement::from_string(ConnectionTrait::get_database_backend(db), sql);
    let mut failures = Vec::new();
    let taken =
        order::ActiveModel { id: Set(1), customer_id: Set(1), total: Set(4711), ..Default::default() };
    failures.push(("unique", taken.insert(db).await.expect_err("a taken key")));
    let parent =
        order::ActiveModel { id: Set(80), customer_id: Set(4711), total: Set(1), ..Default::default() };
    failures.push(("foreign key", parent.insert(db).await.expect_err("no such parent")));
    let null = raw("INSERT INTO orders (id, customer_id) VALUES (4711, 1)");
    failures.push(("not null", db.execute_raw(null).await.expect_err("a missing value")));
    let txn = db.begin().await.expect("a transaction");
    let null = raw("INSERT INTO tags (id) VALUES (4711)");
    failures.push(("in a transaction", txn.execute_raw(null).await.expect_err("a missing value")));
    txn.rollback().await.expect("a rollback");
    if db.get_database_backend_is(DbBackend::Postgres) {
        let cast = raw("SELECT CAST('SECRET-4711' AS integer) FROM orders");
        failures.push(("cast", db.query_all_raw(cast).await.expect_err("no number")));
        let cast = raw("SELECT CAST(note || 'SECRET-4711' AS integer) FROM orders");
        let rows = match db.stream_raw(cast).await {
            Ok(rows) => rows.try_collect::<Vec<_>>().await.map(|rows| rows.len()),
            Err(error) => Err(error),
        };
        failures.push(("stream", rows.expect_err("no number")));
    }
    failures
}

trait Is {
    fn get_database_backend_is(&self, backend: DbBackend) -> bool;
}

impl Is for TenantConnection {
    fn get_database_backend_is(&self, backend: DbBackend) -> bool {
        ConnectionTrait::get_database_backend(self) == backend
    }
}

/// FLT-20, FLT-35: no value, no constraint and no column of a row, by any way of printing.
#[tokio::test]
async fn database_errors_carry_no_values() {
    for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
        let shop = Shop::on(backend, policy().leaky_predicates(LeakyPredicates::Fence)).await;
        for (what, error) in failures(&shop.tenant(1)).await {
            let text = printed(&error);
            for secret in ["4711", "SECRET", "a-one", "orders_pkey", "orders.id", "customer_id"] {
                assert!(!text.contains(secret), "{what} on {backend:?} prints {secret}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn the_original_and_the_kind_of_a_database_error_can_be_asked_for() {
    for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
        let shop = Shop::on(backend, policy()).await;
        let failures = failures(&shop.tenant(1)).await;
        assert!(
            matches!(failures[0].1.sql_err(), Some(SqlErr::UniqueConstraintViolation(text)) if !text.contains("orders"))
        );
        assert!(matches!(failures[1].1.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))));
        let fault = DatabaseFault::of(&failures[0].1).expect("a database's error");
        assert!(fault.unscrubbed().message().contains("orders"), "{}", fault.unscrubbed());
    }
}

#[tokio::test]
async fn a_refusal_is_typed_and_says_what_to_do() {
    let shop = Shop::sqlite(policy()).await;
    let error = shop.tenant(1).execute_unprepared("DROP TABLE orders").await.expect_err("DDL");
    let refusal = Error::of(&error).expect("a refusal");
    assert_eq!((refusal.kind(), refusal.construct()), (ErrorKind::StatementNotAllowed, "DDL"));
    assert!(refusal.hint().contains("owner"));
    assert!(DatabaseFault::of(&error).is_none());
}

/// FLT-29: values stay with their placeholders; too few or too many are refused before the database sees them.
#[tokio::test]
async fn values_stay_aligned() {
    for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
        let shop = Shop::on(backend, policy()).await;
        let db = shop.tenant(1);
        let sql = "SELECT o.note FROM orders o JOIN customers c ON c.id = $1 AND c.id = o.customer_id WHERE o.id = $2 AND o.id = $2";
        let run = async |values: Vec<sea_orm::Value>| {
            let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect::<Result<Vec<_>, DbErr>>()
        };
        assert_eq!(run(vec![1.into(), 2.into()]).await.expect("rows"), ["a-two"]);
        for values in [vec![], vec![1.into()], vec![1.into(), 2.into(), 2.into()]] {
            let error = run(values).await.expect_err("another number of values");
            assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::Parameters));
        }
    }
    let shop = Shop::sqlite(policy()).await;
    let positional =
        "SELECT o.note FROM orders o LEFT JOIN tags t ON t.id = ? WHERE o.id = ? OR o.total = ? LIMIT ?";
    let values = [1, 2, 999, 5].map(sea_orm::Value::from);
    let statement = Statement::from_sql_and_values(DbBackend::Sqlite, positional, values);
    let rows = shop.tenant(1).query_all_raw(statement).await.expect("rows");
    assert_eq!(rows.len(), 1);
}

/// FLT-33: a pattern with a dangling escape fails on the rows that it matches up to there, and so finds them.
#[tokio::test]
async fn a_like_pattern_that_could_fail_is_refused() {
    let shop = Shop::postgres(policy()).await;
    let db = shop.tenant(1);
    let run = async |pattern: &str| {
        let sql = "SELECT id FROM orders WHERE code LIKE $1";
        db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [pattern.into()])).await
    };
    assert!(run("5%").await.is_ok_and(|rows| rows.len() == 1));
    assert!(run("SECRET\\\\").await.is_ok_and(|rows| rows.is_empty()));
    let error = run("SECRET\\").await.expect_err("an oracle");
    assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::LeakyPredicate));
    // Written into the text it is one more predicate that may fail: fenced, or refused where fences are.
    let written = "SELECT id FROM orders WHERE code LIKE 'SECRET\\'";
    assert!(db.execute_unprepared(written).await.is_ok());
    let strict = Shop::postgres(policy().leaky_predicates(LeakyPredicates::Refuse)).await;
    let error = strict.tenant(1).execute_unprepared(written).await.expect_err("an oracle");
    assert_eq!(Error::of(&error).map(Error::kind), Some(ErrorKind::LeakyPredicate));
}

/// FLT-37: one plan serves all tenants, because the tenant is bound.
#[tokio::test]
async fn a_cached_plan_is_no_tenants() {
    let shop = Shop::sqlite(policy()).await;
    for _ in 0..3 {
        for (id, rows) in [(1, 2), (2, 3), (3, 0)] {
            assert_eq!(order::Entity::find().all(&shop.tenant(id)).await.expect("rows").len(), rows);
        }
    }
}

/// FLT-33, FLT-34: a value of another tenant that cannot be converted or taken apart fails nobody's statement.
///
/// PostgreSQL evaluates the cheapest predicate first, and these cost what the tenant's filter costs.
#[tokio::test]
async fn values_of_another_tenant_fail_no_cheap_predicate() {
    let shop = Shop::postgres(policy().owned_table("measures")).await;
    let rows = [
        "CREATE TABLE measures (tenant_id bigint NOT NULL, id int, n numeric, f float8, day date, at timestamp, doc json)",
        r#"INSERT INTO measures VALUES (2, 1, 1e400, 1, '5000000-01-01', '2024-01-01', '{"a": "\u0000"}')"#,
        "ANALYZE measures",
    ];
    for sql in rows {
        shop.raw.execute_unprepared(sql).await.expect("measures");
    }
    for predicate in [
        "coalesce(m.n, m.f) IS NOT NULL",
        "coalesce(m.day, m.at) IS NOT NULL",
        "CASE WHEN m.id > 0 THEN m.day ELSE m.at END IS NULL",
        "m.n > CAST(3 AS float8)",
        "(m.doc -> 'a') IS NOT NULL",
        "(m.doc ->> 'a') IS NULL",
        "(m.doc #> '{a}') IS NULL",
        "(m.doc #>> '{a}') IS NOT NULL",
        "extract(hour FROM m.day) IS NOT NULL",
    ] {
        for sql in [
            format!("SELECT m.id FROM measures m WHERE {predicate}"),
            format!("SELECT m.id FROM tags t LEFT JOIN measures m ON {predicate} WHERE m.id > 0"),
            format!("UPDATE measures m SET id = 2 WHERE {predicate} RETURNING id"),
        ] {
            let read = |tenant: i64| {
                let (db, sql) = (shop.tenant(tenant), sql.clone());
                async move { db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await }
            };
            assert!(read(1).await.is_ok_and(|rows| rows.is_empty()), "{sql}");
            assert!(read(2).await.is_err(), "it fails on one's own rows: {sql}");
        }
    }
}

/// FLT-33: a query that depends on the row costs nothing over a table that was empty when it was planned, and a generic plan
/// keeps it before the filter when rows have come.
#[tokio::test]
async fn a_query_that_costs_nothing_is_not_asked_for_another_tenants_row() {
    let shop = Shop::postgres(policy()).await;
    let run = async |sql: &str| shop.raw.execute_unprepared(sql).await.expect("a statement of the test");
    let zero = "1 / (ot.tag_id - ot.tag_id)";
    // No equation, by which PostgreSQL would read all tags at once.
    let from = "FROM order_tags ot WHERE ot.order_id >= o.id AND ot.order_id <= o.id";
    for predicate in [
        format!("(SELECT {zero} {from} LIMIT 1) IS NULL"),
        format!("EXISTS (SELECT 1 {from} AND {zero} > 0) IS NOT NULL"),
        format!("NOT EXISTS (SELECT 1 {from} AND {zero} > 0) IS TRUE"),
        format!("(SELECT o.code {from} AND o.code::int > 0 LIMIT 1) IS NULL"),
        format!(
            "o.id IN (SELECT d.id FROM (SELECT o.id, (SELECT {zero} {from} LIMIT 1) AS k FROM orders o) d WHERE d.k IS NULL)"
        ),
    ] {
        run("DELETE FROM order_tags").await;
        run("VACUUM ANALYZE order_tags").await;
        run("SET plan_cache_mode = force_generic_plan").await;
        let sql = format!("SELECT o.id FROM orders o WHERE {predicate}");
        let read = async || {
            let statement = Statement::from_string(DbBackend::Postgres, sql.clone());
            shop.tenant(1).query_all_raw(statement).await.map(|rows| rows.len())
        };
        assert_eq!(read().await, Ok(2), "{sql}");
        // Of tenant 1 there is a tag of an order that tenant 2 has, and has alone.
        run("INSERT INTO order_tags VALUES (1, 3, 1)").await;
        assert_eq!(read().await, Ok(2), "{sql}");
        run("INSERT INTO order_tags VALUES (1, 2, 1)").await;
        assert!(predicate.contains("code") || read().await.is_err(), "it fails on one's own rows: {sql}");
    }
}
