//! Where fences stand.

use crate::{Dialect, LeakyPredicates, Policy, PolicyBuilder, Rewriter};

fn policy() -> PolicyBuilder {
    let policy = Policy::builder().owned_table("orders").owned_table("tags").global_table("countries");
    policy.leaky_predicates(LeakyPredicates::Fence)
}

fn scoped(sql: &str) -> String {
    scoped_by(policy(), sql)
}

fn scoped_by(policy: PolicyBuilder, sql: &str) -> String {
    let scoped = Rewriter::new(&policy.build().expect("a policy"), Dialect::Postgres).explain(sql);
    scoped.map_or_else(|error| format!("refused: {}", error.construct()), |scoped| scoped.sql)
}

/// Nothing is pushed into a write, and OFFSET is no part of one.
#[test]
fn a_write_in_a_common_table_expression_needs_no_fence() {
    let sql = "WITH w AS (DELETE FROM orders RETURNING code) SELECT code FROM w WHERE code::int > 1";
    assert!(!scoped(sql).contains("OFFSET"), "{}", scoped(sql));
    let read = "WITH w AS (SELECT code FROM orders) SELECT code FROM w WHERE code::int > 1";
    assert!(scoped(read).contains("OFFSET 0) SELECT"), "{}", scoped(read));
}

/// FLT-33: outside of an alias nothing qualifies its tables, on whichever side of which join they stand.
#[test]
fn what_an_alias_hides_is_fenced_behind_every_kind_of_join() {
    for join in [
        "orders JOIN tags ON true",
        "tags LEFT JOIN orders ON orders.id = tags.id",
        "orders RIGHT JOIN tags ON orders.id = tags.id",
        "orders FULL JOIN tags ON orders.id = tags.id",
        "tags NATURAL LEFT JOIN orders",
        "tags LEFT JOIN orders USING (id)",
        "countries c RIGHT JOIN (tags LEFT JOIN orders ON orders.id = tags.id) ON c.id = tags.id",
        "countries c LEFT JOIN (orders CROSS JOIN tags) AS b ON c.id = b.id",
    ] {
        let whole = scoped(&format!("SELECT 1 FROM ({join}) AS a WHERE 'xab' ~ a.code"));
        assert_eq!(whole.matches("= $1 OFFSET 0)").count(), 2, "{whole}");
        let plain = scoped(&format!("SELECT 1 FROM ({join}) AS a WHERE a.code = 'x'"));
        assert!(!plain.contains("OFFSET") && plain.matches("= $1)").count() == 2, "{plain}");
    }
}

/// FLT-33: a row of VALUES that sees its neighbours is merged into the query around it; constants are not fenced.
#[test]
fn rows_of_values_that_see_their_neighbours_are_fenced() {
    for (from, fence) in [
        ("LATERAL (VALUES ('xab' ~ o.code)) x(hit)", "OFFSET 0) x(hit)"),
        ("LATERAL (SELECT * FROM (VALUES ('xab' ~ o.code)) v(hit)) x", "v(hit) OFFSET 0) x"),
        ("LATERAL (SELECT false AS hit UNION ALL VALUES ('xab' ~ o.code)) x", "OFFSET 0) x"),
    ] {
        let leaky = scoped(&format!("SELECT o.id FROM orders o, {from} WHERE x.hit"));
        assert!(leaky.contains(fence), "{leaky}");
        let plain = scoped(&format!("SELECT o.id FROM orders o, {from} WHERE x.hit").replace("~", "="));
        assert!(!plain.contains("OFFSET") && plain.contains("= $1"), "{plain}");
    }
    let inside = scoped("SELECT o.id FROM orders o WHERE true IN (VALUES ('xab' ~ o.code))");
    assert!(inside.contains("CASE WHEN o.\"tenant_id\" = $1 THEN (true IN (VALUES"), "{inside}");
}

/// FLT-32: in quotes, capitals name a function of somebody's own, which may read anything.
#[test]
fn a_function_in_quotes_is_the_built_in_one_only_in_its_own_letters() {
    assert!(scoped(r#"SELECT "lower"(code), pg_catalog."lower"(code) FROM orders"#).contains("= $1"));
    for foreign in [r#""LOWER"(code)"#, r#"pg_catalog."Lower"(code)"#, r#""Pg_Catalog".lower(code)"#] {
        let refused = scoped(&format!("SELECT {foreign} FROM orders"));
        assert!(refused.starts_with("refused: function"), "{refused}");
    }
}

/// FLT-34: `length` of one argument counts; of two it decodes, and may fail.
#[test]
fn a_length_in_an_encoding_is_fenced() {
    assert!(scoped("SELECT id FROM orders WHERE length(code, 'UTF8') = 3").contains("CASE WHEN"));
    assert!(!scoped("SELECT id FROM orders WHERE length(code) = 3").contains("CASE WHEN"));
}

/// FLT-34: a `json` can be taken apart or not, as its text goes; a `jsonb` always.
#[test]
fn what_takes_a_document_apart_is_fenced_unless_every_document_is_binary() {
    for access in ["doc -> 'a'", "doc ->> 'a'", "doc #> '{a}'", "doc #>> '{a}'"] {
        let sql = format!("SELECT id FROM orders WHERE ({access}) IS NULL");
        assert!(scoped(&sql).contains("CASE WHEN"), "{}", scoped(&sql));
        let binary = scoped_by(policy().documents_are_jsonb(), &sql);
        assert!(!binary.contains("CASE WHEN") && binary.contains("= $1"), "{binary}");
    }
    assert!(!scoped("SELECT id FROM orders WHERE doc @> '{}'").contains("CASE WHEN"));
}

/// FLT-34: the fields that a value has depend on its type, and to ask for another one fails.
#[test]
fn a_field_of_a_time_is_fenced_unless_all_have_it() {
    for field in ["hour", "year", "week"] {
        let sql = format!("SELECT id FROM orders WHERE extract({field} FROM at) IS NOT NULL");
        assert!(scoped(&sql).contains("CASE WHEN"), "{}", scoped(&sql));
    }
    assert!(!scoped("SELECT id FROM orders WHERE extract(epoch FROM at) > 5").contains("CASE WHEN"));
}

/// FLT-34: what is one of several values has a type that holds them all, to which some cannot be converted.
#[test]
fn a_test_for_null_of_one_of_several_values_is_fenced() {
    for value in ["coalesce(n, f)", "(coalesce(n, f))", "CASE WHEN a = 1 THEN n ELSE f END", "greatest(n, f)"]
    {
        let whole = scoped(&format!("SELECT id FROM orders WHERE {value} IS NOT NULL"));
        assert!(whole.contains("CASE WHEN orders.\"tenant_id\" = $1"), "{whole}");
        let compared = scoped(&format!("SELECT id FROM orders WHERE {value} = {value}"));
        assert!(compared.contains("CASE WHEN orders"), "{compared}");
    }
    assert!(!scoped("SELECT id FROM orders WHERE coalesce(n, 'x') = 'x'").contains("CASE WHEN"));
    // A driver says what type a parameter has.
    assert!(scoped("SELECT id FROM orders WHERE coalesce(n, $1) = 'x'").contains("CASE WHEN"));
    assert!(scoped("SELECT id FROM orders WHERE (coalesce(n, f), id) IS NOT NULL").contains("CASE WHEN"));
    assert!(!scoped("SELECT id FROM orders WHERE n IS NULL").contains("CASE WHEN"));
}

/// FLT-34: to compare with an empty array costs nothing, and so the conversion to its type comes before the filter.
#[test]
fn a_comparison_with_an_array_that_may_be_empty_is_fenced() {
    for array in ["'{}'::float8[]", "ARRAY[]::float8[]"] {
        let any = scoped(&format!("SELECT id FROM orders WHERE n <> ALL ({array})"));
        assert!(any.contains("CASE WHEN"), "{any}");
    }
    assert!(!scoped("SELECT id FROM orders WHERE n <> ALL (ARRAY[1.5])").contains("CASE WHEN"));
    let bound = scoped("SELECT id FROM orders WHERE n = ANY ($1)");
    assert!(!bound.contains("CASE WHEN"), "{bound}");
}

/// FLT-33: as bytes, a pattern may end with an escape though as a text it does not.
#[test]
fn a_pattern_with_a_backslash_is_fenced() {
    for pattern in [r"'\377\\'", r"'\xff5c'", r"'a\_'"] {
        let like = scoped(&format!("SELECT id FROM orders WHERE body LIKE {pattern}"));
        assert!(like.contains("CASE WHEN"), "{like}");
    }
    assert!(!scoped("SELECT id FROM orders WHERE body LIKE 'a%'").contains("CASE WHEN"));
}

/// FLT-33: a nested query that reads the row costs more than the filter; one that does not is run when a row asks for it.
#[test]
fn a_nested_query_that_may_fail_is_fenced_unless_it_reads_the_row() {
    let once = scoped("SELECT id FROM orders WHERE n = (SELECT max(1 / id) FROM tags)");
    assert!(once.contains("CASE WHEN orders"), "{once}");
    // A name of its own means its own table, though the query around has one of that name.
    let same = scoped("SELECT id FROM orders WHERE n = (SELECT max(1 / orders.id) FROM orders)");
    assert!(same.contains("CASE WHEN orders"), "{same}");
    let each = scoped(
        "SELECT id FROM orders WHERE EXISTS (SELECT 1 FROM tags WHERE tags.order_id = orders.id AND 1 / tags.id > 0)",
    );
    assert!(!each.contains("CASE WHEN orders"), "{each}");
}

/// FLT-33: PostgreSQL refuses OFFSET in a recursive query, into which it pushes nothing; a sibling of one that
/// is not recursive itself is merged into the query that reads it.
#[test]
fn only_what_reads_itself_is_recursive() {
    let walk =
        "SELECT id, 1 FROM orders UNION ALL SELECT o.id, r.n + 1 FROM orders o JOIN r ON o.parent = r.id";
    let alone = scoped(&format!("WITH RECURSIVE r(id, n) AS ({walk}) SELECT id FROM r WHERE 1 / id > 0"));
    assert!(!alone.contains("OFFSET") && !alone.contains("refused"), "{alone}");
    let beside = format!("WITH RECURSIVE r(id, n) AS ({walk}), s AS (SELECT code FROM orders) ");
    let beside = scoped(&(beside + "SELECT s.code FROM s JOIN r ON true WHERE s.code::int > 1"));
    assert_eq!(beside.matches("OFFSET 0").count(), 1, "{beside}");
}
