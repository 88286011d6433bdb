//! Which columns have a fence of their own, and which leave it to their query.

use crate::{Dialect, LeakyPredicates, Policy, Rewriter};

fn scoped_by(leaky: LeakyPredicates, dialect: Dialect, sql: &str) -> String {
    let policy = Policy::builder().owned_table("orders").owned_table("tags").global_table("countries");
    let policy = policy.leaky_predicates(leaky).build().expect("a policy");
    let scoped = Rewriter::new(&policy, dialect).explain(sql);
    let sql = scoped.map_or_else(|error| format!("refused: {}", error.construct()), |scoped| scoped.sql);
    sql.replace("\"tenant_id\"", "tenant_id").replace(" /* scoped */", "")
}

fn scoped(sql: &str) -> String {
    scoped_by(LeakyPredicates::Fence, Dialect::Postgres, sql)
}

const FENCE: &str = "CASE WHEN o.tenant_id = $1 THEN (";

/// FLT-33: only what may fail is kept from other tenants' rows; the query around it may be entered.
#[test]
fn a_column_that_may_fail_has_a_fence_of_its_own() {
    let column = "SELECT o.id, 1 / o.n AS k, o.note FROM orders o";
    let fenced = "SELECT o.id, CASE WHEN o.tenant_id = $1 THEN (1 / o.n) END AS k, o.note FROM orders o WHERE o.tenant_id = $1";
    let derived = scoped(&format!("SELECT d.id FROM ({column}) d WHERE d.k = 1"));
    assert_eq!(derived, format!("SELECT d.id FROM ({fenced}) d WHERE d.k = 1"));
    let cte = scoped(&format!("WITH d AS ({column}) SELECT d.id FROM d WHERE d.k = 1"));
    assert_eq!(cte, format!("WITH d AS ({fenced}) SELECT d.id FROM d WHERE d.k = 1"));
    for column in [
        "o.body::int k",
        "(o.body ->> 'a')::int AS \"K\"",
        "abs(o.n) AS as",
        "ARRAY[1 / o.n, 2] AS k",
        "1 / n AS k",
        "(SELECT t.n FROM tags t WHERE t.id = o.id) AS k",
    ] {
        let sql = scoped(&format!("SELECT d.id FROM (SELECT o.id, {column} FROM orders o) d WHERE d.id = 1"));
        assert!(sql.contains(FENCE) && !sql.contains("OFFSET"), "{sql}");
    }
}

/// The twin of it: what cannot fail has none, and neither has what nobody asks from outside.
#[test]
fn other_columns_have_no_fence() {
    for column in ["o.n AS k", "o.note LIKE 'a%' AS k", "coalesce(o.note, '') AS k"] {
        let sql = scoped(&format!("SELECT d.id FROM (SELECT o.id, {column} FROM orders o) d WHERE d.k = 1"));
        assert!(sql.starts_with("SELECT") && !sql.contains("CASE") && !sql.contains("OFFSET"), "{sql}");
    }
    assert!(!scoped("SELECT 1 / o.n AS k FROM orders o").contains("CASE"));
    let limited = "SELECT d.k FROM (SELECT 1 / o.n AS k FROM orders o LIMIT 5) d WHERE d.k = 1";
    assert!(!scoped(limited).contains("CASE"));
}

/// A fence would change what these are called, or what they may be: they leave it to their query.
#[test]
fn a_query_stays_closed_where_its_column_cannot_have_a_fence() {
    for nested in [
        "SELECT 1 / o.n FROM orders o",
        "SELECT 1 / o.n AS k, 1 / o.m FROM orders o",
        "SELECT 6 / 2 AS k FROM orders o HAVING count(*) > 0",
        "SELECT 6 / 2 AS k FROM orders o ORDER BY count(*)",
        "SELECT 6 / 2 AS k, (SELECT count(o.id)) AS c FROM orders o",
        "SELECT (SELECT max(6 / o.n)) AS k FROM orders o",
        "SELECT DISTINCT 1 / o.n AS k FROM orders o",
        "SELECT DISTINCT 1 / o.n AS k FROM orders o ORDER BY 1 / o.n",
        "SELECT 1 / o.n AS k FROM orders o GROUP BY 1 / o.n",
        "SELECT 1 / o.n AS k, count(*) OVER () AS c FROM orders o",
        "SELECT unnest(o.list) / 2 AS k FROM orders o",
        "SELECT generate_series(1, o.n) AS k FROM orders o",
        "SELECT 1 / o.n AS k FROM orders o UNION ALL SELECT 2",
        "SELECT 2 AS k UNION ALL SELECT 1 / o.n AS k FROM orders o",
        "SELECT 1 / z.n AS k FROM countries z",
    ] {
        let sql = scoped(&format!("SELECT 1 FROM ({nested}) d"));
        assert!(sql.contains("OFFSET 0) d") && !sql.contains("CASE"), "{sql}");
    }
    let asked = "SELECT 1 FROM countries c WHERE EXISTS (SELECT 1 FROM (SELECT 1 / n AS k FROM orders o) d WHERE d.k = 1)";
    assert!(scoped(asked).contains("OFFSET 0) d"), "{}", scoped(asked));
    let recursive = "WITH RECURSIVE r(v, l) AS (SELECT CAST('a' AS varchar(3)), 1 UNION ALL SELECT d.k, r.l + 1 FROM r JOIN (SELECT o.id, o.a::varchar(3) AS k FROM orders o) d ON d.id = r.l) SELECT r.v FROM r";
    assert!(!scoped(recursive).contains("CASE"), "{}", scoped(recursive));
    let lateral = "SELECT 1 FROM countries c, LATERAL (SELECT 1 / (o.n + c.n) AS k FROM orders o) d";
    assert!(scoped(lateral).contains("OFFSET 0) d"), "{}", scoped(lateral));
}

/// What it reads from is closed still, and of an outer join's row that there is none of, the fence lets the column be.
#[test]
fn a_fence_around_a_column_looks_at_all_that_it_reads() {
    let nested = "SELECT 1 / (o.n + t.n) AS k FROM orders o JOIN (SELECT tags.n FROM tags) t ON true";
    let sql = scoped(&format!("SELECT 1 FROM ({nested}) d"));
    assert!(sql.contains(FENCE) && sql.contains("tags.tenant_id = $1 OFFSET 0) t"), "{sql}");
    let nested = "SELECT 1 / t.n AS k FROM orders o LEFT JOIN tags t ON t.id = o.id";
    let sql = scoped(&format!("SELECT 1 FROM ({nested}) d"));
    assert!(sql.contains("(t.tenant_id = $1 OR t.tenant_id IS NULL) THEN (1 / t.n) END AS k"), "{sql}");
}

/// Where fences are not wanted, such a column is refused as before; another database's query stays closed.
#[test]
fn other_policies_and_databases_have_no_such_fence() {
    let sql = "SELECT d.k FROM (SELECT sum(1) OVER () AS c, abs(o.n) AS k FROM orders o) d";
    let refused =
        scoped_by(LeakyPredicates::Refuse, Dialect::Postgres, &sql.replace("sum(1) OVER () AS c, ", ""));
    assert!(refused.starts_with("refused: a nested query's column"), "{refused}");
    let sqlite = scoped_by(
        LeakyPredicates::Fence,
        Dialect::Sqlite,
        "SELECT d.k FROM (SELECT abs(o.n) AS k FROM orders o) d",
    );
    assert!(sqlite.contains("LIMIT -1 OFFSET 0") && !sqlite.contains("CASE"), "{sqlite}");
}
