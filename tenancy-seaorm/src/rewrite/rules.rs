//! [`Rules`]: a policy, ready to be asked in one dialect.

use std::collections::{HashMap, HashSet};

use sqlparser::ast::Ident;
#[cfg(feature = "broken-on-purpose-for-tests-only")]
use tenancy_core::Guard;

use super::address::Addressing;
use super::clause::unclear;
use crate::error::{Error, ErrorKind, shown};
use crate::kind::Kind;
use crate::policy::{Dialect, LeakyPredicates, Policy, Rule};
use crate::value::TenantValue;

#[derive(Debug)]
pub(super) struct Rules {
    pub(super) dialect: Dialect,
    pub(super) addressing: Addressing,
    pub(super) leaky: LeakyPredicates,
    pub(super) tenant_leads_unique_keys: bool,
    /// The database may take two ids that differ in the case of letters for one.
    pub(super) folds_ids: bool,
    /// What tenant columns hold, to a database that compares numbers with texts; none is known where this is empty.
    kinds: Option<Vec<Kind>>,
    /// What takes a document apart cannot fail.
    pub(super) documents_are_jsonb: bool,
    /// The tenant column holds every id as its canonical text.
    pub(super) ids_are_texts: bool,
    pub(super) functions: HashSet<String>,
    tables: HashMap<(Option<String>, String), Entry>,
    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    mutant: Option<crate::Mutant>,
}

#[derive(Debug)]
enum Entry {
    Owned(Owned),
    /// The schema is quoted.
    Global {
        writable: bool,
        schema: String,
    },
}

/// A table whose rows belong to tenants.
#[derive(Debug)]
pub(super) struct Owned {
    /// The tenant column, as names are compared.
    pub(super) folded: String,
    /// The tenant column, as it is written.
    pub(super) quoted: String,
}

/// What a relation turned out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    Cte,
    Owned(&'a Owned),
    Global { writable: bool, schema: &'a str },
}

impl Rules {
    /// True if a table is declared in the schema.
    pub(super) fn declares_schema(&self, schema: &str) -> bool {
        self.tables.keys().any(|(declared, _)| declared.as_deref() == Some(schema))
    }

    /// Whether the tenant columns hold ids of the tenant's kind.
    ///
    /// SQLite and MySQL compare a text with a number by what it begins with: to a column of integers `7-eleven` is 7. Where
    /// nothing is known of the columns, such texts are refused.
    pub(super) fn admits(&self, tenant: &TenantValue) -> bool {
        match self.kinds.as_deref() {
            None => true,
            Some([]) => self.ids_are_texts || !tenant.begins_like_number(),
            Some(kinds) => kinds.iter().all(|kind| Kind::of_value(tenant.value()) == Some(*kind)),
        }
    }

    pub(super) fn new(policy: &Policy, dialect: Dialect, addressing: Addressing) -> Self {
        let mut tables = HashMap::new();
        for table in &policy.tables {
            let schema = table.schema.as_deref().map(|schema| stored(schema, dialect));
            let entry = match &table.rule {
                Rule::Owned { column } => {
                    Entry::Owned(Owned { folded: stored(column, dialect), quoted: quote(column, dialect) })
                }
                Rule::Global { writable } => {
                    let schema = quote(table.schema.as_deref().unwrap_or("public"), dialect);
                    Entry::Global { writable: *writable, schema }
                }
            };
            tables.insert((schema, stored(&table.name, dialect)), entry);
        }
        Self {
            dialect,
            addressing,
            leaky: policy.leaky,
            tenant_leads_unique_keys: policy.tenant_leads_unique_keys,
            folds_ids: dialect == Dialect::MySql && !policy.tenant_column_is_binary,
            kinds: (dialect != Dialect::Postgres).then(|| policy.tenant_kinds().collect()),
            documents_are_jsonb: dialect == Dialect::Postgres && policy.documents_are_jsonb,
            ids_are_texts: policy.tenant_column_is_text,
            functions: policy.functions.clone(),
            tables,
            #[cfg(feature = "broken-on-purpose-for-tests-only")]
            mutant: policy.mutant.or_else(|| Guard::Filter.is_off().then_some(crate::Mutant::NoFilter)),
        }
    }

    /// The rule for a table's name, given as its folded parts.
    ///
    /// The schema that a database uses by default may be named or left out: `public.orders` is `orders`.
    pub(super) fn lookup(&self, parts: &[String]) -> Result<Found<'_>, Error> {
        let entry = match parts {
            [name] => {
                let get = |schema: Option<&str>| self.tables.get(&(schema.map(str::to_owned), name.clone()));
                get(None).or_else(|| get(self.default_schema()))
            }
            [schema, name] => {
                let get = |schema: Option<&str>| self.tables.get(&(schema.map(str::to_owned), name.clone()));
                get(Some(schema)).or_else(|| get(None).filter(|_| self.default_schema() == Some(schema)))
            }
            _ => None,
        };
        match entry {
            Some(Entry::Owned(owned)) => Ok(Found::Owned(owned)),
            Some(Entry::Global { writable, schema }) => Ok(Found::Global { writable: *writable, schema }),
            None => Err(unknown(parts)),
        }
    }

    pub(super) fn knows_any_case(&self, name: &str) -> bool {
        self.tables.keys().any(|(_, known)| known.eq_ignore_ascii_case(name))
    }

    fn default_schema(&self) -> Option<&'static str> {
        match self.dialect {
            Dialect::Postgres => Some("public"),
            Dialect::Sqlite => Some("main"),
            Dialect::MySql => None,
        }
    }

    /// The name that the database will look up.
    pub(super) fn fold(&self, ident: &Ident) -> Result<String, Error> {
        let name = match ident.quote_style {
            None => match self.dialect {
                Dialect::Postgres | Dialect::Sqlite => ident.value.to_ascii_lowercase(),
                Dialect::MySql => ident.value.clone(),
            },
            Some(quote) => self.unquote(&ident.value, quote)?,
        };
        // MySQL compares names by the letter cases of Unicode, where a foreign letter may equal one of ours.
        if self.dialect == Dialect::MySql && !name.is_ascii() {
            return Err(unclear("a name with letters beyond ASCII"));
        }
        // PostgreSQL cuts names at 63 bytes, so that two different ones may become one.
        if name.is_empty() || name.len() > 63 { Err(unclear("a name that is too long")) } else { Ok(name) }
    }

    fn unquote(&self, value: &str, quote: char) -> Result<String, Error> {
        let fits = match self.dialect {
            Dialect::Postgres => quote == '"',
            Dialect::Sqlite => matches!(quote, '"' | '`' | '['),
            Dialect::MySql => quote == '`',
        };
        if !fits {
            return Err(unclear("a name in quotes of another database"));
        }
        let doubled: String = [quote, quote].iter().collect();
        let name = value.replace(&doubled, &quote.to_string());
        Ok(if self.dialect == Dialect::Sqlite { name.to_ascii_lowercase() } else { name })
    }

    #[cfg(feature = "broken-on-purpose-for-tests-only")]
    pub(super) fn broken(&self, mutant: crate::Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Nothing is broken in a build that cannot be broken.
    #[cfg(not(feature = "broken-on-purpose-for-tests-only"))]
    pub(super) fn broken(&self, _: super::Broken) -> bool {
        false
    }
}

/// A declared name as it is compared: declarations spell names as the database stores them.
fn stored(name: &str, dialect: Dialect) -> String {
    if dialect == Dialect::Sqlite { name.to_ascii_lowercase() } else { name.to_owned() }
}

fn quote(name: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::MySql => format!("`{}`", name.replace('`', "``")),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

fn unknown(parts: &[String]) -> Error {
    let construct = format!("table {}", shown(&parts.join(".")));
    Error::new(ErrorKind::UnknownTable, construct, "declare it in the policy as owned or global")
}
