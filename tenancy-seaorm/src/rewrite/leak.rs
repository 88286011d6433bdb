//! Predicates that may raise an error on a row.
//!
//! The database may evaluate WHERE, ON and HAVING before the tenant's filter, and push an outer query's predicate into
//! a nested one, where it meets the nested query's expressions. So those of nested queries count as predicates too.
//!
//! A fence orders them: `CASE WHEN <filter> THEN (<predicate>) END` for tables, and `OFFSET 0` for nested queries,
//! into which the planner then pushes nothing.

use sqlparser::ast::{Expr, Select, SelectItem};
use sqlparser::keywords::Keyword;

use super::clause::{Clauses, unclear};
use super::edit::Piece;
use super::expr::{aggregates, conjuncts, may_raise, patterns};
use super::from::Guard;
use super::plan::Check;
use super::token::{Kind, Tokens};
use super::walk::Walk;
use crate::error::{Error, ErrorKind};
use crate::policy::{Dialect, LeakyPredicates};

/// A nested query that predicates could be pushed into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Barrier {
    /// Its closing parenthesis.
    pub(super) close: usize,
    /// Has a LIMIT, or is recursive: nothing is pushed into it.
    pub(super) stands: bool,
    /// Has a locking clause, after which nothing can be inserted.
    pub(super) locked: bool,
}

/// What a FROM clause reads tenants' rows from.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) guards: Vec<Guard>,
    /// The first of the guards that ON of the join at hand can see.
    pub(super) item: usize,
    pub(super) barriers: Vec<Barrier>,
    /// There are tables that a predicate cannot be fenced against, because an alias hides them.
    pub(super) hidden: bool,
    /// There is an outer join, so that a table's columns may be NULL.
    pub(super) nullable: bool,
}

impl Sources {
    fn is_empty(&self) -> bool {
        self.guards.is_empty() && self.barriers.is_empty() && !self.hidden
    }
}

impl Walk<'_> {
    /// Looks at everything in a SELECT that could fail on rows of another tenant.
    pub(super) fn select_leaks(
        &mut self,
        select: &Select,
        clauses: &Clauses,
        start: usize,
    ) -> Result<(), Error> {
        if self.sources.is_empty() {
            return Ok(());
        }
        self.sources.item = 0;
        if let (Some(expr), Some(wher)) = (&select.selection, clauses.wher) {
            self.predicate(expr, wher + 1, clauses.tail)?;
        }
        for part in select.having.iter().flat_map(conjuncts).filter(|part| !aggregates(part)) {
            if may_raise(self.rules, part) && self.rules.leaky != LeakyPredicates::SecondWall {
                return Err(leaky("HAVING that may fail on other tenants' rows"));
            }
        }
        if self.nested() && select.projection.iter().any(|item| self.exposed(item)) {
            self.fence_query(start)?;
        }
        Ok(())
    }

    /// True if a column of a nested query may raise, and so an outer predicate on it.
    fn exposed(&self, item: &SelectItem) -> bool {
        match item {
            SelectItem::UnnamedExpr(expr)
            | SelectItem::ExprWithAlias { expr, .. }
            | SelectItem::ExprWithAliases { expr, .. } => !aggregates(expr) && may_raise(self.rules, expr),
            SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
        }
    }

    /// Looks at a predicate whose tokens are `[first, end)`, over the sources met so far.
    pub(super) fn predicate(&mut self, expr: &Expr, first: usize, end: usize) -> Result<(), Error> {
        if self.sources.is_empty() || self.rules.leaky == LeakyPredicates::SecondWall {
            return Ok(());
        }
        self.check_patterns(expr)?;
        let parts = conjuncts(expr);
        let mut ranges = split(self.toks, first, end);
        if ranges.len() != parts.len() {
            ranges = vec![(first, end); parts.len()];
        }
        let mut fenced = None;
        for (part, range) in parts.into_iter().zip(ranges) {
            if fenced != Some(range) && may_raise(self.rules, part) {
                if self.rules.leaky == LeakyPredicates::Refuse {
                    return Err(leaky("a predicate that may fail on other tenants' rows"));
                }
                self.fence(range)?;
                fenced = Some(range);
            }
        }
        if fenced.is_some() { self.raise_barriers() } else { Ok(()) }
    }

    fn fence(&mut self, (first, end): (usize, usize)) -> Result<(), Error> {
        if self.sources.hidden || end <= first {
            return Err(leaky("a predicate over an aliased join that may fail on other tenants' rows"));
        }
        let guards = &self.sources.guards[self.sources.item..];
        if guards.is_empty() {
            return Ok(());
        }
        let mut piece = Piece::text("CASE WHEN ");
        for (i, guard) in guards.iter().enumerate() {
            piece = if i == 0 { piece } else { piece.and(" AND ") };
            let condition = guard.condition();
            piece = if self.sources.nullable {
                piece
                    .and("(")
                    .then(&condition)
                    .and(&format!(" OR {}.{} IS NULL)", guard.qualifier, guard.column))
            } else {
                piece.then(&condition)
            };
        }
        self.edits.before_inner(first, piece.and(" THEN ("));
        self.edits.after_inner(end - 1, Piece::text(") END"));
        self.note("", "fence");
        Ok(())
    }

    fn raise_barriers(&mut self) -> Result<(), Error> {
        for barrier in std::mem::take(&mut self.sources.barriers) {
            self.raise(barrier)?;
        }
        Ok(())
    }

    fn raise(&mut self, barrier: Barrier) -> Result<(), Error> {
        if barrier.locked {
            return Err(leaky("a locking query under a predicate that may fail on other tenants' rows"));
        }
        if barrier.stands || self.fenced.contains(&barrier.close) {
            return Ok(());
        }
        self.fenced.push(barrier.close);
        let limit = match self.rules.dialect {
            Dialect::Postgres => " OFFSET 0",
            Dialect::Sqlite => " LIMIT -1 OFFSET 0",
            Dialect::MySql => " LIMIT 18446744073709551615",
        };
        self.edits.before_inner(barrier.close, Piece::text(limit));
        self.note("", "fence");
        Ok(())
    }

    /// Keeps outer predicates out of the nested query whose SELECT is token `start`.
    fn fence_query(&mut self, start: usize) -> Result<(), Error> {
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
        self.raise(Barrier { close, stands: limited, locked })
    }

    fn check_patterns(&mut self, expr: &Expr) -> Result<(), Error> {
        if self.rules.dialect != Dialect::Postgres {
            return Ok(());
        }
        let mut spans = Vec::new();
        patterns(expr, &mut |span| spans.push(span));
        for span in spans {
            let token = self.token(span)?;
            let index = self.param_index(token)?;
            self.checks.push(Check::Pattern(index));
        }
        Ok(())
    }
}

/// Splits the tokens of a predicate at its outermost ANDs, which are not those of BETWEEN.
fn split(toks: &Tokens<'_>, first: usize, end: usize) -> Vec<(usize, usize)> {
    let (mut parts, mut start, mut i) = (Vec::new(), first, first);
    let (mut between, mut cases) = (0_usize, 0_usize);
    while i < end {
        match toks.keyword(i) {
            Some(Keyword::CASE) => cases += 1,
            Some(Keyword::END) => cases = cases.saturating_sub(1),
            Some(Keyword::BETWEEN) if cases == 0 => between += 1,
            Some(Keyword::AND) if cases == 0 && between > 0 => between -= 1,
            Some(Keyword::AND) if cases == 0 => {
                parts.push((start, i));
                start = i + 1;
            }
            _ => {}
        }
        i = toks.next(i);
    }
    parts.push((start, end));
    parts
}

fn leaky(construct: &'static str) -> Error {
    let hint = "use comparisons, IN, LIKE or IS; or choose LeakyPredicates::Fence, or SecondWall with row-level security";
    Error::new(ErrorKind::LeakyPredicate, construct, hint)
}

#[cfg(test)]
mod tests {
    use crate::{Dialect, LeakyPredicates, Policy, Rewriter};

    fn scoped(sql: &str) -> String {
        let policy = Policy::builder().owned_table("orders").owned_table("tags");
        let policy = policy.leaky_predicates(LeakyPredicates::Fence).build().expect("a policy");
        let scoped = Rewriter::new(&policy, Dialect::Postgres).explain(sql);
        scoped.map_or_else(|error| format!("refused: {}", error.construct()), |scoped| scoped.sql)
    }

    /// Nothing is pushed into a write, and OFFSET is no part of one.
    #[test]
    fn a_write_in_a_common_table_expression_needs_no_fence() {
        let sql = "WITH w AS (DELETE FROM orders RETURNING code) SELECT code FROM w WHERE code::int > 1";
        assert!(!scoped(sql).contains("OFFSET"), "{}", scoped(sql));
        let read = "WITH w AS (SELECT code FROM orders) SELECT code FROM w WHERE code::int > 1";
        assert!(scoped(read).contains("OFFSET 0) SELECT"), "{}", scoped(read));
    }

    /// FLT-33: PostgreSQL refuses OFFSET in a recursive query, into which it pushes nothing; a sibling of one that
    /// is not recursive itself is merged into the query that reads it.
    #[test]
    fn only_what_reads_itself_is_recursive() {
        let walk =
            "SELECT id, 1 FROM orders UNION ALL SELECT o.id, r.n + 1 FROM orders o JOIN r ON o.parent = r.id";
        let alone = scoped(&format!("WITH RECURSIVE r(id, n) AS ({walk}) SELECT id FROM r WHERE 1 / id > 0"));
        assert!(!alone.contains("OFFSET") && !alone.contains("refused"), "{alone}");
        let beside = format!("WITH RECURSIVE r(id, n) AS ({walk}), s AS (SELECT code FROM orders) ");
        let beside = scoped(&(beside + "SELECT s.code FROM s JOIN r ON true WHERE s.code::int > 1"));
        assert_eq!(beside.matches("OFFSET 0").count(), 1, "{beside}");
    }
}
