//! What must hold of every text.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use sqlparser::ast::{ObjectName, Query, Visit, Visitor};
use sqlparser::dialect::{Dialect as Grammar, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};
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
    if std::env::var_os("TENANCY_FUZZ_SHOW").is_some() {
        eprintln!("{sql}\nbecame\n{}", scoped.sql);
    }
    let tokens = without_targets(grammar, &scoped.sql);
    let parsed = Parser::new(grammar).with_tokens(tokens).parse_statements().expect("the scoped text parses");
    assert_eq!(parsed.len(), 1, "one statement remains one: {}", scoped.sql);
    let _ = parsed.visit(&mut Known::default());
    match REWRITERS[i].explain(&scoped.sql) {
        Ok(again) => assert_eq!(again.sql, scoped.sql, "scoped twice"),
        Err(_) => assert!(scoped.sql.ends_with("/* scoped */"), "{} is not a fixed point", scoped.sql),
    }
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

/// The names that WITH gives, by how far they reach: the rest are tables.
#[derive(Default)]
struct Known {
    frames: Vec<Frame>,
    /// The queries of WITH that do not see the names from this one on of this frame, by their address.
    blind: HashMap<*const Query, (usize, usize)>,
}

#[derive(Default)]
struct Frame {
    names: Vec<String>,
    blind: Option<(usize, usize)>,
}

impl Known {
    fn is_given(&self, name: &str) -> bool {
        let mut hidden = HashMap::new();
        for (at, frame) in self.frames.iter().enumerate().rev() {
            let seen = hidden.get(&at).copied().unwrap_or(usize::MAX);
            if frame.names.iter().take(seen).any(|given| given == name) {
                return true;
            }
            hidden.extend(frame.blind);
        }
        false
    }
}

impl Visitor for Known {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let (at, tables) = (self.frames.len(), query.with.iter().flat_map(|with| &with.cte_tables));
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        for (i, table) in tables.clone().enumerate().filter(|_| !recursive) {
            self.blind.insert(&raw const *table.query, (at, i));
        }
        let names = tables.map(|table| table.alias.name.value.clone()).collect();
        self.frames.push(Frame { names, blind: self.blind.get(&(&raw const *query)).copied() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.frames.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.to_string();
        assert!(!name.contains("secrets") || self.is_given(&name), "an unknown table was let through");
        ControlFlow::Continue(())
    }
}
