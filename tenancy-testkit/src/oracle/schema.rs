//! Random schemas: tables of tenants and a global one, with keys led by the tenant.

use super::rng::Rng;
use super::value::{Name, Type};

/// What a column is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Tenant,
    /// Part of the primary key.
    Key,
    /// Points at the `id` of the table of this number.
    Ref(usize, OnDelete),
    /// Unique within a tenant.
    Slug,
    /// Some tenants have digits alone here, others have not: a cast fails on the others' rows (FLT-34).
    Digits,
    /// Some tenants have no zero here: a division fails on the others' rows.
    Divisor,
    /// Some tenants have valid regular expressions here: matching fails on the others' rows (FLT-33).
    Pattern,
    Data,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnDelete {
    Refuse,
    Cascade,
    SetNull,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: Name,
    pub(crate) ty: Type,
    pub(crate) role: Role,
    pub(crate) not_null: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: Name,
    /// In their physical order; the tenant column stands anywhere.
    pub(crate) columns: Vec<Column>,
    pub(crate) global: bool,
    /// The key is filled from a sequence of its own.
    pub(crate) serial: bool,
    pub(crate) checked: bool,
}

impl Table {
    pub(crate) fn with_role(&self, role: Role) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(move |column| column.role == role)
    }

    /// The columns of the primary key, without the tenant.
    pub(crate) fn key(&self) -> Vec<&Column> {
        let keys: Vec<_> = self.with_role(Role::Key).collect();
        if !keys.is_empty() {
            return keys;
        }
        self.columns.iter().filter(|column| matches!(column.role, Role::Ref(..))).collect()
    }

    pub(crate) fn refs(&self) -> impl Iterator<Item = (&Column, usize, OnDelete)> {
        self.columns.iter().filter_map(|column| match column.role {
            Role::Ref(table, on_delete) => Some((column, table, on_delete)),
            _ => None,
        })
    }
}

const TABLES: [&str; 10] =
    ["orders", "customers", "tags", "Items", "Order Lines", "select", "notes", "jobs", "events", "profiles"];

/// Each name has one type everywhere, so that NATURAL and USING join what can be compared.
const DATA: [(&str, Type, Role); 12] = [
    ("n", Type::Int, Role::Data),
    ("Rank", Type::Int, Role::Data),
    ("qty", Type::Int, Role::Divisor),
    ("body", Type::Text, Role::Data),
    ("group", Type::Text, Role::Data),
    ("code", Type::Text, Role::Digits),
    ("pattern", Type::Text, Role::Pattern),
    ("active", Type::Bool, Role::Data),
    ("isOpen", Type::Bool, Role::Data),
    ("at", Type::Time, Role::Data),
    ("data", Type::Json, Role::Data),
    ("Meta", Type::Json, Role::Data),
];

/// Makes the tables of a world: three to five of tenants, a junction, and a global one.
pub(crate) fn tables(rng: &mut Rng) -> Vec<Table> {
    let tenant = Name::new(*rng.pick(&["tenant_id", "tenant_id", "org_id", "Tenant"]));
    let mut names = TABLES;
    rng.shuffle(&mut names);
    let count = 3 + rng.below(3);
    let mut tables: Vec<Table> = Vec::new();
    for (number, name) in names.iter().take(count).enumerate() {
        let parent = if number == 0 || rng.chance(35) { None } else { Some(rng.below(number)) };
        let table = owned(rng, name, &tenant, number, parent);
        tables.push(table);
    }
    tables.push(junction(rng, names[count], &tenant));
    tables.push(global());
    tables
}

fn owned(rng: &mut Rng, name: &str, tenant: &Name, number: usize, parent: Option<usize>) -> Table {
    let mut columns = vec![column("id", Type::Int, Role::Key, true)];
    if let Some(parent) = parent {
        let on_delete = *rng.pick(&[OnDelete::Refuse, OnDelete::Cascade, OnDelete::SetNull]);
        columns.push(column("owner_id", Type::Int, Role::Ref(parent, on_delete), false));
    }
    if rng.chance(40) {
        // A tree within the table, for recursive queries.
        columns.push(column("parent_id", Type::Int, Role::Ref(number, OnDelete::Refuse), false));
    }
    if rng.chance(60) {
        let not_null = rng.chance(50);
        columns.push(column("slug", Type::Text, Role::Slug, not_null));
    }
    let mut data = DATA;
    rng.shuffle(&mut data);
    for (name, ty, role) in data.into_iter().take(3 + rng.below(4)) {
        columns.push(column(name, ty, role, false));
    }
    finish(rng, name, columns, tenant)
}

fn junction(rng: &mut Rng, name: &str, tenant: &Name) -> Table {
    let columns = vec![
        column("left_id", Type::Int, Role::Ref(0, OnDelete::Cascade), true),
        column("right_id", Type::Int, Role::Ref(1, OnDelete::Cascade), true),
        column("n", Type::Int, Role::Data, false),
    ];
    let mut table = finish(rng, name, columns, tenant);
    table.serial = false;
    table
}

fn finish(rng: &mut Rng, name: &str, mut columns: Vec<Column>, tenant: &Name) -> Table {
    // The tenant column stands at the front, in the middle or at the end.
    let place = rng.below(columns.len() + 1);
    let tenant = Column { name: tenant.clone(), ty: Type::Int, role: Role::Tenant, not_null: true };
    columns.insert(place, tenant);
    let checked = columns.iter().any(|column| column.name.raw() == "n") && rng.chance(50);
    Table { name: Name::new(name), columns, global: false, serial: rng.chance(60), checked }
}

fn global() -> Table {
    let columns = vec![
        column("id", Type::Int, Role::Key, true),
        column("body", Type::Text, Role::Data, false),
        column("n", Type::Int, Role::Data, false),
    ];
    Table { name: Name::new("countries"), columns, global: true, serial: false, checked: false }
}

fn column(name: &str, ty: Type, role: Role, not_null: bool) -> Column {
    Column { name: Name::new(name), ty, role, not_null }
}
