//! FROM: each owned table's filter bubbles up the join tree to where it changes nothing but the rows of that table.
//!
//! INNER and CROSS joins and commas let it pass to WHERE. The nullable side of an outer join keeps it in that join's
//! ON. Where neither is exact (FULL, outer joins with USING or NATURAL, tables inside an aliased join, renamed
//! columns) the table becomes a derived table that holds this tenant's rows alone.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, Query, TableAlias, TableFactor, TableWithJoins, visit_relations,
};
use sqlparser::keywords::Keyword;

use super::Broken;
use super::barrier::Barrier;
use super::clause::{Segment, items, segments, unclear};
use super::edit::Piece;
use super::names::name_of;
use super::rules::Found;
use super::token::Kind;
use super::walk::Walk;
use crate::error::Error;
use crate::policy::{Dialect, LeakyPredicates};

/// The filter of one owned table, on its way to its place.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// How columns of this relation are qualified.
    pub(super) qualifier: String,
    /// The tenant column, quoted.
    pub(super) column: String,
    /// The table's name as the statement spells it.
    pub(super) table: String,
    /// First and last token of the table's name.
    name: (usize, usize),
    /// What compares it with the tenant's value.
    equals: &'static str,
    aliased: bool,
    /// Has an index hint, which a derived table cannot carry.
    bound_to_place: bool,
}

impl Guard {
    pub(super) fn new(
        qualifier: String,
        column: String,
        table: String,
        name: (usize, usize),
        dialect: Dialect,
    ) -> Self {
        Self { qualifier, column, table, name, equals: equals(dialect), aliased: false, bound_to_place: true }
    }

    pub(super) fn condition(&self) -> Piece {
        Piece::text(format!("{}.{} {} ", self.qualifier, self.column, self.equals)).tenant()
    }
}

/// The operator of a filter. MySQL puts what `=` has made equal in each other's place, in a fence too, which then decides
/// nothing; it does not so with `<=>`, which is the same where the value is not NULL.
fn equals(dialect: Dialect) -> &'static str {
    if dialect == Dialect::MySql { "<=>" } else { "=" }
}

/// True if a filter in WHERE may come after a fence that stands before it, where there is a RIGHT JOIN.
///
/// SQLite evaluates what has no query in it first, and so the filter before a fence, but not there; and what the filter says
/// is the same as the column it puts into the column's place, in the fence too.
fn filters_late(dialect: Dialect) -> bool {
    dialect == Dialect::Sqlite
}

pub(super) fn conjunction(guards: &[Guard]) -> Piece {
    let mut piece = Piece::default();
    for (i, guard) in guards.iter().enumerate() {
        piece = if i == 0 { piece } else { piece.and(" AND ") }.then(&guard.condition());
    }
    piece
}

impl Walk<'_> {
    /// Places the filters of a FROM clause whose tokens begin at `first` and end before `end`; returns those that
    /// belong into WHERE.
    pub(super) fn place_from(
        &mut self,
        from: &[TableWithJoins],
        first: Option<usize>,
        end: usize,
    ) -> Result<Vec<Guard>, Error> {
        if from.is_empty() {
            return Ok(Vec::new());
        }
        let first = first.ok_or_else(|| unclear("FROM"))?;
        let items = items(self.toks, first, end);
        if items.len() != from.len() {
            return Err(unclear("a list of tables"));
        }
        self.rules.separate(from, &[])?;
        self.rules.joins(from)?;
        let mut guards = Vec::new();
        for (tree, (first, end)) in from.iter().zip(items) {
            self.sources.item = self.sources.guards.len();
            guards.extend(self.tree(tree, first, end)?);
        }
        Ok(guards)
    }

    fn tree(&mut self, tree: &TableWithJoins, first: usize, end: usize) -> Result<Vec<Guard>, Error> {
        let parts = segments(self.toks, first, end)?;
        if parts.len() != tree.joins.len() + 1 || parts[0].on.is_some() {
            return Err(unclear("a join without parentheses"));
        }
        let mut guards = self.leaf(&tree.relation, parts[0])?;
        for (join, part) in tree.joins.iter().zip(&parts[1..]) {
            self.join(join, *part, &mut guards)?;
        }
        Ok(guards)
    }

    fn join(&mut self, join: &Join, part: Segment, left: &mut Vec<Guard>) -> Result<(), Error> {
        if join.global {
            return Err(unclear("GLOBAL JOIN"));
        }
        let right = self.leaf(&join.relation, part)?;
        self.sources.nullable |= outer_join(&join.join_operator);
        let right = if self.rules.broken(Broken::JoinSide) { Vec::new() } else { right };
        match &join.join_operator {
            JoinOperator::Join(on)
            | JoinOperator::Inner(on)
            | JoinOperator::CrossJoin(on)
            | JoinOperator::StraightJoin(on) => {
                self.constraint(on, part)?;
                left.extend(right);
            }
            JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => self.outer(on, part, right)?,
            JoinOperator::Right(on) | JoinOperator::RightOuter(on) if !filters_late(self.rules.dialect) => {
                let left_guards = std::mem::replace(left, right);
                self.outer(on, part, left_guards)?;
            }
            JoinOperator::FullOuter(on) if self.joins_behind_barriers(on, part) => {
                left.clear();
                self.behind_barriers()?;
            }
            JoinOperator::Right(on) | JoinOperator::RightOuter(on) | JoinOperator::FullOuter(on) => {
                self.constraint(on, part)?;
                left.drain(..).chain(right).try_for_each(|guard| self.derive(&guard))?;
            }
            _ => return Err(unclear("a join of another database")),
        }
        Ok(())
    }

    /// Notes a derived table, into which predicates could be pushed.
    fn barrier(&mut self, query: &Query, part: Segment) -> Result<(), Error> {
        let lateral = usize::from(self.toks.keyword(part.first) == Some(Keyword::LATERAL));
        let open = part.first + lateral;
        if !self.toks.is(open, Kind::Open) {
            return Err(unclear("a derived table"));
        }
        let (limited, locked) = self.ends(query);
        let close = self.toks.toks[open].mate;
        let lateral = (lateral == 1).then_some(open);
        // Rows that are spelled out are nobody's.
        let reads = visit_relations(query, |_| ControlFlow::Break(())).is_break();
        let stands = limited || (lateral.is_none() && !reads);
        self.sources.barriers.push(Barrier { close, lateral, stands, locked });
        Ok(())
    }

    /// Keeps the filters of an outer join's nullable side in its ON, or in derived tables if it has none.
    fn outer(&mut self, on: &JoinConstraint, part: Segment, guards: Vec<Guard>) -> Result<(), Error> {
        self.constraint(on, part)?;
        if guards.is_empty() {
            return Ok(());
        }
        // Under an alias too: from outside of it a condition in ON is no more than one predicate beside another.
        let Some(at) = part.on.filter(|_| self.sources.aliases == 0) else {
            return guards.iter().try_for_each(|guard| self.derive(guard));
        };
        if part.end <= at + 1 {
            return Err(unclear("an empty ON"));
        }
        self.beside(at + 1, part.end - 1, &conjunction(&guards));
        for guard in &guards {
            self.note(&guard.table, "on");
        }
        Ok(())
    }

    /// True if what stands in ON may fail: PostgreSQL makes a FULL JOIN by equations alone, and a fence around one is none.
    fn joins_behind_barriers(&self, on: &JoinConstraint, part: Segment) -> bool {
        let JoinConstraint::On(expr) = on else { return false };
        part.on.is_some()
            && self.rules.dialect == Dialect::Postgres
            && self.rules.leaky == LeakyPredicates::Fence
            && self.raises(expr)
    }

    /// Makes derived tables of all tables that ON of the join at hand sees, into which nothing is pushed then.
    fn behind_barriers(&mut self) -> Result<(), Error> {
        self.sources.aliases += 1;
        let guards = self.sources.guards[self.sources.item..].to_vec();
        for guard in &guards {
            let last = guard.name.1;
            if self.sources.derived.contains(&last) {
                self.sources.hidden.push(last);
            } else {
                self.derive(guard)?;
            }
        }
        self.sources.aliases -= 1;
        self.raise_barriers()
    }

    /// The condition in the tree and the one in the text must be of one kind.
    fn constraint(&mut self, on: &JoinConstraint, part: Segment) -> Result<(), Error> {
        match (on, part.on) {
            (JoinConstraint::On(expr), Some(at)) => self.predicate(expr, at + 1, part.end),
            (JoinConstraint::On(_), None) | (_, Some(_)) => Err(unclear("a join condition")),
            _ => Ok(()),
        }
    }

    fn leaf(&mut self, factor: &TableFactor, part: Segment) -> Result<Vec<Guard>, Error> {
        match factor {
            TableFactor::Table { args: None, .. } => Ok(self.table(factor, part)?.into_iter().collect()),
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.nested_join(table_with_joins, alias.as_ref(), part)
            }
            // Their insides are visited as queries and expressions of their own.
            _ => {
                if let TableFactor::Derived { subquery, .. } = factor {
                    self.barrier(subquery, part)?;
                }
                Ok(Vec::new())
            }
        }
    }

    fn nested_join(
        &mut self,
        tree: &TableWithJoins,
        alias: Option<&TableAlias>,
        part: Segment,
    ) -> Result<Vec<Guard>, Error> {
        if !self.toks.is(part.first, Kind::Open) {
            return Err(unclear("a join without parentheses"));
        }
        let before = self.sources.guards.len();
        let item = std::mem::replace(&mut self.sources.item, before);
        self.sources.aliases += usize::from(alias.is_some());
        let guards = self.tree(tree, part.first + 1, self.toks.toks[part.first].mate)?;
        self.sources.item = item;
        if alias.is_none() {
            return Ok(guards);
        }
        // The alias hides the tables from everything outside of the parentheses.
        self.sources.guards.truncate(before);
        guards.iter().try_for_each(|guard| self.derive(guard))?;
        self.sources.aliases -= 1;
        Ok(Vec::new())
    }

    fn table(&mut self, factor: &TableFactor, part: Segment) -> Result<Option<Guard>, Error> {
        let TableFactor::Table {
            name,
            alias,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
            ..
        } = factor
        else {
            return Err(unclear("a table expression"));
        };
        if !with_hints.is_empty()
            || version.is_some()
            || *with_ordinality
            || !partitions.is_empty()
            || json_path.is_some()
        {
            return Err(unclear("a table with options of another database"));
        }
        let table = name.to_string();
        let owned = match self.find(name)? {
            Found::Cte => return Ok(None),
            Found::Global { writable, .. } => {
                let name = alias.as_ref().map(|alias| &alias.name);
                let name = name.or_else(|| name_of(factor));
                if !writable && name.is_none_or(|name| self.is_locked(name)) {
                    return Err(unclear(
                        "FOR UPDATE of a table that all tenants read: say OF which of the others",
                    ));
                }
                self.note(&table, "global");
                return Ok(None);
            }
            Found::Owned(owned) => owned,
        };
        let (first, last) = self.name_tokens(name)?;
        if first != part.first {
            return Err(unclear("a word before a table's name"));
        }
        if sample.is_some() {
            return Err(unclear("TABLESAMPLE, which tells where rows lie, and so of the rows beside them"));
        }
        if alias.is_none() && index_hints.is_empty() {
            self.ends_at(last + 1, part)?;
        }
        let own =
            name.0.last().and_then(|part| part.as_ident()).ok_or_else(|| unclear("a computed table name"))?;
        let qualifier = self.qualifier(alias.as_ref().map_or(own, |alias| &alias.name))?;
        let guard = Guard {
            qualifier,
            column: owned.quoted.clone(),
            table,
            name: (first, last),
            equals: equals(self.rules.dialect),
            aliased: alias.is_some(),
            bound_to_place: !index_hints.is_empty(),
        };
        if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty() || alias.at.is_some()) {
            // Renamed columns could give the tenant column's name to another one.
            self.sources.aliases += 1;
            self.derive(&guard)?;
            self.sources.aliases -= 1;
            return Ok(None);
        }
        self.sources.guards.push(guard.clone());
        Ok(Some(guard))
    }

    /// Refuses a word behind a table's name that the parser has passed over: to the database it may be an alias.
    fn ends_at(&self, token: usize, part: Segment) -> Result<(), Error> {
        let follows = matches!(self.toks.keyword(token), Some(Keyword::ON | Keyword::USING));
        if token >= part.end
            || follows
            || self.toks.is(token, Kind::Comma)
            || self.toks.is(token, Kind::Close)
        {
            Ok(())
        } else {
            Err(unclear("a word behind a table's name"))
        }
    }

    pub(super) fn name_tokens(&self, name: &sqlparser::ast::ObjectName) -> Result<(usize, usize), Error> {
        let end = |part: Option<&sqlparser::ast::ObjectNamePart>| {
            let ident =
                part.and_then(|part| part.as_ident()).ok_or_else(|| unclear("a computed table name"))?;
            self.token(ident.span)
        };
        let (first, last) = (end(name.0.first())?, end(name.0.last())?);
        if last == first + 2 * (name.0.len() - 1) { Ok((first, last)) } else { Err(unclear("a table name")) }
    }

    /// Puts a derived table, which holds this tenant's rows alone, in a table's place.
    fn derive(&mut self, guard: &Guard) -> Result<(), Error> {
        if guard.bound_to_place {
            return Err(unclear("an index hint in this kind of join"));
        }
        // Behind its own name a derived table has no schema: `public.tags.name` would be another query's.
        if self.schemas && !guard.aliased {
            return Err(unclear(
                "a column with its schema, beside a table without an alias in this kind of join",
            ));
        }
        let (first, last) = guard.name;
        // The last part of the name qualifies it inside; outside, only an alias that is already there does.
        let own = self.toks.text(last);
        let inner = Piece::text(format!(" WHERE {own}.{} {} ", guard.column, guard.equals)).tenant();
        let closing = if guard.aliased { ")".to_owned() } else { format!(") AS {own}") };
        self.edits.before(first, Piece::text("(SELECT * FROM "));
        // In two pieces: a fence may have to stand between them.
        self.edits.after_inner(last, inner);
        self.edits.after(last, Piece::text(closing));
        self.note(&guard.table, "derived table");
        self.sources.derived.push(last);
        if self.sources.aliases > 0 {
            self.sources.hidden.push(last);
        }
        Ok(())
    }
}

pub(super) fn outer_join(operator: &JoinOperator) -> bool {
    use JoinOperator as J;
    matches!(operator, J::Left(_) | J::LeftOuter(_) | J::Right(_) | J::RightOuter(_) | J::FullOuter(_))
}
