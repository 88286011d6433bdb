//! Arbitrary trees: statements made of nested queries, joins and predicates in every place that takes one.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tenancy_seaorm::Dialect;

#[path = "check.rs"]
mod check;

#[derive(Arbitrary, Debug)]
enum Statement {
    Query(Box<Query>),
    Insert(Box<Query>, bool, Option<Box<Expr>>),
    Upsert { elements: Vec<Expr>, condition: Option<Expr>, update: bool, wher: Option<Expr> },
    Values(Vec<Expr>, Option<Box<Query>>),
    Update(Box<Expr>, Option<Source>, Option<Box<Expr>>),
    Delete(Option<Source>, Option<Box<Expr>>),
}

#[derive(Arbitrary, Debug)]
enum Query {
    Select {
        columns: Vec<Expr>,
        from: Source,
        wher: Option<Expr>,
        having: Option<Expr>,
        limit: bool,
        lock: bool,
    },
    Union(Box<Query>, Box<Query>, bool),
    With {
        recursive: bool,
        name: Name,
        inner: Box<Query>,
        outer: Box<Query>,
    },
}

#[derive(Arbitrary, Debug)]
enum Source {
    Table(Name, Option<Name>),
    Nested(Box<Query>, Name),
    Lateral(Box<Query>, Name),
    Parenthesised(Box<Source>, Option<Name>),
    Join(Box<Source>, Join, Box<Source>, Condition),
}

#[derive(Arbitrary, Debug)]
enum Join {
    Inner,
    Left,
    Right,
    Full,
    Cross,
    Natural,
    Comma,
}

#[derive(Arbitrary, Debug)]
enum Condition {
    None,
    On(Expr),
    Using,
}

#[derive(Arbitrary, Debug)]
enum Name {
    Orders,
    Tags,
    Countries,
    Quoted,
    Public,
    Unknown,
    A,
}

#[derive(Arbitrary, Debug)]
enum Expr {
    Column(Name),
    Bare,
    Tenant(Name),
    Number(u8),
    Text(String),
    Param(u8),
    Op(Box<Expr>, Op, Box<Expr>),
    Not(Box<Expr>),
    In(Box<Expr>, Box<Query>),
    Exists(Box<Query>),
    Scalar(Box<Query>),
    Case(Box<Expr>, Box<Expr>),
    Cast(Box<Expr>),
    Call(Vec<Expr>),
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
}

#[derive(Arbitrary, Debug)]
enum Op {
    Eq,
    And,
    Or,
    Plus,
    Regex,
    Like,
    Distinct,
}

fuzz_target!(|statement: Statement| {
    let mut sql = String::new();
    write_statement(&statement, &mut sql);
    check::holds(Dialect::Postgres, &sql);
});

fn write_statement(statement: &Statement, sql: &mut String) {
    match statement {
        Statement::Query(query) => write_query(query, sql, 0),
        Statement::Insert(query, upsert, wher) => {
            sql.push_str("INSERT INTO orders (id) ");
            write_query(query, sql, 1);
            if *upsert {
                sql.push_str(" ON CONFLICT (id) DO UPDATE SET id = excluded.id");
                write_optional(" WHERE ", wher.as_deref(), sql);
            }
        }
        Statement::Upsert { elements, condition, update, wher } => {
            sql.push_str("INSERT INTO tags (id, name) VALUES (1, 'x') ON CONFLICT (id, ");
            write_list(elements, sql);
            sql.push(')');
            write_optional(" WHERE ", condition.as_ref(), sql);
            sql.push_str(if *update { " DO UPDATE SET name = 'y'" } else { " DO NOTHING" });
            write_optional(" WHERE ", wher.as_ref(), sql);
        }
        Statement::Values(values, returning) => {
            sql.push_str("INSERT INTO tags (id, name) VALUES (");
            write_list(values, sql);
            sql.push(')');
            if let Some(query) = returning {
                sql.push_str(" RETURNING (");
                write_query(query, sql, 1);
                sql.push(')');
            }
        }
        Statement::Update(value, from, wher) => {
            sql.push_str("UPDATE orders SET total = ");
            write_expr(value, sql, 0);
            if let Some(from) = from {
                sql.push_str(" FROM ");
                write_source(from, sql, 0);
            }
            write_optional(" WHERE ", wher.as_deref(), sql);
        }
        Statement::Delete(using, wher) => {
            sql.push_str("DELETE FROM orders");
            if let Some(using) = using {
                sql.push_str(" USING ");
                write_source(using, sql, 0);
            }
            write_optional(" WHERE ", wher.as_deref(), sql);
        }
    }
}

fn write_query(query: &Query, sql: &mut String, depth: usize) {
    if depth > 12 {
        return sql.push_str("SELECT 1");
    }
    match query {
        Query::Select { columns, from, wher, having, limit, lock } => {
            sql.push_str("SELECT ");
            if columns.is_empty() {
                sql.push('*')
            } else {
                write_list(columns, sql)
            }
            sql.push_str(" FROM ");
            write_source(from, sql, depth + 1);
            write_optional(" WHERE ", wher.as_ref(), sql);
            write_optional(" GROUP BY 1 HAVING ", having.as_ref(), sql);
            sql.push_str(if *limit { " LIMIT 1" } else { "" });
            sql.push_str(if *lock { " FOR UPDATE" } else { "" });
        }
        Query::Union(a, b, all) => {
            write_query(a, sql, depth + 1);
            sql.push_str(if *all { " UNION ALL " } else { " EXCEPT " });
            write_query(b, sql, depth + 1);
        }
        Query::With { recursive, name, inner, outer } => {
            sql.push_str(if *recursive { "WITH RECURSIVE " } else { "WITH " });
            sql.push_str(text(name));
            sql.push_str(" AS (");
            write_query(inner, sql, depth + 1);
            sql.push_str(") ");
            write_query(outer, sql, depth + 1);
        }
    }
}

fn write_source(source: &Source, sql: &mut String, depth: usize) {
    if depth > 12 {
        return sql.push_str("countries");
    }
    match source {
        Source::Table(name, alias) => {
            sql.push_str(text(name));
            write_alias(alias.as_ref(), sql);
        }
        Source::Nested(query, alias) | Source::Lateral(query, alias) => {
            sql.push_str(if matches!(source, Source::Lateral(..)) { "LATERAL (" } else { "(" });
            write_query(query, sql, depth + 1);
            sql.push(')');
            write_alias(Some(alias), sql);
        }
        Source::Parenthesised(inner, alias) => {
            sql.push('(');
            write_source(inner, sql, depth + 1);
            sql.push(')');
            write_alias(alias.as_ref(), sql);
        }
        Source::Join(left, join, right, on) => {
            write_source(left, sql, depth + 1);
            sql.push_str(match join {
                Join::Inner => " JOIN ",
                Join::Left => " LEFT JOIN ",
                Join::Right => " RIGHT JOIN ",
                Join::Full => " FULL JOIN ",
                Join::Cross => " CROSS JOIN ",
                Join::Natural => " NATURAL JOIN ",
                Join::Comma => ", ",
            });
            write_source(right, sql, depth + 1);
            match on {
                Condition::None => {}
                Condition::On(expr) => {
                    sql.push_str(" ON ");
                    write_expr(expr, sql, depth + 1);
                }
                Condition::Using => sql.push_str(" USING (id)"),
            }
        }
    }
}

fn write_expr(expr: &Expr, sql: &mut String, depth: usize) {
    if depth > 12 {
        return sql.push('1');
    }
    let next = depth + 1;
    match expr {
        Expr::Bare => sql.push_str("name"),
        Expr::Column(name) => *sql += &format!("{}.id", text(name)),
        Expr::Tenant(name) => *sql += &format!("{}.tenant_id", text(name)),
        Expr::Number(number) => *sql += &number.to_string(),
        Expr::Text(value) => *sql += &format!("'{}'", value.replace('\'', "''")),
        Expr::Param(number) => *sql += &format!("${}", u32::from(*number) + 1),
        Expr::Op(a, op, b) => {
            write_expr(a, sql, next);
            sql.push_str(match op {
                Op::Eq => " = ",
                Op::And => " AND ",
                Op::Or => " OR ",
                Op::Plus => " + ",
                Op::Regex => " ~ ",
                Op::Like => " LIKE ",
                Op::Distinct => " IS DISTINCT FROM ",
            });
            write_expr(b, sql, next);
        }
        Expr::Not(a) => {
            sql.push_str("NOT ");
            write_expr(a, sql, next);
        }
        Expr::In(a, query) => {
            write_expr(a, sql, next);
            sql.push_str(" IN (");
            write_query(query, sql, next);
            sql.push(')');
        }
        Expr::Exists(query) | Expr::Scalar(query) => {
            sql.push_str(if matches!(expr, Expr::Exists(_)) { "EXISTS (" } else { "(" });
            write_query(query, sql, next);
            sql.push(')');
        }
        Expr::Case(a, b) => {
            sql.push_str("CASE WHEN ");
            write_expr(a, sql, next);
            sql.push_str(" THEN ");
            write_expr(b, sql, next);
            sql.push_str(" END");
        }
        Expr::Cast(a) => {
            sql.push_str("CAST(");
            write_expr(a, sql, next);
            sql.push_str(" AS integer)");
        }
        Expr::Call(arguments) => {
            sql.push_str("coalesce(");
            write_list(arguments, sql);
            sql.push(')');
        }
        Expr::Between(a, b, c) => {
            write_expr(a, sql, next);
            sql.push_str(" BETWEEN ");
            write_expr(b, sql, next);
            sql.push_str(" AND ");
            write_expr(c, sql, next);
        }
    }
}

fn write_list(list: &[Expr], sql: &mut String) {
    for (i, expr) in list.iter().take(8).enumerate() {
        sql.push_str(if i == 0 { "" } else { ", " });
        write_expr(expr, sql, 1);
    }
}

fn write_optional(word: &str, expr: Option<&Expr>, sql: &mut String) {
    if let Some(expr) = expr {
        sql.push_str(word);
        write_expr(expr, sql, 0);
    }
}

fn write_alias(alias: Option<&Name>, sql: &mut String) {
    if let Some(alias) = alias {
        sql.push_str(" AS ");
        sql.push_str(text(alias).rsplit('.').next().unwrap_or_default());
    }
}

fn text(name: &Name) -> &'static str {
    match name {
        Name::Orders => "orders",
        Name::Tags => "tags",
        Name::Countries => "countries",
        Name::Quoted => "\"orders\"",
        Name::Public => "public.orders",
        Name::Unknown => "secrets",
        Name::A => "a",
    }
}
