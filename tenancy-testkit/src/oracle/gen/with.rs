//! WITH: common table expressions, recursive ones too.

use super::{Col, Cte, Gen, Level, Rel};
use crate::oracle::frag::{Frag, seq};
use crate::oracle::schema::Role;
use crate::oracle::value::{Name, Type};

impl Gen<'_> {
    /// A WITH clause; what it defines is in sight until the caller removes it.
    pub(super) fn with(&mut self) -> Frag {
        self.tag("WITH");
        if self.chance(25) {
            return self.recursive();
        }
        let count = 1 + self.rng.below(2);
        let mut parts = Vec::new();
        let around = self.ctes.len();
        for _ in 0..count {
            let part = self.named_query(around);
            parts.push(part);
        }
        seq!["WITH ", Frag::list(", ", 1, parts), " "].opt()
    }

    /// One of a WITH clause, around which `around` others are in sight.
    fn named_query(&mut self, around: usize) -> Frag {
        let name = self.cte_name(around);
        let (query, mut cols) = self.derived(false);
        let mut list = String::new();
        if self.chance(20) {
            for col in &mut cols {
                col.name = self.fresh(if col.tenant { 'k' } else { col.ty.letter() });
            }
            let names: Vec<_> = cols.iter().map(|col| col.name.sql()).collect();
            list = format!(" ({})", names.join(", "));
        }
        let kept = *self.rng.pick(&["", "", "", "MATERIALIZED ", "NOT MATERIALIZED "]);
        let head = format!("{}{list} AS {kept}(", name.sql());
        self.ctes.push(Cte { name, cols });
        seq![head, query, ")"]
    }

    /// A name of its own, or a table's, which the query inside still means as the table (FLT-09).
    fn cte_name(&mut self, around: usize) -> Name {
        if around > 0 && self.chance(30) {
            let name = self.ctes[self.rng.below(around)].name.clone();
            if self.ctes[around..].iter().all(|cte| cte.name != name) {
                self.tag("common table expression with an outer one's name");
                return name;
            }
        }
        if self.chance(6) {
            let name = self.confusing();
            if self.ctes[around..].iter().all(|cte| cte.name != name) {
                return name;
            }
        }
        if self.chance(30) {
            let number = self.rng.below(self.world.tables.len());
            let name = self.world.tables[number].name.clone();
            if self.ctes.iter().all(|cte| cte.name != name) {
                self.tag("common table expression with a table's name");
                return name;
            }
        }
        self.fresh('w')
    }

    fn recursive(&mut self) -> Frag {
        self.tag("WITH RECURSIVE");
        let owned = self.world.tables.len() - 2;
        let table = self.rng.below(owned);
        let shape = &self.world.tables[table];
        let itself = |role: Role| matches!(role, Role::Ref(target, _) if target == table);
        let parent = shape
            .columns
            .iter()
            .find(|column| itself(column.role))
            .map_or("id", |column| column.name.raw())
            .to_owned();
        // A table without a tree in it is walked by neighbouring ids.
        let step = if parent == "id" { "x.id = r.id + 1".to_owned() } else { format!("x.{parent} = r.id") };
        let own = self.world.tables[table].name.clone();
        let free = self.ctes.iter().all(|cte| cte.name != own);
        let name = if free && self.chance(20) { own } else { self.fresh('r') };
        let spelled = format!("public.{}", self.world.tables[table].name.sql());
        let rel =
            Rel { alias: Name::new("x"), cols: self.columns_of(table), table: Some(table), partial: false };
        self.levels.push(Level { rels: vec![rel], merged: Vec::new() });
        let first = self.condition();
        // Beside the table stands the query itself, whose columns have the same names.
        let before = std::mem::replace(&mut self.qualify, true);
        let next = self.condition();
        self.qualify = before;
        self.levels.pop();
        let union = *self.rng.pick(&["UNION ", "UNION ALL "]);
        let join = *self.rng.pick(&["JOIN", "JOIN", "RIGHT JOIN"]);
        let frag = seq![
            format!("WITH RECURSIVE {}(id, level) AS (SELECT x.id, 0 FROM {spelled} AS x", name.sql()),
            seq![" WHERE ", first].opt(),
            format!(
                " {union}SELECT x.id, r.level + 1 FROM {spelled} AS x {join} {} AS r ON {step} WHERE r.level < 3 AND x.id IS NOT NULL",
                name.sql()
            ),
            seq![" AND (", next, ")"].opt(),
            ") ",
        ];
        let col = |name: &str| Col::new(Name::new(name), Type::Int);
        self.ctes.push(Cte { name, cols: vec![col("id"), col("level")] });
        frag.opt()
    }
}
