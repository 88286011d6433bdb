//! What cannot raise anywhere, nested queries included: it may be evaluated for some rows alone.

use std::ops::ControlFlow;

use sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, Function, LimitClause, NonBlock, Query, Select, TableFactor, Value,
    Visit, Visitor, WindowType,
};

use super::form::text_of;
use super::functions;
use super::raising::safe_by_itself;
use super::rules::Rules;

/// True if nothing in `part` can raise, not even what reads no row or stands in a nested query: it may be evaluated for some
/// rows alone.
pub(super) fn certain(rules: &Rules, part: &impl Visit) -> bool {
    // Every part is visited: each is looked at by itself.
    let sure = |part: &Expr| match part {
        // Read once, with the statement.
        Expr::Cast { expr, data_type, .. } if text_of(expr).is_some() => !may_be_domain(data_type),
        Expr::TypedString(typed) => !may_be_domain(&typed.data_type),
        Expr::Function(function) if framed(function) => false,
        Expr::Function(function) if functions::counts(function) => true,
        part => safe_by_itself(rules, part),
    };
    part.visit(&mut Unsure { sure: &sure }).is_continue()
}

/// True if the limits of a query are numbers that are spelled out: one below zero is an error, whatever rows there are.
pub(super) fn has_plain_limits(query: &Query) -> bool {
    let plain = |limit: &Expr| matches!(limit, Expr::Value(value) if matches!(&value.value, Value::Number(number, _) if number.to_string().parse::<i64>().is_ok()));
    let limited = match &query.limit_clause {
        None => true,
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
            limit_by.is_empty()
                && limit.as_ref().is_none_or(plain)
                && offset.as_ref().is_none_or(|offset| plain(&offset.value))
        }
        Some(LimitClause::OffsetCommaLimit { offset, limit }) => plain(offset) && plain(limit),
    };
    limited && query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref()).is_none_or(plain)
}

/// Looks for what may raise, also beside the expressions of nested queries: a function in FROM, and a limit below zero.
struct Unsure<'a> {
    sure: &'a dyn Fn(&Expr) -> bool,
}

impl Visitor for Unsure<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let waits = !query.locks.iter().any(|lock| matches!(lock.nonblock, Some(NonBlock::Nowait)));
        if has_plain_limits(query) && waits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Frames of windows may begin before the first row.
    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.named_window.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { args: None, sample: None, .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if (self.sure)(expr) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// True if a window function has a frame of its own.
fn framed(function: &Function) -> bool {
    matches!(&function.over, Some(WindowType::WindowSpec(window)) if window.window_frame.is_some())
}

/// True if a type may be a domain, whose CHECK is asked when the value is used.
fn may_be_domain(data_type: &DataType) -> bool {
    match data_type {
        DataType::Custom(..) => true,
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(of)
            | ArrayElemTypeDef::SquareBracket(of, _)
            | ArrayElemTypeDef::Parenthesis(of),
        ) => may_be_domain(of),
        _ => false,
    }
}
