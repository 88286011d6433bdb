//! What keeps a predicate from rows that the filter does not pass.

use sqlparser::keywords::Keyword;

use super::clause::unclear;
use super::edit::Piece;
use super::from::Guard;
use super::token::{Kind, too_complex};
use super::walk::Walk;
use crate::error::{Error, ErrorKind};
use crate::policy::Dialect;

/// Filters that the fences of one statement may have; each names every table that it may read.
const MOST_CONDITIONS: usize = 5_000;

impl Walk<'_> {
    /// Keeps a predicate from rows that a guard does not pass.
    pub(super) fn fence(
        &mut self,
        range: (usize, usize),
        guards: &[Guard],
        nullable: bool,
    ) -> Result<(), Error> {
        match self.rules.dialect {
            // As a value, SQLite computes both operands of AND and OR; as a condition, one where that decides.
            Dialect::Sqlite => self.fence_with(range, guards, nullable, ["CASE WHEN (", ") THEN 1 END END"]),
            Dialect::Postgres | Dialect::MySql => self.fence_value(range, guards, nullable),
        }
    }

    pub(super) fn fence_value(
        &mut self,
        range: (usize, usize),
        guards: &[Guard],
        nullable: bool,
    ) -> Result<(), Error> {
        self.fence_with(range, guards, nullable, ["(", ") END"])
    }

    fn fence_with(
        &mut self,
        (first, end): (usize, usize),
        guards: &[Guard],
        nullable: bool,
        [begin, finish]: [&str; 2],
    ) -> Result<(), Error> {
        if end <= first {
            return Err(unclear("an empty predicate"));
        }
        if guards.is_empty() {
            return Ok(());
        }
        self.decides(guards)?;
        self.conditions += guards.len();
        if self.conditions > MOST_CONDITIONS {
            return Err(too_complex("predicates that may fail", "join fewer tables, or ask fewer at a time"));
        }
        let mut piece = Piece::text("CASE WHEN ");
        for (i, guard) in guards.iter().enumerate() {
            piece = if i == 0 { piece } else { piece.and(" AND ") };
            let condition = match self.rules.dialect {
                // SQLite puts the value in the column's place, where the filter beside the fence says that they are equal.
                // With a query in it, the fence comes after the filter, whatever it says by then.
                Dialect::Sqlite => Piece::text("(SELECT ").then(&guard.condition()).and(")"),
                Dialect::Postgres | Dialect::MySql => guard.condition(),
            };
            piece = if nullable {
                piece
                    .and("(")
                    .then(&condition)
                    .and(&format!(" OR {}.{} IS NULL)", guard.qualifier, guard.column))
            } else {
                piece.then(&condition)
            };
        }
        self.edits.before_inner(first, piece.and(" THEN ").and(begin));
        self.edits.after_inner(end - 1, Piece::text(finish));
        self.note("", "fence");
        Ok(())
    }

    /// Refuses a fence beside what makes the tenant column equal to something: MySQL puts that in the column's place, in the
    /// fence too, which decides nothing then.
    fn decides(&self, guards: &[Guard]) -> Result<(), Error> {
        if self.rules.dialect != Dialect::MySql {
            return Ok(());
        }
        let plain = |text: &str| text.trim_matches(['`', '"']).to_ascii_lowercase();
        // Once for a statement, which may have many fences.
        let words =
            self.words.get_or_init(|| (0..self.toks.len()).map(|i| plain(self.toks.text(i))).collect());
        if words.contains("natural") || guards.iter().any(|guard| words.contains(&plain(&guard.column))) {
            return Err(leaky("a predicate that may fail, in a statement that names the tenant column"));
        }
        // Whatever `*` gives, a list of columns may rename.
        if *self.star.get_or_init(|| self.nested_star()) {
            return Err(leaky("a predicate that may fail, in a statement with `*` in a nested query"));
        }
        Ok(())
    }

    fn nested_star(&self) -> bool {
        let mut open = Vec::new();
        (0..self.toks.len()).any(|i| {
            if self.toks.is(i, Kind::Open) {
                open.push(i);
            } else if self.toks.is(i, Kind::Close) {
                open.pop();
            }
            // What is multiplied is followed by something else, and `count(*)` counts.
            let item = self.toks.text(i) == "*"
                && !self.toks.is(i.wrapping_sub(1), Kind::Open)
                && (self.toks.is(i + 1, Kind::Comma)
                    || self.toks.is(i + 1, Kind::Close)
                    || self.toks.keyword(i + 1) == Some(Keyword::FROM));
            // Of EXISTS nobody sees a column.
            item && open.last().is_some_and(|open| !self.asked_of(*open).1)
        })
    }
}

pub(super) fn leaky(construct: &'static str) -> Error {
    let hint = "use comparisons, IN, LIKE or IS; or choose LeakyPredicates::Fence, or SecondWall with row-level security";
    Error::new(ErrorKind::LeakyPredicate, construct, hint)
}
