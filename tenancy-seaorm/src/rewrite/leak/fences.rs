//! Where fences stand that other databases, other indexes or other types need than the corpus has.

use crate::{Dialect, LeakyPredicates, Policy, Rewriter};

fn scoped(dialect: Dialect, sql: &str) -> String {
    let policy = Policy::builder().owned_table("orders").owned_table("tags").global_table("countries");
    let policy = policy.leaky_predicates(LeakyPredicates::Fence).build().expect("a policy");
    let scoped = Rewriter::new(&policy, dialect).explain(sql);
    scoped.map_or_else(|error| format!("refused: {}", error.construct()), |scoped| scoped.sql)
}

fn fenced(sql: &str) -> bool {
    scoped(Dialect::Postgres, sql).contains("CASE WHEN")
}

/// FLT-33: a domain's CHECK is asked when the value is used, and not once with the statement.
#[test]
fn a_literal_of_a_domain_is_not_certain() {
    assert!(fenced("SELECT id FROM orders WHERE open IS NOT NULL OR '-5'::posint IS NULL"));
    assert!(fenced("SELECT id FROM orders WHERE open IS NOT NULL OR '{-5}'::posint[] IS NULL"));
    assert!(!fenced("SELECT id FROM orders WHERE open IS NOT NULL OR '5'::int IS NULL"));
}

/// FLT-33: `nullif(x, NULL)` is no more than a conversion.
#[test]
fn nullif_of_a_parameter_is_a_conversion() {
    assert!(fenced("SELECT id FROM orders WHERE nullif(total, $1) IS NULL"));
    assert!(!fenced("SELECT id FROM orders WHERE nullif(total, 0) = 1"));
}

/// FLT-33: rows are compared value by value, and a constant that fails does so where it comes to it.
#[test]
fn the_values_of_a_row_are_evaluated_one_after_the_other() {
    assert!(fenced("SELECT id FROM orders WHERE (open, to_date('x', 'YYYY')) IS NULL"));
    assert!(!fenced("SELECT id FROM orders WHERE (open, id) = (true, $1)"));
}

/// FLT-33: what `IN` makes a join needs no fence; what else it is, does.
#[test]
fn a_join_by_in_is_not_fenced() {
    let query = "(SELECT 1 / c.id FROM countries c)";
    assert!(!fenced(&format!("SELECT id FROM orders WHERE id IN {query}")));
    assert!(fenced(
        "SELECT id FROM orders WHERE id IN (SELECT 1 / c.id FROM countries c WHERE true OR c.id = orders.id)"
    ));
    assert!(fenced(&format!("SELECT id FROM orders WHERE id NOT IN {query}")));
    // Asked once, whoever's rows there are.
    assert!(!fenced(&format!("SELECT id FROM orders WHERE 5 IN {query}")));
    assert!(fenced(&format!("SELECT id FROM orders WHERE 5 IN {query} OR open")));
    assert!(fenced(&format!("SELECT id FROM orders WHERE (id IN {query}) IS NOT NULL")));
    assert!(fenced(&format!(
        "SELECT orders.id FROM tags LEFT JOIN orders ON true WHERE orders.id IN {query}"
    )));
}

/// FLT-33: a query that depends on the row costs more than the filter; one that only mentions it may not.
#[test]
fn a_query_for_each_row_is_not_fenced() {
    let exists = |condition: &str| {
        fenced(&format!(
            "SELECT id FROM orders WHERE EXISTS (SELECT 1 FROM countries c WHERE 1 / c.z > 0 AND {condition})"
        ))
    };
    assert!(!exists("c.id = orders.id"));
    assert!(exists("(c.id = 1 OR orders.id = 1)"));
    assert!(!exists("c.id = 1"));
    assert!(exists("c.id = 1 AND random() > 2"));
}

/// FLT-33: only what PostgreSQL makes a join is not asked of rows that the filter has not passed.
#[test]
fn a_query_that_is_no_join_is_fenced() {
    let tag = "FROM countries t WHERE t.order_id = orders.id AND 1 / t.n > 0";
    let fenced =
        |condition: &str| fenced(&format!("SELECT id FROM orders WHERE {condition}").replace("TAG", tag));
    for join in ["EXISTS (SELECT 1 TAG)", "NOT EXISTS (SELECT 1 TAG)", "(EXISTS (SELECT t.id TAG)) AND open"]
    {
        assert!(!fenced(join), "{join}");
    }
    for other in [
        "EXISTS (SELECT 1 TAG) IS NOT NULL",
        "open = EXISTS (SELECT 1 TAG)",
        "(open OR EXISTS (SELECT 1 TAG))",
        "(SELECT t.id TAG LIMIT 1) IS NULL",
        "(SELECT t.note TAG LIMIT 1) LIKE 'x%'",
        "id IN (SELECT t.id TAG)",
        "EXISTS (SELECT 1 TAG LIMIT 1)",
        "EXISTS (SELECT 1 TAG GROUP BY t.id)",
        "EXISTS (SELECT count(*) TAG)",
        "EXISTS (SELECT unnest(t.list) TAG)",
        "EXISTS (SELECT 1 TAG AND random() > 2)",
        "EXISTS (SELECT 1 TAG FOR SHARE)",
        "EXISTS (WITH x AS (SELECT 1) SELECT 1 TAG)",
        "EXISTS (SELECT 1 TAG UNION SELECT 2)",
        "EXISTS (SELECT 1 FROM countries u JOIN countries t ON u.id = orders.id WHERE t.order_id = orders.id AND 1 / t.n > 0)",
    ] {
        assert!(fenced(other), "{other}");
    }
    let outer = "SELECT tags.id FROM tags LEFT JOIN orders ON EXISTS (SELECT 1 FROM countries t WHERE t.order_id = orders.id AND 1 / t.n > 0)";
    assert!(self::fenced(outer));
    let column = "SELECT d.id FROM (SELECT o.id, EXISTS (SELECT 1 FROM countries t WHERE t.id = o.id AND 1 / t.n > 0) AS k FROM orders o) d WHERE d.k";
    assert!(self::fenced(column));
}

/// Each condition by itself, so that an index serves those that need no fence, and what is unknown keeps off the rest.
#[test]
fn conditions_in_parentheses_are_fenced_one_by_one() {
    let sql =
        scoped(Dialect::Postgres, "SELECT id FROM orders WHERE (kind = 'n' AND (open AND body::int > 3))");
    let fence = "CASE WHEN orders.\"tenant_id\" = $1 THEN (body::int > 3) END";
    assert!(sql.contains(&format!("(kind = 'n' AND (open AND {fence}))")), "{sql}");
    let both =
        scoped(Dialect::Postgres, "SELECT id FROM orders WHERE (a::int = 1 AND b::int BETWEEN 1 AND 2)");
    assert_eq!(both.matches("CASE WHEN").count(), 2, "{both}");
}

/// SQLite computes both operands of OR where their value is asked for, and one where that decides.
#[test]
fn a_fence_of_sqlite_asks_for_a_condition() {
    let sql =
        scoped(Dialect::Sqlite, "SELECT id FROM orders WHERE json_valid(d) = 0 OR json_extract(d, '$') = 1");
    assert!(
        sql.contains("THEN CASE WHEN (json_valid(d) = 0 OR json_extract(d, '$') = 1) THEN 1 END END"),
        "{sql}"
    );
}

/// FLT-33: MariaDB pushes conditions into the branches of a UNION ALL, past any limit behind it.
#[test]
fn a_union_on_mysql_gets_a_derived_table_of_its_own() {
    for (own, limit) in [("", ""), (" LIMIT 10", " LIMIT 10")] {
        let union = format!("(SELECT exp(total) AS e FROM orders UNION ALL SELECT 1{own}) s");
        let sql = scoped(Dialect::MySql, &format!("SELECT s.e FROM {union} WHERE s.e > 2"));
        let fence = format!("UNION ALL SELECT 1{limit}) AS fenced LIMIT 18446744073709551615) s");
        assert!(sql.contains("FROM (SELECT * FROM (SELECT exp(total)") && sql.contains(&fence), "{sql}");
    }
}

/// FLT-33: the same in IN, where MySQL has no limit.
#[test]
fn a_query_in_in_on_mysql_is_limited_in_a_derived_table() {
    let sql = scoped(Dialect::MySql, "SELECT id FROM orders WHERE id IN (SELECT exp(id) FROM tags)");
    assert!(sql.contains("IN (SELECT * FROM (SELECT exp(id) FROM tags"), "{sql}");
    assert!(sql.contains("LIMIT 18446744073709551615) AS fenced)"), "{sql}");
}

/// FLT-33: SQLite's `replace` makes texts that it does not hold, and a pattern may be one.
#[test]
fn long_texts_and_patterns_of_sqlite_are_fenced() {
    let fenced = |condition: &str| {
        scoped(Dialect::Sqlite, &format!("SELECT id FROM orders WHERE {condition}")).contains("CASE WHEN")
    };
    assert!(fenced("replace(note, 'a', 'b') = 'x'"));
    assert!(fenced("note LIKE upper('a')"));
    assert!(fenced(&format!("note LIKE '{}'", "a".repeat(50_001))));
    assert!(!fenced("note LIKE 'a%' OR note GLOB ?"));
}

/// FLT-33: what is asked of a constant that fails, in place of a column, is asked of it where a row comes to it. Kept apart, it
/// fails or not by itself.
#[test]
fn columns_of_queries_without_a_table_of_tenants_stay_in_them() {
    for columns in ["to_date('x', 'YYYY') AS d", "(SELECT max(1 / z) FROM countries) AS d"] {
        let sql = format!(
            "WITH k AS (SELECT {columns}) SELECT id FROM orders, k WHERE open IS NOT NULL OR k.d IS NULL"
        );
        let sql = scoped(Dialect::Postgres, &sql);
        assert!(sql.contains("AS d OFFSET 0)"), "{sql}");
    }
    let values = "SELECT id FROM orders, (VALUES (to_date('x', 'YYYY'))) k(d) WHERE open OR k.d IS NULL";
    assert!(scoped(Dialect::Postgres, values).contains("OFFSET 0) k(d)"));
    let plain = "WITH k AS (SELECT name AS d FROM countries) SELECT id FROM orders, k WHERE k.d = kind";
    assert!(!scoped(Dialect::Postgres, plain).contains("OFFSET"));
}

/// FLT-33: an outer reference that is a constant, once the queries are merged.
#[test]
fn a_query_for_each_row_of_a_constant_is_fenced() {
    for constant in ["(SELECT 5 AS k) d", "(VALUES (5)) d(k)"] {
        let sql = format!(
            "SELECT id FROM orders, {constant} WHERE total = (SELECT max(1 / c.z) FROM countries c WHERE c.z <> d.k)"
        );
        assert!(fenced(&sql), "{}", scoped(Dialect::Postgres, &sql));
    }
}

/// FLT-33: a query that fails, by the name that WITH gives it.
#[test]
fn a_common_table_expression_that_may_fail_is_not_certain() {
    for (with, condition) in [
        ("SELECT 1 / z AS q FROM countries", "total NOT IN (SELECT q FROM k)"),
        ("SELECT 1 AS q FROM countries WHERE 1 / z > 0", "open IS NOT NULL OR EXISTS (SELECT 1 FROM k)"),
    ] {
        assert!(fenced(&format!("WITH k AS ({with}) SELECT id FROM orders WHERE {condition}")));
        assert!(fenced(&format!(
            "WITH k AS ({with}), l AS (SELECT 1 FROM k) SELECT id FROM orders WHERE open OR EXISTS (SELECT 1 FROM l)"
        )));
    }
    assert!(!fenced(
        "WITH k AS (SELECT z FROM countries) SELECT id FROM orders WHERE total NOT IN (SELECT z FROM k)"
    ));
}

/// FLT-33: rows in HAVING are taken apart.
#[test]
fn a_row_in_having_may_lose_its_aggregate() {
    let sql = "SELECT code FROM orders GROUP BY code HAVING ('x' ~ code, true) = (true, count(*) > 0)";
    assert!(
        scoped(Dialect::Postgres, sql).starts_with("refused: HAVING"),
        "{}",
        scoped(Dialect::Postgres, sql)
    );
}

/// FLT-33: LIKE fails with a collation that is not deterministic.
#[test]
fn patterns_with_a_collation_are_fenced() {
    for condition in
        ["(note COLLATE nd) LIKE 'a%'", "starts_with(note COLLATE nd, 'a')", "note COLLATE nd ILIKE 'a'"]
    {
        assert!(fenced(&format!("SELECT id FROM orders WHERE {condition}")), "{condition}");
    }
    assert!(!fenced("SELECT id FROM orders WHERE note COLLATE \"C\" < 'a'"));
}

/// FLT-33: what is left of a query over no rows.
#[test]
fn a_query_for_each_row_that_has_none_is_fenced() {
    let exists = "EXISTS (SELECT 1 FROM countries c WHERE c.z = orders.id AND NULL HAVING to_date('x', 'YYYY') IS NULL)";
    assert!(fenced(&format!("SELECT id FROM orders WHERE open <> {exists}")));
    assert!(fenced(
        "SELECT id FROM orders WHERE total = (SELECT max(c.z) + 1 FROM countries c WHERE c.z = orders.id)"
    ));
    // Over a table that was empty when it was planned, such a query costs nothing.
    assert!(fenced(
        "SELECT id FROM orders WHERE total = (SELECT max(1 / c.z) FROM countries c WHERE c.z = orders.id)"
    ));
}

/// FLT-33: a number that is no limit fails where the query is run.
#[test]
fn a_limit_that_is_no_whole_number_is_not_certain() {
    for (limit, expected) in [("1.5", true), ("99999999999999999999", true), ("2", false)] {
        let query = format!("SELECT code FROM countries LIMIT {limit}");
        let sql = format!("SELECT id FROM orders WHERE open OR note IN ({query})");
        assert_eq!(scoped(Dialect::Sqlite, &sql).contains("CASE WHEN"), expected, "{limit}");
    }
}

/// FLT-33: on MySQL, stars and unions in places where they are easily passed over.
#[test]
fn stars_and_unions_of_mysql_are_seen() {
    let star = "WITH b(i, x) AS (SELECT STRAIGHT_JOIN * FROM orders WHERE exp(total) > 1) SELECT i FROM b";
    assert!(scoped(Dialect::MySql, star).starts_with("refused"), "{}", scoped(Dialect::MySql, star));
    let product = "SELECT id FROM orders WHERE id IN (SELECT count(*) FROM tags) AND exp(total * 2) > 1";
    assert!(scoped(Dialect::MySql, product).contains("CASE WHEN"), "{}", scoped(Dialect::MySql, product));
    let union =
        "SELECT t FROM ((SELECT total AS t FROM orders UNION ALL SELECT 3) LIMIT 10) s WHERE exp(t) > 2";
    assert!(scoped(Dialect::MySql, union).contains(") AS fenced LIMIT"), "{}", scoped(Dialect::MySql, union));
    let row = "SELECT total FROM orders GROUP BY total HAVING (exp(total), 1) = (1, count(*))";
    assert!(scoped(Dialect::MySql, row).starts_with("refused: HAVING"), "{}", scoped(Dialect::MySql, row));
    let correlated = "SELECT id FROM orders o WHERE o.id IN (SELECT t.id + 1 FROM tags t WHERE t.id = o.id)";
    assert!(scoped(Dialect::MySql, correlated).starts_with("refused: a query in IN"));
    let exists =
        "SELECT id FROM orders o WHERE EXISTS (SELECT t.id + 1 FROM tags t WHERE t.id = o.id UNION SELECT 1)";
    assert!(!scoped(Dialect::MySql, exists).contains("AS fenced"), "{}", scoped(Dialect::MySql, exists));
}

/// FLT-33: a row of constants is compared value by value too.
#[test]
fn a_row_of_constants_is_evaluated_where_a_row_comes_to_it() {
    for condition in [
        "(open, true) = (true, to_date('x', 'y') IS NULL)",
        "(open, true) IN ((true, to_date('x', 'y') IS NULL))",
    ] {
        assert!(fenced(&format!("SELECT id FROM orders WHERE ({condition}) IS TRUE")), "{condition}");
    }
    assert!(!fenced(
        "SELECT id FROM orders WHERE (id, note) > ($1, $2) AND (id, note) IN ((1, 'a'), ($1, $2))"
    ));
}

/// What is not refused needlessly.
#[test]
fn ordinary_statements_pass() {
    for (dialect, sql) in [
        (Dialect::Postgres, "SELECT note FROM orders GROUP BY note HAVING nullif(note, '') IS NOT NULL"),
        (Dialect::Postgres, "INSERT INTO tags SELECT * FROM (SELECT id, note FROM orders) x ORDER BY 2"),
        (
            Dialect::MySql,
            "SELECT id FROM orders o WHERE o.total * 2 > 1 AND EXISTS (SELECT * FROM tags t WHERE t.id = o.id)",
        ),
    ] {
        assert!(!scoped(dialect, sql).starts_with("refused: a "), "{}", scoped(dialect, sql));
    }
    let values = scoped(
        Dialect::Sqlite,
        "WITH v(a) AS (VALUES (abs(-1))) SELECT o.id FROM orders o, v WHERE o.id = v.a",
    );
    assert!(values.contains("(SELECT * FROM (VALUES (abs(-1))) LIMIT -1 OFFSET 0)"), "{values}");
}

/// Without a fence around it an index serves a condition, and a constant in it still comes after the filter: what converts
/// it, and what compares a column with it, cost twice as much.
#[test]
fn constants_beside_columns_need_no_fence() {
    for condition in [
        "id = -1 OR id = 77",
        r#"kind = CAST($1 AS "mood") OR kind = CAST($2 AS "mood")"#,
        "(created, id) > ($1::timestamptz, $2::bigint)",
        "(a, b) IN (($1::int, 2), (3, 4))",
        "($1::bigint IS NULL OR id = $1)",
        "($1::bigint IS NULL OR (open OR id = $1::bigint))",
        "created > now() - interval '1 day' OR id = 77",
        "created > now() - make_interval(days => $1)",
        "id = ANY(ARRAY[1, 2, 3])",
        "labels @> ARRAY['a'] OR labels @> ARRAY['b']",
        "note @@ to_tsquery('simple', 'word')",
        "note LIKE '%' || $1 || '%'",
        "created = (SELECT max(p.created) FROM orders p)",
        "id = (SELECT id FROM tags WHERE name = $1 LIMIT 1)",
        "id = (SELECT id FROM tags ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)",
        "EXISTS (SELECT t.qty * 2 FROM tags t WHERE t.id = orders.id)",
    ] {
        let sql = format!("SELECT id FROM orders WHERE {condition}");
        let scoped = scoped(Dialect::Postgres, &sql);
        assert!(
            scoped.starts_with("SELECT") && !scoped.contains("CASE") && !scoped.contains("OFFSET"),
            "{scoped}"
        );
    }
    for condition in [
        "open OR $1::int IS NULL",
        "open OR $1::int IS NULL OR (id = $1 AND false)",
        "NOT (NOT (open OR $1::int IS NULL) OR id <> $1)",
        "num = ANY(ARRAY[ARRAY[]::float8[]])",
        "num = ANY(ARRAY[NULL::float8[]])",
        "num = ANY(ARRAY[$1])",
        "open = (ARRAY[$1::int[], $2::int[]] IS NULL) OR id = 1",
        "open OR id = CAST(concat('x', now()) AS integer)",
        "id = (SELECT c.id FROM countries c WHERE c.z = orders.id AND NULL LIMIT 1 OFFSET $1)",
        "id IN (SELECT 1 / c.z FROM countries c WHERE true OR c.id = orders.id AND EXISTS (SELECT 1 FROM tags orders))",
        "open OR to_date($1, 'YYYY') IS NULL",
        "(open, to_date($1, 'YYYY')) IS NULL",
        "open OR id = (SELECT id FROM tags WHERE id = $1::int LIMIT 1)",
        "id = (SELECT id FROM tags WHERE name = $1 LIMIT 2)",
        "id = (SELECT id FROM tags ORDER BY id LIMIT 1 FOR UPDATE NOWAIT)",
        "id = ANY(ARRAY[]::int[])",
        "open OR 1 / total > 0",
        "open OR orders.to_jsonb IS NULL",
        "note LIKE $1 || name",
        "note @@ to_tsquery(name)",
        "id IN (SELECT c.id FROM countries c WHERE c.x = $1::int) OR open",
    ] {
        assert!(fenced(&format!("SELECT id FROM orders WHERE {condition}")), "{condition}");
    }
}

/// FLT-33: a condition is asked of the rows of one table as soon as there are any.
#[test]
fn a_fence_names_the_tables_that_are_read() {
    let sql = "SELECT 1 FROM orders o JOIN tags t ON t.id = o.id WHERE o.a::int > 1 AND t.b::int > o.b AND c::int > 2";
    let scoped = scoped(Dialect::Postgres, sql);
    let (o, t) = ("o.\"tenant_id\" = $1", "t.\"tenant_id\" = $1");
    assert!(scoped.contains(&format!("CASE WHEN {o} THEN (o.a::int > 1) END")), "{scoped}");
    assert!(scoped.contains(&format!("CASE WHEN {o} AND {t} THEN (t.b::int > o.b) END")), "{scoped}");
    assert!(scoped.contains(&format!("CASE WHEN {o} AND {t} THEN (c::int > 2) END")), "{scoped}");
}

/// FLT-33: a whole row that is a function's argument is read by whatever stands in it.
#[test]
fn functions_called_as_columns_may_raise() {
    assert!(fenced("SELECT o.id FROM orders o WHERE o.to_jsonb IS NULL"));
    assert!(!fenced("SELECT o.id FROM orders o WHERE o.note IS NULL"));
    let having =
        "SELECT code FROM orders GROUP BY code HAVING ROW('x' ~ code, true) = ROW(true, count(*) > 0)";
    assert!(scoped(Dialect::Postgres, having).starts_with("refused: HAVING"));
}

/// FLT-33: an aggregate makes a row of none, and what stands beside it is evaluated then.
#[test]
fn an_aggregate_is_one_by_any_name() {
    let exists = |column: &str| {
        let query = format!("SELECT {column} FROM countries c WHERE c.z = o.id AND 1 / c.z > 0");
        fenced(&format!("SELECT o.id FROM orders o WHERE EXISTS ({query})"))
    };
    assert!(exists("count(*)") && exists("pg_catalog.count(*)") && exists("c.count"));
    assert!(!exists("c.name"));
}

/// FLT-32: to SQLite a string may be a name, and `rowid` counts everybody's rows.
#[test]
fn a_string_is_no_name() {
    let refused = scoped(Dialect::Sqlite, "SELECT o.'rowid' FROM orders o");
    assert!(refused.starts_with("refused: a string"), "{refused}");
}

/// FLT-30: the name of a type may be quoted, or have its schema.
#[test]
fn a_literal_of_a_type_that_looks_like_a_column_is_refused() {
    for column in
        ["pg_catalog.regclass 'orders'", "\"regrole\" '10'", "\"regclass\" $$orders$$", "a.\"b\" E'x'"]
    {
        let refused = scoped(Dialect::Postgres, &format!("SELECT {column}"));
        assert!(refused.starts_with("refused: a literal"), "{refused}");
    }
    assert!(
        scoped(Dialect::Postgres, "SELECT date '2020-01-01', o.id \"x\" FROM orders o").starts_with("SELECT")
    );
}

/// FLT-30: types of the catalog's tables hold what reads the catalog.
#[test]
fn types_of_the_catalog_are_refused() {
    for sql in [
        "SELECT age(transaction) FROM unnest(ARRAY['(3,,,,)'::pg_prepared_xacts]) u",
        "SELECT '(a)'::pg_catalog.pg_sequences",
        "SELECT CAST('1' AS pg_snapshot)",
        "SELECT x.a FROM json_to_recordset('[{\"a\": \"16585\"}]') AS x(a regclass)",
        "SELECT x.a FROM json_to_record('{}') AS x(a pg_class)",
        "SELECT NULL::tenant_b.payroll",
        "SELECT NULL::tenant_b.payroll[]",
        "SELECT CAST(a AS other.public.mood) FROM orders",
    ] {
        let refused = scoped(Dialect::Postgres, sql);
        assert!(refused.starts_with("refused: "), "{refused}");
    }
    assert!(
        scoped(Dialect::Postgres, "SELECT '1'::pg_catalog.int4, a::_int4, a::public.mood FROM orders")
            .starts_with("SELECT")
    );
}

/// FLT-33: a query that ends with a limit keeps predicates out, locks or not, and so does one with locks that has a name.
#[test]
fn queries_that_lock_rows_stand() {
    let limited =
        "SELECT x.id FROM (SELECT id, code::int AS c FROM orders LIMIT 5 FOR UPDATE) x WHERE x.c > 1";
    assert!(scoped(Dialect::Postgres, limited).starts_with("SELECT"));
    let named = "WITH x AS (SELECT id FROM orders FOR UPDATE) SELECT x.id FROM x WHERE x.id + 1 > 0";
    assert!(scoped(Dialect::Postgres, named).starts_with("WITH"));
    let merged = "SELECT x.id FROM (SELECT id FROM orders FOR UPDATE) x WHERE x.id + 1 > 0";
    assert!(scoped(Dialect::Postgres, merged).starts_with("refused: a locking query"));
}

/// FLT-32: MySQL reads a number and a keyword where the parser reads one word.
#[test]
fn a_name_does_not_begin_like_a_number() {
    for sql in [
        "SELECT tenant_id, note, 1.FROM orders",
        "SELECT .5from orders",
        "SELECT 1.5from orders",
        "SELECT EXISTS (SELECT 1.from orders)",
        "SELECT t.15to29 FROM tags t",
        "SELECT 1x FROM orders",
    ] {
        for dialect in [Dialect::MySql, Dialect::Sqlite, Dialect::Postgres] {
            let refused = scoped(dialect, sql);
            assert!(refused.starts_with("refused: "), "{dialect:?}: {refused}");
        }
    }
    assert!(scoped(Dialect::MySql, "SELECT `1x`, 1.5, .5, a1 FROM orders").starts_with("SELECT"));
}

/// FLT-32: a number ends where every version of a database ends it.
#[test]
fn numbers_are_plain() {
    for number in ["1_000", "0x1F", "0b1", "1__0", "1e5from"] {
        let refused = scoped(Dialect::Postgres, &format!("SELECT {number} FROM orders"));
        assert!(refused.starts_with("refused: "), "{refused}");
    }
    for number in ["1", "1.", ".5", "1.5", "1e10", "1.5E-3", ".5e+2", "10", "1.e2"] {
        let scoped = scoped(Dialect::Postgres, &format!("SELECT {number} FROM orders"));
        assert!(scoped.starts_with("SELECT"), "{number}: {scoped}");
    }
    assert!(scoped(Dialect::MySql, "SELECT 0x1F, x'1f' FROM orders").starts_with("SELECT"));
}

/// FLT-32: words that are keywords to the parser alone end no clause.
#[test]
fn keywords_of_other_databases_end_no_clause() {
    let fetch = scoped(Dialect::Sqlite, "SELECT id FROM orders WHERE id = 1 OR fetch = 1 LIMIT 5");
    assert!(fetch.contains("(id = 1 OR fetch = 1) LIMIT"), "{fetch}");
    let minus = scoped(Dialect::MySql, "SELECT id FROM orders WHERE id = 1 OR minus = 1 LIMIT 5");
    assert_eq!(minus, "refused: MINUS");
    let schema = scoped(Dialect::MySql, "SELECT o.note FROM orders o JOIN tags t USING (id) WHERE x.y.z = 1");
    assert_eq!(schema, "refused: a column with its schema");
}

/// FLT-44: a fence names every table, and so a short text could become a long one.
#[test]
fn fences_of_many_tables_are_bounded() {
    let tables: Vec<_> = (0..200).map(|n| format!("tags x{n}")).collect();
    let conditions: Vec<_> = (0..200).map(|n| format!("x{n}.id * 2 > 5")).collect();
    let sql = format!("SELECT 1 FROM {} WHERE {}", tables.join(", "), conditions.join(" AND "));
    assert_eq!(scoped(Dialect::MySql, &sql), "refused: predicates that may fail");
    let nested = vec!["(SELECT id FROM tags WHERE id * 2 > 5)"; 2_000].join(", ");
    assert!(scoped(Dialect::MySql, &format!("SELECT {nested} FROM orders")).starts_with("SELECT"));
}

/// FLT-33: rows with a fence around one of them are compared as wholes, where NULL equals NULL.
#[test]
fn a_row_is_fenced_with_what_it_is_compared_with() {
    let sql = "SELECT 1 FROM orders o JOIN tags t ON (ROW(o.id / 1, o.note)) = (t.id, t.code)";
    let scoped = scoped(Dialect::Postgres, sql);
    assert!(scoped.contains("THEN ((ROW(o.id / 1, o.note)) = (t.id, t.code)) END"), "{scoped}");
}

/// FLT-22: a lock on a row that all tenants read keeps the others waiting, or tells what they lock.
#[test]
fn global_rows_are_not_locked_as_if_they_were_changed() {
    let postgres = |sql: &str| scoped(Dialect::Postgres, sql);
    for sql in [
        "SELECT code FROM countries FOR UPDATE",
        "SELECT o.id FROM orders o JOIN countries c ON c.id = o.id FOR UPDATE SKIP LOCKED",
        "SELECT o.id FROM orders o JOIN countries c ON c.id = o.id FOR UPDATE OF o, c",
        "SELECT o.id FROM orders o JOIN countries c ON c.id = o.id FOR UPDATE OF c",
        "SELECT o.id FROM orders o, (SELECT id FROM countries) c FOR UPDATE",
    ] {
        assert!(postgres(sql).starts_with("refused: "), "{sql}");
    }
    for sql in [
        "SELECT o.id FROM orders o JOIN countries c ON c.id = o.id FOR UPDATE OF o",
        "SELECT o.id FROM orders o WHERE o.code IN (SELECT c.code FROM countries c) FOR UPDATE",
        "WITH c AS (SELECT id FROM countries) SELECT o.id FROM orders o JOIN c ON c.id = o.id FOR UPDATE",
        "SELECT code FROM countries FOR SHARE",
    ] {
        assert!(!postgres(sql).starts_with("refused: "), "{}", postgres(sql));
    }
}

/// A derived table sees no row of the query around it, whose aggregates its own could be.
#[test]
fn a_derived_table_of_mysql_may_count() {
    let count = "SELECT id, max(total) AS a FROM orders GROUP BY id";
    assert!(scoped(Dialect::MySql, &format!("SELECT x.id FROM ({count}) x")).starts_with("SELECT"));
    assert!(scoped(Dialect::MySql, &format!("WITH x AS ({count}) SELECT x.id FROM x")).starts_with("WITH"));
    let asked = "SELECT id FROM tags WHERE id IN (SELECT max(total) FROM orders)";
    assert!(scoped(Dialect::MySql, asked).starts_with("refused: an aggregate"));
}

/// FLT-44: trees of set operations lean left, and would overflow the stack.
#[test]
fn branches_are_bounded_whatever_stands_between_them() {
    let union =
        |n: usize| format!("INSERT INTO tags (id, name) {}", vec!["SELECT 1, 'a'"; n].join(" UNION ALL "));
    assert!(scoped(Dialect::Postgres, &union(400)).starts_with("INSERT"));
    assert_eq!(scoped(Dialect::Postgres, &union(402)), "refused: UNION of so many queries");
    let target = "WITH x AS (INSERT INTO tags (id) VALUES (1) ON CONFLICT (lower(a)) DO NOTHING RETURNING id) SELECT 1";
    assert!(scoped(Dialect::Postgres, target).starts_with("WITH"));
    let targets = "ON CONFLICT (a + 1) DO, ".repeat(20_000);
    assert_eq!(scoped(Dialect::Postgres, &targets), "refused: conflict targets");
}

/// FLT-33: what is wrapped under an outer join costs nothing, and comes before the filter.
#[test]
fn computed_columns_under_an_outer_join_stay_inside() {
    let around = |column: &str, rest: &str| {
        let nested = format!("SELECT e.id, {column} AS b FROM orders e");
        scoped(Dialect::Postgres, &format!("SELECT x.id FROM countries k {rest}").replace("X", &nested))
    };
    let kept =
        |sql: &str| sql.contains("OFFSET 0") || sql.contains("SELECT e.id, CASE WHEN e.\"tenant_id\" = $");
    for column in [
        "e.num IS DISTINCT FROM e.f8",
        "e.kind = CAST($1 AS mood) OR e.open",
        "(SELECT max(1 / c.z) FROM countries c WHERE c.id <= e.id)",
        "EXISTS (SELECT 1 FROM countries c WHERE c.id = e.id AND 1 / c.z > 0)",
        "e.num > e.f8",
    ] {
        let left = around(column, "LEFT JOIN (X) x ON x.id = k.id WHERE x.b");
        assert!(kept(&left), "{left}");
        let rollup = around(column, ", (X) x WHERE x.b GROUP BY ROLLUP (x.id)");
        assert!(kept(&rollup), "{rollup}");
        let cte = scoped(
            Dialect::Postgres,
            &format!(
                "WITH x AS (SELECT e.id, {column} AS b FROM orders e) SELECT x.id FROM countries k LEFT JOIN x ON x.id = k.id WHERE x.b"
            ),
        );
        assert!(kept(&cte), "{cte}");
    }
    for column in [
        "e.num",
        "e.status = 'x'",
        "coalesce(e.note, '')",
        "e.open AND NOT e.done",
        "CASE WHEN e.open THEN 1 END",
    ] {
        let left = around(column, "LEFT JOIN (X) x ON x.id = k.id WHERE x.b");
        assert!(left.starts_with("SELECT") && !kept(&left), "{left}");
    }
    let inner = around("e.num > e.f8", "JOIN (X) x ON x.id = k.id WHERE x.b");
    assert!(inner.starts_with("SELECT") && !kept(&inner), "{inner}");
}
