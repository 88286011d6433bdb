//! Insertions into a statement's text, and the text that they make.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::plan::{Binding, Check, Plan};
use super::token::{Kind, MARKER, Tokens};
use crate::error::{Error, ErrorKind};
use crate::policy::Dialect;

/// Text to insert, with the places in it where the tenant's value is bound.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) tenants: Vec<usize>,
}

impl Piece {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), tenants: Vec::new() }
    }

    pub(super) fn tenant(mut self) -> Self {
        self.tenants.push(self.text.len());
        self
    }

    pub(super) fn then(mut self, other: &Self) -> Self {
        self.tenants.extend(other.tenants.iter().map(|at| at + self.text.len()));
        self.text.push_str(&other.text);
        self
    }

    pub(super) fn and(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    fn ends_with_word(&self) -> bool {
        self.text.ends_with(is_word) || self.tenants.last() == Some(&self.text.len())
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// What was inserted into a text, and before which of its bytes.
#[derive(Debug)]
pub(super) struct Insertion {
    pub(super) at: usize,
    pub(super) piece: Piece,
    /// A token was taken away there.
    pub(super) replaces: bool,
}

#[derive(Debug, Default)]
pub(super) struct Edits {
    /// Sorted by place when the plan is made: `2 i` is before token `i`, `2 i + 1` after it. Where several stand at one
    /// place, those of lower rank come first.
    list: Vec<(usize, u8, Piece)>,
    replaced: BTreeSet<usize>,
}

impl Edits {
    pub(super) fn before(&mut self, token: usize, piece: Piece) {
        self.list.push((2 * token, 0, piece));
    }

    pub(super) fn after(&mut self, token: usize, piece: Piece) {
        self.list.push((2 * token + 1, 1, piece));
    }

    /// Before `token`, and after everything else that is inserted there.
    pub(super) fn before_inner(&mut self, token: usize, piece: Piece) {
        self.list.push((2 * token, 1, piece));
    }

    /// After `token`, and before everything else that is inserted there.
    pub(super) fn after_inner(&mut self, token: usize, piece: Piece) {
        self.list.push((2 * token + 1, 0, piece));
    }

    /// Puts `piece` in the place of a token.
    pub(super) fn replace(&mut self, token: usize, piece: Piece) {
        self.replaced.insert(token);
        self.list.push((2 * token, 0, piece));
    }

    /// Everything that is inserted, in order, by byte of the text.
    pub(super) fn insertions(&self, toks: &Tokens<'_>) -> Vec<Insertion> {
        let insertion = |(place, _, piece): &(usize, u8, Piece)| {
            let tok = toks.toks[place / 2];
            let replaces = place % 2 == 0 && self.replaced.contains(&(place / 2));
            Insertion { at: if place % 2 == 0 { tok.start } else { tok.end }, piece: piece.clone(), replaces }
        };
        self.list.iter().map(insertion).collect()
    }

    /// Marks a text that was changed, so that it is not scoped again: the second tenant would be an unbound one.
    pub(super) fn mark(&mut self, toks: &Tokens<'_>) {
        let last = toks.toks.iter().rposition(|tok| tok.kind != Kind::Semicolon);
        if let (false, Some(last)) = (self.list.is_empty(), last) {
            self.list.push((2 * last + 1, u8::MAX, Piece::text(format!(" {MARKER}"))));
        }
    }

    /// Puts everything in order, and spaces where a word would run into the next one.
    pub(super) fn sort(&mut self, toks: &Tokens<'_>) {
        self.list.sort_by_key(|(place, rank, _)| (*place, *rank));
        for (place, _, piece) in &mut self.list {
            let (before, after) = match (*place / 2, place.is_multiple_of(2)) {
                (token, true) => (token.checked_sub(1), Some(token)),
                (token, false) => (Some(token), Some(token + 1)),
            };
            let ends = before.and_then(|token| toks.text(token).chars().next_back());
            if piece.text.starts_with(is_word) && ends.is_some_and(is_word) && toks.touch(before, after) {
                piece.text.insert(0, ' ');
                piece.tenants.iter_mut().for_each(|at| *at += 1);
            }
            let begins = after.and_then(|token| toks.text(token).chars().next());
            let glued = place.is_multiple_of(2) || toks.touch(before, after);
            if piece.ends_with_word() && begins.is_some_and(is_word) && glued {
                piece.text.push(' ');
            }
        }
    }

    /// The text with everything inserted; [`Edits::sort`] comes first.
    pub(super) fn plan(
        &self,
        toks: &Tokens<'_>,
        dialect: Dialect,
        checks: Vec<Check>,
    ) -> Result<Plan, Error> {
        let params = Params::read(toks, dialect)?;
        let mut out =
            Output { sql: String::with_capacity(toks.sql.len() + 64), params, seen: 0, at: Vec::new() };
        let mut edits = self.list.iter().peekable();
        for (i, tok) in toks.toks.iter().enumerate() {
            if i > 0 && toks.toks[i - 1].end != tok.start {
                out.sql.push(' ');
            }
            while let Some((_, _, piece)) = edits.next_if(|(place, ..)| *place == 2 * i) {
                out.insert(piece);
            }
            if tok.kind == Kind::Placeholder {
                out.seen += 1;
            }
            if !self.replaced.contains(&i) && tok.kind != Kind::Semicolon {
                out.sql.push_str(toks.text(i));
            }
            while let Some((_, _, piece)) = edits.next_if(|(place, ..)| *place == 2 * i + 1) {
                out.insert(piece);
            }
        }
        let binding = out.binding();
        Ok(Plan { sql: out.sql.into_boxed_str(), params: params.count, binding, checks: checks.into() })
    }
}

struct Output {
    sql: String,
    params: Params,
    /// Placeholders of the statement that were written so far.
    seen: usize,
    /// Where positional tenant values go in the final list of values.
    at: Vec<usize>,
}

impl Output {
    fn insert(&mut self, piece: &Piece) {
        let mut from = 0;
        for &at in &piece.tenants {
            self.sql.push_str(&piece.text[from..at]);
            match self.params.style {
                Style::Numbered(sign) => {
                    write!(self.sql, "{sign}{}", self.params.count + 1)
                        .expect("writing to a string does not fail");
                    self.at.push(self.params.count);
                }
                Style::Positional => {
                    self.sql.push('?');
                    self.at.push(self.seen + self.at.len());
                }
            }
            from = at;
        }
        self.sql.push_str(&piece.text[from..]);
    }

    fn binding(&self) -> Binding {
        match (self.at.is_empty(), self.params.style) {
            (true, _) => Binding::None,
            (false, Style::Numbered(_)) => Binding::Append,
            (false, Style::Positional) => Binding::At(self.at.clone().into_boxed_slice()),
        }
    }
}

#[derive(Clone, Copy)]
enum Style {
    /// `$1` or `?1`: the tenant takes the next number, however often it stands there.
    Numbered(char),
    /// `?`: every occurrence has its own value.
    Positional,
}

#[derive(Clone, Copy)]
struct Params {
    style: Style,
    count: usize,
}

impl Params {
    fn read(toks: &Tokens<'_>, dialect: Dialect) -> Result<Self, Error> {
        let mut params = Self {
            style: if dialect == Dialect::Postgres { Style::Numbered('$') } else { Style::Positional },
            count: 0,
        };
        let mut first = true;
        for (i, _) in toks.toks.iter().enumerate().filter(|(_, tok)| tok.kind == Kind::Placeholder) {
            let number = param_number(toks.text(i), dialect)?;
            let style = match number {
                Some(_) => Style::Numbered(if toks.text(i).starts_with('$') { '$' } else { '?' }),
                None => Style::Positional,
            };
            if !first && !same_style(style, params.style) {
                return Err(parameters("parameters of two styles", "use one style of placeholder"));
            }
            first = false;
            params.style = style;
            params.count = number.map_or(params.count + 1, |number| params.count.max(number));
        }
        Ok(params)
    }
}

/// The number of a placeholder: `Some` of `$3` or `?3`, `None` of `?`.
pub(super) fn param_number(text: &str, dialect: Dialect) -> Result<Option<usize>, Error> {
    let sign = text.chars().next().unwrap_or_default();
    let fits = match dialect {
        Dialect::Postgres => sign == '$',
        Dialect::Sqlite => sign == '$' || sign == '?',
        Dialect::MySql => text == "?",
    };
    let digits = &text[sign.len_utf8()..];
    if fits && digits.is_empty() && sign == '?' {
        return Ok(None);
    }
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    match digits.parse() {
        Ok(number) if fits && plain && number < 65_535 => Ok(Some(number)),
        _ => Err(parameters("a named or malformed parameter", "use numbered or positional placeholders")),
    }
}

fn same_style(a: Style, b: Style) -> bool {
    match (a, b) {
        (Style::Numbered(a), Style::Numbered(b)) => a == b,
        (Style::Positional, Style::Positional) => true,
        _ => false,
    }
}

pub(super) fn parameters(what: &'static str, way_out: &'static str) -> Error {
    Error::new(ErrorKind::Parameters, what, way_out)
}
