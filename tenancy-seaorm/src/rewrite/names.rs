//! Names that a database may read otherwise than the parser: keywords, two relations of one name, functions called as columns.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, Join, JoinOperator, ObjectName, Query, Statement, TableAlias,
    TableFactor, TableWithJoins, Visit, Visitor,
};
use sqlparser::keywords::Keyword;

use super::clause::unclear;
use super::form::constant;
use super::from::outer_join;
use super::rules::Rules;
use super::token::Tokens;
use crate::error::Error;
use crate::policy::Dialect;

/// Words that PostgreSQL never reads as a table's name where they stand without quotes (its documentation, appendix C).
const RESERVED: [&str; 40] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "both",
    "case",
    "cast",
    "check",
    "column",
    "current_catalog",
    "current_role",
    "current_user",
    "default",
    "distinct",
    "end",
    "except",
    "false",
    "for",
    "from",
    "grant",
    "in",
    "intersect",
    "into",
    "lateral",
    "not",
    "null",
    "on",
    "only",
    "or",
    "select",
    "session_user",
    "some",
    "table",
    "true",
    "union",
    "user",
];

/// Functions in FROM whose columns have names of their own, and those names.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("json_array_elements", &["value"]),
    ("json_array_elements_text", &["value"]),
    ("json_each", &["key", "value"]),
    ("json_each_text", &["key", "value"]),
    ("jsonb_array_elements", &["value"]),
    ("jsonb_array_elements_text", &["value"]),
    ("jsonb_each", &["key", "value"]),
    ("jsonb_each_text", &["key", "value"]),
];

/// Functions in FROM of one column, which is called as they are there.
const UNNAMED: [&str; 8] = [
    "generate_series",
    "generate_subscripts",
    "json_object_keys",
    "jsonb_object_keys",
    "jsonb_path_query",
    "regexp_matches",
    "regexp_split_to_table",
    "string_to_table",
];

/// Refuses GLOBAL as a name, which the parser takes for the beginning of a join of another database, and passes over.
pub(super) fn nothing_passed_over(toks: &Tokens<'_>) -> Result<(), Error> {
    if (0..toks.len()).any(|i| toks.keyword(i) == Some(Keyword::GLOBAL)) {
        return Err(unclear("GLOBAL as a name: put it in double quotes"));
    }
    Ok(())
}

impl Rules {
    /// Refuses a word that means something else in the place of a table: `FROM ONLY orders` is no table `only`.
    pub(super) fn names_a_table(&self, ident: &Ident) -> Result<(), Error> {
        let word = ident.value.to_ascii_lowercase();
        let everywhere = matches!(word.as_str(), "only" | "lateral");
        let reserved = everywhere || (self.dialect == Dialect::Postgres && RESERVED.contains(&word.as_str()));
        if ident.quote_style.is_none() && reserved {
            Err(unclear("a keyword in the place of a table"))
        } else {
            Ok(())
        }
    }

    /// Refuses a FROM clause in which two relations, `others` among them, have one name: a filter would be ambiguous, or,
    /// where both are joined by USING, say nothing of the table that it is for.
    pub(super) fn separate(&self, from: &[TableWithJoins], others: &[&str]) -> Result<(), Error> {
        let mut names: Vec<String> = others.iter().map(|name| self.called(name)).collect();
        self.collect(from, &mut names)?;
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(unclear("two tables of one name in FROM"));
        }
        // SQLite takes the columns of a join in parentheses apart at their dots.
        if self.dialect == Dialect::Sqlite && names.iter().any(|name| name.contains('.')) {
            return Err(unclear("a table's name with a dot in it"));
        }
        Ok(())
    }

    /// Refuses joins that SQLite and MySQL order otherwise than they read: a comma before RIGHT or FULL JOIN, and a function
    /// that is given rows which the filter of an outer join comes after.
    pub(super) fn joins(&self, from: &[TableWithJoins]) -> Result<(), Error> {
        if self.dialect == Dialect::Postgres {
            return Ok(());
        }
        let joins = || from.iter().flat_map(joins_of);
        let right = |join: &&Join| {
            use JoinOperator as J;
            matches!(join.join_operator, J::Right(_) | J::RightOuter(_) | J::FullOuter(_))
        };
        if self.dialect == Dialect::Sqlite && from.len() > 1 && joins().any(|join| right(&join)) {
            return Err(unclear("a comma beside RIGHT or FULL JOIN"));
        }
        let given = || from.iter().flat_map(given_to_functions).any(|expr| !constant(expr));
        if joins().any(|join| outer_join(&join.join_operator)) && given() {
            return Err(unclear("a function in FROM that reads rows, beside an outer join"));
        }
        Ok(())
    }

    pub(super) fn called(&self, name: &str) -> String {
        if self.dialect == Dialect::Postgres { name.to_owned() } else { name.to_ascii_lowercase() }
    }

    fn collect(&self, from: &[TableWithJoins], names: &mut Vec<String>) -> Result<(), Error> {
        for tree in from {
            for factor in factors(tree) {
                if let TableFactor::NestedJoin { table_with_joins, alias } = factor {
                    let inside = std::slice::from_ref(table_with_joins.as_ref());
                    match alias {
                        // The alias hides what stands inside from everything outside, but not in SQLite.
                        Some(_) if self.dialect != Dialect::Sqlite => self.separate(inside, &[])?,
                        _ => self.collect(inside, names)?,
                    }
                }
                if let Some(name) = name_of(factor) {
                    names.push(self.called(&self.fold(name)?));
                }
            }
        }
        Ok(())
    }

    /// What the relations of `query` are called, those of queries inside of it too.
    pub(super) fn names_inside(&self, query: &Query) -> Vec<String> {
        let mut inside = Inside { rules: self, names: Vec::new() };
        let _ = query.visit(&mut inside);
        inside.names
    }

    /// Notes the functions that `statement` has in FROM; `(x).f` and `x.f` would call `f` on what they give.
    pub(super) fn functions_in(&self, statement: &Statement) -> Result<Vec<Given>, Error> {
        let mut found = Given::collector(self);
        if self.dialect == Dialect::Postgres
            && let ControlFlow::Break(error) = statement.visit(&mut found)
        {
            return Err(error);
        }
        Ok(found.given)
    }

    /// Refuses a column that no function in FROM is known to have: to PostgreSQL it may be a call of another function.
    pub(super) fn column(&self, given: &[Given], parts: &[&Ident]) -> Result<(), Error> {
        let [.., table, column] = parts else { return Ok(()) };
        if given.is_empty() {
            return Ok(());
        }
        let (table, column) = (self.fold(table)?, self.fold(column)?);
        let mut of = given.iter().filter(|given| given.name == table);
        if of.all(|given| given.columns.contains(&column)) {
            Ok(())
        } else {
            Err(unclear("a column that a function in FROM may not have; name its columns: f(…) AS f(a, b)"))
        }
    }
}

struct Inside<'a> {
    rules: &'a Rules,
    names: Vec<String>,
}

impl Visitor for Inside<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.names.extend(name_of(factor).and_then(|name| self.rules.fold(name).ok()));
        ControlFlow::Continue(())
    }
}

/// A function in FROM: its name there, and its columns.
#[derive(Debug)]
pub(super) struct Given {
    name: String,
    columns: Vec<String>,
}

struct Collector<'a> {
    rules: &'a Rules,
    given: Vec<Given>,
}

impl Given {
    fn collector(rules: &Rules) -> Collector<'_> {
        Collector { rules, given: Vec::new() }
    }
}

impl Collector<'_> {
    fn function(
        &mut self,
        name: Option<&ObjectName>,
        alias: Option<&TableAlias>,
        ordinality: bool,
    ) -> Result<(), Error> {
        let own = match name {
            Some(name) => {
                let last = name.0.last().and_then(|part| part.as_ident());
                self.rules.fold(last.ok_or_else(|| unclear("a computed function name"))?)?
            }
            None => "unnest".to_owned(),
        };
        let called =
            alias.map(|alias| self.rules.fold(&alias.name)).transpose()?.unwrap_or_else(|| own.clone());
        let mut columns = Vec::new();
        for column in alias.iter().flat_map(|alias| &alias.columns) {
            columns.push(self.rules.fold(&column.name)?);
        }
        // Any other name would be that of another function: to PostgreSQL `x.f` is `f(x)`.
        if columns.is_empty() {
            let known = COLUMNS.iter().find(|(name, _)| *name == own).map(|(_, columns)| *columns);
            columns.extend(known.unwrap_or_default().iter().map(|&column| column.to_owned()));
            if UNNAMED.contains(&own.as_str()) || own == "unnest" {
                columns.push(called.clone());
            }
            columns.extend(ordinality.then(|| "ordinality".to_owned()));
        }
        self.given.push(Given { name: called, columns });
        Ok(())
    }
}

impl Visitor for Collector<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        let done = match factor {
            TableFactor::Table { name, args: Some(_), alias, with_ordinality, .. }
            | TableFactor::Function { name, alias, with_ordinality, .. } => {
                self.function(Some(name), alias.as_ref(), *with_ordinality)
            }
            TableFactor::UNNEST { alias, with_ordinality, with_offset, .. } => {
                self.function(None, alias.as_ref(), *with_ordinality || *with_offset)
            }
            _ => Ok(()),
        };
        done.map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }
}

/// All joins of a tree, those in parentheses too.
fn joins_of(tree: &TableWithJoins) -> Vec<&Join> {
    let inside = factors(tree).flat_map(|factor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => joins_of(table_with_joins),
        _ => Vec::new(),
    });
    inside.chain(&tree.joins).collect()
}

/// What the functions of a tree are given.
pub(super) fn given_to_functions(tree: &TableWithJoins) -> Vec<&Expr> {
    let mut given = Vec::new();
    for factor in factors(tree) {
        let args: &[FunctionArg] = match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => {
                given.extend(given_to_functions(table_with_joins));
                &[]
            }
            TableFactor::Table { args: Some(args), .. } => &args.args,
            TableFactor::Function { args, .. } => args,
            TableFactor::UNNEST { array_exprs, .. } => {
                given.extend(array_exprs);
                &[]
            }
            _ => &[],
        };
        given.extend(args.iter().filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
            | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
            | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. } => Some(expr),
            _ => None,
        }));
    }
    given
}

fn factors(tree: &TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&tree.relation).chain(tree.joins.iter().map(|join| &join.relation))
}

/// What a relation is called, if it is called anything.
pub(super) fn name_of(factor: &TableFactor) -> Option<&Ident> {
    let (own, alias) = match factor {
        TableFactor::Table { name, alias, .. } | TableFactor::Function { name, alias, .. } => {
            (name.0.last().and_then(|part| part.as_ident()), alias)
        }
        TableFactor::NestedJoin { alias, .. }
        | TableFactor::Derived { alias, .. }
        | TableFactor::UNNEST { alias, .. } => (None, alias),
        _ => return None,
    };
    alias.as_ref().map(|alias| &alias.name).or(own)
}

/// True if a word without quotes cannot be a column: the parser takes `SELECT into t` for one with an alias, and PostgreSQL
/// makes a table (its documentation, appendix C; DEFAULT is a value of a row).
pub(super) fn is_reserved(rules: &Rules, ident: &Ident) -> bool {
    const CLAUSES: [&str; 17] = [
        "except",
        "fetch",
        "from",
        "group",
        "having",
        "intersect",
        "into",
        "limit",
        "offset",
        "on",
        "order",
        "returning",
        "select",
        "union",
        "using",
        "where",
        "window",
    ];
    let word = ident.value.to_ascii_lowercase();
    let everywhere = CLAUSES.contains(&word.as_str())
        && !(rules.dialect != Dialect::Postgres && matches!(word.as_str(), "offset" | "window" | "fetch"));
    let here = rules.dialect == Dialect::Postgres
        && !matches!(word.as_str(), "default" | "true" | "false" | "null")
        && (RESERVED.contains(&word.as_str()) || word == "system_user");
    ident.quote_style.is_none() && (everywhere || here)
}

/// True if `expr` is a column that the database has in every table.
pub(super) fn is_of_system(rules: &Rules, expr: &Expr) -> bool {
    let last = match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    last.is_some_and(|last| is_column_of_system(rules, last))
}

/// True if a column of this name tells where a row lies among all rows.
pub(super) fn is_column_of_system(rules: &Rules, column: &Ident) -> bool {
    let columns = match rules.dialect {
        Dialect::Postgres => &["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"][..],
        Dialect::Sqlite => &["rowid", "oid", "_rowid_"][..],
        Dialect::MySql => &[][..],
    };
    rules.fold(column).is_ok_and(|name| columns.contains(&rules.called(&name).as_str()))
}

/// True if `expr` is one of MySQL's variables, `@@global.datadir` among them.
pub(super) fn is_variable(rules: &Rules, expr: &Expr) -> bool {
    let marked = |ident: &Ident| {
        ident.value.starts_with('@') && (ident.quote_style.is_none() || rules.dialect == Dialect::MySql)
    };
    // Words that are calls to PostgreSQL, and columns to the parser.
    let of_session = |ident: &Ident| {
        rules.dialect == Dialect::Postgres
            && ident.quote_style.is_none()
            && matches!(ident.value.to_ascii_lowercase().as_str(), "current_schema" | "current_role")
    };
    match expr {
        Expr::Identifier(ident) => marked(ident) || of_session(ident),
        Expr::CompoundIdentifier(parts) => parts.iter().any(marked),
        _ => false,
    }
}
