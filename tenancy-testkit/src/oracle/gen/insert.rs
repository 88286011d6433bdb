//! INSERT, with upserts and RETURNING.

use super::{Col, Gen, Level, Rel};
use crate::oracle::frag::{Frag, seq};
use crate::oracle::schema::{Column, Role};
use crate::oracle::value::{Name, Type, Value};

/// A write, with what its RETURNING delivers.
pub(super) struct Dml {
    pub(super) frag: Frag,
    pub(super) cols: Vec<Col>,
}

/// The target of an INSERT while it is put together.
struct Target {
    table: usize,
    rel: Rel,
    /// The conflict clause decides whether keys should collide.
    upsert: bool,
}

impl Gen<'_> {
    /// A table of tenants.
    pub(super) fn owned_table(&mut self) -> usize {
        self.rng.below(self.world.tables.len() - 1)
    }

    pub(super) fn insert(&mut self, returning: bool) -> Dml {
        self.tag("INSERT");
        let table = self.owned_table();
        let shape = &self.world.tables[table];
        let (name, upsert) = (shape.name.clone(), self.chance(40));
        let alias = if self.chance(25) { self.fresh('a') } else { name.clone() };
        let spelled = self.spelled_table(&name);
        let head = if alias == name { spelled } else { format!("{spelled} AS {}", alias.sql()) };
        let target = Target {
            table,
            rel: Rel { alias, cols: self.columns_of(table), table: Some(table), partial: false },
            upsert,
        };
        let (columns, rows) = self.rows(&target);
        let on = if upsert { self.on_conflict(&target, &columns) } else { Frag::empty() };
        let level = Level { rels: vec![target.rel], merged: Vec::new() };
        let (returned, cols) = self.returning(level, returning, true);
        let list: Vec<_> = columns.iter().map(|column| column.name.sql()).collect();
        let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
        Dml { frag: seq!["INSERT INTO ", head, list, " ", rows, on, returned], cols }
    }

    /// A table in a write: a common table expression of its name does not hide it there.
    pub(super) fn spelled_table(&mut self, name: &Name) -> String {
        let spelled = name.spelled(&mut self.rng);
        if self.chance(8) { format!("public.{spelled}") } else { spelled }
    }

    /// The columns that are named, and the rows for them.
    fn rows(&mut self, target: &Target) -> (Vec<Column>, Frag) {
        let shape = self.world.tables[target.table].clone();
        let lenient = shape.serial
            && shape.columns.iter().all(|c| !c.not_null || matches!(c.role, Role::Tenant | Role::Key));
        if lenient && self.chance(8) {
            self.tag("DEFAULT VALUES");
            self.restart = true;
            return (Vec::new(), "DEFAULT VALUES".into());
        }
        let mut columns = Vec::new();
        for column in &shape.columns {
            let keep = match column.role {
                Role::Tenant => 12,
                Role::Key if shape.serial => 55,
                _ if column.not_null => 100,
                _ => 65,
            };
            if self.chance(keep) {
                columns.push(column.clone());
            }
        }
        if columns.is_empty() {
            columns.extend(shape.with_role(Role::Key).cloned());
        }
        self.restart |= shape.serial && !columns.iter().any(|column| column.role == Role::Key);
        self.rng.shuffle(&mut columns);
        let junction = shape.with_role(Role::Key).next().is_none();
        if self.nest(35) {
            self.tag("INSERT SELECT");
            columns.retain(|column| column.role != Role::Tenant);
            if junction {
                columns.retain(|column| column.not_null);
                return (columns.clone(), self.pairs(&shape, &columns));
            }
            if !columns.is_empty() {
                let rows = self.select_rows(&columns);
                return (columns, rows);
            }
            columns.extend(shape.with_role(Role::Key).cloned());
        }
        let rows = self.values_rows(&columns, target);
        (columns, rows)
    }

    fn values_rows(&mut self, columns: &[Column], target: &Target) -> Frag {
        let count = *self.rng.pick(&[1, 1, 1, 2, 3]);
        if count > 1 {
            self.tag("several rows");
        }
        let first = self.rng.between(20, 30) as i32;
        let mut rows = Vec::new();
        for row in 0..count {
            let cells = columns.iter().map(|column| self.cell(column, target, first + row)).collect();
            rows.push(seq!["(", Frag::list(", ", columns.len(), cells), ")"]);
        }
        seq!["VALUES ", Frag::list(", ", 1, rows)]
    }

    fn cell(&mut self, column: &Column, target: &Target, number: i32) -> Frag {
        let collide = if target.upsert { 60 } else { 6 };
        match column.role {
            Role::Tenant => {
                let id = self.own_id();
                self.tag("names the tenant column");
                self.param(id)
            }
            Role::Key => {
                let id = if self.chance(collide) { number % 10 } else { number };
                if self.chance(50) { self.param(Value::Int(Some(id))) } else { id.to_string().into() }
            }
            Role::Ref(parent, _) => self.reference(column, parent),
            Role::Slug => {
                let id = if self.chance(collide / 2) { number % 10 } else { number };
                format!("'s{id}'").into()
            }
            _ if self.chance(10) => "DEFAULT".into(),
            _ if self.nest(15) => {
                self.tag("subquery in VALUES");
                self.scalar_subquery(column.ty)
            }
            _ if self.chance(40) => self.bound(column.ty),
            _ => self.literal(column.ty),
        }
    }

    /// A row of this tenant to point at; rarely one that may belong to somebody else alone (FLT-21).
    fn reference(&mut self, column: &Column, parent: usize) -> Frag {
        let rows = &self.world.rows[parent][self.tenant];
        let key = self.world.tables[parent].columns.iter().position(|column| column.role == Role::Key);
        if rows.is_empty() || key.is_none() || self.chance(8) {
            return if column.not_null || self.chance(40) {
                self.rng.between(1, 8).to_string().into()
            } else {
                "NULL".into()
            };
        }
        let row = self.rng.below(rows.len());
        rows[row][key.unwrap_or_default()].literal().into()
    }

    /// Rows of any query, numbered so that their keys are new.
    fn select_rows(&mut self, columns: &[Column]) -> Frag {
        let types: Vec<Type> = columns.iter().filter(|c| !computed(c)).map(|c| c.ty).collect();
        let types = if types.is_empty() { vec![Type::Int] } else { types };
        let simple = columns.iter().all(|column| !computed(column));
        if simple && !columns.is_empty() {
            return self.source(&types);
        }
        let (source, cols) = self.named_source(&types);
        let order: Vec<_> = cols.iter().map(|col| format!("s.{}", col.name.sql())).collect();
        let number = format!("row_number() OVER (ORDER BY {})", order.join(", "));
        let mut names = order.iter();
        let items = columns.iter().map(|column| match column.role {
            Role::Key => format!("30 + {number}"),
            Role::Slug => format!("'n' || {number}"),
            Role::Ref(parent, _) => {
                format!("(SELECT max(p.id) FROM public.{} AS p)", self.world.tables[parent].name.sql())
            }
            _ => names.next().cloned().unwrap_or_else(|| "NULL".to_owned()),
        });
        let items = items.collect::<Vec<_>>().join(", ");
        seq![format!("SELECT {items} FROM ("), source, format!(") AS s ORDER BY {}", order.join(", "))]
    }

    fn named_source(&mut self, types: &[Type]) -> (Frag, Vec<Col>) {
        let level = self.levels.len();
        let (query, cols) = self.derived_of(types);
        debug_assert_eq!(level, self.levels.len());
        (query, cols)
    }

    /// Rows for a junction.
    fn pairs(&mut self, shape: &crate::oracle::schema::Table, columns: &[Column]) -> Frag {
        let mut items = Vec::new();
        let mut from = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            if let Some((_, parent, _)) = shape.refs().find(|(own, ..)| own.name == column.name) {
                items.push(format!("p{i}.id"));
                from.push(Frag::from(format!("public.{} AS p{i}", self.world.tables[parent].name.sql())));
            }
        }
        seq![
            format!("SELECT {} FROM ", items.join(", ")),
            Frag::list(" CROSS JOIN ", from.len(), from),
            " ORDER BY 1, 2"
        ]
    }

    fn on_conflict(&mut self, target: &Target, columns: &[Column]) -> Frag {
        self.tag("ON CONFLICT");
        let shape = self.world.tables[target.table].clone();
        let key: Vec<_> = shape.key().into_iter().map(|column| column.name.clone()).collect();
        let slug = shape.with_role(Role::Slug).next().map(|column| vec![column.name.clone()]);
        let mut place = slug.filter(|_| self.chance(30)).unwrap_or(key);
        if self.chance(15) {
            place.extend(shape.with_role(Role::Tenant).map(|column| column.name.clone()));
            self.rng.shuffle(&mut place);
        }
        let list: Vec<_> = place.iter().map(Name::sql).collect();
        let place = match self.rng.below(10) {
            0 => format!(" ON CONSTRAINT pk{}", target.table),
            _ => format!(" ({})", list.join(", ")),
        };
        if self.chance(35) {
            let place = if self.chance(30) { String::new() } else { place };
            return format!(" ON CONFLICT{place} DO NOTHING").into();
        }
        self.tag("DO UPDATE");
        // The row that did not go in is none of those that are known to be harmless.
        let cols = target.rel.cols.iter().map(|col| col.clone().plain()).collect();
        let excluded = Rel { alias: Name::new("excluded"), cols, table: None, partial: false };
        self.levels.push(Level { rels: vec![target.rel.clone(), excluded], merged: Vec::new() });
        let set = self.assignments(&shape, columns, true);
        let wher = self.wher(35);
        self.levels.pop();
        seq![format!(" ON CONFLICT{place} DO UPDATE SET "), set, wher]
    }

    /// RETURNING, over the target alone: of a joined row there may be several.
    ///
    /// What no row of the tenant fails on, the row that is written may: there it depends on the plan whether it does.
    pub(super) fn returning(&mut self, mut level: Level, force: bool, alone: bool) -> (Frag, Vec<Col>) {
        level.rels[0].cols.iter_mut().for_each(|col| col.hazard = None);
        if !force && !self.chance(55) {
            return (Frag::empty(), Vec::new());
        }
        self.tag("RETURNING");
        let target = level.rels[0].clone();
        if self.chance(25) {
            let star =
                if alone && self.chance(60) { "*".to_owned() } else { format!("{}.*", target.alias.sql()) };
            return (format!(" RETURNING {star}").into(), target.cols);
        }
        self.levels.push(level);
        let before = std::mem::replace(&mut self.qualify, !alone);
        let count = 1 + self.rng.below(3);
        let (mut items, mut cols) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let ty = self.any_type();
            let name = self.fresh(ty.letter());
            let expr = if self.nest(25) {
                self.tag("subquery in RETURNING");
                self.scalar_subquery(ty)
            } else {
                self.expr(ty, 2)
            };
            items.push(self.aliased(expr, &name, ty));
            cols.push(Col::new(name, ty));
        }
        self.qualify = before;
        self.levels.pop();
        (seq![" RETURNING ", Frag::list(", ", 1, items)], cols)
    }
}

fn computed(column: &Column) -> bool {
    matches!(column.role, Role::Key | Role::Slug | Role::Ref(..))
}
