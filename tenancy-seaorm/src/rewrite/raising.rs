//! Which expressions may raise an error on a row.

use sqlparser::ast::{
    BinaryOperator as Op, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, UnaryOperator, Value,
};

use super::certain::certain;
use super::form::{
    collated, columns_beside, comparison, constant, is_column, is_literal, is_number, is_tuple, one_row,
    text_of,
};
use super::functions;
use super::plan::LONGEST_PATTERN;
use super::rules::Rules;
use crate::policy::Dialect;

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
    let parts =
        Parts { always: &|part| !may_raise(rules, part), sometimes: &|part| in_place(rules, part, expr) };
    alone_safe(rules, expr, &parts)
}

/// True if nothing in `part` can raise before the tenant's filter is asked, though `whole` asks it for some rows alone.
///
/// PostgreSQL asks the cheapest condition first, of equals the first that is written, and counts all parts of a condition: what
/// converts a constant, and what compares a column with it, cost twice what the filter does. Not so in a query that is
/// run once, which costs nothing.
fn in_place(rules: &Rules, part: &Expr, whole: &Expr) -> bool {
    certain(rules, part)
        || (rules.dialect == Dialect::Postgres
            && match part {
                Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => {
                    in_place(rules, inner, whole)
                }
                Expr::BinaryOp { left, op: Op::And | Op::Or, right } => {
                    in_place(rules, left, whole) && in_place(rules, right, whole)
                }
                // `$1::bigint IS NULL OR id = $1`: a filter that may be left out.
                Expr::IsNull(of) | Expr::IsNotNull(of) => {
                    bound(of).is_some_and(|name| compares_bound(rules, whole, part, name))
                }
                part => beside_constants(rules, part),
            })
}

/// True if `expr` compares columns with constants, and does nothing else.
fn beside_constants(rules: &Rules, expr: &Expr) -> bool {
    rules.dialect == Dialect::Postgres
        && match expr {
            Expr::BinaryOp { left, op, right } => {
                let contains = matches!(op, Op::AtArrow | Op::ArrowAt | Op::PGOverlap) && !is_tuple(left);
                (comparison(op) || contains) && (columns_beside(left, right) || columns_beside(right, left))
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                columns_beside(left, right)
            }
            Expr::Between { expr, low, high, .. } => columns_beside(expr, low) && columns_beside(expr, high),
            Expr::InList { expr, list, .. } => list.iter().all(|item| columns_beside(expr, item)),
            Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right } => {
                comparison(compare_op)
                    && is_column(left)
                    && matches!(right.as_ref(), Expr::Array(_))
                    && array_safe(right)
            }
            _ => false,
        }
}

/// The parameter that `expr` is, be it converted.
fn bound(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => bound(inner),
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// True if `whole` is a chain of ORs, of which `part` is a link, and so is a condition that compares a column with the
/// parameter of this name: no link of a chain is evaluated by itself, or left out.
fn compares_bound(rules: &Rules, whole: &Expr, part: &Expr, name: &str) -> bool {
    let links = disjuncts(whole);
    let compares = |link: &&Expr| match link {
        Expr::BinaryOp { left, right, .. } => {
            beside_constants(rules, link) && (bound(left) == Some(name) || bound(right) == Some(name))
        }
        _ => false,
    };
    links.iter().any(|link| std::ptr::eq(*link, part)) && links.iter().any(compares)
}

/// The operands of the outermost ORs.
fn disjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(inner) => disjuncts(inner),
        Expr::BinaryOp { left, op: Op::Or, right } => {
            let mut parts = disjuncts(left);
            parts.extend(disjuncts(right));
            parts
        }
        expr => vec![expr],
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
        // PostgreSQL calls a function of the row where there is no such column.
        Expr::CompoundIdentifier(parts)
            if rules.dialect == Dialect::Postgres
                && parts.last().is_some_and(functions::raises_as_column) =>
        {
            false
        }
        Expr::IsFalse(e)
        | Expr::IsNotFalse(e)
        | Expr::IsTrue(e)
        | Expr::IsNotTrue(e)
        | Expr::IsUnknown(e)
        | Expr::IsNotUnknown(e)
        | Expr::Nested(e) => all(&[e]),
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::TypedString(_)
        | Expr::Interval(_) => true,
        Expr::IsNull(e) | Expr::IsNotNull(e) => !converts(rules.dialect, e) && all(&[e]),
        Expr::Collate { expr, .. } => all(&[expr]),
        Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::Plus, expr } => all(&[expr]),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
            is_number(expr) || (rules.dialect == Dialect::Sqlite && all(&[expr]))
        }
        Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => all(&[a, b]),
        Expr::Between { expr, low, high, .. } => all(&[expr, low, high]),
        expr if beside_constants(rules, expr) => true,
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
        // No text search fails, and a text is made one at a hundred times the cost of a filter.
        Expr::BinaryOp { left, op: Op::AtAt, right } if rules.dialect == Dialect::Postgres => {
            matches!(right.as_ref(), Expr::Function(function) if functions::searches(function))
                && constant(right)
                && all(&[left])
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
        // An array in it, or a parameter that is one, may be empty, and then this one is.
        Expr::Array(list) => !list.elem.is_empty() && list.elem.iter().all(is_literal),
        Expr::Nested(array) => array_safe(array),
        Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
        Expr::Subquery(_) => true,
        _ => false,
    }
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
        // Whatever is before it, it ends with something else than an escape.
        Expr::BinaryOp { left, op: Op::StringConcat, right } => {
            constant(left) && text_of(right).is_some_and(|text| !text.is_empty() && !text.contains('\\'))
        }
        pattern if bound(pattern) => true,
        // As bytes, a text with a backslash may end otherwise than it reads.
        other => text_of(other).is_some_and(|text| !text.contains('\\')),
    };
    usual && fine
}

fn cast_safe(dialect: Dialect, data_type: &DataType) -> bool {
    dialect == Dialect::Sqlite
        || matches!(data_type, DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None))
}
