//! What reaches from one schema into another (SCH-22, SCH-23).
//!
//! A schema that was cloned from a template is known by what the clone forgot: an object that names another schema's
//! table where its own schema has one of the same name.

use super::{Ask, By, Rule};
use crate::finding::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD080",
        name: "default-of-another-schema",
        severity: Severity::Warning,
        kind: "column",
        why: "Its values come from a sequence that other schemas use too: one tenant counts another's rows.",
        threats: &["SCH-22", "SCH-27"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT format('%s.%I', c.oid::regclass, a.attname), 'takes its default from ' || q.oid::regclass, \
               format('CREATE SEQUENCE %2$I.%3$I; ALTER SEQUENCE %2$I.%3$I OWNER TO %7$I; \
                       ALTER SEQUENCE %2$I.%3$I OWNED BY %1$s.%4$I; \
                       SELECT setval(%5$L, coalesce((SELECT max(%4$I) FROM %1$s), 0) + 1, false); \
                       ALTER TABLE %1$s ALTER COLUMN %4$I SET DEFAULT nextval(%5$L); \
                       GRANT USAGE ON SEQUENCE %2$I.%3$I TO %6$I;', \
                 c.oid::regclass, s.nspname, c.relname || '_' || a.attname || '_own_seq', a.attname, \
                 format('%I.%I', s.nspname, c.relname || '_' || a.attname || '_own_seq'), \
                 (SELECT rolname FROM pg_roles WHERE oid = $1), pg_get_userbyid(c.relowner)) \
             FROM pg_attrdef f JOIN pg_class c ON c.oid = f.adrelid JOIN spaces s ON s.oid = c.relnamespace \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.adnum \
             JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass \
             JOIN pg_class q ON q.oid = d.refobjid AND q.relkind = 'S' AND q.relnamespace <> c.relnamespace ORDER BY 1",
        ),
    },
    Rule {
        code: "TD081",
        name: "view-of-another-schema",
        severity: Severity::Error,
        kind: "view",
        why: "It reads another schema's table though its own schema has one of this name: a clone that was left bound \
              to its template.",
        threats: &["SCH-23"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT v.oid::regclass::text, 'reads ' || t.oid::regclass || ', not ' || o.oid::regclass, \
               format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass, \
                 ' WITH (' || array_to_string(v.reloptions, ', ') || ')', \
                 replace(pg_get_viewdef(v.oid), t.oid::regclass::text, o.oid::regclass::text)) \
             FROM (SELECT DISTINCT w.ev_class, d.refobjid FROM pg_rewrite w JOIN pg_depend d \
               ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass) r \
             JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' JOIN spaces s ON s.oid = v.relnamespace \
             JOIN pg_class t ON t.oid = r.refobjid AND t.relnamespace <> v.relnamespace AND t.relkind IN ('r', 'p', 'v') \
             JOIN pg_class o ON o.relname = t.relname AND o.relnamespace = v.relnamespace AND o.relkind = t.relkind \
               AND o.oid <> v.oid ORDER BY 1",
        ),
    },
    Rule {
        code: "TD082",
        name: "function-of-another-schema",
        severity: Severity::Error,
        kind: "function",
        why: "Its body names another schema's table though its own schema has one of this name: a clone that was left \
              bound to its template.",
        threats: &["SCH-23", "FLT-32"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT DISTINCT p.oid::regprocedure::text, 'names ' || t.oid::regclass || ', not ' || o.oid::regclass, \
               regexp_replace(pg_get_functiondef(p.oid), '\\m' || t.relnamespace::regnamespace || '\\.' || t.relname || '\\M', \
                 o.oid::regclass::text, 'g') || ';' \
             FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace, \
               regexp_matches(p.prosrc, '\"?([a-zA-Z_][\\w$]*)\"?\\s*\\.\\s*\"?([a-zA-Z_][\\w$]*)\"?', 'g') AS named(pair) \
             JOIN pg_namespace n ON n.nspname = named.pair[1] \
             JOIN pg_class t ON t.relnamespace = n.oid AND t.relname = named.pair[2] AND t.relkind IN ('r', 'p', 'v') \
             JOIN pg_class o ON o.relname = t.relname AND o.relkind = t.relkind AND o.oid <> t.oid \
             WHERE o.relnamespace = p.pronamespace AND p.prokind IN ('f', 'p') AND n.oid <> p.pronamespace ORDER BY 1",
        ),
    },
    Rule {
        code: "TD083",
        name: "foreign-key-to-another-schema",
        severity: Severity::Error,
        kind: "foreign key",
        why: "It points at another schema's table though its own schema has one of this name: rows of two tenants are \
              tied together.",
        threats: &["SCH-23", "OPS-10"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT format('%s.%I', c.oid::regclass, f.conname), 'points at ' || t.oid::regclass || ', not ' || o.oid::regclass, \
               format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', c.oid::regclass, f.conname, f.conname, \
                 replace(pg_get_constraintdef(f.oid), 'REFERENCES ' || t.oid::regclass || '(', \
                   'REFERENCES ' || o.oid::regclass || '(')) \
             FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN spaces s ON s.oid = c.relnamespace \
             JOIN pg_class t ON t.oid = f.confrelid AND t.relnamespace <> c.relnamespace \
             JOIN pg_class o ON o.relname = t.relname AND o.relnamespace = c.relnamespace AND o.relkind = t.relkind \
             WHERE f.contype = 'f' AND f.conparentid = 0 ORDER BY 1",
        ),
    },
    Rule {
        code: "TD084",
        name: "trigger-of-another-schema",
        severity: Severity::Error,
        kind: "trigger",
        why: "It calls another schema's function though its own schema has one of this name: a clone that was left \
              bound to its template.",
        threats: &["SCH-23", "FLT-42"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT format('%s.%I', c.oid::regclass, g.tgname), 'calls ' || p.oid::regprocedure || ', not ' || o.oid::regprocedure, \
               format('DROP TRIGGER %I ON %s; %s;', g.tgname, c.oid::regclass, replace(pg_get_triggerdef(g.oid), \
                 split_part(p.oid::regprocedure::text, '(', 1) || '(', split_part(o.oid::regprocedure::text, '(', 1) || '(')) \
             FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN spaces s ON s.oid = c.relnamespace \
             JOIN pg_proc p ON p.oid = g.tgfoid AND p.pronamespace <> c.relnamespace \
             JOIN pg_proc o ON o.proname = p.proname AND o.pronamespace = c.relnamespace AND o.prorettype = p.prorettype \
             WHERE NOT g.tgisinternal AND g.tgparentid = 0 ORDER BY 1",
        ),
    },
];
