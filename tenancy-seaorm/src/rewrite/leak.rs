//! Predicates that may raise an error on a row.
//!
//! The database may evaluate WHERE, ON and HAVING before the tenant's filter, and push an outer query's predicate into
//! a nested one, where it meets the nested query's expressions. So those of nested queries count as predicates too.
//!
//! A fence orders them: `CASE WHEN <filter> THEN (<predicate>) END` for tables, and `OFFSET 0` for nested queries,
//! into which the planner then pushes nothing, where the column by itself cannot have a fence.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Ident, Select, SelectItem, visit_expressions};
use sqlparser::keywords::Keyword;

use super::aliases::Raising;
use super::barrier::Barrier;
use super::certain::certain;
use super::clause::Clauses;
use super::fence::leaky;
use super::form::{bound_pattern, constant, is_row, is_spelled_row};
use super::from::Guard;
use super::groups::ungrouped;
use super::operands::operands;
use super::plan::Check;
use super::raising::may_raise;
use super::rules::Rules;
use super::walk::Walk;
use crate::error::Error;
use crate::policy::{Dialect, LeakyPredicates};

/// What a FROM clause reads tenants' rows from.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) guards: Vec<Guard>,
    /// The first of the guards that ON of the join at hand can see.
    pub(super) item: usize,
    pub(super) barriers: Vec<Barrier>,
    /// The last tokens of the names of tables that an alias hides: they stand in derived tables of their own.
    pub(super) hidden: Vec<usize>,
    /// The last tokens of the names of all tables that became derived ones.
    pub(super) derived: Vec<usize>,
    /// How many aliases hide the tables of the join at hand.
    pub(super) aliases: usize,
    /// There is an outer join, so that a table's columns may be NULL.
    pub(super) nullable: bool,
    /// What the relations are called, as names are compared.
    pub(super) names: Vec<String>,
    /// What columns are called that may raise.
    pub(super) raising: Raising,
    /// What may still have to be fenced, because of the queries in it.
    pub(super) parts: Vec<Part>,
}

/// One operand of a predicate's outermost ANDs that has a query in it and, so far, no fence around it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) first: usize,
    pub(super) end: usize,
    /// What it can see.
    pub(super) guards: Vec<Guard>,
}

impl Sources {
    fn is_empty(&self) -> bool {
        self.guards.is_empty() && self.barriers.is_empty() && self.hidden.is_empty()
    }
}

impl Walk<'_> {
    /// Looks at everything in a SELECT that could fail on rows of another tenant.
    pub(super) fn select_leaks(
        &mut self,
        select: &Select,
        clauses: &Clauses,
        start: usize,
    ) -> Result<(), Error> {
        self.sources.item = 0;
        if let (Some(expr), Some(wher)) = (&select.selection, clauses.wher) {
            self.predicate(expr, wher + 1, clauses.tail)?;
        }
        let bare = self.sources.is_empty();
        for part in select.having.iter().flat_map(|having| ungrouped(self.rules, having)).filter(|_| !bare) {
            // What has no aggregate is moved as a whole, and behind OR a constant is asked for some rows alone.
            let decided = constant(part) && !certain(self.rules, part);
            let raises =
                decided || may_raise(self.rules, part) || self.asks_unsure(part) || self.names_raising(part);
            if raises && self.rules.leaky != LeakyPredicates::SecondWall {
                return Err(leaky("HAVING that may fail on other tenants' rows"));
            }
        }
        // Without a table of tenants too: a constant that fails would be asked for where a row of another query comes to it.
        let unseen = self.is_asked_for_rows(select, start);
        if self.nested() && !unseen {
            self.fence_columns(select, clauses, start)?;
        }
        let outward = self.nested() && self.reaches_out(&self.sources.guards);
        if outward && self.evaluates_outer_rows(select) {
            self.fence_around(start)?;
        }
        Ok(())
    }

    /// True if a column of a nested query may raise, and so an outer predicate on it.
    pub(super) fn exposed(&self, item: &SelectItem) -> bool {
        match item {
            SelectItem::UnnamedExpr(expr)
            | SelectItem::ExprWithAlias { expr, .. }
            | SelectItem::ExprWithAliases { expr, .. } => self.moved_raises(expr),
            SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
        }
    }

    /// True if a part of a column may raise that no aggregate keeps behind the filter. The condition around it that asks for
    /// the column may ask for some rows alone, and then it matters where a constant is evaluated.
    pub(super) fn moved_raises(&self, expr: &Expr) -> bool {
        ungrouped(self.rules, expr).into_iter().any(|part| {
            may_raise(self.rules, part)
                || self.asks_unsure(part)
                || (constant(part) && !certain(self.rules, part))
        })
    }

    /// True if a predicate may fail on a row of another tenant.
    pub(super) fn raises(&self, part: &Expr) -> bool {
        if self.asks_no_row(part) {
            return false;
        }
        may_raise(self.rules, part)
            || (self.asks_unsure(part) && !self.is_joined(part))
            || self.compares_rows(part)
            || (self.rules.dialect == Dialect::Sqlite && self.names_raising(part))
    }

    /// Looks at a predicate whose tokens are `[first, end)`, over the sources met so far.
    pub(super) fn predicate(&mut self, expr: &Expr, first: usize, end: usize) -> Result<(), Error> {
        let bare = self.sources.is_empty();
        if (bare && self.scopes.is_empty()) || self.rules.leaky == LeakyPredicates::SecondWall {
            return Ok(());
        }
        let guards = self.sources.guards[self.sources.item..].to_vec();
        let mut fenced = false;
        for (part, range) in operands(self.toks, expr, (first, end)) {
            let raises = self.raises(part);
            if raises && !bare && self.rules.leaky == LeakyPredicates::Refuse {
                return Err(leaky("a predicate that may fail on other tenants' rows"));
            }
            if raises && self.reaches_out(&guards) && self.names_others(part) {
                self.fence_around(range.0)?;
            }
            if raises && !bare {
                match self.one_side(part, range, &guards) {
                    Some((side, guard)) => {
                        self.fence_value(side, std::slice::from_ref(guard), self.sources.nullable)?;
                    }
                    None => self.fence(range, &self.read_by(part, &guards), self.sources.nullable)?,
                }
                fenced = true;
            } else if !bare && self.nests(range) {
                self.sources.parts.push(Part { first: range.0, end: range.1, guards: guards.clone() });
            }
        }
        if fenced { self.raise_barriers() } else { Ok(()) }
    }

    /// True if a predicate over `guards` may be evaluated on rows of the queries around that their filters have not passed:
    /// MySQL asks a nested query before it asks the filter.
    fn reaches_out(&self, guards: &[Guard]) -> bool {
        guards.is_empty() || self.rules.dialect == Dialect::MySql
    }

    /// True if `part` has a whole row in it, whose comparison fails with a row of other columns.
    fn compares_rows(&self, part: &Expr) -> bool {
        let around = |name: &Ident| {
            let named = |name: &String| self.scopes.iter().any(|scope| scope.names.contains(name));
            self.names_own(name) || self.rules.fold(name).is_ok_and(|name| named(&name))
        };
        self.rules.dialect == Dialect::Postgres
            && visit_expressions(part, |part| match part {
                Expr::Identifier(name) if around(name) => ControlFlow::Break(()),
                part if is_row(part) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .is_break()
    }

    /// The one side of an equation between tables that may raise, and the one table whose columns it reads.
    ///
    /// Fenced by itself it is still a side of an equation, by which a join can be hashed: a fence around the whole
    /// equation made a join of 4,000 rows with 100 two hundred times as slow, and this one made it 1.04 times.
    fn one_side<'g>(
        &self,
        part: &Expr,
        (first, end): (usize, usize),
        guards: &'g [Guard],
    ) -> Option<((usize, usize), &'g Guard)> {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = part else { return None };
        // Of a row with a fence around it PostgreSQL does not compare value by value.
        if self.rules.dialect != Dialect::Postgres || is_spelled_row(left) || is_spelled_row(right) {
            return None;
        }
        let (mut sign, mut i) = (None, first);
        while i < end {
            if self.toks.text(i) == "=" && sign.replace(i).is_some() {
                return None;
            }
            i = self.toks.next(i);
        }
        let sign = sign?;
        let (side, range) = match (may_raise(self.rules, left), may_raise(self.rules, right)) {
            (true, false) => (left, (first, sign)),
            (false, true) => (right, (sign + 1, end)),
            _ => return None,
        };
        let guard = guards.iter().find(|guard| reads_only(self.rules, side, &guard.qualifier))?;
        (guards.len() > 1 && !self.nests(range)).then_some((range, guard))
    }

    /// Those of `guards` whose tables `part` reads: a database asks it of a row of theirs as soon as it has one, and not of rows
    /// that are joined already. All of them where that is not certain.
    pub(super) fn read_by(&self, part: &Expr, guards: &[Guard]) -> Vec<Guard> {
        let mut read = HashSet::new();
        let plain = visit_expressions(part, |part| match part {
            Expr::CompoundIdentifier(parts) if matches!(&parts[..], [table, _] if self.names_own(table)) => {
                read.extend(self.rules.fold(&parts[0]));
                ControlFlow::Continue(())
            }
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. }
            | Expr::Subquery(_)
            | Expr::Exists { .. }
            | Expr::InSubquery { .. }
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        let of = |guard: &&Guard| read.contains(&folded(&guard.qualifier));
        let some: Vec<_> = guards.iter().filter(of).cloned().collect();
        let certain =
            plain.is_continue() && self.rules.dialect == Dialect::Postgres && !self.sources.nullable;
        if certain && !some.is_empty() { some } else { guards.to_vec() }
    }

    /// True if there is a query between these tokens.
    fn nests(&self, (first, end): (usize, usize)) -> bool {
        (first..end).any(|token| matches!(self.toks.keyword(token), Some(Keyword::SELECT | Keyword::VALUES)))
    }

    /// A bound pattern is checked when it is bound, wherever it stands: a column of a nested query is a predicate too.
    pub(super) fn check_pattern(&mut self, expr: &Expr) -> Result<(), Error> {
        if self.rules.dialect == Dialect::MySql || self.rules.leaky == LeakyPredicates::SecondWall {
            return Ok(());
        }
        if let Some(span) = bound_pattern(expr) {
            let token = self.token(span)?;
            let index = self.param_index(token)?;
            let long = self.rules.dialect == Dialect::Sqlite;
            self.checks.push(if long { Check::Long(index) } else { Check::Pattern(index) });
        }
        Ok(())
    }
}

/// A relation's name as PostgreSQL compares it: `"O"` and `o` are two.
pub(super) fn folded(qualifier: &str) -> String {
    match qualifier.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => qualifier.to_ascii_lowercase(),
    }
}

/// True if every column in `expr` is one of the relation that is called so, and `expr` is no row.
fn reads_only(rules: &Rules, expr: &Expr, qualifier: &str) -> bool {
    let name = folded(qualifier);
    let called = |table: &Ident| rules.fold(table).is_ok_and(|table| table == name);
    let own = visit_expressions(expr, |part| match part {
        Expr::CompoundIdentifier(parts) if matches!(&parts[..], [table, _] if called(table)) => {
            ControlFlow::Continue(())
        }
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess { .. }
        | Expr::Tuple(_)
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    own.is_continue()
}

#[cfg(test)]
mod fences;
#[cfg(test)]
mod tests;
