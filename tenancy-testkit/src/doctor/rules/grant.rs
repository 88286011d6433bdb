//! Privileges that row-level security does not filter (RLS-11).

use super::{Ask, By, Rule};
use crate::finding::Severity;

macro_rules! granted {
    ($privilege:literal) => {
        Ask::Catalogue(concat!(
            ", all_grants AS (SELECT oid, privilege, who FROM grants \
               UNION SELECT a.attrelid, g.privilege_type, CASE g.grantee WHEN 0 THEN 'PUBLIC' \
                   ELSE quote_ident(pg_get_userbyid(g.grantee)) END \
                 FROM pg_attribute a, aclexplode(a.attacl) g \
                 WHERE g.grantee = 0 OR g.grantee IN (SELECT oid FROM mine)) \
             SELECT t.name, string_agg(DISTINCT g.who, ', ') || ' may ",
            $privilege,
            "', format('REVOKE ",
            $privilege,
            " ON %s FROM %s;', t.name, string_agg(DISTINCT g.who, ', ')) \
             FROM tables t JOIN all_grants g ON g.oid = t.oid WHERE g.privilege = '",
            $privilege,
            "' GROUP BY t.name ORDER BY 1"
        ))
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD070",
        name: "truncate-granted",
        severity: Severity::Error,
        kind: "table",
        why: "TRUNCATE ignores row-level security: it removes every tenant's rows.",
        threats: &["RLS-11", "FLT-22"],
        mend: By::Sql,
        ask: granted!("TRUNCATE"),
    },
    Rule {
        code: "TD071",
        name: "references-granted",
        severity: Severity::Error,
        kind: "table",
        why: "A foreign key ignores row-level security: it tells whether another tenant's row exists.",
        threats: &["RLS-11"],
        mend: By::Sql,
        ask: granted!("REFERENCES"),
    },
    Rule {
        code: "TD072",
        name: "trigger-granted",
        severity: Severity::Error,
        kind: "table",
        why: "A trigger sees the rows of every tenant's statements, with their rights.",
        threats: &["RLS-11", "FLT-42"],
        mend: By::Sql,
        ask: granted!("TRIGGER"),
    },
    Rule {
        code: "TD073",
        name: "default-privileges-too-wide",
        severity: Severity::Warning,
        kind: "default privileges",
        why: "Every table that is created from now on has these grants.",
        threats: &["RLS-11", "RLS-13"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT quote_ident(pg_get_userbyid(d.defaclrole)) || coalesce('.' || quote_ident(n.nspname), ''), \
               'give ' || string_agg(DISTINCT g.privilege_type, ', ') || ' on new tables to ' \
                 || string_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', '), \
               format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %sREVOKE TRUNCATE, REFERENCES, TRIGGER ON TABLES FROM %s;', \
                 pg_get_userbyid(d.defaclrole), coalesce(format('IN SCHEMA %I ', n.nspname), ''), \
                 string_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ')) \
             FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) g \
             WHERE d.defaclobjtype = 'r' AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER') \
               AND g.grantee <> d.defaclrole AND (g.grantee = 0 OR g.grantee IN (SELECT oid FROM mine)) \
               AND (n.oid IS NULL OR n.oid IN (SELECT oid FROM spaces)) \
             GROUP BY d.defaclrole, n.nspname ORDER BY 1",
        ),
    },
];
