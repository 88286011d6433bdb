//! UPDATE and DELETE: the target and every other table are limited to the tenant's rows.

use sqlparser::ast::{Delete, Expr, FromTable, TableFactor, TableWithJoins, Update, UpdateTableFromKind};

use super::Broken;
use super::clause::{Clauses, from_end, unclear};
use super::from::Guard;
use super::insert::read_only;
use super::leak::Sources;
use super::names::name_of;
use super::rules::{Found, Owned};
use super::walk::Walk;
use crate::error::Error;
use crate::policy::Dialect;

impl<'a> Walk<'a> {
    pub(super) fn update(&mut self, update: &Update) -> Result<(), Error> {
        let limited = !update.order_by.is_empty() || update.limit.is_some();
        if update.or.is_some() || update.output.is_some() || (limited && self.rules.dialect != Dialect::MySql)
        {
            return Err(unclear("UPDATE with a clause of another database"));
        }
        let start = self.token(update.update_token.0.span)?;
        let clauses = Clauses::scan(self.toks, start, self.rules.dialect)?;
        let from = match &update.from {
            None => &[][..],
            Some(UpdateTableFromKind::AfterSet(from)) => from,
            Some(UpdateTableFromKind::BeforeSet(_)) => return Err(unclear("FROM before SET")),
        };
        Clauses::agree("SET", true, clauses.set.is_some())?;
        Clauses::agree("FROM", !from.is_empty(), clauses.from.is_some())?;
        Clauses::agree("WHERE", update.selection.is_some(), clauses.wher.is_some())?;
        Clauses::agree("RETURNING", update.returning.is_some(), clauses.returning.is_some())?;
        in_order(&[Some(start), clauses.set, clauses.from, clauses.wher, Some(clauses.tail)])?;
        self.set_returning(clauses.returning);
        self.sources = Sources::default();
        let mut guards = Vec::new();
        if let Some((owned, guard)) = self.target(&update.table, start + 1)? {
            for assignment in &update.assignments {
                self.assignment(assignment, owned, false)?;
            }
            self.sources.guards.push(guard.clone());
            guards.push(guard);
        }
        self.place_sources(from, clauses.from, from_end(&clauses), &mut guards)?;
        self.write_leaks(update.selection.as_ref(), &clauses)?;
        self.scopes.push(std::mem::take(&mut self.sources));
        self.guard_write(&clauses, &guards)
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<(), Error> {
        let limited = !delete.order_by.is_empty() || delete.limit.is_some();
        if !delete.tables.is_empty()
            || delete.output.is_some()
            || (limited && self.rules.dialect != Dialect::MySql)
        {
            return Err(unclear("DELETE of this form"));
        }
        let FromTable::WithFromKeyword(targets) = &delete.from else {
            return Err(unclear("DELETE without FROM"));
        };
        let [target] = &targets[..] else { return Err(unclear("DELETE from several tables")) };
        let start = self.token(delete.delete_token.0.span)?;
        let clauses = Clauses::scan(self.toks, start, self.rules.dialect)?;
        let using = delete.using.as_deref().unwrap_or_default();
        if !using.is_empty() && self.rules.dialect != Dialect::Postgres {
            return Err(unclear("DELETE with USING"));
        }
        Clauses::agree("FROM", true, clauses.from == Some(start + 1))?;
        Clauses::agree("USING", !using.is_empty(), clauses.using.is_some())?;
        Clauses::agree("WHERE", delete.selection.is_some(), clauses.wher.is_some())?;
        Clauses::agree("RETURNING", delete.returning.is_some(), clauses.returning.is_some())?;
        in_order(&[Some(start), clauses.from, clauses.using, clauses.wher, Some(clauses.tail)])?;
        self.set_returning(clauses.returning);
        self.sources = Sources::default();
        let mut guards = Vec::new();
        if let Some((_, guard)) = self.target(target, start + 2)? {
            self.sources.guards.push(guard.clone());
            guards.push(guard);
        }
        self.place_sources(using, clauses.using, from_end(&clauses), &mut guards)?;
        self.write_leaks(delete.selection.as_ref(), &clauses)?;
        self.scopes.push(std::mem::take(&mut self.sources));
        self.guard_write(&clauses, &guards)
    }

    /// The table that is written, which begins at `token`; `None` for a writable global one.
    fn target(&mut self, target: &TableWithJoins, token: usize) -> Result<Option<(&'a Owned, Guard)>, Error> {
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            partitions,
            sample,
            index_hints,
            ..
        } = &target.relation
        else {
            return Err(unclear("a write to something that is not a table"));
        };
        let plain = args.is_none()
            && with_hints.is_empty()
            && version.is_none()
            && partitions.is_empty()
            && sample.is_none()
            && index_hints.is_empty()
            && target.joins.is_empty()
            && alias.as_ref().is_none_or(|alias| alias.columns.is_empty());
        if !plain {
            return Err(unclear("a write to a join, or to a table with options"));
        }
        self.sources.names.extend(name_of(&target.relation).map(|name| self.rules.fold(name)).transpose()?);
        let owned = match self.find_target(name)? {
            Found::Owned(owned) => owned,
            Found::Global { writable: true, .. } => return Ok(None),
            Found::Global { .. } | Found::Cte => return Err(read_only()),
        };
        let (first, last) = self.name_tokens(name)?;
        if first != token {
            return Err(unclear("a word before a table's name"));
        }
        let qualifier = match alias {
            Some(alias) => self.qualifier(&alias.name)?,
            None => self.toks.text(last).to_owned(),
        };
        Ok(Some((
            owned,
            Guard::new(qualifier, owned.quoted.clone(), name.to_string(), (first, last), self.rules.dialect),
        )))
    }

    fn place_sources(
        &mut self,
        from: &[TableWithJoins],
        keyword: Option<usize>,
        end: usize,
        guards: &mut Vec<Guard>,
    ) -> Result<(), Error> {
        let target = self.sources.names.clone();
        self.rules.separate(from, &target.iter().map(String::as_str).collect::<Vec<_>>())?;
        let sources = self.place_from(from, keyword.map(|at| at + 1), end)?;
        if !self.rules.broken(Broken::UpdateSource) {
            guards.extend(sources);
        }
        Ok(())
    }

    fn write_leaks(&mut self, selection: Option<&Expr>, clauses: &Clauses) -> Result<(), Error> {
        self.sources.item = 0;
        match (selection, clauses.wher) {
            (Some(expr), Some(wher)) => self.predicate(expr, wher + 1, clauses.tail),
            _ => Ok(()),
        }
    }

    fn guard_write(&mut self, clauses: &Clauses, guards: &[Guard]) -> Result<(), Error> {
        if self.rules.broken(Broken::NoFilter) {
            return Ok(());
        }
        self.guard_where(clauses.wher, clauses.tail, guards)
    }
}

fn in_order(places: &[Option<usize>]) -> Result<(), Error> {
    if places.iter().flatten().is_sorted() { Ok(()) } else { Err(unclear("clauses out of order")) }
}
