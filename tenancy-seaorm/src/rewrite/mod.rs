//! Statement text in, scoped statement text out, or a refusal.
//!
//! [`Rewriter`] reads a text once, with sqlparser, and inserts each owned table's filter where it changes nothing but
//! the rows of that table. What it decided is kept by the text; afterwards a statement costs a look-up and a bound
//! value.

mod clause;
mod dml;
mod edit;
mod expr;
mod from;
mod functions;
mod insert;
mod leak;
mod plan;
mod refuse;
mod rules;
mod token;
mod walk;

use std::sync::Arc;

use sea_orm::{Statement, Value, Values};
use sqlparser::ast;
use sqlparser::parser::Parser;

use self::plan::Plan;
use self::rules::Rules;
use self::token::{Tokens, parser_dialect, unparsable};
pub use self::walk::Note;
use self::walk::Walk;
use crate::error::Error;
use crate::mutant::Mutant as Broken;
use crate::policy::{Dialect, Policy};
use crate::value::TenantValue;

/// Rewrites statements of one dialect under one [`Policy`].
///
/// # Examples
///
/// ```
/// use tenancy_seaorm::{Dialect, Policy, Rewriter};
///
/// let policy = Policy::builder().owned_table("orders").build()?;
/// let rewriter = Rewriter::new(&policy, Dialect::Postgres);
/// let scoped = rewriter.explain("SELECT id FROM orders WHERE total > $1 OR vip")?;
/// assert_eq!(scoped.sql, r#"SELECT id FROM orders WHERE (total > $1 OR vip) AND orders."tenant_id" = $2"#);
/// assert!(rewriter.explain("SELECT id FROM invoices").is_err());
/// # Ok::<(), tenancy_seaorm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rewriter(Arc<Engine>);

#[derive(Debug)]
struct Engine {
    rules: Rules,
}

/// What becomes of a text, for people to read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The scoped text.
    pub sql: String,
    /// What the scoped text binds, in order.
    pub params: Vec<Param>,
    /// Where each condition went, in the order in which the tables were met.
    pub notes: Vec<Note>,
}

/// One bound value of a scoped statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Param {
    /// The statement's own value of this number, counted from 1.
    Own(usize),
    /// The tenant's value.
    Tenant,
}

impl Rewriter {
    /// Makes a rewriter; clones share its cache.
    pub fn new(policy: &Policy, dialect: Dialect) -> Self {
        Self(Arc::new(Engine { rules: Rules::new(policy, dialect) }))
    }

    /// Returns the dialect of the statements that this rewriter reads.
    pub fn dialect(&self) -> Dialect {
        self.0.rules.dialect
    }

    /// Scopes `statement` to `tenant`.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the statement, or one of its values, cannot be limited to this tenant for certain.
    pub fn rewrite(&self, mut statement: Statement, tenant: &TenantValue) -> Result<Statement, Error> {
        let plan = self.plan(&statement.sql)?;
        let values = &mut statement.values.get_or_insert_with(|| Values(Vec::new())).0;
        plan.bind(values, tenant)?;
        statement.sql.clear();
        statement.sql.push_str(&plan.sql);
        Ok(statement)
    }

    /// Scopes a text and its values to `tenant`.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the text, or one of its values, cannot be limited to this tenant for certain.
    pub fn rewrite_text(
        &self,
        sql: &str,
        mut values: Vec<Value>,
        tenant: &TenantValue,
    ) -> Result<(String, Vec<Value>), Error> {
        let plan = self.plan(sql)?;
        plan.bind(&mut values, tenant)?;
        Ok((plan.sql.to_string(), values))
    }

    /// Rewrites a text without values, and tells where its conditions went.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the text cannot be scoped for certain.
    pub fn explain(&self, sql: &str) -> Result<Explanation, Error> {
        let (plan, notes) = self.0.read(sql, true)?;
        Ok(Explanation { params: plan.describe(), sql: plan.sql.into(), notes })
    }

    fn plan(&self, sql: &str) -> Result<Arc<Plan>, Error> {
        self.0.read(sql, false).map(|(plan, _)| Arc::new(plan))
    }
}

impl Engine {
    /// Reads a text from scratch.
    fn read(&self, sql: &str, explain: bool) -> Result<(Plan, Vec<Note>), Error> {
        let (toks, parsed) = Tokens::read(sql, self.rules.dialect)?;
        let statement = self.parse(parsed)?;
        let mut walk = Walk::new(&self.rules, &toks, explain);
        walk.statement(&statement)?;
        let Walk { edits, checks, notes, .. } = walk;
        Ok((edits.plan(&toks, self.rules.dialect, checks)?, notes.unwrap_or_default()))
    }

    fn parse(&self, tokens: Vec<sqlparser::tokenizer::TokenWithSpan>) -> Result<ast::Statement, Error> {
        let mut parser = Parser::new(parser_dialect(self.rules.dialect)).with_tokens_with_locations(tokens);
        let mut statements =
            parser.parse_statements().map_err(|_| unparsable("text that is not one known statement"))?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => Ok(statement),
            (None, _) => Err(unparsable("an empty statement")),
            (Some(_), false) => Err(unparsable("several statements in one text")),
        }
    }
}
