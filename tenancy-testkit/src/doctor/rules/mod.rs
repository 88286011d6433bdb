//! The rules, one file for each close family.

mod declared;
mod function;
mod grant;
mod key;
mod path;
mod policy;
mod role;
mod schema;
mod server;
mod shape;
mod side;
mod view;
mod wall;

use sqlx::{PgConnection, Row};

use super::{error::Error, facts::Facts};
use crate::finding::{Finding, Mend, Severity};

pub(crate) use self::server::connect;

/// One thing that the doctor looks for.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The stable code: `TD010`.
    pub code: &'static str,
    /// The name: `row-security-off`.
    pub name: &'static str,
    /// How bad what it finds is.
    pub severity: Severity,
    /// What kind of thing its objects are.
    pub kind: &'static str,
    /// Why what it finds matters.
    pub why: &'static str,
    /// The entries of the project's catalogue of threats that it stands against.
    pub threats: &'static [&'static str],
    mend: By,
    ask: Ask,
}

/// How what a rule finds is mended.
#[derive(Clone, Copy, Debug)]
enum By {
    Sql,
    Declare,
    Advice,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    /// A question to the catalogue, whose rows are an object, what is the matter with it, and what mends it.
    Catalogue(&'static str),
    /// One of the policies' rules, which read expressions.
    Policies,
    /// What the gathered facts say by themselves.
    Facts(fn(&Facts) -> Vec<Found>),
}

/// What a rule found.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Found {
    object: String,
    what: String,
    mend: String,
}

/// Returns every rule, in the order of the codes.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let families: [&[Rule]; 12] = [
        role::RULES,
        wall::RULES,
        policy::RULES,
        view::RULES,
        function::RULES,
        key::RULES,
        declared::RULES,
        grant::RULES,
        schema::RULES,
        path::RULES,
        server::RULES,
        side::RULES,
    ];
    families.into_iter().flatten()
}

/// Asks every rule.
pub(crate) async fn examine(facts: &Facts, connection: &mut PgConnection) -> Result<Vec<Finding>, Error> {
    let policies = policy::judged(facts, connection).await?;
    let mut findings = Vec::new();
    for rule in rules() {
        let found = match rule.ask {
            Ask::Catalogue(question) => catalogue(facts, connection, rule, question).await?,
            Ask::Policies => {
                policies.iter().filter(|(code, _)| *code == rule.code).map(|(_, f)| f.clone()).collect()
            }
            Ask::Facts(of) => of(facts),
        };
        findings.extend(found.into_iter().map(|found| rule.finding(found)));
    }
    Ok(findings)
}

async fn catalogue(
    facts: &Facts,
    connection: &mut PgConnection,
    rule: &Rule,
    question: &str,
) -> Result<Vec<Found>, Error> {
    let failed = |error| Error::server(&format!("rule {} could not be asked", rule.code), error);
    let rows = facts.ask(connection, question).await.map_err(failed)?;
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(Found { object: row.try_get(0)?, what: row.try_get(1)?, mend: row.try_get(2)? })
    };
    rows.iter().map(read).collect::<Result<_, sqlx::Error>>().map_err(failed)
}

impl Rule {
    fn finding(&self, Found { object, what, mend }: Found) -> Finding {
        Finding {
            code: self.code.to_owned(),
            rule: self.name.to_owned(),
            severity: self.severity,
            kind: self.kind.to_owned(),
            object,
            what,
            why: self.why.to_owned(),
            mend: match self.mend {
                By::Sql => Mend::Sql(mend),
                By::Declare => Mend::Declare(mend),
                By::Advice => Mend::Advice(mend),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rules;

    #[test]
    fn codes_and_names_are_unique_and_in_order() {
        let codes: Vec<_> = rules().map(|rule| rule.code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        let names: std::collections::HashSet<_> = rules().map(|rule| rule.name).collect();
        assert_eq!(names.len(), codes.len());
        assert!(rules().all(|rule| !rule.threats.is_empty() && rule.why.ends_with('.')));
    }
}
