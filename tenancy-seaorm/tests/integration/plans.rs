//! PostgreSQL plans a scoped statement as it plans the one with the tenant written by hand.
//!
//! The shapes are those of `tests/matrix.txt`. A difference here is a difference in what the statement costs.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, Value};
use tenancy_seaorm::TenantValue;

use crate::fixture::{Shop, context, policy};

/// A statement as sea-orm writes it, and as one writes it for the tenant `$1`.
type Shape = (&'static str, &'static str, &'static str);

const SHAPES: &[Shape] = &[
    (
        "find_by_id",
        "SELECT o.id, o.total FROM orders o WHERE o.id = 3",
        "SELECT o.id, o.total FROM orders o WHERE o.id = 3 AND o.tenant_id = $1",
    ),
    (
        "find, all",
        "SELECT o.id, o.total FROM orders o",
        "SELECT o.id, o.total FROM orders o WHERE o.tenant_id = $1",
    ),
    (
        "find, filter, or",
        "SELECT o.id FROM orders o WHERE o.id = 3 OR o.total = 7",
        "SELECT o.id FROM orders o WHERE (o.id = 3 OR o.total = 7) AND o.tenant_id = $1",
    ),
    (
        "list",
        "SELECT o.id FROM orders o WHERE o.customer_id = 5 ORDER BY o.id LIMIT 50",
        "SELECT o.id FROM orders o WHERE o.customer_id = 5 AND o.tenant_id = $1 ORDER BY o.id LIMIT 50",
    ),
    (
        "find_related",
        "SELECT o.id FROM orders o INNER JOIN customers c ON c.id = o.customer_id WHERE c.id = 5",
        "SELECT o.id FROM orders o INNER JOIN customers c ON c.id = o.customer_id \
         WHERE c.id = 5 AND o.tenant_id = $1 AND c.tenant_id = $1",
    ),
    (
        "find_related, many to many",
        "SELECT t.id FROM tags t INNER JOIN order_tags ot ON ot.tag_id = t.id \
         INNER JOIN orders o ON o.id = ot.order_id WHERE o.id = 3",
        "SELECT t.id FROM tags t INNER JOIN order_tags ot ON ot.tag_id = t.id \
         INNER JOIN orders o ON o.id = ot.order_id \
         WHERE o.id = 3 AND t.tenant_id = $1 AND ot.tenant_id = $1 AND o.tenant_id = $1",
    ),
    (
        "find_also_related",
        "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON o.customer_id = c.id WHERE o.id = 3",
        "SELECT o.id, c.name FROM orders o \
         LEFT JOIN customers c ON o.customer_id = c.id AND c.tenant_id = $1 \
         WHERE o.id = 3 AND o.tenant_id = $1",
    ),
    (
        "find_with_related, ordered",
        "SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON o.customer_id = c.id ORDER BY o.id",
        "SELECT o.id, c.name FROM orders o \
         LEFT JOIN customers c ON o.customer_id = c.id AND c.tenant_id = $1 \
         WHERE o.tenant_id = $1 ORDER BY o.id",
    ),
    (
        "load_many",
        "SELECT o.id FROM orders o WHERE o.customer_id IN (1, 2, 3, 5, 8)",
        "SELECT o.id FROM orders o WHERE o.customer_id IN (1, 2, 3, 5, 8) AND o.tenant_id = $1",
    ),
    (
        "count",
        "SELECT COUNT(*) AS num_items FROM (SELECT o.id FROM orders o WHERE o.total = 7) AS sub_query",
        "SELECT COUNT(*) AS num_items FROM \
         (SELECT o.id FROM orders o WHERE o.total = 7 AND o.tenant_id = $1) AS sub_query",
    ),
    (
        "exists",
        "SELECT EXISTS(SELECT 1 FROM orders o WHERE o.id = 3)",
        "SELECT EXISTS(SELECT 1 FROM orders o WHERE o.id = 3 AND o.tenant_id = $1)",
    ),
    (
        "paginate, fetch_page",
        "SELECT o.id FROM orders o LIMIT 10 OFFSET 20",
        "SELECT o.id FROM orders o WHERE o.tenant_id = $1 LIMIT 10 OFFSET 20",
    ),
    (
        "cursor",
        "SELECT o.id FROM orders o WHERE o.id > 100 ORDER BY o.id ASC LIMIT 10",
        "SELECT o.id FROM orders o WHERE o.id > 100 AND o.tenant_id = $1 ORDER BY o.id ASC LIMIT 10",
    ),
    (
        "group by, having",
        "SELECT o.customer_id FROM orders o GROUP BY o.customer_id HAVING COUNT(o.id) > 0",
        "SELECT o.customer_id FROM orders o WHERE o.tenant_id = $1 \
         GROUP BY o.customer_id HAVING COUNT(o.id) > 0",
    ),
    (
        "in_subquery",
        "SELECT c.id FROM customers c WHERE c.id IN (SELECT o.customer_id FROM orders o WHERE o.id = 3)",
        "SELECT c.id FROM customers c WHERE c.id IN \
         (SELECT o.customer_id FROM orders o WHERE o.id = 3 AND o.tenant_id = $1) AND c.tenant_id = $1",
    ),
    (
        "query builder: nested query",
        "SELECT x.id FROM (SELECT o.id FROM orders o) AS x WHERE x.id = 3",
        "SELECT x.id FROM (SELECT o.id FROM orders o WHERE o.tenant_id = $1) AS x WHERE x.id = 3",
    ),
    (
        "query builder: WITH",
        "WITH mine (id) AS (SELECT o.id FROM orders o WHERE o.id = 3) SELECT id FROM mine",
        "WITH mine (id) AS (SELECT o.id FROM orders o WHERE o.id = 3 AND o.tenant_id = $1) SELECT id FROM mine",
    ),
    (
        "query builder: UNION",
        "SELECT o.id FROM orders o WHERE o.id = 3 UNION ALL (SELECT o.id FROM orders o WHERE o.id = 4)",
        "SELECT o.id FROM orders o WHERE o.id = 3 AND o.tenant_id = $1 \
         UNION ALL (SELECT o.id FROM orders o WHERE o.id = 4 AND o.tenant_id = $1)",
    ),
    (
        "query builder: window",
        "SELECT COUNT(*) OVER (PARTITION BY o.customer_id) AS n FROM orders o WHERE o.total = 7",
        "SELECT COUNT(*) OVER (PARTITION BY o.customer_id) AS n FROM orders o \
         WHERE o.total = 7 AND o.tenant_id = $1",
    ),
    (
        "query builder: join of a query",
        "SELECT o.id FROM orders o INNER JOIN (SELECT ot.order_id FROM order_tags ot) AS x \
         ON x.order_id = o.id WHERE o.id = 3",
        "SELECT o.id FROM orders o INNER JOIN \
         (SELECT ot.order_id FROM order_tags ot WHERE ot.tenant_id = $1) AS x \
         ON x.order_id = o.id WHERE o.id = 3 AND o.tenant_id = $1",
    ),
    (
        "update_many",
        "UPDATE orders SET total = 5 WHERE orders.id = 3",
        "UPDATE orders SET total = 5 WHERE orders.id = 3 AND orders.tenant_id = $1",
    ),
    (
        "update_many, returning",
        "UPDATE orders SET total = 5 WHERE orders.total = 7 RETURNING orders.id",
        "UPDATE orders SET total = 5 WHERE orders.total = 7 AND orders.tenant_id = $1 RETURNING orders.id",
    ),
    (
        "delete_many",
        "DELETE FROM orders WHERE orders.id = 3",
        "DELETE FROM orders WHERE orders.id = 3 AND orders.tenant_id = $1",
    ),
    (
        "insert",
        "INSERT INTO orders (id, customer_id, total) VALUES (99999, 1, 1)",
        "INSERT INTO orders (id, customer_id, total, tenant_id) VALUES (99999, 1, 1, $1)",
    ),
    (
        "on_conflict, update",
        "INSERT INTO orders (id, customer_id, total) VALUES (3, 1, 1) \
         ON CONFLICT (id) DO UPDATE SET total = excluded.total",
        "INSERT INTO orders (id, customer_id, total, tenant_id) VALUES (3, 1, 1, $1) \
         ON CONFLICT (tenant_id, id) DO UPDATE SET total = excluded.total WHERE orders.tenant_id = $1",
    ),
    (
        "raw INSERT … SELECT",
        "INSERT INTO tags (id, name) SELECT o.id + 80000, 'copy' FROM orders o WHERE o.id = 3",
        "INSERT INTO tags (id, name, tenant_id) \
         SELECT o.id + 80000, 'copy', $1::bigint FROM orders o WHERE o.id = 3 AND o.tenant_id = $1",
    ),
];

/// Enough rows of enough tenants for PostgreSQL to have a choice.
async fn grow(db: &DatabaseConnection) {
    let each = "FROM generate_series(11, 30) AS t, generate_series(1, 500) AS n";
    for sql in [
        format!("INSERT INTO customers SELECT t, n, 'name ' || n {each}"),
        format!("INSERT INTO orders SELECT t, n, n % 100 + 1, n % 50, 'note', '1' {each}"),
        format!("INSERT INTO tags SELECT t, n, 'tag ' || n {each}"),
        format!("INSERT INTO order_tags SELECT t, n, n % 20 + 1 {each}"),
        "CREATE INDEX orders_by_customer ON orders (tenant_id, customer_id, id)".to_owned(),
        "ANALYZE".to_owned(),
    ] {
        db.execute_unprepared(&sql).await.expect("the shop grows");
    }
}

async fn plan(db: &DatabaseConnection, sql: &str, values: Vec<Value>) -> Result<Vec<String>, DbErr> {
    let sql = format!("EXPLAIN (COSTS OFF) {sql}");
    let lines = db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    lines.iter().map(|line| line.try_get_by_index::<String>(0)).collect()
}

#[tokio::test]
async fn scoped_statements_are_planned_like_those_written_by_hand() {
    let shop = Shop::postgres(policy()).await;
    grow(&shop.raw).await;
    let tenant = TenantValue::of(&context(12));
    let mut different = String::new();
    for (name, sql, by_hand) in SHAPES {
        let (mut scoped, mut values) = ((*sql).to_owned(), Vec::new());
        shop.tenancy.rewriter().rewrite_text(&mut scoped, &mut values, &tenant).expect("it is scoped");
        let ours = plan(&shop.raw, &scoped, values).await.expect("the scoped statement is planned");
        let theirs = plan(&shop.raw, by_hand, vec![tenant.value().clone()]).await;
        let theirs = theirs.expect("the statement by hand is planned");
        if ours != theirs {
            different +=
                &format!("{name}\n{scoped}\n{}\nby hand\n{}\n\n", ours.join("\n"), theirs.join("\n"));
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[tokio::test]
async fn a_statement_that_is_not_scoped_is_planned_otherwise() {
    // The twin: were the plans of all statements alike, the test above would say nothing.
    let shop = Shop::postgres(policy()).await;
    grow(&shop.raw).await;
    let tenant = TenantValue::of(&context(12));
    for (name, sql, by_hand) in SHAPES.iter().filter(|(_, sql, _)| !sql.starts_with("INSERT")) {
        let bare = plan(&shop.raw, sql, Vec::new()).await.expect("it is planned");
        let theirs = plan(&shop.raw, by_hand, vec![tenant.value().clone()]).await.expect("it is planned");
        assert_ne!(bare, theirs, "{name}");
    }
}
