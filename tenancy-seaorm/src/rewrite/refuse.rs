//! What to say about statements that are never scoped.

use sqlparser::ast::Statement;

use crate::error::{Error, ErrorKind};

pub(super) fn statement(statement: &Statement) -> Error {
    let (construct, hint) = match statement {
        Statement::Copy { .. } => ("COPY", "read and write rows with SELECT and INSERT"),
        Statement::Truncate(_) => ("TRUNCATE", "use DELETE, which is limited to the tenant's rows"),
        Statement::Set(_) | Statement::Reset(_) => {
            ("SET", "session settings belong to the connection's owner")
        }
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. }
        | Statement::Savepoint { .. }
        | Statement::ReleaseSavepoint { .. } => {
            ("transaction control", "use begin, commit and rollback of the connection")
        }
        Statement::LISTEN { .. } | Statement::UNLISTEN { .. } | Statement::NOTIFY { .. } => {
            ("LISTEN or NOTIFY", "channels are shared by all tenants")
        }
        Statement::Prepare { .. } | Statement::Execute { .. } | Statement::Deallocate { .. } => {
            ("PREPARE or EXECUTE", "the driver prepares statements itself")
        }
        Statement::Explain { .. } | Statement::ExplainTable { .. } => {
            ("EXPLAIN", "plans tell about all tenants' rows; use unscoped access")
        }
        Statement::Merge(_) => ("MERGE", "use INSERT … ON CONFLICT, UPDATE or DELETE"),
        Statement::Call(_) => ("CALL", "procedures see all tenants' rows"),
        Statement::Lock(_) | Statement::LockTables { .. } => ("LOCK", "lock rows with SELECT … FOR UPDATE"),
        Statement::Declare { .. }
        | Statement::Fetch { .. }
        | Statement::Open(_)
        | Statement::Close { .. } => ("a cursor", "stream the statement instead"),
        Statement::Pragma { .. } | Statement::AttachDatabase { .. } => {
            ("PRAGMA or ATTACH", "configure the connection itself")
        }
        Statement::Use(_) => ("USE", "connect to the database itself"),
        Statement::Analyze(_) | Statement::Vacuum(_) => ("maintenance", "use unscoped access"),
        Statement::CreateTable(_)
        | Statement::CreateView(_)
        | Statement::CreateIndex(_)
        | Statement::CreateFunction(_)
        | Statement::AlterTable(_)
        | Statement::Drop { .. } => ("DDL", "migrate with the owner's connection"),
        _ => ("this kind of statement", "only SELECT, INSERT, UPDATE and DELETE are scoped"),
    };
    Error::new(ErrorKind::StatementNotAllowed, construct, hint)
}

pub(super) fn capitals() -> Error {
    let hint = "give the tenant column a binary collation, and say so with tenant_column_is_binary";
    Error::new(
        ErrorKind::Policy,
        "a tenant id with capital letters, which this database may not tell apart",
        hint,
    )
}

pub(super) fn kind() -> Error {
    let hint = "declare tables by entities whose tenant column has the type of the ids, or say tenant_column_as_text";
    Error::new(ErrorKind::Policy, "a tenant whose id is of another kind than the tenant column", hint)
}
