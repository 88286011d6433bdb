//! Groups: which parts of a condition are evaluated before they are made, and so before the filter.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator as Op, Expr, GroupByExpr, Query, Select, SelectItem, UnaryOperator, Visit, Visitor,
    visit_expressions,
};

use super::certain::certain;
use super::functions;
use super::raising::safe_by_itself;
use super::rules::Rules;

/// The parts of `expr` that may be evaluated before the groups of its query are made, and so before the filter: databases take
/// a condition apart at its ANDs, ORs and NOTs, and move what has no aggregate in it.
pub(super) fn ungrouped<'e>(rules: &Rules, expr: &'e Expr) -> Vec<&'e Expr> {
    match expr {
        Expr::Nested(expr) | Expr::UnaryOp { op: UnaryOperator::Not, expr } => ungrouped(rules, expr),
        Expr::BinaryOp { left, op: Op::And | Op::Or, right } => {
            let mut parts = ungrouped(rules, left);
            parts.extend(ungrouped(rules, right));
            parts
        }
        expr if aggregates(expr) && !may_lose_aggregate(rules, expr) => Vec::new(),
        expr => vec![expr],
    }
}

/// True if `select` makes groups of its rows, or may: of one of all rows too. `c.count` is a call where `c` has no such column.
pub(super) fn aggregated(select: &Select) -> bool {
    let plain = matches!(&select.group_by, GroupByExpr::Expressions(list, modifiers) if list.is_empty() && modifiers.is_empty());
    !plain
        || select.projection.iter().any(|item| match item {
            SelectItem::UnnamedExpr(expr)
            | SelectItem::ExprWithAlias { expr, .. }
            | SelectItem::ExprWithAliases { expr, .. } => aggregates(expr) || names_aggregate(expr),
            SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
        })
}

fn names_aggregate(expr: &Expr) -> bool {
    visit_expressions(expr, |part| match part {
        Expr::CompoundIdentifier(parts) if parts.last().is_some_and(functions::aggregate_as_column) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// True if `expr` holds a call of an aggregate or window function outside of nested queries.
fn aggregates(expr: &Expr) -> bool {
    let mut outside = Outside { depth: 0 };
    expr.visit(&mut outside).is_break()
}

/// True if the aggregates in `expr` may be left out, where constants decide, and what is left may raise on a row: PostgreSQL
/// asks that of the rows before they are grouped.
fn may_lose_aggregate(rules: &Rules, expr: &Expr) -> bool {
    let (mut chooses, mut raises, mut depth) = (false, false, 0_usize);
    let mut look = Beside {
        see: &mut |part| {
            chooses |= matches!(
                part,
                Expr::Case { .. }
                    | Expr::Tuple(_)
                    | Expr::Between { .. }
                    | Expr::InList { .. }
                    | Expr::BinaryOp { op: Op::And | Op::Or, .. }
                    | Expr::IsDistinctFrom(..)
                    | Expr::IsNotDistinctFrom(..)
                    | Expr::IsNull(_)
                    | Expr::IsNotNull(_)
                    | Expr::IsTrue(_)
                    | Expr::IsNotTrue(_)
                    | Expr::IsFalse(_)
                    | Expr::IsNotFalse(_)
                    | Expr::IsUnknown(_)
                    | Expr::IsNotUnknown(_)
            ) || matches!(part, Expr::Function(function) if functions::may_skip(function) || functions::is(function, "row"));
            raises |= match part {
                Expr::Subquery(query)
                | Expr::Exists { subquery: query, .. }
                | Expr::InSubquery { subquery: query, .. } => !certain(rules, query.as_ref()),
                part => !safe_by_itself(rules, part) && reads_ungrouped(part),
            };
        },
        depth: &mut depth,
    };
    let _ = expr.visit(&mut look);
    chooses && raises
}

/// True if `expr` has a column that is no aggregate's argument.
fn reads_ungrouped(expr: &Expr) -> bool {
    let (mut reads, mut depth) = (false, 0_usize);
    let mut see = |part: &Expr| {
        reads |= matches!(
            part,
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. }
        );
    };
    let _ = expr.visit(&mut Beside { see: &mut see, depth: &mut depth });
    reads
}

/// Sees every part that does not stand in an aggregate.
struct Beside<'a> {
    see: &'a mut dyn FnMut(&Expr),
    /// How many aggregates the part at hand stands in.
    depth: &'a mut usize,
}

impl Visitor for Beside<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if is_aggregate(expr) {
            *self.depth += 1;
        } else if *self.depth == 0 {
            (self.see)(expr);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        *self.depth -= usize::from(is_aggregate(expr));
        ControlFlow::Continue(())
    }
}

fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if function.over.is_none() && functions::aggregate(function))
}

/// Looks for aggregates, but for those of nested queries.
struct Outside {
    depth: usize,
}

impl Visitor for Outside {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function)
                if self.depth == 0 && (function.over.is_some() || functions::aggregate(function)) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
