//! Names of columns, which SQLite and MySQL take for the columns in the conditions of the same query.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Select, SelectItem, visit_expressions};

use super::walk::Walk;
use crate::policy::Dialect;

/// What the columns of a query are called that may raise.
#[derive(Debug, Default)]
pub(super) struct Raising {
    /// As names are compared.
    names: Vec<String>,
    /// One has no name, and goes by its text.
    unnamed: bool,
    /// One has a name that every database compares in its own way.
    odd: bool,
}

impl Walk<'_> {
    pub(super) fn raising(&self, select: &Select) -> Raising {
        let mut raising = Raising::default();
        if self.rules.dialect == Dialect::Postgres {
            return raising;
        }
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => raising.unnamed |= self.moved_raises(expr),
                SelectItem::ExprWithAlias { expr, alias } if self.moved_raises(expr) => {
                    let name = alias.value.trim();
                    raising.odd |= !is_plain(name);
                    raising.names.push(name.to_ascii_lowercase());
                }
                _ => {}
            }
        }
        raising
    }

    /// True if `expr` names a column of its query that may raise.
    pub(super) fn names_raising(&self, expr: &Expr) -> bool {
        let Raising { names, unnamed, odd } = &self.sources.raising;
        let raises = |name: &str| {
            let any = *odd || (!is_plain(name) && (*unnamed || !names.is_empty()));
            any || names.contains(&name.to_ascii_lowercase())
        };
        visit_expressions(expr, |part| match part {
            Expr::Identifier(ident) if raises(ident.value.trim()) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
