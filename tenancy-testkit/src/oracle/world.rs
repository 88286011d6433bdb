//! [`World`]: a schema, its tenants and their rows.

use tenancy_core::{TenantId, TenantIdRef};

use super::rng::Rng;
use super::schema::{Column, Role, Table, tables};
use super::value::{Type, Value, quoted};

/// A schema with the rows of several tenants, one of whom may have none. Keys overlap between tenants on purpose.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) seed: u64,
    pub(crate) tables: Vec<Table>,
    pub(crate) tenants: Vec<TenantId>,
    /// By table, then by tenant. A global table's rows stand under the first tenant.
    pub(crate) rows: Vec<Vec<Vec<Row>>>,
}

pub(crate) type Row = Vec<Cell>;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i32),
    Text(String),
    Bool(bool),
    Time(String),
    Json(String),
}

impl Cell {
    pub(crate) fn literal(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Int(v) => v.to_string(),
            Self::Text(v) | Self::Time(v) | Self::Json(v) => quoted(v),
            Self::Bool(v) => v.to_string(),
        }
    }
}

impl World {
    /// Makes the world that belongs to `seed`.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let tables = tables(&mut rng);
        let count = 2 + rng.below(4);
        let text = rng.chance(30);
        let tenants: Vec<TenantId> = (0..count).map(|i| tenant(i, text)).collect();
        let empty = if rng.chance(70) { rng.below(count) } else { count };
        let mut world = Self { seed, tables, tenants, rows: Vec::new() };
        for table in 0..world.tables.len() {
            let rows =
                (0..count).map(|tenant| world.fill(&mut rng, table, tenant, tenant == empty)).collect();
            world.rows.push(rows);
        }
        world
    }

    /// Returns the names of the tables whose rows belong to tenants, and the name of each one's tenant column.
    pub fn owned_tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tables.iter().filter_map(|table| {
            let column = table.with_role(Role::Tenant).next()?;
            Some((table.name.raw(), column.name.raw()))
        })
    }

    /// Returns the names of the tables that are the same for every tenant.
    pub fn global_tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().filter(|table| table.global).map(|table| table.name.raw())
    }

    /// Returns the tenants.
    #[must_use]
    pub fn tenants(&self) -> &[TenantId] {
        &self.tenants
    }

    /// The same without the rows of other tenants than `tenant`.
    pub(crate) fn without_others(&self, tenant: usize) -> Self {
        let mut world = self.clone();
        for (_, rows) in world.tables.iter().zip(&mut world.rows).filter(|(table, _)| !table.global) {
            rows.iter_mut()
                .enumerate()
                .filter(|(owner, _)| *owner != tenant)
                .for_each(|(_, rows)| rows.clear());
        }
        world
    }

    pub(crate) fn tenant_value(&self, tenant: usize) -> Value {
        match self.tenants[tenant].as_ref() {
            TenantIdRef::Integer(id) => Value::BigInt(Some(id)),
            TenantIdRef::Text(id) => Value::Text(Some(id.to_owned())),
            TenantIdRef::Uuid(id) => Value::Text(Some(id.to_string())),
        }
    }

    pub(crate) fn tenant_type(&self) -> &'static str {
        match self.tenants[0].as_ref() {
            TenantIdRef::Integer(_) => "bigint",
            _ => "text",
        }
    }

    /// True if no row of `tenant` makes the hazard of `column` fail.
    pub(crate) fn harmless(&self, tenant: usize, table: usize, column: usize) -> bool {
        let role = self.tables[table].columns[column].role;
        let rows = &self.rows[table][if self.tables[table].global { 0 } else { tenant }];
        rows.iter().all(|row| match (role, &row[column]) {
            (_, Cell::Null) => true,
            (Role::Digits, Cell::Text(text)) => text.parse::<i32>().is_ok(),
            (Role::Divisor, Cell::Int(n)) => *n != 0,
            (Role::Pattern, Cell::Text(text)) => VALID.contains(&text.as_str()),
            _ => true,
        })
    }

    fn fill(&self, rng: &mut Rng, table: usize, tenant: usize, empty: bool) -> Vec<Row> {
        let shape = &self.tables[table];
        if (shape.global && tenant > 0) || (empty && !shape.global) {
            return Vec::new();
        }
        let tenant_of = (!shape.global).then_some(tenant);
        let flavor = Flavor {
            tenant: tenant_of,
            digits: rng.chance(50),
            nonzero: rng.chance(50),
            valid: rng.chance(50),
        };
        let mut ids: Vec<i32> = (1..=8).collect();
        rng.shuffle(&mut ids);
        let count = if shape.global { 3 } else { rng.below(7) };
        let mut rows: Vec<Row> = Vec::new();
        for id in ids.into_iter().take(count) {
            let cell = |column| self.cell(rng, column, table, tenant, id, flavor, &rows);
            let row: Row = shape.columns.iter().map(cell).collect();
            if !self.repeats_key(table, &rows, &row) {
                rows.push(row);
            }
        }
        rows
    }

    fn repeats_key(&self, table: usize, rows: &[Row], row: &Row) -> bool {
        let shape = &self.tables[table];
        let key = shape.key();
        let places: Vec<_> = (0..shape.columns.len())
            .filter(|i| key.iter().any(|k| k.name == shape.columns[*i].name))
            .collect();
        let lacking = shape
            .columns
            .iter()
            .zip(row)
            .any(|(c, cell)| c.not_null && c.role != Role::Tenant && *cell == Cell::Null);
        lacking || rows.iter().any(|other| places.iter().all(|i| other[*i] == row[*i]))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one cell depends on where it stands and on the rows before it"
    )]
    fn cell(
        &self,
        rng: &mut Rng,
        column: &Column,
        table: usize,
        tenant: usize,
        id: i32,
        flavor: Flavor,
        rows: &[Row],
    ) -> Cell {
        match column.role {
            // Written from the tenant when the row is inserted.
            Role::Tenant => Cell::Null,
            Role::Key => Cell::Int(id),
            Role::Ref(target, _) => {
                let among = if target == table { rows } else { &self.rows[target][tenant] };
                if among.is_empty() || (!column.not_null && rng.chance(25)) {
                    return Cell::Null;
                }
                let key = self.tables[target].columns.iter().position(|column| column.role == Role::Key);
                key.map_or(Cell::Null, |key| rng.pick(among)[key].clone())
            }
            Role::Slug if !column.not_null && rng.chance(15) => Cell::Null,
            // The same slugs in all tenants: only the tenant tells them apart.
            Role::Slug => Cell::Text(format!("s{id}")),
            _ if rng.chance(20) => Cell::Null,
            role => flavor.data(rng, role, column.ty),
        }
    }
}

const VALID: [&str; 4] = ["^a", "b+", "x|y", "."];
/// The last two are no paths into JSON and no patterns of LIKE either.
const INVALID: [&str; 6] = ["[", "(", "a{2,1}", "*", "$[", "%\\"];
const TIMES: [&str; 4] = ["2024-01-01 00:00:00", "2024-02-29 12:30:00", "1999-12-31 23:59:59", "infinity"];
const JSON: [&str; 5] = [r#"{"k":1}"#, r#"{"k":"a","l":[1,2]}"#, "[]", "null", r#"{"k":null}"#];

#[derive(Clone, Copy, Debug)]
struct Flavor {
    /// None of a global table.
    tenant: Option<usize>,
    digits: bool,
    nonzero: bool,
    valid: bool,
}

impl Flavor {
    fn canary(self) -> String {
        self.tenant.map_or_else(|| "of-all".to_owned(), |tenant| format!("of-tenant-{tenant}"))
    }

    fn data(self, rng: &mut Rng, role: Role, ty: Type) -> Cell {
        match (role, ty) {
            (Role::Digits, _) if self.digits => Cell::Text(rng.between(0, 30).to_string()),
            (Role::Digits, _) => Cell::Text((*rng.pick(&["7", "12", "SECRET-3", "n/a", ""])).to_owned()),
            (Role::Divisor, _) if self.nonzero => Cell::Int(*rng.pick(&[-2, 1, 2, 5])),
            (Role::Divisor, _) => Cell::Int(*rng.pick(&[0, 0, 1, 3])),
            (Role::Pattern, _) if self.valid => Cell::Text((*rng.pick(&VALID)).to_owned()),
            (Role::Pattern, _) => {
                let list: &[&str] = if rng.chance(60) { &INVALID } else { &VALID };
                Cell::Text((*rng.pick(list)).to_owned())
            }
            (_, Type::Int) => Cell::Int(rng.between(-1, 5) as i32),
            // A canary shows in a difference whose row it is.
            (_, Type::Text) if rng.chance(25) => Cell::Text(self.canary()),
            (_, Type::Text) => Cell::Text((*rng.pick(&["a", "b", "A", "ab", "x%y", "", "it's"])).to_owned()),
            (_, Type::Bool) => Cell::Bool(rng.chance(50)),
            (_, Type::Time) => Cell::Time((*rng.pick(&TIMES)).to_owned()),
            (_, Type::Json) => Cell::Json((*rng.pick(&JSON)).to_owned()),
        }
    }
}

fn tenant(number: usize, text: bool) -> TenantId {
    const NAMES: [&str; 5] = ["acme", "globex", "initech", "umbrella", "hooli"];
    if text {
        TenantId::text(NAMES[number]).expect("a short word is a tenant's id")
    } else {
        TenantId::integer(number as i64 + 1).expect("a positive number is a tenant's id")
    }
}
