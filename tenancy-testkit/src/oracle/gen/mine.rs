//! Mines: what fails wherever it is evaluated, behind conditions that keep this tenant's rows off it.
//!
//! That other tenants' rows come to it is told by an error alone (FLT-33, FLT-34).

use super::{Gen, Steady};
use crate::oracle::frag::{Frag, Kind, seq};
use crate::oracle::schema::Role;
use crate::oracle::value::{Name, Type};

/// Fails on any number of rows; SQLite, which divides by zero, is given another one.
pub(crate) const ALWAYS_FAILS: &str = "12 / (count(*) - count(*))";

impl Gen<'_> {
    /// A condition that holds a mine, and may stand under NOT.
    pub(super) fn mined(&mut self) -> Option<Frag> {
        let (keeps_off, guard) = self.guard()?;
        self.mined_tag();
        Some(match self.rng.below(5) {
            // A negation would be moved inside, and make two predicates of one.
            0 | 1 => {
                self.tag("mine behind OR");
                seq!["((", keeps_off, " OR ", self.mine_condition(), ") IS TRUE)"]
            }
            2 => {
                self.tag("mine in CASE");
                seq!["CASE WHEN ", guard, " THEN ", self.mine_condition(), " ELSE true END"]
            }
            3 => {
                self.tag("mine in CASE");
                let other = self.atom(Type::Int);
                seq!["CASE WHEN ", guard, " THEN ", self.mine(), " ELSE ", other, " END IS NOT NULL"]
            }
            _ => {
                self.tag("mine in coalesce");
                seq!["coalesce(CASE WHEN ", guard, " THEN NULL ELSE 1 END, ", self.mine(), ") > 0"]
            }
        })
    }

    /// The same where nothing stands around it.
    pub(super) fn mined_alone(&mut self) -> Option<Frag> {
        let (keeps_off, _) = self.guard()?;
        self.mined_tag();
        self.tag("mine behind OR");
        Some(seq![keeps_off, " OR ", self.mine_condition()])
    }

    /// The same as a value.
    pub(super) fn mined_int(&mut self) -> Option<Frag> {
        let (_, guard) = self.guard()?;
        self.mined_tag();
        self.tag("mine in CASE");
        Some(seq!["CASE WHEN ", guard, " THEN ", self.mine(), " ELSE ", self.atom(Type::Int), " END"])
    }

    pub(super) fn mined_tag(&mut self) {
        self.hazard = true;
        self.tag("mine");
    }

    /// A condition that all rows of this tenant fulfil, and one that none does, though another tenant's may.
    fn guard(&mut self) -> Option<(Frag, Frag)> {
        if self.chance(60)
            && let Some((column, col)) = self.column(|col| col.steady.is_some())
        {
            let (so, otherwise) = match col.steady {
                Some(Steady::Null) => (" IS NULL", " IS NOT NULL"),
                Some(Steady::Filled) => (" IS NOT NULL", " IS NULL"),
                Some(Steady::True) if self.chance(50) => ("", " IS NOT TRUE"),
                Some(Steady::False) => (" IS NOT TRUE", ""),
                _ => (" IS TRUE", " IS NOT TRUE"),
            };
            return Some((seq![column.clone(), so], seq![column, otherwise]));
        }
        let tenants = self.world.tenants.len();
        let other = (self.tenant + 1 + self.rng.below(tenants - 1)) % tenants;
        let (column, _) = self.column(|col| col.ty == Type::Text && !col.tenant)?;
        let text = format!("'of-tenant-{other}'");
        Some((seq![column.clone(), " IS DISTINCT FROM ", text.clone()], seq![column, " = ", text]))
    }

    /// A condition that cannot be told; some of them cost less than any filter does.
    fn mine_condition(&mut self) -> Frag {
        match self.rng.below(6) {
            0 | 1 => self.failing_query(" > 1"),
            2 => {
                let alias = self.fresh('g').sql();
                format!("EXISTS (SELECT 1 FROM generate_series(0, 0) AS {alias}(n) WHERE 12 / {alias}.n = 1)")
                    .into()
            }
            3 | 4 => self.mine_compared(),
            _ => seq![self.mine(), " > 1"],
        }
    }

    /// A comparison with what cannot be had, in a form that an index could serve.
    fn mine_compared(&mut self) -> Frag {
        self.tag("mine compared");
        let (value, other, mine) = (self.atom(Type::Int), self.atom(Type::Int), self.mine());
        match self.rng.below(7) {
            0 | 1 => seq![value, " = ", mine],
            2 => seq![value, " IN (", mine, ", ", other, ")"],
            3 => seq![value, " = ANY (ARRAY[", other, ", ", mine, "])"],
            4 => seq!["(", value, ", ", other.clone(), ") = (", mine, ", ", other, ")"],
            5 => seq!["(", value, ", ", other.clone(), ") < (", other, ", ", mine, ")"],
            _ => seq![value, " BETWEEN ", other, " AND ", mine],
        }
    }

    /// A number that cannot be had.
    fn mine(&mut self) -> Frag {
        match self.rng.below(6) {
            0..3 => self.failing_query(""),
            3 => {
                let alias = self.fresh('g').sql();
                format!("(SELECT 12 / {alias}.n FROM generate_series(0, 0) AS {alias}(n))").into()
            }
            4 => {
                self.tag("stable mine");
                "CAST(concat('x', now()) AS integer)".into()
            }
            _ => match self.column(|col| col.ty == Type::Int && !col.tenant) {
                Some((column, _)) => seq!["(12 / (", column.clone(), " - ", column, "))"],
                None => self.failing_query(""),
            },
        }
    }

    /// A query that fails over any table.
    fn failing_query(&mut self, tail: &str) -> Frag {
        let table = if self.chance(65) {
            "countries".to_owned()
        } else {
            let table = self.owned_table();
            self.world.tables[table].name.sql()
        };
        format!("(SELECT {ALWAYS_FAILS}{tail} FROM public.{table})").into()
    }

    /// An operand that fails on other tenants' rows, where queries look at groups and windows, out of a column of the
    /// innermost query alone.
    pub(super) fn inner_hazard(&mut self) -> Option<Frag> {
        let found = self.inner_where(|col| matches!(col.hazard, Some(Role::Digits | Role::Divisor)))?;
        self.hazard = true;
        self.tag("leaky expression");
        Some(match found.1.hazard {
            Some(Role::Digits) => seq!["CAST(", found.0, " AS integer)"],
            _ => seq!["(12 / ", found.0, ")"],
        })
    }

    /// A query's HAVING that looks at the rows around it.
    pub(super) fn outer_hazard(&mut self) -> Option<Frag> {
        let level = self.levels.pop();
        // A name alone might be taken for one of the query's own.
        let before = std::mem::replace(&mut self.qualify, true);
        let found = self.levels.last().is_some().then(|| self.hazardous()).flatten();
        self.qualify = before;
        self.levels.extend(level);
        let found = found?;
        self.tag("HAVING that looks out");
        Some(found.node(Kind::Expr(Type::Bool)))
    }

    /// A name that a database might take for something else: a word of its own, or one that differs by case alone.
    pub(super) fn confusing(&mut self) -> Name {
        self.tag("confusing name");
        let number = self.aliases;
        let names = [
            "only", "global", "lateral", "excluded", "select", "table", "values", "unnest", "id", "n", "O.o",
        ];
        if number > 0 && self.chance(30) {
            Name::new(format!("A{number}"))
        } else {
            Name::new(*self.rng.pick(&names))
        }
    }
}
