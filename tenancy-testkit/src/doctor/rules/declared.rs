//! What is declared and what is there (RLS-13, FLT-38, FLT-40).

use super::{Ask, By, Found, Rule};
use crate::doctor::facts::Facts;
use crate::finding::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD060",
        name: "tenant-table-not-declared",
        severity: Severity::Error,
        kind: "table",
        why: "What is not declared is neither filtered nor examined; a migration that adds a table has to declare it.",
        threats: &["RLS-13", "FLT-40"],
        mend: By::Declare,
        ask: Ask::Catalogue(
            "SELECT c.oid::regclass::text, 'has the tenant column ' || quote_ident(a.attname) || ' and is not declared', \
               format('owned = [\"%s.%s\"]', s.nspname, c.relname) \
             FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = $7 \
             WHERE c.relkind IN ('r', 'p') AND c.oid NOT IN (SELECT oid FROM declared) \
               AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD061",
        name: "declared-table-absent",
        severity: Severity::Warning,
        kind: "table",
        why: "A declaration of nothing protects nothing: the table has another name, or lies in another schema.",
        threats: &["RLS-13", "SCH-07"],
        mend: By::Advice,
        ask: Ask::Facts(absent),
    },
    Rule {
        code: "TD062",
        name: "tenant-column-absent",
        severity: Severity::Error,
        kind: "table",
        why: "Without the column there is nothing by which its rows could be kept apart.",
        threats: &["FLT-40"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT name, 'is declared as owned by ' || quote_ident(col) || ', which it does not have', \
               format('ALTER TABLE %s ADD COLUMN %I %s NOT NULL;', name, col, \
                 coalesce((SELECT mode() WITHIN GROUP (ORDER BY type) FROM tables), 'bigint')) \
             FROM owned WHERE relkind IN ('r', 'p') AND attnum IS NULL ORDER BY 1",
        ),
    },
    Rule {
        code: "TD063",
        name: "tenant-column-nullable",
        severity: Severity::Error,
        kind: "column",
        why: "A row of no tenant belongs to nobody, and to everybody where a filter is written the wrong way round.",
        threats: &["FLT-38", "RLS-07"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT format('%s.%I', name, col), 'may be NULL', \
               format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', name, col) \
             FROM tables WHERE NOT attnotnull ORDER BY 1",
        ),
    },
    Rule {
        code: "TD064",
        name: "tenant-column-type-differs",
        severity: Severity::Warning,
        kind: "column",
        why: "The same tenant compares differently from table to table, and no foreign key can contain it.",
        threats: &["CORE-06"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            ", usual AS (SELECT mode() WITHIN GROUP (ORDER BY type) AS type FROM tables) \
             SELECT format('%s.%I', t.name, t.col), 'is of type ' || t.type || ' where other tables have ' || u.type, \
               coalesce((SELECT string_agg(format('DROP POLICY %I ON %s; ', polname, t.name), '') \
                 FROM pg_policy WHERE polrelid = t.oid), '') \
               || format('ALTER TABLE %1$s ALTER COLUMN %2$I TYPE %3$s USING %2$I::text::%3$s;', t.name, t.col, u.type) \
               || CASE WHEN t.relrowsecurity THEN format(' CREATE POLICY tenancy ON %1$s USING (%2$s) WITH CHECK (%2$s);', \
                 t.name, format('%I = (SELECT nullif(current_setting(%L, true), '''')::%s)', t.col, $6::text, u.type)) \
                 ELSE '' END \
             FROM tables t, usual u WHERE t.type <> u.type ORDER BY 1",
        ),
    },
    Rule {
        code: "TD065",
        name: "table-not-declared",
        severity: Severity::Warning,
        kind: "table",
        why: "Nobody has said whether its rows belong to tenants.",
        threats: &["FLT-40", "RLS-13"],
        mend: By::Declare,
        ask: Ask::Catalogue(
            "SELECT c.oid::regclass::text, 'is not declared, and the application may use it', \
               format('global = [\"%s.%s\"]', s.nspname, c.relname) \
             FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.oid IN (SELECT oid FROM reach) \
               AND c.oid NOT IN (SELECT oid FROM declared) AND c.oid NOT IN (SELECT oid FROM children) \
               AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) \
               AND NOT EXISTS (SELECT FROM extensions e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid) \
               AND NOT EXISTS (SELECT FROM pg_attribute a \
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = $7) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD066",
        name: "global-table-has-tenant-column",
        severity: Severity::Warning,
        kind: "table",
        why: "Every tenant reads all of a global table; the column says that its rows belong to one.",
        threats: &["FLT-40"],
        mend: By::Declare,
        ask: Ask::Catalogue(
            "SELECT c.oid::regclass::text, 'is declared global and has the tenant column ' || quote_ident(a.attname), \
               format('owned = [\"%s.%s\"]', s.nspname, c.relname) \
             FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = $7 \
             WHERE c.oid = ANY($5::oid[]) ORDER BY 1",
        ),
    },
];

fn absent(facts: &Facts) -> Vec<Found> {
    let found = |name: &String| Found {
        object: name.clone(),
        what: "is declared, and no examined schema has it".to_owned(),
        mend: "Create it, correct its name, or remove the declaration.".to_owned(),
    };
    facts.absent.iter().map(found).collect()
}
