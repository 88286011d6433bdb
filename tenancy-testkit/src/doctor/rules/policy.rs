//! What the policies of a tenant's table let through (RLS-04, RLS-05, RLS-07).

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::shape::{self, Comparison, Shape};
use super::{Ask, By, Found, Rule};
use crate::doctor::{error::Error, facts::Facts};
use crate::finding::Severity;

const fn rule(
    code: &'static str,
    name: &'static str,
    severity: Severity,
    threats: &'static [&'static str],
    why: &'static str,
) -> Rule {
    Rule { code, name, severity, kind: "policy", why, threats, mend: By::Sql, ask: Ask::Policies }
}

pub(super) const RULES: &[Rule] = &[
    rule(
        "TD020",
        "additional-permissive-policy",
        Severity::Error,
        &["RLS-04"],
        "Permissive policies are joined by OR: this one lets through what the tenant's own does not.",
    ),
    rule(
        "TD021",
        "policy-true",
        Severity::Error,
        &["RLS-05"],
        "A permissive policy that is always true lets every tenant's rows through.",
    ),
    rule(
        "TD022",
        "using-without-with-check",
        Severity::Warning,
        &["RLS-05"],
        "New rows are checked by what is meant for reading; once that is loosened, so are writes.",
    ),
    rule(
        "TD023",
        "policy-without-tenant",
        Severity::Error,
        &["RLS-05", "RLS-13"],
        "A policy that does not compare the tenant column with the tenant's setting does not keep tenants apart, or \
         does it in a way that cannot be checked.",
    ),
    rule(
        "TD024",
        "policy-evaluated-per-row",
        Severity::Note,
        &["RLS-07"],
        "Without a sub-select around it the setting is read for each row: three times the cost of a long scan.",
    ),
    rule(
        "TD025",
        "setting-may-not-cast",
        Severity::Warning,
        &["RLS-07", "SCH-15"],
        "After a transaction the setting is empty and not missing: a cast of it fails where there should be no rows.",
    ),
];

/// One permissive or restrictive policy for the application's role.
struct Policy {
    table: String,
    column: String,
    condition: String,
    name: String,
    permissive: bool,
    /// To `PUBLIC` or to the role itself, so that no `SET ROLE` avoids it.
    always: bool,
    /// As `pg_policy.polcmd`.
    command: String,
    using: Option<String>,
    check: Option<String>,
}

const QUESTION: &str = "\
SELECT t.name, t.col, t.condition, quote_ident(p.polname), p.polpermissive,
  0 = ANY(p.polroles) OR $1 = ANY(p.polroles), p.polcmd::text,
  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
WHERE t.relrowsecurity AND (0 = ANY(p.polroles) OR EXISTS (SELECT FROM mine WHERE mine.oid = ANY(p.polroles)))
ORDER BY 1, 4";

/// Returns what this family's rules find, each with its rule's code.
pub(super) async fn judged(
    facts: &Facts,
    connection: &mut PgConnection,
) -> Result<Vec<(&'static str, Found)>, Error> {
    let failed = |error| Error::server("the policies could not be listed", error);
    let rows = facts.ask(connection, QUESTION).await.map_err(failed)?;
    let policies: Vec<Policy> = rows.iter().map(Policy::read).collect::<Result<_, _>>().map_err(failed)?;
    let of_table = |table: &str| policies.iter().filter(|policy| policy.table == table).collect::<Vec<_>>();
    let permissive = policies.iter().filter(|policy| policy.permissive);
    Ok(permissive.flat_map(|policy| policy.judge(&of_table(&policy.table), facts.setting())).collect())
}

impl Policy {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            table: row.try_get(0)?,
            column: row.try_get(1)?,
            condition: row.try_get(2)?,
            name: row.try_get(3)?,
            permissive: row.try_get(4)?,
            always: row.try_get(5)?,
            command: row.try_get(6)?,
            using: row.try_get(7)?,
            check: row.try_get(8)?,
        })
    }

    /// Returns the expressions that decide, with their clauses.
    fn parts(&self) -> Vec<(&'static str, &str)> {
        let using = self.using.as_deref().map(|text| ("USING", text));
        let check = self.check.as_deref().map(|text| ("WITH CHECK", text));
        using.into_iter().chain(check).collect()
    }

    fn shapes(&self, setting: &str) -> Vec<(&'static str, Shape)> {
        let read = |(clause, text)| (clause, shape::read(text, &self.column, setting));
        self.parts().into_iter().map(read).collect()
    }

    fn keeps_apart(&self, setting: &str) -> bool {
        self.shapes(setting).iter().all(|(_, shape)| matches!(shape, Shape::OneTenant(_)))
    }

    fn covers(&self, other: &Self) -> bool {
        self.command == "*" || self.command == other.command
    }

    fn judge(&self, siblings: &[&Self], setting: &str) -> Vec<(&'static str, Found)> {
        let others = || siblings.iter().filter(|other| other.name != self.name && other.keeps_apart(setting));
        if others().any(|other| !other.permissive && other.always && other.covers(self)) {
            // Restrictive policies are joined by AND: whatever this one says, the tenant's own has the last word.
            return Vec::new();
        }
        let shapes = self.shapes(setting);
        let clause_of =
            |wanted: &Shape| shapes.iter().find(|(_, shape)| shape == wanted).map(|(clause, _)| *clause);
        if let Some(clause) = clause_of(&Shape::True) {
            return self.found("TD021", format!("{clause} (true)"), self.replaced(setting));
        }
        if let Some(clause) = clause_of(&Shape::Other) {
            let what = format!("its {clause} does not hold {} to the setting {setting}", self.column);
            let overlaps = |other: &&&Self| other.permissive && (other.covers(self) || self.covers(other));
            return match others().find(overlaps) {
                Some(_) => self.found("TD020", what, format!("DROP POLICY {} ON {};", self.name, self.table)),
                None => self.found("TD023", what, self.replaced(setting)),
            };
        }
        let mut found = Vec::new();
        if let (None, Some(using), "*" | "w") = (&self.check, &self.using, self.command.as_str()) {
            let mend = format!("ALTER POLICY {} ON {} WITH CHECK ({using});", self.name, self.table);
            found.extend(self.found("TD022", "has USING alone".to_owned(), mend));
        }
        let any = |of: fn(&Comparison) -> bool| {
            let clause = |(clause, shape): &(&'static str, Shape)| match shape {
                Shape::OneTenant(comparison) if of(comparison) => Some(*clause),
                _ => None,
            };
            shapes.iter().find_map(clause)
        };
        if let Some(clause) = any(|comparison| comparison.may_fail) {
            let what = format!("its {clause} fails when the setting is empty or missing");
            found.extend(self.found("TD025", what, self.replaced(setting)));
        } else if let Some(clause) = any(|comparison| !comparison.once) {
            let what = format!("its {clause} reads the setting for each row");
            found.extend(self.found("TD024", what, self.replaced(setting)));
        }
        found
    }

    fn found(&self, code: &'static str, what: String, mend: String) -> Vec<(&'static str, Found)> {
        vec![(code, Found { object: format!("{}.{}", self.table, self.name), what, mend })]
    }

    /// Returns the statement that gives each clause the tenant's condition beside what else it says.
    fn replaced(&self, setting: &str) -> String {
        let mut statement = format!("ALTER POLICY {} ON {}", self.name, self.table);
        for (clause, text) in self.parts() {
            let condition = match shape::read(text, &self.column, setting) {
                Shape::True => self.condition.clone(),
                Shape::Other => format!("{} AND ({text})", self.condition),
                Shape::OneTenant(Comparison { beside, .. }) => {
                    let beside = beside.iter().map(|other| format!(" AND ({other})")).collect::<String>();
                    self.condition.clone() + &beside
                }
            };
            statement.push_str(&format!(" {clause} ({condition})"));
        }
        statement + ";"
    }
}
