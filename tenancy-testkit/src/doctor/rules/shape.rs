//! Reads a policy's expression: does it let through the rows of one tenant alone?
//!
//! What is not understood counts as no: a function of the user's may do anything.

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SelectItem, SetExpr,
    Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserOptions};

/// What an expression comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// It is the constant `true`.
    True,
    /// It holds for one tenant's rows alone.
    OneTenant(Comparison),
    /// Anything else.
    Other,
}

/// A comparison of the tenant column with the setting, and what stands beside it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Comparison {
    /// The setting is read in a sub-select, once for a statement and not for each row.
    pub(super) once: bool,
    /// The setting is cast to the column's type though it may be empty or missing.
    pub(super) may_fail: bool,
    /// The other conditions, as text.
    pub(super) beside: Vec<String>,
}

/// Reads `text`, which is to compare `column` with `setting`.
pub(super) fn read(text: &str, column: &str, setting: &str) -> Shape {
    // Without unescaping, so that what is printed is what was read.
    let options = ParserOptions::new().with_unescape(false);
    let parser = Parser::new(&PostgreSqlDialect {}).with_options(options);
    let Some(mut parser) = parser.try_with_sql(text).ok() else { return Shape::Other };
    let Ok(expression) = parser.parse_expr() else { return Shape::Other };
    if parser.peek_token().token != sqlparser::tokenizer::Token::EOF {
        return Shape::Other;
    }
    let mut conjuncts = Vec::new();
    split(&expression, &mut conjuncts);
    if let [Expr::Value(value)] = conjuncts[..]
        && value.value == Value::Boolean(true)
    {
        return Shape::True;
    }
    let compares = |conjunct: &Expr| comparison(conjunct, column, setting);
    let Some(index) = conjuncts.iter().position(|conjunct| compares(conjunct).is_some()) else {
        return Shape::Other;
    };
    let mut found = compares(conjuncts.remove(index)).unwrap_or_default();
    found.beside = conjuncts.iter().map(ToString::to_string).collect();
    Shape::OneTenant(found)
}

fn split<'a>(expression: &'a Expr, conjuncts: &mut Vec<&'a Expr>) {
    match expression {
        Expr::Nested(inner) => split(inner, conjuncts),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(left, conjuncts);
            split(right, conjuncts);
        }
        other => conjuncts.push(other),
    }
}

fn comparison(expression: &Expr, column: &str, setting: &str) -> Option<Comparison> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expression else { return None };
    let read = [(left, right), (right, left)]
        .into_iter()
        .find_map(|(one, other)| is_column(one, column).then(|| reading(other, setting))?)?;
    let may_fail = !read.missing_is_null || read.cast && !read.empty_is_null;
    Some(Comparison { once: read.once, may_fail, beside: Vec::new() })
}

fn is_column(expression: &Expr, column: &str) -> bool {
    match expression {
        Expr::Nested(inner) => is_column(inner, column),
        // PostgreSQL compares `varchar` as `text`, and says so.
        Expr::Cast { expr, .. } => is_column(expr, column),
        Expr::Identifier(name) => name.value == column,
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| name.value == column),
        _ => false,
    }
}

/// How an expression reads the setting.
#[derive(Default)]
struct Reading {
    once: bool,
    cast: bool,
    empty_is_null: bool,
    missing_is_null: bool,
}

fn reading(expression: &Expr, setting: &str) -> Option<Reading> {
    match expression {
        Expr::Nested(inner) => reading(inner, setting),
        Expr::Cast { expr, data_type, .. } => {
            let text =
                matches!(data_type, DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_));
            reading(expr, setting).map(|read| Reading { cast: read.cast || !text, ..read })
        }
        Expr::Subquery(query) => {
            let SetExpr::Select(select) = query.body.as_ref() else { return None };
            let alone = select.from.is_empty() && select.selection.is_none() && query.with.is_none();
            let ([SelectItem::UnnamedExpr(inner)] | [SelectItem::ExprWithAlias { expr: inner, .. }]) =
                select.projection.as_slice()
            else {
                return None;
            };
            let read = reading(inner, setting).filter(|_| alone)?;
            Some(Reading { once: true, ..read })
        }
        Expr::Function(function) => {
            let [name] = function.name.0.as_slice() else { return None };
            let FunctionArguments::List(list) = &function.args else { return None };
            let arguments = list.args.iter().map(argument).collect::<Option<Vec<_>>>()?;
            let name = name.as_ident()?.value.to_ascii_lowercase();
            match (name.as_str(), arguments.as_slice()) {
                ("nullif", [inner, empty]) if literal(empty) == Some("") => {
                    reading(inner, setting).map(|read| Reading { empty_is_null: true, ..read })
                }
                ("current_setting", [name]) if literal(name) == Some(setting) => Some(Reading::default()),
                ("current_setting", [name, missing]) if literal(name) == Some(setting) => {
                    let missing_is_null =
                        matches!(missing, Expr::Value(value) if value.value == Value::Boolean(true));
                    Some(Reading { missing_is_null, ..Reading::default() })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    }
}

fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => literal(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        read(text, "tenant_id", "tenancy.tenant_id")
    }

    const GUARDED: &str = "(NULLIF(current_setting('tenancy.tenant_id'::text, true), ''::text))::bigint";

    /// RLS-05, RLS-07: as PostgreSQL prints them.
    #[test]
    fn a_comparison_with_the_setting_is_read_as_one_tenants() {
        let good = format!("(tenant_id = ( SELECT {GUARDED} AS \"nullif\"))");
        let once = Comparison { once: true, ..Comparison::default() };
        assert_eq!(shape(&good), Shape::OneTenant(once.clone()));
        let beside = Comparison { beside: vec!["NOT hidden".into()], ..once };
        assert_eq!(shape(&format!("({good} AND (NOT hidden))")), Shape::OneTenant(beside));
        let each_row = shape(&format!("(tenant_id = {GUARDED})"));
        assert_eq!(each_row, Shape::OneTenant(Comparison::default()));
        let unguarded =
            "(tenant_id = ( SELECT (current_setting('tenancy.tenant_id'::text, true))::bigint AS c))";
        assert!(matches!(shape(unguarded), Shape::OneTenant(Comparison { may_fail: true, once: true, .. })));
        let text = "((tenant_id)::text = ( SELECT current_setting('tenancy.tenant_id'::text, true) AS c))";
        assert!(matches!(shape(text), Shape::OneTenant(Comparison { may_fail: false, .. })));
        let unset = "(tenant_id = ( SELECT current_setting('tenancy.tenant_id'::text) AS c))";
        assert!(matches!(shape(unset), Shape::OneTenant(Comparison { may_fail: true, .. })));
    }

    #[test]
    fn whatever_else_is_not() {
        assert_eq!(shape("true"), Shape::True);
        let good = format!("(tenant_id = ( SELECT {GUARDED} AS \"nullif\"))");
        for other in [
            format!("({good} OR shared)"),
            format!("(NOT {good})"),
            format!("(owner_id = {GUARDED})"),
            format!("(tenant_id IS NOT DISTINCT FROM {GUARDED})"),
            format!("(tenant_id >= {GUARDED})"),
            format!("(tenant_id = COALESCE({GUARDED}, tenant_id))"),
            format!("(tenant_id = ( SELECT {GUARDED} AS c FROM tenants))"),
            "(tenant_id = app.current_tenant())".to_owned(),
            "(tenant_id = app.current_setting('tenancy.tenant_id'::text, true))".to_owned(),
            "(tenant_id = (current_setting('another.setting'::text, true))::bigint)".to_owned(),
            "(tenant_id = tenant_id)".to_owned(),
            "(tenant_id = 1)".to_owned(),
            "not an expression (".to_owned(),
            String::new(),
        ] {
            assert_eq!(shape(&other), Shape::Other, "{other}");
        }
    }
}
