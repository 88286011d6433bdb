//! Views, which read with their owner's rights, and materialised ones, which no policy covers (RLS-02).

use super::{Ask, By, Rule};
use crate::finding::Severity;

/// Views and what they read, through other views too.
macro_rules! with_reads {
    ($question:literal) => {
        concat!(
            ", direct AS (SELECT DISTINCT w.ev_class AS view, d.refobjid AS rel FROM pg_rewrite w JOIN pg_depend d \
               ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass \
               AND d.refobjid <> w.ev_class), \
             reads(view, rel) AS (SELECT view, rel FROM direct \
               UNION SELECT r.view, d.rel FROM reads r JOIN direct d ON d.view = r.rel), \
             over AS (SELECT r.view, string_agg(DISTINCT t.name, ', ') AS names FROM reads r \
               JOIN tables t ON t.oid = r.rel OR EXISTS (SELECT FROM children c WHERE c.oid = r.rel AND c.parent = t.oid) \
               GROUP BY r.view) ",
            $question
        )
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD030",
        name: "view-without-security-invoker",
        severity: Severity::Error,
        kind: "view",
        why: "A view reads with its owner's rights: the policies that apply are the owner's, not the caller's.",
        threats: &["RLS-02", "FLT-31"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_reads!(
            "SELECT c.oid::regclass::text, 'reads ' || o.names || ' with the rights of ' || \
               quote_ident(pg_get_userbyid(c.relowner)), \
               CASE WHEN current_setting('server_version_num')::int >= 150000 \
               THEN format('ALTER VIEW %s SET (security_invoker = true);', c.oid::regclass) \
               ELSE format('REVOKE ALL ON %s FROM %s;', c.oid::regclass, g.who) END \
             FROM over o JOIN pg_class c ON c.oid = o.view JOIN spaces s ON s.oid = c.relnamespace \
             LEFT JOIN grantees g ON g.oid = c.oid \
             WHERE c.relkind = 'v' AND c.oid IN (SELECT oid FROM reach) AND NOT EXISTS ( \
               SELECT FROM pg_options_to_table(c.reloptions) \
               WHERE option_name = 'security_invoker' AND option_value::bool) ORDER BY 1"
        )),
    },
    Rule {
        code: "TD031",
        name: "materialized-view",
        severity: Severity::Error,
        kind: "materialized view",
        why: "A materialised view holds the rows of every tenant, and cannot have row-level security.",
        threats: &["RLS-02", "FLT-31"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_reads!(
            "SELECT c.oid::regclass::text, 'holds rows of ' || o.names || ', and the application may read it', \
               format('REVOKE ALL ON %s FROM %s;', c.oid::regclass, coalesce(g.who, 'PUBLIC')) \
             FROM over o JOIN pg_class c ON c.oid = o.view JOIN spaces s ON s.oid = c.relnamespace \
             LEFT JOIN grantees g ON g.oid = c.oid \
             WHERE c.relkind = 'm' AND c.oid IN (SELECT oid FROM reach) ORDER BY 1"
        )),
    },
];
