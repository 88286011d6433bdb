//! Keys and indexes that all tenants share (FLT-20, FLT-21, FLT-48, RLS-11, RLS-12).

use super::{Ask, By, Rule};
use crate::finding::Severity;

/// Indexes of tenants' tables: whether the tenant column is among the keys, and whether it is a primary key that the
/// database itself makes up.
macro_rules! with_indexes {
    ($question:literal) => {
        concat!(
            ", indexes AS (SELECT t.name AS tab, t.col, t.type, t.attnum, t.nspname, i.*, c.relname AS index, m.amname, \
               k.oid AS con, k.conname, k.contype, pg_get_constraintdef(k.oid) AS condef, pg_get_indexdef(i.indexrelid) AS def, \
               t.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS has_tenant, \
               i.indisprimary AND i.indnkeyatts = 1 AND (a.attidentity <> '' OR a.atttypid = 'uuid'::regtype \
                 OR pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\\(') AS made_up \
             FROM tables t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid \
               JOIN pg_am m ON m.oid = c.relam \
               LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') \
               LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] \
               LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = i.indkey[0]), \
             led AS (SELECT *, CASE \
               WHEN contype = 'x' THEN format('CREATE EXTENSION IF NOT EXISTS btree_gist; ALTER TABLE %s DROP CONSTRAINT %I, \
                 ADD CONSTRAINT %I %s(%I WITH =, %s;', tab, conname, conname, left(condef, strpos(condef, '(') - 1), col, \
                 substr(condef, strpos(condef, '(') + 1)) \
               WHEN con IS NOT NULL THEN format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s(%I, %s;', \
                 tab, conname, conname, left(condef, strpos(condef, '(') - 1), col, substr(condef, strpos(condef, '(') + 1)) \
               ELSE format('DROP INDEX %I.%I; %s;', nspname, index, \
                 replace(def, format(' USING %s (', amname), format(' USING %s (%I, ', amname, col))) END AS mend \
             FROM indexes) ",
            $question
        )
    };
}

/// Foreign keys that touch a tenant's table, without those that partitions have copied.
macro_rules! with_links {
    ($question:literal) => {
        concat!(
            ", links AS (SELECT f.*, f.conrelid::regclass::text AS child, f.confrelid::regclass::text AS parent, \
               c.col AS child_col, c.attnum AS child_att, p.col AS parent_col, p.attnum AS parent_att, \
               pg_get_constraintdef(f.oid) AS def, \
               f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd') AS cascades, \
               (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k(att, n) \
                 JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.att) AS child_cols, \
               (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k(att, n) \
                 JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.att) AS parent_cols \
             FROM pg_constraint f LEFT JOIN tables c ON c.oid = f.conrelid LEFT JOIN tables p ON p.oid = f.confrelid \
             JOIN spaces s ON s.oid = f.connamespace \
             WHERE f.contype = 'f' AND f.conparentid = 0 AND (c.oid IS NOT NULL OR p.oid IS NOT NULL)), \
             crossing AS (SELECT * FROM links l WHERE child_att IS NOT NULL AND parent_att IS NOT NULL \
               AND NOT EXISTS (SELECT FROM unnest(l.conkey, l.confkey) k(c, p) WHERE k.c = child_att AND k.p = parent_att)), \
             composed AS (SELECT *, CASE WHEN parent_att = ANY(confkey) OR EXISTS (SELECT FROM pg_index i \
                   WHERE i.indrelid = confrelid AND i.indisunique AND i.indpred IS NULL \
                   AND i.indnkeyatts = cardinality(confkey) + 1 \
                   AND (i.indkey::int2[])[0:i.indnkeyatts - 1] @> (parent_att || confkey)) THEN '' \
                 ELSE format('ALTER TABLE %s ADD UNIQUE (%I, %s); ', parent, parent_col, parent_cols) END \
               || format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %s (%s)', \
                 child, conname, conname, concat_ws(', ', quote_ident(child_col), other_child_cols), \
                 parent, concat_ws(', ', quote_ident(parent_col), other_parent_cols)) \
               || replace(replace(split_part(def, format('REFERENCES %s(%s)', parent, parent_cols), 2), \
                 'ON UPDATE SET NULL', 'ON UPDATE CASCADE'), 'ON UPDATE SET DEFAULT', 'ON UPDATE CASCADE') AS longer \
             FROM (SELECT *, \
               (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM unnest(conkey, confkey) WITH ORDINALITY k(c, p, n) \
                 JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.c WHERE k.p <> parent_att) AS other_child_cols, \
               (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM unnest(confkey) WITH ORDINALITY k(p, n) \
                 JOIN pg_attribute a ON a.attrelid = confrelid AND a.attnum = k.p WHERE k.p <> parent_att) AS other_parent_cols \
               FROM crossing) c), \
             mended AS (SELECT *, CASE WHEN confdeltype NOT IN ('n', 'd') OR def ~ 'ON DELETE SET (NULL|DEFAULT) \\(' THEN longer \
               WHEN current_setting('server_version_num')::int >= 150000 \
                 THEN regexp_replace(longer, 'ON DELETE SET (NULL|DEFAULT)', 'ON DELETE SET \\1 (' || other_child_cols || ')') \
               ELSE regexp_replace(longer, 'ON DELETE SET (NULL|DEFAULT)', 'ON DELETE RESTRICT') END || ';' AS mend \
             FROM composed) ",
            $question
        )
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD050",
        name: "unique-key-without-tenant",
        severity: Severity::Error,
        kind: "index",
        why: "One tenant finds out by a conflict what another has, and an upsert can reach another's row.",
        threats: &["FLT-19", "FLT-20", "RLS-12"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_indexes!(
            "SELECT format('%I.%I', nspname, index), 'is unique on ' || tab || ' without ' || quote_ident(col), mend \
             FROM led WHERE (indisunique OR indisexclusion) AND NOT has_tenant AND NOT coalesce(made_up, false) ORDER BY 1"
        )),
    },
    Rule {
        code: "TD051",
        name: "primary-key-without-tenant",
        severity: Severity::Note,
        kind: "index",
        why: "Ids that the database makes up do not collide; a client that may choose one finds out which exist.",
        threats: &["FLT-20", "RLS-12"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_indexes!(
            "SELECT format('%I.%I', nspname, index), 'is the primary key of ' || tab || ' without ' || quote_ident(col), mend \
             FROM led WHERE NOT has_tenant AND made_up ORDER BY 1"
        )),
    },
    Rule {
        code: "TD052",
        name: "foreign-key-without-tenant",
        severity: Severity::Error,
        kind: "foreign key",
        why: "Foreign keys ignore row-level security: a row can point at another tenant's, and shows that it exists.",
        threats: &["FLT-21", "RLS-11"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_links!(
            "SELECT format('%s.%I', child, conname), \
               format('(%s) points at %s (%s) without the tenant', child_cols, parent, parent_cols), mend \
             FROM mended WHERE NOT cascades ORDER BY 1"
        )),
    },
    Rule {
        code: "TD053",
        name: "cascade-crosses-tenants",
        severity: Severity::Error,
        kind: "foreign key",
        why: "What one tenant deletes or changes takes rows of other tenants with it.",
        threats: &["FLT-48", "FLT-21", "RLS-11"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_links!(
            "SELECT format('%s.%I', child, conname), \
               format('(%s) follows changes of %s (%s) without the tenant', child_cols, parent, parent_cols), mend \
             FROM mended WHERE cascades ORDER BY 1"
        )),
    },
    Rule {
        code: "TD054",
        name: "global-row-cascades",
        severity: Severity::Warning,
        kind: "foreign key",
        why: "Deleting one global row deletes or changes rows of every tenant.",
        threats: &["FLT-48"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_links!(
            "SELECT format('%s.%I', child, conname), format('(%s) follows changes of the global %s', child_cols, parent), \
               format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s;', child, conname, conname, regexp_replace( \
                 def, 'ON (DELETE|UPDATE) (CASCADE|SET NULL|SET DEFAULT)( \\([^)]*\\))?', 'ON \\1 RESTRICT', 'g')) \
             FROM links WHERE child_att IS NOT NULL AND parent_att IS NULL AND cascades AND NOT child_att = ANY(conkey) \
               AND NOT EXISTS (SELECT FROM children WHERE children.oid = confrelid) ORDER BY 1"
        )),
    },
    Rule {
        code: "TD055",
        name: "global-row-points-at-tenants",
        severity: Severity::Warning,
        kind: "foreign key",
        why: "A row that all tenants see names a row of one tenant, and keeps it from being deleted.",
        threats: &["FLT-21", "RLS-11"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_links!(
            "SELECT format('%s.%I', child, conname), format('points from outside at %s', parent), \
               format('ALTER TABLE %s DROP CONSTRAINT %I;', child, conname) \
             FROM links WHERE child_att IS NULL AND parent_att IS NOT NULL \
               AND conrelid NOT IN (SELECT oid FROM children) ORDER BY 1"
        )),
    },
    Rule {
        code: "TD056",
        name: "index-not-led-by-tenant",
        severity: Severity::Note,
        kind: "index",
        why: "A scoped query reads every tenant's entries of the index before it finds its own.",
        threats: &["RLS-07"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_indexes!(
            "SELECT format('%I.%I', nspname, index), 'serves ' || tab || ' and is not led by ' || quote_ident(col), mend \
             FROM led WHERE NOT indisunique AND NOT indisexclusion AND amname = 'btree' AND indkey[0] <> attnum ORDER BY 1"
        )),
    },
    Rule {
        code: "TD057",
        name: "no-index-led-by-tenant",
        severity: Severity::Note,
        kind: "table",
        why: "A scoped query has to read every tenant's rows to find one's own.",
        threats: &["RLS-07"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_indexes!(
            "SELECT t.name, 'has no index that is led by ' || quote_ident(t.col), \
               format('CREATE INDEX ON %s (%I);', t.name, t.col) \
             FROM tables t WHERE NOT EXISTS (SELECT FROM indexes i \
               WHERE i.indrelid = t.oid AND (i.indkey[0] = t.attnum OR NOT i.indisunique AND i.amname = 'btree')) ORDER BY 1"
        )),
    },
];
