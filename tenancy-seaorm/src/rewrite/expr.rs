//! Expressions: which forms are let through, and which of them may raise an error on a row.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator as Op, CastKind, DataType, DateTimeField, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, LimitClause, Query, Select,
    SelectItem, SetExpr, TableFactor, UnaryOperator, Value, Visit, Visitor, WindowType, visit_expressions,
};

use super::clause::unclear;
use super::functions;
use super::names::{is_of_system, is_reserved, is_variable};
use super::plan::LONGEST_PATTERN;
use super::rules::Rules;
use crate::error::Error;
use crate::policy::Dialect;

/// Refuses forms whose reading is not certain, and functions that are not on the allow-list.
pub(super) fn check(rules: &Rules, expr: &Expr) -> Result<(), Error> {
    match expr {
        Expr::Function(function) => functions::check(rules, function),
        Expr::BinaryOp { op, .. }
        | Expr::AnyOp { compare_op: op, .. }
        | Expr::AllOp { compare_op: op, .. } => match op {
            Op::Custom(_) | Op::PGCustomBinaryOperator(_) | Op::Assignment => {
                Err(unclear("an operator of its own"))
            }
            // How strongly they bind, and what `||` is, depends on the server's mode.
            Op::StringConcat | Op::Xor if rules.dialect == Dialect::MySql => {
                Err(unclear("|| or XOR, which MySQL may read otherwise"))
            }
            _ => Ok(()),
        },
        Expr::Cast { kind, data_type, format, .. } => {
            let plain = matches!(kind, CastKind::Cast | CastKind::DoubleColon) && format.is_none();
            if plain && !catalog_type(data_type) { Ok(()) } else { Err(unclear("a cast of this kind")) }
        }
        Expr::TypedString(typed) if catalog_type(&typed.data_type) => Err(unclear("a catalog type")),
        Expr::CompoundFieldAccess { .. }
        | Expr::MatchAgainst { .. }
        | Expr::JsonAccess { .. }
        | Expr::Struct { .. }
        | Expr::Named { .. }
        | Expr::Dictionary(_)
        | Expr::Map(_)
        | Expr::OuterJoin(_)
        | Expr::Prior(_)
        | Expr::Lambda(_)
        | Expr::MemberOf(_)
        | Expr::InUnnest { .. }
        | Expr::Prefixed { .. } => refuse_unless_plain(rules, expr),
        // It would be counted by nobody, and the tenant's value be bound to it.
        Expr::Value(value) if matches!(&value.value, Value::Placeholder(name) if !name[1..].bytes().all(|byte| byte.is_ascii_digit())) => {
            Err(unclear("a named parameter"))
        }
        Expr::Identifier(ident) if is_reserved(rules, ident) => {
            Err(unclear("a keyword in the place of a column"))
        }
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) if is_of_system(rules, expr) => {
            Err(unclear("a column that tells where a row lies, and so of the rows beside it"))
        }
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) if is_variable(rules, expr) => {
            Err(unclear("a session variable"))
        }
        _ => Ok(()),
    }
}

/// Array subscripts and slices are PostgreSQL's; everything else in that group belongs to other databases.
fn refuse_unless_plain(rules: &Rules, expr: &Expr) -> Result<(), Error> {
    match expr {
        Expr::CompoundFieldAccess { root, access_chain }
            if rules.dialect == Dialect::Postgres && subscripted(root, access_chain).is_some() =>
        {
            Ok(())
        }
        _ => Err(unclear("an expression of another database")),
    }
}

/// The names before the subscripts in `root` and what follows it, none if it is no name; nothing at all if there is a field
/// elsewhere: `(x).f` is `f(x)` where `x` has no field `f`, whatever `f` does.
pub(super) fn subscripted<'e>(root: &'e Expr, chain: &'e [AccessExpr]) -> Option<Vec<&'e Ident>> {
    let mut names = Vec::new();
    if let Expr::Identifier(first) = root {
        names.push(first);
    }
    let mut subscripts = false;
    for access in chain {
        match access {
            AccessExpr::Subscript(_) => subscripts = true,
            AccessExpr::Dot(Expr::Identifier(name)) if !subscripts && !names.is_empty() => names.push(name),
            AccessExpr::Dot(_) => return None,
        }
    }
    Some(names)
}

/// `'orders'::regclass` and its kin look into the catalog.
fn catalog_type(data_type: &DataType) -> bool {
    const CATALOG: [&str; 18] = [
        // How many transactions there have been, and where a row lies, tells of everybody's rows.
        "xid",
        "xid8",
        "cid",
        "tid",
        "pg_snapshot",
        "txid_snapshot",
        "aclitem",
        "regclass",
        "regcollation",
        "regconfig",
        "regdictionary",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
    ];
    let name = data_type.to_string().to_ascii_lowercase();
    name.split(|c: char| !c.is_alphanumeric()).any(|word| CATALOG.contains(&word))
}

/// True if evaluating `expr` may raise an error that depends on a row, and so tell about rows of other tenants.
///
/// SQLite and MySQL evaluate a part that reads no row where a row comes to it: there it tells of the row.
pub(super) fn may_raise(rules: &Rules, expr: &Expr) -> bool {
    match rules.dialect {
        Dialect::Postgres => !safe(rules, expr) && !constant(expr),
        Dialect::Sqlite => !certain(rules, expr),
        Dialect::MySql => !certain(rules, expr) && !compares_constant(rules, expr),
    }
}

/// True if `expr` compares with a constant, which MySQL evaluates before it reads any row.
fn compares_constant(rules: &Rules, expr: &Expr) -> bool {
    let Expr::BinaryOp { left, op, right } = expr else { return false };
    comparison(op) && ((certain(rules, left) && constant(right)) || (constant(left) && certain(rules, right)))
}

fn safe(rules: &Rules, expr: &Expr) -> bool {
    let parts = Parts { always: &|part| !may_raise(rules, part), sometimes: &|part| certain(rules, part) };
    alone_safe(rules, expr, &parts)
}

/// True if nothing in `part` can raise, not even what reads no row or stands in a nested query: it may be evaluated for some
/// rows alone.
pub(super) fn certain(rules: &Rules, part: &impl Visit) -> bool {
    // Every part is visited: each is looked at by itself.
    let sure = |part: &Expr| match part {
        // Read once, with the statement.
        Expr::Cast { expr, data_type, .. } if text_of(expr).is_some() => !may_be_domain(data_type),
        Expr::TypedString(typed) => !may_be_domain(&typed.data_type),
        Expr::Function(function) if framed(function) => false,
        part => safe_by_itself(rules, part),
    };
    part.visit(&mut Unsure { sure: &sure }).is_continue()
}

/// Looks for what may raise, also beside the expressions of nested queries: a function in FROM, and a limit below zero.
struct Unsure<'a> {
    sure: &'a dyn Fn(&Expr) -> bool,
}

impl Visitor for Unsure<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
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
        let fetched = query.fetch.as_ref().and_then(|fetch| fetch.quantity.as_ref()).is_none_or(plain);
        if limited && fetched { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
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

/// What is asked of the parts of an expression: of those that are evaluated with it, and of those that are so for some rows.
struct Parts<'a> {
    always: &'a dyn Fn(&Expr) -> bool,
    sometimes: &'a dyn Fn(&Expr) -> bool,
}

/// True if `expr` cannot raise, as far as its parts do not.
pub(super) fn safe_by_itself(rules: &Rules, expr: &Expr) -> bool {
    alone_safe(rules, expr, &Parts { always: &|_| true, sometimes: &|_| true })
}

/// True if `expr` cannot raise, as far as its `parts` do not.
fn alone_safe(rules: &Rules, expr: &Expr, parts: &Parts<'_>) -> bool {
    let all = |exprs: &[&Expr]| exprs.iter().all(|expr| (parts.always)(expr));
    match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::TypedString(_)
        | Expr::Interval(_) => true,
        Expr::IsFalse(e)
        | Expr::IsNotFalse(e)
        | Expr::IsTrue(e)
        | Expr::IsNotTrue(e)
        | Expr::IsUnknown(e)
        | Expr::IsNotUnknown(e)
        | Expr::Nested(e) => all(&[e]),
        Expr::IsNull(e) | Expr::IsNotNull(e) => !converts(rules.dialect, e) && all(&[e]),
        Expr::Collate { expr, .. } => all(&[expr]),
        Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::Plus, expr } => all(&[expr]),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => rules.dialect == Dialect::Sqlite && all(&[expr]),
        Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => all(&[a, b]),
        Expr::Between { expr, low, high, .. } => all(&[expr, low, high]),
        Expr::InList { expr, list, .. } if is_tuple(expr) => {
            (parts.sometimes)(expr) && list.iter().all(|item| (parts.sometimes)(item))
        }
        Expr::InList { expr, list, .. } => all(&[expr]) && list.iter().all(|item| (parts.always)(item)),
        Expr::InSubquery { expr, .. } => all(&[expr]),
        // What stands inside is checked as a query of its own.
        Expr::Exists { .. } => true,
        Expr::Subquery(query) => one_row(query),
        Expr::Tuple(list) => list.iter().all(|item| (parts.always)(item) && (parts.sometimes)(item)),
        // The second operand is evaluated only where the first does not decide: be it a constant, whether it raises then
        // tells of the row.
        Expr::BinaryOp { left, op: Op::And | Op::Or, right } => {
            (parts.sometimes)(left) && (parts.sometimes)(right)
        }
        Expr::BinaryOp { left, op: Op::Glob, right } if rules.dialect == Dialect::Sqlite => {
            pattern_safe(rules.dialect, right, None) && all(&[left, right])
        }
        // Rows are compared value by value, as far as that goes.
        Expr::BinaryOp { left, op, right } if is_tuple(left) || is_tuple(right) => {
            operator_safe(rules, op) && (parts.sometimes)(left) && (parts.sometimes)(right)
        }
        Expr::BinaryOp { left, op, right } => operator_safe(rules, op) && all(&[left, right]),
        Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right } => {
            comparison(compare_op) && array_safe(right) && all(&[left, right])
        }
        Expr::Like { expr, pattern, escape_char, any: false, .. }
        | Expr::ILike { expr, pattern, escape_char, any: false, .. } => {
            // A collation may be one that LIKE fails with.
            !collated(rules.dialect, expr)
                && all(&[expr])
                && pattern_safe(rules.dialect, pattern, escape_char.as_deref())
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            let all = operand.as_deref().into_iter().chain(else_result.as_deref());
            let mut all = all.chain(conditions.iter().flat_map(|case| [&case.condition, &case.result]));
            !mixes(rules.dialect, expr) && all.all(|part| (parts.sometimes)(part))
        }
        Expr::Cast { expr, data_type, .. } => cast_safe(rules.dialect, data_type) && all(&[expr]),
        // Every other field fails on values of one type or another, be it on the first row that there is.
        Expr::Extract { field: DateTimeField::Epoch, expr, .. } => all(&[expr]),
        Expr::Trim { expr, trim_what: None, trim_characters: None, .. } => all(&[expr]),
        Expr::Function(function) => {
            functions::cannot_raise(rules.dialect, function)
                && !functions::values(function).iter().any(|value| collated(rules.dialect, value))
                && args_safe(function, parts)
                && !mixes(rules.dialect, expr)
        }
        _ => false,
    }
}

/// True if `expr` gives one of several values, of which rows have one, in a type that holds them all: a conversion may not.
///
/// `coalesce(d, at) = coalesce(d, at)` is no more than a test for NULL to PostgreSQL, and comes before the filter.
fn mixes(dialect: Dialect, expr: &Expr) -> bool {
    let values: Vec<&Expr> = match expr {
        _ if dialect != Dialect::Postgres => return false,
        Expr::Case { conditions, else_result, .. } => {
            conditions.iter().map(|case| &case.result).chain(else_result.as_deref()).collect()
        }
        Expr::Function(function) if functions::chooses(function) => functions::values(function),
        _ => return false,
    };
    // A literal takes the type of the others; a parameter may have been given one.
    let literal =
        |value: &&&Expr| matches!(value, Expr::Value(value) if !matches!(value.value, Value::Placeholder(_)));
    let typed = values.iter().filter(|value| !literal(value));
    typed.count() > 1 && values.iter().any(|value| !constant(value))
}

/// True if `expr` may bring values of two types to one, which some do not fit: a date beyond what a timestamp holds.
///
/// Under an operator that does no harm: the two together cost more than the tenant's filter, which PostgreSQL evaluates
/// before them. A test for NULL costs nothing, and the conversion alone what the filter costs.
fn converts(dialect: Dialect, expr: &Expr) -> bool {
    match expr {
        Expr::Nested(expr) => converts(dialect, expr),
        Expr::Tuple(items) => items.iter().any(|item| converts(dialect, item)),
        Expr::Case { .. } => dialect == Dialect::Postgres,
        Expr::Function(function) if functions::is(function, "nullif") => mixes(dialect, expr),
        Expr::Function(function) => dialect == Dialect::Postgres && functions::chooses(function),
        _ => false,
    }
}

/// True if a query gives one row at most: a second one would be an error.
pub(super) fn one_row(query: &Query) -> bool {
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

fn is_tuple(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_tuple(inner),
        expr => matches!(expr, Expr::Tuple(_)),
    }
}

fn collated(dialect: Dialect, expr: &Expr) -> bool {
    dialect == Dialect::Postgres
        && visit_expressions(expr, |part| match part {
            Expr::Collate { .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .is_break()
}

fn args_safe(function: &Function, parts: &Parts<'_>) -> bool {
    let FunctionArguments::List(list) = &function.args else { return true };
    list.args.iter().all(|arg| match arg {
        // Some functions evaluate an argument only where another one is NULL, or true.
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if functions::may_skip(function) => {
            (parts.sometimes)(expr)
        }
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (parts.always)(expr),
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => true,
        _ => false,
    })
}

/// An empty array costs nothing to compare with, so that a conversion of the column to its type comes before the filter. A
/// bound one has the column's type where its driver says so, and an index serves it: that one is let through.
fn array_safe(array: &Expr) -> bool {
    match array {
        Expr::Nested(array) => array_safe(array),
        Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
        Expr::Subquery(_) => true,
        _ => false,
    }
}

pub(super) fn comparison(op: &Op) -> bool {
    matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::Spaceship)
}

fn operator_safe(rules: &Rules, op: &Op) -> bool {
    let arithmetic = matches!(
        op,
        Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::StringConcat
            | Op::BitwiseAnd
            | Op::BitwiseOr
    );
    let contains = matches!(op, Op::AtArrow | Op::ArrowAt | Op::Question | Op::PGOverlap);
    // Fails on a `json` that holds `\u0000` or half a surrogate pair anywhere; a `jsonb` holds neither.
    let takes_apart = matches!(op, Op::Arrow | Op::LongArrow | Op::HashArrow | Op::HashLongArrow);
    let of_dialect = match rules.dialect {
        Dialect::Postgres => contains || (takes_apart && rules.documents_are_jsonb),
        Dialect::Sqlite => arithmetic,
        Dialect::MySql => false,
    };
    comparison(op) || matches!(op, Op::And | Op::Or) || of_dialect
}

/// A pattern that ends with a lone escape fails on the rows whose text it matches up to there: it would be an oracle.
///
/// Bound patterns are checked when they are bound.
fn pattern_safe(dialect: Dialect, pattern: &Expr, escape: Option<&Expr>) -> bool {
    let bound = |pattern: &Expr| matches!(pattern, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
    let one_character =
        escape.is_none_or(|escape| text_of(escape).is_some_and(|escape| escape.chars().count() == 1));
    if dialect == Dialect::Sqlite {
        let short = bound(pattern) || text_of(pattern).is_some_and(|text| text.len() <= LONGEST_PATTERN);
        return short && one_character;
    }
    if dialect == Dialect::MySql {
        return constant(pattern) && one_character;
    }
    let usual = escape.is_none_or(|escape| matches!(text_of(escape), Some("\\")));
    let fine = match pattern {
        pattern if bound(pattern) => true,
        // As bytes, a text with a backslash may end otherwise than it reads.
        other => text_of(other).is_some_and(|text| !text.contains('\\')),
    };
    usual && fine
}

fn text_of(expr: &Expr) -> Option<&str> {
    let Expr::Value(value) = expr else { return None };
    if let Value::SingleQuotedString(text) = &value.value { Some(text) } else { None }
}

fn cast_safe(dialect: Dialect, data_type: &DataType) -> bool {
    dialect == Dialect::Sqlite
        || matches!(data_type, DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None))
}

/// True if `expr` reads no row: it raises, or not, whoever's rows there are.
pub(super) fn constant(expr: &Expr) -> bool {
    let row = visit_expressions(expr, |part| match part {
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
        _ => ControlFlow::Continue(()),
    });
    row.is_continue()
}

/// True if `expr` compares a row that is spelled out with what is none, and may be a row of other columns.
pub(super) fn is_row(expr: &Expr) -> bool {
    fn row(expr: &Expr) -> Option<usize> {
        match expr {
            Expr::Tuple(items) => Some(items.len()),
            Expr::Nested(inner) => row(inner),
            Expr::Function(function) if functions::is(function, "row") => {
                Some(functions::values(function).len())
            }
            _ => None,
        }
    }
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
