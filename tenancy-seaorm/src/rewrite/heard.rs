//! What the parser heard is said again, and must be the whole text.
//!
//! sqlparser passes over a word here and there: GLOBAL behind a table, LOCAL behind INTO, FILTER without its parenthesis.
//! Its tree is then one of another statement than the database runs, and nothing that looks at the tree can tell. So the
//! tree is written out, and every token of the text must be there, in its order and with nothing between that writing
//! out does not add.

use sqlparser::keywords::Keyword;

use super::token::{Kind, Tokens, unparsable};
use crate::error::Error;
use crate::policy::Dialect;

/// Refuses if `said`, which is a tree written out, is not what the tokens `heard` of the text say.
pub(super) fn check(
    toks: &Tokens<'_>,
    heard: impl Iterator<Item = usize>,
    said: &str,
    dialect: Dialect,
) -> Result<(), Error> {
    let (said, _) = Tokens::split(said, dialect)?;
    let mut heard: Vec<usize> = heard.filter(|i| !is_silent(toks, *i)).collect();
    if is_said(toks, &heard, &said) {
        return Ok(());
    }
    limits_first(toks, &mut heard);
    if is_said(toks, &heard, &said) {
        return Ok(());
    }
    Err(unparsable("a word that the parser passed over, or read as another"))
}

/// True if `said` is the tokens `heard`, and nothing else but what writing out adds.
fn is_said(toks: &Tokens<'_>, heard: &[usize], said: &Tokens<'_>) -> bool {
    let mut next = 0;
    for i in heard {
        while is_added(said, next) && !same(toks, *i, said, next) {
            next += 1;
        }
        if !same(toks, *i, said, next) {
            return false;
        }
        next += 1;
    }
    (next..said.len()).all(|rest| is_added(said, rest))
}

/// Two ways to write one thing.
const SYNONYMS: [(&str, &str); 7] = [
    ("!=", "<>"),
    ("==", "="),
    ("&&", "AND"),
    ("NOTNULL", "NULL"),
    ("ROW", "ROWS"),
    ("NEXT", "FIRST"),
    ("DISTINCTROW", "DISTINCT"),
];

fn same(toks: &Tokens<'_>, i: usize, said: &Tokens<'_>, next: usize) -> bool {
    let (heard, said) = (toks.text(i), said.text(next));
    match toks.toks[i].kind {
        _ if heard == said => true,
        Kind::Word(_) | Kind::Operator => {
            let synonym = |(one, other): &(&str, &str)| heard.eq_ignore_ascii_case(one) && said == *other;
            heard.eq_ignore_ascii_case(said) || SYNONYMS.iter().any(synonym)
        }
        // A number that is written as one, or as a string.
        Kind::Quoted => number(heard).is_some_and(|digits| number(said) == Some(digits)),
        _ => false,
    }
}

/// The digits of `0x1F`, `X'1F'` or `B'1'`, in small letters, behind what kind of number it is.
fn number(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (kind, digits) = match text.strip_prefix("0x") {
        Some(digits) => ("x", digits),
        None => (text.get(..1)?, text.get(1..)?.strip_prefix('\'')?.strip_suffix('\'')?),
    };
    matches!(kind, "x" | "b").then(|| format!("{kind}{digits}"))
}

/// What means the same when it is left out.
fn is_silent(toks: &Tokens<'_>, i: usize) -> bool {
    let all = |limit: usize| {
        toks.keyword(limit) == Some(Keyword::LIMIT) && toks.keyword(limit + 1) == Some(Keyword::ALL)
    };
    matches!(toks.toks[i].kind, Kind::Semicolon | Kind::Word(Keyword::OUTER))
        || all(i)
        || i.checked_sub(1).is_some_and(all)
}

/// Puts LIMIT in front of OFFSET, as the parser writes them, where they stand the other way.
fn limits_first(toks: &Tokens<'_>, heard: &mut [usize]) {
    let at = |token: usize, heard: &[usize]| heard.partition_point(|i| *i < token);
    let ends = |i: usize| {
        let clause =
            matches!(toks.keyword(i), Some(Keyword::OFFSET | Keyword::FOR | Keyword::FETCH | Keyword::UNION));
        clause || i >= toks.len() || toks.is(i, Kind::Close) || toks.is(i, Kind::Semicolon)
    };
    // From the end: what is turned already is then behind what is looked for, or whole inside of it.
    for offset in (0..toks.len()).rev().filter(|i| toks.keyword(*i) == Some(Keyword::OFFSET)) {
        let (mut limit, mut end) = (None, toks.next(offset));
        while !ends(end) {
            limit = limit.or((toks.keyword(end) == Some(Keyword::LIMIT)).then_some(end));
            end = toks.next(end);
        }
        if let Some(limit) = limit {
            let [from, middle, to] = [offset, limit, end].map(|token| at(token, heard));
            heard[from..to].rotate_left(middle - from);
        }
    }
}

/// What writing out adds: `a b` becomes `a AS b`, and `a NOTNULL` becomes `a IS NOT NULL`.
fn is_added(said: &Tokens<'_>, i: usize) -> bool {
    let added = [Keyword::AS, Keyword::OUTER, Keyword::IS, Keyword::NOT];
    added.iter().any(|word| said.is(i, Kind::Word(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::rewrite::Rewriter;

    /// FLT-32: no word is passed over, whoever it belongs to.
    #[test]
    fn what_the_parser_passes_over_is_refused() {
        for (heard, said) in [
            ("SELECT a FROM t GLOBAL WHERE b", "SELECT a FROM t WHERE b"),
            ("SELECT a FROM t GLOBAL", "SELECT a FROM t"),
            ("SELECT a FROM t", "SELECT a FROM t WHERE b"),
            ("SELECT a FROM t WHERE b OR c", "SELECT a FROM t WHERE b AND c"),
            ("SELECT a FROM t, t", "SELECT a FROM t"),
            ("SELECT 'a' FROM t", "SELECT 'A' FROM t"),
            ("SELECT \"a\" FROM t", "SELECT \"A\" FROM t"),
        ] {
            let (toks, _) = Tokens::read(heard, Dialect::Postgres).expect("tokens");
            assert!(check(&toks, 0..toks.len(), said, Dialect::Postgres).is_err(), "{heard} is not {said}");
            assert!(check(&toks, 0..toks.len(), heard, Dialect::Postgres).is_ok(), "{heard}");
        }
    }

    #[test]
    fn what_the_parser_writes_differently_is_the_same() {
        let policy = Policy::builder().owned_table("orders").build().expect("a policy");
        let rewriter = Rewriter::new(&policy, Dialect::Postgres);
        for sql in [
            "select a b from orders o left outer join orders p on o.id != p.id where b notnull;",
            "SELECT a FROM (SELECT a FROM orders OFFSET 1 LIMIT 2) o UNION SELECT a FROM orders OFFSET $1 LIMIT ALL",
            "(SELECT a FROM orders OFFSET (SELECT 1 OFFSET 2 LIMIT 1) LIMIT (SELECT 2 OFFSET 0 LIMIT 3)) UNION (SELECT 1 OFFSET 3) LIMIT 1",
            "SELECT a FROM orders WHERE a !~ 'x' AND a::int4 = -1 AND E'\\n' = 'it''s' FETCH FIRST ROW ONLY",
            "INSERT INTO orders(a) VALUES(1) ON CONFLICT(lower(a)) WHERE b IS NULL DO UPDATE SET a=excluded.a",
        ] {
            assert!(rewriter.explain(sql).is_ok(), "{:?}", rewriter.explain(sql));
        }
        // A column that is called so.
        let lite = Rewriter::new(&policy, Dialect::Sqlite);
        assert!(lite.explain("SELECT offset FROM orders WHERE offset > 1 LIMIT 2").is_ok());
    }
}
