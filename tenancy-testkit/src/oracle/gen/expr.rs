//! Expressions of each type.

use super::Gen;
use crate::oracle::frag::{Frag, Kind, seq};
use crate::oracle::schema::Role;
use crate::oracle::value::{Type, Value};

impl Gen<'_> {
    /// An expression of type `ty`, with `depth` more operators at most.
    pub(super) fn expr(&mut self, ty: Type, depth: usize) -> Frag {
        if depth == 0 || !self.grow(55) {
            return self.atom(ty);
        }
        if self.nest(12) {
            return self.scalar_subquery(ty);
        }
        let frag = match ty {
            Type::Int => self.int(depth - 1),
            Type::Text => self.text(depth - 1),
            Type::Bool => return self.predicate(depth - 1),
            Type::Time => self.common(ty, depth - 1),
            Type::Json => self.json(depth - 1),
        };
        frag.node(Kind::Expr(ty))
    }

    /// A column, a literal or a bound value.
    pub(super) fn atom(&mut self, ty: Type) -> Frag {
        if self.chance(75)
            && let Some((column, _)) = self.column(|col| col.ty == ty && !col.tenant)
        {
            return column.node(Kind::Expr(ty));
        }
        let literal = if self.chance(35) { self.bound(ty) } else { self.literal(ty) };
        literal.node(Kind::Expr(ty))
    }

    pub(super) fn literal(&mut self, ty: Type) -> Frag {
        if self.chance(6) {
            return format!("CAST(NULL AS {})", ty.sql()).into();
        }
        match ty {
            Type::Int => self.rng.between(0, 6).to_string().into(),
            Type::Text => {
                const TEXTS: [&str; 7] =
                    ["'a'", "'b'", "'it''s -- no /* comment'", "E'a\\'b'", "$q$a$q$", "'s3'", "''"];
                Frag::from(*self.rng.pick(&TEXTS))
            }
            Type::Bool => Frag::from(*self.rng.pick(&["true", "false"])),
            Type::Time => {
                Frag::from(*self.rng.pick(&["TIMESTAMP '2024-01-01 00:00:00'", "TIMESTAMP 'infinity'"]))
            }
            Type::Json => Frag::from(*self.rng.pick(&[r#"CAST('{"k":1}' AS jsonb)"#, "CAST('[]' AS jsonb)"])),
        }
    }

    /// A bound value, its type declared by the driver.
    pub(super) fn bound(&mut self, ty: Type) -> Frag {
        self.tag("parameter");
        let null = self.chance(5);
        match ty {
            Type::Int => {
                let value = self.rng.between(0, 6) as i32;
                self.param(Value::Int((!null).then_some(value)))
            }
            Type::Text => {
                let value = (*self.rng.pick(&["a", "b", "s2", "of-tenant-1", "$1 '; --"])).to_owned();
                self.param(Value::Text((!null).then_some(value)))
            }
            Type::Bool => {
                let value = self.chance(50);
                self.param(Value::Bool((!null).then_some(value)))
            }
            Type::Time => {
                let value = self.param(Value::Text(Some("2024-01-01 00:00:00".to_owned())));
                seq!["CAST(", value, " AS timestamp)"]
            }
            Type::Json => {
                let value = self.param(Value::Text(Some(r#"{"k":"a"}"#.to_owned())));
                seq!["CAST(", value, " AS jsonb)"]
            }
        }
    }

    fn int(&mut self, depth: usize) -> Frag {
        match self.rng.weighted(&[12, 9, 6, 6, 15, 1]) {
            5 => self.mined_int().unwrap_or_else(|| self.atom(Type::Int)),
            0 => {
                let op = *self.rng.pick(&[" + ", " - "]);
                seq!["(", self.expr(Type::Int, depth), op, self.expr(Type::Int, depth), ")"]
            }
            1 => seq!["length(", self.expr(Type::Text, depth), ")"],
            2 => seq!["abs(", self.expr(Type::Int, depth), ")"],
            3 => self.hazardous_int().unwrap_or_else(|| self.atom(Type::Int)),
            _ => self.common(Type::Int, depth),
        }
    }

    /// A value that fails on other tenants' rows and on none of this tenant's (FLT-33, FLT-34).
    pub(super) fn hazardous_int(&mut self) -> Option<Frag> {
        let (column, col) = self.column(|col| matches!(col.hazard, Some(Role::Digits | Role::Divisor)))?;
        self.hazard = true;
        self.tag("leaky expression");
        Some(match (col.hazard, self.rng.below(3)) {
            (Some(Role::Digits), 0) => seq!["CAST(", column, " AS integer)"],
            (Some(Role::Digits), 1) => seq!["CAST(", column, " AS bigint)"],
            (Some(Role::Digits), _) => seq![column, "::int"],
            (_, 0) => seq!["mod(12, ", column, ")"],
            (_, 1) => seq!["(12 % ", column, ")"],
            _ => seq!["(12 / ", column, ")"],
        })
    }

    fn text(&mut self, depth: usize) -> Frag {
        match self.rng.weighted(&[3, 3, 2, 2, 5]) {
            0 => seq!["(", self.expr(Type::Text, depth), " || ", self.expr(Type::Text, depth), ")"],
            1 => {
                let function = *self.rng.pick(&["lower(", "upper(", "trim(", "md5("]);
                seq![function, self.expr(Type::Text, depth), ")"]
            }
            2 => seq!["CAST(", self.expr(Type::Int, depth), " AS text)"],
            3 => {
                let Some((column, _)) = self.column(|col| col.ty == Type::Json) else {
                    return self.atom(Type::Text);
                };
                self.tag("json");
                seq!["(", column, " ->> 'k')"]
            }
            _ => self.common(Type::Text, depth),
        }
    }

    fn json(&mut self, depth: usize) -> Frag {
        match self.rng.below(3) {
            0 => seq!["jsonb_build_object('v', ", self.expr(Type::Int, depth), ")"],
            1 => seq!["(", self.atom(Type::Json), " -> 'k')"],
            _ => self.common(Type::Json, depth),
        }
    }

    /// What works for every type.
    fn common(&mut self, ty: Type, depth: usize) -> Frag {
        match self.rng.below(4) {
            3 => {
                self.tag("CASE of a value");
                let (value, is) = (self.atom(Type::Int), self.atom(Type::Int));
                let (then, other) = (self.expr(ty, depth), self.expr(ty, depth));
                seq!["CASE ", value, " WHEN ", is, " THEN ", then, " ELSE ", other, " END"]
            }
            0 => seq!["coalesce(", self.expr(ty, depth), ", ", self.expr(ty, depth), ")"],
            1 => {
                let condition = self.predicate(depth);
                let (then, other) = (self.expr(ty, depth), self.expr(ty, depth));
                self.tag("CASE");
                seq!["CASE WHEN ", condition, " THEN ", then, " ELSE ", other, " END"]
            }
            _ => seq!["nullif(", self.expr(ty, depth), ", ", self.atom(ty), ")"],
        }
    }

    /// A query of one row at most, in parentheses.
    pub(super) fn scalar_subquery(&mut self, ty: Type) -> Frag {
        self.tag("scalar subquery");
        seq!["(", self.one_row(ty), ")"].node(Kind::Expr(ty))
    }
}
