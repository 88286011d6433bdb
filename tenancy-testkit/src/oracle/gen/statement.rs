//! Whole statements.

use super::insert::Dml;
use super::{Cte, Gen};
use crate::oracle::frag::{Frag, Kind, seq};
use crate::oracle::rng::Rng;
use crate::oracle::schema::Role;
use crate::oracle::value::{Name, Value};
use crate::oracle::world::World;

/// A generated statement that can still be cut down.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) frag: Frag,
    pub(crate) values: Vec<Value>,
    pub(crate) tenant: usize,
    pub(crate) writes: bool,
    pub(crate) ordered: bool,
    pub(crate) restart: bool,
    pub(crate) hazard: bool,
    /// It asks for another tenant's rows to be written: nothing but a refusal is right.
    pub(crate) forbidden: bool,
    pub(crate) tags: Vec<&'static str>,
}

impl Draft {
    /// Makes the statement that belongs to `rng`.
    pub(crate) fn generate(world: &World, mut rng: Rng) -> Self {
        let tenant = rng.below(world.tenants.len());
        let mut r#gen = Gen::new(world, tenant, rng);
        let (frag, ordered, writes, forbidden) = r#gen.statement();
        let mut tags: Vec<_> = r#gen.tags.into_iter().collect();
        if r#gen.moved {
            tags.push("moves keys");
        }
        Self {
            frag,
            values: r#gen.params,
            tenant,
            writes,
            ordered,
            restart: r#gen.restart,
            hazard: r#gen.hazard,
            forbidden,
            tags,
        }
    }
}

impl Gen<'_> {
    fn statement(&mut self) -> (Frag, bool, bool, bool) {
        match self.rng.weighted(&[620, 115, 125, 70, 60, 8, 4]) {
            1 => self.write(|own| own.insert(false)),
            2 => self.write(|own| own.update(false)),
            3 => self.write(|own| own.delete(false)),
            4 => self.modifying_cte(),
            5 => self.foreign_write(),
            6 => self.rare(),
            _ => {
                self.tag("SELECT");
                let query = self.top();
                let locks = self.tags.contains("FOR UPDATE");
                (query.frag, query.ordered, locks, false)
            }
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Self) -> Dml) -> (Frag, bool, bool, bool) {
        let with = if self.nest(9) { self.with() } else { Frag::empty() };
        let dml = write(self);
        (seq![with, dml.frag], false, true, false)
    }

    /// `WITH w AS (DELETE … RETURNING …) SELECT …`: the query sees the rows as they were before.
    fn modifying_cte(&mut self) -> (Frag, bool, bool, bool) {
        self.tag("data-modifying common table expression");
        let dml = match self.rng.below(3) {
            0 => self.insert(true),
            1 => self.update(true),
            _ => self.delete(true),
        };
        let name = self.fresh('w');
        let unique =
            dml.cols.iter().all(|col| dml.cols.iter().filter(|other| other.name == col.name).count() == 1);
        if unique {
            self.ctes.push(Cte { name: name.clone(), cols: dml.cols });
        }
        let query = self.select_after();
        (
            seq![format!("WITH {} AS (", name.sql()), dml.frag, ") ", query.0.node(Kind::Query)],
            query.1,
            true,
            false,
        )
    }

    /// A query that begins with SELECT, because a WITH stands before it already.
    fn select_after(&mut self) -> (Frag, bool) {
        let before = std::mem::replace(&mut self.depth, super::MAX_DEPTH - 2);
        let query = self.top_without_with();
        self.depth = before;
        (query.frag, query.ordered)
    }

    /// A row for another tenant, or of another tenant (FLT-16, FLT-17).
    fn foreign_write(&mut self) -> (Frag, bool, bool, bool) {
        let table = self.owned_table();
        let shape = self.world.tables[table].clone();
        let others: Vec<usize> =
            (0..self.world.tenants.len()).filter(|other| *other != self.tenant).collect();
        let other = *self.rng.pick(&others);
        let value = self.world.tenant_value(other);
        let id = if self.chance(60) { self.param(value) } else { Frag::from(value.literal()) };
        let column = shape.with_role(Role::Tenant).next().map(|column| column.name.sql()).unwrap_or_default();
        self.tag("write for another tenant");
        let name = shape.name.sql();
        if self.chance(50) {
            let frag = seq![format!("UPDATE {name} SET {column} = "), id, self.wher(30)];
            return (frag, false, true, true);
        }
        let keys: Vec<_> = shape.key().into_iter().map(|key| key.name.sql()).collect();
        let numbers = vec!["77"; keys.len()].join(", ");
        let frag = seq![
            format!("INSERT INTO {name} ({column}, {}) VALUES (", keys.join(", ")),
            id,
            format!(", {numbers})")
        ];
        (frag, false, true, true)
    }

    /// Forms that people write rarely.
    fn rare(&mut self) -> (Frag, bool, bool, bool) {
        let number = self.rng.below(self.world.tables.len());
        let name: Name = self.world.tables[number].name.clone();
        let name = name.sql();
        self.tag("rare form");
        let read = format!("SELECT to_tsvector(''simple'', CAST(x AS text)) FROM {name} AS x");
        let sql = match self.rng.below(13) {
            5 => format!("SELECT x FROM {name} AS x"),
            6 => format!("SELECT (x).id FROM {name} AS x"),
            7 => format!("SELECT to_jsonb(x) FROM {name} AS x"),
            8 => format!("SELECT u.ts_stat FROM unnest(ARRAY['{read}']) AS u"),
            9 => format!("SELECT ('{read}'::text).ts_stat"),
            10 => format!("SELECT * FROM ts_stat('{read}')"),
            11 => format!("SELECT CAST(query_to_xml('SELECT * FROM {name}', true, false, '') AS text)"),
            12 => format!("WITH \"only\" AS (SELECT 1 AS id) SELECT count(*) FROM ONLY {name}"),
            0 => format!("TABLE {name}"),
            1 => format!("SELECT count(*) FROM ONLY {name}"),
            2 => format!("SELECT count(*) FROM {name} TABLESAMPLE BERNOULLI (100)"),
            3 => format!("SELECT (x.*) IS NULL FROM {name} AS x"),
            _ => format!("SELECT count(x) FROM {name} AS x"),
        };
        (sql.into(), false, false, false)
    }
}
