//! The queries that are being visited, one inside of the other, and the common table expressions that are in sight.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Cte, Ident, LockClause, LockType, ObjectNamePart, Query, SetExpr, Visit, Visitor, With, visit_relations,
};

use super::barrier::Barrier;
use super::certain::certain;
use super::check::plain_body;
use super::clause::unclear;
use super::token::too_complex;
use super::walk::Walk;
use crate::error::Error;
use crate::policy::Dialect;

/// A common table expression: its name, where its query stands in memory, and what keeps predicates out of it.
#[derive(Debug)]
struct Named {
    name: String,
    query: usize,
    barrier: Barrier,
    /// Something in it may raise when it is run.
    unsure: bool,
}

/// One query that is being visited, and the common table expressions that it defines.
#[derive(Debug)]
pub(super) struct Frame {
    ctes: Vec<Named>,
    pub(super) recursive: bool,
    /// The common table expression that is being visited; all are visible once none is.
    pub(super) inside: Option<usize>,
    /// Nothing reads from it but the caller, or the table that it is inserted into.
    root: bool,
    pub(super) ordered: bool,
    pub(super) limited: bool,
    pub(super) locked: bool,
    /// Nothing is pushed into it.
    stands: bool,
    /// An expression asks it.
    pub(super) asked: bool,
    /// It is a table in FROM, or a common table expression.
    pub(super) apart: bool,
    /// It is a SELECT, and no branches of one.
    pub(super) single: bool,
    /// What rows it locks that are to be changed: those of the table of a name, or all.
    locks: Vec<Option<String>>,
}

/// Common table expressions that one WITH may have.
const MOST: usize = 500;

impl Walk<'_> {
    /// Common table expressions see their earlier siblings, and all siblings if they are RECURSIVE.
    ///
    /// In SQLite they see all siblings either way; a reference that would mean a table elsewhere is refused there.
    pub(super) fn cte(&self, name: &str) -> Result<Option<Barrier>, Error> {
        // The innermost of one name is meant.
        for frame in self.frames.iter().rev() {
            let Some(i) = frame.ctes.iter().position(|cte| cte.name == name) else { continue };
            let later = !frame.recursive && frame.inside.is_some_and(|current| i >= current);
            if later && self.rules.dialect == Dialect::Sqlite {
                return Err(unclear("a common table expression that is used before it is defined"));
            }
            if !later {
                return Ok(Some(frame.ctes[i].barrier));
            }
        }
        Ok(None)
    }

    /// True inside a query that another one reads from.
    pub(super) fn nested(&self) -> bool {
        self.frames.last().is_some_and(|frame| !frame.root)
    }

    /// True if no query at hand is asked by an expression: none can be evaluated on a row of another.
    pub(super) fn sees_nothing_outside(&self) -> bool {
        self.frames.iter().enumerate().all(|(i, frame)| frame.apart || (i == 0 && frame.root))
    }

    /// The tables whose rows `query` locks as if it changed them; nothing where it locks those of all.
    fn locks(&self, query: &Query) -> Vec<Option<String>> {
        let changes = query.locks.iter().filter(|lock| matches!(lock.lock_type, LockType::Update));
        let name = |lock: &LockClause| {
            let of = lock.of.as_ref()?;
            let name = of.0.last()?.as_ident()?;
            self.rules.fold(name).ok()
        };
        changes.map(name).collect()
    }

    /// True if rows of the relation called `name` are locked as if they were changed.
    pub(super) fn is_locked(&self, name: &Ident) -> bool {
        let Ok(name) = self.rules.fold(name) else { return true };
        let mut own = true;
        for frame in self.frames.iter().rev() {
            let locks = |of: &Option<String>| !own || of.as_ref().is_none_or(|of| *of == name);
            if frame.locks.iter().any(locks) {
                return true;
            }
            if frame.asked {
                return false;
            }
            own = false;
        }
        false
    }

    /// Whether nothing is pushed into the query at hand anyway, and whether it has a locking clause.
    pub(super) fn frame_ends(&self) -> (bool, bool) {
        let Some((frame, around)) = self.frames.split_last() else { return (false, false) };
        let cte = around.last().and_then(|parent| Some(&parent.ctes[parent.inside?]));
        (frame.stands || cte.is_some_and(|cte| cte.barrier.stands), frame.locked)
    }

    pub(super) fn enter(&mut self, query: &Query) -> Result<(), Error> {
        let Query { with, body, order_by, for_clause, settings, format_clause, pipe_operators, .. } = query;
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty()
        {
            return Err(unclear("a clause of another database"));
        }
        plain_body(body)?;
        let address = std::ptr::from_ref(query) as usize;
        if let Some(parent) = self.frames.last_mut()
            && let Some(i) = parent.ctes.iter().position(|cte| cte.query == address)
        {
            parent.inside = Some(i);
        }
        let cte = self
            .frames
            .last()
            .is_some_and(|parent| parent.inside.is_some_and(|inside| parent.ctes[inside].query == address));
        let ctes = with.as_ref().map(|with| self.ctes(with)).transpose()?.unwrap_or_default();
        self.frames.push(Frame {
            ctes,
            recursive: with.as_ref().is_some_and(|with| with.recursive),
            inside: None,
            root: (self.frames.is_empty() && !self.changes) || self.inserted == Some(address),
            ordered: order_by.is_some(),
            limited: query.limit_clause.is_some() || query.fetch.is_some(),
            locked: !query.locks.is_empty(),
            stands: self.ends(query).0,
            asked: cte || self.asked.contains(&address),
            apart: cte || self.derived.contains(&address),
            single: matches!(**body, SetExpr::Select(_)),
            locks: self.locks(query),
        });
        if self.nested() { self.values_leak(body) } else { Ok(()) }
    }

    fn ctes(&self, with: &With) -> Result<Vec<Named>, Error> {
        if with.cte_tables.len() > MOST {
            return Err(too_complex("common table expressions", "use several statements"));
        }
        let mut ctes: Vec<Named> = Vec::with_capacity(with.cte_tables.len());
        for Cte { alias, query, from, closing_paren_token, .. } in &with.cte_tables {
            let name = self.rules.fold(&alias.name)?;
            let taken = ctes.iter().any(|other| other.name == name);
            let shadows = self.rules.dialect == Dialect::MySql && self.rules.knows_any_case(&name);
            if from.is_some() || taken || shadows {
                return Err(unclear("the name of a common table expression"));
            }
            let (limited, locked) = self.ends(query);
            let close = self.token(closing_paren_token.0.span)?;
            // RECURSIVE alone says nothing: a sibling that does not read itself is like any other.
            let recursive = with.recursive && self.reads(query, &name)?;
            // PostgreSQL merges none that locks rows.
            let locks = locked && self.rules.dialect == Dialect::Postgres;
            let stands = limited || recursive || locks || writes(query);
            let barrier = Barrier { close, lateral: None, stands, locked };
            let earlier = |name: &str| ctes.iter().any(|cte| cte.unsure && cte.name == name);
            let unsure = !certain(self.rules, query.as_ref()) || self.reads_unsure(query.as_ref(), &earlier);
            ctes.push(Named { name, query: std::ptr::from_ref(query.as_ref()) as usize, barrier, unsure });
        }
        Ok(ctes)
    }

    /// True if something in `part` reads a common table expression that may raise when it is run.
    pub(super) fn reads_unsure(&self, part: &impl Visit, also: &dyn Fn(&str) -> bool) -> bool {
        let unsure = |name: &str| {
            let mut ctes = self.frames.iter().flat_map(|frame| &frame.ctes);
            also(name) || ctes.any(|cte| cte.unsure && cte.name == name)
        };
        visit_relations(part, |relation| match &relation.0[..] {
            [ObjectNamePart::Identifier(ident)] if self.rules.fold(ident).is_ok_and(|name| unsure(&name)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    }

    /// True if `query` reads a relation of that name; refused if one of its own expressions may be meant.
    fn reads(&self, query: &Query, name: &str) -> Result<bool, Error> {
        let named = |ident: &Ident| self.rules.fold(ident).is_ok_and(|folded| folded == name);
        let found = visit_relations(query, |relation| match &relation.0[..] {
            [ObjectNamePart::Identifier(ident)] if named(ident) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        let mut inner = Inner { named: &named, again: false };
        let _ = query.visit(&mut inner);
        if found.is_break() && inner.again {
            return Err(unclear("a common table expression inside a recursive one of the same name"));
        }
        Ok(found.is_break())
    }

    /// Whether a query has a limit, through which nothing is pushed, and a locking clause.
    ///
    /// MariaDB pushes conditions into the branches of a UNION ALL, whatever limit stands behind it.
    pub(super) fn ends(&self, query: &Query) -> (bool, bool) {
        let limited = query.limit_clause.is_some() || query.fetch.is_some();
        let branches = has_branches(&query.body);
        (limited && !(branches && self.rules.dialect == Dialect::MySql), !query.locks.is_empty())
    }

    pub(super) fn leave(&mut self, query: &Query) {
        self.frames.pop();
        let address = std::ptr::from_ref(query) as usize;
        if let Some(parent) = self.frames.last_mut()
            && let Some(i) = parent.inside
            && parent.ctes[i].query == address
        {
            parent.inside = None;
        }
    }
}

fn has_branches(body: &SetExpr) -> bool {
    match body {
        SetExpr::SetOperation { .. } => true,
        SetExpr::Query(query) => has_branches(&query.body),
        _ => false,
    }
}

/// True if `query` is an INSERT, UPDATE or DELETE: it runs once and whole, whatever reads from it.
fn writes(query: &Query) -> bool {
    matches!(*query.body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_))
}

/// Looks for a common table expression of a name.
struct Inner<'a> {
    named: &'a dyn Fn(&Ident) -> bool,
    again: bool,
}

impl Visitor for Inner<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.again |= ctes.into_iter().any(|cte| (self.named)(&cte.alias.name));
        ControlFlow::Continue(())
    }
}
