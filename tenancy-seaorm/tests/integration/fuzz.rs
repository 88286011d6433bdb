//! Arbitrary text and arbitrary statements: never a panic, never a statement passed through that was not understood.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sqlparser::dialect::{Dialect as Grammar, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
use tenancy_seaorm::{Dialect, LeakyPredicates, Param, Policy, Rewriter};

const DIALECTS: [Dialect; 3] = [Dialect::Postgres, Dialect::Sqlite, Dialect::MySql];

fn rewriter(dialect: Dialect) -> Rewriter {
    let policy = Policy::builder().owned_table("orders").owned_table("tags").global_table("countries");
    Rewriter::new(&policy.leaky_predicates(LeakyPredicates::Fence).build().expect("a policy"), dialect)
}

fn grammar(dialect: Dialect) -> &'static dyn Grammar {
    match dialect {
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::MySql => &MySqlDialect {},
        _ => &PostgreSqlDialect {},
    }
}

/// What must hold of every text: it is refused, or its scoped form parses, binds the tenant for each owned table, and
/// is not scoped again.
fn holds(dialect: Dialect, sql: &str) -> Result<(), TestCaseError> {
    let rewriter = rewriter(dialect);
    let Ok(scoped) = rewriter.explain(sql) else { return Ok(()) };
    let tokens = without_targets(grammar(dialect), &scoped.sql);
    let parsed = Parser::new(grammar(dialect)).with_tokens(tokens).parse_statements();
    prop_assert!(parsed.is_ok_and(|statements| statements.len() == 1), "{sql} became {}", scoped.sql);
    let head = scoped.sql.trim_start_matches(['(', ' ']).to_ascii_uppercase();
    let known =
        ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES"].iter().any(|word| head.starts_with(word));
    prop_assert!(known, "{sql} became {}", scoped.sql);
    let owned = scoped
        .notes
        .iter()
        .filter(|note| !matches!(note.place, "global" | "fence" | "on conflict" | "insert"));
    let guards = scoped.sql.matches("tenant_id\" = ").count() + scoped.sql.matches("tenant_id` ").count();
    prop_assert!(guards >= owned.count(), "{sql} became {}", scoped.sql);
    match rewriter.explain(&scoped.sql) {
        Ok(again) => {
            prop_assert!(!scoped.params.contains(&Param::Tenant), "{} was scoped twice", scoped.sql);
            prop_assert_eq!(again.sql, scoped.sql);
        }
        Err(_) => prop_assert!(scoped.sql.ends_with("/* scoped */"), "{} is not a fixed point", scoped.sql),
    }
    Ok(())
}

/// The tokens of `sql` without the targets of ON CONFLICT, of which the parser knows lists of names alone.
///
/// Each target has the tenant column as one of its elements: the database then takes no key that lacks it.
fn without_targets(grammar: &dyn Grammar, sql: &str) -> Vec<Token> {
    let mut tokens = Tokenizer::new(grammar, sql).tokenize().expect("the scoped text splits into tokens");
    tokens.retain(|token| !matches!(token, Token::Whitespace(_)));
    let word = |i: usize, word: &str| tokens[i].to_string().eq_ignore_ascii_case(word);
    let (mut kept, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        let target = i > 1 && word(i - 2, "ON") && word(i - 1, "CONFLICT") && tokens[i] == Token::LParen;
        let end = if target { end_of_target(&tokens, i) } else { None };
        if let Some(end) = end {
            i = end;
        } else {
            kept.push(tokens[i].clone());
            i += 1;
        }
    }
    kept
}

/// The DO that ends the target which begins at `open`; none if it is no target.
fn end_of_target(tokens: &[Token], open: usize) -> Option<usize> {
    let (mut depth, mut element, mut named) = (0_isize, Vec::<String>::new(), false);
    let mut closed = false;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        depth -= isize::from(*token == Token::RParen);
        if depth == 0 && closed && token.to_string().eq_ignore_ascii_case("DO") {
            assert!(named, "a conflict target lacks the tenant");
            return Some(i);
        }
        if !closed && (depth == 0 && i > open || depth == 1 && *token == Token::Comma) {
            named |= matches!(&element[..], [one] if is_tenant(one));
            element.clear();
        } else if i > open {
            element.push(token.to_string());
        }
        closed |= depth == 0 && i > open;
        depth += isize::from(*token == Token::LParen);
    }
    None
}

fn is_tenant(token: &str) -> bool {
    token.trim_matches(['"', '`']).eq_ignore_ascii_case("tenant_id")
}

/// Words that make up statements, and that break them.
const WORDS: &[&str] = &[
    "SELECT",
    "*",
    "FROM",
    "orders",
    "tags",
    "countries",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "(",
    ")",
    ",",
    "a",
    "b",
    "t",
    "=",
    "<>",
    "1",
    "'x'",
    "''''",
    "$1",
    "?",
    "?1",
    "LEFT",
    "RIGHT",
    "FULL",
    "OUTER",
    "NATURAL",
    "CROSS",
    "JOIN",
    "ON",
    "USING",
    "(id)",
    "UNION",
    "ALL",
    "EXCEPT",
    "ORDER BY",
    "GROUP BY",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "WITH",
    "RECURSIVE",
    "AS",
    "INSERT INTO",
    "VALUES",
    "DEFAULT VALUES",
    "DEFAULT",
    "UPDATE",
    "SET",
    "DELETE",
    "RETURNING",
    "ON CONFLICT",
    "ON CONFLICT (lower(name)",
    "ON CONFLICT (tenant_id, (id + 1))",
    "DO NOTHING",
    "DO UPDATE",
    "tenant_id",
    "\"tenant_id\"",
    "\"orders\"",
    "public.",
    "orders.",
    "excluded.",
    "IN",
    "EXISTS",
    "ANY",
    "LATERAL",
    "ONLY",
    "--",
    "/*",
    "*/",
    "/*!",
    "$$",
    "E'\\''",
    "::int",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "BETWEEN",
    "IS",
    "NULL",
    "DISTINCT",
    "LIKE",
    "~",
    "||",
    "+",
    "-",
    "WINDOW",
    "w",
    "OVER",
    "PARTITION BY",
    "FOR UPDATE",
    "count(*)",
    "now()",
    ";",
    "EXPLAIN",
    "TRUNCATE",
    "COPY",
    "[",
    "]",
    "{",
    "}",
    "\\",
    "@x",
    ":x",
    "`orders`",
    "[orders]",
    "\u{a0}",
    "\r",
    "\n",
    "é",
];

fn column() -> impl Strategy<Value = String> {
    select(vec!["o.id", "o.total", "o.note", "1", "'x'", "$1", "o.\"tenant_id\"", "NULL"])
        .prop_map(str::to_owned)
}

fn predicate() -> impl Strategy<Value = String> {
    let leaf = (column(), select(vec!["=", "<", "<>", "IS DISTINCT FROM", "~", "LIKE"]), column())
        .prop_map(|(a, op, b)| format!("{a} {op} {b}"));
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), select(vec!["AND", "OR"]), inner.clone())
                .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            inner.clone().prop_map(|a| format!("CASE WHEN {a} THEN true ELSE o.id BETWEEN 1 AND 2 END")),
            inner.clone().prop_map(|a| format!("EXISTS (SELECT 1 FROM tags o WHERE {a})")),
            inner.prop_map(|a| format!("o.id IN (SELECT o.id FROM orders o WHERE {a} LIMIT 3)")),
        ]
    })
}

fn source() -> impl Strategy<Value = String> {
    let leaf = select(vec!["orders o", "tags AS o", "countries o", "orders", "\"orders\" AS o"])
        .prop_map(str::to_owned);
    leaf.prop_recursive(3, 12, 2, |inner| {
        let join = select(vec![
            "JOIN",
            "LEFT JOIN",
            "RIGHT OUTER JOIN",
            "FULL JOIN",
            "CROSS JOIN",
            "NATURAL JOIN",
            ",",
        ]);
        let on = prop_oneof![
            predicate().prop_map(|p| format!(" ON {p}")),
            Just(" USING (id)".to_owned()),
            Just(String::new())
        ];
        prop_oneof![
            (
                inner.clone(),
                join,
                select(vec!["tags x", "orders y", "(tags x JOIN orders y ON x.id = y.id)"]),
                on
            )
                .prop_map(|(a, join, b, on)| format!("{a} {join} {b}{on}")),
            inner.prop_map(|a| format!("(SELECT * FROM {a}) AS o")),
        ]
    })
}

fn query() -> impl Strategy<Value = String> {
    (source(), predicate(), select(vec!["", " ORDER BY 1", " LIMIT 1", " GROUP BY o.id", " FOR UPDATE"]))
        .prop_map(|(from, wher, tail)| format!("SELECT o.id FROM {from} WHERE {wher}{tail}"))
}

fn statement() -> impl Strategy<Value = String> {
    (query(), query(), predicate()).prop_flat_map(|(a, b, p)| {
        let bare = p.replace("o.", "");
        select(vec![
            a.clone(),
            format!("{a} UNION {b}"),
            format!("WITH o AS ({a}) SELECT id FROM o WHERE {p}"),
            format!("WITH RECURSIVE tags AS ({a}) {b}"),
            format!("INSERT INTO tags (id) {a}"),
            format!("INSERT INTO tags (id, name) VALUES (1, ({a})) ON CONFLICT (id) DO UPDATE SET name = 'x' RETURNING ({b})"),
            format!("INSERT INTO tags (id) {a} ON CONFLICT (lower(name), ({bare})) WHERE {bare} DO NOTHING"),
            format!("INSERT INTO tags (id) VALUES (1) ON CONFLICT (id) WHERE {bare} DO UPDATE SET name = 'x' WHERE {bare} OR {bare}"),
            format!("INSERT INTO tags (id) VALUES (1) ON CONFLICT (id, {p}) WHERE {p} DO UPDATE SET name = 'x' WHERE {p}"),
            format!("UPDATE orders o SET total = ({a}) FROM tags t WHERE {p}"),
            format!("DELETE FROM orders AS o USING tags t WHERE {p}"),
        ])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn arbitrary_text_is_scoped_or_refused(sql in ".{0,200}") {
        for dialect in DIALECTS {
            holds(dialect, &sql)?;
        }
    }

    #[test]
    fn arbitrary_words_are_scoped_or_refused(words in vec(select(WORDS), 0..30), spaces in vec(any::<bool>(), 30)) {
        let mut sql = String::new();
        for (word, space) in words.iter().zip(spaces) {
            sql.push_str(word);
            sql.push_str(if space { " " } else { "" });
        }
        for dialect in DIALECTS {
            holds(dialect, &sql)?;
        }
    }

    #[test]
    fn arbitrary_statements_are_scoped_or_refused(sql in statement()) {
        for dialect in DIALECTS {
            holds(dialect, &sql)?;
        }
    }

    /// FLT-23: a changed byte does not make a scoped statement an unscoped one.
    #[test]
    fn a_damaged_statement_is_scoped_or_refused(sql in statement(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let mut chars: Vec<char> = sql.chars().collect();
        let at = at.index(chars.len());
        chars[at] = with;
        let sql: String = chars.into_iter().collect();
        for dialect in DIALECTS {
            holds(dialect, &sql)?;
        }
    }
}

/// FLT-24: each shape, 100,000 deep or long, is answered on a small stack.
#[test]
fn deep_and_long_statements_do_not_overflow_the_stack() {
    const N: usize = 100_000;
    let wrap = |open: &str, close: &str| format!("SELECT {}1{} FROM orders", open.repeat(N), close.repeat(N));
    let shapes = [
        wrap("(", ")"),
        wrap("(SELECT ", ")"),
        wrap("NOT ", ""),
        wrap("- ", ""),
        wrap("CASE WHEN true THEN ", " END"),
        wrap("ARRAY[", "]"),
        wrap("f(", ")"),
        wrap("", "::int"),
        wrap("", " + 1"),
        wrap("", " AND true"),
        wrap("", " IS NULL"),
        wrap("", ", 1"),
        wrap("EXPLAIN ", ""),
        "EXPLAIN ".repeat(N),
        format!("SELECT * FROM {}orders{}", "(".repeat(N), ")".repeat(N)),
        format!("SELECT * FROM orders{}", " JOIN tags ON true".repeat(N)),
        format!("SELECT * FROM orders{}", " JOIN tags".repeat(N)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(N)),
        format!("SELECT 1 FROM orders WHERE id IN (1{})", ", 1".repeat(N)),
        format!("INSERT INTO orders (id) VALUES (1){}", ", (1)".repeat(N)),
        format!("SELECT {}", "x.".repeat(N)),
        format!("SELECT CAST(1 AS {}int{})", "ARRAY<".repeat(N), ">".repeat(N)),
        format!("SELECT 1::int{}", "[]".repeat(N)),
        format!("SELECT '{}' FROM orders", "x".repeat(10 << 20)),
    ];
    let run = move || {
        for shape in &shapes {
            for dialect in DIALECTS {
                let _ = rewriter(dialect).explain(shape);
            }
        }
    };
    let small = std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread");
    small.join().expect("no overflow and no panic");
}

/// FLT-24: what is just within the bounds is answered on a small stack too.
#[test]
fn the_largest_statements_that_are_read_do_not_overflow_the_stack() {
    let run = || {
        for n in (100..2_000).step_by(100) {
            for shape in [
                format!("SELECT 1 FROM orders WHERE id = 1{}", " OR id = 1".repeat(n)),
                format!("SELECT 1 FROM orders WHERE id = 1{}", " + 1".repeat(n)),
                format!("SELECT 1{}", " UNION SELECT 1".repeat(n)),
                format!("SELECT 1::int{}", "::int".repeat(n)),
            ] {
                let _ = rewriter(Dialect::Postgres).explain(&shape);
            }
        }
        for n in 1..60 {
            for (open, close) in
                [("(", ")"), ("(SELECT ", ")"), ("CASE WHEN true THEN ", " END"), ("coalesce(", ")")]
            {
                let shape = format!("SELECT {}1{} FROM orders", open.repeat(n), close.repeat(n));
                let _ = rewriter(Dialect::Postgres).explain(&shape);
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no overflow");
}
