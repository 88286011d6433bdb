//! What a statement may consist of: everything on these lists, and nothing else.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, Select, SelectFlavor, SetExpr, SetOperator, SetQuantifier, Statement,
    TableFactor, visit_expressions,
};

use super::clause::unclear;
use super::expr::subscripted;
use super::walk::Walk;
use crate::error::Error;
use crate::policy::Dialect;

impl Walk<'_> {
    pub(super) fn check_statement(&mut self, statement: &Statement) -> Result<(), Error> {
        match statement {
            Statement::Query(_) => Ok(()),
            Statement::Insert(insert) => {
                self.in_insert = true;
                self.insert(insert)
            }
            Statement::Update(update) => {
                self.changes = true;
                self.update(update)
            }
            Statement::Delete(delete) => {
                self.changes = true;
                self.delete(delete)
            }
            other => Err(super::refuse::statement(other)),
        }
    }

    pub(super) fn check_expr(&mut self, expr: &Expr) -> Result<(), Error> {
        super::expr::check(self.rules, expr)?;
        match expr {
            Expr::CompoundIdentifier(parts) => {
                self.rules.column(&self.given, &parts.iter().collect::<Vec<_>>())?;
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.rules.column(&self.given, &subscripted(root, access_chain).unwrap_or_default())?;
            }
            _ => {}
        }
        if let Expr::Subquery(query)
        | Expr::Exists { subquery: query, .. }
        | Expr::InSubquery { subquery: query, .. } = expr
        {
            self.asked.insert(std::ptr::from_ref(query.as_ref()) as usize);
        }
        self.check_aggregate(expr)?;
        self.check_pattern(expr)
    }

    /// Refuses an aggregate of a nested query that may be one of the query around it: MariaDB evaluates the nested query on
    /// the last row that it has read then, whoever's it is.
    fn check_aggregate(&self, expr: &Expr) -> Result<(), Error> {
        let Expr::Function(function) = expr else { return Ok(()) };
        if self.rules.dialect != Dialect::MySql
            || self.scopes.len() < 2
            || self.sees_nothing_outside()
            || function.over.is_some()
            || !super::functions::aggregate(function)
        {
            return Ok(());
        }
        let own = |table: &Ident| {
            let names = self.scopes.last().map(|scope| &scope.names);
            self.rules.fold(table).is_ok_and(|table| names.is_some_and(|names| names.contains(&table)))
        };
        let outer = visit_expressions(function, |part| match part {
            Expr::CompoundIdentifier(parts) if matches!(&parts[..], [table, _] if own(table)) => {
                ControlFlow::Continue(())
            }
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        match outer {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(unclear("an aggregate of a nested query over a column without its table's name"))
            }
        }
    }

    pub(super) fn census(&mut self, relation: &ObjectName) -> Result<(), Error> {
        let address = std::ptr::from_ref(relation) as usize;
        if self.placed.contains(&address) { Ok(()) } else { Err(unclear("a table in an unexpected place")) }
    }

    pub(super) fn check_factor(&mut self, factor: &TableFactor) -> Result<(), Error> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } => {
                self.placed(name);
                super::functions::table_function(self.rules, name)
            }
            TableFactor::Function { name, .. } => super::functions::table_function(self.rules, name),
            TableFactor::Derived { sample, .. } if sample.is_some() => Err(unclear("TABLESAMPLE of a query")),
            TableFactor::Derived { lateral: false, subquery, .. } => {
                self.derived.insert(std::ptr::from_ref(subquery.as_ref()) as usize);
                Ok(())
            }
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::UNNEST { .. } => Ok(()),
            _ => Err(unclear("a table expression")),
        }
    }
}

/// Refuses `TABLE t`, and set operations that other databases spell so.
pub(super) fn plain_body(body: &SetExpr) -> Result<(), Error> {
    match body {
        SetExpr::Table(_) => Err(unclear("TABLE")),
        SetExpr::SetOperation { left, op, set_quantifier, right } => {
            let known = matches!(op, SetOperator::Union | SetOperator::Except | SetOperator::Intersect);
            let quantified =
                matches!(set_quantifier, SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None);
            if !known || !quantified {
                return Err(unclear("a set operation of another database"));
            }
            plain_body(left)?;
            plain_body(right)
        }
        _ => Ok(()),
    }
}

/// Refuses what SELECT has in other databases only.
pub(super) fn plain_select(select: &Select) -> Result<(), Error> {
    let foreign = select.top.is_some()
        || select.exclude.is_some()
        || select.into.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.qualify.is_some()
        || select.value_table_mode.is_some()
        || select.flavor != SelectFlavor::Standard
        || select.select_modifiers.as_ref().is_some_and(|modifiers| modifiers.sql_calc_found_rows);
    if foreign { Err(unclear("SELECT with a clause of another database, or SELECT INTO")) } else { Ok(()) }
}
