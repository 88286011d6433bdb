//! What the application's role may do (RLS-01, KIT-03).

use super::{Ask, By, Rule};
use crate::finding::Severity;

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "TD001",
        name: "role-superuser",
        severity: Severity::Error,
        kind: "role",
        why: "Row-level security does not apply to a superuser.",
        threats: &["RLS-01", "KIT-03"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT quote_ident(rolname), 'is a superuser', format('ALTER ROLE %I NOSUPERUSER;', rolname) \
             FROM mine WHERE oid = $1 AND rolsuper",
        ),
    },
    Rule {
        code: "TD002",
        name: "role-bypassrls",
        severity: Severity::Error,
        kind: "role",
        why: "Row-level security does not apply to a role with BYPASSRLS.",
        threats: &["RLS-01", "KIT-03"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT quote_ident(rolname), 'has BYPASSRLS', format('ALTER ROLE %I NOBYPASSRLS;', rolname) \
             FROM mine WHERE oid = $1 AND rolbypassrls",
        ),
    },
    Rule {
        code: "TD003",
        name: "role-member-of-powerful",
        severity: Severity::Error,
        kind: "role",
        why: "A member can SET ROLE to it, and with it to what bypasses row-level security or reads past it.",
        threats: &["RLS-01", "KIT-03"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT quote_ident(m.rolname), 'makes ' || (SELECT quote_ident(rolname) FROM pg_roles WHERE oid = $1) || \
               ' a member of a role that ' || CASE WHEN m.rolsuper THEN 'is a superuser' \
               WHEN m.rolbypassrls THEN 'has BYPASSRLS' ELSE 'is predefined by the server' END, \
               (SELECT string_agg(DISTINCT format('REVOKE %I FROM %I;', v.rolname, a.rolname), ' ') \
                FROM up JOIN pg_roles v ON v.oid = up.via JOIN pg_roles a ON a.oid = $1 WHERE up.oid = m.oid) \
             FROM mine m WHERE m.oid <> $1 \
               AND (m.rolsuper OR m.rolbypassrls OR m.rolname ~ '^pg_' AND m.rolname <> 'pg_database_owner') ORDER BY 1",
        ),
    },
    Rule {
        code: "TD004",
        name: "role-owns-unforced-table",
        severity: Severity::Error,
        kind: "table",
        why: "Row-level security does not apply to a table's owner unless it is forced.",
        threats: &["RLS-01"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT name, 'belongs to the application''s role, and row-level security is not forced', \
               format('ALTER TABLE %s FORCE ROW LEVEL SECURITY; ALTER TABLE %s OWNER TO CURRENT_USER; \
                       GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I;', \
                      name, name, name, (SELECT rolname FROM pg_roles WHERE oid = $1)) \
             FROM tables WHERE relowner IN (SELECT oid FROM mine) AND relrowsecurity AND NOT relforcerowsecurity \
             ORDER BY 1",
        ),
    },
    Rule {
        code: "TD005",
        name: "role-owns-table",
        severity: Severity::Warning,
        kind: "table",
        why: "An owner can turn row-level security off, and drop its policies.",
        threats: &["RLS-01"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT name, 'belongs to the application''s role', \
               format('ALTER TABLE %s OWNER TO CURRENT_USER; GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I;', \
                      name, name, (SELECT rolname FROM pg_roles WHERE oid = $1)) \
             FROM tables WHERE relowner IN (SELECT oid FROM mine) AND (relforcerowsecurity OR NOT relrowsecurity) \
             ORDER BY 1",
        ),
    },
    Rule {
        code: "TD006",
        name: "role-creates-roles-or-replicates",
        severity: Severity::Error,
        kind: "role",
        why: "CREATEROLE can make a more powerful role; REPLICATION reads every tenant's rows.",
        threats: &["RLS-01", "KIT-03"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT quote_ident(rolname), 'has ' || concat_ws(' and ', CASE WHEN rolcreaterole THEN 'CREATEROLE' END, \
               CASE WHEN rolreplication THEN 'REPLICATION' END), \
               format('ALTER ROLE %I NOCREATEROLE NOREPLICATION;', rolname) \
             FROM mine WHERE NOT rolsuper AND rolname !~ '^pg_' AND (rolcreaterole OR rolreplication) ORDER BY 1",
        ),
    },
    Rule {
        code: "TD007",
        name: "role-creates-in-schema",
        severity: Severity::Error,
        kind: "schema",
        why: "Whoever may create in a schema can put functions and tables there that others' statements then use.",
        threats: &["SCH-31", "KIT-03"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT quote_ident(s.nspname), 'lets ' || string_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' \
                 ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ') || ' create objects', \
               string_agg(DISTINCT CASE WHEN g.grantee = n.nspowner \
                 THEN format('ALTER SCHEMA %I OWNER TO CURRENT_USER;', s.nspname) \
                 ELSE format('REVOKE CREATE ON SCHEMA %I FROM %s;', s.nspname, CASE g.grantee WHEN 0 THEN 'PUBLIC' \
                   ELSE quote_ident(pg_get_userbyid(g.grantee)) END) END, ' ') \
             FROM spaces s JOIN pg_namespace n ON n.oid = s.oid, \
               aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) g \
             WHERE g.privilege_type = 'CREATE' AND (g.grantee = 0 OR g.grantee IN (SELECT oid FROM mine)) \
             GROUP BY 1, s.nspname ORDER BY 1",
        ),
    },
    Rule {
        code: "TD008",
        name: "role-creates-in-database",
        severity: Severity::Error,
        kind: "database",
        why: "Whoever may create schemas can put one before another on a search path.",
        threats: &["SCH-31", "KIT-03"],
        mend: By::Sql,
        ask: Ask::Catalogue(
            "SELECT quote_ident(d.datname), 'lets ' || string_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' \
                 ELSE quote_ident(pg_get_userbyid(g.grantee)) END, ', ') || ' create schemas', \
               string_agg(DISTINCT CASE WHEN g.grantee = d.datdba \
                 THEN format('ALTER DATABASE %I OWNER TO CURRENT_USER;', d.datname) \
                 ELSE format('REVOKE CREATE ON DATABASE %I FROM %s;', d.datname, CASE g.grantee WHEN 0 THEN 'PUBLIC' \
                   ELSE quote_ident(pg_get_userbyid(g.grantee)) END) END, ' ') \
             FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) g \
             WHERE d.datname = current_database() AND g.privilege_type = 'CREATE' \
               AND (g.grantee = 0 OR g.grantee IN (SELECT oid FROM mine)) GROUP BY d.datname",
        ),
    },
];
