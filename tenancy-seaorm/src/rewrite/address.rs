//! Where a policy's tables stand, and how a statement comes to name them there.

use super::clause::unclear;
use super::edit::Piece;
use super::rules::{Found, Rules};
use crate::error::{Error, ErrorKind};
use crate::schema::SchemaName;

/// Where the tables of a policy stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Addressing {
    /// Where a statement says, or leaves to the connection.
    AsWritten,
    /// The tenant's tables in the one schema that the connection searches, global ones elsewhere.
    Path,
    /// The tenant's tables in a schema that the connection does not know.
    Qualified,
}

/// Stands in a plan where the tenant's schema comes. No statement holds this character, nor could PostgreSQL read it.
const HOLE: char = '\0';

impl Rules {
    /// Puts a plan's text, with `schema` in its holes, in the place of `out`'s.
    pub(super) fn address(
        &self,
        sql: &str,
        schema: Option<&SchemaName>,
        out: &mut String,
    ) -> Result<(), Error> {
        if self.addressing != Addressing::Qualified {
            put(sql, out);
            return Ok(());
        }
        out.clear();
        for (i, part) in sql.split(HOLE).enumerate() {
            if i > 0 {
                out.push_str(&schema.ok_or_else(schemaless)?.quoted());
            }
            out.push_str(part);
        }
        Ok(())
    }

    /// What is inserted before the name of a table.
    pub(super) fn qualifier(&self, parts: &[String], found: &Found<'_>) -> Result<Option<Piece>, Error> {
        if self.addressing == Addressing::AsWritten {
            return Ok(None);
        }
        match (found, parts) {
            (Found::Cte, _) => Ok(None),
            // A name with its schema would mean the shared table of that name, which holds other tenants' rows.
            (Found::Owned(_), [_, _, ..]) => Err(unclear("a tenant's table named with a schema")),
            (Found::Owned(_), _) if self.addressing == Addressing::Path => Ok(None),
            (Found::Owned(_), _) => Ok(Some(Piece::text(format!("{HOLE}.")))),
            (Found::Global { schema, .. }, [_]) => Ok(Some(Piece::text(format!("{schema}.")))),
            (Found::Global { .. }, _) => Ok(None),
        }
    }
}

/// Where the text has no room, a new one of its exact size costs less than one that grows and is moved.
fn put(sql: &str, out: &mut String) {
    if out.capacity() < sql.len() {
        *out = sql.to_owned();
    } else {
        out.clear();
        out.push_str(sql);
    }
}

fn schemaless() -> Error {
    let hint = "the tenant has no schema of its own";
    Error::new(ErrorKind::Placement, "a statement for a tenant's schema", hint)
}
