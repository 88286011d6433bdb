//! What keeps an outer query's predicates out of a nested one: `OFFSET 0`, or what its database takes for that.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Select, visit_expressions};
use sqlparser::keywords::Keyword;

use super::clause::unclear;
use super::edit::Piece;
use super::fence::leaky;
use super::token::Kind;
use super::walk::Walk;
use crate::error::Error;
use crate::policy::{Dialect, LeakyPredicates};

/// A nested query that predicates could be pushed into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Barrier {
    /// Its closing parenthesis.
    pub(super) close: usize,
    /// Its opening parenthesis, if it sees what stands beside it in FROM.
    pub(super) lateral: Option<usize>,
    /// Has a LIMIT, or is recursive: nothing is pushed into it.
    pub(super) stands: bool,
    /// Has a locking clause, after which nothing can be inserted.
    pub(super) locked: bool,
}

impl Walk<'_> {
    pub(super) fn raise_barriers(&mut self) -> Result<(), Error> {
        for last in std::mem::take(&mut self.sources.hidden) {
            if !self.fenced.insert(last) {
                continue;
            }
            let limit = self.limit();
            self.edits.after_inner(last, Piece::text(limit));
            self.note("", "fence");
        }
        for barrier in std::mem::take(&mut self.sources.barriers) {
            self.raise(barrier)?;
        }
        Ok(())
    }

    pub(super) fn raise(&mut self, barrier: Barrier) -> Result<(), Error> {
        if barrier.stands || self.fenced.contains(&barrier.close) {
            return Ok(());
        }
        if barrier.locked {
            return Err(leaky("a locking query under a predicate that may fail on other tenants' rows"));
        }
        self.fenced.insert(barrier.close);
        self.note("", "fence");
        let open = self.toks.toks[barrier.close].mate;
        let (begin, end) = self.limited(open, barrier.close);
        if !begin.is_empty() {
            self.edits.after(open, Piece::text(begin));
        }
        self.edits.before_inner(barrier.close, Piece::text(end));
        Ok(())
    }

    /// What goes behind the opening parenthesis of a query, and before the closing one, to keep predicates out of it.
    ///
    /// MySQL has no limit directly in `IN (…)`, and MariaDB pushes conditions into the branches of a UNION past one.
    fn limited(&self, open: usize, close: usize) -> (String, String) {
        let (mut begin, mut end) = (String::new(), self.limit().to_owned());
        // SQLite has no limit behind VALUES.
        if self.rules.dialect == Dialect::Sqlite && self.toks.keyword(open + 1) == Some(Keyword::VALUES) {
            return ("SELECT * FROM (".to_owned(), format!("){end}"));
        }
        if self.rules.dialect != Dialect::MySql {
            return (begin, end);
        }
        let unites =
            |i| matches!(self.toks.keyword(i), Some(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT));
        let (among, tests) = self.asked_of(open);
        let branches = !tests && (open..close).any(unites);
        if branches {
            begin.push_str("SELECT * FROM (");
            end.insert_str(0, ") AS fenced");
        }
        if among {
            begin.insert_str(0, "SELECT * FROM (");
            end.push_str(") AS fenced");
        }
        (begin, end)
    }

    /// Whether a query in parentheses stands in `IN (…)` or `ANY (…)`, and whether in `EXISTS (…)`.
    pub(super) fn asked_of(&self, mut open: usize) -> (bool, bool) {
        while open > 0 && self.toks.is(open - 1, Kind::Open) {
            open -= 1;
        }
        let before = open.checked_sub(1).and_then(|before| self.toks.keyword(before));
        let among = matches!(before, Some(Keyword::IN | Keyword::ANY | Keyword::ALL | Keyword::SOME));
        (among, before == Some(Keyword::EXISTS))
    }

    /// Refuses a query in `IN (…)` that MySQL would have to read the row around it for, from inside of a derived table.
    pub(super) fn stands_alone_on_mysql(&self, select: &Select, start: usize) -> Result<(), Error> {
        let among = start.checked_sub(1).is_some_and(|open| self.asked_of(open).0);
        if self.rules.dialect != Dialect::MySql || !among {
            return Ok(());
        }
        let outer = visit_expressions(select, |part| match part {
            Expr::CompoundIdentifier(parts) if !matches!(&parts[..], [table, _] if self.names_own(table)) => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        match outer {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(leaky("a query in IN that may fail and reads the row around it")),
        }
    }

    /// A limit that leaves out nothing, and through which no predicate is pushed.
    fn limit(&self) -> &'static str {
        match self.rules.dialect {
            Dialect::Postgres => " OFFSET 0",
            Dialect::Sqlite => " LIMIT -1 OFFSET 0",
            Dialect::MySql => " LIMIT 18446744073709551615",
        }
    }

    /// Keeps outer predicates out of the nested query whose SELECT is token `start`.
    pub(super) fn fence_query(&mut self, start: usize) -> Result<(), Error> {
        match self.rules.leaky {
            LeakyPredicates::SecondWall => return Ok(()),
            LeakyPredicates::Refuse => {
                return Err(leaky("a nested query's column that may fail on other tenants' rows"));
            }
            LeakyPredicates::Fence => {}
        }
        let mut close = start;
        while close < self.toks.len() && !self.toks.is(close, Kind::Close) {
            close = self.toks.next(close);
        }
        let (limited, locked) = self.frame_ends();
        if close == self.toks.len() {
            return Err(unclear("a nested query without parentheses"));
        }
        self.raise(Barrier { close, lateral: None, stands: limited, locked })
    }
}
