//! Queries that PostgreSQL runs when a row asks for what they give: once, or for each row.
//!
//! One that fails then tells that there is such a row, whoever's it is (FLT-33): what asks costs no more than the tenant's
//! filter, or nothing, and comes before it.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, Select, SetExpr, UnaryOperator, Visit, Visitor, visit_expressions};
use sqlparser::keywords::Keyword;

use super::certain::certain;
use super::form::comparison;
use super::functions;
use super::groups::aggregated;
use super::leak::folded;
use super::operands::conjuncts;
use super::token::Kind;
use super::walk::Walk;
use crate::policy::Dialect;

impl Walk<'_> {
    /// True if `part` holds a query that may raise, and is run when a row comes to it, be it another tenant's.
    pub(super) fn asks_unsure(&self, part: &Expr) -> bool {
        let fails = |query: &Query| !certain(self.rules, query) || self.reads_unsure(query, &|_| false);
        visit_expressions(part, |part| match part {
            Expr::Subquery(query)
            | Expr::Exists { subquery: query, .. }
            | Expr::InSubquery { subquery: query, .. }
                if fails(query) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    }

    /// True if `part` is `column IN (query)` as a whole, and the query names nothing from outside, or `EXISTS (query)` with one
    /// that depends on the row: PostgreSQL joins rows by it that have passed their filters.
    pub(super) fn is_joined(&self, part: &Expr) -> bool {
        match part {
            Expr::Nested(inner) => self.is_joined(inner),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                matches!(expr.as_ref(), Expr::Exists { .. }) && self.is_joined(expr)
            }
            Expr::Exists { subquery, .. } if self.rules.dialect == Dialect::Postgres => {
                !self.sources.nullable
                    && self.is_semi_join(subquery)
                    && !self.reads_unsure(subquery.as_ref(), &|_| false)
            }
            Expr::InSubquery { expr, subquery, negated: false }
                if self.rules.dialect == Dialect::Postgres =>
            {
                let own = match expr.as_ref() {
                    Expr::CompoundIdentifier(parts) => {
                        matches!(&parts[..], [table, _] if self.names_own(table))
                    }
                    Expr::Identifier(_) => self.scopes.is_empty(),
                    _ => false,
                };
                own && !self.sources.nullable && self.stands_alone(subquery)
            }
            _ => false,
        }
    }

    /// True if `part` reads no row of this query nor of one around it: PostgreSQL asks it once, before it reads any table.
    ///
    /// It is not fenced then: whoever's rows there are, it fails, or not, as it would without them.
    pub(super) fn asks_no_row(&self, part: &Expr) -> bool {
        let alone = |query: &Query| self.stands_alone(query);
        self.rules.dialect == Dialect::Postgres
            && part.visit(&mut Rowless { alone: &alone, depth: 0 }).is_continue()
    }

    fn stands_alone(&self, query: &Query) -> bool {
        let inside = self.rules.names_inside(query);
        // Of a name that is outside too, nobody knows which of them is meant.
        let outside = |table: &String| {
            self.sources.names.contains(table) || self.scopes.iter().any(|scope| scope.names.contains(table))
        };
        let inner = |table: &Ident| {
            self.rules.fold(table).is_ok_and(|table| inside.contains(&table) && !outside(&table))
        };
        visit_expressions(query, |part| match part {
            Expr::CompoundIdentifier(parts) if matches!(&parts[..], [table, _] if inner(table)) => {
                ControlFlow::Continue(())
            }
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_continue()
    }

    /// True if PostgreSQL makes a join of `EXISTS (query)`: it compares a column of its own with one of a table of tenants
    /// beside it, and reads rows without groups, limits or functions of chance; outside of WHERE it names nothing of others.
    ///
    /// Any other query that depends on the row is run for each, and may cost nothing: over a table that was empty when it was
    /// planned it comes before the filter.
    fn is_semi_join(&self, query: &Query) -> bool {
        let SetExpr::Select(select) = query.body.as_ref() else { return false };
        let limited = query.limit_clause.is_some() || query.fetch.is_some();
        if aggregated(select)
            || select.having.is_some()
            || limited
            || query.with.is_some()
            || !query.locks.is_empty()
        {
            return false;
        }
        let inside = self.rules.names_inside(query);
        let inner = |table: &Ident| self.rules.fold(table).is_ok_and(|table| inside.contains(&table));
        let own = |part: &Expr| match part {
            Expr::Identifier(_) | Expr::CompoundFieldAccess { .. } => false,
            Expr::CompoundIdentifier(_) => is_of(part, &inner),
            _ => true,
        };
        let known = |part: &Expr| !matches!(part, Expr::Function(function) if !functions::gives_one_value(function) || functions::varies(function));
        self.compares_with_outer(select, &inner)
            && all(&select.from, &own)
            && all(&select.selection, &known)
            && !calls(&select.projection)
    }

    /// True if WHERE compares a column of an `inner` table with one of a table of tenants beside the query.
    fn compares_with_outer(&self, select: &Select, inner: &dyn Fn(&Ident) -> bool) -> bool {
        let outer = |table: &Ident| self.filters(table) && !inner(table);
        select.selection.iter().flat_map(conjuncts).any(|part| match part {
            Expr::BinaryOp { left, op, right } if comparison(op) => {
                (is_of(left, inner) && is_of(right, &outer)) || (is_of(left, &outer) && is_of(right, inner))
            }
            _ => false,
        })
    }

    /// True if `name` is a table of tenants in this FROM clause.
    fn filters(&self, name: &Ident) -> bool {
        let mut guards = self.sources.guards.iter();
        self.rules.fold(name).is_ok_and(|name| guards.any(|guard| folded(&guard.qualifier) == name))
    }

    /// True if the query whose SELECT is token `start` is that of EXISTS, and PostgreSQL leaves its columns out: it has neither
    /// groups nor branches, and calls nothing that may give several rows.
    pub(super) fn is_asked_for_rows(&self, select: &Select, start: usize) -> bool {
        let asked = start > 1 && self.toks.keyword(start - 2) == Some(Keyword::EXISTS);
        let plain = self.frames.last().is_some_and(|frame| !frame.limited && !frame.locked);
        asked
            && self.rules.dialect == Dialect::Postgres
            && !aggregated(select)
            && select.having.is_none()
            && plain
            && !self.branches(start)
            && !calls(&select.projection)
    }

    /// True if UNION, EXCEPT or INTERSECT follows the SELECT at token `start`.
    fn branches(&self, start: usize) -> bool {
        let mut i = start;
        while i < self.toks.len() && !self.toks.is(i, Kind::Close) {
            if matches!(self.toks.keyword(i), Some(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT)) {
                return true;
            }
            i = self.toks.next(i);
        }
        false
    }

    pub(super) fn names_own(&self, name: &Ident) -> bool {
        self.rules.fold(name).is_ok_and(|name| self.sources.names.contains(&name))
    }
}

/// True if `expr` is a column of one of `tables`.
fn is_of(expr: &Expr, tables: &dyn Fn(&Ident) -> bool) -> bool {
    matches!(expr, Expr::CompoundIdentifier(parts) if matches!(&parts[..], [table, _] if tables(table)))
}

/// True if something in `part` calls a function.
fn calls(part: &impl Visit) -> bool {
    !all(part, &|part| !matches!(part, Expr::Function(_)))
}

/// True if `keep` holds of every expression in `part`.
fn all(part: &impl Visit, keep: &dyn Fn(&Expr) -> bool) -> bool {
    let check = |part: &Expr| if keep(part) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    visit_expressions(part, check).is_continue()
}

/// Looks for a column, for a query that may read one, and for what gives another value each time.
struct Rowless<'a> {
    alone: &'a dyn Fn(&Query) -> bool,
    /// How many queries the expression at hand stands in.
    depth: usize,
}

impl Visitor for Rowless<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if self.depth == 0 && !(self.alone)(query) {
            return ControlFlow::Break(());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let reads = match expr {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::CompoundFieldAccess { .. }
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(..) => self.depth == 0,
            Expr::Function(function) => functions::varies(function),
            _ => false,
        };
        if reads { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
