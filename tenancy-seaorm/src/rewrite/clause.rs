//! Where the clauses of a statement begin and end, by token.
//!
//! sqlparser's tree says *what* a statement contains; it does not say where an expression ends. The scans here look
//! for the clause keywords at one depth, and their finds must agree with the tree: a clause that only one of the two
//! knows is a refusal. Every keyword used is reserved in the dialect, or is preceded by what makes it one.

use sqlparser::keywords::Keyword;

use super::token::{Kind, Tokens};
use crate::error::{Error, ErrorKind};
use crate::policy::Dialect;

/// Token numbers of a SELECT, UPDATE or DELETE: keywords, and the first token after its WHERE (or FROM) clause.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clauses {
    pub(super) from: Option<usize>,
    pub(super) using: Option<usize>,
    pub(super) set: Option<usize>,
    pub(super) wher: Option<usize>,
    pub(super) tail: usize,
    pub(super) group: Option<usize>,
    pub(super) having: Option<usize>,
    /// One past the last token of HAVING.
    pub(super) having_end: usize,
    pub(super) order: bool,
    pub(super) limit: bool,
    pub(super) lock: bool,
    pub(super) window: bool,
    pub(super) returning: Option<usize>,
}

impl Clauses {
    /// Scans from the keyword at `start` (SELECT, UPDATE or DELETE) to the end of its statement or parenthesis.
    pub(super) fn scan(toks: &Tokens<'_>, start: usize, dialect: Dialect) -> Result<Self, Error> {
        let mut found = Self { tail: usize::MAX, ..Self::default() };
        let mut i = start + 1;
        while i < toks.len() {
            if toks.is(i, Kind::Close) || toks.is(i, Kind::Semicolon) {
                break;
            }
            ends_no_query(toks, i)?;
            if let Some(keyword) = toks.keyword(i)
                && found.note(toks, i, keyword, start, dialect)?
            {
                break;
            }
            i = toks.next(i);
        }
        found.having_end = if found.having_end == 0 { i } else { found.having_end };
        found.tail = found.tail.min(i);
        Ok(found)
    }

    /// Notes the keyword at `i`; true if the scanned part of the statement ends before it.
    fn note(
        &mut self,
        toks: &Tokens<'_>,
        i: usize,
        keyword: Keyword,
        start: usize,
        dialect: Dialect,
    ) -> Result<bool, Error> {
        let before = toks.keyword(i - 1);
        match keyword {
            Keyword::FROM if before == Some(Keyword::DISTINCT) && i > start + 2 => {}
            Keyword::FROM => once(&mut self.from, i)?,
            Keyword::USING
                if dialect == Dialect::Postgres && toks.keyword(start) == Some(Keyword::DELETE) =>
            {
                // `USING` of a join stands before a parenthesis, and only after the clause itself began.
                self.using = self.using.or(Some(i));
            }
            Keyword::SET => once(&mut self.set, i)?,
            Keyword::WHERE => once(&mut self.wher, i)?,
            Keyword::GROUP if before == Some(Keyword::WITHIN) => {}
            Keyword::GROUP => {
                once(&mut self.group, i)?;
                self.end_filter(i);
            }
            Keyword::HAVING => {
                once(&mut self.having, i)?;
                self.end_filter(i);
            }
            Keyword::WINDOW if toks.is(i + 2, Kind::Word(Keyword::AS)) => {
                self.window = true;
                self.end_filter_and_having(i);
            }
            Keyword::ORDER => {
                self.order = true;
                self.end_filter_and_having(i);
            }
            // A column of SQLite may be called so.
            Keyword::FETCH if dialect == Dialect::Sqlite => {}
            Keyword::LIMIT | Keyword::FETCH => {
                self.limit = true;
                self.end_filter_and_having(i);
            }
            Keyword::OFFSET if dialect == Dialect::Postgres => {
                self.limit = true;
                self.end_filter_and_having(i);
            }
            Keyword::FOR => {
                self.lock = true;
                self.end_filter_and_having(i);
            }
            Keyword::LOCK if dialect == Dialect::MySql && toks.keyword(i + 1) == Some(Keyword::IN) => {
                self.lock = true;
                self.end_filter_and_having(i);
            }
            Keyword::RETURNING => {
                once(&mut self.returning, i)?;
                self.end_filter_and_having(i);
            }
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => return Ok(true),
            // To MariaDB a name, unless it speaks Oracle's language.
            Keyword::MINUS if dialect == Dialect::MySql => return Err(unclear("MINUS")),
            Keyword::ON if matches!(toks.keyword(i + 1), Some(Keyword::CONFLICT | Keyword::DUPLICATE)) => {
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }

    fn end_filter(&mut self, at: usize) {
        self.tail = self.tail.min(at);
    }

    fn end_filter_and_having(&mut self, at: usize) {
        self.end_filter(at);
        if self.having.is_some() && self.having_end == 0 {
            self.having_end = at;
        }
    }

    /// Refuses if the tree and the scan disagree about a clause.
    pub(super) fn agree(clause: &'static str, tree: bool, scan: bool) -> Result<(), Error> {
        if tree == scan { Ok(()) } else { Err(unclear(clause)) }
    }
}

/// Refuses a word that another reading of the words before it would make the end of the query, or the beginning of another.
fn ends_no_query(toks: &Tokens<'_>, i: usize) -> Result<(), Error> {
    let Some(Kind::Word(word)) = toks.toks.get(i).map(|tok| tok.kind) else { return Ok(()) };
    let operator = matches!(word, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT);
    let field = toks.is(i - 1, Kind::Period);
    if !field && (word == Keyword::SELECT || (operator && toks.is_name(i))) {
        return Err(unclear("a keyword used as a name, between queries"));
    }
    Ok(())
}

/// Where the FROM clause of a scanned statement ends.
pub(super) fn from_end(clauses: &Clauses) -> usize {
    clauses.wher.unwrap_or(clauses.tail)
}

pub(super) fn once(slot: &mut Option<usize>, at: usize) -> Result<(), Error> {
    match slot.replace(at) {
        None => Ok(()),
        Some(_) => Err(unclear("a clause keyword used twice, or as a name")),
    }
}

pub(super) fn unclear(what: &'static str) -> Error {
    Error::new(
        ErrorKind::ConstructNotAllowed,
        what,
        "quote names that are keywords, and keep to one plain form",
    )
}

/// One relation of a FROM item: its tokens, and its join condition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) first: usize,
    /// One past the last token of the relation and its condition.
    pub(super) end: usize,
    pub(super) on: Option<usize>,
}

/// Splits the tokens `[first, end)` of a FROM clause at its commas.
pub(super) fn items(toks: &Tokens<'_>, first: usize, end: usize) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    let (mut start, mut i) = (first, first);
    while i < end {
        if toks.is(i, Kind::Comma) {
            items.push((start, i));
            start = i + 1;
        }
        i = toks.next(i);
    }
    items.push((start, end));
    items
}

/// Splits the tokens `[first, end)` of one FROM item at its joins: the first relation, then each joined one.
pub(super) fn segments(toks: &Tokens<'_>, first: usize, end: usize) -> Result<Vec<Segment>, Error> {
    let mut segments = vec![Segment { first, end, on: None }];
    let mut i = first;
    while i < end {
        match toks.keyword(i) {
            Some(Keyword::JOIN | Keyword::STRAIGHT_JOIN) => {
                let last = segments.last_mut().expect("there is a first segment");
                last.end = operator_start(toks, i, last.first);
                segments.push(Segment { first: i + 1, end, on: None });
            }
            Some(Keyword::ON) => {
                once(&mut segments.last_mut().expect("there is a first segment").on, i)?;
            }
            _ => {}
        }
        i = toks.next(i);
    }
    Ok(segments)
}

/// Walks back from JOIN over the words that belong to it.
fn operator_start(toks: &Tokens<'_>, join: usize, first: usize) -> usize {
    let mut start = join;
    while start > first + 1
        && matches!(
            toks.keyword(start - 1),
            Some(
                Keyword::OUTER
                    | Keyword::LEFT
                    | Keyword::RIGHT
                    | Keyword::FULL
                    | Keyword::INNER
                    | Keyword::CROSS
                    | Keyword::NATURAL
            )
        )
    {
        start -= 1;
    }
    start
}
