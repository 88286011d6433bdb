//! Functions that run with others' rights, or before the policies (RLS-03, RLS-06, RLS-10).

use super::{Ask, By, Rule};
use crate::finding::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD040",
        name: "security-definer-without-path",
        severity: Severity::Error,
        kind: "function",
        why: "It runs with its owner's rights, and its caller chooses by the search path what its names mean.",
        threats: &["RLS-03", "SCH-31"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT p.oid::regprocedure::text, 'is SECURITY DEFINER without a search_path of its own', \
               format('ALTER ROUTINE %s SET search_path = pg_catalog, %I, pg_temp;', p.oid::regprocedure, s.nspname) \
             FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace \
             WHERE p.prosecdef AND (p.prorettype = 'trigger'::regtype OR has_function_privilege($1, p.oid, 'EXECUTE')) \
               AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%') ORDER BY 1",
        ),
    },
    Rule {
        code: "TD041",
        name: "security-definer-bypasses",
        severity: Severity::Error,
        kind: "function",
        why: "It runs as a role to which row-level security does not apply: whoever calls it reads every tenant's rows.",
        threats: &["RLS-03", "FLT-32"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT p.oid::regprocedure::text, 'is SECURITY DEFINER and belongs to ' || quote_ident(r.rolname) || \
                 ', which bypasses row-level security', \
               format('ALTER ROUTINE %s SECURITY INVOKER;', p.oid::regprocedure) \
             FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner \
             WHERE p.prosecdef AND (r.rolsuper OR r.rolbypassrls) \
               AND (p.prorettype = 'trigger'::regtype OR has_function_privilege($1, p.oid, 'EXECUTE')) \
               AND NOT EXISTS (SELECT FROM extensions e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid) \
             ORDER BY 1",
        ),
    },
    Rule {
        code: "TD042",
        name: "leakproof-function",
        severity: Severity::Error,
        kind: "function",
        why: "A function that is declared leakproof is evaluated before the policies, on every tenant's rows.",
        threats: &["RLS-10", "FLT-33"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT p.oid::regprocedure::text, 'is declared LEAKPROOF', \
               format('ALTER FUNCTION %s NOT LEAKPROOF;', p.oid::regprocedure) \
             FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace \
             WHERE p.proleakproof AND has_function_privilege($1, p.oid, 'EXECUTE') \
               AND NOT EXISTS (SELECT FROM extensions e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid) \
             ORDER BY 1",
        ),
    },
    Rule {
        code: "TD043",
        name: "function-sets-tenant",
        severity: Severity::Warning,
        kind: "function",
        why: "A query that calls it changes in its midst whose rows the policies let through.",
        threats: &["RLS-06", "FLT-45", "SCH-16"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT p.oid::regprocedure::text, 'sets ' || $6::text || ' or the search path, and the application may call it', \
               format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC, %I;', p.oid::regprocedure, \
                 (SELECT rolname FROM pg_roles WHERE oid = $1)) \
             FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace \
             WHERE p.prorettype <> 'trigger'::regtype AND has_function_privilege($1, p.oid, 'EXECUTE') AND ( \
                 p.prosrc ~* ('set_config\\s*\\(\\s*''(search_path|' || replace($6::text, '.', '\\.') || ')''') \
                 OR p.prosrc ~* ('\\mset\\s+(local\\s+|session\\s+)?(search_path|' || replace($6::text, '.', '\\.') || ')\\M') \
                 OR EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE $6::text || '=%')) \
               AND NOT EXISTS (SELECT FROM extensions e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid) \
             ORDER BY 1",
        ),
    },
];
