//! Expressions: which forms are let through.

use sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator as Op, CastKind, DataType, Expr, Ident, Value,
};

use super::clause::unclear;
use super::functions;
use super::names::{is_of_system, is_reserved, is_variable};
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
            if plain && !catalog_type(data_type) && rules.knows_type(data_type) {
                Ok(())
            } else {
                Err(unclear("a cast of this kind"))
            }
        }
        Expr::TypedString(typed) if catalog_type(&typed.data_type) || !rules.knows_type(&typed.data_type) => {
            Err(unclear("a catalog type"))
        }
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
        // MariaDB 10.11 ends with a segmentation fault where a join has USING and the schema is none.
        Expr::CompoundIdentifier(parts) if parts.len() > 2 && rules.dialect == Dialect::MySql => {
            Err(unclear("a column with its schema"))
        }
        // SQLite takes a string for a name where one is due, and sqlparser for nothing else.
        Expr::CompoundIdentifier(parts) if parts.iter().any(|part| part.quote_style == Some('\'')) => {
            Err(unclear("a string in the place of a name"))
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

impl Rules {
    /// True if a type is not one of a schema that the policy does not know: another tenant's schema, and its tables, are none of
    /// a statement's business.
    fn knows_type(&self, data_type: &DataType) -> bool {
        match data_type {
            DataType::Custom(name, _) if self.dialect == Dialect::Postgres => match &name.0[..] {
                [_] => true,
                [schema, _] => schema.as_ident().is_some_and(|schema| self.knows_schema(schema)),
                _ => false,
            },
            DataType::Array(
                ArrayElemTypeDef::AngleBracket(of)
                | ArrayElemTypeDef::SquareBracket(of, _)
                | ArrayElemTypeDef::Parenthesis(of),
            ) => self.knows_type(of),
            _ => true,
        }
    }

    fn knows_schema(&self, schema: &Ident) -> bool {
        let Ok(schema) = self.fold(schema) else { return false };
        matches!(schema.as_str(), "pg_catalog" | "public") || self.declares_schema(&schema)
    }
}

/// `'orders'::regclass` and its kin look into the catalog.
fn catalog_type(data_type: &DataType) -> bool {
    const CATALOG: [&str; 17] = [
        // How many transactions there have been, and where a row lies, tells of everybody's rows.
        "xid",
        "xid8",
        "cid",
        "tid",
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
    let words = name.split(|c: char| !c.is_alphanumeric() && c != '_');
    // With an underscore before it, an array of them.
    let mut words = words.map(|word| word.strip_prefix('_').unwrap_or(word));
    words.any(|word| CATALOG.contains(&word) || (word.starts_with("pg_") && word != "pg_catalog"))
}
