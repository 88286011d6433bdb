//! Predicates that may raise an error on a row.
//!
//! The database may evaluate WHERE, ON and HAVING before the tenant's filter, and push an outer query's predicate into
//! a nested one, where it meets the nested query's expressions. So those of nested queries count as predicates too.

use sqlparser::ast::{
    BinaryOperator, Expr, Join, JoinConstraint, JoinOperator, Select, SelectItem, TableFactor, TableWithJoins,
};

use super::expr::{aggregates, may_raise, patterns};
use super::from::Guard;
use super::plan::Check;
use super::walk::Walk;
use crate::error::{Error, ErrorKind};
use crate::policy::{Dialect, LeakyPredicates};

impl Walk<'_> {
    /// Refuses a SELECT that reads tenants' rows and could fail on those of another tenant.
    pub(super) fn refuse_leaks(&mut self, select: &Select) -> Result<(), Error> {
        self.refuse_leaks_of(select.selection.as_ref(), &select.from)?;
        if let Some(having) = &select.having {
            for part in conjuncts(having).into_iter().filter(|part| !aggregates(part)) {
                self.refuse_leak(part)?;
            }
        }
        if self.nested() {
            for item in &select.projection {
                let expr = match item {
                    SelectItem::UnnamedExpr(expr)
                    | SelectItem::ExprWithAlias { expr, .. }
                    | SelectItem::ExprWithAliases { expr, .. } => expr,
                    SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => continue,
                };
                if !aggregates(expr) {
                    self.refuse_leak(expr)?;
                }
            }
        }
        Ok(())
    }

    /// The same for UPDATE and DELETE.
    pub(super) fn refuse_leaks_in(
        &mut self,
        selection: Option<&Expr>,
        from: &[TableWithJoins],
        guards: &[Guard],
    ) -> Result<(), Error> {
        if guards.is_empty() && from.is_empty() { Ok(()) } else { self.refuse_leaks_of(selection, from) }
    }

    fn refuse_leaks_of(&mut self, selection: Option<&Expr>, from: &[TableWithJoins]) -> Result<(), Error> {
        let mut predicates = Vec::new();
        predicates.extend(selection);
        from.iter().for_each(|tree| join_conditions(tree, &mut predicates));
        for part in predicates.into_iter().flat_map(conjuncts) {
            self.refuse_leak(part)?;
        }
        Ok(())
    }

    fn refuse_leak(&mut self, expr: &Expr) -> Result<(), Error> {
        if self.rules.leaky == LeakyPredicates::SecondWall {
            return Ok(());
        }
        if may_raise(self.rules, expr) {
            let hint = "use comparisons, IN, LIKE or IS; or choose LeakyPredicates::Fence, or SecondWall with row-level security";
            return Err(Error::new(
                ErrorKind::LeakyPredicate,
                "a predicate that may fail on other tenants' rows",
                hint,
            ));
        }
        if self.rules.dialect == Dialect::Postgres {
            let mut spans = Vec::new();
            patterns(expr, &mut |span| spans.push(span));
            for span in spans {
                let token = self.token(span)?;
                let index = self.param_index(token)?;
                self.checks.push(Check::Pattern(index));
            }
        }
        Ok(())
    }
}

/// The operands of a predicate's outermost ANDs.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let mut parts = Vec::new();
    let mut rest = expr;
    while let Expr::BinaryOp { left, op: BinaryOperator::And, right } = rest {
        parts.push(right.as_ref());
        rest = left;
    }
    parts.push(rest);
    parts.reverse();
    parts
}

fn join_conditions<'e>(tree: &'e TableWithJoins, into: &mut Vec<&'e Expr>) {
    let nested = |factor: &'e TableFactor, into: &mut Vec<&'e Expr>| {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            join_conditions(table_with_joins, into);
        }
    };
    nested(&tree.relation, into);
    for join in &tree.joins {
        nested(&join.relation, into);
        into.extend(condition(join));
    }
}

fn condition(join: &Join) -> Option<&Expr> {
    let (JoinOperator::Join(on)
    | JoinOperator::Inner(on)
    | JoinOperator::Left(on)
    | JoinOperator::LeftOuter(on)
    | JoinOperator::Right(on)
    | JoinOperator::RightOuter(on)
    | JoinOperator::FullOuter(on)
    | JoinOperator::CrossJoin(on)
    | JoinOperator::StraightJoin(on)) = &join.join_operator
    else {
        return None;
    };
    if let JoinConstraint::On(expr) = on { Some(expr) } else { None }
}
