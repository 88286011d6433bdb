//! Statement text in, scoped statement text out, or a refusal.
//!
//! [`Rewriter`] reads a text once, with sqlparser, and inserts each owned table's filter where it changes nothing but
//! the rows of that table. What it decided is kept by the text; afterwards a statement costs a look-up and a bound
//! value.

mod address;
mod aliases;
mod around;
mod barrier;
mod cache;
mod certain;
mod check;
mod clause;
mod columns;
mod dml;
mod edit;
mod expr;
mod fence;
mod form;
mod frames;
mod from;
mod functions;
mod groups;
mod heard;
mod insert;
mod leak;
mod literal;
mod names;
mod once;
mod operands;
mod plan;
mod raising;
mod refuse;
mod rules;
mod target;
mod template;
mod token;
mod walk;
mod weight;

use std::sync::Arc;

use sea_orm::{Statement, Value, Values};
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

pub(crate) use self::address::Addressing;
use self::cache::Cache;
use self::plan::Plan;
use self::rules::Rules;
use self::template::{Folded, Template};
use self::token::{MAX_BYTES, Tokens, parser_dialect, unparsable};
pub use self::walk::Note;
use self::walk::Walk;
use crate::error::Error;
use crate::mutant::Mutant as Broken;
use crate::policy::{Dialect, Policy};
use crate::schema::SchemaName;
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
/// let expected = r#"SELECT id FROM orders WHERE (total > $1 OR vip) AND orders."tenant_id" = $2 /* scoped */"#;
/// assert_eq!(scoped.sql, expected);
/// assert!(rewriter.explain("SELECT id FROM invoices").is_err());
/// # Ok::<(), tenancy_seaorm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rewriter(Arc<Engine>);

#[derive(Debug)]
struct Engine {
    rules: Rules,
    /// By the exact text. Refusals are kept too: a client that repeats one is not to pay for it each time.
    plans: Cache<Result<Plan, Error>>,
    /// By the text with its lists folded.
    templates: Cache<Template>,
}

/// What one reading of a text gave.
struct Reading {
    plan: Plan,
    notes: Vec<Note>,
    template: Option<Template>,
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
        Self::addressing(policy, dialect, Addressing::AsWritten)
    }

    /// Makes a rewriter for tables that stand where `addressing` says.
    pub(crate) fn addressing(policy: &Policy, dialect: Dialect, addressing: Addressing) -> Self {
        let (plans, templates) = (policy.cache_bytes / 4 * 3, policy.cache_bytes / 4);
        Self(Arc::new(Engine {
            rules: Rules::new(policy, dialect, addressing),
            plans: Cache::new(plans),
            templates: Cache::new(templates),
        }))
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
        let values = &mut statement.values.get_or_insert_with(|| Values(Vec::new())).0;
        self.0.apply(&mut statement.sql, values, tenant, None)?;
        Ok(statement)
    }

    /// Scopes a text and its values to `tenant`, whose tables are in `schema` if this rewriter qualifies them.
    pub(crate) fn rewrite_in(
        &self,
        sql: &mut String,
        values: &mut Vec<Value>,
        tenant: &TenantValue,
        schema: Option<&SchemaName>,
    ) -> Result<(), Error> {
        self.0.apply(sql, values, tenant, schema)
    }

    /// Scopes a text and its values to `tenant`.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the text, or one of its values, cannot be limited to this tenant for certain. Both may
    /// then be changed already.
    pub fn rewrite_text(
        &self,
        sql: &mut String,
        values: &mut Vec<Value>,
        tenant: &TenantValue,
    ) -> Result<(), Error> {
        self.0.apply(sql, values, tenant, None)
    }

    /// Rewrites a text without values, and tells where its conditions went.
    ///
    /// # Errors
    ///
    /// Returns a refusal if the text cannot be scoped for certain.
    pub fn explain(&self, sql: &str) -> Result<Explanation, Error> {
        let Reading { plan, notes, .. } = self.0.read(sql, true)?;
        Ok(Explanation { params: plan.describe(), sql: plan.sql.into(), notes })
    }

    /// Returns how many bytes of rewritten statements are kept.
    pub fn cached_bytes(&self) -> usize {
        self.0.plans.bytes() + self.0.templates.bytes()
    }
}

impl Engine {
    fn apply(
        &self,
        sql: &mut String,
        values: &mut Vec<Value>,
        tenant: &TenantValue,
        schema: Option<&SchemaName>,
    ) -> Result<(), Error> {
        let text = self.rules.ids_are_texts.then(|| tenant.as_text());
        let tenant = text.as_ref().unwrap_or(tenant);
        if self.rules.folds_ids && tenant.has_capitals() {
            return Err(refuse::capitals());
        }
        if !self.rules.admits(tenant) {
            return Err(refuse::kind());
        }
        let run = |plan: &Result<Plan, Error>, sql: &mut String| {
            let plan = plan.as_ref().map_err(Error::clone)?;
            plan.bind(values, tenant)?;
            self.rules.address(&plan.sql, schema, sql)
        };
        if let Some(known) = self.plans.get_for(sql, run) {
            return known;
        }
        let plan = self.learn(sql);
        let weight = plan.as_ref().map_or(128, Plan::weight);
        let mut scoped = String::new();
        let result = plan.as_ref().map_err(Error::clone).and_then(|plan| {
            plan.bind(values, tenant)?;
            self.rules.address(&plan.sql, schema, &mut scoped)
        });
        self.plans.put(sql, weight, plan);
        *sql = scoped;
        result
    }

    /// The plan of a text that is met for the first time.
    fn learn(&self, sql: &str) -> Result<Plan, Error> {
        let folded = Folded::of(sql, self.rules.dialect).filter(|_| sql.len() <= MAX_BYTES);
        if let Some(folded) = &folded
            && let Some(plan) =
                self.templates.get(&folded.key, |template| folded.fill(template, self.rules.dialect))
        {
            return Ok(plan);
        }
        let reading = self.reading(sql, false, folded.as_ref())?;
        if let (Some(folded), Some(template)) = (folded, reading.template) {
            self.templates.put(&folded.key, template.weight(), template);
        }
        Ok(reading.plan)
    }

    fn read(&self, sql: &str, explain: bool) -> Result<Reading, Error> {
        self.reading(sql, explain, None)
    }

    /// Reads a text from scratch.
    fn reading(&self, sql: &str, explain: bool, folded: Option<&Folded<'_>>) -> Result<Reading, Error> {
        let (toks, mut parsed) = Tokens::read(sql, self.rules.dialect)?;
        let targets = target::cut(&toks, &mut parsed, self.rules.dialect)?;
        let statement = self.parse(parsed)?;
        let cut = target::ranges(&targets);
        let mut walk = Walk::new(&self.rules, &toks, targets, explain);
        walk.statement(&statement)?;
        let heard = (0..toks.len()).filter(|i| !cut.iter().any(|cut| cut.contains(i)));
        heard::check(&toks, heard, &statement.to_string(), self.rules.dialect)?;
        let Walk { mut edits, checks, notes, .. } = walk;
        edits.mark(&toks);
        edits.sort(&toks);
        let template = folded.and_then(|folded| folded.template(&edits.insertions(&toks), &checks));
        let plan = edits.plan(&toks, self.rules.dialect, checks)?;
        Ok(Reading { plan, notes: notes.unwrap_or_default(), template })
    }

    fn parse(&self, tokens: Vec<sqlparser::tokenizer::TokenWithSpan>) -> Result<ast::Statement, Error> {
        let mut parser = Parser::new(parser_dialect(self.rules.dialect)).with_tokens_with_locations(tokens);
        let mut statements =
            parser.parse_statements().map_err(|_| unparsable("text that is not one known statement"))?;
        // The parser stops at END, and a database may take that for the name of a column.
        if parser.peek_token_ref().token != Token::EOF {
            return Err(unparsable("text behind a statement"));
        }
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => Ok(statement),
            (None, _) => Err(unparsable("an empty statement")),
            (Some(_), false) => Err(unparsable("several statements in one text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `shape` with its lists of the given lengths: `{in}` and `{rows}` stand for them, `{p}` for one placeholder.
    fn statement(shape: &str, dialect: Dialect, values: usize, rows: usize) -> String {
        let mut number = 0;
        let mut next = || {
            number += 1;
            if dialect == Dialect::Postgres { format!("${number}") } else { "?".to_owned() }
        };
        let mut sql = String::new();
        for part in shape.split_inclusive('}') {
            let (before, hole) = part.split_once('{').unwrap_or((part, ""));
            sql.push_str(before);
            match hole {
                "p}" => sql.push_str(&next()),
                "in}" => {
                    let list: Vec<_> = (0..values).map(|_| next()).collect();
                    sql.push_str(&format!("({})", list.join(", ")));
                }

                "rows}" => {
                    let row = |_| format!("({}, {})", next(), next());
                    sql.push_str(&(0..rows).map(row).collect::<Vec<_>>().join(", "));
                }
                _ => {}
            }
        }
        sql
    }

    const SHAPES: [&str; 7] = [
        "SELECT a FROM orders WHERE id IN {in}",
        "SELECT a FROM orders WHERE x = {p} AND id IN {in} AND y = {p} OR z IN {in} ORDER BY a LIMIT {p}",
        "SELECT a FROM orders LEFT JOIN tags ON tags.id IN {in} AND tags.x = {p} WHERE orders.id IN {in}",
        "INSERT INTO orders (a, b) VALUES {rows}",
        "INSERT INTO orders (a, tenant_id) VALUES {rows} RETURNING a",
        "INSERT INTO orders (a, b) VALUES {rows} ON CONFLICT (a) DO UPDATE SET b = {p} WHERE orders.a IN {in}",
        "UPDATE orders SET tenant_id = {p}, a = {p} WHERE id IN {in}",
    ];

    /// FLT-29: a template must give exactly what reading the text gives, or values would go astray.
    #[test]
    fn a_filled_template_is_what_reading_gives() {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let policy =
                Policy::builder().owned_table("orders").owned_table("tags").build().expect("a policy");
            let rewriter = Rewriter::new(&policy, dialect);
            for shape in SHAPES {
                let first = rewriter.0.learn(&statement(shape, dialect, 2, 2)).expect("it is scoped");
                assert!(first.params > 0);
                let templates = rewriter.0.templates.bytes();
                assert!(templates > 0, "{shape} made no template");
                for (values, rows) in [(1, 1), (2, 2), (3, 9), (40, 12)] {
                    let sql = statement(shape, dialect, values, rows);
                    let filled = rewriter.0.learn(&sql).expect("it is scoped");
                    let read = rewriter.0.read(&sql, false).expect("it is scoped").plan;
                    assert_eq!(format!("{filled:?}"), format!("{read:?}"), "{sql}");
                }
                assert_eq!(rewriter.0.templates.bytes(), templates, "{shape} made more than one template");
            }
        }
    }
}
