//! Nested queries that read no tenant's table, and whose predicates are evaluated on rows of the queries around them.
//!
//! `EXISTS (SELECT 1 FROM countries WHERE 'x' ~ o.pattern)` is merged into the query around it: its predicate is one of
//! that query's then, and may come before the filter of `o` (FLT-33). It has nothing of its own to be fenced by, so what
//! stands around it is.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, Select, SelectItem, SetExpr, TableFactor, TableWithJoins, visit_expressions,
};

use super::barrier::Barrier;
use super::certain::certain;
use super::fence::leaky;
use super::leak::Sources;
use super::names::{given_to_functions, name_of};
use super::raising::may_raise;
use super::walk::Walk;
use crate::error::Error;
use crate::policy::{Dialect, LeakyPredicates};

impl Walk<'_> {
    /// Fences what stands around the nested query at token `at`, which may fail on rows of the queries around it.
    ///
    /// A nested query that reads no table of tenants itself may be merged into the query around it. Its predicate is
    /// one of that query's then, and may come before the filter there.
    pub(super) fn fence_around(&mut self, at: usize) -> Result<(), Error> {
        if self.rules.leaky == LeakyPredicates::SecondWall {
            return Ok(());
        }
        for number in (0..self.scopes.len()).rev() {
            let mut scope = std::mem::take(&mut self.scopes[number]);
            let done = self.fence_scope(&mut scope, at);
            self.scopes[number] = scope;
            done?;
        }
        Ok(())
    }

    fn fence_scope(&mut self, scope: &mut Sources, at: usize) -> Result<(), Error> {
        let within = |first: usize, end: usize| first <= at && at < end;
        let part = scope.parts.iter().position(|part| within(part.first, part.end));
        let lateral = |barrier: &Barrier| barrier.lateral.is_some_and(|open| within(open, barrier.close));
        let barrier = scope.barriers.iter().position(lateral);
        if (part.is_some() || barrier.is_some()) && self.rules.leaky == LeakyPredicates::Refuse {
            return Err(leaky("a nested query that may fail on other tenants' rows"));
        }
        if let Some(part) = part.map(|part| scope.parts.swap_remove(part)) {
            self.fence((part.first, part.end), &part.guards, scope.nullable)?;
            std::mem::swap(&mut self.sources, scope);
            let raised = self.raise_barriers();
            std::mem::swap(&mut self.sources, scope);
            raised?;
        }
        match barrier {
            // Raised already, if it is gone.
            Some(barrier) if barrier < scope.barriers.len() => {
                self.raise(scope.barriers.swap_remove(barrier))
            }
            _ => Ok(()),
        }
    }

    /// Fences what stands around rows of VALUES that may raise on rows of the queries around them: one such row is
    /// merged into the query around it like any other nested query.
    pub(super) fn values_leak(&mut self, body: &SetExpr) -> Result<(), Error> {
        match body {
            SetExpr::Values(values) => {
                let unsure =
                    values.rows.iter().find(|row| row.content.iter().any(|expr| !certain(self.rules, expr)));
                if let Some(row) = unsure {
                    self.fence_query(self.token(row.opening_token.0.span)?)?;
                }
                let leaks = |expr: &Expr| may_raise(self.rules, expr) && self.names_others(expr);
                match values.rows.iter().find(|row| row.content.iter().any(leaks)) {
                    Some(row) => self.fence_around(self.token(row.opening_token.0.span)?),
                    None => Ok(()),
                }
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.values_leak(left)?;
                self.values_leak(right)
            }
            _ => Ok(()),
        }
    }

    /// True if `expr` may raise on a row of a query around this one.
    pub(super) fn looks_out(&self, expr: &Expr) -> bool {
        !certain(self.rules, expr) && self.names_others(expr)
    }

    /// True if a nested query may fail on rows of the queries around it in what it evaluates besides its conditions: its
    /// columns, HAVING, and functions in FROM.
    pub(super) fn evaluates_outer_rows(&self, select: &Select) -> bool {
        let columns = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr)
            | SelectItem::ExprWithAlias { expr, .. }
            | SelectItem::ExprWithAliases { expr, .. } => Some(expr),
            SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
        });
        let mut given = select.from.iter().flat_map(given_to_functions);
        // PostgreSQL calls a function in FROM for rows that have passed the filter of their table.
        let calls = self.rules.dialect != Dialect::Postgres && given.any(|expr| self.names_others(expr));
        calls || columns.chain(&select.having).any(|expr| self.looks_out(expr))
    }

    /// True if `expr` has a column that may be none of this query's own.
    pub(super) fn names_others(&self, expr: &Expr) -> bool {
        let own = |parts: &[Ident]| match parts {
            // With its schema before it, a table may be one of the queries around, whatever it is called there.
            [table, _] => self.rules.fold(table).is_ok_and(|table| {
                let around = self.scopes.iter().any(|scope| scope.names.contains(&table));
                // Of two that have the name, a condition in FROM may mean the outer one.
                self.sources.names.contains(&table) && !around
            }),
            _ => false,
        };
        visit_expressions(expr, |part| match part {
            Expr::CompoundIdentifier(parts) if own(parts) => ControlFlow::Continue(()),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    }

    /// What the relations of a FROM clause are called.
    pub(super) fn called(&self, from: &[TableWithJoins], names: &mut Vec<String>) {
        for tree in from {
            let joined = tree.joins.iter().map(|join| &join.relation);
            for factor in std::iter::once(&tree.relation).chain(joined) {
                if let TableFactor::NestedJoin { table_with_joins, alias: None } = factor {
                    self.called(std::slice::from_ref(table_with_joins), names);
                }
                names.extend(name_of(factor).and_then(|name| self.rules.fold(name).ok()));
            }
        }
    }
}
