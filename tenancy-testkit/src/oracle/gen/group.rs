//! Aggregates, grouping and windows.

use super::select::Query;
use super::{Col, Gen};
use crate::oracle::frag::{Frag, Kind, seq};
use crate::oracle::schema::Role;
use crate::oracle::value::Type;

impl Gen<'_> {
    /// A column of the innermost query: an aggregate over an outer one would belong to the outer query.
    fn inner(&mut self, ty: Type) -> Option<Frag> {
        self.inner_where(|col| col.ty == ty && !col.tenant).map(|(column, _)| column)
    }

    pub(super) fn inner_where(&mut self, accept: impl Fn(&Col) -> bool) -> Option<(Frag, Col)> {
        let level = self.levels.last()?;
        let mut found = Vec::new();
        for rel in level.rels.iter().filter(|rel| !rel.alias.raw().is_empty()) {
            for col in rel.cols.iter().filter(|col| accept(col)) {
                if rel.cols.iter().filter(|other| other.name == col.name).count() == 1 {
                    found.push((format!("{}.{}", rel.alias.sql(), col.name.sql()), col));
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        let (text, col) = self.rng.pick(&found).clone();
        Some((text.into(), col.clone()))
    }

    /// An aggregate whose value does not depend on the order of its rows.
    pub(super) fn aggregate(&mut self, ty: Type) -> Frag {
        self.tag("aggregate");
        let Some(mut column) = self.inner(ty) else { return self.aggregate_without(ty) };
        if ty == Type::Int
            && self.chance(12)
            && let Some(hazard) = self.inner_hazard()
        {
            column = hazard;
        }
        let call = match ty {
            Type::Int => {
                let head = *self.rng.pick(&["sum(", "max(", "min(", "count(DISTINCT ", "count("]);
                seq![head, column, ")"]
            }
            Type::Text if self.chance(40) => {
                seq!["string_agg(", column.clone(), ", ',' ORDER BY ", column, ")"]
            }
            Type::Text => seq![*self.rng.pick(&["max(", "min("]), column, ")"],
            Type::Bool => seq![*self.rng.pick(&["bool_or(", "bool_and("]), column, ")"],
            Type::Time => seq!["max(", column, ")"],
            Type::Json => seq!["jsonb_agg(", column.clone(), " ORDER BY ", column, ")"],
        };
        if self.grow(15) {
            self.tag("FILTER");
            return seq![call, seq![" FILTER (WHERE ", self.predicate(1), ")"].opt()];
        }
        call
    }

    /// An aggregate that stands in a nested query and belongs to this one, whose rows it is over.
    fn aggregate_of_outer(&mut self) -> Frag {
        let Some(column) = self.inner(Type::Int) else { return self.aggregate(Type::Int) };
        self.tag("aggregate of the query around it");
        let head = *self.rng.pick(&["sum(", "max(", "count("]);
        let table = self.rng.below(self.world.tables.len());
        let (name, alias) = (self.world.tables[table].name.sql(), self.fresh('a').sql());
        seq!["(SELECT ", head, column, format!(") FROM public.{name} AS {alias} LIMIT 1)")]
    }

    fn aggregate_without(&mut self, ty: Type) -> Frag {
        match ty {
            Type::Int => "count(*)".into(),
            Type::Bool => "(count(*) > 1)".into(),
            Type::Text => "CAST(count(*) AS text)".into(),
            Type::Time => "max(TIMESTAMP '2024-01-01 00:00:00')".into(),
            Type::Json => "jsonb_build_object('c', count(*))".into(),
        }
    }

    /// SELECT with GROUP BY.
    pub(super) fn grouped(&mut self, wants: super::select::Wants<'_>, from: Frag, wher: Frag) -> Query {
        self.tag("GROUP BY");
        let types = self.types(wants);
        let (mut keys, mut items, mut cols) = (Vec::new(), Vec::new(), Vec::new());
        for ty in types {
            let name = self.fresh(ty.letter());
            let key = if self.chance(50) { self.group_key(ty) } else { None };
            let item = match &key {
                Some((key, _)) => key.clone(),
                None if ty == Type::Int && self.chance(8) => self.aggregate_of_outer(),
                None => self.aggregate(ty),
            };
            keys.extend(key);
            items.push(seq![item, format!(" AS {}", name.sql())]);
            cols.push(Col::new(name, ty));
        }
        let names: Vec<Frag> = keys.iter().map(|(key, _)| key.clone()).collect();
        let group = self.group_by(&names);
        let having = if self.grow(35) { seq![" HAVING ", self.having(&keys)].opt() } else { Frag::empty() };
        let head = seq!["SELECT ", Frag::list(", ", cols.len(), items), " FROM ", from, wher, group, having];
        let query = self.finish(head, cols, wants, false);
        // PostgreSQL takes columns that a join makes equal for equal in every grouping set, and leaves out to sort by one.
        let sets = ["ROLLUP", "CUBE", "GROUPING SETS"].iter().any(|tag| self.tags.contains(tag));
        Query { ordered: query.ordered && !sets, ..query }
    }

    fn group_key(&mut self, ty: Type) -> Option<(Frag, Col)> {
        let leaky = self.chance(30);
        let leaky = if leaky { self.inner_where(|col| col.ty == ty && is_leaky(col)) } else { None };
        leaky.or_else(|| self.inner_where(|col| col.ty == ty && !col.tenant))
    }

    fn group_by(&mut self, keys: &[Frag]) -> Frag {
        let list = || Frag::list(", ", keys.len(), keys.to_vec());
        match (keys.len(), self.rng.below(6)) {
            (0, _) => Frag::empty(),
            (_, 0) => {
                self.tag("ROLLUP");
                seq![" GROUP BY ROLLUP (", list(), ")"]
            }
            (_, 1) => {
                self.tag("CUBE");
                seq![" GROUP BY CUBE (", list(), ")"]
            }
            (_, 2) => {
                self.tag("GROUPING SETS");
                seq![" GROUP BY GROUPING SETS ((", list(), "), ())"]
            }
            _ => seq![" GROUP BY ", list()],
        }
    }

    fn having(&mut self, keys: &[(Frag, Col)]) -> Frag {
        self.tag("HAVING");
        if self.chance(20)
            && let Some(outer) = self.outer_hazard()
        {
            return outer;
        }
        if self.chance(35)
            && let Some(mixed) = self.having_of_a_key(keys)
        {
            return mixed.node(Kind::Expr(Type::Bool));
        }
        let own = match keys.first() {
            Some((key, _)) if self.chance(30) => seq![key.clone(), " IS NOT NULL"],
            _ => seq!["count(*) >= ", self.rng.between(1, 3).to_string()],
        };
        if !self.nest(45) {
            return own.node(Kind::Expr(Type::Bool));
        }
        self.tag("subquery in HAVING");
        // Columns that are not grouped are out of sight here.
        let level = self.levels.pop();
        let other = if self.chance(50) {
            seq!["count(*) <= ", self.scalar_subquery(Type::Int)]
        } else {
            seq!["EXISTS (", self.subquery(&[Type::Int]), ")"]
        };
        self.levels.extend(level);
        let word = *self.rng.pick(&[" OR ", " AND "]);
        seq![own, word, other].node(Kind::Expr(Type::Bool))
    }

    /// A condition on a group's key that fails on other tenants' rows, by itself or taken together with an aggregate: what
    /// asks no aggregate is asked of the rows before they are grouped.
    fn having_of_a_key(&mut self, keys: &[(Frag, Col)]) -> Option<Frag> {
        let (key, col) = keys.iter().find(|(_, col)| is_leaky(col))?;
        self.hazard = true;
        self.tag("HAVING of a leaky key");
        let leaky = match col.hazard {
            Some(Role::Digits) => seq!["CAST(", key.clone(), " AS integer) >= ", self.literal(Type::Int)],
            _ => seq!["(12 / ", key.clone(), ") >= ", self.literal(Type::Int)],
        };
        Some(match self.rng.below(5) {
            0 => leaky,
            1 => seq!["(count(*) >= 1 AND ", leaky, ")"],
            2 => seq!["NOT (count(*) < 1 OR NOT ", leaky, ")"],
            3 => seq!["(", leaky, " OR count(*) > 2)"],
            _ => seq!["((count(*) > 0)) AND (NOT (", leaky, ")) IS NOT TRUE"],
        })
    }

    /// SELECT with window functions that give the same on every order of the rows.
    pub(super) fn windowed(&mut self, wants: super::select::Wants<'_>, from: Frag, wher: Frag) -> Query {
        self.tag("window");
        let types = self.types(wants);
        let named = self.chance(25);
        let window = if named { self.window(false) } else { Frag::empty() };
        let (mut items, mut cols) = (Vec::new(), Vec::new());
        for ty in types {
            let (mut item, col) = self.item(ty);
            if ty == Type::Int && self.chance(80) {
                let call = if named { seq![self.ranking(), " OVER win"] } else { self.over() };
                item = self.aliased(call, &col.name, ty);
            }
            items.push(item);
            cols.push(col.plain());
        }
        let window = if named { seq![" WINDOW win AS (", window, ")"] } else { Frag::empty() };
        let head = seq!["SELECT ", Frag::list(", ", 1, items), " FROM ", from, wher, window];
        self.finish(head, cols, wants, false)
    }

    fn ranking(&mut self) -> Frag {
        match self.inner(Type::Int) {
            Some(column) if self.chance(60) => {
                seq![*self.rng.pick(&["sum(", "max(", "min(", "count("]), column, ")"]
            }
            _ => Frag::from(*self.rng.pick(&["count(*)", "rank()", "dense_rank()"])),
        }
    }

    fn over(&mut self) -> Frag {
        let total = self.total_order();
        if let Some(total) = total
            && self.chance(40)
        {
            let call = match self.inner(Type::Int) {
                Some(column) if self.chance(50) => {
                    seq![*self.rng.pick(&["lag(", "lead(", "first_value(", "last_value("]), column, ")"]
                }
                _ => Frag::from(*self.rng.pick(&["row_number()", "ntile(2)"])),
            };
            return seq![call, format!(" OVER (ORDER BY {total})")];
        }
        seq![self.ranking(), " OVER (", self.window(true), ")"]
    }

    /// PARTITION BY and ORDER BY; frames are by value, so that rows that tie get the same.
    fn window(&mut self, may_be_empty: bool) -> Frag {
        let (by, order) = (self.any_type(), self.any_type());
        let partition = if self.chance(60) { self.inner(by) } else { None };
        let partition = if self.chance(10) { self.inner_hazard().or(partition) } else { partition };
        let order =
            if self.chance(60) || (!may_be_empty && partition.is_none()) { self.inner(order) } else { None };
        let partition = partition.map(|by| seq!["PARTITION BY ", by].opt());
        let order = order.map(|order| seq![" ORDER BY ", order].opt());
        Frag::Seq(partition.into_iter().chain(order).collect())
    }

    /// An order of the innermost query's rows in which none tie, if all of its relations are tables.
    fn total_order(&self) -> Option<String> {
        let mut keys = Vec::new();
        for rel in &self.levels.last()?.rels {
            let table = &self.world.tables[rel.table?];
            let key =
                table.key().into_iter().map(|column| format!("{}.{}", rel.alias.sql(), column.name.sql()));
            keys.extend(key);
            debug_assert!(table.global || table.with_role(Role::Tenant).next().is_some());
        }
        (!keys.is_empty()).then(|| keys.join(", "))
    }

    fn types(&mut self, wants: super::select::Wants<'_>) -> Vec<Type> {
        match wants.types {
            Some(types) => types.to_vec(),
            None => (0..=self.rng.below(3)).map(|_| self.any_type()).collect(),
        }
    }
}

fn is_leaky(col: &Col) -> bool {
    matches!(col.hazard, Some(Role::Digits | Role::Divisor))
}
