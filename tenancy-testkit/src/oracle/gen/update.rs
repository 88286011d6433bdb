//! UPDATE.

use super::insert::Dml;
use super::{Gen, Level, Rel};
use crate::oracle::frag::{Frag, seq};
use crate::oracle::schema::{Column, Role, Table};
use crate::oracle::value::{Name, Type};

impl Gen<'_> {
    pub(super) fn update(&mut self, returning: bool) -> Dml {
        self.tag("UPDATE");
        let (head, target) = self.target();
        let shape = self.world.tables[target.table.unwrap_or_default()].clone();
        let source = if self.grow(40) { self.source_of_update(&target) } else { None };
        let mut level = Level { rels: vec![target.clone()], merged: Vec::new() };
        let (from, wher) = match source {
            None => {
                self.levels.push(level.clone());
                let wher = self.wher(75);
                self.levels.pop();
                (Frag::empty(), wher)
            }
            Some((from, join, rels)) => {
                level.rels.push(rels[0].clone());
                let mut all = level.clone();
                all.rels.extend(rels.into_iter().skip(1));
                self.levels.push(all);
                let wher = seq![" WHERE ", join, seq![" AND (", self.condition(), ")"].opt()];
                self.levels.pop();
                (from, wher)
            }
        };
        let alone = level.rels.len() == 1;
        self.levels.push(level.clone());
        let before = std::mem::replace(&mut self.qualify, !alone);
        let set = self.assignments(&shape, &shape.columns, false);
        self.qualify = before;
        self.levels.pop();
        let (returned, cols) = self.returning(level, returning, alone);
        Dml { frag: seq!["UPDATE ", head, " SET ", set, from, wher, returned], cols }
    }

    /// The target of an UPDATE or DELETE, and how columns of it are named.
    pub(super) fn target(&mut self) -> (String, Rel) {
        let table = self.owned_table();
        let name = self.world.tables[table].name.clone();
        let spelled = self.spelled_table(&name);
        let alias = if self.chance(40) { self.alias(Some(&name), &[]) } else { name.clone() };
        let head = if alias == name { spelled } else { format!("{spelled} AS {}", alias.sql()) };
        (head, Rel { alias, cols: self.columns_of(table), table: Some(table), partial: false })
    }

    /// A source of which each target row meets one row at most, by its id; and what else filters.
    fn source_of_update(&mut self, target: &Rel) -> Option<(Frag, Frag, Vec<Rel>)> {
        let with_id: Vec<usize> = (0..self.world.tables.len())
            .filter(|table| self.world.tables[*table].with_role(Role::Key).next().is_some())
            .collect();
        let table = *self.rng.pick(&with_id);
        let name = self.world.tables[table].name.clone();
        let ints: Vec<Name> = target
            .cols
            .iter()
            .filter(|col| col.ty == Type::Int && !col.tenant)
            .map(|col| col.name.clone())
            .collect();
        if ints.is_empty() {
            return None;
        }
        self.tag("UPDATE FROM");
        let taken = [target.alias.clone()];
        let alias = self.alias(Some(&name), &taken);
        let own = self.rng.pick(&ints).clone();
        let join = format!("{}.{} = {}.id", target.alias.sql(), own.sql(), alias.sql());
        let mut rel =
            Rel { alias: alias.clone(), cols: self.columns_of(table), table: Some(table), partial: false };
        rel.may_lack();
        let spelled = format!("public.{}", name.sql());
        let item = if self.nest(20) {
            self.tag("derived table");
            format!("(SELECT * FROM {spelled}) AS {}", alias.sql())
        } else {
            format!("{spelled} AS {}", alias.sql())
        };
        let first = Level { rels: vec![rel.clone()], merged: Vec::new() };
        if !self.grow(35) {
            return Some((seq![" FROM ", item], join.into(), vec![rel]));
        }
        let other = self.rng.below(self.world.tables.len());
        let mut second = Rel {
            alias: self.alias(None, &[]),
            cols: self.columns_of(other),
            table: Some(other),
            partial: false,
        };
        second.may_lack();
        let right = Level { rels: vec![second.clone()], merged: Vec::new() };
        let word = *self.rng.pick(&[" JOIN ", " LEFT JOIN ", " FULL JOIN "]);
        let on = self.equality(&first, &right).unwrap_or_else(|| "true".into());
        let other = format!("public.{} AS {}", self.world.tables[other].name.sql(), second.alias.sql());
        let frag = seq![" FROM ", item, seq![word, other, " ON ", on]];
        Some((frag, join.into(), vec![rel, second]))
    }

    /// SET, of columns whose new values do not depend on the order in which rows are met.
    pub(super) fn assignments(&mut self, shape: &Table, columns: &[Column], upsert: bool) -> Frag {
        let plain: Vec<Column> = columns.iter().filter(|column| free(column)).cloned().collect();
        let plain = if plain.is_empty() {
            shape.columns.iter().filter(|c| free(c)).cloned().collect()
        } else {
            plain
        };
        let mut items = Vec::new();
        let count = 1 + self.rng.below(plain.len().clamp(1, 2));
        let mut chosen = plain;
        self.rng.shuffle(&mut chosen);
        chosen.truncate(count);
        if let [a, b] = &chosen[..]
            && self.grow(15)
        {
            self.tag("SET of a row");
            items.push(self.row_assignment(a, b));
        } else {
            for column in &chosen {
                let value = self.assigned(column);
                items.push(seq![column.name.sql(), " = ", value]);
            }
        }
        self.special(shape, upsert, &mut items);
        Frag::list(", ", 1, items)
    }

    fn assigned(&mut self, column: &Column) -> Frag {
        let simple = format!("CAST(NULL AS {})", column.ty.sql());
        if self.nest(20) {
            self.tag("subquery in SET");
            return self.scalar_subquery(column.ty).or(simple);
        }
        if self.chance(8) { "DEFAULT".into() } else { self.expr(column.ty, 2).or(simple) }
    }

    fn row_assignment(&mut self, a: &Column, b: &Column) -> Frag {
        let head = format!("({}, {}) = ", a.name.sql(), b.name.sql());
        if self.nest(60) {
            self.tag("subquery in SET");
            self.depth += 1;
            let (from, level) = self.from();
            self.levels.push(level);
            let (x, y) = (self.aggregate(a.ty), self.aggregate(b.ty));
            let wher = self.wher(70);
            self.levels.pop();
            self.depth -= 1;
            return seq![head, "(SELECT ", x, ", ", y, " FROM ", from, wher, ")"];
        }
        let (x, y) = (self.expr(a.ty, 1), self.expr(b.ty, 1));
        seq![head, "(", x, ", ", y, ")"]
    }

    /// Columns that keys and tenants depend on, rarely.
    fn special(&mut self, shape: &Table, upsert: bool, items: &mut Vec<Frag>) {
        if self.chance(3)
            && let Some(column) = shape.with_role(Role::Tenant).next()
        {
            self.tag("names the tenant column");
            let id = self.own_id();
            let id = self.param(id);
            items.push(seq![column.name.sql(), " = ", id]);
        } else if self.chance(1)
            && let Some(column) = shape.with_role(Role::Tenant).next()
            && let Some((of, _)) = self.column(|col| col.tenant)
        {
            self.tag("tenant column from a row");
            items.push(seq![column.name.sql(), " = ", of]);
        }
        if upsert {
            return;
        }
        if self.chance(4)
            && let Some(column) = shape.with_role(Role::Key).next()
        {
            // Far enough that no row meets another on its way.
            let alias = self.levels.last().map(|level| level.rels[0].alias.sql()).unwrap_or_default();
            items.push(format!("{0} = {alias}.{0} + 40", column.name.sql()).into());
            self.moved = true;
        }
        if self.chance(5)
            && let Some((column, parent, _)) = shape.refs().find(|(column, ..)| !column.not_null)
        {
            let parent = self.world.tables[parent].name.sql();
            items.push(seq![column.name.sql(), format!(" = (SELECT max(p.id) FROM public.{parent} AS p)")]);
        }
    }
}

/// Columns that nothing else depends on.
fn free(column: &Column) -> bool {
    matches!(column.role, Role::Data | Role::Digits | Role::Divisor | Role::Pattern)
}
