//! Columns of nested queries that may raise, fenced one by one.
//!
//! A fence around the column leaves its query open to conditions on its other columns, so that indexes serve them still: a
//! limit around the whole query made such a read five hundred times as slow.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Select, SelectItem, visit_expressions};
use sqlparser::keywords::Keyword;

use super::clause::Clauses;
use super::functions;
use super::groups::aggregated;
use super::token::Kind;
use super::walk::Walk;
use super::weight::weighs;
use crate::error::Error;
use crate::policy::{Dialect, LeakyPredicates};

/// A column, and its tokens without the name that it is given.
type Column<'s> = (&'s Expr, (usize, usize));

impl Walk<'_> {
    /// Keeps outer predicates out of a nested query's columns that may raise.
    pub(super) fn fence_columns(
        &mut self,
        select: &Select,
        clauses: &Clauses,
        start: usize,
    ) -> Result<(), Error> {
        let wrapped = self.is_wrapped(select);
        let leaks = |item: &&SelectItem| self.exposed(item) || (wrapped && weighs(item));
        let leaky: Vec<&SelectItem> = select.projection.iter().filter(leaks).collect();
        if leaky.is_empty() {
            return Ok(());
        }
        let Some(columns) = self.columns(select, &leaky, clauses, start) else {
            self.stands_alone_on_mysql(select, start)?;
            return self.fence_query(start);
        };
        let guards = self.sources.guards.clone();
        for (expr, range) in columns {
            self.fence(range, &self.read_by(expr, &guards), self.sources.nullable)?;
        }
        self.raise_barriers()
    }

    /// Where the `leaky` columns stand, if a fence around each changes neither what they are called nor what they are.
    fn columns<'s>(
        &self,
        select: &Select,
        leaky: &[&'s SelectItem],
        clauses: &Clauses,
        start: usize,
    ) -> Option<Vec<Column<'s>>> {
        let frame = self.frames.last()?;
        let groups = aggregated(select) || select.having.is_some() || select.distinct.is_some();
        let plain = frame.apart && frame.single && !frame.ordered && !groups && gives_one_value(select);
        // CASE has a type without its length, which a recursive query compares.
        let fences = self.rules.dialect == Dialect::Postgres
            && self.rules.leaky == LeakyPredicates::Fence
            && !self.frames.iter().any(|frame| frame.recursive);
        if !plain || !fences || self.frame_ends().0 || self.sources.guards.is_empty() {
            return None;
        }
        let all = self.items(start + 1, clauses.from?);
        if all.len() != select.projection.len() {
            return None;
        }
        let column = |item: &&'s SelectItem| {
            let SelectItem::ExprWithAlias { expr, alias } = *item else { return None };
            let name = self.token(alias.span).ok()?;
            let (first, _) = *all.iter().find(|(_, end)| *end == name + 1)?;
            let end = if self.toks.keyword(name - 1) == Some(Keyword::AS) { name - 1 } else { name };
            let own = self.sees_nothing_outside() || !self.names_others(expr);
            (first < end && own).then_some((expr, (first, end)))
        };
        leaky.iter().map(column).collect()
    }

    /// The tokens of what stands between commas.
    fn items(&self, first: usize, end: usize) -> Vec<(usize, usize)> {
        let (mut items, mut start, mut i) = (Vec::new(), first, first);
        while i < end {
            if self.toks.is(i, Kind::Comma) {
                items.push((start, i));
                start = i + 1;
            }
            i = self.toks.next(i);
        }
        items.push((start, end));
        items
    }
}

/// True if no function in a column of `select` may give several values, for which CASE has no place, or one of many rows: an
/// aggregate in a nested query may be one of the query around it.
fn gives_one_value(select: &Select) -> bool {
    visit_expressions(&select.projection, |part| match part {
        Expr::Function(function) if !functions::gives_one_value(function) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_continue()
}

#[cfg(test)]
mod tests;
