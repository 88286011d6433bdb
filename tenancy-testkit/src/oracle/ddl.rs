//! The SQL that makes a world's tables and rows, in each of the layouts that are compared.

use std::fmt::Write;

use super::schema::{OnDelete, Role, Table};
use super::value::Type;
use super::world::World;

/// How the rows of the tenants are laid out.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Placement {
    /// All tenants in one table, with nothing but their column to tell them apart.
    Shared,
    /// The same, behind row-level security.
    Walled,
    /// The rows of this tenant alone: what the others are compared with.
    Twin(usize),
    /// The same tables as where all tenants share them, with the rows of this tenant alone: in its schema or database.
    #[cfg(feature = "seaorm")]
    Own(usize),
    /// The same tables without a row of any tenant.
    #[cfg(feature = "seaorm")]
    Empty,
}

impl Placement {
    /// Whether the rows of `tenant` are there.
    fn holds(self, tenant: usize) -> bool {
        match self {
            Self::Shared | Self::Walled => true,
            Self::Twin(own) => own == tenant,
            #[cfg(feature = "seaorm")]
            Self::Own(own) => own == tenant,
            #[cfg(feature = "seaorm")]
            Self::Empty => false,
        }
    }
}

/// The setting that tells row-level security whose rows are meant.
pub(crate) const SETTING: &str = "tenancy.tenant_id";

/// The constraint by which a twin refuses another tenant's rows.
pub(crate) const TWIN_CHECK: &str = "of_this_tenant";

/// The value at which every sequence starts.
pub(crate) const SEQUENCE_START: i64 = 100;

/// Statements that make `world` from nothing.
pub(crate) fn create(world: &World, placement: Placement) -> String {
    let mut sql = String::new();
    for number in 0..world.tables.len() {
        create_table(world, number, placement, &mut sql);
        insert_rows(world, number, placement, &mut sql);
    }
    if placement == Placement::Walled {
        // Only now: the rows of all tenants had to go in first.
        world.tables.iter().filter(|table| !table.global).for_each(|table| wall(table, world, &mut sql));
    }
    sql
}

/// Statements that put the rows of all tables in.
#[cfg(feature = "seaorm")]
pub(crate) fn fill(world: &World, placement: Placement) -> String {
    let mut sql = String::new();
    (0..world.tables.len()).for_each(|number| insert_rows(world, number, placement, &mut sql));
    sql
}

/// Statements that put the rows of all tables back, whatever is in them.
#[cfg(feature = "seaorm")]
pub(crate) fn refill(world: &World, placement: Placement) -> String {
    let mut sql = String::new();
    for table in world.tables.iter().rev() {
        push(&mut sql, format_args!("DELETE FROM {};", table.name.sql()));
    }
    sql + &fill(world, placement)
}

/// Statements that make the tables of tenants alone, with `tenant`'s rows, where new tables go.
#[cfg(feature = "seaorm")]
pub(crate) fn create_own(world: &World, tenant: usize) -> String {
    let mut sql = String::new();
    for number in (0..world.tables.len()).filter(|number| !world.tables[*number].global) {
        create_table(world, number, Placement::Own(tenant), &mut sql);
        insert_rows(world, number, Placement::Own(tenant), &mut sql);
    }
    sql
}

/// Statements that put the rows of [`create_own`]'s tables back, whatever is in them.
#[cfg(feature = "seaorm")]
pub(crate) fn refill_own(world: &World, tenant: usize) -> String {
    let mut sql = String::new();
    for table in world.tables.iter().rev().filter(|table| !table.global) {
        push(&mut sql, format_args!("DELETE FROM {};", table.name.sql()));
    }
    for number in (0..world.tables.len()).filter(|number| !world.tables[*number].global) {
        insert_rows(world, number, Placement::Own(tenant), &mut sql);
    }
    sql
}

/// Statements that remove `world`.
pub(crate) fn remove(world: &World) -> String {
    let tables: Vec<_> = world.tables.iter().map(|table| table.name.sql()).collect();
    let mut sql = format!("DROP TABLE IF EXISTS {} CASCADE;", tables.join(", "));
    for number in 0..world.tables.len() {
        push(&mut sql, format_args!("DROP SEQUENCE IF EXISTS seq{number};"));
    }
    sql
}

/// A query that delivers a row for each owned table: how many rows `tenant` has and a hash of them, and the same of
/// all others.
pub(crate) fn digest(world: &World, tenant: usize) -> String {
    let id = world.tenant_value(tenant).literal();
    let parts = world.tables.iter().enumerate().filter(|(_, table)| !table.global).map(|(number, table)| {
        let name = table.name.sql();
        let column = tenant_column(table);
        format!(
            "SELECT {number} AS t, count(*) FILTER (WHERE own), coalesce(sum(h) FILTER (WHERE own), 0), \
             count(*) FILTER (WHERE NOT own), coalesce(sum(h) FILTER (WHERE NOT own), 0) \
             FROM (SELECT x.{column} IS NOT DISTINCT FROM {id} AS own, hashtextextended(x::text, 0) AS h FROM {name} x) y"
        )
    });
    format!("{} ORDER BY 1", parts.collect::<Vec<_>>().join(" UNION ALL "))
}

/// A query that puts every sequence back, which a rolled-back transaction does not.
pub(crate) fn restart(world: &World) -> Option<String> {
    let numbers = (0..world.tables.len()).filter(|number| world.tables[*number].serial);
    let calls: Vec<_> =
        numbers.map(|number| format!("setval('seq{number}', {SEQUENCE_START}, false)")).collect();
    (!calls.is_empty()).then(|| format!("SELECT {}", calls.join(", ")))
}

pub(crate) fn tenant_column(table: &Table) -> String {
    table.with_role(Role::Tenant).next().map(|column| column.name.sql()).unwrap_or_default()
}

fn create_table(world: &World, number: usize, placement: Placement, sql: &mut String) {
    let table = &world.tables[number];
    if table.serial {
        push(sql, format_args!("CREATE SEQUENCE seq{number} START {SEQUENCE_START};"));
    }
    push(sql, format_args!("CREATE TABLE {} (", table.name.sql()));
    for column in &table.columns {
        let tenant = column.role == Role::Tenant;
        let ty = if tenant { world.tenant_type() } else { column.ty.sql() };
        push(sql, format_args!("{} {ty}", column.name.sql()));
        if column.not_null {
            sql.push_str(" NOT NULL");
        }
        if tenant {
            sql.push_str(&tenant_default(world, placement));
        } else if table.serial && column.role == Role::Key {
            push(sql, format_args!(" DEFAULT nextval('seq{number}')"));
        } else if column.ty == Type::Bool {
            sql.push_str(" DEFAULT true");
        }
        sql.push_str(", ");
    }
    constraints(world, number, placement, sql);
    sql.push_str(");");
}

fn tenant_default(world: &World, placement: Placement) -> String {
    match placement {
        Placement::Shared => String::new(),
        #[cfg(feature = "seaorm")]
        Placement::Own(_) | Placement::Empty => String::new(),
        Placement::Walled => format!(" DEFAULT {}", current_tenant(world)),
        Placement::Twin(tenant) => format!(" DEFAULT {}", world.tenant_value(tenant).literal()),
    }
}

fn current_tenant(world: &World) -> String {
    format!("nullif(current_setting('{SETTING}', true), '')::{}", world.tenant_type())
}

fn constraints(world: &World, number: usize, placement: Placement, sql: &mut String) {
    let table = &world.tables[number];
    let key = table.key().iter().map(|column| column.name.sql()).collect::<Vec<_>>().join(", ");
    if table.global {
        push(sql, format_args!("CONSTRAINT pk{number} PRIMARY KEY ({key})"));
        return;
    }
    let tenant = tenant_column(table);
    push(sql, format_args!("CONSTRAINT pk{number} PRIMARY KEY ({tenant}, {key})"));
    let slug = table.with_role(Role::Slug).next().map(|column| column.name.sql());
    if let Some(slug) = &slug {
        push(sql, format_args!(", CONSTRAINT uq{number} UNIQUE ({tenant}, {slug})"));
    }
    if table.checked {
        push(sql, format_args!(", CONSTRAINT ck{number} CHECK (n < 50)"));
    }
    for (column, target, on_delete) in table.refs() {
        let (name, target) = (column.name.sql(), &world.tables[target]);
        let action = match on_delete {
            OnDelete::Refuse => String::new(),
            OnDelete::Cascade => " ON DELETE CASCADE".to_owned(),
            OnDelete::SetNull => format!(" ON DELETE SET NULL ({name})"),
        };
        let target_tenant = tenant_column(target);
        let target = target.name.sql();
        push(
            sql,
            format_args!(
                ", FOREIGN KEY ({tenant}, {name}) REFERENCES {target} ({target_tenant}, id){action}"
            ),
        );
    }
    if let Placement::Twin(own) = placement {
        let id = world.tenant_value(own).literal();
        // Without other tenants, a key is unique without the tenant too.
        push(sql, format_args!(", UNIQUE ({key}), CONSTRAINT {TWIN_CHECK} CHECK ({tenant} = {id})"));
        if let Some(slug) = slug {
            push(sql, format_args!(", UNIQUE ({slug})"));
        }
    }
}

fn insert_rows(world: &World, number: usize, placement: Placement, sql: &mut String) {
    let table = &world.tables[number];
    let mut rows = Vec::new();
    for (tenant, own) in world.rows[number].iter().enumerate() {
        if !table.global && !placement.holds(tenant) {
            continue;
        }
        let id = world.tenant_value(tenant).literal();
        for row in own {
            let cells = table.columns.iter().zip(row);
            let cells = cells
                .map(|(column, cell)| if column.role == Role::Tenant { id.clone() } else { cell.literal() });
            rows.push(format!("({})", cells.collect::<Vec<_>>().join(", ")));
        }
    }
    if !rows.is_empty() {
        push(sql, format_args!("INSERT INTO {} VALUES {};", table.name.sql(), rows.join(", ")));
    }
}

fn wall(table: &Table, world: &World, sql: &mut String) {
    let name = table.name.sql();
    let own = format!("{} = (SELECT {})", tenant_column(table), current_tenant(world));
    push(sql, format_args!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"));
    push(sql, format_args!("CREATE POLICY own ON {name} USING ({own}) WITH CHECK ({own});"));
}

fn push(sql: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = sql.write_fmt(text);
}
