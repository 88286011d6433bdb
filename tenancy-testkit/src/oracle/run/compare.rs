//! Whether two outcomes are the same.

use super::lane::Outcome;
use crate::oracle::ddl::TWIN_CHECK;
use crate::oracle::subject::Statement;

/// What comparing a statement's outcome with its twin's gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Same,
    /// One of them ran out of time, so nothing can be said.
    Unknown,
    Different(&'static str),
}

/// What is known of the state before the statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a> {
    /// For each table: count and hash of this tenant's rows, and of all others'.
    pub(crate) state: &'a [String],
    /// Other tenants' rows are in sight of the connection.
    pub(crate) sees_others: bool,
}

pub(crate) fn compare(
    statement: &Statement,
    twin: &Outcome,
    subject: &Outcome,
    before: Before<'_>,
) -> Verdict {
    if [twin, subject]
        .iter()
        .any(|outcome| matches!(outcome.sqlstate.as_deref(), Some("57014" | "53200" | "54001")))
    {
        return Verdict::Unknown;
    }
    if let Some(verdict) = foreign(statement, twin, subject) {
        return verdict;
    }
    // What PostgreSQL itself gets wrong says nothing: it fails to plan some statements, and not others that mean the same.
    if twin.sqlstate.as_deref() == Some("XX000") {
        return Verdict::Unknown;
    }
    // A database that holds one tenant may come upon a mine where its plan does, or when it plans; the reverse is a leak.
    let mined = statement.constructs.contains(&"mine");
    let same = twin.sqlstate == subject.sqlstate;
    if mined && !same && twin.sqlstate.as_deref().is_some_and(|code| code.starts_with("22")) {
        return Verdict::Unknown;
    }
    if twin.sqlstate != subject.sqlstate {
        return Verdict::Different("one failed and the other did not, or differently");
    }
    if twin.sqlstate.is_some() {
        return Verdict::Same;
    }
    if twin.columns != subject.columns {
        return Verdict::Different("the columns differ");
    }
    if !same_rows(statement.ordered, &twin.rows, &subject.rows) {
        return Verdict::Different("the rows differ");
    }
    if twin.affected != subject.affected {
        return Verdict::Different("the number of rows differs");
    }
    states(twin, subject, before)
}

/// A write for another tenant: the twin refuses it by its check, and nothing may have come of it.
fn foreign(statement: &Statement, twin: &Outcome, subject: &Outcome) -> Option<Verdict> {
    let by_check = twin.sqlstate.as_deref() == Some("23514") && twin.message.contains(TWIN_CHECK);
    if !statement.forbidden && !by_check {
        return None;
    }
    let harmless = subject.sqlstate.is_some() || subject.affected == 0;
    Some(if harmless { Verdict::Same } else { Verdict::Different("a row was written for another tenant") })
}

fn same_rows(ordered: bool, twin: &[String], subject: &[String]) -> bool {
    if ordered || twin.len() != subject.len() {
        return twin == subject;
    }
    let sorted = |rows: &[String]| {
        let mut rows: Vec<_> = rows.to_vec();
        rows.sort_unstable();
        rows
    };
    twin == subject || sorted(twin) == sorted(subject)
}

fn states(twin: &Outcome, subject: &Outcome, before: Before<'_>) -> Verdict {
    if twin.state.len() != subject.state.len() {
        return Verdict::Different("the state was not read");
    }
    for ((alone, shared), old) in twin.state.iter().zip(&subject.state).zip(before.state) {
        let (alone, shared, old) = (halves(alone), halves(shared), halves(old));
        if alone.0 != shared.0 {
            return Verdict::Different("the tenant's rows differ afterwards");
        }
        if before.sees_others && shared.1 != old.1 {
            return Verdict::Different("other tenants' rows were changed");
        }
    }
    Verdict::Same
}

/// Own count and hash, and others' count and hash.
fn halves(line: &str) -> (String, String) {
    let parts: Vec<_> = line.split(" | ").collect();
    let pick = |from: usize, to: usize| parts.get(from..to).map(|parts| parts.join(" ")).unwrap_or_default();
    (pick(0, 3), pick(3, 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(ordered: bool) -> Statement {
        Statement {
            sql: String::new(),
            values: Vec::new(),
            writes: true,
            ordered,
            leaky: false,
            constructs: Vec::new(),
            restart: false,
            forbidden: false,
        }
    }

    fn outcome(rows: &[&str], state: &str) -> Outcome {
        let rows: Vec<_> = rows.iter().map(|row| (*row).to_owned()).collect();
        Outcome { affected: rows.len() as u64, rows, state: vec![state.to_owned()], ..Outcome::default() }
    }

    fn verdict(ordered: bool, twin: &Outcome, subject: &Outcome) -> Verdict {
        let state = ["0 | 1 | 5 | 2 | 9".to_owned()];
        compare(&statement(ordered), twin, subject, Before { state: &state, sees_others: true })
    }

    #[test]
    fn rows_are_compared_as_a_multiset_unless_their_order_is_total() {
        let twin = outcome(&["a", "b", "b"], "0 | 1 | 5 | 0 | 0");
        let same = "0 | 1 | 5 | 2 | 9";
        assert_eq!(verdict(false, &twin, &outcome(&["b", "a", "b"], same)), Verdict::Same);
        assert_ne!(verdict(true, &twin, &outcome(&["b", "a", "b"], same)), Verdict::Same);
        assert_ne!(verdict(false, &twin, &outcome(&["b", "a", "a"], same)), Verdict::Same);
        assert_ne!(verdict(false, &twin, &outcome(&["b", "a"], same)), Verdict::Same);
    }

    #[test]
    fn a_change_of_anybodys_rows_is_seen() {
        let twin = outcome(&["a"], "0 | 1 | 5 | 0 | 0");
        assert_eq!(verdict(false, &twin, &outcome(&["a"], "0 | 1 | 5 | 2 | 9")), Verdict::Same);
        assert_ne!(verdict(false, &twin, &outcome(&["a"], "0 | 1 | 6 | 2 | 9")), Verdict::Same);
        assert_ne!(verdict(false, &twin, &outcome(&["a"], "0 | 1 | 5 | 2 | 8")), Verdict::Same);
    }

    #[test]
    fn errors_are_compared_by_sqlstate() {
        let failed = |code: &str| Outcome { sqlstate: Some(code.to_owned()), ..Outcome::default() };
        assert_eq!(verdict(false, &failed("23505"), &failed("23505")), Verdict::Same);
        assert_ne!(verdict(false, &failed("23505"), &failed("23503")), Verdict::Same);
        assert_ne!(verdict(false, &outcome(&[], "0 | 1 | 5 | 2 | 9"), &failed("22P02")), Verdict::Same);
        assert_eq!(verdict(false, &failed("57014"), &outcome(&["a"], "")), Verdict::Unknown);
        assert_eq!(verdict(false, &failed("XX000"), &outcome(&["a"], "")), Verdict::Unknown);
        assert_ne!(verdict(false, &outcome(&["a"], ""), &failed("XX000")), Verdict::Same);
    }
}
