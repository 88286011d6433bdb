//! FROM: tables, queries, functions and every kind of join of them.

use super::{Col, Cte, Gen, Level, Rel};
use crate::oracle::frag::{Frag, Kind, seq};
use crate::oracle::schema::Role;
use crate::oracle::value::{Name, Type};

impl Gen<'_> {
    /// A FROM clause's items, with the innermost level ready for references to them.
    pub(super) fn from(&mut self) -> (Frag, Level) {
        let joins = if self.depth > 2 { self.rng.below(2) } else { self.rng.weighted(&[4, 4, 2, 1]) };
        let (frag, level) = self.tree(joins, &[]);
        if joins < 2 && self.grow(12) {
            self.tag("comma join");
            let taken = aliases(&level);
            let (other, more) = self.lateral_or(0, &taken, Some(&level));
            let mut both = level;
            both.rels.extend(more.rels);
            return (Frag::list(", ", 1, vec![frag, other]), both);
        }
        (frag, level)
    }

    /// The items of a USING clause, beside a target whose name is taken.
    pub(super) fn using(&mut self, target: &Name) -> (Frag, Level) {
        let joins = self.rng.below(2);
        self.tree(joins, std::slice::from_ref(target))
    }

    /// A tree of `joins` joins, whose names differ from those that are taken.
    fn tree(&mut self, joins: usize, taken: &[Name]) -> (Frag, Level) {
        if joins == 0 {
            return self.leaf(taken);
        }
        let of_left = self.rng.below(joins);
        let (left, left_level) = self.tree(of_left, taken);
        let mut taken = taken.to_vec();
        taken.extend(aliases(&left_level));
        let (frag, level) = self.join(left, left_level, joins - 1 - of_left, &taken);
        match self.rng.below(12) {
            0 => {
                self.tag("join in parentheses");
                (seq!["(", frag, ")"].node(Kind::From), level)
            }
            1 => self.named_join(frag, level, &taken),
            _ => (frag.node(Kind::From), level),
        }
    }

    fn join(&mut self, left: Frag, left_level: Level, right_joins: usize, taken: &[Name]) -> (Frag, Level) {
        let kind = self.rng.weighted(&[6, 5, 3, 2, 2]);
        let (word, tag) = [
            (" JOIN ", "inner join"),
            (" LEFT JOIN ", "left join"),
            (" RIGHT JOIN ", "right join"),
            (" FULL JOIN ", "full join"),
            (" CROSS JOIN ", "cross join"),
        ][kind];
        self.tag(tag);
        let lateral = matches!(kind, 0 | 1 | 4).then_some(&left_level);
        let (right, right_level) = self.lateral_or(right_joins, taken, lateral);
        let right = if right_level.rels.len() > 1 { seq!["(", right, ")"] } else { right };
        let mut level = left_level.clone();
        if matches!(kind, 2 | 3) {
            level.rels.iter_mut().for_each(Rel::may_lack);
        }
        level.rels.extend(right_level.rels.clone());
        if matches!(kind, 1 | 3) {
            level.rels[left_level.rels.len()..].iter_mut().for_each(Rel::may_lack);
        }
        level.merged.extend(right_level.merged.clone());
        if kind == 4 {
            return (seq![left, word, right], level);
        }
        if let Some((frag, merged)) = self.merging(&left, word, &right, (&left_level, &right_level)) {
            level.merged.extend(merged);
            return (frag, level);
        }
        let on = self.on(kind == 3, &left_level, &right_level, &level);
        (seq![left, word, right, " ON ", on], level)
    }

    fn on(&mut self, full: bool, left: &Level, right: &Level, both: &Level) -> Frag {
        let equality = self.equality(left, right);
        self.levels.push(both.clone());
        let on = match equality {
            // A full join needs something to hash or sort by.
            Some(equality) if full => equality,
            Some(equality) if self.chance(75) => equality,
            Some(equality) => seq![equality, seq![" AND (", self.condition(), ")"].opt()],
            None if full => Frag::from("true"),
            None => self.condition(),
        };
        self.levels.pop();
        on.node(Kind::Expr(Type::Bool))
    }

    /// USING or NATURAL, between two relations that have a column of the same name each.
    fn merging(
        &mut self,
        left: &Frag,
        word: &'static str,
        right: &Frag,
        levels: (&Level, &Level),
    ) -> Option<(Frag, Vec<(Col, usize)>)> {
        let ([a], [b]) = (&levels.0.rels[..], &levels.1.rels[..]) else { return None };
        let once = |rel: &Rel, name: &Name| rel.cols.iter().filter(|col| col.name == *name).count() == 1;
        let common: Vec<Col> =
            a.cols.iter().filter(|col| once(a, &col.name) && once(b, &col.name)).cloned().collect();
        let natural =
            a.cols.iter().all(|col| once(a, &col.name)) && b.cols.iter().all(|col| once(b, &col.name));
        if common.is_empty() || !self.chance(25) {
            return None;
        }
        let merged = |cols: Vec<Col>| cols.into_iter().map(|col| (col.plain(), 2)).collect();
        if natural && self.chance(40) {
            self.tag("NATURAL");
            return Some((seq![left.clone(), " NATURAL", word, right.clone()], merged(common)));
        }
        self.tag("USING");
        let count = 1 + self.rng.below(common.len().min(2));
        let mut chosen = common;
        self.rng.shuffle(&mut chosen);
        chosen.truncate(count);
        let names: Vec<_> = chosen.iter().map(|col| col.name.sql()).collect();
        Some((
            seq![left.clone(), word, right.clone(), format!(" USING ({})", names.join(", "))],
            merged(chosen),
        ))
    }

    /// A join in parentheses with a name of its own, which hides the names inside.
    fn named_join(&mut self, frag: Frag, level: Level, taken: &[Name]) -> (Frag, Level) {
        let all: Vec<Col> = level.rels.iter().flat_map(|rel| rel.cols.clone()).collect();
        let unique = |col: &&Col| all.iter().filter(|other| other.name == col.name).count() == 1;
        let cols: Vec<Col> = all.iter().filter(unique).cloned().collect();
        let alias = self.alias(None, taken);
        if cols.is_empty() {
            return (frag.node(Kind::From), level);
        }
        self.tag("named join");
        let frag = seq!["(", frag, format!(") AS {}", alias.sql())].node(Kind::From);
        let partial = cols.len() < all.len() || level.rels.iter().any(|rel| rel.partial);
        (frag, Level { rels: vec![Rel { alias, cols, table: None, partial }], merged: Vec::new() })
    }

    /// A LATERAL query over what stands to its left, or a tree of its own.
    fn lateral_or(&mut self, joins: usize, taken: &[Name], left: Option<&Level>) -> (Frag, Level) {
        let Some(left) = left else { return self.tree(joins, taken) };
        if joins == 0
            && self.chance(4)
            && let Some(leaf) = self.function_of_rows(left, taken)
        {
            return leaf;
        }
        if joins > 0 || !self.nest(15) {
            return self.tree(joins, taken);
        }
        self.tag("LATERAL");
        let mut left = left.clone();
        // It may be evaluated beyond an outer join that stands around both.
        left.rels.iter_mut().for_each(Rel::may_lack);
        self.levels.push(left);
        let (query, cols) = if self.chance(20) { self.lateral_values() } else { self.derived(true) };
        self.levels.pop();
        let alias = self.alias(None, taken);
        let frag = seq!["LATERAL (", query, format!(") AS {}", alias.sql())];
        (frag, Level { rels: vec![Rel { alias, cols, table: None, partial: false }], merged: Vec::new() })
    }

    /// A row of VALUES over what stands to its left, which is merged into the query around it (FLT-33).
    fn lateral_values(&mut self) -> (Frag, Vec<Col>) {
        self.tag("VALUES in LATERAL");
        let hit = self.hazardous().unwrap_or_else(|| self.atom(Type::Bool));
        let number = self.atom(Type::Int);
        let cols = [(self.fresh('i'), Type::Int), (self.fresh('b'), Type::Bool)];
        let names = format!("{}({}, {})", self.fresh('v').sql(), cols[0].0.sql(), cols[1].0.sql());
        let wher = if self.chance(70) { format!(" WHERE {}", cols[1].0.sql()) } else { String::new() };
        let frag = seq!["SELECT * FROM (VALUES (", number, ", ", hit, format!(")) AS {names}{wher}")];
        let col = |(name, ty)| Col::new(name, ty);
        (frag, cols.into_iter().map(col).collect())
    }

    /// A function that is given what stands to its left, row by row.
    fn function_of_rows(&mut self, left: &Level, taken: &[Name]) -> Option<(Frag, Level)> {
        self.levels.push(left.clone());
        let call = self.call_of_rows();
        self.levels.pop();
        let (name, call, ty) = call?;
        self.tag("function of rows in FROM");
        let lateral = if self.chance(30) { "LATERAL " } else { "" };
        let (own, alias) = (Name::new(name), self.alias(None, taken));
        let (alias, tail, cols) = match self.rng.below(4) {
            0 if !taken.contains(&own) => (own.clone(), String::new(), vec![Col::new(own, ty)]),
            1 => (alias.clone(), format!(" AS {}", alias.sql()), vec![Col::new(alias, ty)]),
            2 => {
                let (value, number) = (self.fresh(ty.letter()), self.fresh('i'));
                let names = format!("{}({}, {})", alias.sql(), value.sql(), number.sql());
                let cols = vec![Col::new(value, ty), Col::new(number, Type::Int)];
                (alias, format!(" WITH ORDINALITY AS {names}"), cols)
            }
            _ => {
                let value = self.fresh(ty.letter());
                let names = format!(" AS {}({})", alias.sql(), value.sql());
                (alias, names, vec![Col::new(value, ty)])
            }
        };
        let level =
            Level { rels: vec![Rel { alias, cols, table: None, partial: false }], merged: Vec::new() };
        Some((seq![lateral, format!("{name}("), call, ")", tail], level))
    }

    /// Such a function's name, what it is given, and what it gives.
    fn call_of_rows(&mut self) -> Option<(&'static str, Frag, Type)> {
        let column = |own: &mut Self, ty: Type| own.column(|col| col.ty == ty && !col.tenant);
        Some(match self.rng.below(6) {
            0 => ("generate_series", seq!["1, ", self.hazardous_int()?], Type::Int),
            1 => ("generate_series", seq!["1, ", column(self, Type::Int)?.0], Type::Int),
            2 => ("unnest", seq!["ARRAY[", column(self, Type::Int)?.0, ", 2]"], Type::Int),
            3 => {
                let (pattern, _) = self.column(|col| col.hazard == Some(Role::Pattern))?;
                self.hazard = true;
                self.tag("leaky expression");
                ("regexp_split_to_table", seq!["'xab', ", pattern], Type::Text)
            }
            4 => ("string_to_table", seq![column(self, Type::Text)?.0, ", 'a'"], Type::Text),
            _ => ("jsonb_path_query", seq![column(self, Type::Json)?.0, ", '$.k'"], Type::Json),
        })
    }

    fn leaf(&mut self, taken: &[Name]) -> (Frag, Level) {
        let (frag, rel) = match self.rng.weighted(&[30, 5, 2, 1]) {
            1 if self.nest(60) => {
                self.tag("derived table");
                let (query, cols) = self.derived(false);
                let alias = self.alias(None, taken);
                (
                    seq!["(", query, format!(") AS {}", alias.sql())],
                    Rel { alias, cols, table: None, partial: false },
                )
            }
            2 => self.values_leaf(taken),
            3 => {
                self.tag("table function");
                let alias = self.alias(None, taken);
                let col = Col::new(Name::new("n"), Type::Int);
                let frag = format!("generate_series(1, 3) AS {}(n)", alias.sql()).into();
                (frag, Rel { alias, cols: vec![col], table: None, partial: false })
            }
            _ if !self.ctes.is_empty() && self.chance(45) => self.cte_leaf(taken),
            _ => self.table_leaf(taken),
        };
        (frag.node(Kind::From), Level { rels: vec![rel], merged: Vec::new() })
    }

    fn table_leaf(&mut self, taken: &[Name]) -> (Frag, Rel) {
        let table = self.rng.below(self.world.tables.len());
        let name = self.world.tables[table].name.clone();
        let mut cols = self.columns_of(table);
        let hidden = self.ctes.iter().any(|cte| cte.name == name);
        let only = if self.rng.below(500) == 0 { "ONLY " } else { "" };
        let spelled = if hidden || self.chance(8) {
            // A name with its schema always means the table.
            self.tag("schema-qualified table");
            format!("{only}public.{}", name.spelled(&mut self.rng))
        } else {
            format!("{only}{}", name.spelled(&mut self.rng))
        };
        if !taken.contains(&name) && self.chance(35) {
            return (spelled.into(), Rel { alias: name, cols, table: Some(table), partial: false });
        }
        let alias = self.alias(Some(&name), taken);
        let word = *self.rng.pick(&[" AS ", " "]);
        if self.chance(4) {
            self.tag("renamed columns");
            for col in &mut cols {
                col.name = self.fresh(if col.tenant { 'k' } else { col.ty.letter() });
            }
            let names: Vec<_> = cols.iter().map(|col| col.name.sql()).collect();
            let frag = format!("{spelled}{word}{}({})", alias.sql(), names.join(", "));
            return (frag.into(), Rel { alias, cols, table: None, partial: false });
        }
        (
            format!("{spelled}{word}{}", alias.sql()).into(),
            Rel { alias, cols, table: Some(table), partial: false },
        )
    }

    fn cte_leaf(&mut self, taken: &[Name]) -> (Frag, Rel) {
        // The inner one of two of the same name hides the outer one.
        let shown = |(number, cte): (usize, &Cte)| {
            let hidden = self.ctes[number + 1..].iter().any(|inner| inner.name == cte.name);
            (!hidden).then(|| cte.clone())
        };
        let shown: Vec<Cte> = self.ctes.iter().enumerate().filter_map(shown).collect();
        let cte = self.rng.pick(&shown).clone();
        self.tag("common table expression used");
        if !taken.contains(&cte.name) && self.chance(40) {
            return (
                cte.name.sql().into(),
                Rel { alias: cte.name, cols: cte.cols, table: None, partial: false },
            );
        }
        let alias = self.alias(Some(&cte.name), taken);
        (
            format!("{} AS {}", cte.name.sql(), alias.sql()).into(),
            Rel { alias, cols: cte.cols, table: None, partial: false },
        )
    }

    fn values_leaf(&mut self, taken: &[Name]) -> (Frag, Rel) {
        self.tag("VALUES in FROM");
        let rows = 1 + self.rng.below(3);
        let rows = (0..rows).map(|_| {
            let (a, b) = (self.rng.between(1, 6), *self.rng.pick(&["'a'", "'s2'", "NULL"]));
            Frag::from(format!("({a}, CAST({b} AS text))"))
        });
        let rows = rows.collect();
        let alias = self.alias(None, taken);
        let col = |name: &str, ty| Col::new(Name::new(name), ty);
        let cols = vec![col("id", Type::Int), col("body", Type::Text)];
        let frag = seq!["(VALUES ", Frag::list(", ", 1, rows), format!(") AS {}(id, body)", alias.sql())];
        (frag, Rel { alias, cols, table: None, partial: false })
    }

    /// A name that is free; sometimes another table's, which must not mislead anybody (FLT-05).
    pub(super) fn alias(&mut self, of: Option<&Name>, taken: &[Name]) -> Name {
        if of.is_some() && self.chance(20) {
            let number = self.rng.below(self.world.tables.len());
            let other = self.world.tables[number].name.clone();
            if Some(&other) != of && !taken.contains(&other) {
                self.tag("alias that is another table's name");
                return other;
            }
        }
        if !taken.is_empty() && self.rng.below(500) == 0 {
            self.tag("two relations of one name");
            return self.rng.pick(taken).clone();
        }
        if self.chance(4) {
            let name = self.confusing();
            if !taken.contains(&name) {
                return name;
            }
        }
        if self.chance(6) {
            self.aliases += 1;
            return Name::new(format!("Alias {}", self.aliases));
        }
        self.fresh('a')
    }
}

fn aliases(level: &Level) -> Vec<Name> {
    level.rels.iter().map(|rel| rel.alias.clone()).collect()
}
