//! Conditions.

use super::Gen;
use crate::oracle::frag::{Frag, Kind, seq};
use crate::oracle::schema::Role;
use crate::oracle::value::{Type, Value};

impl Gen<'_> {
    /// A condition, with `depth` more operators at most.
    pub(super) fn predicate(&mut self, depth: usize) -> Frag {
        let frag = if depth > 0 && self.grow(40) {
            self.connective(depth - 1)
        } else if self.nest(22) {
            self.query_predicate()
        } else {
            self.plain(depth)
        };
        frag.node(Kind::Expr(Type::Bool))
    }

    /// Not put in parentheses by itself: precedence is part of what is tested (FLT-11).
    fn connective(&mut self, depth: usize) -> Frag {
        let (left, right) = (self.predicate(depth), self.predicate(depth));
        match self.rng.below(5) {
            0 => seq!["NOT (", left, ")"],
            1 | 2 => {
                self.tag("OR");
                if self.chance(50) { seq![left, " OR ", right] } else { seq!["(", left, " OR ", right, ")"] }
            }
            _ => seq!["(", left, ") AND (", right, ")"],
        }
    }

    /// For the top of WHERE, ON and HAVING: an OR without parentheses is as likely there as it gets.
    pub(super) fn condition(&mut self) -> Frag {
        let depth = 1 + self.rng.below(2);
        if self.chance(1)
            && let Some(mined) = self.mined_alone()
        {
            return mined.node(Kind::Expr(Type::Bool));
        }
        if self.chance(20) {
            self.tag("OR");
            self.tag("bare OR at the top");
            return seq![self.plain(depth), " OR ", self.predicate(depth)].node(Kind::Expr(Type::Bool));
        }
        self.predicate(depth)
    }

    fn plain(&mut self, depth: usize) -> Frag {
        match self.rng.weighted(&[20, 8, 6, 6, 6, 6, 4, 6, 6, 4, 1, 3]) {
            0 => self.comparison(depth),
            10 => self.mined().unwrap_or_else(|| self.comparison(depth)),
            11 => {
                let is = *self.rng.pick(&[" IS TRUE", " IS NOT TRUE", " IS NOT FALSE", " IS UNKNOWN"]);
                seq!["(", self.predicate(depth.min(1)), ")", is]
            }
            1 => {
                let ty = self.ty();
                let is = *self.rng.pick(&[" IS NULL", " IS NOT NULL"]);
                let operand = self.expr(ty, depth);
                // NULL is in no empty array, but PostgreSQL takes it for unknown there when it looks for outer joins that could
                // be inner ones, and gives other rows as its plan falls.
                let misread = ty == Type::Bool && operand.mentions(" = ANY (ARRAY(");
                seq![operand, if misread && is == " IS NOT NULL" { " IS NOT FALSE" } else { is }]
            }
            2 => seq![
                self.expr(Type::Int, depth),
                " BETWEEN ",
                self.atom(Type::Int),
                " AND ",
                self.atom(Type::Int)
            ],
            3 => self.in_list(),
            4 => {
                self.tag("LIKE");
                let like = *self.rng.pick(&[" LIKE ", " NOT LIKE ", " ILIKE "]);
                seq![self.expr(Type::Text, depth), like, self.pattern()]
            }
            5 => {
                let ty = self.ty();
                let op = *self.rng.pick(&[" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "]);
                seq![self.expr(ty, depth), op, self.expr(ty, depth)]
            }
            6 => self.tenant_predicate(),
            7 => self.hazardous().unwrap_or_else(|| self.comparison(depth)),
            8 => self.atom(Type::Bool),
            _ => seq![
                "(",
                self.atom(Type::Int),
                ", ",
                self.atom(Type::Text),
                ") = (",
                self.atom(Type::Int),
                ", ",
                self.atom(Type::Text),
                ")"
            ],
        }
    }

    /// What LIKE compares with; a bound one is read when it is bound.
    fn pattern(&mut self) -> Frag {
        if self.chance(15) {
            self.tag("bound pattern");
            if self.chance(6) {
                self.mined_tag();
                return self.param(Value::Text(Some("%\\".to_owned())));
            }
            let pattern = *self.rng.pick(&["a%", "%b", "s\\_", "%"]);
            return self.param(Value::Text(Some(pattern.to_owned())));
        }
        let pattern = *self.rng.pick(&["'a%'", "'%b'", "'s_'", "'%'", "'a!%' ESCAPE '!'"]);
        pattern.into()
    }

    fn ty(&mut self) -> Type {
        *self.rng.pick(&Type::ALL)
    }

    fn comparison(&mut self, depth: usize) -> Frag {
        let ty = *self.rng.pick(&[
            Type::Int,
            Type::Int,
            Type::Int,
            Type::Text,
            Type::Text,
            Type::Bool,
            Type::Time,
            Type::Json,
        ]);
        let op = *self.rng.pick(&[" = ", " = ", " <> ", " < ", " >= ", " > "]);
        let (left, right) = (self.operand(ty, depth), self.operand(ty, depth));
        seq![left, op, right]
    }

    /// Conditions bind more loosely than comparisons.
    fn operand(&mut self, ty: Type, depth: usize) -> Frag {
        if ty == Type::Bool { self.atom(ty) } else { self.expr(ty, depth) }
    }

    fn in_list(&mut self) -> Frag {
        let ty = *self.rng.pick(&[Type::Int, Type::Text]);
        let count = 1 + self.rng.below(4);
        let items =
            (0..count).map(|_| if self.chance(50) { self.bound(ty) } else { self.literal(ty) }).collect();
        let not = if self.chance(30) { " NOT IN (" } else { " IN (" };
        self.tag("IN list");
        seq![self.atom(ty), not, Frag::list(", ", 1, items), ")"]
    }

    /// What somebody might write about the tenant column, another tenant's id included.
    fn tenant_predicate(&mut self) -> Frag {
        let Some((column, _)) = self.column(|col| col.tenant) else { return self.comparison(0) };
        self.tag("names the tenant column");
        if self.chance(30)
            && let Some((other, _)) = self.column(|col| col.tenant)
        {
            return seq![column, " = ", other];
        }
        let tenant = self.rng.below(self.world.tenants.len());
        let op = *self.rng.pick(&[" = ", " = ", " <> "]);
        let value = self.world.tenant_value(tenant);
        let id = if self.chance(50) { Frag::from(value.literal()) } else { self.param(value) };
        seq![column, op, id]
    }

    /// A condition that fails on other tenants' rows and on none of this tenant's (FLT-33, FLT-34).
    pub(super) fn hazardous(&mut self) -> Option<Frag> {
        if self.chance(50)
            && let Some((column, _)) = self.column(|col| col.hazard == Some(Role::Pattern))
        {
            self.hazard = true;
            self.tag("leaky expression");
            let matches = *self.rng.pick(&[
                "'xab' ~ ",
                "'xab' ~ ",
                "'xab' LIKE ",
                "'xab' NOT LIKE ",
                "'xab' SIMILAR TO ",
            ]);
            return Some(seq![matches, column]);
        }
        let value = self.hazardous_int()?;
        Some(seq![value, " > ", self.atom(Type::Int)])
    }

    /// A nested query that reads no table of tenants, and is merged into the one around it (FLT-33).
    fn merged_query(&mut self) -> Option<Frag> {
        let (column, _) = self.column(|col| col.hazard == Some(Role::Pattern))?;
        self.hazard = true;
        self.tag("leaky expression");
        self.tag("leaky query without a table of tenants");
        if self.chance(25) {
            return Some(seq!["true IN (VALUES ('xab' ~ ", column, "))"]);
        }
        let from = *self.rng.pick(&["public.countries", "generate_series(1, 2)"]);
        Some(seq![
            format!("EXISTS (SELECT 1 FROM {from} AS {} WHERE 'xab' ~ ", self.fresh('a').sql()),
            column,
            ")"
        ])
    }

    fn query_predicate(&mut self) -> Frag {
        if self.chance(12)
            && let Some(merged) = self.merged_query()
        {
            return merged;
        }
        let ty = *self.rng.pick(&[Type::Int, Type::Int, Type::Text]);
        match self.rng.below(8) {
            7 => {
                self.tag("array of a query");
                if self.chance(30) {
                    return seq!["cardinality(ARRAY(", self.subquery(&[ty]), ")) >= ", self.atom(Type::Int)];
                }
                let op = *self.rng.pick(&[" = ANY (ARRAY(", " <> ALL (ARRAY("]);
                seq![self.atom(ty), op, self.subquery(&[ty]), "))"]
            }
            0 | 1 => {
                let not = if self.chance(40) { "NOT EXISTS (" } else { "EXISTS (" };
                self.tag("EXISTS");
                seq![not, self.subquery(&[Type::Int]), ")"]
            }
            2 | 3 => {
                let not = if self.chance(35) { " NOT IN (" } else { " IN (" };
                self.tag("IN subquery");
                seq![self.atom(ty), not, self.subquery(&[ty]), ")"]
            }
            4 => {
                let op = *self.rng.pick(&[" = ANY (", " < ALL (", " <> ALL (", " > SOME ("]);
                self.tag("ANY or ALL");
                seq![self.atom(ty), op, self.subquery(&[ty]), ")"]
            }
            5 => {
                self.tag("row in subquery");
                let inner = self.subquery(&[Type::Int, Type::Text]);
                seq!["(", self.atom(Type::Int), ", ", self.atom(Type::Text), ") IN (", inner, ")"]
            }
            _ => seq![self.atom(ty), " >= ", self.scalar_subquery(ty)],
        }
    }

    /// A condition that joins what was there to what comes.
    pub(super) fn equality(&mut self, left: &super::Level, right: &super::Level) -> Option<Frag> {
        let mut pairs = Vec::new();
        for a in &left.rels {
            for b in &right.rels {
                for (x, y) in a.cols.iter().flat_map(|x| b.cols.iter().map(move |y| (x, y))) {
                    let fits = x.ty == y.ty && x.tenant == y.tenant && matches!(x.ty, Type::Int | Type::Text);
                    let once = |rel: &super::Rel, col: &super::Col| {
                        rel.cols.iter().filter(|c| c.name == col.name).count() == 1
                    };
                    if fits && once(a, x) && once(b, y) {
                        let likely = if x.name == y.name || x.ty == Type::Int { 3 } else { 1 };
                        pairs.extend(std::iter::repeat_n(
                            (a.alias.clone(), x.name.clone(), b.alias.clone(), y.name.clone()),
                            likely,
                        ));
                    }
                }
            }
        }
        if pairs.is_empty() {
            return None;
        }
        let (a, x, b, y) = self.rng.pick(&pairs).clone();
        Some(format!("{}.{} = {}.{}", a.sql(), x.sql(), b.sql(), y.sql()).into())
    }

    /// This tenant's id as a statement would bind it.
    pub(super) fn own_id(&mut self) -> Value {
        self.world.tenant_value(self.tenant)
    }
}
