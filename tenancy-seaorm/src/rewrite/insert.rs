//! INSERT: every row is stamped with the tenant, and an upsert stays within it.

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, DoUpdate, Expr, GroupByExpr, Ident, Insert, ObjectName,
    OnConflict, OnConflictAction, OnInsert, OrderByKind, Query, Select, SelectItem, SetExpr, TableObject,
    Value, Values,
};
use sqlparser::keywords::Keyword;

use super::Broken;
use super::clause::{Clauses, from_end, once, unclear};
use super::edit::{Piece, param_number};
use super::from::Guard;
use super::names::is_column_of_system;
use super::plan::Check;
use super::rules::{Found, Owned};
use super::target::Target;
use super::token::Kind;
use super::walk::Walk;
use crate::error::{Error, ErrorKind};
use crate::policy::Dialect;

/// Where an upsert stands, and what it writes to.
struct Place<'a> {
    /// The token ON of ON CONFLICT.
    on: usize,
    /// The target, if the parser did not see it.
    target: Option<Target>,
    owned: &'a Owned,
    guard: &'a Guard,
}

impl Walk<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<(), Error> {
        plain(insert)?;
        self.inserted = insert.source.as_deref().map(|source| std::ptr::from_ref(source) as usize);
        let TableObject::TableName(name) = &insert.table else {
            return Err(unclear("INSERT into a function or query"));
        };
        let start = self.token(insert.insert_token.0.span)?;
        let on = self.on_insert(start, insert.on.is_some())?;
        let target = self.claim(insert.on.as_ref(), on)?;
        let owned = match self.find_target(name)? {
            Found::Owned(owned) => owned,
            Found::Global { writable: true, .. } => return Ok(()),
            Found::Global { .. } | Found::Cte => return Err(read_only()),
        };
        let (first, last) = self.name_tokens(name)?;
        let alias = insert.table_alias.as_ref().map(|alias| self.token(alias.alias.span)).transpose()?;
        let guard = Guard::new(
            self.toks.text(alias.unwrap_or(last)).to_owned(),
            owned.quoted.clone(),
            name.to_string(),
            (first, last),
            self.rules.dialect,
        );
        self.stamp(insert, owned, alias.unwrap_or(last) + 1)?;
        self.note(&guard.table, "insert");
        match (&insert.on, on) {
            (Some(action), Some(on)) => self.upsert(action, Place { on, target, owned, guard: &guard }),
            _ => Ok(()),
        }
    }

    /// The token ON of `ON CONFLICT` or `ON DUPLICATE KEY`, and the RETURNING after it.
    fn on_insert(&mut self, start: usize, wanted: bool) -> Result<Option<usize>, Error> {
        let (mut on, mut returning, mut i) = (None, None, start);
        while i < self.toks.len() && !self.toks.is(i, Kind::Close) {
            match self.toks.keyword(i) {
                Some(Keyword::ON)
                    if matches!(self.toks.keyword(i + 1), Some(Keyword::CONFLICT | Keyword::DUPLICATE)) =>
                {
                    // A function of that name in a join's condition would be the first of two.
                    once(&mut on, i)?;
                }
                Some(Keyword::RETURNING) if returning.is_none() => returning = Some(i),
                _ => {}
            }
            i = self.toks.next(i);
        }
        self.set_returning(returning);
        Clauses::agree("ON CONFLICT", wanted, on.is_some())?;
        Ok(on)
    }

    /// The target that the parser did not see, if there was one.
    fn claim(&mut self, action: Option<&OnInsert>, on: Option<usize>) -> Result<Option<Target>, Error> {
        let (Some(OnInsert::OnConflict(conflict)), Some(on)) = (action, on) else { return Ok(None) };
        let target = Target::claim(&mut self.targets, on, self.rules)?;
        match (&conflict.conflict_target, &target) {
            (Some(_), Some(_)) => Err(unclear("two conflict targets")),
            _ => Ok(target),
        }
    }

    fn stamp(&mut self, insert: &Insert, owned: &Owned, after_name: usize) -> Result<(), Error> {
        let source = insert.source.as_deref();
        if insert.columns.is_empty() {
            return self.stamp_defaults(source, owned, after_name);
        }
        if !self.toks.is(after_name, Kind::Open) {
            return Err(unclear("a list of columns"));
        }
        let source = source.ok_or_else(|| unclear("INSERT without rows"))?;
        match self.position(&insert.columns, owned)? {
            Some(column) => self.check_rows(source, insert.columns.len(), column),
            None => {
                counts_columns(source)?;
                let list = Piece::text(format!(", {}", owned.quoted));
                self.edits.before(self.toks.toks[after_name].mate, list);
                self.append(&source.body, Some(insert.columns.len()))
            }
        }
    }

    /// Where the tenant column stands in a list of columns.
    fn position(&self, columns: &[ObjectName], owned: &Owned) -> Result<Option<usize>, Error> {
        let mut position = None;
        for (i, column) in columns.iter().enumerate() {
            if self.names_tenant(column, owned)? && position.replace(i).is_some() {
                return Err(unclear("a column named twice"));
            }
        }
        Ok(position)
    }

    fn names_tenant(&self, column: &ObjectName, owned: &Owned) -> Result<bool, Error> {
        for part in &column.0 {
            let ident = part.as_ident().ok_or_else(|| unclear("a computed column name"))?;
            if is_column_of_system(self.rules, ident) {
                return Err(unclear("a column that tells where a row lies, and so of the rows beside it"));
            }
            if self.same_column(&self.rules.fold(ident)?, owned) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Column names are compared without regard to case where the database does so.
    fn same_column(&self, name: &str, owned: &Owned) -> bool {
        match self.rules.dialect {
            Dialect::Postgres => name == owned.folded,
            Dialect::Sqlite | Dialect::MySql => name.eq_ignore_ascii_case(&owned.folded),
        }
    }

    /// `DEFAULT VALUES`, and `VALUES (DEFAULT)` without a list of columns.
    fn stamp_defaults(&mut self, source: Option<&Query>, owned: &Owned, at: usize) -> Result<(), Error> {
        let list = format!("({}) VALUES ", owned.quoted);
        match source.map(|source| &*source.body) {
            None if self.toks.is(at, Kind::Word(Keyword::DEFAULT))
                && self.toks.is(at + 1, Kind::Word(Keyword::VALUES)) =>
            {
                self.edits.replace(at, Piece::text(list).and("(").tenant().and(")"));
                self.edits.replace(at + 1, Piece::default());
                Ok(())
            }
            Some(SetExpr::Values(values)) if self.toks.is(at, Kind::Word(Keyword::VALUES)) => {
                self.edits.replace(at, Piece::text(list));
                for row in &values.rows {
                    let [only] = &row.content[..] else { return Err(no_columns()) };
                    if !is_default(only) {
                        return Err(no_columns());
                    }
                    self.edits.replace(self.token(row.opening_token.0.span)? + 1, Piece::default().tenant());
                }
                Ok(())
            }
            _ => Err(no_columns()),
        }
    }

    /// The statement names the tenant column itself: each row's value has to be this tenant, or unset.
    fn check_rows(&mut self, source: &Query, columns: usize, column: usize) -> Result<(), Error> {
        let SetExpr::Values(Values { rows, .. }) = &*source.body else {
            let hint = "leave the tenant column out of INSERT … SELECT: it is filled in";
            return Err(Error::new(
                ErrorKind::ForeignTenant,
                "INSERT … SELECT that names the tenant column",
                hint,
            ));
        };
        for row in rows {
            if row.content.len() != columns {
                return Err(unclear("a row of another length than the list of columns"));
            }
            match &row.content[column] {
                Expr::Value(value) => {
                    let token = self.token(value.span)?;
                    match &value.value {
                        Value::Placeholder(_) => {
                            let index = self.param_index(token)?;
                            self.checks.push(Check::Stamp(index));
                        }
                        Value::Null => self.edits.replace(token, Piece::default().tenant()),
                        _ => return Err(computed_tenant()),
                    }
                }
                Expr::Identifier(ident) if is_default(&row.content[column]) => {
                    let token = self.token(ident.span)?;
                    self.edits.replace(token, Piece::default().tenant());
                }
                _ => return Err(computed_tenant()),
            }
        }
        Ok(())
    }

    /// Adds the tenant to every row that a query delivers.
    fn append(&mut self, body: &SetExpr, columns: Option<usize>) -> Result<(), Error> {
        match body {
            SetExpr::Values(values) => {
                for row in &values.rows {
                    if columns.is_some_and(|columns| columns != row.content.len()) || row.content.is_empty() {
                        return Err(unclear("a row of another length than the list of columns"));
                    }
                    let close = self.token(row.closing_token.0.span)?;
                    self.edits.before(close, Piece::text(", ").tenant());
                }
                Ok(())
            }
            SetExpr::Select(select) => {
                let start = self.token(select.select_token.0.span)?;
                let clauses = Clauses::scan(self.toks, start, self.rules.dialect)?;
                let end = clauses.from.unwrap_or(from_end(&clauses));
                if select.projection.is_empty() || end <= start + 1 {
                    return Err(unclear("SELECT without columns"));
                }
                self.edits.after(end - 1, Piece::text(", ").tenant());
                Ok(())
            }
            SetExpr::Query(query) => self.append(&query.body, columns),
            SetExpr::SetOperation { left, right, .. } => {
                self.append(left, columns)?;
                self.append(right, columns)
            }
            _ => Err(unclear("INSERT from this kind of query")),
        }
    }

    /// Which bound value a placeholder stands for.
    pub(super) fn param_index(&self, token: usize) -> Result<usize, Error> {
        Ok(match param_number(self.toks.text(token), self.rules.dialect)? {
            Some(number) => number - 1,
            None => self.toks.placeholders_before(token),
        })
    }

    fn upsert(&mut self, action: &OnInsert, place: Place<'_>) -> Result<(), Error> {
        if self.rules.broken(Broken::UpsertTarget) || self.rules.broken(Broken::NoFilter) {
            return Ok(());
        }
        match action {
            OnInsert::DuplicateKeyUpdate(assignments) if self.rules.tenant_leads_unique_keys => {
                assignments.iter().try_for_each(|assignment| self.assignment(assignment, place.owned, true))
            }
            OnInsert::OnConflict(conflict) => self.conflict(conflict, &place),
            _ => Err(shared_key()),
        }
    }

    fn conflict(&mut self, conflict: &OnConflict, place: &Place<'_>) -> Result<(), Error> {
        match (&conflict.conflict_target, &place.target) {
            (None, Some(target)) => self.complete(target.columns(), place)?,
            (Some(ConflictTarget::Columns(columns)), None) if self.toks.is(place.on + 2, Kind::Open) => {
                self.complete(columns.iter(), place)?;
            }
            _ if self.rules.tenant_leads_unique_keys => {}
            _ => return Err(shared_key()),
        }
        self.note(&place.guard.table, "on conflict");
        match &conflict.action {
            OnConflictAction::DoNothing => Ok(()),
            OnConflictAction::DoUpdate(update) => self.do_update(update, place),
        }
    }

    /// Puts the tenant into a target whose plain columns are `columns`, unless it is one of them.
    ///
    /// The database itself then refuses a target whose unique key lacks the tenant.
    fn complete<'c>(
        &mut self,
        columns: impl Iterator<Item = &'c Ident>,
        place: &Place<'_>,
    ) -> Result<(), Error> {
        let mut named = false;
        for column in columns {
            named |= self.same_column(&self.rules.fold(column)?, place.owned);
        }
        if !named {
            self.edits.after(place.on + 2, Piece::text(format!("{}, ", place.owned.quoted)));
        }
        Ok(())
    }

    fn do_update(&mut self, update: &DoUpdate, place: &Place<'_>) -> Result<(), Error> {
        for assignment in &update.assignments {
            self.assignment(assignment, place.owned, true)?;
        }
        let start = place.target.as_ref().map_or(place.on + 1, |target| target.action);
        let (mut wher, mut action, mut i) = (None, None, start);
        while i < self.toks.len() && !self.toks.is(i, Kind::Close) && !self.toks.is(i, Kind::Semicolon) {
            match self.toks.keyword(i) {
                Some(Keyword::DO) if action.is_none() => action = Some(i),
                Some(Keyword::WHERE) if action.is_some() && wher.is_none() => wher = Some(i),
                Some(Keyword::RETURNING) => break,
                Some(Keyword::WHERE) => return Err(unclear("an upsert with two conditions")),
                _ => {}
            }
            i = self.toks.next(i);
        }
        Clauses::agree("WHERE of an upsert", update.selection.is_some(), wher.is_some())?;
        self.guard_where(wher, i, std::slice::from_ref(place.guard))
    }

    /// An assignment must not change the tenant column; setting the tenant that is there already is no change.
    /// That is also what an upsert sets from the row that it could not insert, which no other statement knows as `excluded`.
    pub(super) fn assignment(
        &mut self,
        assignment: &Assignment,
        owned: &Owned,
        upsert: bool,
    ) -> Result<(), Error> {
        let AssignmentTarget::ColumnName(column) = &assignment.target else {
            let AssignmentTarget::Tuple(columns) = &assignment.target else {
                return Err(unclear("an assignment"));
            };
            for column in columns {
                if self.names_tenant(column, owned)? {
                    return Err(tenant_column());
                }
            }
            return Ok(());
        };
        if !self.names_tenant(column, owned)? {
            return Ok(());
        }
        match &assignment.value {
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                let token = self.token(value.span)?;
                let index = self.param_index(token)?;
                self.checks.push(Check::Same(index));
                Ok(())
            }
            Expr::CompoundIdentifier(parts) => match &parts[..] {
                [excluded, column]
                    if upsert
                        && excluded.value.eq_ignore_ascii_case("excluded")
                        && self.same_column(&self.rules.fold(column)?, owned) =>
                {
                    Ok(())
                }
                _ => Err(tenant_column()),
            },
            _ => Err(tenant_column()),
        }
    }
}

fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// Refuses what INSERT has in other databases, and the forms that replace or skip rows without a condition.
fn plain(insert: &Insert) -> Result<(), Error> {
    let replaces = insert.or.is_some() || insert.ignore || insert.overwrite || insert.replace_into;
    if replaces {
        let hint = "use ON CONFLICT with the columns of a key that contains the tenant";
        return Err(Error::new(ErrorKind::ConflictTarget, "REPLACE or INSERT OR …", hint));
    }
    let foreign = insert.partitioned.as_ref().is_some_and(|list| !list.is_empty())
        || !insert.after_columns.is_empty()
        || insert.has_table_keyword
        || insert.priority.is_some()
        || insert.insert_alias.is_some()
        || insert.settings.is_some()
        || insert.format_clause.is_some()
        || insert.output.is_some()
        || !insert.assignments.is_empty()
        || insert.multi_table_insert_type.is_some()
        || !insert.multi_table_into_clauses.is_empty()
        || !insert.multi_table_when_clauses.is_empty()
        || insert.multi_table_else_clause.is_some();
    if foreign { Err(unclear("INSERT with a clause of another database")) } else { Ok(()) }
}

pub(super) fn read_only() -> Error {
    Error::new(
        ErrorKind::ReadOnlyTable,
        "a write to a global table",
        "declare the table writable if tenants may write it",
    )
}

fn no_columns() -> Error {
    unclear("INSERT without a list of columns")
}

fn computed_tenant() -> Error {
    let hint = "leave the tenant column out, or bind its value";
    Error::new(ErrorKind::ForeignTenant, "a tenant column that is not a bound value", hint)
}

fn tenant_column() -> Error {
    Error::new(ErrorKind::TenantColumn, "a change of the tenant column", "rows do not change tenants")
}

fn shared_key() -> Error {
    let hint = "name the conflict columns, of a key that contains the tenant";
    Error::new(ErrorKind::ConflictTarget, "an upsert without conflict columns", hint)
}

/// Refuses the number of a column that the query does not have: with the tenant's value it would have it.
fn counts_columns(source: &Query) -> Result<(), Error> {
    let width = match first_select(&source.body) {
        Some(select) if select.projection.iter().all(is_one) => select.projection.len(),
        _ => return Ok(()),
    };
    let beyond = |expr: &Expr| match expr {
        Expr::Value(value) => {
            matches!(&value.value, Value::Number(number, _) if number.to_string().parse().is_ok_and(|number: usize| number > width))
        }
        _ => false,
    };
    let Query { order_by, .. } = source;
    let ordered = order_by.as_ref().is_some_and(|order| match &order.kind {
        OrderByKind::Expressions(list) => list.iter().any(|item| beyond(&item.expr)),
        OrderByKind::All(_) => false,
    });
    let grouped = first_select(&source.body).is_some_and(|select| match &select.group_by {
        GroupByExpr::Expressions(list, _) => list.iter().any(beyond),
        GroupByExpr::All(_) => false,
    });
    if ordered || grouped { Err(unclear("the number of a column that is not there")) } else { Ok(()) }
}

fn is_one(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
}

/// The SELECT that names the columns of a query.
fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}
