//! What must hold of every text.

use std::sync::LazyLock;

use sqlparser::ast::{ObjectName, Visit, Visitor};
use sqlparser::dialect::{Dialect as Grammar, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use std::ops::ControlFlow;
use tenancy_seaorm::{Dialect, LeakyPredicates, Policy, Rewriter};

static REWRITERS: LazyLock<[Rewriter; 3]> =
    LazyLock::new(|| [Dialect::Postgres, Dialect::Sqlite, Dialect::MySql].map(rewriter));

fn rewriter(dialect: Dialect) -> Rewriter {
    let policy = Policy::builder().owned_table("orders").owned_table("tags").global_table("countries");
    Rewriter::new(&policy.leaky_predicates(LeakyPredicates::Fence).build().expect("a policy"), dialect)
}

/// Refused; or one statement that parses, names no unknown table, and is not scoped again.
pub fn holds(dialect: Dialect, sql: &str) {
    let (i, grammar): (usize, &dyn Grammar) = match dialect {
        Dialect::Postgres => (0, &PostgreSqlDialect {}),
        Dialect::Sqlite => (1, &SQLiteDialect {}),
        _ => (2, &MySqlDialect {}),
    };
    let Ok(scoped) = REWRITERS[i].explain(sql) else { return };
    let parsed = Parser::parse_sql(grammar, &scoped.sql).expect("the scoped text parses");
    assert_eq!(parsed.len(), 1, "one statement remains one: {}", scoped.sql);
    let _ = parsed.visit(&mut Known);
    match REWRITERS[i].explain(&scoped.sql) {
        Ok(again) => assert_eq!(again.sql, scoped.sql, "scoped twice"),
        Err(_) => assert!(scoped.sql.ends_with("/* scoped */"), "{} is not a fixed point", scoped.sql),
    }
}

struct Known;

impl Visitor for Known {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        assert!(!relation.to_string().contains("secrets"), "an unknown table was let through");
        ControlFlow::Continue(())
    }
}
