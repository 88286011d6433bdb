//! What a predicate's outermost ANDs connect, in the tree and in the text.

use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::keywords::Keyword;

use super::token::{Kind, Tokens};

/// The operands of a predicate's outermost ANDs.
pub(super) fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let mut parts = Vec::new();
    let mut rest = expr;
    while let Expr::BinaryOp { left, op: BinaryOperator::And, right } = rest {
        parts.push(right.as_ref());
        rest = left;
    }
    parts.push(rest);
    parts.reverse();
    parts
}

/// The operands of a predicate's outermost ANDs, also of those in parentheses, and the tokens of each: a database asks each
/// by itself, and none of the rest once one does not hold, be it unknown.
pub(super) fn operands<'e>(
    toks: &Tokens<'_>,
    expr: &'e Expr,
    (first, end): (usize, usize),
) -> Vec<(&'e Expr, (usize, usize))> {
    let (parts, ranges) = (conjuncts(expr), split(toks, first, end));
    if parts.len() != ranges.len() {
        return vec![(expr, (first, end))];
    }
    let inside = |(part, range): (&'e Expr, (usize, usize))| match part {
        Expr::Nested(inner) if toks.is(range.0, Kind::Open) && toks.next(range.0) == range.1 => {
            operands(toks, inner, (range.0 + 1, range.1 - 1))
        }
        _ => vec![(part, range)],
    };
    parts.into_iter().zip(ranges).flat_map(inside).collect()
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
