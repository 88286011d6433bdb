//! Queries that PostgreSQL runs once, when the first row asks for what they give.
//!
//! One that fails then tells that there is such a row, whoever's it is (FLT-33): what asks costs no more than the tenant's
//! filter, and comes before it.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, Query, SetExpr, visit_expressions};

use super::expr::{certain, comparison};
use super::operands::conjuncts;
use super::walk::Walk;

impl Walk<'_> {
    /// True if `part` holds a query that may raise, and is run when the first row comes to it.
    pub(super) fn runs_once(&self, part: &Expr) -> bool {
        if certain(self.rules, part) || self.is_joined(part) {
            return false;
        }
        let once = |query: &Query| !certain(self.rules, query) && !self.correlated(query);
        visit_expressions(part, |part| match part {
            Expr::Subquery(query)
            | Expr::Exists { subquery: query, .. }
            | Expr::InSubquery { subquery: query, .. }
                if once(query) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    }

    /// True if `part` is `column IN (query)` as a whole, which becomes a join of rows that have passed their filters.
    fn is_joined(&self, part: &Expr) -> bool {
        match part {
            Expr::Nested(inner) => self.is_joined(inner),
            Expr::InSubquery { expr, negated: false, .. } => {
                let own = match expr.as_ref() {
                    Expr::CompoundIdentifier(parts) => {
                        matches!(&parts[..], [table, _] if self.names_own(table))
                    }
                    Expr::Identifier(_) => self.scopes.is_empty(),
                    _ => false,
                };
                own && !self.sources.nullable
            }
            _ => false,
        }
    }

    /// True if `query` compares a column of its own with one of this query's, on which all that it gives depends: it is run
    /// for each row, which costs more than the filter.
    ///
    /// Another reference does not do: what is not needed is left out before anybody counts.
    fn correlated(&self, query: &Query) -> bool {
        let SetExpr::Select(select) = query.body.as_ref() else { return false };
        let inside = self.rules.names_inside(query);
        let inner = |table: &Ident| self.rules.fold(table).is_ok_and(|table| inside.contains(&table));
        let side = |expr: &Expr, of: &dyn Fn(&Ident) -> bool| matches!(expr, Expr::CompoundIdentifier(parts) if matches!(&parts[..], [table, _] if of(table)));
        let outer = |table: &Ident| self.names_own(table) && !inner(table);
        select.selection.iter().flat_map(conjuncts).any(|part| match part {
            Expr::BinaryOp { left, op, right } if comparison(op) => {
                (side(left, &inner) && side(right, &outer)) || (side(left, &outer) && side(right, &inner))
            }
            _ => false,
        })
    }

    pub(super) fn names_own(&self, name: &Ident) -> bool {
        self.rules.fold(name).is_ok_and(|name| self.sources.names.contains(&name))
    }
}
