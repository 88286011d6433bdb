//! Conflict targets that the parser does not read: expressions, and the condition of a partial unique index.
//!
//! `ON CONFLICT (lower(email)) WHERE deleted_at IS NULL DO …`: what stands between ON CONFLICT and DO is taken out of the
//! tokens before they are parsed, and each of its expressions is parsed by itself. The database evaluates none of them
//! on a row: it looks for a unique index that has exactly these. Hence only plain forms are let through, which name
//! columns and call functions of the allow-list; and a target that no INSERT has claimed in the end is refused.

use std::ops::{ControlFlow, Range};

use sqlparser::ast::{
    Expr, Function, FunctionArguments, Ident, ObjectName, Query, Statement, TableFactor, Visit, Visitor,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::expr;
use super::functions;
use super::heard;
use super::rules::Rules;
use super::token::{Kind, Tokens, parser_dialect, too_complex};
use crate::error::{Error, ErrorKind};
use crate::policy::Dialect;

/// A conflict target that was taken out.
#[derive(Debug)]
pub(super) struct Target {
    /// The token ON before it.
    on: usize,
    /// The token DO after it.
    pub(super) action: usize,
    elements: Vec<Expr>,
    condition: Option<Expr>,
}

/// Conflict targets with expressions that one statement may have.
const MOST: usize = 100;

/// Takes the targets that are more than a list of names out of `parsed`, whose tokens are those of `toks`.
pub(super) fn cut(
    toks: &Tokens<'_>,
    parsed: &mut Vec<TokenWithSpan>,
    dialect: Dialect,
) -> Result<Vec<Target>, Error> {
    let mut targets = Vec::new();
    if dialect == Dialect::MySql {
        return Ok(targets);
    }
    for on in 0..toks.len() {
        let conflict =
            toks.keyword(on) == Some(Keyword::ON) && toks.keyword(on + 1) == Some(Keyword::CONFLICT);
        if conflict
            && toks.text(on + 2) == "("
            && let Some(target) = Target::read(toks, parsed, on, dialect)?
        {
            if targets.len() == MOST {
                return Err(too_complex("conflict targets", "use several statements"));
            }
            targets.push(target);
        }
    }
    for target in targets.iter().rev() {
        parsed.drain(target.on + 2..target.action);
    }
    Ok(targets)
}

/// The tokens that [`cut`] took out.
pub(super) fn ranges(targets: &[Target]) -> Vec<Range<usize>> {
    targets.iter().map(|target| target.on + 2..target.action).collect()
}

impl Target {
    /// The target after the token `on`; none if the parser reads it itself, or if no DO follows.
    fn read(
        toks: &Tokens<'_>,
        parsed: &[TokenWithSpan],
        on: usize,
        dialect: Dialect,
    ) -> Result<Option<Self>, Error> {
        let (open, close) = (on + 2, toks.toks[on + 2].mate);
        let elements = super::clause::items(toks, open + 1, close);
        let conditional = toks.keyword(close + 1) == Some(Keyword::WHERE);
        let name = |(first, end): &(usize, usize)| end - first == 1;
        let Some(action) = action(toks, close + 1, conditional) else {
            // Each would be looked for to the end of the text.
            return if conditional { Err(refused("a conflict target without DO")) } else { Ok(None) };
        };
        if !conditional && elements.iter().all(name) {
            return Ok(None);
        }
        let parse = |(first, end): (usize, usize)| {
            let expr = parse(&parsed[first..end], dialect)?;
            heard::check(toks, first..end, &expr.to_string(), dialect)?;
            Ok(expr)
        };
        Ok(Some(Self {
            on,
            action,
            elements: elements.into_iter().map(parse).collect::<Result<_, _>>()?,
            condition: conditional.then(|| parse((close + 2, action))).transpose()?,
        }))
    }

    /// Takes the target after the token `on` out of those that nobody claimed yet, and looks at its expressions.
    pub(super) fn claim(targets: &mut Vec<Self>, on: usize, rules: &Rules) -> Result<Option<Self>, Error> {
        let Some(at) = targets.iter().position(|target| target.on == on) else { return Ok(None) };
        let target = targets.remove(at);
        for part in target.elements.iter().chain(&target.condition) {
            if let ControlFlow::Break(error) = part.visit(&mut Plain { rules }) {
                return Err(error);
            }
        }
        Ok(Some(target))
    }

    /// The elements that are a column and nothing else.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Ident> {
        self.elements.iter().filter_map(|element| match element {
            Expr::Identifier(column) => Some(column),
            _ => None,
        })
    }
}

/// The token DO that ends a target, at its depth.
fn action(toks: &Tokens<'_>, after: usize, conditional: bool) -> Option<usize> {
    let mut i = after;
    while conditional && i < toks.len() && !toks.is(i, Kind::Close) && toks.keyword(i) != Some(Keyword::DO) {
        i = toks.next(i);
    }
    (toks.keyword(i) == Some(Keyword::DO)).then_some(i)
}

/// One name, or one expression, and nothing after it.
fn parse(tokens: &[TokenWithSpan], dialect: Dialect) -> Result<Expr, Error> {
    let mut parser = Parser::new(parser_dialect(dialect)).with_tokens_with_locations(tokens.to_vec());
    let expr: Result<_, ParserError> = match tokens {
        [_] => parser.parse_identifier().map(Expr::Identifier),
        _ => parser.parse_expr(),
    };
    match expr {
        Ok(expr) if parser.peek_token_ref().token == Token::EOF => Ok(expr),
        _ => Err(refused("a conflict target of this form")),
    }
}

/// Lets plain expressions of columns and values through, and nothing that reads a row of any table.
struct Plain<'a> {
    rules: &'a Rules,
}

impl Plain<'_> {
    fn check(&self, expr: &Expr) -> Result<(), Error> {
        let plain = match expr {
            Expr::Function(function) => plain_call(function),
            Expr::Identifier(_)
            | Expr::Value(_)
            | Expr::TypedString(_)
            | Expr::Nested(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::Between { .. }
            | Expr::BinaryOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::Like { any: false, .. }
            | Expr::ILike { any: false, .. }
            | Expr::Cast { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Collate { .. }
            | Expr::Case { .. } => true,
            _ => false,
        };
        if !plain {
            return Err(refused("an expression in a conflict target"));
        }
        if let Expr::Identifier(column) = expr {
            self.rules.fold(column)?;
        }
        expr::check(self.rules, expr)
    }
}

fn plain_call(function: &Function) -> bool {
    let plain_arguments = match &function.args {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.duplicate_treatment.is_none() && list.clauses.is_empty(),
        FunctionArguments::Subquery(_) => false,
    };
    plain_arguments
        && function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty()
        && function.null_treatment.is_none()
        && !functions::aggregate(function)
}

impl Visitor for Plain<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match self.check(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        ControlFlow::Break(refused("a query in a conflict target"))
    }

    fn pre_visit_relation(&mut self, _: &ObjectName) -> ControlFlow<Error> {
        ControlFlow::Break(refused("a table in a conflict target"))
    }

    fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<Error> {
        ControlFlow::Break(refused("a table in a conflict target"))
    }

    fn pre_visit_statement(&mut self, _: &Statement) -> ControlFlow<Error> {
        ControlFlow::Break(refused("a statement in a conflict target"))
    }
}

fn refused(what: &'static str) -> Error {
    let hint = "name columns, and plain expressions of columns as the unique index has them";
    Error::new(ErrorKind::ConflictTarget, what, hint)
}

#[cfg(test)]
mod tests;
