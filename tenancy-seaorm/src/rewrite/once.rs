//! Queries that PostgreSQL runs once, when the first row asks for what they give.
//!
//! One that fails then tells that there is such a row, whoever's it is (FLT-33): what asks costs no more than the tenant's
//! filter, and comes before it.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, SetExpr, visit_expressions};

use super::certain::certain;
use super::form::{comparison, one_row};
use super::groups::aggregated;
use super::leak::folded;
use super::operands::conjuncts;
use super::walk::Walk;
use crate::policy::Dialect;

impl Walk<'_> {
    /// True if `part` holds a query that may raise, and is run when the first row comes to it.
    pub(super) fn runs_once(&self, part: &Expr) -> bool {
        let fails = |query: &Query| {
            !certain(self.rules, query) && !self.correlated(query) || self.reads_unsure(query, &|_| false)
        };
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

    /// True if `part` is `column IN (query)` as a whole, and the query names nothing from outside: PostgreSQL joins rows by it
    /// that have passed their filters.
    pub(super) fn is_joined(&self, part: &Expr) -> bool {
        match part {
            Expr::Nested(inner) => self.is_joined(inner),
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

    fn stands_alone(&self, query: &Query) -> bool {
        let inside = self.rules.names_inside(query);
        let inner = |table: &Ident| self.rules.fold(table).is_ok_and(|table| inside.contains(&table));
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

    /// True if `query` compares a column of its own with one of a table of tenants beside it, on which all that it gives
    /// depends: it is run for each row, which costs more than the filter.
    ///
    /// Another reference does not do: what is not needed, or is known, is left out before anybody counts.
    fn correlated(&self, query: &Query) -> bool {
        let SetExpr::Select(select) = query.body.as_ref() else { return false };
        // Of no rows at all, HAVING and aggregates are evaluated still.
        let over_rows = !aggregated(select) || one_row(query);
        if select.having.is_some() || !over_rows {
            return false;
        }
        let inside = self.rules.names_inside(query);
        let inner = |table: &Ident| self.rules.fold(table).is_ok_and(|table| inside.contains(&table));
        let outer = |table: &Ident| self.filters(table) && !inner(table);
        let side = |expr: &Expr, of: &dyn Fn(&Ident) -> bool| matches!(expr, Expr::CompoundIdentifier(parts) if matches!(&parts[..], [table, _] if of(table)));
        select.selection.iter().flat_map(conjuncts).any(|part| match part {
            Expr::BinaryOp { left, op, right } if comparison(op) => {
                (side(left, &inner) && side(right, &outer)) || (side(left, &outer) && side(right, &inner))
            }
            _ => false,
        })
    }

    /// True if `name` is a table of tenants in this FROM clause.
    fn filters(&self, name: &Ident) -> bool {
        let mut guards = self.sources.guards.iter();
        self.rules.fold(name).is_ok_and(|name| guards.any(|guard| folded(&guard.qualifier) == name))
    }

    pub(super) fn names_own(&self, name: &Ident) -> bool {
        self.rules.fold(name).is_ok_and(|name| self.sources.names.contains(&name))
    }
}
