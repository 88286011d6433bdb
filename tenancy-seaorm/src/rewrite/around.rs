//! Nested queries that read no tenant's table, and whose predicates are evaluated on rows of the queries around them.
//!
//! `EXISTS (SELECT 1 FROM countries WHERE 'x' ~ o.pattern)` is merged into the query around it: its predicate is one of
//! that query's then, and may come before the filter of `o` (FLT-33). It has nothing of its own to be fenced by, so what
//! stands around it is.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, SelectItem, SetExpr, TableFactor, TableWithJoins, visit_expressions};

use super::expr::may_raise;
use super::leak::{Barrier, Sources, leaky};
use super::walk::Walk;
use crate::error::Error;
use crate::policy::LeakyPredicates;

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

    /// True if `item` may raise on a row of a query around this one.
    pub(super) fn looks_out(&self, item: &SelectItem) -> bool {
        match item {
            SelectItem::UnnamedExpr(expr)
            | SelectItem::ExprWithAlias { expr, .. }
            | SelectItem::ExprWithAliases { expr, .. } => {
                may_raise(self.rules, expr) && self.names_others(expr)
            }
            SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
        }
    }

    /// True if `expr` has a column that may be none of this query's own.
    pub(super) fn names_others(&self, expr: &Expr) -> bool {
        let own = |parts: &[Ident]| match parts {
            [.., table, _] => self.rules.fold(table).is_ok_and(|table| self.sources.names.contains(&table)),
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
                let (own, alias) = match factor {
                    TableFactor::Table { name, alias, .. } => {
                        (name.0.last().and_then(|part| part.as_ident()), alias)
                    }
                    TableFactor::NestedJoin { table_with_joins, alias } => {
                        if alias.is_none() {
                            self.called(std::slice::from_ref(table_with_joins), names);
                        }
                        (None, alias)
                    }
                    TableFactor::Derived { alias, .. }
                    | TableFactor::UNNEST { alias, .. }
                    | TableFactor::Function { alias, .. } => (None, alias),
                    _ => continue,
                };
                let name = alias.as_ref().map(|alias| &alias.name).or(own);
                names.extend(name.and_then(|name| self.rules.fold(name).ok()));
            }
        }
    }
}
