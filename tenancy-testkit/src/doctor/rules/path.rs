//! Names that mean something else than they seem to (SCH-06, SCH-31).

use super::{Ask, By, Rule};
use crate::finding::Severity;

/// Settings that the role finds when it connects to this database, and the statement's beginning that changes each.
macro_rules! with_settings {
    ($question:literal) => {
        concat!(
            ", settings AS (SELECT split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value, \
               concat_ws(' in ', CASE d.setrole WHEN 0 THEN NULL ELSE quote_ident(pg_get_userbyid(d.setrole)) END, \
                 CASE WHEN d.setdatabase <> 0 THEN quote_ident(current_database()) WHEN d.setrole = 0 THEN 'all' END) AS object, \
               CASE WHEN d.setrole = 0 AND d.setdatabase <> 0 THEN format('ALTER DATABASE %I ', current_database()) \
                 ELSE format('ALTER ROLE %s %s', CASE d.setrole WHEN 0 THEN 'ALL' ELSE quote_ident(pg_get_userbyid(d.setrole)) END, \
                   CASE WHEN d.setdatabase <> 0 THEN format('IN DATABASE %I ', current_database()) ELSE '' END) END AS alter \
             FROM pg_db_role_setting d, unnest(d.setconfig) c \
             WHERE d.setrole IN (0, $1) \
               AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))), \
             paths AS (SELECT s.object, s.alter, s.value, p.entry, p.n, trim(both '\"' from p.entry) AS bare \
               FROM settings s, unnest(regexp_split_to_array(s.value, '\\s*,\\s*')) WITH ORDINALITY p(entry, n) \
               WHERE s.name = 'search_path'), \
             found AS (SELECT object, alter, value, max(n) FILTER (WHERE bare = 'public') AS public, \
                 max(n) FILTER (WHERE bare = 'pg_catalog') AS catalog, \
                 min(n) FILTER (WHERE bare NOT IN ('public', 'pg_catalog', 'pg_temp') AND (bare <> '$user' \
                   OR EXISTS (SELECT FROM spaces, pg_roles r WHERE r.oid = $1 AND nspname = r.rolname))) AS own, \
                 string_agg(entry, ', ' ORDER BY n) FILTER (WHERE bare <> 'public') AS without_public, \
                 string_agg(entry, ', ' ORDER BY n) FILTER (WHERE bare <> 'pg_catalog') AS without_catalog \
               FROM paths GROUP BY 1, 2, 3) ",
            $question
        )
    };
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD090",
        name: "path-falls-through-to-public",
        severity: Severity::Warning,
        kind: "setting",
        why: "Where a schema or a table is missing, reads and writes go to public without an error.",
        threats: &["SCH-06", "SCH-07"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_settings!(
            "SELECT 'search_path of ' || object, 'is ' || value || ': what is missing is looked for in public', \
               format('%sSET search_path = %s;', alter, without_public) FROM found WHERE public > own ORDER BY 1"
        )),
    },
    Rule {
        code: "TD091",
        name: "path-hides-pg-catalog",
        severity: Severity::Error,
        kind: "setting",
        why: "A schema before pg_catalog can put a function of its own in the place of a built-in one.",
        threats: &["SCH-31"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_settings!(
            "SELECT 'search_path of ' || object, 'is ' || value || ': pg_catalog is not first', \
               format('%sSET search_path = %s;', alter, without_catalog) FROM found WHERE catalog > 1 ORDER BY 1"
        )),
    },
    Rule {
        code: "TD092",
        name: "function-shadows-built-in",
        severity: Severity::Warning,
        kind: "function",
        why: "Where its schema comes before pg_catalog on a search path, it is called in the built-in one's place.",
        threats: &["SCH-31"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT p.oid::regprocedure::text, 'has the name and arguments of pg_catalog.' || p.proname, \
               format('ALTER ROUTINE %s RENAME TO %I;', p.oid::regprocedure, p.proname || '_of_' || s.nspname) \
             FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace \
             WHERE EXISTS (SELECT FROM pg_proc b WHERE b.pronamespace = 'pg_catalog'::regnamespace \
                 AND b.proname = p.proname AND b.proargtypes = p.proargtypes) \
               AND NOT EXISTS (SELECT FROM extensions e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD093",
        name: "non-standard-strings",
        severity: Severity::Warning,
        kind: "setting",
        why: "A backslash ends a literal elsewhere than every client and every rewriter thinks.",
        threats: &["FLT-12"],
        mend: By::Sql,
        ask: Ask::Catalogue(with_settings!(
            "SELECT 'standard_conforming_strings of ' || object, 'is off', \
               format('%sRESET standard_conforming_strings;', alter) \
             FROM settings WHERE name = 'standard_conforming_strings' AND NOT value::bool ORDER BY 1"
        )),
    },
];
