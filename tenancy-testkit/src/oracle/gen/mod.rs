//! Random statements over a world, as one tenant would issue them.
//!
//! What a statement gives must follow from SQL alone, not from the order in which rows lie or are visited: LIMIT and
//! numbering stand on total orders, an UPDATE meets each row once, sums are of integers. Otherwise two databases with
//! the same rows could differ, and rightly so.

mod delete;
mod expr;
mod from;
mod group;
mod insert;
mod mine;
mod predicate;
mod select;
mod statement;
mod update;
mod with;

use std::collections::BTreeSet;

use super::frag::Frag;
use super::rng::Rng;
use super::schema::Role;
use super::value::{Name, Type, Value};
use super::world::{Cell, World};
#[cfg(feature = "seaorm")]
pub(crate) use mine::ALWAYS_FAILS;
pub(crate) use statement::Draft;

/// A column that a query can name.
#[derive(Clone, Debug)]
struct Col {
    name: Name,
    ty: Type,
    /// What can be done with it that fails on other tenants' rows, but on none of this tenant's.
    hazard: Option<Role>,
    /// What is so in all of this tenant's rows, though perhaps in no other tenant's.
    steady: Option<Steady>,
    /// The tenant column.
    tenant: bool,
}

/// What can be so in all rows of a column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Steady {
    Null,
    Filled,
    True,
    False,
}

impl Col {
    fn new(name: Name, ty: Type) -> Self {
        Self { name, ty, hazard: None, steady: None, tenant: false }
    }

    /// The column where other rows may be in it than the tenant's table has.
    fn plain(self) -> Self {
        Self { hazard: None, steady: None, ..self }
    }
}

/// A relation that a query can name.
#[derive(Clone, Debug)]
struct Rel {
    /// Empty if the relation cannot be named.
    alias: Name,
    cols: Vec<Col>,
    /// The table that it is, if it is one as a whole.
    table: Option<usize>,
    /// It has more columns than `cols` says: a join's name hides those that it has twice, and `*` shows them.
    partial: bool,
}

impl Rel {
    /// An outer join has no row of this relation where none fits.
    fn may_lack(&mut self) {
        for col in &mut self.cols {
            col.steady = col.steady.filter(|steady| matches!(steady, Steady::Null | Steady::False));
        }
    }
}

/// The relations of one query, and the columns that its joins merge.
#[derive(Clone, Debug, Default)]
struct Level {
    rels: Vec<Rel>,
    /// A column of USING or NATURAL, and how many of the relations' columns it stands for.
    merged: Vec<(Col, usize)>,
}

/// A common table expression in sight.
#[derive(Clone, Debug)]
struct Cte {
    name: Name,
    cols: Vec<Col>,
}

/// The state of one statement's generation.
struct Gen<'w> {
    rng: Rng,
    world: &'w World,
    tenant: usize,
    params: Vec<Value>,
    levels: Vec<Level>,
    ctes: Vec<Cte>,
    tags: BTreeSet<&'static str>,
    aliases: usize,
    /// How much more may be added.
    budget: i32,
    /// How many queries this one stands in.
    depth: usize,
    hazard: bool,
    restart: bool,
    /// Columns have to be qualified, though no other relation is in sight.
    qualify: bool,
    moved: bool,
}

/// How deeply queries nest.
const MAX_DEPTH: usize = 4;

impl<'w> Gen<'w> {
    fn new(world: &'w World, tenant: usize, mut rng: Rng) -> Self {
        let budget = *rng.pick(&[6, 10, 16, 16, 24, 40]);
        Self {
            rng,
            world,
            tenant,
            params: Vec::new(),
            levels: Vec::new(),
            ctes: Vec::new(),
            tags: BTreeSet::new(),
            aliases: 0,
            budget,
            depth: 0,
            hazard: false,
            restart: false,
            qualify: false,
            moved: false,
        }
    }

    fn tag(&mut self, tag: &'static str) {
        self.tags.insert(tag);
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.chance(percent)
    }

    /// True in `percent` of a hundred cases, if there is room for more.
    fn grow(&mut self, percent: u64) -> bool {
        self.budget -= 1;
        self.budget > 0 && self.rng.chance(percent)
    }

    /// True if one more query may stand inside of this one.
    fn nest(&mut self, percent: u64) -> bool {
        self.depth < MAX_DEPTH && self.grow(percent)
    }

    fn fresh(&mut self, prefix: char) -> Name {
        self.aliases += 1;
        Name::new(format!("{prefix}{}", self.aliases))
    }

    /// A bound value; one that was bound before may be bound again.
    fn param(&mut self, value: Value) -> Frag {
        if let Some(place) = self.params.iter().position(|known| *known == value)
            && self.rng.chance(70)
        {
            self.tag("repeated parameter");
            return Frag::Param(place);
        }
        // New values go anywhere among the numbers that rendering gives out.
        self.params.push(value);
        Frag::Param(self.params.len() - 1)
    }

    /// The columns of a table as this tenant may use them.
    fn columns_of(&self, table: usize) -> Vec<Col> {
        let columns = self.world.tables[table].columns.iter().enumerate();
        columns
            .map(|(number, column)| {
                let hazardous = matches!(column.role, Role::Digits | Role::Divisor | Role::Pattern);
                let harmless = hazardous && self.world.harmless(self.tenant, table, number);
                let tenant = column.role == Role::Tenant;
                Col {
                    name: column.name.clone(),
                    ty: column.ty,
                    hazard: harmless.then_some(column.role),
                    steady: self.steady(table, number).filter(|_| !tenant),
                    tenant,
                }
            })
            .collect()
    }

    /// What all of this tenant's rows have in common in a column.
    fn steady(&self, table: usize, column: usize) -> Option<Steady> {
        let shape = &self.world.tables[table];
        let rows = &self.world.rows[table][self.tenant];
        // A test that cannot but hold, or fail, keeps nothing off.
        if shape.global || shape.columns[column].not_null {
            return None;
        }
        let all = |fits: fn(&Cell) -> bool| rows.iter().all(|row| fits(&row[column]));
        let bool = shape.columns[column].ty == Type::Bool;
        let kinds: [(Steady, bool); 4] = [
            (Steady::True, bool && all(|cell| *cell == Cell::Bool(true))),
            (Steady::False, bool && all(|cell| *cell == Cell::Bool(false))),
            (Steady::Null, all(|cell| *cell == Cell::Null)),
            (Steady::Filled, all(|cell| *cell != Cell::Null)),
        ];
        kinds.into_iter().find_map(|(steady, holds)| holds.then_some(steady))
    }

    /// A reference to a column of a type that is in sight, with its hazard.
    fn column(&mut self, accept: impl Fn(&Col) -> bool) -> Option<(Frag, Col)> {
        let innermost = self.levels.len().checked_sub(1)?;
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        for (number, level) in self.levels.iter().enumerate() {
            // The query's own columns more often than those around it.
            let weight = if number == innermost { 4 } else { 1 };
            for (r, rel) in level.rels.iter().enumerate() {
                if rel.alias.raw().is_empty() || self.shadowed(number, &rel.alias) {
                    continue;
                }
                for (c, col) in rel.cols.iter().enumerate() {
                    let twice = rel.cols.iter().filter(|other| other.name == col.name).count() > 1;
                    if accept(col) && !twice {
                        found.extend(std::iter::repeat_n((number, r, c), weight));
                    }
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        let (number, r, c) = *self.rng.pick(&found);
        let (alias, col) = {
            let rel = &self.levels[number].rels[r];
            (rel.alias.clone(), rel.cols[c].clone())
        };
        if number < innermost {
            self.tag("correlated");
        }
        let name = col.name.spelled(&mut self.rng);
        // A merged column is one of several tables', and what one of them promises does not hold for the others.
        let mixed = (col.hazard.is_some() || col.steady.is_some())
            && self.levels[number].merged.iter().any(|(m, _)| m.name == col.name);
        if number == innermost && !self.qualify && !mixed && self.bare(&col.name) && self.rng.chance(40) {
            self.tag("unqualified column");
            return Some((name.into(), col));
        }
        let alias = alias.spelled(&mut self.rng);
        Some((format!("{alias}.{name}").into(), col))
    }

    fn shadowed(&self, level: usize, alias: &Name) -> bool {
        self.levels[level + 1..].iter().any(|inner| inner.rels.iter().any(|rel| rel.alias == *alias))
    }

    /// True if `name` alone means one column of the innermost query.
    fn bare(&self, name: &Name) -> bool {
        let Some(level) = self.levels.last() else { return false };
        let count = level.rels.iter().flat_map(|rel| &rel.cols).filter(|col| col.name == *name).count();
        count == 1 || level.merged.iter().any(|(col, covers)| col.name == *name && *covers == count)
    }
}
