//! Functions: an allow-list, because a function sees every tenant's rows.
//!
//! Listed are built-in functions that read no table, no catalog and no session state, and change none.

mod lists;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Ident, ObjectName,
};

use super::rules::Rules;
use crate::error::{Error, ErrorKind, shown};
use crate::policy::Dialect;
use lists::{AGGREGATES, ELSEWHERE, OF_ROWS, PLAIN, SAFE, SAFE_IN_SQLITE, TABLE, VARYING};

pub(super) fn check(rules: &Rules, function: &Function) -> Result<(), Error> {
    if function.uses_odbc_syntax || !matches!(function.parameters, FunctionArguments::None) {
        return Err(refused("of this form"));
    }
    let name = name(rules, &function.name)?;
    let listed = |list: &[&str]| list.contains(&name.as_str());
    let known = [SAFE, SAFE_IN_SQLITE, AGGREGATES, PLAIN].into_iter().any(listed);
    let elsewhere = rules.dialect == Dialect::Postgres && listed(ELSEWHERE);
    if (known && !elsewhere)
        || rules.functions.contains(&name)
        || (rules.dialect == Dialect::Postgres && TABLE.contains(&name.as_str()))
    {
        return Ok(());
    }
    Err(refused(&name))
}

pub(super) fn table_function(rules: &Rules, function: &ObjectName) -> Result<(), Error> {
    let name = name(rules, function)?;
    let elsewhere = rules.dialect == Dialect::Postgres && ELSEWHERE.contains(&name.as_str());
    if (TABLE.contains(&name.as_str()) && !elsewhere) || rules.functions.contains(&name) {
        Ok(())
    } else {
        Err(refused(&name))
    }
}

/// The name as it is compared; `pg_catalog.lower` is `lower`, another schema's function is never a built-in one.
fn name(rules: &Rules, name: &ObjectName) -> Result<String, Error> {
    let mut parts = name.0.iter().map(|part| part.as_ident());
    let (first, second, third) = (parts.next().flatten(), parts.next(), parts.next());
    let Some(first) = first else { return Err(refused("of this form")) };
    let first = folded(rules, first)?;
    match (second, third) {
        (None, _) => Ok(first),
        (Some(Some(last)), None) if first == "pg_catalog" && rules.dialect == Dialect::Postgres => {
            folded(rules, last)
        }
        (Some(Some(last)), None) => Ok(format!("{first}.{}", rules.fold(last)?)),
        _ => Err(refused("of this form")),
    }
}

/// To PostgreSQL `"LOWER"` is another function than `lower`, and nobody knows what it reads.
fn folded(rules: &Rules, part: &Ident) -> Result<String, Error> {
    let name = rules.fold(part)?;
    Ok(if rules.dialect == Dialect::Postgres { name } else { name.to_ascii_lowercase() })
}

/// The name without the schema of what is built in.
fn plain_name(function: &Function) -> Option<String> {
    let part = match &function.name.0[..] {
        [part] => part,
        [schema, part] if schema.as_ident()?.value.eq_ignore_ascii_case("pg_catalog") => part,
        _ => return None,
    };
    Some(part.as_ident()?.value.to_ascii_lowercase())
}

/// True if PostgreSQL reads `row.name` as the call of an aggregate, should the row have no such column.
pub(super) fn aggregate_as_column(name: &Ident) -> bool {
    AGGREGATES.contains(&name.value.to_ascii_lowercase().as_str())
}

/// The same of a function that takes a whole row, and may raise.
pub(super) fn raises_as_column(name: &Ident) -> bool {
    OF_ROWS.contains(&name.value.to_ascii_lowercase().as_str())
}

/// True if an aggregate cannot raise, whatever it is given.
pub(super) fn counts(function: &Function) -> bool {
    let name = plain_name(function);
    let counts = matches!(name.as_deref(), Some("count" | "min" | "max" | "bool_and" | "bool_or" | "every"));
    counts && aggregate(function) && function.over.is_none()
}

/// True if `expr` is a text search query of constants.
pub(super) fn searches(function: &Function) -> bool {
    let name = plain_name(function);
    matches!(
        name.as_deref(),
        Some("to_tsquery" | "plainto_tsquery" | "phraseto_tsquery" | "websearch_to_tsquery")
    )
}

pub(super) fn aggregate(function: &Function) -> bool {
    let two = matches!(&function.args, FunctionArguments::List(list) if list.args.len() > 1);
    match plain_name(function).as_deref() {
        // `min(a, b)` and `max(a, b)` of SQLite are ordinary functions.
        Some("min" | "max") => !two,
        Some(name) => AGGREGATES.contains(&name),
        None => false,
    }
}

/// Gives another value each time: it is no constant, though it reads no row.
pub(super) fn varies(function: &Function) -> bool {
    plain_name(function).is_some_and(|name| VARYING.contains(&name.as_str()))
}

pub(super) fn is(function: &Function, name: &str) -> bool {
    plain_name(function).as_deref() == Some(name)
}

/// Gives one of its arguments, in a type that holds them all.
pub(super) fn chooses(function: &Function) -> bool {
    matches!(plain_name(function).as_deref(), Some("coalesce" | "greatest" | "least" | "nullif"))
}

/// The expressions that are no more than the names of arguments: `days` of `make_interval(days => 1)`.
pub(super) fn names_of_arguments(function: &Function) -> Vec<*const Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let names = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::ExprNamed {
            name,
            operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
            ..
        } => Some(std::ptr::from_ref(name)),
        _ => None,
    });
    names.collect()
}

/// What a function is given.
pub(super) fn values(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let values = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    values.collect()
}

/// Evaluates some of its arguments only where others ask for it.
pub(super) fn may_skip(function: &Function) -> bool {
    let name = plain_name(function);
    chooses(function) || matches!(name.as_deref(), Some("if" | "iif" | "ifnull"))
}

/// True if a function is known, and gives one value for each row.
pub(super) fn gives_one_value(function: &Function) -> bool {
    let listed = |name: String| {
        let name = name.as_str();
        (SAFE.contains(&name) || PLAIN.contains(&name)) && !TABLE.contains(&name)
    };
    plain_name(function).is_some_and(listed)
}

pub(super) fn cannot_raise(dialect: Dialect, function: &Function) -> bool {
    let Some(name) = plain_name(function) else { return false };
    // `length(body, 'UTF8')` decodes first, and its error shows the bytes that are no text.
    if dialect == Dialect::Postgres && name == "length" && arguments(function) != 1 {
        return false;
    }
    SAFE.contains(&name.as_str()) || (dialect == Dialect::Sqlite && SAFE_IN_SQLITE.contains(&name.as_str()))
}

fn arguments(function: &Function) -> usize {
    match &function.args {
        FunctionArguments::List(list) => list.args.len(),
        _ => 0,
    }
}

fn refused(name: &str) -> Error {
    let construct = format!("function {}", shown(name));
    let hint = "allow the function in the policy if it reads no tenant's table and no session state";
    Error::new(ErrorKind::FunctionNotAllowed, construct, hint)
}
