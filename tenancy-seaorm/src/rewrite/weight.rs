//! Columns of nested queries that PostgreSQL counts as nothing.
//!
//! Merged into a query with grouping sets, or into the nullable side of an outer join, a computed column is wrapped so that it
//! becomes NULL where it has to, and a condition on it costs nothing then: it is asked before the tenant's filter, whatever
//! it does (FLT-33). That something costs more than the filter is no argument there.

use sqlparser::ast::{BinaryOperator as Op, Expr, Select, SelectItem, UnaryOperator};
use sqlparser::keywords::Keyword;

use super::form::{comparison, is_column, is_literal};
use super::functions;
use super::groups::aggregated;
use super::walk::Walk;
use crate::policy::Dialect;

impl Walk<'_> {
    /// True if a column of `select` may be wrapped so, and may raise on a row if it costs nothing.
    pub(super) fn is_wrapped(&self, select: &Select) -> bool {
        let merged =
            self.frames.last().is_some_and(|frame| frame.apart || !frame.asked) && !aggregated(select);
        self.rules.dialect == Dialect::Postgres
            && merged
            && self.wraps()
            && select.projection.iter().any(weighs)
    }

    /// True if there is an outer join or a set of groups somewhere in the statement.
    fn wraps(&self) -> bool {
        let wraps = |i: usize| {
            let joins = [Keyword::LEFT, Keyword::RIGHT, Keyword::FULL];
            let groups = [Keyword::ROLLUP, Keyword::CUBE, Keyword::GROUPING];
            self.toks.keyword(i).is_some_and(|word| joins.contains(&word) || groups.contains(&word))
        };
        *self.wraps.get_or_init(|| (0..self.toks.len()).any(wraps))
    }
}

pub(super) fn weighs(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr)
        | SelectItem::ExprWithAlias { expr, .. }
        | SelectItem::ExprWithAliases { expr, .. } => !is_weightless(expr),
        SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
    }
}

/// True if `expr` cannot raise even where it costs nothing: no column is converted in it, and no constant.
fn is_weightless(expr: &Expr) -> bool {
    let all = |exprs: &[&Expr]| exprs.iter().all(|expr| is_weightless(expr));
    match expr {
        expr if is_column(expr) || is_literal(expr) => true,
        Expr::Value(_) => true,
        Expr::Nested(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::IsTrue(e)
        | Expr::IsNotTrue(e)
        | Expr::IsFalse(e)
        | Expr::IsNotFalse(e) => is_weightless(e),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => is_weightless(expr),
        Expr::BinaryOp { left, op: Op::And | Op::Or, right } => all(&[left, right]),
        Expr::BinaryOp { left, op, right } => comparison(op) && is_column(left) && is_literal(right),
        Expr::InList { expr, list, .. } => is_column(expr) && list.iter().all(is_literal),
        Expr::Case { operand: None, conditions, else_result, .. } => {
            let results = || conditions.iter().map(|case| &case.result).chain(else_result.as_deref());
            conditions.iter().all(|case| is_weightless(&case.condition)) && results().all(is_literal)
        }
        // One value and literals have one type.
        Expr::Function(function) if functions::is(function, "coalesce") => {
            let values = functions::values(function);
            values.iter().filter(|value| !is_literal(value)).count() <= 1 && all(&values)
        }
        Expr::Function(function) => function.over.is_some(),
        _ => false,
    }
}
