//! Ways to a tenant's rows beside its table: partitions, foreign tables, publications, rules, triggers.

use super::{Ask, By, Rule};
use crate::finding::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD110",
        name: "partition-reachable",
        severity: Severity::Error,
        kind: "table",
        why: "The policies of a parent do not apply to a statement that names its partition or child.",
        threats: &["RLS-10", "RLS-13"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT DISTINCT c.oid::regclass::text, 'is a part of ' || k.parent::regclass || \
                 ', and the application may use it without row-level security', \
               format('REVOKE ALL ON %s FROM %s;', c.oid::regclass, coalesce(g.who, 'PUBLIC')) \
             FROM children k JOIN pg_class c ON c.oid = k.oid LEFT JOIN grantees g ON g.oid = c.oid \
             WHERE c.oid IN (SELECT oid FROM reach) AND c.oid NOT IN (SELECT oid FROM declared) AND c.relkind IN ('r', 'p') \
               AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid)) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD111",
        name: "foreign-table",
        severity: Severity::Error,
        kind: "foreign table",
        why: "A foreign table cannot have row-level security: the application reads all that the other server shows.",
        threats: &["RLS-13"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT c.oid::regclass::text, 'holds tenants'' rows, and the application may use it', \
               format('REVOKE ALL ON %s FROM %s;', c.oid::regclass, coalesce(g.who, 'PUBLIC')) \
             FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace LEFT JOIN grantees g ON g.oid = c.oid \
             WHERE c.relkind = 'f' AND c.oid IN (SELECT oid FROM reach) \
               AND (c.oid IN (SELECT oid FROM owned) OR c.oid IN (SELECT oid FROM children) OR EXISTS ( \
                 SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attname = $7)) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD112",
        name: "table-published",
        severity: Severity::Note,
        kind: "publication",
        why: "A subscriber receives every tenant's rows: row-level security does not apply to what is published.",
        threats: &["RLS-13"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT format('%I.%s', p.pubname, coalesce(t.name, 'ALL TABLES')), 'publishes the rows of all tenants', \
               CASE WHEN p.puballtables THEN format('DROP PUBLICATION %I;', p.pubname) \
                 ELSE format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, t.name) END \
             FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid LEFT JOIN tables t ON t.oid = r.prrelid \
             WHERE p.puballtables OR t.oid IS NOT NULL AND to_jsonb(r) ->> 'prqual' IS NULL ORDER BY 1",
        ),
    },
    Rule {
        code: "TD113",
        name: "rewrite-rule",
        severity: Severity::Warning,
        kind: "rule",
        why: "What a rule adds to a statement runs with the rights of the table's owner.",
        threats: &["FLT-42"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT format('%s.%I', t.name, w.rulename), 'rewrites statements', \
               format('DROP RULE %I ON %s;', w.rulename, t.name) \
             FROM tables t JOIN pg_rewrite w ON w.ev_class = t.oid WHERE w.rulename <> '_RETURN' ORDER BY 1",
        ),
    },
    Rule {
        code: "TD114",
        name: "trigger-writes",
        severity: Severity::Note,
        kind: "trigger",
        why: "What a trigger writes is not filtered by the statement's rewriting: it has to carry the tenant itself.",
        threats: &["FLT-42"],
        mend: By::Advice,
        ask: Ask::Catalogue(
            "SELECT format('%s.%I', t.name, g.tgname), 'calls ' || p.oid::regprocedure || ', which writes', \
               'Read the function; where each row that it writes carries the tenant of the row at hand, put the finding \
                into the baseline.' \
             FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid JOIN pg_proc p ON p.oid = g.tgfoid \
             WHERE NOT g.tgisinternal AND g.tgparentid = 0 \
               AND p.prosrc ~* '\\m(insert\\s+into|update\\s+\\S+\\s+set|delete\\s+from|merge\\s+into|truncate)\\M' ORDER BY 1",
        ),
    },
];
