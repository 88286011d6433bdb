//! The tokens of a statement: where each begins and ends, which parentheses match, and what is too much.
//!
//! Every edit is an insertion between two tokens of the original text (or the replacement of one), so literals,
//! identifiers and operators reach the database byte for byte. White space and comments do not: each becomes one
//! space. A comment that we and the database would end at different places therefore cannot hide or reveal code.

use sqlparser::dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::literal;
use crate::error::{Error, ErrorKind};
use crate::policy::Dialect as Sql;

/// The longest text that is read, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Parentheses, brackets and `CASE`s that may be open at one place.
pub(super) const MAX_DEPTH: usize = 48;
/// Operators that may follow one another at one depth; sqlparser's trees lean left, and dropping them recurses.
pub(super) const MAX_CHAIN: usize = 2_000;

/// UNIONs and the like that a statement may have: their tree leans left, too, whatever commas are between them.
pub(super) const MAX_BRANCHES: usize = 400;

/// Ends every text that was scoped; database logs show it too.
pub(super) const MARKER: &str = "/* scoped */";

/// What a token is, as far as finding clauses needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// An unquoted word; `Keyword::NoKeyword` if it is only a name.
    Word(Keyword),
    /// A quoted name or a string.
    Quoted,
    Placeholder,
    Number,
    Open,
    Close,
    Comma,
    Period,
    Semicolon,
    Operator,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Tok {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// For a parenthesis the index of its other one.
    pub(super) mate: usize,
}

#[derive(Debug)]
pub(super) struct Tokens<'a> {
    pub(super) sql: &'a str,
    pub(super) toks: Vec<Tok>,
    /// The placeholders among them.
    placeholders: Vec<usize>,
}

impl<'a> Tokens<'a> {
    /// Reads `sql`, and returns with it the same tokens for the parser, whose "columns" are token numbers: every
    /// position in the tree is then exact.
    pub(super) fn read(sql: &'a str, dialect: Sql) -> Result<(Self, Vec<TokenWithSpan>), Error> {
        if sql.len() > MAX_BYTES {
            return Err(too_complex("statement text", "send fewer rows or values at a time"));
        }
        if sql.contains('\0') {
            return Err(unparsable("a NUL character"));
        }
        let (mut tokens, parsed) = Self::split(sql, dialect)?;
        tokens.match_parentheses()?;
        tokens.bound_chains()?;
        tokens.check_seams(dialect)?;
        Ok((tokens, parsed))
    }

    /// Splits a text, and looks at no more than each token by itself.
    pub(super) fn split(sql: &'a str, dialect: Sql) -> Result<(Self, Vec<TokenWithSpan>), Error> {
        let mut raw = Vec::with_capacity(sql.len() / 3 + 8);
        Tokenizer::new(parser_dialect(dialect), sql)
            .with_unescape(false)
            .tokenize_with_location_into_buf(&mut raw)
            .map_err(|_| unparsable("text that does not split into tokens"))?;
        let mut tokens = Self { sql, toks: Vec::with_capacity(raw.len()), placeholders: Vec::new() };
        let parsed = tokens.place(raw, dialect)?;
        Ok((tokens, parsed))
    }

    fn place(&mut self, raw: Vec<TokenWithSpan>, dialect: Sql) -> Result<Vec<TokenWithSpan>, Error> {
        let mut cursor = Cursor { sql: self.sql, at: 0, line: 1, column: 1 };
        let mut parsed = Vec::with_capacity(raw.len() / 2 + 1);
        for TokenWithSpan { token, span } in raw {
            let start = cursor.at;
            cursor.advance(span.end)?;
            // MySQL's tokenizer reads the code inside of `/*! … */`, whose tokens have no place of their own.
            if start == cursor.at || (self.sql[start..].starts_with("/*!") && dialect == Sql::MySql) {
                return Err(unparsable("a comment that the database runs"));
            }
            if let Token::Whitespace(space) = &token {
                check_comment(space, &self.sql[start..cursor.at], dialect)?;
                continue;
            }
            let kind = kind_of(&token, &self.sql[start..cursor.at])?;
            let text = &self.sql[start..cursor.at];
            match kind {
                Kind::Word(_) => check_word(text)?,
                Kind::Number => check_number(text)?,
                // Before version 16, `0` called `x1F`.
                Kind::Quoted if dialect == Sql::Postgres && text.starts_with('0') => {
                    return Err(unparsable("a number of this form"));
                }
                _ => {}
            }
            if kind == Kind::Quoted && dialect == Sql::MySql {
                literal::check(&self.sql[start..cursor.at])?;
            }
            if dialect == Sql::MySql
                && matches!(kind, Kind::Word(_))
                && self.sql[start..cursor.at].chars().skip(1).any(|c| c == '@')
                && !self.sql[start..].starts_with("@@")
            {
                return Err(unparsable("a variable that touches a word"));
            }
            if kind == Kind::Placeholder {
                self.placeholders.push(self.toks.len());
            }
            let here = Location::new(1, self.toks.len() as u64 + 1);
            self.toks.push(Tok { kind, start, end: cursor.at, mate: usize::MAX });
            parsed.push(TokenWithSpan { token, span: Span::new(here, here) });
        }
        if cursor.at != self.sql.len() {
            return Err(unparsable("text that does not split into tokens"));
        }
        Ok(parsed)
    }

    fn match_parentheses(&mut self) -> Result<(), Error> {
        let mut open = Vec::new();
        let mut cases = 0_usize;
        for i in 0..self.toks.len() {
            match self.toks[i].kind {
                Kind::Open => open.push(i),
                Kind::Close => {
                    let mate = open.pop().ok_or_else(|| unparsable("an unmatched closing parenthesis"))?;
                    if closing(self.text(mate)) != self.text(i) {
                        return Err(unparsable("parentheses of different kinds"));
                    }
                    self.toks[mate].mate = i;
                    self.toks[i].mate = mate;
                }
                Kind::Word(Keyword::CASE) => cases += 1,
                Kind::Word(Keyword::END) => cases = cases.saturating_sub(1),
                _ => {}
            }
            if open.len() + cases > MAX_DEPTH {
                return Err(too_complex("nesting", "flatten the statement"));
            }
        }
        if open.is_empty() { Ok(()) } else { Err(unparsable("an unmatched opening parenthesis")) }
    }

    /// Long lists are fine (they are vectors in the tree); long chains of operators are not.
    fn bound_chains(&self) -> Result<(), Error> {
        let unites = |tok: &&Tok| {
            matches!(tok.kind, Kind::Word(Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT))
        };
        if self.toks.iter().filter(unites).count() > MAX_BRANCHES {
            return Err(too_complex("UNION of so many queries", "use VALUES, or several statements"));
        }
        let (mut outer, mut chain) = (Vec::new(), 0_usize);
        for tok in &self.toks {
            match tok.kind {
                Kind::Open => outer.push(std::mem::take(&mut chain)),
                // `int[][][]` and `f()()()` are chains as well.
                Kind::Close => chain = outer.pop().unwrap_or_default() + 1,
                Kind::Comma => chain = 0,
                Kind::Operator | Kind::Word(_) => chain += 1,
                _ => {}
            }
            if chain > MAX_CHAIN {
                return Err(too_complex("a chain of operators", "use IN (…) or several statements"));
            }
        }
        Ok(())
    }

    /// Two tokens without white space between them must not be one token, or a comment, to the database.
    fn check_seams(&self, dialect: Sql) -> Result<(), Error> {
        for (i, tok) in self.toks.iter().enumerate() {
            let text = &self.sql[tok.start..tok.end];
            if tok.kind == Kind::Operator
                && (text.contains("--") || text.contains("/*") || text.contains('\\'))
            {
                return Err(unparsable("an operator that could begin a comment"));
            }
            let Some(next) = self.toks.get(i + 1) else { break };
            self.check_type(i, dialect)?;
            if tok.end != next.start {
                continue;
            }
            let after = &self.sql[next.start..next.end];
            let word = |kind| matches!(kind, Kind::Word(_) | Kind::Number | Kind::Placeholder);
            let bare_question = after == "?" || text == "?";
            let glued = (word(tok.kind) && (word(next.kind) || next.kind == Kind::Quoted) && !bare_question)
                || (tok.kind == Kind::Quoted
                    && (next.kind == Kind::Quoted || word(next.kind) && !bare_question));
            let comment = (text.ends_with('-') && after.starts_with('-'))
                || (text.ends_with('/') && after.starts_with('*'))
                || (dialect == Sql::MySql && after.starts_with('#'));
            let unicode = text.eq_ignore_ascii_case("u") && after == "&";
            if glued || comment || unicode {
                return Err(unparsable("tokens without a space between them"));
            }
        }
        Ok(())
    }

    /// Refuses `pg_catalog.regclass 'orders'`, a literal of a type which the parser takes for a column of that name.
    fn check_type(&self, i: usize, dialect: Sql) -> Result<(), Error> {
        let name = match self.toks[i].kind {
            Kind::Quoted => self.text(i).starts_with('"'),
            Kind::Word(_) => i > 0 && self.is(i - 1, Kind::Period),
            _ => false,
        };
        let literal = self.is(i + 1, Kind::Quoted) && !self.text(i + 1).starts_with('"');
        if dialect == Sql::Postgres && name && literal {
            return Err(unparsable("a literal behind the name of its type; use a cast"));
        }
        Ok(())
    }

    pub(super) fn text(&self, i: usize) -> &'a str {
        self.toks.get(i).map_or("", |tok| &self.sql[tok.start..tok.end])
    }

    pub(super) fn len(&self) -> usize {
        self.toks.len()
    }

    /// The keyword at `i`; none for quoted names, and for words that a period or `AS` before them makes a name.
    pub(super) fn keyword(&self, i: usize) -> Option<Keyword> {
        let Kind::Word(keyword) = self.toks.get(i)?.kind else { return None };
        (keyword != Keyword::NoKeyword && !self.is_name(i)).then_some(keyword)
    }

    /// True if a period or `AS` before it makes a word a name: of `a.as`, `as` is a name itself, and makes none of the next.
    pub(super) fn is_name(&self, i: usize) -> bool {
        let before = self.toks[..i].iter().rev();
        let ases = before.take_while(|tok| tok.kind == Kind::Word(Keyword::AS)).count();
        let named = i > ases && self.is(i - ases - 1, Kind::Period);
        named ^ (ases % 2 == 1)
    }

    pub(super) fn is(&self, i: usize, kind: Kind) -> bool {
        self.toks.get(i).is_some_and(|tok| tok.kind == kind)
    }

    /// True if nothing stands between two tokens, the one right behind the other.
    pub(super) fn touch(&self, one: Option<usize>, next: Option<usize>) -> bool {
        let tok = |i: Option<usize>| i.and_then(|i| self.toks.get(i));
        tok(one).zip(tok(next)).is_some_and(|(one, next)| one.end == next.start)
    }

    /// True if a name has three parts or more.
    pub(super) fn names_schemas(&self) -> bool {
        (2..self.len()).any(|i| self.is(i, Kind::Period) && self.is(i - 2, Kind::Period))
    }

    /// How many placeholders stand before token `i`.
    pub(super) fn placeholders_before(&self, i: usize) -> usize {
        self.placeholders.partition_point(|placeholder| *placeholder < i)
    }

    /// The token after `i` at the same depth: past the mate of an opening parenthesis.
    pub(super) fn next(&self, i: usize) -> usize {
        if self.is(i, Kind::Open) { self.toks[i].mate + 1 } else { i + 1 }
    }
}

/// Walks the text along the tokenizer's lines and columns, to learn byte positions.
struct Cursor<'a> {
    sql: &'a str,
    at: usize,
    line: u64,
    column: u64,
}

impl Cursor<'_> {
    fn advance(&mut self, to: Location) -> Result<(), Error> {
        while (self.line, self.column) < (to.line, to.column) {
            let next = self.sql[self.at..].chars().next();
            let Some(c) = next else { return Err(unparsable("text that does not split into tokens")) };
            self.at += c.len_utf8();
            if c == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        Ok(())
    }
}

/// Refuses words that a database splits, where the parser does not.
fn check_word(word: &str) -> Result<(), Error> {
    // To SQLite it is white space.
    if word.contains('\u{FEFF}') {
        return Err(unparsable("a byte order mark in a name"));
    }
    // Variables of MySQL are looked at by their names.
    let name = word.trim_start_matches('@');
    // MySQL reads `1.FROM orders` as a number and a clause; a name may begin with a digit, but not be told from one.
    let begins =
        name.starts_with(|first: char| !first.is_ascii() || first.is_ascii_alphabetic() || first == '_');
    let part = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '@');
    if begins && name.chars().all(part) {
        Ok(())
    } else {
        Err(unparsable("a name that begins like a number, or holds other signs; put it in quotes"))
    }
}

/// Refuses numbers that not every version of a database reads as one: `1_000` is the column `_000` to PostgreSQL 15.
fn check_number(number: &str) -> Result<(), Error> {
    let number = number.trim_end_matches(|c: char| c.is_ascii_digit());
    let mantissa = match number.strip_suffix(['+', '-']).unwrap_or(number).strip_suffix(['e', 'E']) {
        Some(mantissa) => mantissa,
        None => number,
    };
    let rest = mantissa.trim_matches(|c: char| c.is_ascii_digit());
    if matches!(rest, "" | ".") { Ok(()) } else { Err(unparsable("a number of this form")) }
}

fn kind_of(token: &Token, text: &str) -> Result<Kind, Error> {
    Ok(match token {
        Token::Word(word) if word.quote_style.is_none() => Kind::Word(word.keyword),
        Token::Word(_) => Kind::Quoted,
        Token::Placeholder(_) => Kind::Placeholder,
        Token::Number(..) => Kind::Number,
        Token::LParen | Token::LBracket | Token::LBrace => Kind::Open,
        Token::RParen | Token::RBracket | Token::RBrace => Kind::Close,
        Token::Comma => Kind::Comma,
        Token::Period => Kind::Period,
        Token::SemiColon => Kind::Semicolon,
        Token::CustomBinaryOperator(_) | Token::Backslash | Token::AtSign | Token::Char(_) => {
            return Err(unparsable("an operator of its own"));
        }
        Token::DollarQuotedString(_) if !text.is_ascii() => return Err(unparsable("a dollar-quoted string")),
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => Kind::Quoted,
        Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::TripleSingleQuotedByteStringLiteral(_)
        | Token::TripleDoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::TripleSingleQuotedRawStringLiteral(_)
        | Token::TripleDoubleQuotedRawStringLiteral(_)
        | Token::QuoteDelimitedStringLiteral(_)
        | Token::NationalQuoteDelimitedStringLiteral(_) => {
            return Err(unparsable("a foreign kind of string"));
        }
        _ => Kind::Operator,
    })
}

/// MySQL runs `/*! … */`, and starts a `--` comment only before white space.
fn check_comment(space: &Whitespace, text: &str, dialect: Sql) -> Result<(), Error> {
    if text == MARKER {
        return Err(Error::new(
            ErrorKind::Unparsable,
            "a scoped statement",
            "it is scoped already; send the original",
        ));
    }
    let refused = match space {
        Whitespace::MultiLineComment(_) => text.starts_with("/*!") || text.starts_with("/*M!"),
        Whitespace::SingleLineComment { prefix, comment } if dialect == Sql::MySql => {
            prefix == "--" && !comment.is_empty() && !comment.starts_with(|c: char| c.is_ascii_whitespace())
        }
        Whitespace::Space | Whitespace::Tab | Whitespace::Newline => !text.is_ascii(),
        Whitespace::SingleLineComment { .. } => false,
    };
    if refused {
        Err(unparsable("a comment or space that the database may read differently"))
    } else {
        Ok(())
    }
}

fn closing(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

pub(super) fn parser_dialect(dialect: Sql) -> &'static dyn Dialect {
    match dialect {
        Sql::Postgres => &PostgreSqlDialect {},
        Sql::Sqlite => &SQLiteDialect {},
        Sql::MySql => &MySqlDialect {},
    }
}

pub(super) fn unparsable(what: &'static str) -> Error {
    Error::new(
        ErrorKind::Unparsable,
        what,
        "the statement was not understood; write it in plain SQL of this database",
    )
}

pub(super) fn too_complex(what: &'static str, way_out: &'static str) -> Error {
    Error::new(ErrorKind::TooComplex, what, way_out)
}
