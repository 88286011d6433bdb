//! The server's version, and what stands before it (RLS-08 to RLS-10, SCH-18).

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use super::{Ask, By, Found, Rule};
use crate::doctor::{error::Error, facts::Facts};
use crate::finding::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD100",
        name: "server-version",
        severity: Severity::Error,
        kind: "server",
        why: "This version has known ways around row-level security.",
        threats: &["RLS-08", "RLS-09", "RLS-10"],
        mend: By::Advice,
        ask: Ask::Facts(outdated),
    },
    Rule {
        code: "TD101",
        name: "transaction-pooler",
        severity: Severity::Warning,
        kind: "connection",
        why: "A session's settings reach the next client of the same server connection, and are missing from one's own.",
        threats: &["SCH-18", "SCH-08"],
        mend: By::Advice,
        ask: Ask::Facts(shared),
    },
];

/// A vulnerability that lets rows or samples of them past row-level security, and the first minor version of each
/// major one that does not have it.
struct Advisory {
    cve: &'static str,
    about: &'static str,
    fixed: &'static [(i32, i32)],
}

/// From the server project's security page. A major version that is not named, and is newer than those that are, never
/// had it; an older one was never mended.
const ADVISORIES: [Advisory; 5] = [
    Advisory {
        cve: "CVE-2019-10130",
        about: "selectivity estimators read rows past policies",
        fixed: &[(10, 8), (11, 3)],
    },
    Advisory {
        cve: "CVE-2023-2455",
        about: "policies disregard a change of role after inlining",
        fixed: &[(11, 20), (12, 15), (13, 11), (14, 8), (15, 3)],
    },
    Advisory {
        cve: "CVE-2023-39418",
        about: "MERGE ignores policies for UPDATE and SELECT",
        fixed: &[(15, 4)],
    },
    Advisory {
        cve: "CVE-2024-10976",
        about: "policies below subqueries disregard a change of role",
        fixed: &[(12, 21), (13, 17), (14, 14), (15, 9), (16, 5), (17, 1)],
    },
    Advisory {
        cve: "CVE-2025-8713",
        about: "statistics show rows of views, partitions and children past policies",
        fixed: &[(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)],
    },
];

/// The first version with MERGE, which is what that advisory is about.
const MERGE_SINCE: i32 = 15;

impl Advisory {
    fn concerns(&self, major: i32, minor: i32) -> bool {
        match self.fixed.iter().find(|(fixed, _)| *fixed == major) {
            Some((_, fixed)) => minor < *fixed,
            None => {
                let oldest = self.fixed.iter().map(|(major, _)| *major).min().unwrap_or_default();
                major < oldest && !(self.cve == "CVE-2023-39418" && major < MERGE_SINCE)
            }
        }
    }
}

fn outdated(facts: &Facts) -> Vec<Found> {
    advisories(facts.version)
}

fn advisories(version: i32) -> Vec<Found> {
    // Since version 10, `server_version_num` is the major version times 10,000 and the minor one.
    let (major, minor) = (version / 10_000, version % 10_000);
    let concerned: Vec<_> = ADVISORIES.iter().filter(|advisory| advisory.concerns(major, minor)).collect();
    let needed =
        concerned.iter().filter_map(|advisory| advisory.fixed.iter().find(|(fixed, _)| *fixed == major));
    let upgrade = match needed.map(|(_, minor)| *minor).max() {
        Some(needed) => format!("Upgrade to PostgreSQL {major}.{needed} or later."),
        None => "Upgrade to a version that is still maintained.".to_owned(),
    };
    let listed: Vec<_> =
        concerned.iter().map(|advisory| format!("{} ({})", advisory.cve, advisory.about)).collect();
    if listed.is_empty() {
        return Vec::new();
    }
    let what = format!("has {}", listed.join("; "));
    vec![Found { object: format!("PostgreSQL {major}.{minor}"), what, mend: upgrade }]
}

fn shared(facts: &Facts) -> Vec<Found> {
    if !facts.pooled {
        return Vec::new();
    }
    vec![Found {
        object: "transaction pooler".to_owned(),
        what: "two client connections that are open at the same time share one of the server's".to_owned(),
        mend: "Set the tenant inside of each transaction alone (SET LOCAL, or the third argument of set_config), or \
               connect to the server itself, or let the pooler keep a server connection for a session."
            .to_owned(),
    }]
}

/// Returns a connection, and whether client connections that are open at the same time share server connections, as
/// behind a pooler that gives one out for each transaction (SCH-18).
///
/// The server itself, and a pooler that gives one out for a session, have a process for each of them. Traffic of others
/// can hide a pooler from this, so they take several turns.
pub(crate) async fn connect(options: &PgConnectOptions) -> Result<(PgConnection, bool), Error> {
    const TURNS: usize = 4;
    let mut first = options.connect().await.map_err(Error::connection)?;
    let mut second = options.connect().await.map_err(Error::connection)?;
    let failed = |error| Error::server("the server's process is not known", error);
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        firsts.push(backend(&mut first).await.map_err(failed)?);
        seconds.push(backend(&mut second).await.map_err(failed)?);
    }
    // What was asked is answered; how the connection ends does not matter.
    let _ = second.close().await;
    let moved = |seen: &[i32]| seen.iter().any(|process| *process != seen[0]);
    let pooled = moved(&firsts) || moved(&seconds) || firsts[0] == seconds[0];
    Ok((first, pooled))
}

async fn backend(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_backend_pid()").persistent(false).fetch_one(connection).await
}

#[cfg(test)]
mod tests {
    use super::advisories;

    /// RLS-08, RLS-09, RLS-10: the last version that has each, and the first that does not.
    #[test]
    fn a_version_is_known_by_the_advisories_that_concern_it() {
        let listed = |version| match advisories(version).pop() {
            Some(found) => found.what.matches("CVE-").count(),
            None => 0,
        };
        for (version, expected) in [
            (180_000, 0),
            (170_006, 0),
            (170_005, 1),
            (170_000, 2),
            (150_014, 0),
            (150_013, 1),
            (150_008, 2),
            (150_003, 3),
            (150_002, 4),
            (140_019, 0),
            (140_007, 3),
            (110_019, 3),
            (110_002, 4),
            (100_000, 4),
        ] {
            assert_eq!(listed(version), expected, "{version}");
        }
        let found = advisories(150_002).pop().expect("an old version is found");
        assert_eq!(found.mend, "Upgrade to PostgreSQL 15.14 or later.");
        assert!(advisories(90_624)[0].mend.contains("still maintained"));
    }
}
