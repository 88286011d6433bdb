//! Texts that differ only in how many values an IN list or a VALUES clause binds.
//!
//! Such texts rarely come twice. Their lists are folded into a key, and what was inserted into one of them is inserted
//! at the same places of the next. Only the plain form that sea-query writes is folded: placeholders numbered in
//! order, single spaces, no comment. A string that looks like a list does no harm: texts with one key differ only
//! between the same words and brackets, and each keeps its own bytes.

use super::edit::{Insertion, Piece};
use super::plan::{Binding, Check, Plan};
use crate::policy::Dialect;

/// Stands in keys where a text has a placeholder or a list; texts that contain it are not folded.
const MARK: char = '\u{1}';

/// A text with its lists folded.
#[derive(Debug)]
pub(super) struct Folded<'a> {
    sql: &'a str,
    pub(super) key: String,
    anchors: Vec<Anchor>,
    params: usize,
}

/// The end of a placeholder or list. Between anchors, key and text are the same.
#[derive(Clone, Debug)]
struct Anchor {
    key: usize,
    text: usize,
    /// Where it begins in the text.
    start: usize,
    /// Placeholders up to here.
    params: usize,
    rows: Option<Rows>,
}

/// The rows of a VALUES clause, all of one length.
#[derive(Clone, Debug)]
struct Rows {
    /// Where the closing parenthesis of each row stands.
    closes: Vec<usize>,
    arity: usize,
}

/// What a [`Folded`] text becomes, whatever the length of its lists.
#[derive(Debug)]
pub(super) struct Template {
    /// Places in the key, ascending.
    edits: Vec<(usize, Piece)>,
    /// For each anchor that is a list of rows: what every row gets before its closing parenthesis.
    rows: Vec<(usize, Piece)>,
    checks: Vec<Slot>,
}

/// A check, by the anchor of its placeholder, and by its place in each row if the anchor is a list of rows.
#[derive(Debug)]
struct Slot {
    anchor: usize,
    column: Option<usize>,
    make: fn(usize) -> Check,
}

impl<'a> Folded<'a> {
    /// Folds `sql`, if it has a list and is plain enough.
    pub(super) fn of(sql: &'a str, dialect: Dialect) -> Option<Self> {
        if sql.contains(MARK) {
            return None;
        }
        let mut folder = Folder { bytes: sql.as_bytes(), at: 0, dialect, params: 0 };
        let mut folded = Self { sql, key: String::with_capacity(sql.len()), anchors: Vec::new(), params: 0 };
        let (mut copied, mut lists) = (0, 0);
        while let Some(&byte) = folder.bytes.get(folder.at) {
            let start = folder.at;
            let found = match byte {
                b'(' => folder.list(sql),
                b'$' | b'?' if byte == folder.sign() => {
                    folder.placeholder()?;
                    Some(("P", None))
                }
                _ => {
                    folder.skip()?;
                    None
                }
            };
            let Some((kind, rows)) = found else {
                folder.at = folder.at.max(start + 1);
                continue;
            };
            folded.key.push_str(&sql[copied..start]);
            folded.key.push(MARK);
            folded.key.push_str(kind);
            if let Some(Rows { arity, .. }) = &rows {
                folded.key.push_str(&arity.to_string());
                folded.key.push(MARK);
            }
            lists += usize::from(kind != "P");
            copied = folder.at;
            folded.anchors.push(Anchor {
                key: folded.key.len(),
                text: copied,
                start,
                params: folder.params,
                rows,
            });
        }
        folded.key.push_str(&sql[copied..]);
        folded.params = folder.params;
        (lists > 0).then_some(folded)
    }

    /// What another text with this key is to get, from what this one got.
    pub(super) fn template(&self, insertions: &[Insertion], checks: &[Check]) -> Option<Template> {
        let mut template = Template { edits: Vec::new(), rows: Vec::new(), checks: self.slots(checks)? };
        let mut inside: Vec<(usize, usize, &Piece)> = Vec::new();
        for Insertion { at, piece, replaces } in insertions {
            let next = self.anchors.partition_point(|anchor| anchor.text <= *at);
            match self.anchors.get(next) {
                _ if *replaces => return None,
                Some(anchor) if anchor.start < *at => inside.push((next, *at, piece)),
                _ => {
                    let (key, text, _) = self.before(next);
                    template.edits.push((key + (at - text), piece.clone()));
                }
            }
        }
        // Inside of lists only rows are completed, each in the same way.
        for (i, anchor) in self.anchors.iter().enumerate() {
            let here: Vec<_> = inside.iter().filter(|(list, ..)| *list == i).collect();
            let Some((_, _, piece)) = here.first() else { continue };
            let closes = &anchor.rows.as_ref()?.closes;
            let each_once = here.iter().map(|(_, at, _)| at).eq(closes.iter());
            if !each_once || here.iter().any(|(_, _, other)| other != piece) {
                return None;
            }
            template.rows.push((i, (*piece).clone()));
        }
        Some(template)
    }

    /// What this text becomes under `template`.
    pub(super) fn fill(&self, template: &Template, dialect: Dialect) -> Plan {
        let mut places: Vec<(usize, usize, &Piece)> = Vec::new();
        for (at, piece) in &template.edits {
            let (key, text, params) = self.before(self.anchors.partition_point(|anchor| anchor.key <= *at));
            places.push((text + (at - key), params, piece));
        }
        for (i, piece) in &template.rows {
            let (Some(rows), (_, _, params)) = (&self.anchors[*i].rows, self.before(*i)) else { continue };
            let row = |(row, close): (usize, &usize)| (*close, params + rows.arity * (row + 1), piece);
            places.extend(rows.closes.iter().enumerate().map(row));
        }
        places.sort_by_key(|(text, ..)| *text);
        let mut out = Filler {
            sql: String::with_capacity(self.sql.len() + 64),
            at: Vec::new(),
            params: self.params,
            dialect,
        };
        let mut copied = 0;
        for (text, params, piece) in places {
            out.sql.push_str(&self.sql[copied..text]);
            out.insert(piece, params);
            copied = text;
        }
        out.sql.push_str(&self.sql[copied..]);
        out.plan(self.checks(template))
    }

    /// Key, text and parameters at the anchor before `i`, or at the beginning.
    fn before(&self, i: usize) -> (usize, usize, usize) {
        match i.checked_sub(1) {
            None => (0, 0, 0),
            Some(i) => (self.anchors[i].key, self.anchors[i].text, self.anchors[i].params),
        }
    }

    fn slots(&self, checks: &[Check]) -> Option<Vec<Slot>> {
        let mut slots: Vec<Slot> = Vec::new();
        for check in checks {
            let (make, param): (fn(usize) -> Check, usize) = match *check {
                Check::Stamp(i) => (Check::Stamp, i),
                Check::Same(i) => (Check::Same, i),
                Check::Pattern(i) => (Check::Pattern, i),
                Check::Long(i) => (Check::Long, i),
            };
            let anchor = self.anchors.iter().position(|anchor| param < anchor.params)?;
            let (_, _, before) = self.before(anchor);
            let column = match &self.anchors[anchor].rows {
                Some(rows) => Some((param - before) % rows.arity),
                None if self.anchors[anchor].params == before + 1 => None,
                None => return None,
            };
            if !slots.iter().any(|slot| slot.anchor == anchor && slot.column == column && column.is_some()) {
                slots.push(Slot { anchor, column, make });
            }
        }
        Some(slots)
    }

    fn checks(&self, template: &Template) -> Vec<Check> {
        let mut checks = Vec::with_capacity(template.checks.len());
        for slot in &template.checks {
            let (_, _, before) = self.before(slot.anchor);
            match (slot.column, &self.anchors[slot.anchor].rows) {
                (Some(column), Some(rows)) => {
                    checks.extend(
                        (0..rows.closes.len()).map(|row| (slot.make)(before + row * rows.arity + column)),
                    );
                }
                _ => checks.push((slot.make)(before)),
            }
        }
        checks
    }
}

impl Template {
    pub(super) fn weight(&self) -> usize {
        let pieces =
            self.edits.iter().chain(&self.rows).map(|(_, piece)| piece.text.len() + 64).sum::<usize>();
        size_of::<Self>() + pieces + self.checks.len() * size_of::<Slot>()
    }
}

struct Filler {
    sql: String,
    at: Vec<usize>,
    params: usize,
    dialect: Dialect,
}

impl Filler {
    fn insert(&mut self, piece: &Piece, before: usize) {
        let mut from = 0;
        for &at in &piece.tenants {
            self.sql.push_str(&piece.text[from..at]);
            if self.dialect == Dialect::Postgres {
                self.sql.push('$');
                self.sql.push_str(&(self.params + 1).to_string());
                self.at.push(self.params);
            } else {
                self.sql.push('?');
                self.at.push(before + self.at.len());
            }
            from = at;
        }
        self.sql.push_str(&piece.text[from..]);
    }

    fn plan(self, checks: Vec<Check>) -> Plan {
        let binding = match (self.at.is_empty(), self.dialect) {
            (true, _) => Binding::None,
            (false, Dialect::Postgres) => Binding::Append,
            (false, _) => Binding::At(self.at.into_boxed_slice()),
        };
        Plan { sql: self.sql.into_boxed_str(), params: self.params, binding, checks: checks.into() }
    }
}

struct Folder<'a> {
    bytes: &'a [u8],
    at: usize,
    dialect: Dialect,
    params: usize,
}

impl Folder<'_> {
    fn sign(&self) -> u8 {
        if self.dialect == Dialect::Postgres { b'$' } else { b'?' }
    }

    /// Passes a placeholder, which has to have the next number.
    fn placeholder(&mut self) -> Option<()> {
        let digits = self.bytes[self.at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        let number = &self.bytes[self.at + 1..self.at + 1 + digits];
        let fits =
            if self.dialect == Dialect::Postgres { number_is(number, self.params + 1) } else { digits == 0 };
        self.at += 1 + digits;
        self.params += 1;
        fits.then_some(())
    }

    /// Passes one byte, or a whole string or quoted name; none where folding has to give up.
    fn skip(&mut self) -> Option<()> {
        let quote = self.bytes[self.at];
        match quote {
            b'\'' | b'"' | b'`' => {
                let string = quote == b'\'' || (quote == b'"' && self.dialect == Dialect::MySql);
                let escapes =
                    self.dialect == Dialect::MySql || matches!(self.before(), Some(b'E' | b'e' | b'&'));
                if string && escapes {
                    return None;
                }
                let end = self.bytes[self.at + 1..].iter().position(|b| *b == quote)?;
                self.at += end + 2;
            }
            b' ' if self.before() == Some(b' ') => return None,
            b'\t' | b'\n' | b'\r' | b'[' | b'$' | b'#' | b';' => return None,
            b'-' if self.before() == Some(b'-') => return None,
            b'*' if self.before() == Some(b'/') => return None,
            _ => self.at += 1,
        }
        Some(())
    }

    fn before(&self) -> Option<u8> {
        self.at.checked_sub(1).map(|at| self.bytes[at])
    }

    /// Passes `($1, $2)` after IN, or `($1, $2), ($3, $4)` after VALUES; stays where it is otherwise.
    fn list(&mut self, sql: &str) -> Option<(&'static str, Option<Rows>)> {
        let (start, params) = (self.at, self.params);
        let ahead = &sql.as_bytes()[..start];
        let after = |word: &str| {
            ahead.len() > word.len()
                && ahead[ahead.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes())
        };
        if after(" IN ") && self.row().is_some() {
            return Some(("I", None));
        }
        if after(" VALUES ") {
            let mut rows = Rows { closes: Vec::new(), arity: 0 };
            while let Some(arity) = self.row() {
                if rows.arity != 0 && rows.arity != arity {
                    rows.closes.clear();
                    break;
                }
                rows.arity = arity;
                rows.closes.push(self.at - 1);
                if !self.bytes[self.at..].starts_with(b", (") {
                    return Some(("V", Some(rows)));
                }
                self.at += 2;
            }
        }
        (self.at, self.params) = (start, params);
        None
    }

    /// Passes one parenthesised row of placeholders, and returns its length.
    fn row(&mut self) -> Option<usize> {
        let (start, params) = (self.at, self.params);
        self.at += 1;
        loop {
            if self.bytes.get(self.at) != Some(&self.sign()) || self.placeholder().is_none() {
                break;
            }
            if self.bytes.get(self.at) == Some(&b')') {
                self.at += 1;
                return Some(self.params - params);
            }
            if !self.bytes[self.at..].starts_with(b", ") {
                break;
            }
            self.at += 2;
        }
        (self.at, self.params) = (start, params);
        None
    }
}

fn number_is(digits: &[u8], number: usize) -> bool {
    !digits.is_empty()
        && digits[0] != b'0'
        && digits.len() <= 6
        && digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')) == number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sql: &str) -> Option<String> {
        Folded::of(sql, Dialect::Postgres).map(|folded| folded.key)
    }

    #[test]
    fn lists_of_different_length_have_one_key() {
        let one = key("SELECT 1 FROM t WHERE a = $1 AND b IN ($2, $3) LIMIT $4");
        assert!(one.is_some());
        assert_eq!(
            one,
            key("SELECT 1 FROM t WHERE a = $1 AND b IN ($2, $3, $4, $5, $6, $7, $8, $9) LIMIT $10")
        );
        assert_eq!(
            key("INSERT INTO t (a, b) VALUES ($1, $2)"),
            key("INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4)")
        );
    }

    #[test]
    fn texts_of_different_shape_have_different_keys() {
        let rows = key("INSERT INTO t (a, b) VALUES ($1, $2)");
        assert_ne!(rows, key("INSERT INTO t (a, b) VALUES ($1), ($2)"));
        assert_ne!(key("SELECT 1 FROM t WHERE a IN ($1)"), key("SELECT 1 FROM t WHERE b IN ($1)"));
        // A function's arguments are no list, a cast or an expression in a list is no placeholder.
        assert_eq!(key("SELECT f($1, $2) FROM t"), None);
        assert_eq!(key("SELECT 1 FROM t WHERE a IN ($1, $2::int)"), None);
    }

    #[test]
    fn what_is_not_plain_is_not_folded() {
        for sql in [
            "SELECT 1 FROM t WHERE a IN ($2, $1)",
            "SELECT 1 FROM t WHERE a IN ($1) -- comment",
            "SELECT 1 FROM t WHERE a IN ($1)  AND b",
            "SELECT 1 FROM t WHERE a IN ($1) AND b = E'x\\''",
            "SELECT 1 FROM t WHERE a IN ($1) AND b = $x$ IN ($2) $x$",
            "SELECT 1 FROM t WHERE a IN ($1) AND b = 'open",
            "SELECT 1 FROM t WHERE a IN ($1) AND b = '\u{1}'",
        ] {
            assert_eq!(key(sql), None, "{sql}");
        }
    }
}
