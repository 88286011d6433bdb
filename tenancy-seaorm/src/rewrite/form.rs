//! What an expression is, by its form alone.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator as Op, Expr, FunctionArguments, GroupByExpr, LimitClause, Query, SelectItem, SetExpr,
    UnaryOperator, Value, visit_expressions,
};

use super::functions;
use crate::policy::Dialect;

/// True if a query gives one row at most: a second one would be an error.
pub(super) fn one_row(query: &Query) -> bool {
    let one = |limit: &Expr| matches!(limit, Expr::Value(value) if matches!(&value.value, Value::Number(number, _) if *number == "1"));
    let limited = matches!(&query.limit_clause, Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) if one(limit));
    limited || aggregates_alone(query)
}

/// True if a query gives aggregates of all its rows, and nothing else.
pub(super) fn aggregates_alone(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let GroupByExpr::Expressions(groups, modifiers) = &select.group_by else { return false };
    groups.is_empty()
        && modifiers.is_empty()
        && !select.projection.is_empty()
        && select.projection.iter().all(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                matches!(expr, Expr::Function(function) if function.over.is_none() && functions::aggregate(function))
            }
            _ => false,
        })
}

pub(super) fn is_tuple(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_tuple(inner),
        expr => matches!(expr, Expr::Tuple(_)),
    }
}

pub(super) fn collated(dialect: Dialect, expr: &Expr) -> bool {
    dialect == Dialect::Postgres
        && visit_expressions(expr, |part| match part {
            Expr::Collate { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .is_break()
}

/// True if `one` is a column and `other` a constant, or both are rows of them.
pub(super) fn columns_beside(one: &Expr, other: &Expr) -> bool {
    match (one, other) {
        (Expr::Nested(one), other) => columns_beside(one, other),
        (one, Expr::Nested(other)) => columns_beside(one, other),
        (Expr::Tuple(columns), Expr::Tuple(values)) => {
            columns.len() == values.len()
                && columns.iter().zip(values).all(|(column, value)| columns_beside(column, value))
        }
        (one, other) => is_column(one) && is_spelled(other),
    }
}

/// True if `expr` is a value that is spelled out or bound, be it converted, or a time that is counted from now.
///
/// Other calls of constants are left to fences: the planner calls them to guess how many rows there are.
fn is_spelled(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Nested(e) | Expr::Cast { expr: e, .. } => is_spelled(e),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_spelled(expr),
        Expr::BinaryOp { left, op: Op::Plus | Op::Minus, right } => is_spelled(left) && is_spelled(right),
        Expr::Array(array) => array.elem.iter().all(is_literal),
        Expr::Function(function) => {
            let now = ["now", "current_timestamp", "localtimestamp", "current_date", "statement_timestamp"];
            now.iter().any(|name| functions::is(function, name)) && functions::values(function).is_empty()
        }
        _ => false,
    }
}

pub(super) fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) => true,
        Expr::CompoundIdentifier(parts) => !parts.last().is_some_and(functions::raises_as_column),
        _ => false,
    }
}

/// True if `expr` is a number, a text or a truth value that is spelled out.
pub(super) fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => {
            matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_) | Value::Boolean(_))
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => is_number(expr),
        _ => false,
    }
}

pub(super) fn is_number(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}

pub(super) fn comparison(op: &Op) -> bool {
    matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::Spaceship)
}

pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    let Expr::Value(value) = expr else { return None };
    if let Value::SingleQuotedString(text) = &value.value { Some(text) } else { None }
}

/// True if `expr` reads no row: it raises, or not, whoever's rows there are.
pub(super) fn constant(expr: &Expr) -> bool {
    let mut names = Vec::new();
    let row = visit_expressions(expr, |part| match part {
        // The names of arguments.
        Expr::Identifier(_) if names.contains(&std::ptr::from_ref(part)) => ControlFlow::Continue(()),
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess { .. }
        | Expr::Subquery(_)
        | Expr::Exists { .. }
        | Expr::InSubquery { .. }
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..) => ControlFlow::Break(()),
        Expr::Function(function)
            if matches!(function.args, FunctionArguments::Subquery(_)) || functions::varies(function) =>
        {
            ControlFlow::Break(())
        }
        Expr::Function(function) => {
            names.extend(functions::names_of_arguments(function));
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Continue(()),
    });
    row.is_continue()
}

/// The number of values of a row that is spelled out.
fn row(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Tuple(items) => Some(items.len()),
        Expr::Nested(inner) => row(inner),
        Expr::Function(function) if functions::is(function, "row") => Some(functions::values(function).len()),
        _ => None,
    }
}

pub(super) fn is_spelled_row(expr: &Expr) -> bool {
    row(expr).is_some()
}

/// True if `expr` compares a row that is spelled out with what is none, and may be a row of other columns.
pub(super) fn is_row(expr: &Expr) -> bool {
    let alike = |a: &Expr, b: &Expr| match (row(a), row(b)) {
        (None, None) => true,
        (Some(a), Some(b)) => a == b,
        // A query of several columns, whose number is known when the statement is read.
        _ => matches!(a, Expr::Subquery(_)) || matches!(b, Expr::Subquery(_)),
    };
    let nested =
        |expr: &Expr| matches!(expr, Expr::Tuple(items) if items.iter().any(|item| row(item).is_some()));
    match expr {
        Expr::BinaryOp { left, op, right } if comparison(op) => {
            !alike(left, right) || nested(left) || nested(right)
        }
        Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => !alike(a, b) || nested(a) || nested(b),
        Expr::InList { expr, list, .. } => {
            nested(expr) || list.iter().any(|item| !alike(expr, item) || nested(item))
        }
        Expr::Between { expr, low, high, .. } => !alike(expr, low) || !alike(expr, high) || nested(expr),
        _ => false,
    }
}

/// Where the bound pattern of a LIKE or GLOB stands.
pub(super) fn bound_pattern(expr: &Expr) -> Option<sqlparser::tokenizer::Span> {
    let (Expr::Like { pattern, .. }
    | Expr::ILike { pattern, .. }
    | Expr::BinaryOp { op: Op::Glob, right: pattern, .. }) = expr
    else {
        return None;
    };
    let Expr::Value(value) = pattern.as_ref() else { return None };
    matches!(value.value, Value::Placeholder(_)).then_some(value.span)
}
