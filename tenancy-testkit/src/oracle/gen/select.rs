//! Queries.

use super::{Col, Gen, Level};
use crate::oracle::frag::{Frag, Kind, seq};
use crate::oracle::value::{Name, Type, Value};

/// A query with what it delivers.
pub(super) struct Query {
    pub(super) frag: Frag,
    pub(super) cols: Vec<Col>,
    /// Its rows come in one order and no other.
    pub(super) ordered: bool,
}

/// What a SELECT's context asks of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants<'a> {
    pub(super) types: Option<&'a [Type]>,
    /// The names of the columns must differ.
    unique: bool,
    /// No ORDER BY and no LIMIT: an operand of a set operation without parentheses.
    bare: bool,
    /// In one order whatever happens.
    ordered: bool,
}

impl Gen<'_> {
    /// A whole statement's query.
    pub(super) fn top(&mut self) -> Query {
        let ordered = self.chance(40);
        self.query(Wants { ordered, ..Wants::default() })
    }

    /// The same, where a WITH stands before it already.
    pub(super) fn top_without_with(&mut self) -> Query {
        let ordered = self.chance(40);
        self.select(Wants { ordered, ..Wants::default() })
    }

    /// A query of these types whose columns have names of their own.
    pub(super) fn derived_of(&mut self, types: &[Type]) -> (Frag, Vec<Col>) {
        let query = self.query(Wants { types: Some(types), unique: true, ..Wants::default() });
        (query.frag, query.cols)
    }

    /// A query for INSERT, whose rows come in one order so that defaults and conflicts do too.
    pub(super) fn source(&mut self, types: &[Type]) -> Frag {
        self.query(Wants { types: Some(types), ordered: true, ..Wants::default() }).frag
    }

    /// A query in FROM.
    pub(super) fn derived(&mut self, lateral: bool) -> (Frag, Vec<Col>) {
        let count = 1 + self.rng.below(3);
        let types: Vec<_> = (0..count).map(|_| self.any_type()).collect();
        let types = (lateral || self.chance(70)).then_some(&types[..]);
        let query = self.query(Wants { types, unique: true, ..Wants::default() });
        (query.frag, query.cols)
    }

    /// A query inside of a condition.
    pub(super) fn subquery(&mut self, types: &[Type]) -> Frag {
        self.query(Wants { types: Some(types), ..Wants::default() }).frag
    }

    /// A query of one row at most.
    pub(super) fn one_row(&mut self, ty: Type) -> Frag {
        self.depth += 1;
        let (from, level) = self.from();
        self.levels.push(level);
        let aggregate = self.chance(70).then(|| self.aggregate(ty));
        let item = aggregate.clone().unwrap_or_else(|| self.atom(ty));
        let wher = self.wher(80);
        self.levels.pop();
        self.depth -= 1;
        let tail = if aggregate.is_some() { "" } else { " ORDER BY 1 LIMIT 1" };
        seq!["SELECT ", item, " FROM ", from, wher, tail].node(Kind::Query)
    }

    fn query(&mut self, wants: Wants<'_>) -> Query {
        self.depth += 1;
        let before = self.ctes.len();
        let with = if self.nest(9) { self.with() } else { Frag::empty() };
        let mut query = if self.nest(9) { self.set_operation(wants) } else { self.select(wants) };
        query.frag = seq![with, query.frag].node(Kind::Query);
        self.ctes.truncate(before);
        self.depth -= 1;
        query
    }

    fn set_operation(&mut self, wants: Wants<'_>) -> Query {
        let types: Vec<Type> = match wants.types {
            Some(types) => types.to_vec(),
            None => (0..=self.rng.below(3)).map(|_| self.any_type()).collect(),
        };
        let op = *self.rng.pick(&[
            " UNION ",
            " UNION ALL ",
            " INTERSECT ",
            " EXCEPT ",
            " EXCEPT ALL ",
            " INTERSECT ALL ",
        ]);
        self.tag("set operation");
        let inner = Wants { types: Some(&types), unique: true, bare: true, ordered: false };
        let left = self.operand_of_set(inner);
        let right = self.operand_of_set(inner);
        let frag = seq![left.frag, op, right.frag];
        let cols = left.cols.into_iter().map(|col| col.plain()).collect::<Vec<_>>();
        let (tail, ordered) = self.tail(cols.len(), wants, false);
        Query { frag: seq![frag, tail], cols, ordered }
    }

    fn operand_of_set(&mut self, wants: Wants<'_>) -> Query {
        if self.chance(60) {
            return self.select(wants);
        }
        self.tag("operand in parentheses");
        let own = Wants { bare: false, ..wants };
        let mut query = if self.nest(25) { self.set_operation(own) } else { self.select(own) };
        query.frag = seq!["(", query.frag.node(Kind::Query), ")"];
        query
    }

    fn select(&mut self, wants: Wants<'_>) -> Query {
        let (from, level) = self.from();
        self.levels.push(level.clone());
        let wher = self.wher(60);
        let kind = self.rng.weighted(&[14, 4, 2, 2, 3, 3]);
        let query = match kind {
            1 => self.grouped(wants, from, wher),
            2 => self.distinct(wants, from, wher, false),
            3 if !wants.bare => self.distinct(wants, from, wher, true),
            4 if wants.types.is_none() && self.starrable(&level, wants) => {
                self.star(wants, from, wher, &level)
            }
            5 => self.windowed(wants, from, wher),
            _ => {
                let (items, cols) = self.items(wants);
                let head = seq!["SELECT ", Frag::list(", ", 1, items), " FROM ", from, wher];
                self.finish(head, cols, wants, true)
            }
        };
        self.levels.pop();
        query
    }

    pub(super) fn wher(&mut self, percent: u64) -> Frag {
        if self.chance(percent) { seq![" WHERE ", self.condition()].opt() } else { Frag::empty() }
    }

    pub(super) fn finish(
        &mut self,
        head: Frag,
        cols: Vec<Col>,
        wants: Wants<'_>,
        expressions: bool,
    ) -> Query {
        let (tail, ordered) = self.tail(cols.len(), wants, expressions);
        Query { frag: seq![head, tail], cols, ordered }
    }

    /// ORDER BY and LIMIT, and whether they leave one order only.
    fn tail(&mut self, count: usize, wants: Wants<'_>, expressions: bool) -> (Frag, bool) {
        if wants.bare || !(wants.ordered || self.chance(22)) {
            return (Frag::empty(), false);
        }
        let mut items = Vec::new();
        if expressions && self.grow(20) {
            self.tag("ORDER BY expression");
            let item = if self.nest(50) {
                self.scalar_subquery(Type::Int)
            } else {
                seq!["(", self.expr(Type::Int, 1), " + 0)"]
            };
            items.push(item.opt_sep());
        }
        items.extend(self.ordinals(count));
        self.tag("ORDER BY");
        let order = seq![" ORDER BY ", Frag::Seq(items)];
        // INSERT needs the order, a limit needs it too; elsewhere it may go when a failure is cut down.
        if !self.chance(45) {
            return (order, true);
        }
        (seq![order, self.limit()], true)
    }

    /// Every output column, in some directions: rows that tie are equal.
    pub(super) fn ordinals(&mut self, count: usize) -> Vec<Frag> {
        let mut list: Vec<usize> = (1..=count).collect();
        self.rng.shuffle(&mut list);
        let last = list.len() - 1;
        let one = |(i, number): (usize, usize)| {
            let direction = *self.rng.pick(&["", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"]);
            Frag::from(format!("{number}{direction}{}", if i == last { "" } else { ", " }))
        };
        list.into_iter().enumerate().map(one).collect()
    }

    fn limit(&mut self) -> Frag {
        self.tag("LIMIT");
        let count = self.rng.between(0, 4);
        let limit = match self.rng.below(6) {
            0 => {
                let value = self.param(Value::BigInt(Some(count)));
                seq![" LIMIT ", value]
            }
            1 if self.depth < super::MAX_DEPTH => {
                self.tag("subquery in LIMIT");
                let level = self.levels.pop();
                let saved = std::mem::take(&mut self.levels);
                let inner = self.one_row_count();
                self.levels = saved;
                self.levels.extend(level);
                seq![" LIMIT (", inner, ")"]
            }
            2 => format!(" OFFSET {}", count.min(2)).into(),
            3 => format!(" LIMIT {count} OFFSET 1").into(),
            4 => format!(" FETCH FIRST {count} ROWS ONLY").into(),
            _ => format!(" LIMIT {count}").into(),
        };
        limit.opt()
    }

    fn one_row_count(&mut self) -> Frag {
        self.depth += 1;
        let (from, level) = self.from();
        self.levels.push(level);
        let wher = self.wher(60);
        self.levels.pop();
        self.depth -= 1;
        seq!["SELECT count(*) FROM ", from, wher].node(Kind::Query)
    }

    /// The SELECT list, and the columns that it makes.
    fn items(&mut self, wants: Wants<'_>) -> (Vec<Frag>, Vec<Col>) {
        let types: Vec<Type> = match wants.types {
            Some(types) => types.to_vec(),
            None => (0..=self.rng.below(4)).map(|_| self.any_type()).collect(),
        };
        types.iter().map(|ty| self.item(*ty)).unzip()
    }

    pub(super) fn item(&mut self, ty: Type) -> (Frag, Col) {
        let name = self.fresh(ty.letter());
        if self.chance(55)
            && let Some((column, col)) = self.column(|col| col.ty == ty && !col.tenant)
        {
            let frag = seq![column.node(Kind::Expr(ty)), format!(" AS {}", name.sql())];
            return (frag, Col { name, ..col });
        }
        if ty == Type::Int && self.chance(3) {
            self.tag("set of rows in SELECT");
            let first = self.atom(ty);
            let set = seq!["unnest(ARRAY[", first, ", 2])", format!(" AS {}", name.sql())];
            return (set, Col::new(name, ty));
        }
        let expr = self.expr(ty, 2);
        (self.aliased(expr, &name, ty), Col::new(name, ty))
    }

    pub(super) fn aliased(&mut self, expr: Frag, name: &Name, ty: Type) -> Frag {
        seq![expr.or(format!("CAST(NULL AS {})", ty.sql())), format!(" AS {}", name.sql())]
    }

    fn starrable(&self, level: &Level, wants: Wants<'_>) -> bool {
        let cols: Vec<_> = level.rels.iter().flat_map(|rel| &rel.cols).collect();
        let unique = cols.iter().all(|col| cols.iter().filter(|other| other.name == col.name).count() == 1);
        let whole = level.rels.iter().all(|rel| !rel.partial);
        level.merged.is_empty() && ((unique && whole) || !wants.unique) && !cols.is_empty()
    }

    fn star(&mut self, wants: Wants<'_>, from: Frag, wher: Frag, level: &Level) -> Query {
        self.tag("SELECT *");
        let one = self.chance(40);
        let rels = if one { &level.rels[..1] } else { &level.rels[..] };
        let complete = |rel: &super::Rel| rel.table.is_some() || rel.alias.raw().starts_with('a');
        let star =
            if one && complete(&rels[0]) { format!("{}.*", rels[0].alias.sql()) } else { "*".to_owned() };
        // A named join hides the columns whose names it has twice, and `*` shows them: they cannot be counted here.
        let cols: Vec<Col> = if star == "*" { &level.rels[..] } else { rels }
            .iter()
            .flat_map(|rel| rel.cols.clone())
            .collect();
        let head = seq![format!("SELECT {star} FROM "), from, wher];
        // Numbers of some of the columns leave rows that tie in any order.
        let shown = if star == "*" { &level.rels[..] } else { rels };
        let partial = shown.iter().any(|rel| rel.partial);
        let wants = Wants { bare: wants.bare || partial, ..wants };
        let lock = rels.len() == 1
            && level.rels.len() == 1
            && level.rels[0].table.is_some()
            && wants.types.is_none();
        let mut query = self.finish(head, cols, wants, true);
        if lock && !wants.bare && self.depth == 1 && self.chance(15) {
            self.tag("FOR UPDATE");
            let lock = *self.rng.pick(&[" FOR UPDATE", " FOR SHARE", " FOR UPDATE SKIP LOCKED"]);
            query.frag = seq![query.frag, lock];
        }
        query
    }

    fn distinct(&mut self, wants: Wants<'_>, from: Frag, wher: Frag, on: bool) -> Query {
        let (items, cols) = self.items(wants);
        if !on {
            self.tag("DISTINCT");
            let head = seq!["SELECT DISTINCT ", Frag::list(", ", 1, items), " FROM ", from, wher];
            return self.finish(head, cols, wants, false);
        }
        self.tag("DISTINCT ON");
        let mut order: Vec<_> = vec![Frag::from("1")];
        order.extend((2..=cols.len()).map(|number| Frag::from(format!(", {number}"))));
        let frag = seq![
            "SELECT DISTINCT ON (1) ",
            Frag::list(", ", cols.len(), items),
            " FROM ",
            from,
            wher,
            " ORDER BY ",
            Frag::Seq(order)
        ];
        Query { frag, cols, ordered: true }
    }

    pub(super) fn any_type(&mut self) -> Type {
        *self.rng.pick(&[
            Type::Int,
            Type::Int,
            Type::Int,
            Type::Text,
            Type::Text,
            Type::Bool,
            Type::Time,
            Type::Json,
        ])
    }
}

impl Frag {
    /// An item before others that stay.
    fn opt_sep(self) -> Self {
        seq![self, ", "].opt()
    }
}
