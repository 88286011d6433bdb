//! A world in SQLite's words.

use super::super::ddl::{self, Placement, TWIN_CHECK};
use super::super::r#gen::ALWAYS_FAILS;
use super::super::schema::{OnDelete, Role};
use super::super::subject::Statement;
use super::super::value::Type;
use super::super::world::World;

/// What SQLite writes otherwise and means the same; the rest of PostgreSQL's words it does not understand.
pub(super) fn spelled(sql: &str) -> String {
    let sql = sql.replace("public.", "main.").replace("TIMESTAMP '", "'").replace("$q$a$q$", "'a'");
    // What fails there fails here, too: on no path into JSON, and beyond the smallest number.
    let sql = sql.replace("'xab' ~ ", "'{}' ->> ");
    let sql = sql.replace(ALWAYS_FAILS, "abs(-9223372036854775807 - 1 + count(*) - count(*))");
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql.chars().peekable();
    let mut quoted = false;
    while let Some(c) = rest.next() {
        quoted ^= c == '\'';
        let number = rest.peek().is_some_and(char::is_ascii_digit);
        text.push(if c == '$' && number && !quoted { '?' } else { c });
    }
    text
}

/// True if what the statement gives depends on which row is written first: a query in SET or RETURNING sees what has
/// been written of the rows before.
pub(super) fn depends_on_order(statement: &Statement) -> bool {
    let (mut depth, mut places) = (0_i32, Vec::new());
    for (at, c) in statement.sql.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        let clause = [" SET ", " FROM ", " WHERE ", " RETURNING "]
            .into_iter()
            .find(|clause| depth == 0 && statement.sql[at..].starts_with(clause));
        places.extend(clause.map(|clause| (at, clause)));
    }
    let end = statement.sql.len();
    let ends = places.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let mut parts = places.iter().zip(ends).map(|((at, clause), end)| (*clause, &statement.sql[*at..end]));
    statement.writes
        && parts.any(|(clause, part)| matches!(clause, " SET " | " RETURNING ") && part.contains("(SELECT"))
}

/// Statements that make `world` from nothing.
pub(super) fn create(world: &World, placement: Placement) -> String {
    let mut sql = String::new();
    for number in 0..world.tables.len() {
        sql.push_str(&table(world, number, placement));
    }
    sql.push_str(&ddl::fill(world, placement));
    sql
}

fn table(world: &World, number: usize, placement: Placement) -> String {
    let table = &world.tables[number];
    let mut parts = Vec::new();
    for column in &table.columns {
        let tenant = column.role == Role::Tenant;
        let ty = if tenant { world.tenant_type() } else { column.ty.sql() };
        let not_null = if column.not_null { " NOT NULL" } else { "" };
        let default = match placement {
            Placement::Twin(own) if tenant => format!(" DEFAULT {}", literal(world, own)),
            _ if !tenant && column.ty == Type::Bool => " DEFAULT true".to_owned(),
            _ => String::new(),
        };
        parts.push(format!("{} {ty}{not_null}{default}", column.name.sql()));
    }
    let key = table.key().iter().map(|column| column.name.sql()).collect::<Vec<_>>().join(", ");
    if table.global {
        parts.push(format!("PRIMARY KEY ({key})"));
    } else {
        parts.extend(constraints(world, number, placement, &key));
    }
    format!("CREATE TABLE {} ({});", table.name.sql(), parts.join(", "))
}

fn constraints(world: &World, number: usize, placement: Placement, key: &str) -> Vec<String> {
    let table = &world.tables[number];
    let tenant = ddl::tenant_column(table);
    let mut parts = vec![format!("PRIMARY KEY ({tenant}, {key})")];
    let slug = table.with_role(Role::Slug).next().map(|column| column.name.sql());
    parts.extend(slug.iter().map(|slug| format!("UNIQUE ({tenant}, {slug})")));
    if table.checked {
        parts.push("CHECK (n < 50)".to_owned());
    }
    for (column, target, on_delete) in table.refs() {
        let target = &world.tables[target];
        // It cannot leave the tenant as it is and unset the rest.
        let action = if on_delete == OnDelete::Cascade { " ON DELETE CASCADE" } else { "" };
        parts.push(format!(
            "FOREIGN KEY ({tenant}, {}) REFERENCES {} ({}, id){action}",
            column.name.sql(),
            target.name.sql(),
            ddl::tenant_column(target)
        ));
    }
    if let Placement::Twin(own) = placement {
        parts.push(format!("UNIQUE ({key})"));
        parts.push(format!("CONSTRAINT {TWIN_CHECK} CHECK ({tenant} = {})", literal(world, own)));
        parts.extend(slug.map(|slug| format!("UNIQUE ({slug})")));
    }
    parts
}

fn literal(world: &World, tenant: usize) -> String {
    let literal = world.tenant_value(tenant).literal();
    literal.split("::").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_schemas_are_spelled_as_sqlite_does() {
        let sql = "SELECT a, '$1' FROM public.t WHERE a = $1 AND b > TIMESTAMP '2024-01-01 00:00:00'";
        let expected = "SELECT a, '$1' FROM main.t WHERE a = ?1 AND b > '2024-01-01 00:00:00'";
        assert_eq!(spelled(sql), expected);
    }
}
