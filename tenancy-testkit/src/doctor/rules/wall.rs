//! Row-level security on every tenant's table (RLS-01, RLS-05, RLS-13).

use super::{Ask, By, Rule};
use crate::finding::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD010",
        name: "row-security-off",
        severity: Severity::Error,
        kind: "table",
        why: "There is no second wall: one statement without a filter reads and changes every tenant's rows.",
        threats: &["RLS-05", "RLS-13"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT name, 'has neither row-level security nor a policy', \
               format('ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY; ALTER TABLE %1$s FORCE ROW LEVEL SECURITY; \
                       CREATE POLICY tenancy ON %1$s USING (%2$s) WITH CHECK (%2$s);', name, condition) \
             FROM tables WHERE NOT relrowsecurity \
               AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = tables.oid) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD011",
        name: "policy-without-row-security",
        severity: Severity::Error,
        kind: "table",
        why: "Policies do nothing until row-level security is enabled on their table.",
        threats: &["RLS-05"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT name, 'has a policy, but row-level security is off', \
               format('ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY; ALTER TABLE %1$s FORCE ROW LEVEL SECURITY;', name) \
             FROM tables WHERE NOT relrowsecurity \
               AND EXISTS (SELECT FROM pg_policy WHERE polrelid = tables.oid) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD012",
        name: "row-security-without-policy",
        severity: Severity::Warning,
        kind: "table",
        why: "The application sees no row, and the usual way out of that is to turn row-level security off.",
        threats: &["RLS-05"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT name, 'has row-level security, but no permissive policy for the application''s role', \
               format('CREATE POLICY tenancy ON %1$s USING (%2$s) WITH CHECK (%2$s);', name, condition) \
             FROM tables WHERE relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy \
               WHERE polrelid = tables.oid AND polpermissive \
                 AND (0 = ANY(polroles) OR EXISTS (SELECT FROM mine WHERE mine.oid = ANY(polroles)))) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD013",
        name: "row-security-not-forced",
        severity: Severity::Warning,
        kind: "table",
        why: "The table's owner, and with it functions and views that run with its rights, see every tenant's rows.",
        threats: &["RLS-01"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT name, 'has row-level security that is not forced on its owner', \
               format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', name) \
             FROM tables WHERE relrowsecurity AND NOT relforcerowsecurity \
               AND relowner NOT IN (SELECT oid FROM mine) ORDER BY 1",
        ),
    },
];
