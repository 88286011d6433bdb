//! The walk over a statement's tree that finds every relation and decides where its filter goes.
//!
//! The visitor is derived from the tree's types, so it reaches every nested query wherever it stands, in syntax that
//! did not exist when this was written too. What is reached is on an allow-list, or it is refused.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, Statement, TableFactor, Visit, Visitor,
};
use sqlparser::tokenizer::Span;

use super::Broken;
use super::check::plain_select;
use super::clause::{Clauses, from_end, unclear};
use super::edit::{Edits, Piece};
use super::frames::Frame;
use super::from::{Guard, conjunction};
use super::leak::Sources;
use super::names::{Given, nothing_passed_over};
use super::plan::Check;
use super::rules::{Found, Rules};
use super::target::Target;
use super::token::{Kind, Tokens};
use crate::error::{Error, shown};
use crate::policy::Dialect;

/// Everything known while a statement is read.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) rules: &'a Rules,
    pub(super) toks: &'a Tokens<'a>,
    pub(super) edits: Edits,
    pub(super) checks: Vec<Check>,
    pub(super) frames: Vec<Frame>,
    /// Where each relation that has been placed stands in memory: the census.
    pub(super) placed: HashSet<usize>,
    pub(super) notes: Option<Vec<Note>>,
    /// What the FROM clause at hand reads tenants' rows from.
    pub(super) sources: Sources,
    /// The same of the queries around the one at hand.
    pub(super) scopes: Vec<Sources>,
    /// Closing parentheses of the queries that got a fence.
    pub(super) fenced: HashSet<usize>,
    pub(super) in_insert: bool,
    /// The statement is an UPDATE or a DELETE: every query in it is a nested one.
    pub(super) changes: bool,
    /// A column is named with its schema.
    pub(super) schemas: bool,
    /// How many filters the fences have.
    pub(super) conditions: usize,
    /// Where the queries stand in memory that an expression asks.
    pub(super) asked: HashSet<usize>,
    /// And those that are tables in FROM.
    pub(super) derived: HashSet<usize>,
    /// All words of the text, folded and without their quotes.
    pub(super) words: OnceCell<HashSet<String>>,
    /// Whether a nested query has `*` for its columns.
    pub(super) star: OnceCell<bool>,
    /// Whether there is an outer join, or a set of groups.
    pub(super) wraps: OnceCell<bool>,
    /// The functions in FROM, wherever.
    pub(super) given: Vec<Given>,
    /// Where the query that feeds an INSERT stands in memory.
    pub(super) inserted: Option<usize>,
    /// The RETURNING keyword of the write at hand.
    returning: Option<usize>,
    /// The conflict targets that the parser did not see, and no INSERT has claimed yet.
    pub(super) targets: Vec<Target>,
}

/// Where one condition went, for people to read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Note {
    /// The table as the statement names it.
    pub table: String,
    /// `where`, `on`, `derived table`, `insert`, `on conflict`, `fence`, or `global`.
    pub place: &'static str,
}

impl<'a> Walk<'a> {
    pub(super) fn new(rules: &'a Rules, toks: &'a Tokens<'a>, targets: Vec<Target>, explain: bool) -> Self {
        Self {
            rules,
            toks,
            edits: Edits::default(),
            checks: Vec::new(),
            frames: Vec::new(),
            placed: HashSet::new(),
            notes: explain.then(Vec::new),
            sources: Sources::default(),
            scopes: Vec::new(),
            fenced: HashSet::new(),
            in_insert: false,
            changes: false,
            schemas: toks.names_schemas(),
            conditions: 0,
            asked: HashSet::new(),
            derived: HashSet::new(),
            words: OnceCell::new(),
            star: OnceCell::new(),
            wraps: OnceCell::new(),
            given: Vec::new(),
            inserted: None,
            returning: None,
            targets,
        }
    }

    pub(super) fn statement(&mut self, statement: &Statement) -> Result<(), Error> {
        nothing_passed_over(self.toks)?;
        self.given = self.rules.functions_in(statement)?;
        match statement.visit(self) {
            ControlFlow::Continue(()) if self.targets.is_empty() => Ok(()),
            ControlFlow::Continue(()) => Err(unclear("ON CONFLICT in an unexpected place")),
            ControlFlow::Break(error) => Err(error),
        }
    }

    /// The token that an identifier is.
    pub(super) fn token(&self, span: Span) -> Result<usize, Error> {
        let token = span.start.column.checked_sub(1).map(|i| i as usize).filter(|i| *i < self.toks.len());
        match token {
            Some(i) if span.start.line == 1 => Ok(i),
            _ => Err(unclear("a construct without a position")),
        }
    }

    /// Decides what a relation is, and counts it in the census.
    pub(super) fn find(&mut self, name: &ObjectName) -> Result<Found<'a>, Error> {
        self.placed(name);
        let parts = self.parts(name)?;
        if let [single] = &parts[..]
            && let Some(barrier) = self.cte(single)?
        {
            self.sources.barriers.push(barrier);
            return Ok(Found::Cte);
        }
        self.addressed(name, &parts)
    }

    /// Decides what a table is, and names it where it stands.
    fn addressed(&mut self, name: &ObjectName, parts: &[String]) -> Result<Found<'a>, Error> {
        let rules = self.rules;
        let found = rules.lookup(parts)?;
        if let Some(piece) = rules.qualifier(parts, &found)? {
            // Behind what else is inserted there: a derived table goes around the whole name.
            self.edits.before_inner(self.name_tokens(name)?.0, piece);
        }
        Ok(found)
    }

    /// Decides what the target of INSERT, UPDATE or DELETE is; that is never a common table expression.
    ///
    /// PostgreSQL looks for the target among the tables alone. Elsewhere that is not written down.
    pub(super) fn find_target(&mut self, name: &ObjectName) -> Result<Found<'a>, Error> {
        if self.rules.dialect != Dialect::Postgres {
            return match self.find(name)? {
                Found::Cte => Err(unclear("a write to a common table expression")),
                found => Ok(found),
            };
        }
        self.placed(name);
        let parts = self.parts(name)?;
        self.addressed(name, &parts)
    }

    fn parts(&self, name: &ObjectName) -> Result<Vec<String>, Error> {
        let fold = |part: &ObjectNamePart| match part {
            ObjectNamePart::Identifier(ident) => {
                self.rules.names_a_table(ident)?;
                self.rules.fold(ident)
            }
            ObjectNamePart::Function(_) => Err(unclear("a computed table name")),
        };
        name.0.iter().map(fold).collect()
    }

    /// Counts a name in the census that is not a table.
    pub(super) fn placed(&mut self, name: &ObjectName) {
        self.placed.insert(std::ptr::from_ref(name) as usize);
    }

    pub(super) fn note(&mut self, table: &str, place: &'static str) {
        if let Some(notes) = &mut self.notes {
            notes.push(Note { table: shown(table), place });
        }
    }

    pub(super) fn set_returning(&mut self, at: Option<usize>) {
        self.returning = at;
    }

    fn select(&mut self, select: &Select) -> Result<(), Error> {
        plain_select(select)?;
        let start = self.token(select.select_token.0.span)?;
        let clauses = Clauses::scan(self.toks, start, self.rules.dialect)?;
        self.agree(select, &clauses)?;
        self.sources = Sources::default();
        let mut names = Vec::new();
        self.called(&select.from, &mut names);
        self.sources.names = names;
        self.sources.raising = self.raising(select);
        let mut guards =
            self.place_from(&select.from, clauses.from.map(|from| from + 1), from_end(&clauses))?;
        self.select_leaks(select, &clauses, start)?;
        if self.skipped(start) {
            guards.clear();
        }
        self.scopes.push(std::mem::take(&mut self.sources));
        self.guard_where(clauses.wher, clauses.tail, &guards)
    }

    /// What the rewriters that are broken on purpose leave out.
    fn skipped(&self, start: usize) -> bool {
        let in_cte = self.frames.iter().any(|frame| frame.inside.is_some());
        (self.rules.broken(Broken::Cte) && in_cte)
            || (self.rules.broken(Broken::Subquery) && self.frames.len() > 1 && !in_cte)
            || (self.rules.broken(Broken::Returning)
                && self.returning.is_some_and(|returning| start > returning))
            || self.rules.broken(Broken::NoFilter)
    }

    /// The tree and the scan must know the same clauses; otherwise a keyword was used as a name.
    fn agree(&self, select: &Select, clauses: &Clauses) -> Result<(), Error> {
        let frame = self.frames.last().ok_or_else(|| unclear("a SELECT outside of a query"))?;
        let grouped = match &select.group_by {
            sqlparser::ast::GroupByExpr::All(_) => true,
            sqlparser::ast::GroupByExpr::Expressions(list, modifiers) => {
                !list.is_empty() || !modifiers.is_empty()
            }
        };
        Clauses::agree("FROM", !select.from.is_empty(), clauses.from.is_some())?;
        Clauses::agree("WHERE", select.selection.is_some(), clauses.wher.is_some())?;
        Clauses::agree("GROUP BY", grouped, clauses.group.is_some())?;
        Clauses::agree("HAVING", select.having.is_some(), clauses.having.is_some())?;
        Clauses::agree("WINDOW", !select.named_window.is_empty(), clauses.window)?;
        let stray = (clauses.order && !frame.ordered)
            || (clauses.limit && !frame.limited)
            || (clauses.lock && !frame.locked)
            || (clauses.returning.is_some() && !self.in_insert)
            || clauses.set.is_some();
        if stray || clauses.from.is_some_and(|from| from > from_end(clauses)) {
            return Err(unclear("a clause keyword used as a name"));
        }
        if clauses.wher.is_some_and(|wher| wher > clauses.tail) {
            return Err(unclear("a clause out of order"));
        }
        Ok(())
    }

    /// Adds `guards` to the WHERE clause at `wher`, which ends before `tail`, or makes one there.
    pub(super) fn guard_where(
        &mut self,
        wher: Option<usize>,
        tail: usize,
        guards: &[Guard],
    ) -> Result<(), Error> {
        if guards.is_empty() {
            return Ok(());
        }
        let piece = conjunction(guards);
        if tail == 0 || wher.is_some_and(|wher| tail <= wher + 1) {
            return Err(unclear("an empty clause"));
        }
        match wher {
            Some(_) if self.rules.broken(Broken::OrPrecedence) => {
                self.edits.after(tail - 1, Piece::text(" AND ").then(&piece));
            }
            Some(wher) => self.beside(wher + 1, tail - 1, &piece),
            None => self.edits.after(tail - 1, Piece::text(" WHERE ").then(&piece)),
        }
        for guard in guards {
            self.note(&guard.table, "where");
        }
        Ok(())
    }

    /// Puts a filter beside a predicate, whose first and last tokens are given.
    ///
    /// SQLite and MySQL evaluate in the order of the text what an index does not decide, and PostgreSQL by cost.
    pub(super) fn beside(&mut self, first: usize, last: usize, filter: &Piece) {
        if self.rules.dialect == Dialect::Postgres {
            self.edits.before(first, Piece::text("("));
            self.edits.after(last, Piece::text(") AND ").then(filter));
        } else {
            self.edits.before(first, Piece::default().then(filter).and(" AND ("));
            self.edits.after(last, Piece::text(")"));
        }
    }

    /// The token of an alias or name, as the database is to see it again.
    pub(super) fn qualifier(&self, ident: &Ident) -> Result<String, Error> {
        let token = self.token(ident.span)?;
        let text = self.toks.text(token);
        let usable =
            matches!(self.toks.toks[token].kind, Kind::Word(_) | Kind::Quoted) && !text.starts_with('\'');
        if usable { Ok(text.to_owned()) } else { Err(unclear("an alias")) }
    }
}

fn flow(result: Result<(), Error>) -> ControlFlow<Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl Visitor for Walk<'_> {
    type Break = Error;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Error> {
        flow(self.check_statement(statement))
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        flow(self.enter(query))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        self.leave(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        flow(self.select(select))
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<Error> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        flow(self.check_factor(factor))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Error> {
        flow(self.census(relation))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        flow(self.check_expr(expr))
    }
}
